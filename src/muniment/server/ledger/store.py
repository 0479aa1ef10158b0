"""The ledger's tables: every statement that changes them."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Sequence
from typing import Final, LiteralString

from muniment.core.canon import canonical
from muniment.core.merkle import Tile
from muniment.server.ledger.records import Entry, Signed, Waiting, Written, claims_of
from muniment.server.ledger.tiles import Held
from muniment.server.ports.db import Row, Tx, numbered_after

#: PostgreSQL advisory lock of the one sequencer: `sequence` in ASCII.
LEADER_LOCK = int.from_bytes(b"sequence", "big")


_ENTRY: Final[LiteralString] = """entry AS (
        INSERT INTO ledger_entry (id, at, act, actor_kind, actor_id, subject_kind, subject_id,
                                  subject_name, asset_id, digests, leaf, payload, bundle, mac,
                                  actor_claims)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15::text::jsonb
        FROM done
        RETURNING id
    ), pending AS (
        INSERT INTO ledger_pending (entry_id) SELECT id FROM entry
    )
    SELECT * FROM done"""
_ALONE: Final[LiteralString] = "WITH done AS (SELECT true), " + _ENTRY


async def insert_entry(tx: Tx, entry: Entry, written: Written, mac: bytes) -> None:
    """Write the entry with its MAC and queue it for the sequencer, in one statement."""
    await tx.execute(_ALONE, *_values(entry, written, mac))


async def insert_entries(tx: Tx, made: Sequence[tuple[Entry, Written, bytes]]) -> None:
    """Write entries with their MACs and queue them for the sequencer, in order, in one round trip."""
    await tx.executemany(_ALONE, [_values(*one) for one in made])


async def insert_with(
    tx: Tx, made: tuple[Entry, Written, bytes], act: LiteralString, args: Sequence[object]
) -> Row | None:
    """Do what `act` says and write its entry with it, in the statement that finishes `tx`.

    `act` is common table expressions over `args`, the last named `done`: one row if it was done,
    none if not. Then nothing is written. Returns that row.
    """
    sql: LiteralString = "WITH " + act + ", " + numbered_after(len(args), _ENTRY)
    return await tx.finish(sql, *args, *_values(*made))


def _values(entry: Entry, written: Written, mac: bytes) -> tuple[object, ...]:
    claims = claims_of(entry.actor)
    return (
        entry.id,
        entry.at,
        entry.act,
        entry.actor.kind,
        entry.actor.id,
        entry.subject.kind,
        entry.subject.id,
        entry.subject.name,
        entry.subject.asset_id,
        [digest.raw for digest in entry.digests],
        written.leaf,
        written.payload,
        written.bundle,
        mac,
        None if claims is None else canonical(claims).decode(),
    )


async def erase_payload(tx: Tx, entry_id: uuid.UUID) -> bool:
    """Erase the payload of an unsigned entry; return whether there was one."""
    done = await tx.execute(
        "UPDATE ledger_entry SET payload = NULL WHERE id = $1 AND payload IS NOT NULL", entry_id
    )
    return done == "UPDATE 1"


async def try_lead(tx: Tx) -> bool:
    """Take the lock that makes this the one sequencer, until `tx` ends; say whether it was free."""
    return bool(await tx.fetchval("SELECT pg_try_advisory_xact_lock($1)", LEADER_LOCK))


async def has_pending(tx: Tx) -> bool:
    """Say whether any committed entry waits for its leaf."""
    return bool(await tx.fetchval("SELECT EXISTS (SELECT FROM ledger_pending)"))


async def take_pending(tx: Tx, limit: int) -> list[Waiting]:
    """Take up to `limit` rows off the queue, first come first, whatever they stand for."""
    rows = await tx.fetch(
        """
        WITH taken AS (
            DELETE FROM ledger_pending WHERE arrival IN (
                SELECT arrival FROM ledger_pending ORDER BY arrival LIMIT $1
            ) RETURNING arrival, entry_id
        )
        SELECT t.entry_id, e.leaf, e.mac, e.asset_id, l.leaf_index
        FROM taken t LEFT JOIN ledger_entry e ON e.id = t.entry_id
        LEFT JOIN ledger_leaf l ON l.entry_id = t.entry_id
        ORDER BY t.arrival
        """,
        limit,
    )
    return [Waiting(**dict(row)) for row in rows]


async def claims(tx: Tx, entry_id: uuid.UUID) -> dict[str, str]:
    """Return what the row of an entry says it is, cut to 200 characters each; empty: there is none."""
    row = await tx.fetchrow(
        """
        SELECT left(act, 200) AS act, left(actor_kind, 200) AS actor_kind,
               left(actor_id, 200) AS actor_id, left(subject_kind, 200) AS subject_kind,
               left(subject_id, 200) AS subject_id
        FROM ledger_entry WHERE id = $1
        """,
        entry_id,
    )
    return dict(row) if row else {}


async def insert_refused(
    tx: Tx, act_id: uuid.UUID, entry_id: uuid.UUID, reason: str, at: dt.datetime
) -> None:
    """Keep that what the queue named `entry_id` was given no leaf, and why."""
    await tx.execute(
        """
        INSERT INTO ledger_refused (act_id, entry_id, reason, refused_at) VALUES ($1, $2, $3, $4)
        """,
        act_id,
        entry_id,
        reason,
        at,
    )


async def insert_leaves(
    tx: Tx, first: int, entry_ids: Sequence[uuid.UUID], leaf_hashes: Sequence[bytes]
) -> None:
    """Place entries at consecutive leaf indexes from `first` on."""
    await tx.execute(
        """
        INSERT INTO ledger_leaf (leaf_index, entry_id, leaf_hash)
        SELECT $1::bigint + place - 1, entry_id, leaf_hash
        FROM unnest($2::uuid[], $3::bytea[]) WITH ORDINALITY AS t (entry_id, leaf_hash, place)
        """,
        first,
        entry_ids,
        leaf_hashes,
    )


async def upsert_tiles(tx: Tx, tiles: Held) -> None:
    """Write whole tiles; one that exists may only have grown."""
    await tx.execute(
        """
        INSERT INTO ledger_tile (level, tile_index, hashes)
        SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
        ON CONFLICT (level, tile_index) DO UPDATE SET hashes = EXCLUDED.hashes
        """,
        [level for level, _ in tiles],
        [index for _, index in tiles],
        list(tiles.values()),
    )


async def insert_checkpoint(tx: Tx, checkpoint: Signed, mac: bytes) -> None:
    """Keep a signed checkpoint with its MAC, not yet published."""
    await tx.execute(
        """
        INSERT INTO ledger_checkpoint (size, root, note, signed_at, mac) VALUES ($1, $2, $3, $4, $5)
        """,
        checkpoint.size,
        checkpoint.root,
        checkpoint.note,
        checkpoint.signed_at,
        mac,
    )


async def mark_published(tx: Tx, size: int, at: dt.datetime) -> None:
    """Show the checkpoint of `size` from now on. Repeatable."""
    await tx.execute(
        "UPDATE ledger_checkpoint SET published_at = $2 WHERE size = $1 AND published_at IS NULL",
        size,
        at,
    )


async def last_checkpoint(tx: Tx, *, published: bool) -> Signed | None:
    """Return the largest checkpoint; of the published ones only, if `published`."""
    row = await tx.fetchrow(
        """
        SELECT size, root, note, signed_at, published_at FROM ledger_checkpoint
        WHERE published_at IS NOT NULL OR NOT $1 ORDER BY size DESC LIMIT 1
        """,
        published,
    )
    return Signed(**dict(row)) if row else None


async def leaf_count(tx: Tx) -> int:
    """Return how many leaves there are, if their indexes have no gap."""
    last = await tx.fetchval("SELECT max(leaf_index) FROM ledger_leaf")
    return 0 if last is None else last + 1


async def pending_count(tx: Tx) -> int:
    """Return how many entries wait for their leaf."""
    return int(await tx.fetchval("SELECT count(*) FROM ledger_pending"))


async def held_tiles(tx: Tx, wanted: Collection[Tile]) -> dict[tuple[int, int], bytes]:
    """Return the tiles of `wanted` that exist, whole, by (level, index)."""
    rows = await tx.fetch(
        """
        SELECT level, tile_index, hashes FROM ledger_tile
        WHERE (level, tile_index) IN (SELECT * FROM unnest($1::smallint[], $2::bigint[]))
        """,
        [tile.level for tile in wanted],
        [tile.index for tile in wanted],
    )
    return {(row["level"], row["tile_index"]): row["hashes"] for row in rows}


async def leaves(tx: Tx, start: int, end: int) -> list[bytes]:
    """Return the leaf bytes of leaves [start, end)."""
    rows = await tx.fetch(
        """
        SELECT e.leaf FROM ledger_leaf l JOIN ledger_entry e ON e.id = l.entry_id
        WHERE l.leaf_index >= $1 AND l.leaf_index < $2 ORDER BY l.leaf_index
        """,
        start,
        end,
    )
    return [row["leaf"] for row in rows]


async def tile_count(tx: Tx) -> int:
    """Return how many tiles there are."""
    return int(await tx.fetchval("SELECT count(*) FROM ledger_tile"))


async def unplaced(tx: Tx, limit: int) -> list[uuid.UUID]:
    """Return entries without a leaf that neither wait for one nor were refused: there must be none."""
    rows = await tx.fetch(
        """
        SELECT id FROM ledger_entry e
        WHERE NOT EXISTS (SELECT FROM ledger_leaf l WHERE l.entry_id = e.id)
          AND NOT EXISTS (SELECT FROM ledger_pending p WHERE p.entry_id = e.id)
          AND NOT EXISTS (SELECT FROM ledger_refused r WHERE r.entry_id = e.id)
        ORDER BY id LIMIT $1
        """,
        limit,
    )
    return [row["id"] for row in rows]


async def refused_and_there(tx: Tx, limit: int) -> list[Row]:
    """Return entries without a leaf that were refused and are still there: id, act, actor, reason."""
    return list(
        await tx.fetch(
            """
            SELECT DISTINCT ON (e.id) e.id, e.act, e.actor_kind, e.actor_id, r.reason
            FROM ledger_refused r JOIN ledger_entry e ON e.id = r.entry_id
            WHERE NOT EXISTS (SELECT FROM ledger_leaf l WHERE l.entry_id = e.id)
            ORDER BY e.id LIMIT $1
            """,
            limit,
        )
    )


async def refused_count(tx: Tx) -> int:
    """Return how often something in the queue was refused."""
    return int(await tx.fetchval("SELECT count(*) FROM ledger_refused"))


async def first_entry(tx: Tx) -> Row | None:
    """Return id, asset, leaf and MAC of the first entry of the log."""
    return await tx.fetchrow(
        """
        SELECT e.id, e.asset_id, e.leaf, e.mac
        FROM ledger_leaf l JOIN ledger_entry e ON e.id = l.entry_id WHERE l.leaf_index = 0
        """
    )
