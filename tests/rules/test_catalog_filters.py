"""The filter language and orders: what is understood, and what is said about what is not."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.errors import BadCursor, BadFilter
from muniment.core.names import SemVer
from muniment.server.catalog.rules.fields import ASSET_FIELDS, VERSION_FIELDS, field_named
from muniment.server.catalog.rules.filters import All, Comparison, Filter, Not, Some, filter_text
from muniment.server.catalog.rules.parsing import parse_field, parse_filter
from muniment.server.catalog.rules.sorting import key_from_cursor, parse_order, query_mark


def parsed(text: str) -> Filter | None:
    return parse_filter(text, VERSION_FIELDS)


def compared(name: str, op: str, *values: object, key: str | None = None) -> Comparison:
    return Comparison(field_named(name, key, VERSION_FIELDS), op, values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("  \n", None),
        ("name = 'a'", compared("name", "=", "a")),
        ("NAME='it''s'", compared("name", "=", "it's")),
        ("name <> 'a'", Not(compared("name", "=", "a"))),
        ("name != 'a'", Not(compared("name", "=", "a"))),
        ("name not like 'a%'", Not(compared("name", "LIKE", "a%"))),
        ("name NOT ILIKE '\\%'", Not(compared("name", "ILIKE", "\\%"))),
        ("number in (1,2.0, 3e0)", compared("number", "IN", 1.0, 2.0, 3.0)),
        ("number = '7'", compared("number", "=", 7.0)),
        ("number NOT IN (1)", Not(compared("number", "IN", 1.0))),
        ("NOT (NOT number = 1)", Not(Not(compared("number", "=", 1.0)))),
        ("executable = TRUE", compared("executable", "=", True)),
        ("params.early = false", compared("params", "=", False, key="early")),
        ("params.lr = 1e-3", compared("params", "=", 0.001, key="lr")),
        ("params.day = 2026-01-02", compared("params", "=", "2026-01-02", key="day")),
        ("param.x.y = '1'", compared("params", "=", "1", key="x.y")),
        ('tags."a ""b""" = \'c\'', compared("tags", "=", "c", key='a "b"')),
        ("tag.`a b` = 'c'", compared("tags", "=", "c", key="a b")),
        ("tags.and = 'c'", compared("tags", "=", "c", key="and")),
        ("metric.auc >= +.5", compared("metrics", ">=", 0.5, key="auc")),
        ("version > '1.0.0-rc.1'", compared("version", ">", SemVer.parse("1.0.0-rc.1"))),
        ("digest = 'sha256:" + "0" * 64 + "'", compared("digest", "=", b"\0" * 32)),
        ("kind IN ('model', 'prompt')", compared("kind", "IN", "model", "prompt")),
        (
            "created_at > 2026-01-02",
            compared("registered_at", ">", dt.datetime(2026, 1, 2, tzinfo=dt.UTC)),
        ),
        (
            "registered_at = '2026-01-02T03:04:05+01:00'",
            compared("registered_at", "=", dt.datetime(2026, 1, 2, 2, 4, 5, tzinfo=dt.UTC)),
        ),
        (
            "registered_at = 2026-01-02T03:04:05.5Z",
            compared("registered_at", "=", dt.datetime(2026, 1, 2, 3, 4, 5, 500000, tzinfo=dt.UTC)),
        ),
        (
            "number = 1 or number = 2 and number = 3 OR number = 4",
            Some(
                (
                    compared("number", "=", 1.0),
                    All((compared("number", "=", 2.0), compared("number", "=", 3.0))),
                    compared("number", "=", 4.0),
                )
            ),
        ),
        (
            "(number = 1 and number = 2) and number = 3",
            All(tuple(compared("number", "=", float(n)) for n in (1, 2, 3))),
        ),
    ],
)
def test_what_a_filter_says(text: str, expected: Filter | None) -> None:
    found = parsed(text)
    assert found == expected
    if found is not None:
        assert parsed(filter_text(found)) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name =", "at character 7: expected a date, a number, text in single quotes"),
        ('name = "a"', "text goes in single quotes"),
        ("name = 'a", "is a quote left open?"),
        ("name == 'a'", "at character 7"),
        ("name = 'a' name = 'b'", r"expected AND, OR, the end, found 'name'"),
        ("(name = 'a'", "expected .*, found the end"),
        ("name = 'a')", r"found '\)'"),
        ("nme = 'a'", "did you mean `name`"),
        ("zzzzzz = 'a'", "known are: alias"),
        ("tags = 'a'", "expected a key after `tags`"),
        ("tags.\"\" = 'a'", "expected a key after `tags`"),
        ("name.x = 'a'", "has no keys"),
        ("tags.%s = 'a'" % ("k" * 251), "at most 250"),
        ("name LIKE 'a\\'", "last backslash"),
        ("name LIKE 3", "pattern in single quotes"),
        ("name = 3", "expected text in single quotes for name, found 3"),
        ("number = 'x'", "a number for number"),
        ("number = true", "a number for number"),
        ("metrics.a > 1e999", "a number"),
        ("number LIKE '1'", "expected one of = < <= > >= IN after number"),
        ("executable = 1", "true or false"),
        ("executable > true", "expected one of ="),
        ("registered_at > 1", "a date or time"),
        ("registered_at > '2026-02-30'", "a date or time"),
        ("registered_at > '0001-01-01T00:00:00+05:00'", "a date or time"),
        ("version = '1'", "a semantic version"),
        ("version = 1", "a semantic version"),
        ("digest = 'ab'", "a SHA-256 digest"),
        ("digest = 1", "a SHA-256 digest"),
        ("kind = 'modl'", "one of model, prompt, adapter"),
        ("kind LIKE 'm%'", "expected one of = IN"),
        ("lifecycle = 'live'", "one of draft, candidate"),
        ("name = '" + "x" * 1001 + "'", "at most 1000 characters"),
        ("name = '" + "x" * 5000 + "'", "at most 4096"),
        ("number IN (" + ",".join("1" * 501) + ")", "at most 500 values"),
        ("number IN ()", "expected"),
        (" AND ".join(["number=1"] * 101), "at most 100 comparisons"),
        ("(" * 33 + "number=1" + ")" * 33, "at most 32 levels"),
        ("NOT " * 33 + "number=1", "at most 32 levels"),
        ("NOT (" * 20 + "number=1" + ")" * 20, "at most 32 levels"),
        ("name = '\0'", "without NUL"),
        ("name = '\ud800'", "Unicode"),
        ("name; DROP TABLE version", "found ';'"),
        ("1 = 1", "a field"),
        ("name = 'a' --", "found '-"),
        ("name IS NULL", "expected"),
        ("🕵 = 'a'", "at character 1"),
    ],
)
def test_what_is_said_about_what_is_none(text: str, said: str) -> None:
    with pytest.raises(BadFilter, match=said) as caught:
        parsed(text)
    assert len(caught.value.message) < 700


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_a_bad_one(text: str) -> None:
    try:
        found = parsed(text)
    except BadFilter:
        return
    assert found is None or parsed(filter_text(found)) == found


