"""From bytes to typed queries and bodies, saying everything that is wrong with them at once.

The fast path is one msgspec call. Only when that refuses is the value walked field by field, so
that somebody who made three mistakes reads three messages.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated, Any, Union, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec

from muniment.core.errors import BadBody, BadRequest

PROBLEMS_MAX = 100
_SEQUENCES = (list, set, frozenset, Sequence)

Problem = dict[str, Any]


def problems_in(value: Any, kind: Any, *, strict: bool = True) -> list[Problem]:
    """Return everything that keeps `value` (decoded JSON) from being a `kind`, at most 100.

    Each has `field` (`files[3].path`; empty for the whole) and `message`, and `fix` where known.
    """
    return list(islice(_problems(value, kind, "", strict=strict), PROBLEMS_MAX))


def _problems(value: Any, kind: Any, at: str, *, strict: bool) -> Iterator[Problem]:
    inner = 0
    for problem in _inside(value, _plain(kind), at, strict=strict):
        inner += 1
        yield problem
    if not inner:
        yield from _whole(value, kind, at, strict=strict)


def _inside(value: Any, kind: Any, at: str, *, strict: bool) -> Iterator[Problem]:
    """Look into objects, lists and maps; anything else has no inside."""
    kind = _branch(value, kind)
    origin, args = get_origin(kind), get_args(kind)
    if _is_struct(kind) and isinstance(value, dict):
        yield from _in_struct(value, kind, at, strict=strict)
    elif origin in _SEQUENCES and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _problems(item, args[0], f"{at}[{index}]", strict=strict)
    elif origin is dict and isinstance(value, dict):
        for key, item in value.items():
            yield from _problems(item, args[1], _member(at, key), strict=strict)


def _in_struct(value: dict[str, Any], kind: Any, at: str, *, strict: bool) -> Iterator[Problem]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    config = kind.__struct_config__
    if config.forbid_unknown_fields:
        for key in value.keys() - fields.keys() - {config.tag_field}:
            yield {
                "field": _member(at, key),
                "message": "is not known here",
                "fix": f"leave it out; known are: {', '.join(sorted(fields))}",
            }
    for name, field in fields.items():
        if name in value:
            yield from _problems(value[name], field.type, _member(at, name), strict=strict)
        elif field.required:
            yield {"field": _member(at, name), "message": "is required", "fix": f"add `{name}`"}


def _whole(value: Any, kind: Any, at: str, *, strict: bool) -> Iterator[Problem]:
    try:
        msgspec.convert(value, kind, strict=strict, str_keys=True)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        yield {"field": (at + where.rstrip("`")).lstrip("."), "message": message}
    except RecursionError:
        yield {"field": at, "message": "is nested too deeply"}


def _plain(kind: Any) -> Any:
    return _plain(get_args(kind)[0]) if get_origin(kind) is Annotated else kind


def _is_struct(kind: Any) -> bool:
    kind = get_origin(kind) or kind
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _branch(value: Any, kind: Any) -> Any:
    """Return the one member of a union that `value` was meant for, as far as its shape tells."""
    if get_origin(kind) not in (Union, types.UnionType):
        return kind
    members = [_plain(member) for member in get_args(kind)]
    if isinstance(value, dict):
        fitting = [m for m in members if _is_struct(m) or get_origin(m) is dict]
    else:
        fitting = [m for m in members if get_origin(m) in _SEQUENCES]
    return fitting[0] if len(fitting) == 1 else kind


def _member(at: str, name: object) -> str:
    return f"{at}.{name}" if at else str(name)


# --- bodies ------------------------------------------------------------------------------------


def body_of(raw: bytes, decoder: msgspec.json.Decoder[Any]) -> tuple[Any, list[Problem]]:
    """Decode a JSON body: the value and no problems, or what is wrong with it.

    Raises:
        BadBody: it is not JSON at all.
    """
    try:
        body = decoder.decode(raw)
    except msgspec.ValidationError:
        return None, _marked(problems_in(_json_of(raw), decoder.type), "body")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _not_json(raw, error) from error
    if b"\\u0000" in raw:
        return body, _marked(list(islice(_nuls(_json_of(raw), ""), PROBLEMS_MAX)), "body")
    return body, []


def _json_of(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _not_json(raw, error) from error


def _not_json(raw: bytes, error: Exception) -> BadBody:
    reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    found = f"something else: {reason}" if raw else "an empty one"
    return BadBody(f"expected a body of JSON, found {found}")


def _nuls(value: Any, at: str) -> Iterator[Problem]:
    waiting = [(value, at)]  # not recursion: what msgspec could nest, Python could not follow
    while waiting:
        value, at = waiting.pop()
        if isinstance(value, str) and "\0" in value:
            yield _problem(at, "holds the character NUL", "leave U+0000 out")
        elif isinstance(value, dict):
            waiting += [(key, _member(at, "(a name)")) for key in value]
            waiting += [(item, _member(at, key)) for key, item in value.items()]
        elif isinstance(value, list):
            waiting += [(item, f"{at}[{index}]") for index, item in enumerate(value)]


# --- queries -----------------------------------------------------------------------------------


class QueryPlan:
    """How a query string becomes a Struct: strings by name, repeated ones into lists."""

    def __init__(self, kind: type[msgspec.Struct]) -> None:
        """Learn which fields of `kind` are lists."""
        fields = msgspec.structs.fields(kind)
        self.kind = kind
        self._names = {field.encode_name for field in fields}
        self._many = {field.encode_name for field in fields if _is_many(field.type)}

    def read(self, query_string: bytes) -> tuple[Any, list[Problem]]:
        """Decode a query string: the Struct and no problems, or None and what is wrong with it."""
        try:
            pairs = parse_qsl(query_string.decode(), keep_blank_values=True, errors="strict")
        except (ValueError, UnicodeDecodeError):
            problem = {"field": "", "message": "the query string is not UTF-8, percent-encoded"}
            return None, _marked([problem], "query")
        values, problems = self._gather(pairs)
        if not problems:
            try:
                return msgspec.convert(values, self.kind, strict=False), []
            except msgspec.ValidationError:
                pass
        problems += problems_in(values, self.kind, strict=False)
        return None, _marked(problems, "query")

    def _gather(self, pairs: list[tuple[str, str]]) -> tuple[dict[str, Any], list[Problem]]:
        values: dict[str, Any] = {}
        problems: list[Problem] = []
        for name, text in pairs:
            if name not in self._names:
                known = ", ".join(sorted(self._names)) or "none"
                problems.append(_problem(name, "is not known here", f"known are: {known}"))
            elif "\0" in text:
                problems.append(_problem(name, "holds the character NUL", "leave U+0000 out"))
            elif name in self._many:
                values.setdefault(name, []).append(text)
            elif name in values:
                problems.append(_problem(name, "is given twice", "give it once"))
            else:
                values[name] = text
        return values, problems[:PROBLEMS_MAX]


def _problem(field: str, message: str, fix: str) -> Problem:
    return {"field": field, "message": message, "fix": fix}


def _is_many(kind: Any) -> bool:
    kind = _plain(kind)
    if get_origin(kind) in (Union, types.UnionType):
        return any(_is_many(member) for member in get_args(kind))
    return get_origin(kind) in (*_SEQUENCES, tuple)


def _marked(problems: list[Problem], where: str) -> list[Problem]:
    return [{"in": where, **problem} for problem in problems]


def refuse(query: list[Problem], body: list[Problem]) -> None:
    """Go on only if there are no problems.

    Raises:
        BadBody: the body has some (those of the query are listed too).
        BadRequest: only the query has some.
    """
    problems = query + body
    if not problems:
        return
    first = problems[0]
    field = f"`{first['field']}` " if first["field"] else ""
    more = f" (and {len(problems) - 1} more, see `problems`)" if len(problems) > 1 else ""
    error = BadBody if body else BadRequest
    raise error(f"in the {first['in']}: {field}{first['message']}{more}", problems=problems)
