"""Who uses what: lists of bindings, how many there are, and those of some versions."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from muniment.server.lifecycle.records import ConsumerOf
from muniment.server.ports.db import Tx
from muniment.server.serving import store
from muniment.server.serving.records import Binding, Counts, Found

#: How many consumers of a version are named beside their number.
FIRST: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which bindings: of an asset, a version it uses, a system, a use case, an environment.

    `scopes` are (namespace, asset) that may be seen, None everything. `as_of` is the time the answer is to hold, None is now. `ended`: those too that had ended by then.
    `unacknowledged`: only those whose notice is due. `before` is an id.
    """

    scopes: Sequence[tuple[str | None, str | None]] | None
    asset_id: uuid.UUID | None = None
    version_id: uuid.UUID | None = None
    system: str | None = None
    use_case: str | None = None
    environment: str | None = None
    ended: bool = False
    unacknowledged: bool = False
    as_of: dt.datetime | None = None
    before: uuid.UUID | None = None
    limit: int = 50


_CURRENT: Final[LiteralString] = """
    (b.ended_at IS NULL OR ($1::timestamptz IS NOT NULL AND b.ended_at > $1))"""
_WHERE: Final[LiteralString] = (
    """
    WHERE ($1::timestamptz IS NULL OR b.bound_at <= $1)
      AND ($2 OR EXISTS (SELECT FROM unnest($3::text[], $4::text[]) s (namespace, name)
                         WHERE s.namespace = a.namespace AND coalesce(s.name, a.name) = a.name))
      AND ($5::uuid IS NULL OR b.asset_id = $5) AND ($6::uuid IS NULL OR u.id = $6)
      AND ($7::text IS NULL OR b.system = $7) AND ($8::text IS NULL OR b.use_case = $8)
      AND ($9::text IS NULL OR b.environment = $9)
      AND ($10 OR"""
    + _CURRENT
    + ") AND (NOT $11 OR ("
    + _CURRENT
    + " AND "
    + store.DUE
    + """))
      AND ($12::uuid IS NULL OR b.id < $12)
    ORDER BY b.id DESC LIMIT $13"""
)
_COUNTS: Final[LiteralString] = (
    "SELECT f.uses, count(*) AS many, count(*) FILTER (WHERE f.due) AS due FROM ("  # noqa: S608 -- constants
    + store.FOUND
    + """
      WHERE b.asset_id = $2 AND ($3::uuid IS NULL OR u.id = $3)
        AND ($1::timestamptz IS NULL OR b.bound_at <= $1) AND"""
    + _CURRENT
    + """
    ) f GROUP BY f.uses ORDER BY f.uses"""
)
_USING: Final[LiteralString] = (
    store.USING  # noqa: S608 -- constants
    + """
    WHERE b.ended_at IS NULL AND u.id = ANY($2::uuid[])
      AND b.asset_id IN (SELECT x.asset_id FROM version x WHERE x.id = ANY($2::uuid[]))"""
)
_USING_FIRST: Final[LiteralString] = (
    "SELECT f.* FROM (SELECT o.*, row_number() OVER (PARTITION BY o.uses_id ORDER BY o.id) AS nth FROM ("  # noqa: S608 -- constants
    + _USING
    + ") o) f WHERE $3::bigint IS NULL OR f.nth <= $3 ORDER BY f.id"
)
_USING_COUNT: Final[LiteralString] = (
    "SELECT f.uses_id, count(*) AS many FROM (" + _USING + ") f GROUP BY f.uses_id"  # noqa: S608 -- constants
)


async def page(tx: Tx, query: Query) -> list[Found]:
    """Return bindings, the newest first; `query.limit` and one more."""
    scopes = query.scopes
    rows = await tx.fetch(
        store.FOUND + _WHERE,
        query.as_of,
        scopes is None,
        [one[0] for one in scopes or ()],
        [one[1] for one in scopes or ()],
        query.asset_id,
        query.version_id,
        query.system,
        query.use_case,
        query.environment,
        query.ended,
        query.unacknowledged,
        query.before,
        query.limit + 1,
    )
    return [store.to_found(row, query.as_of) for row in rows]


async def counts(
    tx: Tx,
    asset_id: uuid.UUID,
    version_id: uuid.UUID | None = None,
    as_of: dt.datetime | None = None,
) -> Counts:
    """Return how many consumers an asset has, or one of its versions; now, or at `as_of`."""
    rows = await tx.fetch(
        _COUNTS,
        as_of,
        asset_id,
        version_id,
    )
    return Counts(
        sum(row["many"] for row in rows),
        sum(row["due"] for row in rows),
        {row["uses"]: row["many"] for row in rows},
    )


async def using(
    tx: Tx, version_ids: Sequence[uuid.UUID], *, each: int | None = None
) -> dict[uuid.UUID, list[Binding]]:
    """Return the current bindings that use versions now, by version, the oldest first; of each at most so many."""
    if not version_ids:
        return {}
    found: dict[uuid.UUID, list[Binding]] = {}
    for row in await tx.fetch(_USING_FIRST, None, list(version_ids), each):
        found.setdefault(row["uses_id"], []).append(store.to_binding(row))
    return found


async def bound_by(tx: Tx, entry_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[str]]:
    """Return the systems that acts bound and that are bound still, by the ids of their entries."""
    rows = await tx.fetch(
        "SELECT entry_id, system FROM consumer_binding"
        " WHERE entry_id = ANY($1::uuid[]) AND ended_at IS NULL",
        list(entry_ids),
    )
    return {row["entry_id"]: [row["system"]] for row in rows}


async def using_count(tx: Tx, version_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    """Return how many current bindings use versions now, by version; those without any are left out."""
    if not version_ids:
        return {}
    rows = await tx.fetch(_USING_COUNT, None, list(version_ids))
    return {row["uses_id"]: row["many"] for row in rows}


async def consumers_of(tx: Tx, version_id: uuid.UUID) -> tuple[int, Sequence[ConsumerOf]]:
    """Return how many consumers use a version now, and the first of them."""
    count = (await using_count(tx, [version_id])).get(version_id, 0)
    found = (await using(tx, [version_id], each=FIRST)).get(version_id, []) if count else []
    return count, [of_binding(one) for one in found]


def of_binding(one: Binding) -> ConsumerOf:
    """Return who uses something by a binding."""
    use = one.use
    return ConsumerOf(one.id, use.system, use.endpoint, use.use_case, use.environment)
