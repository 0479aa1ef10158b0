"""Finding assets and versions: filters and orders as parameterised SQL.

Every piece of SQL is written here; what a caller wrote is only ever a parameter. A filter's NOT is
`IS NOT TRUE`, so that what is absent compares false, and never unknown.

Terms, tags, names and owners have indexes. Whether one helps depends on how rare the value is, so
each search is planned for its values (`plan_for_values` in the migration says how).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, LiteralString, assert_never

from muniment.core.canon import canonical
from muniment.core.names import AssetRef, SemVer
from muniment.server.catalog.reads.bodies import VersionItem, version_item
from muniment.server.catalog.reads.searchable import (
    ASSETS,
    ASSETS_THEN,
    VERSIONS,
    VERSIONS_THEN,
    Source,
)
from muniment.server.catalog.records import Asset, Visible
from muniment.server.catalog.rules.fields import Field, Type
from muniment.server.catalog.rules.filters import All, Comparison, Filter, Not, Some, Value
from muniment.server.catalog.rules.parsing import parse_filter
from muniment.server.catalog.rules.sorting import (
    SORT_TEXT_MAX_CHARS,
    Sort,
    key_from_cursor,
    parse_order,
    query_mark,
)
from muniment.server.catalog.rules.terms import TERM_FIELDS
from muniment.server.catalog.rules.versions import precedence_key
from muniment.server.catalog.store import sources
from muniment.server.ports.db import Row, Tx

_ONE_BY_ONE_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: a filter, an order, which page, seen by whom, at which time.

    `within` looks at the versions of one asset only.
    """

    visible: Visible
    filter: str = ""
    order: Sequence[str] = ()
    cursor: Mapping[str, Any] | None = None
    limit: int = 50
    as_of: dt.datetime | None = None
    within: AssetRef | None = None


@dataclass(slots=True)
class _Values:
    """The values of a statement, each under its placeholder."""

    values: list[object] = field(default_factory=list)

    def put(self, value: object, cast: LiteralString) -> LiteralString:
        self.values.append(value)
        return f"${len(self.values)}::{cast}"


async def search_versions(tx: Tx, query: Query) -> tuple[list[VersionItem], dict[str, Any] | None]:
    """Return a page of versions, newest first unless ordered, and where the next page starts.

    Raises:
        BadFilter: the filter or the order cannot be read.
        BadCursor: the cursor is of another query.
    """
    rows, position = await _search(tx, VERSIONS if query.as_of is None else VERSIONS_THEN, query)
    return [version_item(row) for row in rows], position


async def search_assets(tx: Tx, query: Query) -> tuple[list[Asset], dict[str, Any] | None]:
    """Return a page of assets, by name unless ordered, and where the next page starts.

    Raises:
        BadFilter: the filter or the order cannot be read.
        BadCursor: the cursor is of another query.
    """
    rows, position = await _search(tx, ASSETS if query.as_of is None else ASSETS_THEN, query)
    return [sources.to_asset(row) for row in rows], position


async def _search(
    tx: Tx, source: Source, query: Query
) -> tuple[Sequence[Row], dict[str, Any] | None]:
    sql, values, mark = compiled(source, query)
    rows = await tx.fetch(sql, *values)
    if len(rows) <= query.limit:
        return rows, None
    rows = rows[: query.limit]
    last = rows[-1]
    key = [last[name] for name in _KEY_NAMES if name in last]
    return rows, {"query": mark, "key": [*key, str(last["id"])]}


_KEY_NAMES: Final[tuple[LiteralString, ...]] = ("key_1", "key_2", "key_3", "key_4")


def compiled(source: Source, query: Query) -> tuple[LiteralString, list[object], str]:
    """Return the statement of `query`, its values, and the query's mark for cursors."""
    wanted = parse_filter(query.filter, source.fields)
    sorts = parse_order(query.order, source.fields) or source.default_order
    as_of = None if query.as_of is None else query.as_of.isoformat()
    mark = query_mark(
        source.id, str(query.within), query.filter, [str(sort) for sort in sorts], as_of
    )
    values = _Values([query.as_of])
    where: LiteralString = f" AND ({values.put(True, 'boolean')} OR plan_for_values({source.id}))"
    where += _visible(query.visible, values)
    if query.within is not None:
        where += f" AND a.namespace = {values.put(str(query.within.namespace), 'text')}"
        where += f" AND a.name = {values.put(str(query.within.name), 'text')}"
    if wanted is not None:
        where += " AND " + _condition(source, wanted, values, then=query.as_of is not None)
    keys = [_key(source, sort, values) for sort in sorts]
    if query.cursor is not None:
        key = key_from_cursor(query.cursor, mark, sorts)
        where += " AND " + _after(source, sorts, keys, key, values)
    shown: LiteralString = "".join(
        f", ({key})::text AS {name}" for key, name in zip(keys, _KEY_NAMES, strict=False)
    )
    limit = values.put(query.limit + 1, "bigint")
    order = _order(source, sorts, keys)
    return (
        source.columns + shown + source.come_from + where + order + f" LIMIT {limit}",
        values.values,
        mark,
    )


