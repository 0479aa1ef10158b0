"""Rows of composites. Every function takes a `Tx`; none commits."""

from __future__ import annotations

from typing import Final, LiteralString

from muniment.core.canon import canonical, loads_strict
from muniment.server.composites.records import Composite
from muniment.server.composites.rules.pinning import digests_of
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Row, Tx

COMPOSITE: Final[LiteralString] = """
    SELECT c.cvi, c.id, c.namespace, c.system, c.manifest, c.digests, c.registered_at, c.actor_kind,
           c.actor_id, c.entry_id
    FROM composite c"""


def to_composite(row: Row) -> Composite:
    """Return the composite in `row` (`COMPOSITE`)."""
    return Composite(
        cvi=row["cvi"],
        id=row["id"],
        namespace=row["namespace"],
        system=row["system"],
        manifest=loads_strict(row["manifest"]),
        registered_at=row["registered_at"],
        actor=Actor(row["actor_kind"], row["actor_id"]),
        entry_id=row["entry_id"],
    )


async def insert(tx: Tx, new: Composite) -> bool:
    """Keep a composite; False if one of its identifier is there already."""
    tag = await tx.execute(
        """
        INSERT INTO composite (cvi, id, namespace, system, manifest, digests, registered_at,
                               actor_kind, actor_id, entry_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (cvi) DO NOTHING
        """,
        new.cvi,
        new.id,
        new.namespace,
        new.system,
        canonical(dict(new.manifest)),
        digests_of(new.manifest),
        new.registered_at,
        new.actor.kind,
        new.actor.id,
        new.entry_id,
    )
    return tag != "INSERT 0 0"


async def find(tx: Tx, cvi: str) -> Composite | None:
    """Return the composite of an identifier, None if there is none."""
    row = await tx.fetchrow(COMPOSITE + " WHERE c.cvi = $1", cvi)
    return None if row is None else to_composite(row)
