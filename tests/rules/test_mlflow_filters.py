"""MLflow's filters and orders, read."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.errors import BadFilter
from muniment.server.facades.mlflow.rules.filters import (
    COMPARISONS_MAX,
    FILTER_MAX_CHARS,
    MODEL_ORDERS,
    MODELS,
    VERSION_ORDERS,
    VERSIONS,
    Comparison,
    Order,
    Search,
    parse_filter,
    parse_order,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name = 'a'", Comparison("name", "", "=", ("a",))),
        ('attribute.name != "a"', Comparison("name", "", "!=", ("a",))),
        ("`name` like 'a%'", Comparison("name", "", "LIKE", ("a%",))),
        ("name ILIKE 'it''s'", Comparison("name", "", "ILIKE", ("it's",))),
        ("name IN ('a', 'b')", Comparison("name", "", "IN", ("a", "b"))),
        ("name not in ('a')", Comparison("name", "", "NOT IN", ("a",))),
        ("tags.k = 'v'", Comparison("", "k", "=", ("v",))),
        ("tag.`my.key` = 'v'", Comparison("", "my.key", "=", ("v",))),
        ("tags.a.b = 'v'", Comparison("", "a.b", "=", ("v",))),
        ("tags.\"a b\" = 'v'", Comparison("", "a b", "=", ("v",))),
        ("version_number >= 3", Comparison("version_number", "", ">=", (3,))),
        ("version_number = '3'", Comparison("version_number", "", "=", (3,))),
        ("run_id='x'", Comparison("run_id", "", "=", ("x",))),
        ("source_path LIKE 's3%'", Comparison("source_path", "", "LIKE", ("s3%",))),
    ],
)
def test_a_comparison_is_read(text: str, expected: Comparison) -> None:
    assert parse_filter(text, VERSIONS) == Search((expected,))


def test_comparisons_are_joined_by_and() -> None:
    found = parse_filter("  name = 'a' and tags.k = 'v' AND version_number<2 ", VERSIONS)
    assert [one.op for one in found.comparisons] == ["=", "=", "<"]
    assert parse_filter("  ", MODELS) == Search()


@pytest.mark.parametrize(
    ("text", "prompts"),
    [
        ("tags.`mlflow.prompt.is_prompt` = 'true'", True),
        ("tag.mlflow.prompt.is_prompt != 'true'", False),
        ("tags.`mlflow.prompt.is_prompt` != 'false'", True),
        ("tags.`mlflow.prompt.is_prompt` = 'false'", False),
    ],
)
def test_prompts_are_found_only_when_asked_for(text: str, prompts: bool) -> None:
    assert parse_filter(text, MODELS) == Search((), prompts)


@pytest.mark.parametrize(
    "text",
    [
        "name = 'a' OR name = 'b'",
        "name = 'a' name = 'b'",
        "NOT name = 'a'",
        "(name = 'a')",
        "name = 'a';",
        "name = 'a'; DROP TABLE version",
        "name = 'a' -- comment",
        "name = 'a' /* comment */",
        "name = 'a' UNION SELECT 1",
        "name IS NULL",
        "name",
        "name =",
        "name = a",
        "name = 5",
        "name > 'a'",
        "name = `a`",
        "name = 'a",
        "= 'a'",
        "'name' = 'a'",
        "tags. = 'a'",
        "tags.'k' = 'a'",
        "tags.k > 'a'",
        "tags.k IN ('a')",
        "creation_timestamp > 5",
        "description = 'x'",
        "params.x = 'y'",
        "attribute.a.b = 'x'",
        "name IN 'a'",
        "name IN ('a'",
        "name IN ('a' 'b')",
        "name IN ()",
        "name IN (5)",
        "name NOT LIKE 'a'",
        "version_number = 1.5",
        "version_number = 'x'",
        "version_number IN (1)",
        "version_number = 99999999999999999999",
        "name = 'a' AND",
        "x" * (FILTER_MAX_CHARS + 1),
        " AND ".join(["name = 'a'"] * (COMPARISONS_MAX + 1)),
        "(" * 10_000,
        "version_number = 1)",
        "\\",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(BadFilter):
        parse_filter(text, VERSIONS)


def test_models_are_found_by_fewer_attributes() -> None:
    with pytest.raises(BadFilter, match="Valid keys are name and tags"):
        parse_filter("run_id = 'x'", MODELS)


@given(st.text(max_size=80))
def test_no_text_is_more_than_refused(text: str) -> None:
    with contextlib.suppress(BadFilter):
        parse_filter(text, VERSIONS)


@given(st.text(max_size=40).filter(lambda text: "'" not in text))
def test_a_quoted_value_comes_back_as_it_was(value: str) -> None:
    assert parse_filter(f"name = '{value}'", MODELS).comparisons[0].values == (value,)


@pytest.mark.parametrize(
    ("clauses", "expected"),
    [
        ([], ()),
        (["name"], (Order("name"),)),
        (["name ASC", "timestamp desc"], (Order("name"), Order("timestamp", descending=True))),
        (["  last_updated_timestamp   DESC "], (Order("last_updated_timestamp", descending=True),)),
        (["attribute.name ASC"], (Order("name"),)),
        (["`name`"], (Order("name"),)),
    ],
)
def test_orders_are_read(clauses: list[str], expected: tuple[Order, ...]) -> None:
    assert parse_order(clauses, MODEL_ORDERS) == expected


@pytest.mark.parametrize(
    "clauses",
    [["name", "name DESC"], ["version_number; --"], [""], ["DESC"], ["name ASC ASC"], ["tags.k"]],
)
def test_other_orders_are_refused(clauses: list[str]) -> None:
    with pytest.raises(BadFilter):
        parse_order(clauses, VERSION_ORDERS)
