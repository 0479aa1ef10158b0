"""The one reader of evidence: what it takes, and where it says that it takes something not."""

from __future__ import annotations

import contextlib
import io
import json
import tracemalloc
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.server.evidence.records import Unreadable
from muniment.server.evidence.rules import locating, zips
from muniment.server.evidence.rules.locating import Offence
from muniment.server.evidence.rules.reading import (
    Document,
    Limits,
    clean,
    count_at,
    items_at,
    members_at,
    number_at,
    read,
    text_at,
    walk,
)
from muniment.server.evidence.rules.strict_yaml import NotYaml, load_yaml

SMALL = Limits(max_bytes=100_000, max_depth=8, max_values=1000, max_unpacked_bytes=5000)


def problem_of(data: bytes | str, name: str = "out.json", limits: Limits = SMALL) -> dict[str, Any]:
    found = read(data.encode() if isinstance(data, str) else data, name, limits)
    assert isinstance(found, Unreadable), found
    assert len(found.problems) == 1
    return dict(found.problems[0])


def value_of(data: bytes | str, limits: Limits = SMALL) -> Document:
    found = read(data.encode() if isinstance(data, str) else data, "x", limits)
    assert isinstance(found, Document), found
    return found


@contextlib.contextmanager
def at_most_bytes(most: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(JSON.filter(lambda value: isinstance(value, dict | list)))
def test_json_is_read_as_json(value: Any) -> None:
    found = read(json.dumps(value).encode(), "x", Limits())
    assert isinstance(found, Document)
    assert (found.value, found.syntax, found.nonfinite) == (value, "json", ())


@pytest.mark.parametrize(
    ("data", "place", "message"),
    [
        (b"", "out.json", "an empty file"),
        (b"  \n ", "out.json", "an empty file"),
        (b"\x1f\x8b123", "out.json", "gzip"),
        (b"<?xml version='1.0'?>", "out.json", "XML"),
        (b"\x80\x04\x95", "out.json", "a pickle"),
        ('{"a":1}'.encode("utf-16"), "out.json", "UTF-16"),
        (b'{"a":"\xff"}', "out.json byte 6", "UTF-8"),
        (b'{"a":1', "out.json line 1 column 7", "a mistake"),
        (b'{"a":\n  tru}', "out.json line 2 column 3", "a mistake"),
        (b'{"a":{"b":1,\n"b":2}}', "out.json line 2 column 1 (/a/b)", "'b' again"),
        (b'[{"x":[1, 1e999]}]', "out.json line 1 column 11 (/0/x/1)", "a double can hold"),
        (b"[" + b"9" * 400 + b"]", "out.json line 1 column 2 (/0)", "a double can hold"),
        (b"[" * 9 + b"]" * 9, "out.json line 1 column 9 (/0/0/0/0/0/0/0/0)", "8 levels"),
        (b'{"a":' * 9 + b"1" + b"}" * 9, "out.json line 1 column 41 (/a/a/a/a/a/a/a/a)", "levels"),
        (b"[" + b"0," * 1000 + b"0]", "out.json", "1000 values, found 1001"),
        (b" " * 100_001, "out.json", "at most 100000 bytes, found 100001"),
        (b'{"a":1}\n{"b":2}\n{"c":', "out.json line 3 column 6", "a mistake"),
        (b'{"a":1}\n{"b":2,"b":3}\n', "out.json line 2", "again"),
        (b'{"a":1}\n' + b"[" * 9 + b"]" * 9, "out.json line 2", "8 levels"),
        (b'{"a":1} {"b":2}', "out.json line 1 column 9", "Extra data"),
        (b'{"a":\n1}\n{"b":2}', "out.json line 3 column 1", "Extra data"),
        (b"just words", "out.json", "found text"),
        (b"- &a [1]\n- *a", "out.json line 1 column 3", "anchors"),
        (b"a: *b", "out.json line 1 column 4", "aliases"),
        (b"a: !!python/object/apply:os.system [id]", "out.json line 1 column 4", "tags"),
        (b"a: 1\na: 2", "out.json line 2 column 1", "'a' again"),
        (b"<<: {a: 1}", "out.json", "XML"),
        (b"a: 1\n<<: {a: 1}", "out.json line 2 column 1", "merge"),
        (b"? [1]\n: 2", "out.json line 1 column 3", "a list or mapping"),
        (b"a: 1\n---\nb: 2", "out.json line 2 column 1", "a second one"),
        (b"a: 1e9999", "out.json line 1 column 4", "a double can hold"),
        (b"a: 'x", "out.json line 1 column 6", "a mistake"),
        (b"a: \x07", "out.json", "a mistake"),
        (b"a: " + b"[" * 9 + b"]" * 9, "out.json line 1 column 11", "8 levels"),
        (b"a:\n" + b"- 1\n" * 1000, "out.json line 999 column 3", "1000 values"),
        (b"PK\x03\x04nonsense", "out.json", "a broken one"),
    ],
)  # fmt: skip
def test_what_is_not_taken_is_named_with_its_place(data: bytes, place: str, message: str) -> None:
    found = problem_of(data)
    assert found["field"] == place
    assert message in found["message"]


def test_integers_that_a_double_cannot_tell_apart_are_read_as_one() -> None:
    assert value_of("[9007199254740993, 100000000000000000000000]").value == [2.0**53, 1e23]


def test_commas_in_text_are_no_values() -> None:
    assert value_of(json.dumps(["," * 5000])).value == ["," * 5000]


def test_nan_is_kept_apart_with_its_place() -> None:
    found = value_of('{"a": [1, NaN, -Infinity]}')
    assert found.value == {"a": [1, None, None]}
    assert found.nonfinite == ("x line 1 column 11 (/a/1)",) * 2
    assert value_of('{"a":1}\n{"a":NaN}\n').nonfinite == ("x line 2",)
    assert value_of("a: .nan\nb: [.inf]\n").nonfinite == (
        "x line 1 column 4",
        "x line 2 column 5",
    )


def test_json_lines_are_a_list_and_json_is_one_line() -> None:
    lines = value_of('{"a":1}\n\n{"a":2}\n')
    assert (lines.syntax, lines.value, lines.lines) == ("jsonl", [{"a": 1}, {"a": 2}], lines.value)
    assert value_of('{"a":1}').lines == [{"a": 1}]


def test_yaml_is_what_json_can_say() -> None:
    text = "a: [1, -2.5, 1e3, yes, no, on, 2026-01-01, 0o17, 0x1f, 1_000, true, ~, '1', null, '']\nb: |\n  x\nc:\n"
    assert value_of(text).value == {
        "a": [1, -2.5, 1000.0, "yes", "no", "on", "2026-01-01", "0o17", "0x1f", "1_000", True,
              None, "1", None, ""],
        "b": "x\n",
        "c": None,
    }  # fmt: skip
    assert value_of("a: 99999999999999999999999").value == {"a": 1e23}
    assert load_yaml("", 3, 3) == (None, [])


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_nothing_makes_the_reader_fail(data: bytes) -> None:
    assert isinstance(read(data, "x", SMALL), Document | Unreadable)


@given(st.text(alphabet="{}[]\",:1eNa&*!-\n x'|>?%@`#", max_size=60))
def test_nothing_that_looks_like_yaml_or_json_makes_the_reader_fail(text: str) -> None:
    assert isinstance(read(text.encode(), "x", SMALL), Document | Unreadable)


@given(st.text(alphabet='{}[]:,"a1\n', max_size=40), st.sampled_from(Offence))
def test_a_place_is_found_or_not_but_never_fails(text: str, offence: Offence) -> None:
    try:
        json.loads(text)
    except ValueError:
        return
    assert isinstance(locating.locate(text, offence, 1), str)


def test_an_exploding_yaml_stays_small() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a}]\n"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with at_most_bytes(5_000_000):
        assert "anchors" in problem_of(bomb)["message"]


