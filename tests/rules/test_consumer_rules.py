"""Consumers: what a use is made of, what the registry's own rules say of one, how a binding stands."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.digest import digest_of
from muniment.core.errors import BadBody
from muniment.core.names import AssetRef, SemVer
from muniment.server import lifecycle
from muniment.server.catalog.records import (
    Kind,
    Lifecycle,
    Mark,
    Mode,
    Standing,
    Version,
    VersionState,
)
from muniment.server.ledger.records import Actor, Recorded, Subject
from muniment.server.policy.records import Decision, Lacks, Outcome, RuleClass, RuleResult, Verdict
from muniment.server.serving.records import Binding, Ended, EndedAs, Facts, State, Use
from muniment.server.serving.rules import checks, folding, standings, uses

ADA = Actor("person", "ada")
T0 = dt.datetime(2026, 4, 20, 9, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
ASSET = AssetRef.parse("fraud")
ONE, TWO = uuid.UUID(int=1), uuid.UUID(int=2)
USE = Use("checkout", "https://pay.example/score", "fraud-scoring", "production")


def version(mark: str | None = None, **standing: Any) -> Version:
    said = Standing(mark=None if mark is None else Mark(mark), **standing)
    return Version(
        id=ONE,
        asset_id=uuid.UUID(int=9),
        asset=ASSET,
        kind=Kind.MODEL,
        number=1,
        version=SemVer(1, 0, 0),
        manifest_digest=digest_of(b""),
        size_bytes=0,
        file_count=0,
        formats=("pickle",),
        executable=True,
        metadata={},
        metadata_digest=digest_of(b""),
        metrics_at_registration={},
        state=VersionState(),
        revision=1,
        registered_at=T0,
        registered_by=ADA,
        entry_id=ONE,
        lifecycle=Lifecycle.DRAFT if mark is None else Lifecycle(mark),
        standing=said,
    )


def binding(**more: Any) -> Binding:
    fields = {
        "id": uuid.UUID(int=7), "asset_id": uuid.UUID(int=9), "asset": ASSET, "version_id": None,
        "version": None, "judged_version_id": ONE, "use": USE, "reason": "", "bound_at": T0,
        "actor": ADA, "entry_id": ONE,
    }  # fmt: skip
    return Binding(**{**fields, **more})


# --- uses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("system", ""),
        ("system", " checkout"),
        ("system", "check\nout"),
        ("system", "x" * 201),
        ("system", "nul\0"),
        ("endpoint", "x" * 10_000),
        ("endpoint", "tab\there"),
        ("endpoint", "\u202eevil"),
        ("endpoint", "https://user:secret@pay.example/score"),
        ("endpoint", "//token@pay.example"),
        ("endpoint", "user:secret@pay.example/score"),
        ("endpoint", "token@pay.example?x=1"),
        ("endpoint", "https:/user:secret@pay.example/"),
        ("endpoint", "https:\\\\user:secret@pay.example/"),
        ("use_case", "y" * 301),
        ("use_case", "\x1b[31mred"),
    ],
)
def test_what_cannot_be_kept_is_refused(field: str, text: str) -> None:
    said = {"system": "checkout", "endpoint": "e", "use_case": "u", field: text}
    with pytest.raises(BadBody) as found:
        uses.read_use(**said)
    assert [one["field"] for one in found.value.problems] == [field]
    assert len(found.value.message) < 300


def test_all_problems_are_said_at_once() -> None:
    with pytest.raises(BadBody, match="and 2 more") as found:
        uses.read_use("", "", "")
    assert [one["field"] for one in found.value.problems] == ["system", "endpoint", "use_case"]


@pytest.mark.parametrize(
    "endpoint",
    ["https://pay.example:8443/score?a=b@c", "batch:nightly", "http://[::1", "file:///etc/passwd", "ü"],
)  # fmt: skip
def test_an_endpoint_is_text(endpoint: str) -> None:
    assert uses.read_use("s", endpoint, "u").endpoint == endpoint


def test_the_same_text_is_the_same_use_however_it_is_composed() -> None:
    one, other = uses.read_use("Bu\u0308ro", "e", "u"), uses.read_use("B\u00fcro", "e", "u")
    assert one == other


_texts = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20)
_uses = st.builds(Use, _texts, _texts, _texts, st.sampled_from([None, "staging", "production"]))


@given(_uses, _uses, st.sampled_from([ONE, TWO]))
def test_only_the_same_use_has_the_same_key(one: Use, other: Use, asset: uuid.UUID) -> None:
    assert (uses.key_of(asset, one) == uses.key_of(asset, other)) == (one == other)
    assert uses.key_of(ONE, one) != uses.key_of(TWO, one)


# --- the registry's own rules --------------------------------------------------------------------

GOOD = Facts(
    ref="fraud@1.0.0",
    system="checkout",
    use_case="fraud-scoring",
    environment=None,
    lifecycle="candidate",
    replacement=None,
    quarantined=False,
    risk_tier="limited",
    executable=False,
    formats=("onnx",),
)


def said(**changes: Any) -> Verdict:
    facts = dataclasses.replace(GOOD, **changes)
    return lifecycle.said(facts, checks.RULES, facts.excepted)


@pytest.mark.parametrize(
    ("changes", "failed", "barred"),
    [
        ({}, [], False),
        ({"lifecycle": "draft", "risk_tier": None}, [], False),
        ({"lifecycle": "retired"}, ["STATE-001"], True),
        ({"quarantined": True}, ["STATE-002"], True),
        ({"lifecycle": "deprecated"}, ["STATE-003"], False),
        ({"risk_tier": "unacceptable"}, ["RISK-001"], False),
        ({"risk_tier": "high"}, [], False),
        ({"executable": True}, [], False),
        ({"lifecycle": "deprecated", "excepted": ("STATE-003",)}, [], False),
        ({"lifecycle": "retired", "excepted": ("STATE-001",)}, ["STATE-001"], True),
    ],
)
def test_what_each_rule_says(changes: dict[str, Any], failed: list[str], barred: bool) -> None:
    found = said(**changes)
    assert [one.id for one in found.failed] == failed
    assert bool(lifecycle.barred(found)) is barred
    assert lifecycle.refused(found, Mode.ENFORCE) is bool(failed)
    for mode in (Mode.WARN, Mode.OBSERVE):
        assert lifecycle.refused(found, mode) is barred


def test_what_is_flagged_is_in_nobodys_way() -> None:
    [flag] = [one for one in said(executable=True).results if one.outcome is Outcome.FAILED]
    assert (flag.id, flag.rule_class) == ("FMT-001", RuleClass.ADVISORY)


@pytest.mark.parametrize("state", ["deprecated", "retired"])
def test_what_replaces_it_is_named(state: str) -> None:
    [one] = said(lifecycle=state, replacement="fraud@2.0.0").failed
    assert "use fraud@2.0.0" in one.remedy
    [one] = said(lifecycle=state).failed
    assert "use a version that is not" in one.remedy


# --- how a binding stands ------------------------------------------------------------------------


def verdict(*failed: str) -> Verdict:
    results = tuple(
        RuleResult(one, RuleClass.CRITICAL_SAFETY, Outcome.FAILED, "it is not", "do", Lacks.NOTHING)
        for one in failed
    )
    return Verdict(Decision.DENY if failed else Decision.ALLOW, results, "", "")


@pytest.mark.parametrize(
    ("subject", "asked", "state", "why"),
    [
        (version(), verdict(), State.ALLOWED, ()),
        (
            version("deprecated", reason="old", sunset=dt.date(2027, 1, 31), replacement="fraud@2.0.0"),
            verdict(),
            State.DEPRECATED,
            ("fraud@1.0.0 is deprecated, its use ends on 2027-01-31: old; use fraud@2.0.0",),
        ),
        (version("deprecated"), verdict(), State.DEPRECATED, ("fraud@1.0.0 is deprecated",)),
        (version(), verdict("USE-001"), State.PROHIBITED, ("USE-001: it is not",)),
        (version("deprecated"), verdict("USE-001"), State.PROHIBITED, ("USE-001: it is not",)),
        (version("retired", reason="over"), None, State.RETIRED, ("fraud@1.0.0 is retired: over",)),
        (version("retired"), None, State.RETIRED, ("fraud@1.0.0 is retired: its use ended",)),
        (
            version(quarantined=True, quarantine_reason="odd"),
            verdict(),
            State.ALLOWED,
            ("fraud@1.0.0 is quarantined: odd",),
        ),
    ],
)  # fmt: skip
def test_how_a_binding_stands(
    subject: Version, asked: Verdict | None, state: State, why: tuple[str, ...]
) -> None:
    found = standings.standing_of(subject, asked)
    assert (found.state, found.why) == (state, why)
    assert found.quarantined is subject.standing.quarantined


def test_existing_use_is_judged_as_if_nothing_stopped_new_use() -> None:
    facts = standings.facts_of(
        standings.as_existing(version("deprecated", quarantined=True)), "limited", USE
    )
    assert lifecycle.said(facts, checks.RULES).failed == ()
    kept = standings.facts_json(facts)
    assert (kept["formats"], kept["excepted"]) == (["pickle"], [])


def test_what_the_policy_reads_of_a_use() -> None:
    known = {"step": "bind"}
    there = standings.document_of(known, USE)
    assert there["consumer"] == {"name": "checkout", "use": "fraud-scoring"}
    assert there["environment"] == "production"
    assert "environment" not in standings.document_of(
        known, dataclasses.replace(USE, environment=None)
    )


@pytest.mark.parametrize(
    ("made", "uses_id", "since", "acknowledged", "due"),
    [
        (binding(), ONE, T0 + HOUR, None, True),
        (binding(), ONE, T0 + HOUR, T0 + 2 * HOUR, False),
        (binding(), ONE, T0 + HOUR, T0, True),  # something else was said since
        (binding(), ONE, T0 - HOUR, None, False),  # whoever bound it knew
        (binding(judged_version_id=TWO), ONE, T0 - HOUR, None, True),  # it came to this one later
        (
            binding(ended=Ended(at=T0, ended_as=EndedAs.ENDED, reason="", actor=ADA, entry_id=ONE)),
            ONE,
            T0 + HOUR,
            None,
            False,
        ),
    ],
)
def test_when_a_notice_is_due(
    made: Binding,
    uses_id: uuid.UUID,
    since: dt.datetime,
    acknowledged: dt.datetime | None,
    due: bool,
) -> None:
    assert standings.is_due(made, uses_id, since, acknowledged) is due


def test_a_refusal_says_what_was_wanted() -> None:
    text = standings.refusal_text("fraud@1.0.0", USE, ["USE-001: no; do"])
    assert text == "checkout is not bound to fraud@1.0.0 for fraud-scoring: USE-001: no; do"


# --- folding -------------------------------------------------------------------------------------


def entry(act: str, payload: dict[str, Any] | None, number: int = 1) -> Recorded:
    subject = Subject("consumer", "x", "checkout")
    return Recorded(uuid.UUID(int=number), T0, act, ADA, subject, payload, None)


def test_rows_follow_from_entries() -> None:
    made, other = binding(), binding(id=uuid.UUID(int=8), version_id=TWO)
    rows: dict[str, dict[str, Any]] = {}
    folding.fold_binding(rows, entry("consumer.bind", {"binding": folding.binding_json(made)}))
    again = {
        "binding": folding.binding_json(other),
        "binding_ended": folding.ended_json(made, EndedAs.REPLACED, "anew"),
    }
    folding.fold_binding(rows, entry("consumer.bind", again, 2))
    ended = {"binding_ended": folding.ended_json(other, EndedAs.ENDED, "over")}
    folding.fold_binding(rows, entry("consumer.end", ended, 3))
    assert [row["ended_as"] for row in rows.values()] == ["replaced", "ended"]
    assert rows[str(made.id)]["use_sha256"] == uses.key_of(made.asset_id, USE).hex
    before = dict(rows)
    for other_act in (entry("consumer.refuse", {"binding": {}}), entry("consumer.bind", None)):
        folding.fold_binding(rows, other_act)
    assert rows == before


def test_acknowledgements_follow_from_entries() -> None:
    rows: dict[str, dict[str, Any]] = {}
    told = {"binding_id": "b", "version_id": "v", "note": "soon"}
    folding.fold_acknowledgement(rows, entry("consumer.acknowledge", {"acknowledgement": told}))
    folding.fold_acknowledgement(rows, entry("consumer.acknowledge", None, 2))
    folding.fold_acknowledgement(rows, entry("consumer.bind", {}, 3))
    [row] = rows.values()
    assert (row["note"], row["actor_id"]) == ("soon", "ada")
