"""Requests and errors on the wire as MLflow writes them.

1. A body is a JSON object (or, from old clients, a JSON string that holds one). Names may be
   snake_case or camelCase, not both for one field; unknown names and nulls are left out.
2. A number may be a number or a string of digits.
3. A required text that is missing or empty: `Missing value for required parameter 'x'.`
4. An error is `{"error_code", "message"}`; which code and status is `CODES`, from the nearest class.

Source: protobuf JSON mapping; MLflow's own server, as its client understands it.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeVar, get_origin
from urllib.parse import parse_qsl

import msgspec

from muniment.core import errors
from muniment.core.errors import BadRequest, MunimentError

#: MLflow's name and HTTP status of each of our errors.
CODES: Final[Mapping[type[MunimentError], tuple[str, int]]] = {
    errors.MunimentError: ("INTERNAL_ERROR", 500),
    errors.BadRequest: ("INVALID_PARAMETER_VALUE", 400),
    errors.NotAuthenticated: ("UNAUTHENTICATED", 401),
    errors.NotAllowed: ("PERMISSION_DENIED", 403),
    errors.NotFound: ("RESOURCE_DOES_NOT_EXIST", 404),
    errors.MethodNotAllowed: ("ENDPOINT_NOT_FOUND", 404),
    errors.Gone: ("RESOURCE_DOES_NOT_EXIST", 404),
    errors.Conflict: ("RESOURCE_CONFLICT", 409),
    errors.AlreadyExists: ("RESOURCE_ALREADY_EXISTS", 400),
    errors.StaleRevision: ("ABORTED", 409),
    errors.TooLarge: ("INVALID_PARAMETER_VALUE", 400),
    errors.UnsupportedMedia: ("BAD_REQUEST", 400),
    errors.BadRange: ("INVALID_PARAMETER_VALUE", 416),
    errors.TooManyRequests: ("REQUEST_LIMIT_EXCEEDED", 429),
    errors.IntegrityError: ("DATA_LOSS", 500),
    errors.DigestMismatch: ("INVALID_PARAMETER_VALUE", 400),
    errors.Unavailable: ("TEMPORARILY_UNAVAILABLE", 503),
}
NO_ENDPOINT: Final = ("ENDPOINT_NOT_FOUND", 404)
_NUL_IN_PATH: Final = re.compile(r"%00", re.IGNORECASE)
_TRACES: Final = re.compile(r"^/(?:ajax-)?api/[23]\.0/mlflow/(?:unified-)?traces(?:/|$)")
_HUMP: Final = re.compile(r"[A-Z]")


def code_of(error: MunimentError, path: str) -> tuple[str, int]:
    """Return MLflow's name and status of `error`, met at `path` (as it was sent)."""
    if error.context.get("no_operation"):
        return ("INVALID_PARAMETER_VALUE", 400) if _NUL_IN_PATH.search(path) else NO_ENDPOINT
    return next(CODES[kind] for kind in type(error).__mro__ if kind in CODES)


def message_of(error: MunimentError, path: str) -> str:
    """Return what `error` says, with all that was wrong: MLflow shows its users one text."""
    if error.context.get("no_operation"):
        if _NUL_IN_PATH.search(path):
            return "Invalid path: it holds the character NUL"
        if _TRACES.search(path):
            return (
                "traces are not kept by this registry: it holds models, prompts and the runs they"
                " come from. Send them elsewhere, or turn them off with mlflow.tracing.disable()"
            )
        return (
            f"this server has no {path[:200]}: it speaks the registry, artifacts and runs of MLflow"
        )
    rest = [f"`{one.get('field', '')}` {one['message']}" for one in error.problems[1:]]
    return "; ".join([error.message, *rest])


