"""A composite's facts are the worst of its members': nothing passes for it that fails for one of them."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muniment.core.composite import SCHEMA, cvi
from muniment.core.digest import digest_of
from muniment.core.errors import BadComposite
from muniment.core.names import AssetRef, SemVer, VersionRef
from muniment.server import evidence, policy
from muniment.server.approvals.records import ChangeClass, Changed, Place, Standing, Wanted
from muniment.server.approvals.rules import composing, evaluations, matters, requests, signing
from muniment.server.catalog.records import Asset, RiskTier
from muniment.server.composites.records import Composite, Member
from muniment.server.composites.rules import membership
from muniment.server.evidence.records import Evidence, EvidenceKind
from muniment.server.ledger.records import Actor
from muniment.server.policy.records import Outcome
from muniment.server.ports.embedded_rego import EmbeddedRego
from tests.rules.test_fact_rules import asset, run
from tests.rules.test_lifecycle_rules import ADA, NOW, a_version
from tests.support.policies import starter

AT = 1_784_000_000
A, B, C = ("a" * 64, "b" * 64, "c" * 64)
ROOT = "0" * 64
CVI = "cvi1-" + "a" * 52


def whole(**more: Any) -> composing.Whole:
    return composing.Whole(**{
        "cvi": CVI, "root": ROOT, "system": "shop", "components": {"model:m": f"sha256:{A}"},
        "registrants": ["carl"], **more,
    })  # fmt: skip


def member(digest: str = A, **more: Any) -> dict[str, Any]:
    """The facts of a member against which no rule has anything; `more` is put over its parts."""
    found: dict[str, Any] = {
        "schema": "muniment.policy-input.v1",
        "step": "promote",
        "at": AT,
        "environment": "production",
        "subject": {
            "ref": "m@1.0.0", "kind": "model", "lifecycle": "candidate", "quarantined": False,
            "artifact_sha256": digest, "authors": ["ada"], "generative": False,
        },
        "asset": {
            "name": "m", "risk_tier": "limited", "allowed_uses": ["x", "y"], "prohibited_uses": [],
            "owner_active": True, "backup_owner_active": True,
        },
        "sbom": {"subject_sha256": digest, "signed": True, "missing_elements": []},
        "provenance": {"subject_sha256": digest, "signer_allowed": True, "signer": "ci"},
        "scan": {"complete": True, "executable": False, "formats": ["safetensors"], "findings": []},
        "vulnerabilities": {"snapshot_at": AT - 10, "open": []},
        "documentation": {"missing": []},
    }  # fmt: skip
    for name, value in more.items():
        if value is None:
            del found[name]
        else:
            found[name] = {**found[name], **value}
    return {
        name: {key: each for key, each in value.items() if each != "?"}
        if isinstance(value, dict)
        else value
        for name, value in found.items()
    }


def merged(*members: dict[str, Any], extra: Any = None, **of: Any) -> dict[str, Any]:
    found = composing.document(whole(**of), members, extra or {})
    assert not policy.input_problems(found)
    return found


def test_what_is_right_for_every_member_is_right_for_the_composite() -> None:
    found = merged(member(A), member(B, subject={"kind": "prompt", "authors": ["bob"]}))
    assert found["subject"] == {
        "ref": CVI, "kind": "model", "lifecycle": "candidate", "quarantined": False,
        "artifact_sha256": ROOT, "components": {"model:m": A}, "authors": ["ada", "bob", "carl"],
        "generative": False,
    }  # fmt: skip
    assert found["sbom"] == {"subject_sha256": ROOT, "signed": True, "missing_elements": []}
    assert found["provenance"] == {"subject_sha256": ROOT, "signer_allowed": True, "signer": "ci"}
    assert found["asset"]["name"] == "shop"
    assert (found["step"], found["at"], found["environment"]) == ("promote", AT, "production")
    assert not {"evaluation", "gates"} & found.keys(), "members' do not count"
    put = merged(member(), extra={"subject": {"change_class": "routine"}, "stage": "production"})
    assert (put["subject"]["change_class"], put["stage"]) == ("routine", "production")
    assert put["subject"]["ref"] == CVI


#: Of one member, where the other is fine; where to look, and what is there then ("?": nothing).
WORSE: list[tuple[dict[str, Any], tuple[str, ...], Any]] = [
    ({"subject": {"lifecycle": "draft"}}, ("subject", "lifecycle"), "draft"),
    ({"subject": {"lifecycle": "deprecated"}}, ("subject", "lifecycle"), "deprecated"),
    ({"subject": {"lifecycle": "retired"}}, ("subject", "lifecycle"), "retired"),
    ({"subject": {"quarantined": True}}, ("subject", "quarantined"), True),
    ({"subject": {"quarantined": "?"}}, ("subject", "quarantined"), False),
    ({"subject": {"generative": True}}, ("subject", "generative"), True),
    ({"subject": {"generative": "?"}}, ("subject", "generative"), "?"),
    ({"subject": {"authors": "?"}}, ("subject", "authors"), ["ada", "carl"]),
    ({"asset": {"risk_tier": "minimal"}}, ("asset", "risk_tier"), "limited"),
    ({"asset": {"risk_tier": "high"}}, ("asset", "risk_tier"), "high"),
    ({"asset": {"risk_tier": None}}, ("asset", "risk_tier"), None),
    ({"asset": {"risk_tier": "?"}}, ("asset", "risk_tier"), None),
    ({"asset": {"risk_tier": "unacceptable"}}, ("asset", "risk_tier"), "unacceptable"),
    ({"asset": {"allowed_uses": ["y", "z"]}}, ("asset", "allowed_uses"), ["y"]),
    ({"asset": {"allowed_uses": "?"}}, ("asset", "allowed_uses"), []),
    ({"asset": {"prohibited_uses": ["z"]}}, ("asset", "prohibited_uses"), ["z"]),
    ({"asset": {"prohibited_uses": "?"}}, ("asset", "prohibited_uses"), []),
    ({"asset": {"owner_active": False}}, ("asset", "owner_active"), False),
    ({"asset": {"owner_active": "?"}}, ("asset", "owner_active"), "?"),
    ({"asset": {"backup_owner_active": False}}, ("asset", "backup_owner_active"), False),
    ({"asset": {"unowned_since": 5}}, ("asset", "unowned_since"), 5),
    ({"sbom": None}, ("sbom",), "?"),
    ({"sbom": {"signed": False}}, ("sbom", "signed"), False),
    ({"sbom": {"subject_sha256": C}}, ("sbom", "subject_sha256"), C),
    ({"sbom": {"subject_sha256": ROOT}}, ("sbom",), "?"),
    ({"sbom": {"missing_elements": ["author"]}}, ("sbom", "missing_elements"), ["author"]),
    ({"provenance": None}, ("provenance",), "?"),
    ({"provenance": {"signer_allowed": False}}, ("provenance", "signer_allowed"), False),
    ({"provenance": {"subject_sha256": A}}, ("provenance", "subject_sha256"), A),
    ({"provenance": {"signer": "other"}}, ("provenance", "signer"), "?"),
    ({"provenance": {"signer": "?"}}, ("provenance", "signer"), "?"),
    ({"scan": None}, ("scan",), "?"),
    ({"scan": {"complete": False}}, ("scan", "complete"), False),
    ({"scan": {"executable": True}}, ("scan", "executable"), True),
    ({"scan": {"formats": ["pickle"]}}, ("scan", "formats"), ["safetensors", "pickle"]),
    ({"scan": {"formats": "?"}}, ("scan", "formats"), ["safetensors"]),
    ({"vulnerabilities": None}, ("vulnerabilities",), "?"),
    ({"vulnerabilities": {"snapshot_at": 7}}, ("vulnerabilities", "snapshot_at"), 7),
    ({"vulnerabilities": {"uncovered": ["npm"]}}, ("vulnerabilities", "uncovered"), ["npm"]),
    ({"documentation": None}, ("documentation",), "?"),
    ({"documentation": {"missing": ["limits"]}}, ("documentation", "missing"), ["limits"]),
]  # fmt: skip


@pytest.mark.parametrize(("worse", "where", "expected"), WORSE)
@pytest.mark.parametrize("first", [True, False])
def test_the_worst_of_each_fact_counts_whosever_it_is(
    worse: dict[str, Any], where: tuple[str, ...], expected: Any, *, first: bool
) -> None:
    two = [member(B, **worse), member(A if first else C)]
    if where[-1] == "subject_sha256" and expected in {A, C}:
        two[1] = member("d" * 64)
    found: Any = merged(*(two if first else reversed(two)))
    for name in where:
        found = found.get(name, "?")
    expected = sorted(expected) if isinstance(expected, list) else expected
    assert (sorted(found) if isinstance(found, list) else found) == expected


def test_what_is_wrong_with_any_member_is_told_once_and_the_gravest_first() -> None:
    bad = {"rule": "pickle", "path": "a.bin"}
    low = {"id": "V-1", "severity": "low", "component": "x"}
    used = {"id": "V-2", "severity": "low", "component": "x", "exploited": True}
    worst = {"id": "V-3", "severity": "critical", "component": "y"}
    found = merged(
        member(A, scan={"findings": [bad]}, vulnerabilities={"open": [low, worst]}),
        member(B, scan={"findings": [bad, {**bad, "path": "b"}]}, vulnerabilities={"open": [used, low]}),
    )  # fmt: skip
    assert found["scan"]["findings"] == [bad, {**bad, "path": "b"}]
    assert [one["id"] for one in found["vulnerabilities"]["open"]] == ["V-2", "V-3", "V-1"]
    many = [{"rule": "r", "path": str(number)} for number in range(600)]
    more = [{"rule": "q", "path": str(number)} for number in range(600)]
    cut = merged(member(A, scan={"findings": many}), member(B, scan={"findings": more}))
    assert (len(cut["scan"]["findings"]), cut["scan"]["complete"]) == (1000, False)


def test_every_fact_of_a_version_has_a_worst() -> None:
    """A fact that is new, and that nobody said the worst of, would be lost for composites."""
    text = (resources.files("muniment.server.policy") / "schemas/policy_input.v1.json").read_text()
    properties = json.loads(text)["properties"]
    put_over = {
        "stage", "request", "approvals", "approval", "executor", "rollback", "consumer", "activity",
        "retention", "exceptions",
    }  # fmt: skip
    own = {"evaluation", "gates"}
    run_ = run("quality")
    found = merged(member(asset={"unowned_since": 1}, vulnerabilities={"uncovered": ["npm"]}), tested=known(run_))  # fmt: skip
    assert properties.keys() - put_over == found.keys() | own
    for name in found.keys() - own:
        parts = properties[name].get("properties", {})
        assert parts.keys() - {"change_class"} == (
            found[name].keys() if isinstance(found[name], dict) else set()
        )


# --- against the starter's rules -----------------------------------------------------------------


@pytest.fixture(scope="module")
def engine() -> Iterator[EmbeddedRego]:
    made = EmbeddedRego()
    yield made
    made.close()


def _sometimes(good: Any, *bad: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([good, good, good, *bad])


_FINDING = {"rule": "pickle", "path": "a"}
_OPEN = [
    {"id": f"V-{each}", "severity": each, "component": "x"}
    for each in ("critical", "high", "low", "unknown")
]
DIGESTS = st.sampled_from([A, B, C])
MEMBERS = st.builds(
    member,
    DIGESTS,
    subject=st.fixed_dictionaries({
        "kind": st.sampled_from(["model", "prompt"]),
        "lifecycle": _sometimes("candidate", "draft", "deprecated", "retired"),
        "quarantined": st.booleans(),
    }),
    asset=st.fixed_dictionaries({
        "risk_tier": st.sampled_from(["minimal", "limited", "high", None, "?"]),
        "allowed_uses": _sometimes(["x", "y"], ["y"], []),
        "prohibited_uses": _sometimes([], ["x"]),
    }),
    sbom=_sometimes(
        {}, None, {"signed": False}, {"missing_elements": ["author"]}, {"subject_sha256": C},
        {"subject_sha256": ROOT},
    ),
    provenance=_sometimes({}, None, {"signer_allowed": False}, {"subject_sha256": B}),
    scan=_sometimes({}, None, {"complete": False}, {"executable": True}, {"findings": [_FINDING]}),
    vulnerabilities=_sometimes(
        {}, None, {"snapshot_at": AT - 90_000}, {"uncovered": ["npm"]},
        *({"open": [each]} for each in _OPEN),
    ),
    documentation=_sometimes({}, None, {"missing": ["limits"]}),
)  # fmt: skip
#: What composites are asked about of their files, papers and uses; the rest is of the whole.
RULES = {"SEC-001", "SEC-002", "SEC-003", "SEC-004", "SEC-005", "DOC-001", "USE-001"}


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(MEMBERS, min_size=1, max_size=3), st.sampled_from(["promote", "approve", "bind"]))
def test_nothing_passes_for_a_composite_that_fails_for_a_member(
    engine: EmbeddedRego, members: list[dict[str, Any]], step: str
) -> None:
    extra = {"step": step, "stage": "production", "consumer": {"name": "c", "use": "x"}}

    def failed(document: dict[str, Any]) -> set[str]:
        said = policy.evaluate(engine, starter(), document).verdict.results
        return {one.id for one in said if one.outcome is Outcome.FAILED} & RULES

    for_one = [failed({**one, **extra}) for one in members]
    assert failed(merged(*members, extra=extra)) >= set().union(*for_one)
    if len(members) == 1:
        assert failed(merged(*members, extra=extra)) == for_one[0], (
            "and nothing fails for no reason"
        )


# --- exceptions ----------------------------------------------------------------------------------


def waiver(rule: str = "DOC-001", /, **more: Any) -> dict[str, Any]:
    return {
        "rule": rule, "from": AT - 10, "until": AT + 10, "signature_valid": True, "reason": "r", **more,
    }  # fmt: skip


def test_a_rule_is_waived_where_it_is_for_every_member() -> None:
    longer = waiver("DOC-001", **{"from": AT - 5, "until": AT + 99, "reason": "s"})
    assert composing.waived_for_all([[waiver()], [waiver("SEC-004"), longer]], AT) == [
        waiver("DOC-001", **{"from": AT - 5, "reason": "r; s"})
    ]
    assert composing.waived_for_all([[waiver(), longer], [longer]], AT) == [longer]
    assert composing.waived_for_all([[waiver()], []], AT) == []
    bad: dict[str, Any]
    for bad in ({"signature_valid": False}, {"from": AT + 1}, {"until": AT}):
        assert composing.waived_for_all([[waiver()], [waiver(**bad)]], AT) == []


def test_policy_is_told_of_what_holds_for_all() -> None:
    at = NOW
    of_all = Standing(at=at, place=Place("p", "production"), waived=(waiver(),))
    assert of_all.facts()["exceptions"] == [waiver()]
    assert Standing(at=at, place=Place("p", "none"), waived=()).facts()["exceptions"] == []


# --- its own evaluations -------------------------------------------------------------------------


def known(*found: Evidence) -> evaluations.Known:
    now = {"model": f"sha256:{A}"}
    return [(one, evidence.freshness(one.kind, now, now, made_at=NOW, at=NOW)) for one in found]


def test_evaluations_are_the_composites_own() -> None:
    found = merged(member(), tested=known(run("quality")))
    assert found["evaluation"]["dimensions"]["quality"]["status"] == "covered"
    assert [one["id"] for one in found["evaluation"]["runs"]]


def test_components_that_are_too_many_or_too_long_are_told_as_one() -> None:
    few = {"model:m": f"sha256:{A}", "base:x": "v1"}
    assert evaluations.components(few) == {"model:m": A, "base:x": digest_of(b"v1").hex}
    many = {f"tools:{number}": f"sha256:{A}" for number in range(101)}
    one = evaluations.components(many)
    assert one.keys() == {"all"}
    assert evaluations.components(many | {"tools:0": f"sha256:{B}"}) != one
    assert evaluations.components({"x" * 301: "a"}).keys() == {"all"}


# --- members -------------------------------------------------------------------------------------


def record(ref: Any, digest: Any = A, kind: str = "model") -> dict[str, Any]:
    return {"kind": kind, "name": "n", "ref": ref, "digest": digest and {"sha256": digest}}


def test_members_are_what_is_named_with_its_digest() -> None:
    manifest = {
        "components": [
            record("muniment:team/fraud@1.0.0"),
            record("muniment:team/fraud@1.0.0", kind="tools"),
            record("muniment:default/p@2.0.0", B),
            *(record(ref) for ref in ("git+https://x@1", "muniment:x@1", "muniment:a/b@1@2", 7, None)),
            record("muniment:a/b@1.0.0", "A" * 64), record("muniment:a/b@1.0.0", None),
            record("muniment:a/b\x00@1.0.0"),
        ]
    }  # fmt: skip
    assert membership.named(manifest) == [
        membership.Named("team", "fraud", "1.0.0", A), membership.Named("default", "p", "2.0.0", B),
    ]  # fmt: skip


def test_what_is_prohibited_is_told_whole_or_not_at_all() -> None:
    each = [[f"use-{number}-{one}" for one in range(200)] for number in range(6)]
    composing.check_uses("cvi1-x", [*each[:5], each[0]])
    with pytest.raises(BadComposite, match="prohibit 1200 uses together: at most 1000"):
        composing.check_uses("cvi1-x", each)


def test_what_may_be_a_sha256_is_found_however_it_is_written() -> None:
    digests: list[Any] = [
        {"gitCommit": "a" * 40}, {"sha256": f" SHA256:{A.upper()} "}, {"sha512": "b" * 128}, None, {},
    ]  # fmt: skip
    manifest = {"components": [{"digest": one} for one in digests]}
    assert membership.digests_in(manifest) == {A}


MEMBER = membership.Named("team", "fraud", "1.0.0", A)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (record("git+https://x@1", B), ""),
        (record(None, None), ""),
        (record("git+https://x@1", A), ""),
        (record(None, C), "does not pin it"),
        (record(None, C.upper()), "does not pin it"),
        ({**record(None), "digest": {"sha-256": f"SHA256:{C}"}}, "does not pin it"),
        (record("muniment:team/fraud@1.0.0", C), "no version here"),
        (record("muniment:team/fraud@2.0.0", A), "no version here"),
        (record(" Muniment:team/fraud@1.0.0", A), "no version here"),
        (record("muniment:x", None), "no version here"),
    ],
)
def test_what_is_a_version_of_this_registry_and_no_member_is_named(
    other: dict[str, Any], why: str
) -> None:
    manifest = {"components": [record("muniment:team/fraud@1.0.0"), other]}
    here = {A, C} & membership.digests_in(manifest)
    if not why:
        membership.check_pinned("cvi1-x", manifest, {MEMBER}, here)
        return
    with pytest.raises(BadComposite, match=f"components.1.: the model 'n' .*{why}.*--pin") as told:
        membership.check_pinned("cvi1-x", manifest, {MEMBER}, here)
    assert [one["field"] for one in told.value.problems] == ["components[1]"]


def a_member(number: int, name: str, kind: str, asset_id: int | None = None) -> Member:
    ref = VersionRef(AssetRef.parse(name), SemVer(1, 0, number))
    at = uuid.UUID(int=asset_id or number)
    return Member(uuid.UUID(int=number), at, ref, kind, digest_of(b""))


def test_the_lead_comes_first_then_the_others_by_asset() -> None:
    prompt, adapter = a_member(1, "a", "prompt"), a_member(2, "b", "adapter")
    other, model = a_member(3, "z", "model", 9), a_member(4, "m", "model", 8)
    told = [(prompt, "a"), (adapter, "b"), (other, "z"), (model, "m"), (model, "y")]
    assert membership.ordered(told) == [model, prompt, adapter, other]
    assert membership.ordered(reversed(told)) == [model, prompt, adapter, other]
    assert membership.ordered([(prompt, "a"), (adapter, "b")])[0] == adapter
    assert membership.ordered([]) == []


# --- what is asked for, and frozen ---------------------------------------------------------------

REST = [
    {"kind": kind, "name": "-", "status": "not-applicable", "reason": "none"}
    for kind in ("code", "data", "adapter", "prompt", "config", "env")
]
MANIFEST = {
    "schema": SCHEMA, "system": "shop",
    "components": [
        *REST, {"kind": "model", "name": "fraud", "digest": {"sha256": digest_of(b"").hex}}
    ],
}  # fmt: skip
COMPOSITE = Composite(
    cvi=cvi(MANIFEST), id=uuid.UUID(int=70), namespace="default", system="shop", manifest=MANIFEST,
    registered_at=NOW, actor=ADA, entry_id=uuid.UUID(int=71),
)  # fmt: skip


def tiered(tier: RiskTier | None, number: int = 2) -> Asset:
    return dataclasses.replace(asset(risk_tier=tier), id=uuid.UUID(int=number))


def a_matter(*tiers: RiskTier | None) -> matters.Matter:
    parts = tuple(
        (a_version(id=uuid.UUID(int=20 + at), version=SemVer(1, 0, at)), tiered(tier, 30 + at))
        for at, tier in enumerate(tiers)
    )
    return matters.Matter(parts, COMPOSITE)


def test_a_composite_is_asked_for_by_its_identifier_under_the_strictest_profile() -> None:
    both = a_matter(RiskTier.LIMITED, RiskTier.HIGH)
    data = {
        "profiles": {
            "limited": {"own_key": True, "approval_days": 90},
            "high": {"own_key": False, "approval_days": 30},
        }
    }
    assert both.profile(data) == signing.Profile(own_key=True, approval_days=30)
    assert a_matter(RiskTier.LIMITED, None).profile(data).approval_days == 30
    assert (both.name, both.key) == (COMPOSITE.cvi, COMPOSITE.cvi)
    assert both.digests[0].hex == matters.root_of(COMPOSITE).hex
    assert len(both.digests) == len(both.scopes) + 1 == 3
    alone = matters.Matter(both.members[:1])
    assert (alone.name, alone.key) == ("fraud@1.0.0", alone.version.id)
    assert alone.digests == (alone.version.manifest_digest,)


@pytest.mark.parametrize("count", [0, 101])
def test_a_composite_without_members_or_with_too_many_cannot_be_asked_for(count: int) -> None:
    with pytest.raises(BadComposite):
        matters.check_members(CVI, count)
    matters.check_members(CVI, 100)


def freeze(matter: matters.Matter, **found: Any) -> dict[str, Any]:
    return requests.frozen(
        matter,
        wanted=Wanted(environment="production", change_class=ChangeClass.ROUTINE),
        requester=ADA,
        place=Place("production", "production"),
        policy_digest="sha256:1",
        evidence=found.get("evidence", {}),
    )


def test_a_composite_freezes_all_of_its_members_and_its_own_evidence() -> None:
    matter = a_matter(RiskTier.LIMITED, None)
    mine, theirs = run("quality"), run("bias", at=1)
    jobs = dataclasses.replace(run("cost", at=2), actor=Actor("system", "jobs"))
    second = matter.members[1][0]
    found = freeze(matter, evidence={COMPOSITE.cvi: [mine, jobs], str(second.id): [theirs]})
    assert found["composite"]["cvi"] == cvi(found["manifest"]) == COMPOSITE.cvi
    assert [one["risk_tier"] for one in found["members"]] == ["limited", None]
    assert [one["of"] for one in found["evidence"]] == [COMPOSITE.cvi, second.name]
    assert "version" not in found
    alone = freeze(matters.Matter(matter.members[:1]))
    assert (alone["version"]["ref"], alone["risk_tier"]) == ("fraud@1.0.0", "limited")
    assert EvidenceKind.EVALUATION.value == found["evidence"][0]["kind"]


def test_what_changed_of_a_member_is_said() -> None:
    before = freeze(a_matter(RiskTier.LIMITED, RiskTier.HIGH))
    after = freeze(a_matter(RiskTier.HIGH, RiskTier.HIGH))
    found = requests.changed(before, after, decided=True)
    assert requests.in_words(found) == "`risk_tier of fraud@1.0.0` was limited and is high"
    renamed = json.loads(json.dumps(before))
    renamed["members"][0]["ref"] = "scam@1.0.0"
    assert requests.changed(before, renamed, decided=True) == ()
    assert [one.what for one in requests.changed(before, renamed, decided=False)] == [
        "ref of scam@1.0.0"
    ]
    fewer = {**before, "members": before["members"][:1]}
    assert requests.changed(before, fewer, decided=True) == (
        Changed("member fraud@1.0.1", "fraud@1.0.1", None),
    )
    assert requests.changed(fewer, before, decided=True) == (
        Changed("member fraud@1.0.1", None, "fraud@1.0.1"),
    )
    assert len(requests.changed({}, before, decided=True)) > 3
    gone = {name: value for name, value in before.items() if name != "members"}
    assert len(requests.changed(before, gone, decided=True)) == 2
