"""Rows of bundles. Every function takes a `Tx`; none commits."""

from __future__ import annotations

import datetime as dt
from typing import Final, LiteralString

from muniment.server.ledger.records import Actor
from muniment.server.policy.records import StoredBundle
from muniment.server.ports.db import Row, Tx

_BUNDLE: Final[LiteralString] = """
    SELECT digest, rule_count, added_at, actor_kind, actor_id, entry_id FROM policy_bundle"""


async def insert(tx: Tx, new: StoredBundle, packed: bytes) -> bool:
    """Insert a bundle; False if it is there already."""
    done = await tx.execute(
        """
        INSERT INTO policy_bundle (digest, packed, rule_count, added_at, actor_kind, actor_id,
                                   entry_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (digest) DO NOTHING
        """,
        new.digest,
        packed,
        new.rule_count,
        new.added_at,
        new.actor.kind,
        new.actor.id,
        new.entry_id,
    )
    return done == "INSERT 0 1"


async def find(tx: Tx, digest: str) -> StoredBundle | None:
    """Return the bundle of that digest, or None."""
    row = await tx.fetchrow(_BUNDLE + " WHERE digest = $1", digest)
    return None if row is None else _bundle(row)


async def packed(tx: Tx, digest: str) -> bytes | None:
    """Return the bytes of a bundle as it was packed, or None."""
    found: bytes | None = await tx.fetchval(
        "SELECT packed FROM policy_bundle WHERE digest = $1", digest
    )
    return found


async def page(tx: Tx, before: tuple[dt.datetime, str] | None, limit: int) -> list[StoredBundle]:
    """Return bundles, the latest first, from the position on."""
    at, digest = before or (None, None)
    rows = await tx.fetch(
        _BUNDLE
        + """
        WHERE $1::timestamptz IS NULL OR (added_at, digest) < ($1, $2::text)
        ORDER BY added_at DESC, digest DESC LIMIT $3
        """,
        at,
        digest,
        limit,
    )
    return [_bundle(row) for row in rows]


def _bundle(row: Row) -> StoredBundle:
    return StoredBundle(
        row["digest"],
        row["rule_count"],
        row["added_at"],
        Actor(row["actor_kind"], row["actor_id"]),
        row["entry_id"],
    )