def _visible(visible: Visible, values: _Values) -> LiteralString:
    """Only what the caller may read, decided inside the statement."""
    if visible.everything:
        return ""
    parts: list[LiteralString] = []
    if visible.namespaces:
        parts.append(f"a.namespace = ANY({values.put(list(visible.namespaces), 'text[]')})")
    for namespace, name in visible.assets[:_ONE_BY_ONE_MAX]:
        one = values.put(namespace, "text"), values.put(name, "text")
        parts.append(f"(a.namespace = {one[0]} AND a.name = {one[1]})")
    if more := visible.assets[_ONE_BY_ONE_MAX:]:
        namespaces = values.put([namespace for namespace, _ in more], "text[]")
        names = values.put([name for _, name in more], "text[]")
        pairs: LiteralString = f"unnest({namespaces}, {names})"
        parts.append("(a.namespace, a.name) IN (SELECT * FROM " + pairs + ")")  # noqa: S608 -- placeholders only
    return f" AND ({' OR '.join(parts)})" if parts else " AND false"


# --- order -------------------------------------------------------------------------------------


def _key(source: Source, sort: Sort, values: _Values) -> LiteralString:
    """The SQL of one sort key; never NULL, so that keys compare."""
    if sort.field.name == "metrics":
        absent: LiteralString = "'-Infinity'" if sort.descending else "'Infinity'"
        return f"coalesce({_metric(sort.field, values)}, {absent}::float8)"
    if sort.field.name == "tags":
        tag = _tag(source, sort.field, values)
        return f"coalesce(left({tag}, {SORT_TEXT_MAX_CHARS}), '') COLLATE \"C\""
    return source.texts[sort.field.name]


_CASTS: Final[Mapping[Type, LiteralString]] = {
    Type.TEXT: "text",
    Type.SEMVER: "text",
    Type.NUMBER: "float8",
    Type.MOMENT: "timestamptz",
}


def _order(source: Source, sorts: Sequence[Sort], keys: Sequence[LiteralString]) -> LiteralString:
    ways: list[LiteralString] = ["DESC" if sort.descending else "ASC" for sort in sorts]
    parts = [f"{key} {way}" for key, way in zip([*keys, source.id], [*ways, ways[-1]], strict=True)]
    return " ORDER BY " + ", ".join(parts)


def _after(
    source: Source,
    sorts: Sequence[Sort],
    keys: Sequence[LiteralString],
    last: Sequence[object],
    values: _Values,
) -> LiteralString:
    """Only what comes after the sort key `last`.

    Where all ways are the same, rows compare as wholes, which an index serves.
    """
    casts: list[LiteralString] = [*(_CASTS[sort.field.type] for sort in sorts), "uuid"]
    marks = [values.put(value, cast) for value, cast in zip(last, casts, strict=True)]
    ways = [sort.descending for sort in sorts]
    ways.append(ways[-1])
    columns = [*keys, source.id]
    if len(set(ways)) == 1:
        return f"({', '.join(columns)}) {'<' if ways[0] else '>'} ({', '.join(marks)})"
    steps: list[LiteralString] = []
    for index, (column, mark) in enumerate(zip(columns, marks, strict=True)):
        same = [f"{c} = {m}" for c, m in zip(columns[:index], marks[:index], strict=True)]
        beyond = f"{column} {'<' if ways[index] else '>'} {mark}"
        steps.append(f"({' AND '.join([*same, beyond])})")
    return f"({' OR '.join(steps)})"


# --- filter ------------------------------------------------------------------------------------


def _condition(source: Source, part: Filter, values: _Values, *, then: bool) -> LiteralString:
    match part:
        case Not(inner):
            return f"(({_condition(source, inner, values, then=then)}) IS NOT TRUE)"
        case All(parts):
            inners = [_condition(source, inner, values, then=then) for inner in parts]
            return f"({' AND '.join(inners)})"
        case Some(parts):
            inners = [_condition(source, inner, values, then=then) for inner in parts]
            return f"({' OR '.join(inners)})"
        case Comparison():
            return _comparison(source, part, values, then=then)
        case _:
            assert_never(part)