# --- zips ------------------------------------------------------------------------------------------


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "."), data)
    return out.getvalue()


def test_a_member_is_read_as_a_file_of_its_own() -> None:
    document = value_of(zipped(header__json=b'{"a": 1}', bad__json=b'{"a": }'))
    assert document.archive is not None
    assert document.archive.names == ("header.json", "bad.json")
    header = document.member("header.json")
    assert isinstance(header, Document)
    assert header.value == {"a": 1}
    bad = document.member("bad.json")
    assert isinstance(bad, Unreadable)
    assert bad.problems[0]["field"] == "x!bad.json line 1 column 7"
    gone = document.member("none")
    assert isinstance(gone, Unreadable)
    assert gone.problems[0]["message"] == "is not in the zip"


def test_a_zip_bomb_is_stopped_while_it_unpacks() -> None:
    document = value_of(zipped(a__json=b"0" * 50_000_000), Limits(max_unpacked_bytes=10_000))
    with at_most_bytes(5_000_000):
        found = document.member("a.json")
    assert isinstance(found, Unreadable)
    assert "more than the 10000 bytes allowed" in found.problems[0]["message"]


def test_what_was_unpacked_counts_for_all_members() -> None:
    document = value_of(zipped(a__json=b"[" + b" " * 3000 + b"]", b__json=b" " * 3000))
    assert isinstance(document.member("a.json"), Document)
    assert isinstance(document.member("b.json"), Unreadable)


