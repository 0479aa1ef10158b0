"""Assets and versions as MLflow filters and orders them; what a caller wrote is only ever a parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, LiteralString

import msgspec

from muniment.server.facades.mlflow.reads.rows import AMONG, MODEL, VERSION, to_model, to_version
from muniment.server.facades.mlflow.records import FoundModel, FoundVersion, Seen
from muniment.server.facades.mlflow.rules import derived, prompts
from muniment.server.facades.mlflow.rules.filters import Comparison, Order, Search
from muniment.server.ports.db import Row, Tx

_VERSION_COLUMNS: Final[Mapping[str, LiteralString]] = {
    "name": "a.name",
    "version_number": "v.number",
    "run_id": "(v.metadata->'run'->>'id')",
    "source_path": "(v.metadata->'extra'->'mlflow'->>'source')",
    "creation_timestamp": "l.registered_at",
    "last_updated_timestamp": "l.updated_at",
}
_MODEL_COLUMNS: Final[Mapping[str, LiteralString]] = {
    "name": "a.name",
    "timestamp": "greatest(a.updated_at, t.registered_at)",
    "last_updated_timestamp": "greatest(a.updated_at, t.registered_at)",
}
_OPERATORS: Final[Mapping[str, tuple[LiteralString, LiteralString]]] = {
    "=": ("= ", ""),
    "!=": ("<> ", ""),
    ">": ("> ", ""),
    ">=": (">= ", ""),
    "<": ("< ", ""),
    "<=": ("<= ", ""),
    "LIKE": ("LIKE ", " ESCAPE ''"),
    "ILIKE": ("ILIKE ", " ESCAPE ''"),
    "IN": ("= ANY(", ")"),
    "NOT IN": ("<> ALL(", ")"),
}


_THE_ASSET: Final[LiteralString] = """ =
    (SELECT id FROM asset WHERE namespace = 'default' AND name = """


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of what was found to return."""

    offset: int
    limit: int


@dataclass(slots=True)
class _Values:
    values: list[object] = field(default_factory=list)

    def put(self, value: object, cast: LiteralString) -> LiteralString:
        self.values.append(value)
        return f"${len(self.values)}::{cast}"


@dataclass(frozen=True, slots=True)
class _Found:
    """Where a kind of thing is found: its columns by attribute, its tags, and what some tags really are."""

    id: LiteralString
    asset_id: LiteralString
    tags: LiteralString
    columns: Mapping[str, LiteralString]
    derived: Mapping[str, LiteralString] = field(default_factory=dict)


_VERSIONS: Final = _Found(
    "l.version_id",
    "l.asset_id",
    "l.tags",
    _VERSION_COLUMNS,
    {
        prompts.TEXT: """(coalesce(v.metadata->'extra'->'mlflow'->>'prompt_text',
                                   v.metadata->'prompt'->>'template'))""",
        prompts.TYPE: "(v.metadata->'extra'->'mlflow'->>'prompt_type')",
        derived.LIFECYCLE: "(k.mark)",
    },
)
_MODELS: Final = _Found("a.id", "a.id", "a.tags", _MODEL_COLUMNS)


def _condition(part: Comparison, among: _Found, values: _Values) -> LiteralString:
    before, after = _OPERATORS[part.op]
    many = part.op in {"IN", "NOT IN"}
    value: object = list(part.values) if many else part.values[0]
    cast: LiteralString = "text"
    if part.attribute == "name" and part.op == "=":  # one asset: its own index gives the order
        name = values.put(value, "text")
        return " AND " + among.asset_id + _THE_ASSET + name + ")"
    if part.attribute:
        column = among.columns[part.attribute]
        cast = "bigint" if part.attribute == "version_number" else "text"
    elif part.tag in among.derived:
        column = among.derived[part.tag]
    elif part.op == "=":  # as the index of tags has it
        tag = msgspec.json.encode({part.tag: value}).decode()
        return f" AND {among.tags} @> {values.put(tag, 'text')}::jsonb"
    else:
        column = f"({among.tags}->>{values.put(part.tag, 'text')})"
    if many:
        cast = cast + "[]"
    return f" AND {column} {before}{values.put(value, cast)}{after}"


def _where(search: Search, seen: Seen, among: _Found) -> tuple[LiteralString, _Values]:
    """Return the conditions of a search, planned for its values, as the catalog's own are."""
    values = _Values()
    where: LiteralString = f" AND ({values.put(True, 'boolean')} OR plan_for_values({among.id}))"
    if search.prompts is None:
        where += " AND false"
    else:
        where += " AND a.kind = 'prompt'" if search.prompts else " AND a.kind <> 'prompt'"
    if seen.names is not None:
        where += f" AND a.name = ANY({values.put(list(seen.names), 'text[]')})"
    for part in search.comparisons:
        where += _condition(part, among, values)
    return where, values


def _order(
    orders: Sequence[Order], columns: Mapping[str, LiteralString], then: LiteralString
) -> LiteralString:
    keys: list[LiteralString] = []
    for one in orders:
        way: LiteralString = " DESC" if one.descending else " ASC"
        keys.append(columns[one.attribute] + way)
    return " ORDER BY " + ", ".join([*keys, then])


def versions_statement(
    search: Search, orders: Sequence[Order], page: Page, seen: Seen
) -> tuple[LiteralString, list[object]]:
    """Return the statement of a search of versions, and its values."""
    where, values = _where(search, seen, _VERSIONS)
    orders = orders or (Order("last_updated_timestamp", descending=True),)
    order = _order(orders, _VERSION_COLUMNS, "a.name ASC, v.number DESC")
    end = (
        f" LIMIT {values.put(page.limit + 1, 'bigint')} OFFSET {values.put(page.offset, 'bigint')}"
    )
    return VERSION + where + order + end, values.values


async def search_versions(
    tx: Tx, search: Search, orders: Sequence[Order], page: Page, seen: Seen
) -> list[FoundVersion]:
    """Return versions, last changed first unless ordered: `page.limit` and one more."""
    statement, values = versions_statement(search, orders, page, seen)
    return [to_version(row) for row in await tx.fetch(statement, *values)]


async def search_models(
    tx: Tx, search: Search, orders: Sequence[Order], page: Page, seen: Seen
) -> list[FoundModel]:
    """Return assets, by name unless ordered: `page.limit` and one more."""
    where, values = _where(search, seen, _MODELS)
    order = _order(orders, _MODEL_COLUMNS, "a.name ASC")
    end = (
        f" LIMIT {values.put(page.limit + 1, 'bigint')} OFFSET {values.put(page.offset, 'bigint')}"
    )
    rows = await tx.fetch(MODEL + where + order + end, *values.values)
    return await _models(tx, rows)


async def _models(tx: Tx, rows: Sequence[Row]) -> list[FoundModel]:
    latest = await tx.fetch(
        VERSION + AMONG,
        [row["name"] for row in rows for _ in row["latest"]],
        [number for row in rows for number in row["latest"]],
    )
    by_name: dict[str, list[FoundVersion]] = {}
    for row in latest:
        by_name.setdefault(row["name"], []).append(to_version(row))
    return [to_model(row, by_name.get(row["name"], [])) for row in rows]