Kind = TypeVar("Kind", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What of a kind is looked at by name: which fields are required, which are lists."""

    required: tuple[str, ...]
    lists: frozenset[str]


@cache
def _shape(kind: type[msgspec.Struct]) -> _Shape:
    fields = msgspec.structs.fields(kind)  # reads annotations: too slow for every request
    return _Shape(
        tuple(field.encode_name for field in fields if field.required),
        frozenset(field.encode_name for field in fields if _is_list(field.type)),
    )


def from_query(kind: type[Kind], query_string: bytes) -> Kind:
    """Return a query string as a `kind`; repeated names make lists.

    Raises:
        BadRequest: it is none; the message names the first parameter that is wrong.
    """
    try:
        pairs = parse_qsl(query_string.decode(), keep_blank_values=True, errors="strict")
    except (ValueError, UnicodeDecodeError):
        raise BadRequest("the query string is not UTF-8, percent-encoded") from None
    lists = _shape(kind).lists
    values: dict[str, Any] = {}
    for name, text in pairs:
        if name in lists:
            values.setdefault(name, []).append(text)
        else:
            values[name] = text
    return _as(kind, values, nul=b"%00" in query_string or b"\0" in query_string)


def from_body(kind: type[Kind], raw: bytes, media_type: str) -> Kind:
    """Return a JSON body as a `kind`.

    Raises:
        UnsupportedMedia: it is not said to be JSON.
        BadRequest: it is none; the message names the first parameter that is wrong.
    """
    if media_type.partition(";")[0].strip().lower() != "application/json":
        raise errors.UnsupportedMedia(
            f"Bad Request. Content-Type must be application/json, found {media_type[:80]!r}."
        )
    try:
        value = msgspec.json.decode(raw or b"{}")
        if isinstance(value, str):
            value = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise BadRequest("Malformed request: the body is not a JSON object") from None
    if not isinstance(value, dict):
        raise BadRequest("Malformed request: the body is not a JSON object")
    # NUL may be written in ways that only decoding knows: look for it where there is a hint of it
    return _as(kind, _snake(value), nul=b"u0000" in raw or b"\0" in raw)


def _snake(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object with its own names in snake_case and without nulls."""
    found: dict[str, Any] = {}
    for key, inner in value.items():
        name = key if key.islower() else _HUMP.sub(lambda hump: "_" + hump[0].lower(), key)
        if name in found:
            raise BadRequest(f"Malformed request: '{name}' is given twice, as '{key}' too")
        if inner is not None:
            found[name] = inner
    return found


def _is_list(kind: Any) -> bool:
    return get_origin(kind) in {list, tuple}


def _as(kind: type[Kind], values: dict[str, Any], *, nul: bool) -> Kind:
    """Return `values` as a `kind`; `nul` says that one of them might hold that character."""
    for name in _shape(kind).required:
        if values.get(name) in (None, ""):
            raise BadRequest(f"Missing value for required parameter '{name}'.")
    try:
        if nul and _holds_nul(values):
            raise BadRequest("Invalid value: it holds the character NUL, which cannot be kept")
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        name = where.rstrip("`").lstrip(".") or "request"
        raise BadRequest(f"Invalid value for parameter '{name[:120]}': {message}") from None


def _holds_nul(value: Any) -> bool:
    waiting = [value]  # not recursion: what msgspec could nest, Python could not follow
    while waiting:
        one = waiting.pop()
        if isinstance(one, str) and "\0" in one:
            return True
        if isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            waiting += one
    return False


def given(**fields: Any) -> dict[str, Any]:
    """Return an object of those fields that are set: not None and not an empty list or object."""
    return {
        name: value
        for name, value in fields.items()
        if value is not None and not (isinstance(value, list | dict | tuple) and not value)
    }


def pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a mapping as MLflow writes tags and parameters: key and value each, by key."""
    return [{"key": key, "value": values[key]} for key in sorted(values)]


def milliseconds(at: dt.datetime) -> int:
    """Return a time as MLflow writes it: milliseconds since 1970, whole."""
    return int(at.timestamp() * 1000)