@given(
    st.lists(
        st.sampled_from(
            ["name", "=", "'a'", "(", ")", "AND", "NOT", "IN", ",", "tags.", "1", "LIKE"]
        ),
        max_size=30,
    )
)
def test_any_words_are_a_filter_or_a_bad_one(words: list[str]) -> None:
    test_any_text_is_a_filter_or_a_bad_one.hypothesis.inner_test(" ".join(words))  # type: ignore[attr-defined]


def test_quotes_and_keywords_inside_text_do_not_nest() -> None:
    text = "name = '" + "((((not " * 40 + "'"
    assert parsed(text) == compared("name", "=", "((((not " * 40)


def test_assets_know_other_fields_than_versions() -> None:
    assert parse_filter("escalation_contact = 'x'", ASSET_FIELDS)
    with pytest.raises(BadFilter):
        parsed("escalation_contact = 'x'")
    with pytest.raises(BadFilter):
        parse_filter("digest = 'x'", ASSET_FIELDS)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], []),
        (["name"], ["name asc"]),
        (["name desc, version ASC"], ["name desc", "version asc"]),
        (["metrics.auc DESC", "tags.`a, b`"], ["metrics.auc desc", 'tags."a, b" asc']),
        (['tags."x desc" desc'], ['tags."x desc" desc']),
        (["created_at desc,"], ["registered_at desc"]),
    ],
)
def test_what_an_order_says(texts: list[str], expected: list[str]) -> None:
    assert [str(sort) for sort in parse_order(texts, VERSION_FIELDS)] == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nme", "did you mean `name`"),
        ("license", "cannot sort by license; can by: metrics, name"),
        ("name, name desc", "each field once"),
        ("name, version, number, owner, namespace", "at most 4"),
        ("name sideways", "expected a field"),
        ("name; --", "expected a field"),
        ("tags", "expected a key"),
        ("tags.`\0`", "expected a field"),
        ("tags.`\ud800`", "expected a field"),
        ("desc", "no field `desc`"),
    ],
)
def test_what_is_said_about_a_bad_order(text: str, said: str) -> None:
    with pytest.raises(BadFilter, match=said):
        parse_order([text], VERSION_FIELDS)


@given(st.text(max_size=20))
def test_any_text_is_an_order_or_a_bad_one(text: str) -> None:
    try:
        sorts = parse_order([text], VERSION_FIELDS)
    except BadFilter:
        return
    assert parse_order([", ".join(str(sort) for sort in sorts)], VERSION_FIELDS) == sorts


def test_a_field_alone_is_read_as_in_a_filter() -> None:
    assert parse_field("tags.x", VERSION_FIELDS) == field_named("tags", "x", VERSION_FIELDS)


ID = "01890000-0000-7000-8000-000000000000"


def test_a_cursor_gives_its_values_back() -> None:
    sorts = parse_order(["name, registered_at, number, version"], VERSION_FIELDS)
    mark = query_mark("q")
    key = ["ä", "2026-01-01 00:00:00.5+00", "7", "0011", ID]
    assert key_from_cursor({"query": mark, "key": key}, mark, sorts) == [
        "ä",
        dt.datetime(2026, 1, 1, 0, 0, 0, 500000, tzinfo=dt.UTC),
        7.0,
        "0011",
        uuid.UUID(ID),
    ]


@pytest.mark.parametrize(
    "key",
    [
        None,
        [],
        [1, 2, 3, 4, 5],
        ["a", "x", "7", "1", ID],
        ["a", "2026-01-01", "seven", "1", ID],
        ["a", "2026-01-01", "nan", "1", ID],
        ["a", "2026-01-01", "7", "1", "id"],
        ["\0", "2026-01-01", "7", "1", ID],
        ["\ud800", "2026-01-01", "7", "1", ID],
        ["a", "0001-01-01T00:00:00+05:00", "7", "1", ID],
    ],
)
def test_a_forged_cursor_is_refused(key: object) -> None:
    sorts = parse_order(["name, registered_at, number, version"], VERSION_FIELDS)
    with pytest.raises(BadCursor):
        key_from_cursor({"query": "m", "key": key}, "m", sorts)
    with pytest.raises(BadCursor, match="another query"):
        key_from_cursor({"query": "other", "key": key}, "m", sorts)