def test_a_member_that_lies_about_itself_is_refused() -> None:
    data = bytearray(zipped(a__json=b'{"a": 1234567890}'))
    data[45] ^= 0xFF
    found = value_of(bytes(data)).member("a.json")
    assert isinstance(found, Unreadable)
    assert "cannot be unpacked" in found.problems[0]["message"]


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../b", "\\x", "a\\..\\b"])
def test_names_that_leave_the_zip_are_refused(name: str) -> None:
    assert "inside the zip" in problem_of(zipped(**{name: b"x"}))["message"]


def test_two_members_of_one_name_are_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", b"2")
    assert "'a' again" in problem_of(out.getvalue())["message"]


def test_encrypted_members_are_refused() -> None:
    data = bytearray(zipped(a=b"1"))
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in problem_of(bytes(data))["message"]


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "MAX_MEMBERS", 2)
    assert "at most 2 members" in problem_of(zipped(a=b"", b=b"", c=b""))["message"]


# --- picking values ----------------------------------------------------------------------------------


def test_text_is_shown_without_what_steers_a_terminal() -> None:
    assert clean("a\x1b[31m\0\ud800b") == "a�[31m��b"
    assert clean("x" * 600) == "x" * 499 + "…"
    assert (clean(None), clean(3)) == ("", "3")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (walk({"a": [1, {"b": 2}]}, "a", 1, "b"), 2),
        (walk({"a": [1]}, "a", 5), None),
        (walk({"a": [1]}, "a", "b"), None),
        (walk("text", 0), None),
        (text_at({"a": " "}, "a"), None),
        (text_at({"a": "x"}, "a"), "x"),
        (number_at({"a": True}, "a"), None),
        (number_at({"a": 2}, "a"), 2.0),
        (count_at({"a": 2.0}, "a"), 2),
        (count_at({"a": -1}, "a"), None),
        (count_at({"a": 1.5}, "a"), None),
        (count_at({"a": "1"}, "a"), None),
        (items_at({"a": 1}, "a"), []),
        (items_at({"a": [1]}, "a"), [1]),
        (list(members_at({"a": {"b": 1}}, "a")), [("b", 1)]),
        (list(members_at({"a": 1}, "a")), []),
    ],
)
def test_values_are_picked_only_where_they_are(found: Any, expected: Any) -> None:
    assert found == expected


def test_yaml_says_where_even_without_a_mark() -> None:
    assert NotYaml("no").place == ""


def test_nesting_that_would_overflow_the_stack_is_refused() -> None:
    assert "64 levels" in problem_of(b"[" * 1_000_000, limits=Limits())["message"]
    assert "64 levels" in problem_of(b'{"a":' * 200_000, limits=Limits())["message"]
    assert "64 levels" in problem_of(b"a: " + b"[" * 100_000, limits=Limits())["message"]
    assert "64 levels" in problem_of(b"{}\n" + b"[" * 100_000, limits=Limits())["message"]
