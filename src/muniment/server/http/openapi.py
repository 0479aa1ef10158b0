"""The OpenAPI 3.1 document that follows from operations. Pure; the same input, the same document.

Source: OpenAPI 3.1.1; JSON Schema 2020-12 as msgspec writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from muniment.core import errors
from muniment.core.errors import MunimentError
from muniment.server.http import problems, routing
from muniment.server.http.operation import Operation, ScopeFrom, TxMode
from muniment.server.http.records import Verb

Json = dict[str, Any]

_REF = "#/components/schemas/{name}"
_JSON = "application/json"


def document(operations: Sequence[Operation]) -> Json:
    """Return the document; paths and members in a fixed order, so that a diff means a change."""
    listed = sorted((op for op in operations if op.documented), key=lambda op: (op.path, op.method))
    kinds = [kind for op in listed for kind in _kinds(op)]
    schemas, components = msgspec.json.schema_components(
        [*kinds, problems.Problem], ref_template=_REF
    )
    by_kind = dict(zip(map(_key, kinds), schemas, strict=False))
    paths: dict[str, Json] = {}
    for op in listed:
        paths.setdefault(routing.plain(op.path), {})[op.method.lower()] = _operation(op, by_kind)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Muniment",
            "version": "v1",
            "description": "A governed registry for machine-learning models.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "`mun_…`"}
            },
        },
        "security": [{"bearer": []}],
        "tags": [{"name": name} for name in sorted({op.tag for op in listed if op.tag})],
    }


def _key(kind: object) -> str:
    return repr(kind)


def _kinds(op: Operation) -> list[Any]:
    fields = msgspec.structs.fields(op.query) if op.query else ()
    return [
        *(field.type for field in fields),
        *([op.body] if op.body else []),
        *([op.returns] if op.returns is not None else []),
    ]


def _operation(op: Operation, by_kind: dict[str, Json]) -> Json:
    out: Json = {
        "operationId": op.id,
        "summary": op.summary,
        "tags": [op.tag] if op.tag else [],
        "parameters": [*_path_parameters(op), *_query(op, by_kind), *_header_parameters(op)],
        "responses": _responses(op, by_kind),
        "x-needs": op.needs.value,
    }
    if description := (op.handler.__doc__ or "").strip():
        out["description"] = "\n".join(line.strip() for line in description.splitlines())
    if op.body:
        content = {_JSON: {"schema": by_kind[_key(op.body)]}}
        out["requestBody"] = {"required": True, "content": content}
    elif op.streams:
        out["requestBody"] = {"content": {op.accepts: {"schema": {}}}}
    if op.needs is Verb.ANONYMOUS:
        out["security"] = []
    return out


def _path_parameters(op: Operation) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _path_schema(name)}
        for name in routing.parameters(op.path)
    ]


def _path_schema(name: str) -> Json:
    if name.endswith("_id"):
        return {"type": "string", "format": "uuid"}
    if name == "sha256":
        return {"type": "string", "pattern": "^[0-9a-f]{64}$"}
    return {"type": "string", "minLength": 1}


def _query(op: Operation, by_kind: dict[str, Json]) -> list[Json]:
    if op.query is None:
        return []
    out = []
    for field in msgspec.structs.fields(op.query):
        schema = dict(by_kind[_key(field.type)])
        parameter: Json = {"name": field.encode_name, "in": "query", "required": field.required}
        if "description" in schema:
            parameter["description"] = schema.pop("description")
        if field.default not in (msgspec.NODEFAULT, None):
            schema["default"] = msgspec.to_builtins(field.default)
        out.append(parameter | {"schema": schema})
    return out


def _header_parameters(op: Operation) -> list[Json]:
    named = []
    if op.tx is TxMode.WRITE and not op.streams and op.needs is not Verb.ANONYMOUS:
        named.append(("Idempotency-Key", "The same key and request again: the same answer."))
    return [
        {
            "name": name,
            "in": "header",
            "description": description,
            "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
        }
        for name, description in named
    ]


def _responses(op: Operation, by_kind: dict[str, Json]) -> Json:
    responses: Json = {str(s): _success(op, s, by_kind) for s in (op.status, *op.also)}
    by_status: dict[int, set[str]] = {}
    for error in errors_of(op):
        by_status.setdefault(error.status, set()).add(error.code)
    for status, codes in sorted(by_status.items()):
        responses[str(status)] = _problem(status, codes)
    return responses


def _success(op: Operation, status: int, by_kind: dict[str, Json]) -> Json:
    out: Json = {"description": HTTPStatus(status).phrase}
    if 300 <= status < 400:  # noqa: PLR2004 -- redirects and 304 say it all in their headers
        return out
    if op.returns is not None:
        out["content"] = {op.media_type: {"schema": by_kind[_key(op.returns)]}}
    elif op.media_type != _JSON:
        out["content"] = {op.media_type: {"schema": {}}}
    return out


def _problem(status: int, codes: set[str]) -> Json:
    known: Json = {"properties": {"code": {"enum": sorted(codes)}}}
    schema: Json = {"allOf": [{"$ref": _REF.format(name="Problem")}, known]}
    return {
        "description": HTTPStatus(status).phrase,
        "content": {problems.MEDIA_TYPE: {"schema": schema}},
    }


def errors_of(op: Operation) -> list[type[MunimentError]]:
    """Return every error an operation may answer with: its own, its subclasses', and the kit's."""
    found = {error for declared in op.errors for error in [declared, *_leaves(declared)]}
    found |= {MunimentError, errors.BadRequest}
    if op.needs is not Verb.ANONYMOUS:
        found |= {errors.NotAuthenticated, errors.TooManyRequests}
        if op.needs is not Verb.NOTHING:
            found |= {errors.NotAllowed}
        if op.scope in (ScopeFrom.PATH, ScopeFrom.HANDLER):
            found |= {errors.NotAllowed, errors.NotFound}
    if op.guarded:
        found |= {errors.TooManyRequests}
    if op.body:
        found |= {errors.BadBody, errors.TooLarge, errors.UnsupportedMedia}
    if op.query and "cursor" in op.query.__struct_fields__:
        found |= {errors.BadCursor}
    if op.tx is TxMode.WRITE:
        found |= {errors.Conflict, errors.IdempotencyConflict, errors.Contended}
    if op.needs is not Verb.ANONYMOUS or op.tx is not TxMode.NONE:  # the token is looked up too
        found |= {errors.Unavailable, errors.DatabaseDown, errors.Contended}
    return sorted(found, key=lambda error: (error.status, error.code))


def _leaves(error: type[MunimentError]) -> list[type[MunimentError]]:
    return [leaf for child in error.__subclasses__() for leaf in [child, *_leaves(child)]]
