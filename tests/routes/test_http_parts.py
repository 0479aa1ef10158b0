"""The kit's pure parts: routing, decoding, ranges, cursors, limits."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.errors import BadBody, BadCursor, BadRange, BadRequest, TooManyRequests
from muniment.server.http import limits, paging, ranges, routing
from muniment.server.http.decode import QueryPlan, body_of, problems_in, refuse

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)

# --- routing -----------------------------------------------------------------------------------

ROUTER = routing.Router(
    [
        ("GET", "/assets", "list"),
        ("POST", "/assets", "create"),
        ("GET", "/assets/{namespace}/{name}", "asset"),
        ("GET", "/assets/{namespace}/{name}/versions", "versions"),
        ("GET", "/assets/{namespace}/mine", "mine"),
        ("GET", "/files/{digest}/{path:path}", "file"),
    ]
)


def found(path: str, method: str = "GET") -> tuple[str, tuple[str, ...]] | None:
    match = ROUTER.find(path)
    return (match.methods.get(method, "no such method"), match.values) if match else None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/assets", ("list", ())),
        ("/assets/", None),
        ("/assets/a", None),
        ("/assets/a/b", ("asset", ("a", "b"))),
        ("/assets/a/mine", ("mine", ("a",))),
        ("/assets/a/mine/versions", ("versions", ("a", "mine"))),
        ("/assets//b", None),
        ("/assets/a%2Fb/c", ("asset", ("a/b", "c"))),
        ("/assets/a/fraud%20detector", ("asset", ("a", "fraud detector"))),
        ("/assets/a/%2520", ("asset", ("a", "%20"))),
        ("/assets/a/%00", None),
        ("/assets/a/%ff", None),
        ("/assets/a/%F0%9F%A6%84", ("asset", ("a", "🦄"))),
        ("/files/x/a/b//c", ("file", ("x", "a/b//c"))),
        ("/files/x/", ("file", ("x", ""))),
        ("/files/x", None),
        ("/", None),
        ("", None),
    ],
)
def test_what_is_at_a_path(path: str, expected: object) -> None:
    assert found(path) == expected


names = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20
)


@given(names, names)
def test_any_name_comes_through_a_path_once(namespace: str, name: str) -> None:
    path = f"/assets/{quote(namespace, safe='')}/{quote(name, safe='')}"
    expected = ("mine", (namespace,)) if name == "mine" else ("asset", (namespace, name))
    assert found(path) == expected


def test_methods_are_told_apart() -> None:
    assert found("/assets", "POST") == ("create", ())
    assert found("/assets", "PUT") == ("no such method", ())


def test_two_operations_cannot_answer_the_same() -> None:
    with pytest.raises(ValueError, match=r"two operations answer GET /a/\{other\}"):
        routing.Router([("GET", "/a/{one}", 1), ("GET", "/a/{other}", 2)])


def test_a_path_as_openapi_writes_it() -> None:
    assert routing.plain("/files/{digest}/{path:path}") == "/files/{digest}/{path}"
    assert routing.parameters("/files/{digest}/{path:path}") == ["digest", "path"]


def test_the_path_as_it_was_sent() -> None:
    scope = {"raw_path": b"/x/a%2Fb?q=1", "path": "/x/a/b", "root_path": "/x"}
    assert routing.sent_path(scope) == "/a%2Fb"
    assert routing.sent_path({"path": "/a"}) == "/a"


# --- bodies ------------------------------------------------------------------------------------


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    path: str
    size_bytes: Annotated[int, msgspec.Meta(ge=0)]


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    files: Annotated[list[Inner], msgspec.Meta(max_length=3)] = []
    tags: dict[str, str] = {}
    first: Inner | None = None
    when: dt.datetime | None = None
    either: int | list[int] | None = None

    def __post_init__(self) -> None:
        if self.name == "forbidden":
            raise ValueError("that name is not for you")


DECODER = msgspec.json.Decoder(Outer)


def problems(value: Any) -> list[tuple[str, str]]:
    _, found_ = body_of(json.dumps(value).encode(), DECODER)
    return [(each["field"], each["message"]) for each in found_]


def test_a_good_body_is_decoded() -> None:
    body, wrong = body_of(b'{"name":"a","files":[{"path":"p","size_bytes":1}]}', DECODER)
    assert (body, wrong) == (Outer("a", [Inner("p", 1)]), [])


def test_all_that_is_wrong_is_said_at_once() -> None:
    value = {
        "files": [{"path": 1, "size_bytes": -1}, {"path": "ok", "size_bytes": 0}, {"x": 1}],
        "tags": {"a": 1, "b": "fine"},
        "first": {"path": "p"},
        "when": "yesterday",
        "either": ["x", 2, "y"],
        "colour": "red",
    }
    assert [field for field, _ in problems(value)] == [
        "colour",
        "name",
        "files[0].path",
        "files[0].size_bytes",
        "files[2].x",
        "files[2].path",
        "files[2].size_bytes",
        "tags.a",
        "first.size_bytes",
        "when",
        "either[0]",
        "either[2]",
    ]


@pytest.mark.parametrize(
    ("value", "field", "words"),
    [
        ([], "", "object"),
        (None, "", "object"),
        ({"name": "a", "files": {}}, "files", "array"),
        ({"name": "a", "files": [1, 2, 3, 4]}, "files[0]", "object"),
        ({"name": "a", "files": [{"path": "p", "size_bytes": 1}] * 4}, "files", "length <= 3"),
        ({"name": "a", "first": 3}, "first", "object"),
        ({"name": "a", "either": {"x": 1}}, "either", "int"),
        ({"name": "forbidden"}, "", "not for you"),
        ({"name": "a\0"}, "name", "NUL"),
        ({"name": "a", "tags": {"b\0": "c"}}, "tags.(a name)", "NUL"),
    ],
)
def test_what_is_wrong_is_named(value: Any, field: str, words: str) -> None:
    first = problems(value)[0]
    assert first[0] == field
    assert words in first[1]


def test_what_only_looks_like_nul_is_fine() -> None:
    assert problems({"name": "a\\u0000"}) == []


def test_nul_is_found_however_deep_it_lies() -> None:
    deep = b"[" * 800 + b'"\\u0000"' + b"]" * 800
    _, found_ = body_of(deep, msgspec.json.Decoder(Any))
    assert found_[0]["message"] == "holds the character NUL"


def test_a_list_of_problems_has_an_end() -> None:
    kind = list[Inner]
    assert len(problems_in([{}] * 10_000, kind)) == 100


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["name", "files", "tags", "first", "when", "either", "path", "size_bytes"]
            ),
            inner,
            max_size=8,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_a_body_is_decoded_or_something_is_said_of_it(value: Any) -> None:
    raw = json.dumps(value).encode()
    try:
        body, wrong = body_of(raw, DECODER)
    except BadBody:
        return
    assert (body is None) <= bool(wrong)
    assert bool(wrong) == (not _decodes(raw) or b"\\u0000" in raw)


def _decodes(raw: bytes) -> bool:
    try:
        DECODER.decode(raw)
    except msgspec.ValidationError:
        return False
    return True


@given(st.binary(max_size=60))
def test_any_bytes_at_all_are_told_apart(raw: bytes) -> None:
    with contextlib.suppress(BadBody):
        body, wrong = body_of(raw, DECODER)
        assert isinstance(body, Outer) or wrong


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff", b'"\xff"', b"[" * 100_000, b'{"x":' * 100_000, b"1e999", b"NaN"]
)
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    with pytest.raises(BadBody, match="expected a body of JSON"):
        body_of(raw, DECODER)


# --- queries -----------------------------------------------------------------------------------


class Query(msgspec.Struct):
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50
    kind: str | None = None
    tag: list[str] = []
    number: Annotated[list[int], msgspec.Meta(max_length=2)] | None = None
    all: bool = False


PLAN = QueryPlan(Query)


def test_strings_become_types() -> None:
    query, wrong = PLAN.read(b"limit=5&tag=a&tag=b%20c&all=true&number=1&kind=")
    assert (query, wrong) == (Query(5, "", ["a", "b c"], [1], True), [])
    assert PLAN.read(b"")[0] == Query()


def test_all_that_is_wrong_with_a_query_is_said_at_once() -> None:
    query, wrong = PLAN.read(b"limit=0&colour=red&all=maybe&kind=a&kind=b&number=x&tag=%00")
    assert query is None
    assert [each["field"] for each in wrong] == [
        "colour",
        "kind",
        "tag",
        "limit",
        "number[0]",
        "all",
    ]
    assert {each["in"] for each in wrong} == {"query"}


@pytest.mark.parametrize("raw", [b"kind=%ff", b"\xff=1", b"kind=\xff"])
def test_a_query_that_is_not_utf8_is_refused(raw: bytes) -> None:
    assert PLAN.read(raw)[1]


@given(st.lists(st.tuples(st.sampled_from(["limit", "kind", "tag", "x"]), names), max_size=5))
def test_any_query_is_decoded_or_something_is_said_of_it(pairs: list[tuple[str, str]]) -> None:
    query, wrong = PLAN.read(urlencode(pairs).encode())
    assert (query is None) == bool(wrong)


def test_problems_of_both_are_refused_together() -> None:
    one, other = (
        {"in": "query", "field": "a", "message": "no"},
        {"in": "body", "field": "", "message": "!"},
    )
    with pytest.raises(BadBody) as refused:
        refuse([one], [other])
    assert refused.value.problems == [one, other]
    with pytest.raises(BadRequest, match="in the query: `a` no"):
        refuse([one], [])
    refuse([], [])


# --- ranges ------------------------------------------------------------------------------------

ETAG = '"sha256:x"'


@pytest.mark.parametrize(
    ("header", "span", "status"),
    [
        (None, (0, 10), 200),
        ("bytes=0-0", (0, 1), 206),
        ("bytes=3-", (3, 10), 206),
        ("bytes=-3", (7, 10), 206),
        ("bytes=-30", (0, 10), 206),
        ("bytes=8-99", (8, 10), 206),
        ("BYTES=1-2", (1, 3), 206),
        ("bytes=5-2", (0, 10), 200),
        ("bytes=-", (0, 10), 200),
        ("bytes=a-b", (0, 10), 200),
        ("bytes=0-1,3-4", (0, 10), 200),
        ("lines=0-1", (0, 10), 200),
        ("bytes=1-" + "9" * 30, (0, 10), 200),
    ],
)
def test_one_range_is_served(header: str | None, span: tuple[int, int], status: int) -> None:
    chosen = ranges.select(10, etag=ETAG, range_header=header)
    assert ((chosen.start, chosen.end), chosen.status) == (span, status)
    assert chosen.headers["content-length"] == str(span[1] - span[0])
    if status == 206:
        assert chosen.headers["content-range"] == f"bytes {span[0]}-{span[1] - 1}/10"


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_a_range_past_the_end_is_refused(header: str) -> None:
    with pytest.raises(BadRange) as refused:
        ranges.select(10, etag=ETAG, range_header=header)
    assert refused.value.extra["content_range"] == "bytes */10"


def test_nothing_of_an_empty_file_is_a_range() -> None:
    for header in ("bytes=0-", "bytes=-1"):
        with pytest.raises(BadRange):
            ranges.select(0, etag=ETAG, range_header=header)
    assert ranges.select(0, etag=ETAG, range_header=None).end == 0


def test_part_of_another_file_is_no_part() -> None:
    same = ranges.select(10, etag=ETAG, range_header="bytes=1-2", if_range=ETAG)
    other = ranges.select(10, etag=ETAG, range_header="bytes=1-2", if_range='"other"')
    weak = ranges.select(10, etag=ETAG, range_header="bytes=1-2", if_range="W/" + ETAG)
    assert (same.status, other.status, weak.status) == (206, 200, 200)


@given(st.binary(max_size=30), st.integers(0, 40), st.integers(0, 40))
def test_a_range_is_what_a_slice_is(data: bytes, first: int, last: int) -> None:
    expected = data[first : last + 1]
    try:
        chosen = ranges.select(len(data), etag=ETAG, range_header=f"bytes={first}-{last}")
    except BadRange:
        assert expected == b""
    else:
        got = data[chosen.start : chosen.end]
        assert got == (expected if chosen.status == 206 else data)


@pytest.mark.parametrize(
    ("header", "matching"),
    [("*", True), ('"a"', True), ('W/"a"', True), ('"b", "a"', True), ('"b"', False), ("a", False)],
)
def test_if_none_match(header: str, matching: bool) -> None:
    assert ranges.matches(header, '"a"') is matching
    assert ranges.matches(header, 'W/"a"') is matching


# --- cursors -----------------------------------------------------------------------------------


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers(-(2**53), 2**53)))
def test_a_cursor_comes_back(position: dict[str, Any]) -> None:
    text = paging.encode_cursor(position)
    assert text.replace("-", "").replace("_", "").isalnum()
    assert paging.decode_cursor(text) == position


@given(st.text(max_size=40))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    with contextlib.suppress(BadCursor):
        assert isinstance(paging.decode_cursor(text), dict)


def test_a_page_is_cut() -> None:
    assert paging.cut([1, 2], 2, {"n": 2}) == ([1, 2], None)
    items, cursor = paging.cut([1, 2, 3], 2, {"n": 2})
    assert items == [1, 2]
    assert cursor is not None
    assert paging.decode_cursor(cursor) == {"n": 2}


# --- limits ------------------------------------------------------------------------------------


def test_an_address_gets_its_tries_back_with_time() -> None:
    buckets = limits.Buckets(2, dt.timedelta(seconds=10))
    for _ in range(2):
        buckets.check("a", NOW)
        buckets.take("a", NOW)
    with pytest.raises(TooManyRequests) as refused:
        buckets.check("a", NOW)
    assert refused.value.extra["retry_after_s"] == 10
    buckets.check("b", NOW)
    buckets.check("a", NOW + dt.timedelta(seconds=10))
    with pytest.raises(TooManyRequests):
        buckets.check("a", NOW - dt.timedelta(days=1))


def test_memory_stays_bounded() -> None:
    buckets = limits.Buckets(2, dt.timedelta(seconds=10))
    for number in range(2 * limits.ADDRESSES_MAX):
        buckets.take(str(number), NOW)
    assert len(buckets._buckets) <= limits.ADDRESSES_MAX
    buckets.take("late", NOW + dt.timedelta(days=1))
