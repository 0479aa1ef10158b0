"""One value has one canonical form, and what is read is what was written."""

from __future__ import annotations

import enum
import json
import random
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.canon import (
    MAX_DEPTH,
    canonical,
    canonical_no_floats,
    from_base64,
    loads_strict,
    to_base64,
)
from muniment.core.errors import BadJson, BadProof

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | INTEGERS | TEXT
VALUES = st.recursive(
    SCALARS | FLOATS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=30,
)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"1" + b"]" * depth


def shuffled(value: Any, seed: int) -> Any:
    """`value` with the members of every object in another order."""
    if isinstance(value, dict):
        names = list(value)
        random.Random(seed).shuffle(names)
        return {name: shuffled(value[name], seed) for name in names}
    return [shuffled(each, seed) for each in value] if isinstance(value, list) else value


@given(VALUES)
def test_both_encoders_agree(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@given(FLOATS)
def test_floats_are_written_without_loss(number: float) -> None:
    assert float(canonical(number)) == number


@given(VALUES, st.integers())
def test_the_order_of_members_does_not_matter(value: Any, seed: int) -> None:
    assert canonical(shuffled(value, seed)) == canonical(value)


@given(VALUES)
def test_what_is_read_is_written_again_byte_for_byte(value: Any) -> None:
    written = canonical(value)
    assert canonical(loads_strict(written)) == written
    assert canonical(loads_strict(json.dumps(value))) == written


def test_members_are_sorted_as_in_the_specification() -> None:
    """RFC 8785 §3.2.3."""
    members = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    expected = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(canonical(dict.fromkeys(members, 0)))) == expected


def test_the_example_of_the_specification() -> None:
    """RFC 8785 §3.2.2."""
    source = r"""{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
    }"""
    expected = (
        '{"literals":[null,true,false],'
        '"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical(loads_strict(source)).decode() == expected


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        -float("inf"),
        2**53,
        -(2**53),
        10**400,
        "\ud800",
        {"\udfff": 1},
        {"\U0001f600": 1, "\udfff": 2},
        {1: 2},
        {None: 1},
        {("a",): 1.5},
        b"bytes",
        {1, 2},
        object(),
        [[1.5, object()]],
        [0.5, "\ud800"],
    ],
)
def test_what_has_no_canonical_form(value: Any) -> None:
    for wrapped in (value, [value], {"a": [value, 1.5]}):
        with pytest.raises(BadJson):
            canonical(wrapped)


def test_enumerations_are_written_as_their_values() -> None:
    class Word(enum.StrEnum):
        YES = "yes"

    class Number(enum.IntEnum):
        ONE = 1

    for extra in ([], [0.5]):
        value = [Word.YES, Number.ONE, {Word.YES: Word.YES}, *extra]
        assert json.loads(canonical(value)) == ["yes", 1, {"yes": "yes"}, *extra]


def test_tuples_are_written_as_lists() -> None:
    assert canonical((1, ("a", 0.5))) == b'[1,["a",0.5]]'


def test_writing_is_bounded_in_depth() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(BadJson, match="levels"):
        canonical(value)
    with pytest.raises(BadJson, match="levels"):
        canonical_no_floats(value)


@pytest.mark.parametrize("value", [0.5, [1.0], {"a": {"b": [1, 0.0]}}, ([1e3],), float("nan")])
def test_floats_are_refused_where_they_must_be(value: Any) -> None:
    with pytest.raises(BadJson, match="floating-point"):
        canonical_no_floats(value)


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)))
def test_without_floats_both_forms_are_one(value: Any) -> None:
    assert canonical_no_floats(value) == canonical(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[1,]",
        b"{'a':1}",
        b'{"a":1}x',
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"\\u0062":2}}',
        b"NaN",
        b"[-Infinity]",
        b"1e999",
        b"-1e999",
        b"9007199254740993",
        b"[" + b"9" * 5000 + b"]",
        b"1" * 400,
        b"01",
        b'"\x01"',
        b'"\\ud800"',
        b'{"\\udc00":1}',
        b'"\xff"',
        b'\xef\xbb\xbf"bom"',
        '"utf-16"'.encode("utf-16"),
        nested(MAX_DEPTH + 2),
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        "\ud800",
        None,
        7,
        ["[]"],
    ],
)
def test_what_is_not_read(data: Any) -> None:
    with pytest.raises(BadJson):
        loads_strict(data)


def test_nesting_is_read_to_the_limit_and_written_again() -> None:
    assert canonical(loads_strict(nested(MAX_DEPTH))) == nested(MAX_DEPTH)


def test_size_is_bounded() -> None:
    assert loads_strict(b'"abc"', max_bytes=5) == "abc"
    with pytest.raises(BadJson, match="at most 4 bytes"):
        loads_strict(b'"abc"', max_bytes=4)
    with pytest.raises(BadJson, match="at most 4 bytes, found 5"):
        loads_strict('"\u20ac"', max_bytes=4)


def test_escaped_pairs_are_characters() -> None:
    assert loads_strict(b'"\\ud83d\\ude00"') == "\U0001f600"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-0", 0),
        ("9007199254740991", 2**53 - 1),
        ("-9007199254740991", -(2**53) + 1),
        ("9007199254740992", 2.0**53),
        ("100000000000000000", 1e17),
        ("1.0", 1.0),
        ("1e2", 100.0),
    ],
)
def test_numbers_keep_what_a_double_can_hold(text: str, value: float) -> None:
    found = loads_strict(text)
    assert found == value
    assert type(found) is type(value)


@given(st.binary() | st.text())
def test_no_bytes_make_reading_fail_otherwise(data: bytes | str) -> None:
    try:
        value = loads_strict(data)
    except BadJson:
        return
    assert loads_strict(canonical(value)) == value


@given(st.binary())
def test_base64_is_read_as_written(data: bytes) -> None:
    assert from_base64(to_base64(data)) == data


@pytest.mark.parametrize(
    "text", ["A", "AA", "AAA", "AB==", "AA==\n", "-_-_", "AA==AA==", "é", " ", None, 3, b"AA=="]
)
def test_base64_has_one_spelling(text: Any) -> None:
    with pytest.raises(BadProof):
        from_base64(text)
