"""Versions, what is said of things, and what differs: rules without a database."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.digest import digest_of
from muniment.core.errors import BadBody, BadRequest
from muniment.core.names import AssetRef, SemVer
from muniment.server.catalog.reads.bodies import version_etag
from muniment.server.catalog.records import (
    Asset,
    AssetState,
    Kind,
    Lifecycle,
    Mark,
    RiskTier,
    Version,
    VersionState,
)
from muniment.server.catalog.rules.changes import (
    Change,
    changed_asset_state,
    changed_version_state,
    check_asset_state,
    check_version_state,
    is_derived_tag,
    tag_problems,
    text_problems,
)
from muniment.server.catalog.rules.comparing import compare
from muniment.server.catalog.rules.standing import lifecycle_of
from muniment.server.catalog.rules.versions import (
    asset_state_from,
    asset_state_json,
    json_text,
    parse_as_of,
    parse_json,
    precedence_key,
    version_state_from,
    version_state_json,
)
from tests.support.catalog import ADA, FULL_METADATA

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ID = uuid.UUID(int=7)

_IDENTIFIERS = st.from_regex(r"\A(0|[1-9][0-9]{0,3}|[0-9]{0,2}[A-Za-z-][0-9A-Za-z-]{0,3})\Z")
_VERSIONS = st.builds(
    SemVer,
    st.integers(0, 10**20) | st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 12),
    st.lists(_IDENTIFIERS, max_size=3).map(".".join),
    st.sampled_from(["", "b", "b.2"]),
)


@given(_VERSIONS, _VERSIONS)
def test_the_key_sorts_as_precedence_does(left: SemVer, right: SemVer) -> None:
    keys = precedence_key(left), precedence_key(right)
    assert (keys[0] < keys[1]) == (left.precedence < right.precedence)
    assert (keys[0] == keys[1]) == (left.precedence == right.precedence)


def test_the_key_follows_the_example_of_the_specification() -> None:
    order = "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0"
    keys = [precedence_key(SemVer.parse(text)) for text in order.split()]
    assert keys == sorted(keys)


@pytest.mark.parametrize("number", [1e300, 5e-324, -1e22, 0.1, 1, 2**53 - 1, -(2**53) + 1, 1e16])
def test_numbers_come_back_from_the_database_as_they_were(number: float) -> None:
    written_out = (
        f"{number:f}" if isinstance(number, float) and number > 1e15 else json_text(number)
    )
    for text in (json_text({"a": number}), f'{{"a": {written_out.removesuffix(".000000")}}}'):
        found = parse_json(text)["a"]
        assert found == number
        assert isinstance(found, int) == isinstance(number, int)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-04-20", dt.datetime(2026, 4, 20, 23, 59, 59, 999999, tzinfo=dt.UTC)),
        ("2026-04-20T08:00:00Z", dt.datetime(2026, 4, 20, 8, tzinfo=dt.UTC)),
        ("2026-04-20T08:00:00+02:00", dt.datetime(2026, 4, 20, 6, tzinfo=dt.UTC)),
        ("2026-04-20T08:00:00 02:00", dt.datetime(2026, 4, 20, 6, tzinfo=dt.UTC)),
        ("2026-04-20T08:00:00", dt.datetime(2026, 4, 20, 8, tzinfo=dt.UTC)),
    ],
)
def test_a_time_to_answer_for(text: str, expected: dt.datetime) -> None:
    assert parse_as_of(text) == expected


@pytest.mark.parametrize(
    "text", ["", "now", "2026-02-30", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+05:00"]
)
def test_no_time_to_answer_for(text: str) -> None:
    with pytest.raises(BadRequest, match="expected a time"):
        parse_as_of(text)


def a_version(**more: Any) -> Version:
    version = Version(
        id=ID,
        asset_id=ID,
        asset=AssetRef.parse("fraud"),
        kind=Kind.MODEL,
        number=1,
        version=SemVer.parse("1.0.0"),
        manifest_digest=digest_of(b""),
        size_bytes=1,
        file_count=1,
        formats=(),
        executable=False,
        metadata={},
        metadata_digest=digest_of(b""),
        metrics_at_registration={},
        state=VersionState(),
        revision=1,
        registered_at=AT,
        registered_by=ADA,
        entry_id=ID,
    )
    return dataclasses.replace(version, **more)


def test_a_version_of_which_nothing_was_said_is_a_draft() -> None:
    assert lifecycle_of(None) is Lifecycle.DRAFT
    assert lifecycle_of(Mark.RETIRED) is Lifecycle.RETIRED
    assert a_version().name == "fraud@1.0.0"


def test_the_etag_of_a_version_changes_with_all_that_is_shown() -> None:
    tags = {
        version_etag(a_version(revision=r, aliases=a))
        for r in (1, 2)
        for a in ((), ("x",), ("x", "y"))
    }
    assert len(tags) == 6
    assert all(tag.startswith(('"1', '"2')) for tag in tags)


def an_asset(**state: Any) -> Asset:
    return Asset(
        id=ID,
        ref=AssetRef.parse("fraud"),
        kind=Kind.MODEL,
        state=AssetState(**{"owner": "o", **state}),
        revision=1,
        next_number=1,
        created_at=AT,
        created_by=ADA,
        updated_at=AT,
        entry_id=ID,
    )


def test_states_survive_json() -> None:
    state = AssetState("o", "d", {"a": "b"}, "b", "e", RiskTier.HIGH)
    assert asset_state_from(asset_state_json(state)) == state
    assert asset_state_from(asset_state_json(AssetState("o"))) == AssetState("o")
    said = VersionState("d", {"a": "b"})
    assert version_state_from(version_state_json(said)) == said


@pytest.mark.parametrize(
    "key",
    [
        "bias_tested",
        "FAIRNESS_TESTED",
        "approved_date",
        "Compliance_Status",
        "aisdp.code_commit",
        "muniment.x",
    ],
)
def test_what_is_derived_cannot_be_typed(key: str) -> None:
    assert is_derived_tag(key)
    [problem] = tag_problems({key: "yes"})
    assert "derive" in problem["message"] or "follows" in problem["message"]


@pytest.mark.parametrize("key", ["tested", "aisdp", "team", "approved_dates"])
def test_what_is_not_derived_can_be_typed(key: str) -> None:
    assert not list(tag_problems({key: "yes"}))


@pytest.mark.parametrize(
    "tags",
    [
        {"": "x"},
        {"k" * 251: "x"},
        {"a\n": "x"},
        {"a": "x" * 5001},
        {"a": "\0"},
        {"a": "\ud800"},
        {"a": 1},
        {"\ud800": "x"},
    ],
)
def test_a_bad_tag(tags: Any) -> None:
    assert len(list(tag_problems(tags))) == 1


@pytest.mark.parametrize("text", ["x" * 257, "\0", "\ud800", 7, None])
def test_a_bad_text(text: Any) -> None:
    assert len(list(text_problems("owner", text))) == 1


def test_all_that_is_wrong_with_an_asset_is_said_at_once() -> None:
    state = AssetState(
        " ", "\0", {f"t{n}": "x" for n in range(101)} | {"x_tested": "1"}, "b" * 300, "\0"
    )
    with pytest.raises(BadBody) as caught:
        check_asset_state(state)
    fields = [problem["field"] for problem in caught.value.problems]
    assert fields == [
        "owner",
        "backup_owner",
        "escalation_contact",
        "description",
        "tags.x_tested",
        "tags",
    ]
    check_asset_state(AssetState("o", "d" * 20_000, {"a": ""}, "b", "c"))
    with pytest.raises(BadBody, match="`tags`: expected at most 100"):
        check_version_state(VersionState("", {f"t{n}": "x" for n in range(101)}))
    check_version_state(VersionState("d", {"a": "b"}))


def test_a_change_leaves_what_it_does_not_name() -> None:
    asset = an_asset(description="d", tags={"a": "1", "b": "2"}, backup_owner="x")
    change = Change({"backup_owner": None, "risk_tier": "high"}, {"a": None, "c": "3"})
    after = changed_asset_state(asset, change)
    assert after == AssetState("o", "d", {"b": "2", "c": "3"}, None, None, RiskTier.HIGH)
    assert changed_asset_state(asset, Change()) == asset.state


@pytest.mark.parametrize(
    "change",
    [
        Change({"owner": ""}),
        Change({"owner": "\0"}),
        Change({"description": "x" * 20_001}),
        Change(reason="x" * 2001),
        Change(tags={"x_tested": "y"}),
        Change(tags={f"t{n}": "x" for n in range(101)}),
    ],
)
def test_a_bad_change(change: Change) -> None:
    with pytest.raises(BadBody):
        changed_asset_state(an_asset(), change)


def test_a_tag_of_old_can_be_taken_off_and_does_not_block_other_changes() -> None:
    asset = an_asset(tags={"imported_tested": "yes", "a": "b"})
    with pytest.raises(BadBody):
        changed_asset_state(asset, Change(tags={"imported_tested": "no"}))
    assert changed_asset_state(asset, Change({"owner": "p"})).tags == asset.state.tags
    both = [f"t{n}" for n in range(100)]
    full = VersionState("", dict.fromkeys(both, "x"))
    assert changed_version_state(full, Change({"description": "n"})).tags == full.tags
    with pytest.raises(BadBody):
        changed_version_state(full, Change(tags={"one more": "x"}))


# --- compare -----------------------------------------------------------------------------------


def test_equal_versions_have_no_difference() -> None:
    version = a_version(metadata=FULL_METADATA, metrics_at_registration={"auc": 0.9})
    assert compare(version, version) == []


def test_differences_say_where_and_by_how_much() -> None:
    left = a_version(
        metadata={
            "license": "MIT",
            "hyperparameters": {"lr": 0.1, "a/b~": 1, "flag": True},
            "frameworks": [{"name": "x", "version": "1"}, {"name": "y", "version": "1"}],
            "metrics": {"auc": 0.9},
            "signature": {"inputs": [{"type": "int64"}], "outputs": []},
        },
        metrics_at_registration={
            "auc": 0.9,
            "log_loss": 0.2,
            "same": 1,
            "gone": 1,
            "di_ratio": 0.8,
            "mine": 1,
        },
    )
    right = a_version(
        metadata={
            "license": "MIT",
            "hyperparameters": {"lr": 0.2, "a/b~": 2, "flag": 1},
            "frameworks": [{"name": "x", "version": "2"}],
            "metrics": {"mine": {"value": 2, "direction": "lower"}, "auc": {"value": 1}},
            "signature": {"inputs": [{"type": "float64"}], "outputs": [{"type": "int64"}]},
        },
        metrics_at_registration={
            "auc": 0.95,
            "log_loss": 0.1,
            "same": 1,
            "new": 2,
            "di_ratio": 0.9,
            "mine": 2,
        },
    )
    found = {(d.section, d.path): d for d in compare(left, right)}
    assert list(found) == [
        ("metadata", "/frameworks/0/version"),
        ("metadata", "/frameworks/1"),
        ("metadata", "/hyperparameters/a~1b~0"),
        ("metadata", "/hyperparameters/flag"),
        ("metadata", "/hyperparameters/lr"),
        ("metrics", "/auc"),
        ("metrics", "/di_ratio"),
        ("metrics", "/gone"),
        ("metrics", "/log_loss"),
        ("metrics", "/mine"),
        ("metrics", "/new"),
        ("signature", "/inputs/0/type"),
        ("signature", "/outputs/0"),
    ]
    gone = found["metadata", "/frameworks/1"]
    assert (gone.left_present, gone.right_present, gone.right) == (True, False, None)
    assert found["metadata", "/hyperparameters/lr"].delta == pytest.approx(0.1)
    assert found["metadata", "/hyperparameters/flag"].delta is None
    auc, loss = found["metrics", "/auc"], found["metrics", "/log_loss"]
    assert (auc.better, loss.better) == (True, True)
    assert auc.delta == pytest.approx(0.05)
    assert found["metrics", "/mine"].better is False
    assert found["metrics", "/di_ratio"].better is None
    assert found["metrics", "/new"].delta is None


_METRICS = st.dictionaries(st.sampled_from(["auc", "loss", "x"]), st.integers(-5, 5), max_size=3)
_PARAMS = st.dictionaries(
    st.sampled_from(["a", "b"]), st.integers(0, 2) | st.booleans() | st.none(), max_size=2
)


@given(_METRICS, _METRICS, _PARAMS, _PARAMS)
def test_exchanging_the_sides_exchanges_the_differences(m: Any, n: Any, p: Any, q: Any) -> None:
    left = a_version(metadata={"hyperparameters": p}, metrics_at_registration=m)
    right = a_version(metadata={"hyperparameters": q}, metrics_at_registration=n)
    one, other = compare(left, right), compare(right, left)
    assert [(d.path, d.left, d.right) for d in one] == [(d.path, d.right, d.left) for d in other]
    assert [d.delta for d in one] == [None if d.delta is None else -d.delta for d in other]
    assert [d.better for d in one] == [None if d.better is None else not d.better for d in other]
