"""Rows of aliases and of their moves. Every function takes a `Tx`; none commits."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Final, LiteralString

from muniment.core.names import Alias, AssetRef, SemVer
from muniment.server.catalog.records import AliasEvent, Mode, NamespaceState, Pointer
from muniment.server.catalog.rules.versions import precedence_key
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Row, Tx


@dataclass(frozen=True, slots=True)
class Standing:
    """How an alias stands before it is moved, and where it is wanted.

    `asset_id` None: there is no such asset. `wanted_id` None: there is no such version, or the
    alias is to be unset. `revision` 0: the alias was never set.
    """

    asset_id: uuid.UUID | None
    wanted_id: uuid.UUID | None
    wanted: SemVer | None
    current_id: uuid.UUID | None
    current: SemVer | None
    current_number: int | None
    revision: int
    wanted_number: int | None
    updated_at: dt.datetime | None
    wanted_barred: str | None = None  # "retired" or "quarantined"
    namespace: NamespaceState | None = None


_STANDING: Final[LiteralString] = """
    SELECT a.id AS asset_id, w.id AS wanted_id, w.version AS wanted, w.number AS wanted_number,
           p.version_id AS current_id, c.version AS current, c.number AS current_number, coalesce(p.revision, 0) AS revision,
           p.updated_at, n.mode, n.production_aliases,
           CASE WHEN w.id IS NULL THEN NULL
                WHEN a.tombstoned_at IS NOT NULL OR k.mark = 'retired' THEN 'retired'
                WHEN k.quarantined THEN 'quarantined' END AS wanted_barred
    FROM asset a
    JOIN namespace n ON n.name = a.namespace
    LEFT JOIN alias p ON p.asset_id = a.id AND p.name = $3
    LEFT JOIN version c ON c.id = p.version_id
    LEFT JOIN version w ON w.asset_id = a.id AND """
_STOOD: Final[LiteralString] = " LEFT JOIN version_standing k ON k.version_id = w.id"
_NAMED: Final[LiteralString] = " WHERE a.namespace = $1 AND a.name = $2"
_STANDING_BY: Final[dict[type, LiteralString]] = {
    SemVer: _STANDING + "w.precedence = $4" + _STOOD + _NAMED,
    int: _STANDING + "w.number = $4" + _STOOD + _NAMED,
    type(None): _STANDING + "w.precedence = $4::text" + _STOOD + _NAMED,  # NULL: no version
}


async def standing(
    tx: Tx, asset: AssetRef, alias: Alias, wanted: SemVer | int | None, *, peek: bool = False
) -> Standing:
    """Return how `alias` stands, and which version of `asset` is wanted. One statement, no lock.

    `peek` does not begin the transaction for it.
    """
    ask = tx.peek if peek else tx.fetchrow
    row = await ask(
        _STANDING_BY[type(wanted)],
        str(asset.namespace),
        str(asset.name),
        str(alias),
        precedence_key(wanted) if isinstance(wanted, SemVer) else wanted,
    )
    if row is None:
        return Standing(None, None, None, None, None, None, 0, None, None)
    return Standing(
        row["asset_id"],
        row["wanted_id"],
        _semver(row["wanted"]),
        row["current_id"],
        _semver(row["current"]),
        row["current_number"],
        row["revision"],
        row["wanted_number"],
        row["updated_at"],
        row["wanted_barred"],
        NamespaceState(Mode(row["mode"]), tuple(row["production_aliases"])),
    )


def _semver(text: str | None) -> SemVer | None:
    return None if text is None else SemVer.parse(text)


#: Points the alias where an event says and keeps the event, if it is the alias's next revision.
#: If not, somebody moved it meanwhile: nothing is written, and a transaction that had begun holds
#: the row's lock from here on, so that reading it and moving it once more succeeds.
MOVE: Final[LiteralString] = """moved AS (
        INSERT INTO alias AS p (asset_id, name, version_id, revision, updated_at)
        VALUES ($1, $2, $3, $4, $6)
        ON CONFLICT (asset_id, name) DO UPDATE
            SET version_id = $3, revision = $4, updated_at = $6
            WHERE p.revision = $4 - 1
        RETURNING true
    ), done AS (
        INSERT INTO alias_event (asset_id, name, version_id, revision, previous_version_id, at,
                                 actor_kind, actor_id, reason, entry_id, act)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM moved RETURNING true
    )"""
_MOVE_ALONE: Final[LiteralString] = "WITH " + MOVE + " SELECT true FROM done"  # noqa: S608 -- ours


async def move_alias(tx: Tx, event: AliasEvent) -> bool:
    """Point the alias where `event` says and keep the event; say whether that was done (`MOVE`)."""
    return await tx.fetchval(_MOVE_ALONE, *move_values(event)) is not None


def move_values(event: AliasEvent) -> tuple[object, ...]:
    """Return the parameters of `MOVE`."""
    return (
        event.asset_id,
        str(event.alias),
        event.version_id,
        event.revision,
        event.previous_version_id,
        event.at,
        event.actor.kind,
        event.actor.id,
        event.reason,
        event.entry_id,
        event.act,
    )


async def pointers(tx: Tx, asset_id: uuid.UUID, as_of: dt.datetime | None = None) -> list[Pointer]:
    """Return the aliases of an asset that point at a version, by name; as they did at `as_of`."""
    if as_of is None:
        rows = await tx.fetch(
            """
            SELECT p.asset_id, p.name, p.version_id, v.version, v.number, p.revision, p.updated_at
            FROM alias p JOIN version v ON v.id = p.version_id
            WHERE p.asset_id = $1 ORDER BY p.name
            """,
            asset_id,
        )
    else:
        rows = await tx.fetch(
            """
            SELECT e.asset_id, e.name, e.version_id, v.version, v.number, e.revision,
                   e.at AS updated_at
            FROM (SELECT DISTINCT ON (name) * FROM alias_event
                  WHERE asset_id = $1 AND at <= $2 ORDER BY name, revision DESC) e
            JOIN version v ON v.id = e.version_id
            ORDER BY e.name
            """,
            asset_id,
            as_of,
        )
    return [to_pointer(row) for row in rows]


async def find_pointer(tx: Tx, asset: AssetRef, alias: Alias) -> Pointer | None:
    """Return where `alias` points now; with no version if it was unset, None if it never was set."""
    now = await standing(tx, asset, alias, None)
    if now.asset_id is None or now.updated_at is None:
        return None
    return Pointer(
        asset_id=now.asset_id,
        alias=alias,
        version_id=now.current_id,
        version=now.current,
        number=now.current_number,
        revision=now.revision,
        updated_at=now.updated_at,
    )


def to_pointer(row: Row) -> Pointer:
    """Return where the alias in `row` points."""
    return Pointer(
        asset_id=row["asset_id"],
        alias=Alias(row["name"]),
        version_id=row["version_id"],
        version=_semver(row["version"]),
        number=row["number"],
        revision=row["revision"],
        updated_at=row["updated_at"],
    )


def to_alias_event(row: Row) -> AliasEvent:
    """Return the move in `row`."""
    return AliasEvent(
        asset_id=row["asset_id"],
        alias=Alias(row["name"]),
        revision=row["revision"],
        version_id=row["version_id"],
        previous_version_id=row["previous_version_id"],
        at=row["at"],
        actor=Actor(row["actor_kind"], row["actor_id"]),
        reason=row["reason"],
        entry_id=row["entry_id"],
        act=row["act"],
    )