def _comparison(source: Source, part: Comparison, values: _Values, *, then: bool) -> LiteralString:
    name = part.field.name
    if name == "tags":
        return _tag_comparison(source, part, values)
    if name in TERM_FIELDS:
        return _term_comparison(part, values)
    if name == "alias":
        return _alias_comparison(part, values, then=then)
    if name == "params":
        return _param_comparison(part, values)
    if name == "metrics":
        return _compared(_metric(part.field, values), part, values, "float8")
    return _compared(source.texts[name], part, values, _VALUE_CASTS[part.field.type])


_VALUE_CASTS: Final[Mapping[Type, LiteralString]] = {
    **_CASTS,
    Type.TRUTH: "boolean",
    Type.DIGEST: "bytea",
}
_OPERATORS: Final[Mapping[str, LiteralString]] = {
    "=": "=",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
    "LIKE": "LIKE",
    "ILIKE": "ILIKE",
}


def _compared(
    column: LiteralString, part: Comparison, values: _Values, cast: LiteralString
) -> LiteralString:
    sent = [_sent(value) for value in part.values]
    if part.op == "IN":
        return f"{column} = ANY({values.put(sent, cast + '[]')})"
    return f"{column} {_OPERATORS[part.op]} {values.put(sent[0], cast)}"


def _sent(value: Value) -> object:
    return precedence_key(value) if isinstance(value, SemVer) else value


def _tag(source: Source, field: Field, values: _Values) -> LiteralString:
    return f'({source.texts["tags"]}->>{values.put(field.key, "text")}) COLLATE "C"'


def _tag_comparison(source: Source, part: Comparison, values: _Values) -> LiteralString:
    tags = source.texts["tags"]
    if part.op in {"=", "IN"} and len(part.values) <= _ONE_BY_ONE_MAX:
        pairs = [canonical({part.field.key: value}).decode() for value in part.values]
        tests = [f"{tags} @> {values.put(pair, 'text')}::jsonb" for pair in pairs]
        return f"({' OR '.join(tests)})"
    return _compared(_tag(source, part.field, values), part, values, "text")


def _term_comparison(part: Comparison, values: _Values) -> LiteralString:
    field = part.field.name
    if part.op in {"=", "IN"}:
        terms = [f"{field}:{value!s}" for value in part.values]
        operator: LiteralString = "@>" if part.op == "=" else "&&"
        return f"l.terms {operator} {values.put(terms, 'text[]')}"
    escaped = field.replace("_", "\\_")
    pattern = values.put(f"{escaped}:{part.values[0]!s}", "text")
    return f"EXISTS (SELECT FROM unnest(l.terms) t WHERE t {_OPERATORS[part.op]} {pattern})"


def _alias_comparison(part: Comparison, values: _Values, *, then: bool) -> LiteralString:
    test = _compared("p.name", part, values, "text")
    if then:
        return _POINTED_THEN + test + ")"
    return "l.version_id IN (SELECT p.version_id FROM alias p WHERE " + test + ")"  # noqa: S608 -- placeholders only


_POINTED_THEN: Final[LiteralString] = """EXISTS (
    SELECT FROM (SELECT DISTINCT ON (e.name) e.name, e.version_id FROM alias_event e
                 WHERE e.asset_id = l.asset_id AND e.at <= $1::timestamptz
                 ORDER BY e.name, e.revision DESC) p
    WHERE p.version_id = l.version_id AND """


def _metric(field: Field, values: _Values) -> LiteralString:
    return f"(l.metrics->>{values.put(field.key, 'text')})::float8"


def _param_comparison(part: Comparison, values: _Values) -> LiteralString:
    """A parameter is compared with values of its own type only."""
    param: LiteralString = f"v.metadata->'hyperparameters'->{values.put(part.field.key, 'text')}"
    tests: list[LiteralString] = []
    for value in part.values:
        one = Comparison(part.field, "=" if part.op == "IN" else part.op, (value,))
        kind, column, cast = _param_as(value, param)
        test = _compared(column, one, values, cast)
        tests.append(f"CASE WHEN jsonb_typeof({param}) = '{kind}' THEN {test} END")
    return f"({' OR '.join(tests)})"


def _param_as(
    value: Value, param: LiteralString
) -> tuple[LiteralString, LiteralString, LiteralString]:
    if isinstance(value, bool):
        return "boolean", f"({param})::boolean", "boolean"
    if isinstance(value, float):
        return "number", f"({param})::float8", "float8"
    return "string", f"({param} #>> '{{}}') COLLATE \"C\"", "text"
