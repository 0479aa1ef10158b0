"""What follows from evidence: binding, staleness, contexts, coverage, gates, the ML-BOM."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.digest import Digest, digest_of
from muniment.core.names import AssetRef, SemVer
from muniment.core.statement import sign_bundle, statement
from muniment.server import catalog
from muniment.server.artifacts.records import File
from muniment.server.catalog.records import Kind, Version, VersionState
from muniment.server.evidence.plugins import parse
from muniment.server.evidence.plugins.cyclonedx import validator
from muniment.server.evidence.records import (
    Assurance,
    Attested,
    Change,
    Component,
    Dimension,
    Evidence,
    EvidenceKind,
    Flag,
    Freshness,
    Metric,
    Parsed,
    Run,
    Unreadable,
)
from muniment.server.evidence.rules import binding, contexts, gates, parsed
from muniment.server.evidence.rules.coverage import SIX, coverage
from muniment.server.evidence.rules.mlbom import ml_bom
from muniment.server.ledger.records import Actor
from tests.support.catalog import FULL_METADATA
from tests.support.evidence import sample
from tests.support.keys import MemoryKeys

AT = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
MODEL = digest_of(b"model")
KEYS = MemoryKeys()


def version(
    kind: Kind = Kind.MODEL, metadata: Mapping[str, Any] | None = None, **more: Any
) -> Version:
    found = Version(
        id=uuid.UUID(int=1),
        asset_id=uuid.UUID(int=2),
        asset=AssetRef.parse("fraud"),
        kind=kind,
        number=1,
        version=SemVer.parse("1.0.0"),
        manifest_digest=MODEL,
        size_bytes=5,
        file_count=1,
        formats=("onnx",),
        executable=False,
        metadata=metadata or {},
        metadata_digest=catalog.metadata_digest(metadata or {}),
        metrics_at_registration={"auc": 0.9},
        state=VersionState("scores cards"),
        revision=1,
        registered_at=AT,
        registered_by=Actor("person", "ada"),
        entry_id=uuid.UUID(int=3),
    )
    return dataclasses.replace(found, **more)


def evidence(
    metrics: tuple[Metric, ...] = (),
    flags: tuple[str, ...] = (),
    *,
    kind: EvidenceKind = EvidenceKind.EVALUATION,
    name: str = "out.json",
    number: int = 9,
    **said: Any,
) -> Evidence:
    read = Parsed(kind=kind, format="evaluation", format_version="1", metrics=metrics)
    body = parsed.parsed_json(read) | said
    return Evidence(
        id=uuid.UUID(int=number),
        subject_kind="version",
        subject_id="1",
        subject_name="fraud@1.0.0",
        asset_id=None,
        kind=kind,
        format="evaluation",
        format_version="1",
        digest=digest_of(name.encode()),
        size_bytes=3,
        file_name=name,
        parsed=body,
        parsed_digest=digest_of(b""),
        assurance=Assurance.ASSERTED,
        signer=None,
        context_digest=None,
        bound={"model": str(MODEL)},
        flags=flags,
        tool_name="mine",
        tool_version="1",
        produced_at=None,
        recorded_at=AT,
        actor=Actor("person", "ada"),
        entry_id=uuid.UUID(int=4),
    )


# --- binding -----------------------------------------------------------------------------------------

PROMPT = {"template": "Say {{x}}.", "variables": ["x"], "settings": {"temperature": 0}}


def test_a_model_consists_of_its_files_and_environment() -> None:
    assert binding.components_of(version()) == {"model": str(MODEL)}
    lock = {"environment": {"lock_digest": "sha256:" + "e" * 64}}
    assert set(binding.components_of(version(metadata=lock))) == {"model", "env"}


def test_a_prompt_consists_of_files_text_and_settings() -> None:
    found = binding.components_of(version(Kind.PROMPT, {"prompt": PROMPT}))
    assert set(found) == {"prompt", "prompt.template", "config"}
    bare = {"template": "x"}
    assert set(binding.components_of(version(Kind.PROMPT, {"prompt": bare}))) == {
        "prompt",
        "prompt.template",
    }


def test_an_adapter_depends_on_its_base_models() -> None:
    bases = [
        {"name": "a", "digest": "sha256:" + "a" * 64},
        {"name": "b", "version": "2"},
        {"name": "c"},
    ]
    found = binding.components_of(version(Kind.ADAPTER, {"base_models": bases}))
    assert (found["base:a"], found["base:b"], found["base:c"]) == (
        "sha256:" + "a" * 64,
        "2",
        "unknown",
    )


@pytest.mark.parametrize(
    ("change", "component"),
    [
        ({"template": "Say it: {{x}}."}, "prompt.template"),
        ({"settings": {"temperature": 1}}, "config"),
        ({"settings": {}}, "config"),
    ],
)
def test_one_changed_line_makes_evaluations_stale_and_not_sboms(
    change: dict[str, Any], component: str
) -> None:
    before = binding.components_of(version(Kind.PROMPT, {"prompt": PROMPT}))
    after = binding.components_of(version(Kind.PROMPT, {"prompt": PROMPT | change}))
    for kind, stale in (
        (EvidenceKind.EVALUATION, True),
        (EvidenceKind.GATE, True),
        (EvidenceKind.SBOM, False),
    ):
        found = binding.freshness(kind, binding.bound(kind, before), after, made_at=AT, at=AT)
        assert found.stale is stale
        assert [one.component for one in found.changes] == ([component] if stale else [])


def test_what_is_added_or_gone_is_a_change_too() -> None:
    one, two = {"model": "a"}, {"model": "a", "adapter": "b"}
    assert binding.changes(EvidenceKind.EVALUATION, one, two) == [Change("adapter", None, "b")]
    assert binding.changes(EvidenceKind.EVALUATION, two, one) == [Change("adapter", "b", None)]


def test_evidence_ages_only_where_a_caller_says_so() -> None:
    same: dict[str, Any] = {"made_at": AT, "at": AT + 10 * DAY}
    fresh = binding.freshness(EvidenceKind.SCAN, {}, {}, **same)
    assert not fresh.stale
    old = binding.freshness(EvidenceKind.SCAN, {}, {}, max_age=10 * DAY, **same)
    assert (old.stale, old.expired_at) == (True, AT + 10 * DAY)
    assert not binding.freshness(EvidenceKind.SCAN, {}, {}, max_age=11 * DAY, **same).stale


COMPONENTS = st.dictionaries(
    st.sampled_from(
        ["model", "adapter", "prompt", "prompt.template", "config", "env", "base:x", "data"]
    ),
    st.sampled_from("ab"),
)


@given(st.sampled_from(EvidenceKind), COMPONENTS, COMPONENTS)
def test_evidence_holds_exactly_where_all_it_depends_on_is_the_same(
    kind: EvidenceKind, was: dict[str, str], now: dict[str, str]
) -> None:
    changed = binding.changes(kind, binding.bound(kind, was), now)
    assert (not changed) == (binding.bound(kind, was) == binding.bound(kind, now))


# --- contexts ----------------------------------------------------------------------------------------

FILE = digest_of(b"file")


def context(**more: Any) -> dict[str, Any]:
    return {
        "schema": contexts.SCHEMA,
        "original": {"sha256": FILE.hex, "bytes": 4},
        "subject": {"digests": [str(MODEL)]},
        "tool": {"name": "lm-eval", "version": "0.4.13"},
        "dataset": {"ref": "dvc+git://x", "digest": {"dvc-md5": "2ab20ac1.dir"}, "n": 5000},
        "run": {
            "started": "2026-01-01T00:00:00Z",
            "ended": "2026-01-01T01:00:00Z",
            "ci": {"issuer": "https://ci.example", "run_id": "7", "sha": "a" * 40, "odd": "x"},
        },
        "dimension": "quality",
        **more,
    }


def enveloped(predicate: Any, keys: MemoryKeys = KEYS) -> Any:
    subjects = [("file", FILE), ("model", MODEL)]
    said = statement(subjects, contexts.PREDICATE_TYPE, predicate)
    return sign_bundle(said, keys.record.sign, keys.record.public_key_der)[0]


def read_context(value: Any, *keys: bytes) -> Attested | Unreadable:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return contexts.parse_context(data, "c.json", FILE, frozenset({MODEL}), keys)


def test_a_context_signed_by_a_trusted_key_verifies() -> None:
    key = KEYS.record.public_key_der
    found = read_context(enveloped(context()), key)
    assert isinstance(found, Attested)
    assert (found.assurance, found.signer) == (Assurance.VERIFIED, f"key:{digest_of(key)}")
    assert (found.run.tool_name, found.run.n, found.run.dataset_digest) == (
        "lm-eval",
        5000,
        "dvc-md5:2ab20ac1.dir",
    )
    assert found.run.ci == {"issuer": "https://ci.example", "run_id": "7", "sha": "a" * 40}
    assert (found.run.model_digest, found.dimension) == (str(MODEL), Dimension.QUALITY)
    alone = read_context(enveloped(context())["dsseEnvelope"], key)
    assert isinstance(alone, Attested)
    assert alone.assurance is Assurance.VERIFIED


def test_a_context_of_an_unknown_key_or_none_is_asserted() -> None:
    found = read_context(enveloped(context()))
    assert isinstance(found, Attested)
    assert found.assurance is Assurance.ASSERTED
    assert found.flags == {Flag.UNKNOWN_SIGNER}
    plain = read_context(context(dimension="beauty", dataset={"digest": "sha256:" + "d" * 64}))
    assert isinstance(plain, Attested)
    assert (plain.assurance, plain.flags, plain.dimension) == (
        Assurance.ASSERTED,
        frozenset(),
        None,
    )
    assert plain.run.dataset_digest == "sha256:" + "d" * 64


def test_a_signature_that_does_not_verify_is_refused() -> None:
    bundle = enveloped(context())
    other = enveloped(context(note="x"))
    bundle["dsseEnvelope"]["payload"] = other["dsseEnvelope"]["payload"]
    found = read_context(bundle, KEYS.record.public_key_der)
    assert isinstance(found, Unreadable)
    assert "does not verify" in found.problems[0]["message"]
    # Without naming the key it is merely somebody's.
    unnamed = read_context(bundle["dsseEnvelope"], KEYS.record.public_key_der)
    assert isinstance(unnamed, Attested)
    assert unnamed.assurance is Assurance.ASSERTED


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (context(original={"sha256": "a" * 64}), "c.json /original/sha256"),
        (context(subject={"digests": ["sha256:" + "b" * 64]}), "c.json /subject"),
        (context(subject={}), "c.json /subject"),
        (context(subject={"digests": ["md5:1", 7, None]}), "c.json /subject"),
        (context(run={"started": "2026-01-01T00:00:00", "ended": 3}), "c.json /run/started"),
        (context(schema="x"), "c.json /schema"),
        ([], "c.json /schema"),
        ({"predicate": context(), "predicateType": "x"}, "c.json /predicateType"),
        (b"{", "c.json line 1 column 2"),
        (b'{"a": NaN}', "c.json line 1 column 7 (/a)"),
        ({"payload": "!", "payloadType": "application/vnd.in-toto+json", "signatures": [{}]}, "c.json"),
        ({"payload": "e30=", "payloadType": "text/plain", "signatures": [{}]}, "c.json"),
        ({"payload": "ew==", "payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": ""}]}, "c.json /payload line 1 column 2"),
    ],
)  # fmt: skip
def test_a_context_of_something_else_is_refused(value: Any, field: str) -> None:
    found = read_context(value)
    assert isinstance(found, Unreadable)
    assert found.problems[0]["field"] == field


# --- what is stored ------------------------------------------------------------------------------------


def test_a_context_supplies_what_the_file_lacks() -> None:
    read = Parsed(
        kind=EvidenceKind.EVALUATION, format="x", format_version="1",
        flags=frozenset({Flag.MISSING_N, Flag.MISSING_TIME, Flag.PARTIAL, Flag.MISSING_MODEL}),
    )  # fmt: skip
    run = Run(n=5, ended=AT, tool_name="t")
    attested = Attested(run, Assurance.ASSERTED, None, FILE, frozenset({Flag.UNKNOWN_SIGNER}))
    assert parsed.flags_of(read, attested, AT) == ("missing_model", "partial", "unknown_signer")
    assert parsed.flags_of(read, None, AT) == (
        "missing_model",
        "missing_n",
        "missing_time",
        "partial",
    )
    assert parsed.merged(Run(n=4, model="m"), run) == Run(n=5, model="m", ended=AT, tool_name="t")
    assert parsed.merged(Run(n=4), None) == Run(n=4)
    said = parsed.said_by(
        {"n": 4, "model": "m", "judge": "j"}, {"n": 5, "judge": "j", "ended": "x"}
    )
    assert said == {"n": "differ", "model": "file", "judge": "both", "ended": "context"}
    assert parsed.context_json(attested) == {
        "n": 5,
        "ended": "2026-02-01T00:00:00.000000Z",
        "tool_name": "t",
    }
    assert (
        parsed.context_json(dataclasses.replace(attested, dimension=Dimension.COST))["dimension"]
        == "cost"
    )


def test_a_run_that_ended_after_it_was_recorded_is_flagged_and_ages_from_then() -> None:
    later = Parsed(
        kind=EvidenceKind.SCAN, format="x", format_version="1", run=Run(ended=AT + 2 * DAY)
    )
    assert parsed.flags_of(later, None, AT) == ("future",)
    assert parsed.flags_of(later, None, AT + 2 * DAY) == ()
    found = evidence()
    assert binding.made_at(found) == AT
    assert binding.made_at(dataclasses.replace(found, produced_at=AT + DAY)) == AT
    assert binding.made_at(dataclasses.replace(found, produced_at=AT - DAY)) == AT - DAY
    old = binding.of_version(found, version(), AT + 2 * DAY, DAY)
    assert (old.stale, old.changes) == (True, ())


def test_metrics_and_components_come_back_as_they_were() -> None:
    metric = Metric(
        metric="a",
        value=0.0,
        n=0,
        ci=(0.0, 1.0),
        dimension=Dimension.BIAS,
        higher_is_better=False,
        task="t",
    )
    assert parsed.metric_from(parsed.metric_json(metric)) == metric
    assert parsed.metric_from(parsed.metric_json(Metric(metric="a", value=1))) == Metric(
        metric="a", value=1
    )
    component = Component(
        name="a", version="1", purl="pkg:pypi/a@1", licenses=("MIT",), hashes={"sha-1": "a"}
    )
    assert parsed.component_from(parsed.component_json(component)) == component


# --- coverage ------------------------------------------------------------------------------------------


def of(name: str, dimension: Dimension, **more: Any) -> Metric:
    return Metric(
        metric=name,
        value=more.pop("value", 0.9),
        dimension=dimension,
        higher_is_better=True,
        **more,
    )


def test_each_of_the_six_dimensions_is_covered_missing_or_not_applicable() -> None:
    quality = evidence((of("acc", Dimension.QUALITY), of("f1", Dimension.QUALITY)), ("partial",))
    void = evidence((of("asr", Dimension.JAILBREAK),), ("aborted",), name="garak.jsonl")
    stale = evidence((of("dpr", Dimension.BIAS),), name="fair.json")
    old = evidence((of("ms", Dimension.LATENCY),), name="slow.json")
    says = evidence(not_applicable={"toxicity": "no text", "quality": "ignored: it is measured"})
    other = evidence(kind=EvidenceKind.SBOM)
    found = {
        one.dimension: one
        for one in coverage(
            [
                (quality, Freshness()),
                (void, Freshness()),
                (stale, Freshness((Change("model", "a", "b"),))),
                (old, Freshness((), AT)),
                (says, Freshness()),
                (other, Freshness()),
            ]
        )
    }
    assert tuple(found) == SIX
    covered = found[Dimension.QUALITY]
    assert (covered.state, covered.metrics, covered.flags) == ("covered", 2, ("partial",))
    assert found[Dimension.TOXICITY].state == "not_applicable"
    assert found[Dimension.TOXICITY].reason == "no text"
    assert "proves nothing: aborted" in found[Dimension.JAILBREAK].reason
    assert "stale: other model" in found[Dimension.BIAS].reason
    assert "too old" in found[Dimension.LATENCY].reason
    assert (found[Dimension.COST].state, found[Dimension.COST].reason) == (
        "missing",
        "no evaluation measured it",
    )


# --- gates ---------------------------------------------------------------------------------------------

PLANNED = AT - DAY
STARTED = "2026-02-01T00:00:00.000000Z"


def plan(*checks: dict[str, Any], **gate: Any) -> gates.Plan:
    fields = {"gates": [{"gate": "fairness", "checks": list(checks), **gate}], "holdout": True}
    return gates.plan_from(fields, PLANNED, "sha256:plan")


PARITY = {"metric": "demographic_parity_ratio", "direction": "higher", "threshold": 0.8}


def fairness(started: str | None = STARTED, flags: tuple[str, ...] = ()) -> Evidence:
    read = parse(sample("fairlearn-0.15.0-fairness.json"), "f.json")
    assert isinstance(read, Parsed)
    found = evidence(
        read.metrics,
        flags,
        name="f.json",
        run={"dataset": "holdout", "dataset_digest": "dvc-md5:2ab2"},
    )
    said = {} if started is None else {"started": started}
    return dataclasses.replace(
        found,
        parsed={**found.parsed, "context": said},
        tool_name="fairlearn",
        tool_version="0.15.0",
    )


def run(plan_: gates.Plan, *found: Evidence) -> list[dict[str, Any]]:
    judged = gates.Judged("fraud@1.0.0", (str(MODEL),))
    return gates.run_gates(plan_, found, judged, started=AT, ended=AT)


def test_a_ratio_passes_by_its_point_and_fails_by_its_interval() -> None:
    [record] = run(plan(PARITY), fairness())
    assert record["result"] == "failed"
    by_sex, both = sorted(record["checks"], key=lambda check: check["slice"])
    assert (by_sex["slice"], by_sex["result"], by_sex["decided_on"]) == (
        "sex",
        "passed",
        "ci_lower",
    )
    assert both["slice"] == "sex\N{MULTIPLICATION SIGN}age"
    assert (both["result"], both["value"], both["ci"]) == ("failed", 0.876713, [0.779839, 0.938237])
    assert (both["ci_method"], both["n"], both["min_group_n"]) == ("bootstrap-200", 2000, 470)
    assert record["dataset"] == {
        "ref": "holdout", "digest": {"dvc-md5": "2ab2"}, "holdout": True, "overlap_with_train": None,
    }  # fmt: skip
    assert record["tool"] == {"name": "fairlearn", "version": "0.15.0"}
    assert record["evidence"] == [str(digest_of(b"f.json"))]
    assert set(record) == {
        "schema", "gate", "order", "cvi", "subject", "result", "blocking", "checks", "compared_with", "dataset",
        "tool", "evidence", "started", "ended", "policy",
    }  # fmt: skip
    [on_point] = run(plan(PARITY | {"decided_on": "point"}), fairness())
    assert on_point["result"] == "passed"
    [one_slice] = run(plan(PARITY | {"slice": "sex"}), fairness())
    assert one_slice["result"] == "passed"


@pytest.mark.parametrize(
    ("check", "found", "reason"),
    [
        (PARITY, fairness("2026-01-01T00:00:00.000000Z"), "before the threshold was recorded"),
        (PARITY, fairness(None), "nobody says when the run began"),
        (PARITY, fairness(flags=("edited",)), "no evidence has this metric"),
        (PARITY | {"metric": "nothing"}, fairness(), "no evidence has this metric"),
        (PARITY | {"task": "elsewhere"}, fairness(), "no evidence has this metric"),
        (PARITY | {"direction": "lower"}, fairness(), "direction is the other one"),
        (PARITY | {"min_n": 5000}, fairness(), "at least 5000 samples"),
        (PARITY | {"min_group_n": 500}, fairness(), "at least 500 in the smallest group"),
        (PARITY | {"metric": "accuracy_ratio", "threshold": 0.1}, fairness(), "no interval"),
        (PARITY | {"metric": "demographic_parity_difference", "direction": "lower", "threshold": 0.01,
                   "decided_on": "point"}, fairness(), "wrong side of 0.01"),
    ],
)  # fmt: skip
def test_a_gate_says_why_it_failed(check: dict[str, Any], found: Evidence, reason: str) -> None:
    [record] = run(plan(check), found)
    assert record["result"] == "failed"
    assert any(reason in one.get("reason", "") for one in record["checks"])


def test_gates_stop_at_the_first_blocking_one_that_fails() -> None:
    good = {"metric": "accuracy", "direction": "higher", "threshold": 0.1}
    bad = good | {"threshold": 0.99}

    def order(*thresholds: tuple[str, dict[str, Any], bool]) -> list[tuple[str, str]]:
        listed = [
            {"gate": gate, "checks": [check], "blocking": blocking}
            for gate, check, blocking in thresholds
        ]
        records = run(gates.plan_from({"gates": listed}, PLANNED, "p"), fairness())
        return [(record["gate"], record["result"]) for record in records]

    assert order(("performance", good, True), ("fairness", bad, True), ("security", good, True)) == [
        ("performance", "passed"), ("fairness", "failed"),
    ]  # fmt: skip
    assert order(("performance", bad, False), ("fairness", good, True)) == [
        ("performance", "failed"), ("fairness", "passed"),
    ]  # fmt: skip
    assert run(plan(good), evidence())[0]["tool"] is None
    bare = evidence(
        (Metric(metric="accuracy", value=0.9, n=100),), number=8, run={"started": STARTED}
    )
    assert run(plan(good), bare)[0]["dataset"] is None
    assert run(plan(good), bare, fairness())[0]["dataset"]["ref"] == "holdout"


def test_intervals_are_computed_where_what_is_said_suffices() -> None:
    assert gates.interval(Metric(metric="x", value=1.0, ci=(0.0, 2.0), ci_method="m")) == (
        (0.0, 2.0),
        "m",
    )
    (low, high), _ = gates.interval(Metric(metric="x", value=0.5, stderr=0.1))  # type: ignore[misc]
    assert (round(low, 3), round(high, 3)) == (0.304, 0.696)
    assert gates.interval(Metric(metric="accuracy", value=0.5, n=100))[1] == "wilson-95 from n"
    assert gates.interval(Metric(metric="auc", value=0.5, n=100)) == (None, "")
    assert gates.interval(Metric(metric="accuracy", value=1.5, n=100)) == (None, "")


@pytest.mark.parametrize(
    ("share", "n", "low", "high"),
    [
        (0.5, 100, 0.4038, 0.5962),
        (0.0, 10, 0.0, 0.2775),
        (1.0, 10, 0.7225, 1.0),
        (0.85, 20, 0.6396, 0.9476),
    ],
)
def test_wilson_gives_the_published_values(share: float, n: int, low: float, high: float) -> None:
    found = gates.wilson(share, n)
    assert found[0] == pytest.approx(low, abs=2e-4)
    assert found[1] == pytest.approx(high, abs=2e-4)


@given(st.floats(0, 1), st.integers(1, 10**6))
def test_wilson_contains_the_share_and_lies_between_0_and_1(share: float, n: int) -> None:
    low, high = gates.wilson(share, n)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1


# --- the ML-BOM ----------------------------------------------------------------------------------------


def valid(bom: dict[str, Any]) -> dict[str, Any]:
    assert [error.message for error in validator("1.7").iter_errors(bom)] == []
    return bom


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("metadata", [{}, FULL_METADATA])
def test_the_ml_bom_of_anything_is_valid_and_the_same_each_time(kind: Kind, metadata: Any) -> None:
    files = [File("a/model.onnx", 5, MODEL)]
    known = [
        evidence(
            (of("acc", Dimension.QUALITY, ci=(0.8, 0.95), slice="all"), of("f1", Dimension.QUALITY))
        )
    ]
    known += [evidence(kind=each, number=20 + at) for at, each in enumerate(EvidenceKind)]
    software = [
        Component(name="numpy", version="2", purl="pkg:pypi/numpy@2", type="library", licenses=("BSD-3-Clause",),
                  hashes={"sha-256": "a" * 64, "odd": "b" * 64, "md5": "c"}),
        Component(name="", type="strange"),
    ]  # fmt: skip
    one, two = (valid(ml_bom(version(kind, metadata), files, known, software)) for _ in range(2))
    assert one == two
    assert {each["name"] for each in one["components"]} >= {"a/model.onnx", "numpy", "unnamed"}


def test_the_ml_bom_says_what_is_registered_where_no_evidence_says_more() -> None:
    bom = valid(ml_bom(version(metadata=FULL_METADATA), [], []))
    subject = bom["metadata"]["component"]
    assert subject["hashes"] == [{"alg": "SHA-256", "content": MODEL.hex}]
    assert subject["modelCard"]["quantitativeAnalysis"]["performanceMetrics"] == [
        {"type": "auc", "value": "0.9"}
    ]
    assert subject["pedigree"]["ancestors"][0]["name"] == "acme/base"
    kinds = {each["type"] for each in bom["components"]}
    assert {"data", "framework", "library", "machine-learning-model"} == kinds
    assert subject["licenses"] == [{"expression": "Apache-2.0 OR MIT"}]
    void = evidence((of("acc", Dimension.QUALITY),), ("failed",))
    again = ml_bom(version(), [], [void])
    assert (
        again["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"][
            0
        ]["type"]
        == "auc"
    )
    bare = version(metrics_at_registration={}, state=VersionState(""))
    assert valid(ml_bom(bare, [], []))["metadata"]["component"]["modelCard"] == {
        "modelParameters": {}
    }


def test_digests_of_other_algorithms_are_kept_as_properties() -> None:
    metadata = {"training_datasets": [{"name": "d", "digest": "dvc-md5:2ab20ac1b58d.dir", "license": "CC0-1.0"}],
                "base_models": [{"name": "base"}],
                "code": {"repository": "git@host x"}}  # fmt: skip
    bom = valid(ml_bom(version(metadata=metadata), [], []))
    assert {"name": "muniment:digest:dvc-md5", "value": "2ab20ac1b58d.dir"} in bom["components"][0][
        "properties"
    ]
    assert isinstance(Digest.parse(str(MODEL)), Digest)
