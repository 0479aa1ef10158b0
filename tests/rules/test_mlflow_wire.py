"""Requests and errors as MLflow writes them."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core import errors
from muniment.core.errors import BadRequest, MunimentError, NotFound, UnsupportedMedia
from muniment.server.facades.mlflow.rules import aliases, wire


class Body(msgspec.Struct):
    name: str
    page_token: str = ""
    count: int = 0
    flag: bool = False
    tags: list[dict[str, str]] = []


JSON = "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"name":"m"}', Body("m")),
        (b'{"name":"m","count":"7","flag":"true"}', Body("m", count=7, flag=True)),
        (b'{"name":"m","pageToken":"t"}', Body("m", page_token="t")),
        (b'{"name":"m","unknown":{"a":[1]},"count":null}', Body("m")),
        (b'"{\\"name\\": \\"m\\"}"', Body("m")),
        (
            b'{"name":"m","tags":[{"key":"a","value":""}]}',
            Body("m", tags=[{"key": "a", "value": ""}]),
        ),
    ],
)
def test_bodies_read_as_protobuf_reads_them(raw: bytes, expected: Body) -> None:
    assert wire.from_body(Body, raw, JSON) == expected


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "Missing value for required parameter 'name'."),
        (b"{}", "Missing value for required parameter 'name'."),
        (b'{"name":""}', "Missing value for required parameter 'name'."),
        (b'{"name":null}', "Missing value for required parameter 'name'."),
        (b'{"name":5}', "Invalid value for parameter 'name'"),
        (b'{"name":"m","count":"x"}', "Invalid value for parameter 'count'"),
        (b'{"name":"m","page_token":"a","pageToken":"b"}', "given twice"),
        (b'{"name":"a\\u0000b"}', "NUL"),
        (b'"{\\"name\\":\\"a\\\\u0000b\\"}"', "NUL"),
        (b'{"name":"m","tags":[{"key":"a\\u0000","value":"b"}]}', "NUL"),
        (b"{", "not a JSON object"),
        (b"[1]", "not a JSON object"),
        (b'"x"', "not a JSON object"),
        (b"\xff\xfe", "not a JSON object"),
        (b"[" * 100_000, "not a JSON object"),
    ],
)
def test_bodies_that_are_none_are_refused(raw: bytes, says: str) -> None:
    with pytest.raises(BadRequest, match=says.replace(".", r"\.").replace("'", "'")):
        wire.from_body(Body, raw, JSON)


@pytest.mark.parametrize("media", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_only_json_is_a_body(media: str) -> None:
    with pytest.raises(UnsupportedMedia):
        wire.from_body(Body, b'{"name":"m"}', media)


class Query(msgspec.Struct):
    name: str
    max_results: int = 10
    order_by: list[str] = []


def test_queries_repeat_lists_and_leave_out_what_is_unknown() -> None:
    found = wire.from_query(Query, b"name=a%20b&order_by=x&order_by=y%20DESC&what=1&max_results=5")
    assert found == Query("a b", 5, ["x", "y DESC"])


@pytest.mark.parametrize("sent", [b"", b"name=", b"name=%ff", b"\xff", b"name=m&max_results=ten"])
def test_queries_that_are_none_are_refused(sent: bytes) -> None:
    with pytest.raises(BadRequest):
        wire.from_query(Query, sent)


@given(st.binary(max_size=300))
def test_no_body_is_more_than_refused(raw: bytes) -> None:
    with contextlib.suppress(BadRequest):
        assert wire.from_body(Body, raw, JSON).name


@given(st.binary(max_size=100))
def test_no_query_is_more_than_refused(raw: bytes) -> None:
    with contextlib.suppress(BadRequest):
        assert wire.from_query(Query, raw).name


@pytest.mark.parametrize("kind", errors.CODES.values(), ids=errors.CODES)
def test_every_error_has_a_name_of_mlflows(kind: type[MunimentError]) -> None:
    code, status = wire.code_of(kind(), "/api/2.0/mlflow/x")
    assert code.isupper()
    permanent = not kind.retryable and kind.status < 500
    assert not permanent or status < 500, "clients repeat what is answered with a 5xx"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NotFound(), ("RESOURCE_DOES_NOT_EXIST", 404)),
        (errors.BadName(), ("INVALID_PARAMETER_VALUE", 400)),
        (errors.AlreadyExists(), ("RESOURCE_ALREADY_EXISTS", 400)),
        (errors.NotAllowed(), ("PERMISSION_DENIED", 403)),
        (errors.DatabaseDown(), ("TEMPORARILY_UNAVAILABLE", 503)),
        (MunimentError(), ("INTERNAL_ERROR", 500)),
    ],
)
def test_errors_keep_their_meaning(error: MunimentError, expected: tuple[str, int]) -> None:
    assert wire.code_of(error, "/") == expected


def test_an_unknown_endpoint_and_a_nul_are_told_apart() -> None:
    error = NotFound(context={"no_operation": True})
    assert wire.code_of(error, "/api/2.0/mlflow/traces") == ("ENDPOINT_NOT_FOUND", 404)
    assert wire.code_of(error, "/api/2.0/mlflow-artifacts/artifacts/a%00") == (
        "INVALID_PARAMETER_VALUE",
        400,
    )
    assert "traces are not kept" in wire.message_of(error, "/ajax-api/3.0/mlflow/traces/x")
    assert "has no /api/2.0/mlflow/tracesx" in wire.message_of(error, "/api/2.0/mlflow/tracesx")
    assert wire.message_of(error, "/x%00").startswith("Invalid path")


def test_one_text_tells_all_that_is_wrong() -> None:
    error = errors.BadBody(
        "`a`: is short", problems=[{"field": "a", "message": "is short"}, {"message": "b is long"}]
    )
    assert wire.message_of(error, "/") == "`a`: is short; `` b is long"


def test_what_is_not_set_is_left_out() -> None:
    assert wire.given(a=None, b=[], c={}, d=(), e="", f=0, g=False) == {"e": "", "f": 0, "g": False}


def test_tags_are_pairs_by_key() -> None:
    assert wire.pairs({"b": "2", "a": "1"}) == [
        {"key": "a", "value": "1"},
        {"key": "b", "value": "2"},
    ]


def test_times_are_whole_milliseconds() -> None:
    assert wire.milliseconds(dt.datetime(1970, 1, 1, 0, 0, 1, 999, tzinfo=dt.UTC)) == 1000


@pytest.mark.parametrize("alias", ["latest", "Latest", "v1", "V22"])
def test_reserved_aliases_are_refused(alias: str) -> None:
    with pytest.raises(BadRequest, match="reserved"):
        aliases.check_alias(alias)


@pytest.mark.parametrize("alias", ["champion", "v1a", "version1"])
def test_other_aliases_pass(alias: str) -> None:
    aliases.check_alias(alias)


def test_a_string_that_holds_json_twice_is_refused() -> None:
    nested: Any = json.dumps(json.dumps(json.dumps({"name": "m"})))
    with pytest.raises(BadRequest):
        wire.from_body(Body, nested.encode(), JSON)


def test_a_nul_in_a_query_is_refused_and_its_name_is_not() -> None:
    with pytest.raises(BadRequest, match="NUL"):
        wire.from_query(Body, b"name=a%00b")
    assert wire.from_query(Body, b"name=a%2500b") == Body("a%00b")
    assert wire.from_body(Body, b'{"name":"u0000"}', JSON) == Body("u0000")
