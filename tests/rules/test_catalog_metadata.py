"""Metadata against its schema, what is due, completeness: everything wrong is said at once."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.errors import BadMetadata
from muniment.server.catalog.records import AssetState, Kind, Lifecycle, OwnField, RiskTier
from muniment.server.catalog.rules.metadata import (
    KIND_NEEDS,
    METADATA_MAX_BYTES,
    SCHEMA,
    check_metadata,
    how_to_supply,
    is_spdx,
    metadata_problems,
    template_variables,
    window_overlaps,
)
from muniment.server.catalog.rules.required import (
    REQUIRED,
    STEPS,
    completeness,
    due,
    missing,
    own_rows,
)
from muniment.server.catalog.rules.terms import TERM_FIELDS, metrics_of, terms
from tests.support.catalog import FULL_METADATA

FULL_STATE = AssetState("risk-ml", "d", {}, "backup", "call", RiskTier.HIGH)
BARE_STATE = AssetState("risk-ml")
LIMITED_STATE = AssetState("risk-ml", risk_tier=RiskTier.LIMITED)


def test_the_schema_is_a_schema_with_an_example_and_a_source_for_everything() -> None:
    jsonschema_rs.meta.validate(SCHEMA)
    for name, described in SCHEMA["properties"].items():
        assert described["description"], name
        assert described["x-source"], name
        assert name in how_to_supply(name)


def test_every_field_of_the_full_example_is_accepted() -> None:
    for kind in Kind:
        check_metadata(kind, FULL_METADATA)
    known = set(SCHEMA["properties"]) - {"schema", "derived_from", "not_applicable"}
    assert set(FULL_METADATA) == known


def test_a_draft_of_a_model_needs_nothing() -> None:
    check_metadata(Kind.MODEL, {})


@pytest.mark.parametrize("kind", [Kind.ADAPTER, Kind.PROMPT])
def test_what_a_kind_cannot_be_without_is_refused_with_the_remedy(kind: Kind) -> None:
    with pytest.raises(BadMetadata) as caught:
        check_metadata(kind, {})
    [problem] = caught.value.problems
    assert problem["field"] == f"/{KIND_NEEDS[kind][0]}"
    assert "metadata.yaml" in problem["fix"]


def fields_of(metadata: Any, kind: Kind = Kind.MODEL) -> dict[str, str]:
    return {p["field"]: p["message"] + " | " + p["fix"] for p in metadata_problems(kind, metadata)}


def test_everything_wrong_is_said_at_once() -> None:
    wrong = {
        "licence": "MIT",
        "metrics": {"auc": "high", "f1": float("1")},
        "code": {"commit": "abc", "dirt": 1},
        "training_datasets": [{"nam": "x", "window": {"start": "2026-13-01"}}],
        "risk": {"rating": "huge"},
        "environment": {},
        "training_date": "yesterday",
        "hyperparameters": {"a": [1]},
        "zzz~/": 1,
        "model_card": {"uri": "x", "digest": "nope"},
        "signature": {"inputs": [], "outputs": [{"shape": [-2]}]},
    }
    found = fields_of(wrong, Kind.PROMPT)
    assert set(found) == {
        "/licence",
        "/metrics/auc",
        "/code/commit",
        "/code/dirt",
        "/training_datasets/0/nam",
        "/training_datasets/0/name",
        "/training_datasets/0/window/start",
        "/risk/rating",
        "/environment/lock_digest",
        "/training_date",
        "/hyperparameters/a",
        "/zzz~0~1",
        "/model_card/digest",
        "/signature/outputs/0/type",
        "/signature/outputs/0/shape/0",
        "/prompt",
    }
    assert "did you mean `license`" in found["/licence"]
    assert "did you mean `dirty`" in found["/code/dirt"]
    assert "`extra`" in found["/zzz~0~1"]
    with pytest.raises(BadMetadata, match="and 15 more"):
        check_metadata(Kind.PROMPT, wrong)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("owner", "asset"),
        ("tags", "--tag"),
        ("bias_tested", "evidence"),
        ("approved_date", "decisions"),
        ("base_model", "base_models"),
    ],
)
def test_what_belongs_elsewhere_is_sent_there(name: str, said: str) -> None:
    assert said in fields_of({name: "x"})[f"/{name}"]


@pytest.mark.parametrize(
    "value",
    [
        {"extra": {"a": "\0"}},
        {"extra": {"\0": 1}},
        {"extra": {"a": float("nan")}},
        {"extra": {"a": "\ud800"}},
        {"extra": {"a": 2**53}},
        {"extra": {"a": "x" * METADATA_MAX_BYTES}},
        [],
        "x",
        None,
    ],
)
def test_what_cannot_be_kept_is_refused(value: Any) -> None:
    assert list(fields_of(value)) == [""]


def test_a_hundred_problems_are_enough() -> None:
    assert len(metadata_problems(Kind.MODEL, {f"x{n}": 1 for n in range(300)})) == 100


def test_long_values_are_shortened_in_messages() -> None:
    found = fields_of({"license": "x" * 5000})
    assert len(found["/license"]) < 500


@pytest.mark.parametrize(
    "text",
    ["MIT", "MIT OR Apache-2.0", "(MIT AND BSD-3-Clause) OR GPL-2.0-or-later WITH Bison-exception-2.2",
     "LicenseRef-mine", "DocumentRef-a:LicenseRef-b", "GPL-2.0+"],
)  # fmt: skip
def test_a_license_expression(text: str) -> None:
    assert is_spdx(text)
    assert fields_of({"license": text}) == {}


@pytest.mark.parametrize(
    "text",
    ["", " ", "MIT OR", "OR MIT", "MIT Apache-2.0", "(MIT", "MIT)", "()", "MIT (BSD)", "MIT, BSD", "MIT AND OR BSD", "MIT/X11",
     "see LICENSE"],
)  # fmt: skip
def test_what_is_no_license_expression(text: str) -> None:
    assert not is_spdx(text)
    if text:
        assert list(fields_of({"license": text})) == ["/license"]


def test_a_dataset_s_license_and_window_are_checked() -> None:
    window = {"start": "2026-02-01", "end": "2026-01-31T00:00:00Z"}
    found = fields_of({"evaluation_datasets": [{"name": "x", "license": "a b", "window": window}]})
    assert set(found) == {"/evaluation_datasets/0/license", "/evaluation_datasets/0/window"}


def test_what_does_not_apply_must_be_a_field_with_a_reason() -> None:
    reason = "No data about people is used."
    assert fields_of({"not_applicable": {"fairness_metrics": reason}}) == {}
    found = fields_of({"not_applicable": {"fairnes_metrics": reason, "qqqq": reason}})
    assert "did you mean `fairness_metrics`" in found["/not_applicable/fairnes_metrics"]
    assert "name a field" in found["/not_applicable/qqqq"]
    assert list(fields_of({"not_applicable": {"license": "no"}})) == ["/not_applicable/license"]


def test_a_prompt_uses_exactly_the_variables_it_declares() -> None:
    prompt = {
        "template": [{"role": "user", "content": "{{a}} {{ b }} {{not a name}}"}],
        "variables": [{"name": "a"}, {"name": "c"}, {"name": "a"}],
    }
    messages = " ".join(fields_of({"prompt": prompt}, Kind.PROMPT).values())
    problems = metadata_problems(Kind.PROMPT, {"prompt": prompt})
    assert [p["field"] for p in problems] == [
        "/prompt/variables",
        "/prompt/template",
        "/prompt/variables",
    ]
    assert "`c`" in messages
    assert "`{{b}}`" in messages
    assert fields_of({"prompt": {"template": "no variables"}}, Kind.PROMPT) == {}
    assert template_variables("{{x}}{{ y }}{z}") == {"x", "y"}


def window(start: str | None, end: str | None) -> dict[str, Any]:
    given = {"start": start, "end": end}
    return {"name": "d", "window": {k: v for k, v in given.items() if v is not None}}


@pytest.mark.parametrize(
    ("trained", "evaluated", "overlaps"),
    [
        (window("2025-01-01", "2025-12-31"), window("2026-01-01", "2026-01-31"), False),
        (window("2025-01-01", "2025-12-31"), window("2025-12-31", "2026-01-31"), True),
        (window("2025-01-01", "2025-12-31"), window("2025-12-31T23:00:00Z", "2026-01-31"), True),
        (window("2025-01-01", "2025-12-31"), window("2025-06-01", None), False),
        (
            window("2026-01-01", "2026-02-01"),
            window("2025-01-01", "2026-01-15T00:00:00+02:00"),
            True,
        ),
        (window("2016-12-31T23:59:60Z", "2017-01-01"), window("2016-01-01", "2018-01-01"), False),
        ({"name": "d"}, window("2025-06-01", "2025-06-02"), False),
    ],
)
def test_training_and_evaluation_in_one_window_is_noticed(
    trained: Any, evaluated: Any, overlaps: bool
) -> None:
    metadata = {"training_datasets": [trained], "evaluation_datasets": [evaluated]}
    assert metadata_problems(Kind.MODEL, metadata) == []
    assert window_overlaps(metadata) == ([("d", "d")] if overlaps else [])


def test_terms_find_a_version_by_all_that_names_its_parts() -> None:
    found = terms(FULL_METADATA, ("onnx", "pickle"))
    assert found == sorted(set(found))
    for term in (
        "dataset:transactions",
        "dataset:transactions@2026-01",
        "dataset:sha256:" + "b" * 64,
        "dataset:holdout",
        "license:Apache-2.0 OR MIT",
        "license:MIT",
        "framework:scikit-learn@1.7.2",
        "format:pickle",
        "base_model:acme/base",
        "commit:" + "d" * 40,
        "run:run-1",
        "pipeline:21561244697",
    ):
        assert term in found
    assert "license:OR" not in found
    assert {term.partition(":")[0] for term in found} == set(TERM_FIELDS)
    assert terms({}, ()) == []
    assert terms({"training_datasets": [{"name": "x"}], "code": {}}, ()) == ["dataset:x"]


def test_metrics_at_registration_are_both_blocks() -> None:
    metadata = {"metrics": {"a": 1, "b": {"value": 2.5}}, "fairness_metrics": {"b": 3, "c": 4}}
    assert metrics_of(metadata) == {"a": 1, "b": 2.5, "fairness.b": 3, "c": 4}
    assert metrics_of({}) == {}


# --- what is due -------------------------------------------------------------------------------


def test_a_draft_is_asked_for_name_and_owner_only() -> None:
    assert missing(Kind.MODEL, Lifecycle.DRAFT, BARE_STATE, {}) == []
    [gap] = missing(Kind.MODEL, Lifecycle.DRAFT, AssetState(""), {})
    assert gap.field == "owner"
    assert [g.field for g in missing(Kind.PROMPT, Lifecycle.DRAFT, BARE_STATE, {})] == ["prompt"]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("step", Lifecycle)
def test_everything_given_leaves_no_gap(kind: Kind, step: Lifecycle) -> None:
    found = completeness(kind, step, FULL_STATE, FULL_METADATA)
    assert (found.present_percent, found.gaps) == (100.0, ())
    assert found.verified_percent < 100


def test_a_candidate_hears_of_every_gap_at_once_with_its_remedy() -> None:
    gaps = missing(Kind.MODEL, Lifecycle.CANDIDATE, BARE_STATE, {})
    assert {"backup_owner", "risk_tier", "training_datasets", "metrics", "license", "signature",
            "environment", "code", "intended_use", "limitations", "out_of_scope"} <= {g.field for g in gaps}  # fmt: skip
    assert all(gap.fix and gap.why and gap.source for gap in gaps)
    assert "rollback_plan" not in {gap.field for gap in gaps}


def test_kinds_are_asked_for_what_they_have() -> None:
    prompt = {row.field for row in due(Kind.PROMPT, Lifecycle.CANDIDATE, BARE_STATE, {})}
    assert "prompt" in prompt
    assert not prompt & {"training_datasets", "signature", "environment", "base_models"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("training_datasets", [{"name": "x", "version": "1"}]),
        ("training_datasets", [{"name": "x", "digest": "sha256:" + "0" * 64}]),
        ("code", {"commit": "0" * 40}),
        ("risk", {"rating": "low"}),
        ("model_card", {"uri": "x"}),
        ("rollback_plan", {"description": "x"}),
    ],
)
def test_a_reference_that_is_not_bound_is_a_gap(field: str, value: Any) -> None:
    metadata = {**FULL_METADATA, field: value}
    assert metadata_problems(Kind.MODEL, metadata) == []
    gaps = missing(Kind.MODEL, Lifecycle.APPROVED, FULL_STATE, metadata)
    assert [gap.field for gap in gaps] == [field]


def test_what_does_not_apply_counts_with_a_reason_but_not_for_aig_010() -> None:
    bare = {k: v for k, v in FULL_METADATA.items() if k not in {"fairness_metrics", "metrics"}}
    bare["not_applicable"] = {"fairness_metrics": "x" * 10, "metrics": "x" * 10}
    gaps = missing(Kind.MODEL, Lifecycle.CANDIDATE, FULL_STATE, bare)
    assert [gap.field for gap in gaps] == ["metrics"]


def test_the_six_fields_of_aig_010_weigh_double() -> None:
    double = {row.field for row in REQUIRED if row.weight == 2}
    assert double == {"name", "version", "stage", "owner", "training_datasets", "metrics"}
    assert {row.weight for row in REQUIRED} == {1, 2}


def test_verified_counts_only_what_was_verified() -> None:
    bare = completeness(Kind.MODEL, Lifecycle.CANDIDATE, FULL_STATE, FULL_METADATA)
    more = completeness(
        Kind.MODEL, Lifecycle.CANDIDATE, FULL_STATE, FULL_METADATA, verified=["license", "code"]
    )
    assert more.verified_percent > bare.verified_percent
    absent = completeness(Kind.MODEL, Lifecycle.CANDIDATE, BARE_STATE, {}, verified=["license"])
    rows = due(Kind.MODEL, Lifecycle.CANDIDATE, BARE_STATE, {})
    assert absent.verified_percent == round(100 * 6 / sum(row.weight for row in rows), 1)


def test_a_namespace_adds_rows_of_its_own() -> None:
    high = OwnField("ticket", Lifecycle.CANDIDATE, "we say so", (Kind.MODEL,), (RiskTier.HIGH,))
    [row] = own_rows([high])
    found = completeness(Kind.MODEL, Lifecycle.CANDIDATE, FULL_STATE, FULL_METADATA, also=[row])
    assert [(gap.field, gap.why) for gap in found.gaps] == [("extra.ticket", "we say so")]
    assert "ticket" in found.gaps[0].fix
    assert found.present_percent < 100
    for there in (
        {**FULL_METADATA, "extra": {"ticket": "1"}},
        {**FULL_METADATA, "not_applicable": {"extra.ticket": "no ticket was made for it"}},
    ):
        check_metadata(Kind.MODEL, there)
        assert not missing(Kind.MODEL, Lifecycle.CANDIDATE, FULL_STATE, there, also=[row])
    nothings: list[Any] = [None, "", [], {}]
    for nothing in nothings:
        lacks = {**FULL_METADATA, "extra": {"ticket": nothing}}
        assert missing(Kind.MODEL, Lifecycle.CANDIDATE, FULL_STATE, lacks, also=[row])
    asked = {
        "of another kind": (Kind.PROMPT, Lifecycle.CANDIDATE, FULL_STATE, False),
        "earlier": (Kind.MODEL, Lifecycle.DRAFT, FULL_STATE, False),
        "of another tier": (Kind.MODEL, Lifecycle.CANDIDATE, LIMITED_STATE, False),
        "nobody said of which tier": (Kind.MODEL, Lifecycle.CANDIDATE, BARE_STATE, True),
        "later": (Kind.MODEL, Lifecycle.APPROVED, FULL_STATE, True),
    }
    for case, (kind, step, state, due_there) in asked.items():
        gaps = missing(kind, step, state, FULL_METADATA, also=[row])
        assert ("extra.ticket" in {gap.field for gap in gaps}) is due_there, case
    [everybody] = own_rows([OwnField("ticket", Lifecycle.DRAFT, "we say so")])
    for kind in Kind:
        assert missing(kind, Lifecycle.DRAFT, LIMITED_STATE, {}, also=[everybody])


_NAMES = sorted(set(FULL_METADATA) - {"base_models"})


@given(
    st.sampled_from(list(Kind)),
    st.sampled_from(STEPS),
    st.sets(st.sampled_from(_NAMES)),
    st.sampled_from(_NAMES),
    st.sets(st.sampled_from(_NAMES)),
)
def test_more_metadata_is_never_less_complete(
    kind: Kind, step: Lifecycle, names: set[str], added: str, verified: set[str]
) -> None:
    some = {name: FULL_METADATA[name] for name in names}
    more = {**some, added: FULL_METADATA[added]}
    before = completeness(kind, step, BARE_STATE, some, verified=verified)
    after = completeness(kind, step, BARE_STATE, more, verified=verified)
    assert after.present_percent >= before.present_percent
    assert after.verified_percent >= before.verified_percent
    for found in (before, after):
        assert 0 <= found.verified_percent <= found.present_percent <= 100
        assert (found.present_percent == 100) == (not found.gaps)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*SCHEMA["properties"], "name", "window", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from(list(Kind)), _JSON)
def test_any_json_is_metadata_or_says_why_not(kind: Kind, value: Any) -> None:
    problems = metadata_problems(kind, value)
    assert all(problem["message"] and problem["fix"] for problem in problems)
    if not problems:
        terms(value, ())
        metrics_of(value)
        window_overlaps(value)
        completeness(kind, Lifecycle.APPROVED, BARE_STATE, value)
        json.dumps(value)


def test_a_variable_may_be_just_its_name() -> None:
    template = {"template": "Answer {{question}} in {{language}}."}
    plain = {"prompt": {**template, "variables": ["question", {"name": "language"}]}}
    assert metadata_problems(Kind.PROMPT, plain) == []
    twice = {"prompt": {**template, "variables": ["question", "language", {"name": "language"}]}}
    assert [found["field"] for found in metadata_problems(Kind.PROMPT, twice)] == [
        "/prompt/variables"
    ]
