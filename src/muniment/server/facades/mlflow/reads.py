"""Assets and versions of the default namespace as MLflow finds, filters and orders them.

Every piece of SQL is written here; what a caller wrote is only ever a parameter.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, LiteralString

import msgspec

from muniment.server import lifecycle
from muniment.server.catalog.records import Kind
from muniment.server.facades.mlflow.records import FoundModel, FoundVersion, Known, Seen
from muniment.server.facades.mlflow.rules import derived, prompts
from muniment.server.facades.mlflow.rules.filters import Comparison, Order, Search
from muniment.server.lifecycle.records import Stage
from muniment.server.ports.db import Row, Tx

_COLUMNS: Final[LiteralString] = """
    SELECT v.id, a.name, v.number, a.kind, v.registered_at, l.updated_at, l.description, l.tags,
           v.metadata->'run'->>'id' AS run_id, v.metadata->'extra'->'mlflow' AS about,
           CASE a.kind WHEN 'prompt' THEN v.metadata->'prompt' END AS prompt,
           array(SELECT p.name FROM alias p WHERE p.version_id = v.id ORDER BY p.name) AS aliases,
           v.version, v.manifest_digest, l.metrics, coalesce(k.mark, 'draft') AS lifecycle,
           coalesce(k.quarantined, false) AS quarantined,
           jsonb_build_object('code', v.metadata->'code', 'pipeline', v.metadata->'pipeline',
                              'training_datasets', v.metadata->'training_datasets') AS said"""
_FROM: Final[LiteralString] = """
    FROM version_label l
    JOIN version v ON v.id = l.version_id
    JOIN asset a ON a.id = l.asset_id
    LEFT JOIN version_standing k ON k.version_id = l.version_id
    WHERE a.namespace = 'default' AND a.tombstoned_at IS NULL AND k.tombstoned IS NOT TRUE"""
_VERSION: Final[LiteralString] = _COLUMNS + f", {lifecycle.STAGE} AS stage" + _FROM

_AMONG: Final[LiteralString] = """
    AND (a.name, v.number) IN (SELECT * FROM unnest($1::text[], $2::integer[]))"""

_SHOWN_OF_MODEL: Final[LiteralString] = """
    SELECT a.name, a.kind, a.created_at, greatest(a.updated_at, t.registered_at) AS updated_at,
           a.description, a.tags,
           (SELECT coalesce(json_agg(json_build_array(p.name, w.number) ORDER BY p.name), '[]')
            FROM alias p JOIN version w ON w.id = p.version_id WHERE p.asset_id = a.id)::text
           AS aliases, array(SELECT DISTINCT ON (c.stage) c.number FROM ("""
#: The highest version of each stage: of those of which something was said or that are deployed, and
#: of the others, which are all at None, the highest.
_LATEST: Final[LiteralString] = (
    "SELECT v.number, "  # noqa: S608 -- constants only
    + lifecycle.STAGE
    + """ AS stage
            FROM version v LEFT JOIN version_standing k ON k.version_id = v.id
            WHERE v.id IN (SELECT s.version_id FROM version_standing s WHERE s.asset_id = a.id
                           UNION SELECT d.version_id FROM deployment d
                                 WHERE d.asset_id = a.id AND d.ended_at IS NULL)
              AND k.tombstoned IS NOT TRUE
            UNION ALL
            (SELECT v.number, 'None' FROM version v WHERE v.asset_id = a.id
                AND NOT EXISTS (SELECT FROM version_standing s WHERE s.version_id = v.id)
                AND NOT EXISTS (SELECT FROM deployment d
                                WHERE d.version_id = v.id AND d.ended_at IS NULL)
             ORDER BY v.number DESC LIMIT 1)"""
)
_FROM_MODEL: Final[LiteralString] = """
    FROM asset a
    LEFT JOIN LATERAL (SELECT v.registered_at FROM version v WHERE v.asset_id = a.id
                       ORDER BY v.number DESC LIMIT 1) t ON true
    WHERE a.namespace = 'default' AND a.tombstoned_at IS NULL"""
_MODEL: Final[LiteralString] = (
    _SHOWN_OF_MODEL + _LATEST + ") c ORDER BY c.stage, c.number DESC) AS latest" + _FROM_MODEL
)

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
    return _VERSION + where + order + end, values.values


async def search_versions(
    tx: Tx, search: Search, orders: Sequence[Order], page: Page, seen: Seen
) -> list[FoundVersion]:
    """Return versions, last changed first unless ordered: `page.limit` and one more."""
    statement, values = versions_statement(search, orders, page, seen)
    return [_version(row) for row in await tx.fetch(statement, *values)]


async def search_models(
    tx: Tx, search: Search, orders: Sequence[Order], page: Page, seen: Seen
) -> list[FoundModel]:
    """Return assets, by name unless ordered: `page.limit` and one more."""
    where, values = _where(search, seen, _MODELS)
    order = _order(orders, _MODEL_COLUMNS, "a.name ASC")
    end = (
        f" LIMIT {values.put(page.limit + 1, 'bigint')} OFFSET {values.put(page.offset, 'bigint')}"
    )
    rows = await tx.fetch(_MODEL + where + order + end, *values.values)
    return await _models(tx, rows)


async def find_model(tx: Tx, name: str) -> FoundModel | None:
    """Return the asset of that name, or None."""
    rows = await tx.fetch(_MODEL + " AND a.name = $1", name)
    return next(iter(await _models(tx, rows)), None)


async def find_version(tx: Tx, name: str, at: int | str) -> FoundVersion | None:
    """Return the version of that number (int) or that an alias (str) points at, or None."""
    by: LiteralString = " AND a.name = $1 AND v.number = $2"
    if isinstance(at, str):
        by = """ AND a.name = $1
            AND v.id = (SELECT p.version_id FROM alias p WHERE p.asset_id = a.id AND p.name = $2)"""
    row = await tx.fetchrow(_VERSION + by, name, at)
    return None if row is None else _version(row)


_UNTOUCHED: Final[
    LiteralString
] = """ AND a.name = $1 AND l.actor_id = $2 AND l.registered_at > $3 AND l.revision = 1
    AND v.number = a.next_number - 1
    AND k.version_id IS NULL
    AND NOT EXISTS (SELECT FROM alias_event e WHERE e.asset_id = a.id
                    AND v.id IN (e.version_id, e.previous_version_id))
    AND NOT EXISTS (SELECT FROM deployment d WHERE d.version_id = v.id)"""


async def newest_untouched(
    tx: Tx, name: str, actor_id: str, since: dt.datetime
) -> FoundVersion | None:
    """Return the newest version of an asset if that caller made it since then and nobody touched it."""
    row = await tx.fetchrow(
        _VERSION + _UNTOUCHED,
        name,
        actor_id,
        since,
    )
    return None if row is None else _version(row)


@dataclass(frozen=True, slots=True)
class Held:
    """Whose version it is, its manifest's digest (32 bytes), and why it is not handed out, if so."""

    namespace: str
    name: str
    manifest_digest: bytes
    barred: str | None


async def find_bytes(tx: Tx, version_id: uuid.UUID) -> Held | None:
    """Return where the bytes of a version are, or None."""
    row = await tx.fetchrow(
        """
        SELECT a.namespace, a.name, v.manifest_digest,
               CASE WHEN k.mark = 'retired' THEN 'retired'
                    WHEN k.quarantined THEN 'quarantined' END AS barred
        FROM version v JOIN asset a ON a.id = v.asset_id
        LEFT JOIN version_standing k ON k.version_id = v.id
        WHERE v.id = $1 AND a.tombstoned_at IS NULL AND k.tombstoned IS NOT TRUE
        """,
        version_id,
    )
    if row is None:
        return None
    return Held(row["namespace"], row["name"], row["manifest_digest"], row["barred"])


async def _models(tx: Tx, rows: Sequence[Row]) -> list[FoundModel]:
    latest = await tx.fetch(
        _VERSION + _AMONG,
        [row["name"] for row in rows for _ in row["latest"]],
        [number for row in rows for number in row["latest"]],
    )
    by_name: dict[str, list[FoundVersion]] = {}
    for row in latest:
        by_name.setdefault(row["name"], []).append(_version(row))
    return [
        FoundModel(
            name=row["name"],
            kind=Kind(row["kind"]),
            created_at=row["created_at"],
            updated_at=row["updated_at"],
            description=row["description"],
            tags=msgspec.json.decode(row["tags"]),
            aliases=[(name, number) for name, number in msgspec.json.decode(row["aliases"])],
            latest_versions=sorted(
                by_name.get(row["name"], []), key=lambda one: list(Stage).index(one.stage)
            ),
        )
        for row in rows
    ]


def _version(row: Row) -> FoundVersion:
    about: Any = msgspec.json.decode(row["about"]) if row["about"] else None
    return FoundVersion(
        id=row["id"],
        name=row["name"],
        number=row["number"],
        kind=Kind(row["kind"]),
        registered_at=row["registered_at"],
        updated_at=row["updated_at"],
        description=row["description"],
        tags=msgspec.json.decode(row["tags"]),
        run_id=row["run_id"],
        about=about if isinstance(about, dict) else {},
        prompt=msgspec.json.decode(row["prompt"]) if row["prompt"] else None,
        aliases=tuple(row["aliases"]),
        stage=Stage(row["stage"]),
        barred=_barred(row),
        known=Known(
            version=row["version"],
            lifecycle=row["lifecycle"],
            quarantined=row["quarantined"],
            manifest_digest="sha256:" + row["manifest_digest"].hex(),
            metadata=msgspec.json.decode(row["said"]),
            metrics=msgspec.json.decode(row["metrics"]),
        ),
    )


def _barred(row: Row) -> str | None:
    if row["lifecycle"] == "retired":
        return "retired"
    return "quarantined" if row["quarantined"] else None
