"""Questions to the log: entries, histories, checkpoints, proofs, receipts.

Only published checkpoints are ever shown or proved against. A proof takes two statements and a
few tiles, however large the tree.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Final

from muniment.core import merkle
from muniment.core.digest import Digest
from muniment.core.entry import time_text
from muniment.core.errors import BadProof, LogBusy, NotFound
from muniment.core.merkle import Hash
from muniment.core.receipt import Receipt
from muniment.server.http.metrics import Number
from muniment.server.ledger import rules, store, tiles
from muniment.server.ledger.records import (
    Consistency,
    Fields,
    Fold,
    Inclusion,
    Key,
    Recorded,
    Signed,
    Subject,
)
from muniment.server.ports.db import Database, Row, Tx

_RECEIPT_POLL_SECONDS: Final = 0.02
_COLUMNS: Final = """
    SELECT e.id, e.at, e.act, e.actor_kind, e.actor_id, e.actor_claims::text AS actor_claims,
           e.subject_kind, e.subject_id,
           e.subject_name, e.asset_id, e.digests, e.payload, e.bundle, l.leaf_index
"""
_SELECT: Final = (
    _COLUMNS
    + """
    FROM ledger_entry e LEFT JOIN ledger_leaf l ON l.entry_id = e.id
"""
)
_NEWEST_FIRST: Final = """
      AND e.id < COALESCE($1::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
      AND e.at <= COALESCE($2::timestamptz, 'infinity')
    ORDER BY e.id DESC LIMIT $3
"""

#: For `fsck`: every leaf in order with its entry (columns null if it is gone).
PLACED: Final = (
    _COLUMNS
    + """, e.leaf, e.mac, l.entry_id, l.leaf_hash
    FROM ledger_leaf l LEFT JOIN ledger_entry e ON e.id = l.entry_id ORDER BY l.leaf_index
"""
)
#: Every entry that waits, in the order in which it will be placed.
WAITING: Final = (
    _COLUMNS
    + """, e.leaf, e.mac, p.entry_id
    FROM ledger_pending p LEFT JOIN ledger_entry e ON e.id = p.entry_id
    LEFT JOIN ledger_leaf l ON l.entry_id = p.entry_id ORDER BY p.arrival
"""
)
CHECKPOINTS: Final = """
    SELECT size, root, note, signed_at, published_at, mac FROM ledger_checkpoint ORDER BY size
"""


async def entry(tx: Tx, entry_id: uuid.UUID) -> Recorded:
    """Return one entry, whether it has its leaf already or not.

    Raises:
        NotFound: there is none of that id.
    """
    row = await tx.fetchrow(_SELECT + "WHERE e.id = $1", entry_id)
    if row is None:
        raise NotFound(f"no entry {entry_id} in the log")
    return recorded(row)


async def entries(tx: Tx, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Recorded]:
    """Return entries by their ids; what is not in the log is left out."""
    rows = await tx.fetch(_SELECT + "WHERE e.id = ANY($1::uuid[])", list(ids))
    return {row["id"]: recorded(row) for row in rows}


async def tail(
    tx: Tx, after: int = -1, limit: int = 50, *, as_of: dt.datetime | None = None
) -> list[Recorded]:
    """Return up to `limit` entries with a leaf index above `after`, in leaf order."""
    rows = await tx.fetch(
        _SELECT
        + """WHERE l.leaf_index > $1 AND e.at <= COALESCE($3::timestamptz, 'infinity')
             ORDER BY l.leaf_index LIMIT $2""",
        after,
        limit,
        as_of,
    )
    return [recorded(row) for row in rows]


async def attested(tx: Tx, version_ids: Sequence[str]) -> bool:
    """Say whether a pipeline that was vouched for registered one of these versions.

    That is read from the log itself: the entry must carry its MAC.
    """
    rows = await tx.fetch(
        """
        SELECT id, asset_id, leaf, mac FROM ledger_entry
        WHERE subject_id = ANY($1::text[]) AND actor_claims IS NOT NULL
              AND act IN ('version.register', 'version.attest') AND subject_kind = 'version'
        """,
        version_ids,
    )
    return any(rules.is_genuine(row, tx.mac) for row in rows)


async def registrants(tx: Tx, subject_id: str, kind: str = "version") -> list[str]:
    """Return the ids of who registered a version, or a `composite` (by its CVI), the first to do so first.

    That is read from the log itself: the entry must carry its MAC.
    """
    rows = await tx.fetch(
        """
        SELECT id, asset_id, leaf, mac, actor_id FROM ledger_entry
        WHERE subject_id = $1 AND subject_kind = $2
              AND act IN ('version.register', 'version.attest', 'composite.register')
        ORDER BY id
        """,
        subject_id,
        kind,
    )
    return list(dict.fromkeys(row["actor_id"] for row in rows if rules.is_genuine(row, tx.mac)))


async def history(
    tx: Tx,
    *,
    asset_id: uuid.UUID | None = None,
    subject: tuple[str, str] | None = None,
    actor_id: str | None = None,
    before: uuid.UUID | None = None,
    as_of: dt.datetime | None = None,
    limit: int = 50,
) -> list[Recorded]:
    """Return what was done to an asset or a subject (kind, id), or by an actor; newest first.

    Exactly one of the three is given. `before` is the id of the last entry of the page before.
    Entries that have no leaf yet are included.
    """
    page = (before, as_of, limit)
    if asset_id is not None:
        rows = await tx.fetch(_SELECT + "WHERE e.asset_id = $4" + _NEWEST_FIRST, *page, asset_id)
    elif subject is not None:
        rows = await tx.fetch(
            _SELECT + "WHERE e.subject_kind = $4 AND e.subject_id = $5" + _NEWEST_FIRST,
            *page,
            *subject,
        )
    else:
        rows = await tx.fetch(_SELECT + "WHERE e.actor_id = $4" + _NEWEST_FIRST, *page, actor_id)
    return [recorded(row) for row in rows]


async def find_entry(tx: Tx, *, subject: tuple[str, str], act: str) -> uuid.UUID | None:
    """Return the id of the first entry of `act` on a subject (kind, id): a version's registration."""
    found: uuid.UUID | None = await tx.fetchval(
        """
        SELECT id FROM ledger_entry WHERE subject_kind = $1 AND subject_id = $2 AND act = $3
        ORDER BY id LIMIT 1
        """,
        *subject,
        act,
    )
    return found


async def checkpoint(tx: Tx) -> Signed:
    """Return the newest published checkpoint.

    Raises:
        LogBusy: none was published yet.
    """
    found = await store.last_checkpoint(tx, published=True)
    if found is None:
        raise LogBusy("the log has no checkpoint yet; repeat in a moment")
    return found


async def inclusion(tx: Tx, index: int, size: int | None = None) -> Inclusion:
    """Prove that leaf `index` is in the tree of `size` leaves (default: the newest published).

    Raises:
        LogBusy: the published log is not that large yet, but soon will be.
        BadProof: not index < size, or there are not that many entries.
    """
    newest = await checkpoint(tx)
    size = newest.size if size is None else size
    await _check_published(tx, size, newest)
    return await _inclusion(tx, index, size)


async def consistency(tx: Tx, old: int, new: int | None = None) -> Consistency:
    """Prove that the tree of `new` leaves (default: the newest published) extends that of `old`.

    Raises:
        LogBusy: the published log is not that large yet, but soon will be.
        BadProof: not old <= new, or there are not that many entries.
    """
    newest = await checkpoint(tx)
    new = newest.size if new is None else new
    await _check_published(tx, new, newest)
    make = tiles.consistency(old, new)
    held = await store.held_tiles(tx, merkle.tiles_for(new, make))
    return Consistency(old, new, make(tiles.subtree_of(new, held)))


async def receipt(tx: Tx, entry_id: uuid.UUID) -> Receipt:
    """Return what proves to a stranger that the entry is in the log.

    Against the newest published checkpoint.

    Raises:
        NotFound: there is no such entry.
        LogBusy: no published checkpoint covers it yet; within about 250 ms one will.
    """
    row = await tx.fetchrow(
        """
        SELECT e.leaf, e.payload, e.bundle, l.leaf_index, c.size, c.note
        FROM ledger_entry e LEFT JOIN ledger_leaf l ON l.entry_id = e.id
        LEFT JOIN LATERAL (
            SELECT size, note FROM ledger_checkpoint
            WHERE published_at IS NOT NULL ORDER BY size DESC LIMIT 1
        ) c ON c.size > l.leaf_index
        WHERE e.id = $1
        """,
        entry_id,
    )
    if row is None:
        raise NotFound(f"no entry {entry_id} in the log")
    if row["size"] is None:
        raise LogBusy("the entry is committed and waits for its checkpoint; repeat in a moment")
    proof = await _inclusion(tx, row["leaf_index"], row["size"])
    return Receipt(
        leaf=row["leaf"],
        payload=row["payload"],
        bundle=rules.read_json(row["bundle"]),
        index=proof.index,
        tree_size=proof.size,
        hashes=tuple(proof.hashes),
        checkpoint=row["note"],
    )


async def await_receipt(db: Database, entry_id: uuid.UUID, wait: dt.timedelta) -> Receipt:
    """Return the receipt of an entry as soon as there is one, asking again for up to `wait`.

    Raises:
        NotFound: there is no such entry.
        LogBusy: no published checkpoint covered it in time.
    """
    polls_left = wait.total_seconds() / _RECEIPT_POLL_SECONDS
    while True:
        try:
            async with db.transaction(read_only=True) as tx:
                return await receipt(tx, entry_id)
        except LogBusy:
            polls_left -= 1
            if polls_left < 0:
                raise
        await asyncio.sleep(_RECEIPT_POLL_SECONDS)


async def check_entry_key(tx: Tx) -> None:
    """Make sure that `tx` writes with the entry key the log was begun with.

    Raises:
        LogInconsistent: it does not; what it wrote would be refused.
    """
    rules.check_entry_key(await store.first_entry(tx), tx.mac)


async def log_since(tx: Tx) -> dt.datetime | None:
    """Return when the first checkpoint was signed, or None."""
    found: dt.datetime | None = await tx.fetchval(
        "SELECT signed_at FROM ledger_checkpoint ORDER BY size LIMIT 1"
    )
    return found


def recorded(row: Row) -> Recorded:
    """Return a row of `_SELECT` as a record; `index` is its place, if it has one."""
    return Recorded(
        id=row["id"],
        at=row["at"],
        act=row["act"],
        actor=rules.actor_from(row["actor_kind"], row["actor_id"], row["actor_claims"]),
        subject=Subject(
            row["subject_kind"], row["subject_id"], row["subject_name"], row["asset_id"]
        ),
        payload=rules.payload_of(row["payload"], row["bundle"]),
        index=row["leaf_index"],
        digests=tuple(Digest(raw) for raw in row["digests"]),
    )


async def _inclusion(tx: Tx, index: int, size: int) -> Inclusion:
    make = tiles.inclusion(index, size)
    held = await store.held_tiles(tx, merkle.tiles_for(size, make))
    hashes: list[Hash] = make(tiles.subtree_of(size, held))
    return Inclusion(index, size, hashes)


async def _check_published(tx: Tx, size: int, newest: Signed) -> None:
    """Go on only if a tree of `size` leaves is published."""
    if size < 0:
        raise BadProof(f"expected a tree size, found {size}")
    if size <= newest.size:
        return
    # Waiting ones first: what is placed in between is counted twice, not left out.
    coming = await store.pending_count(tx) + await store.leaf_count(tx)
    if size > coming:
        raise BadProof(f"expected the size of a tree, at most {coming} now, found {size}")
    raise LogBusy(f"the published log has {newest.size} leaves, not {size} yet")


async def gauges(tx: Tx) -> list[Number]:
    """Return what `/metrics` says of the log."""
    return [
        Number(
            "muniment_ledger_refused",
            "Rows of the queue that were given no leaf: somebody writes the database past us.",
            await store.refused_count(tx),
        ),
        Number(
            "muniment_ledger_waiting",
            "Entries that wait for a leaf.",
            await store.pending_count(tx),
        ),
    ]


class RefusedFold:
    """What was given no leaf follows from the acts that say so."""

    table = "ledger_refused"

    def apply(self, rows: dict[Key, Fields], entry: Recorded) -> None:
        """Add the row of one `entry.refuse`."""
        if entry.act == rules.REFUSE and entry.payload is not None:
            rows[str(entry.id)] = {
                "entry_id": entry.subject.id,
                "reason": entry.payload["reason"],
                "refused_at": time_text(entry.at),
            }

    async def stored(self, tx: Tx) -> AsyncIterator[tuple[Key, Fields]]:
        """Every row of `ledger_refused`."""
        sql: Final = "SELECT act_id, entry_id, reason, refused_at FROM ledger_refused"
        async for row in tx.cursor(sql):
            yield (
                str(row["act_id"]),
                {
                    "entry_id": str(row["entry_id"]),
                    "reason": row["reason"],
                    "refused_at": time_text(row["refused_at"]),
                },
            )


#: How this slice's own tables follow from the log.
FOLDS: tuple[Fold, ...] = (RefusedFold(),)
