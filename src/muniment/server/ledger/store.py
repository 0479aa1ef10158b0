"""The ledger's tables: every statement that changes them."""

from __future__ import annotations

from muniment.server.ledger.records import Entry, Written
from muniment.server.ports.db import Tx


async def insert_entry(tx: Tx, entry: Entry, written: Written) -> None:
    """Write the entry and queue it for the sequencer, in one statement."""
    await tx.execute(
        """
        WITH entry AS (
            INSERT INTO ledger_entry (id, at, act, actor_kind, actor_id, subject_kind, subject_id,
                                      subject_name, asset_id, digests, leaf, payload, bundle)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
            RETURNING id
        )
        INSERT INTO ledger_pending (entry_id) SELECT id FROM entry
        """,
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
    )
