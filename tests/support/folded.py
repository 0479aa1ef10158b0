"""Whether the tables are what the log says, without a sequencer: the entries in order of arrival."""

from __future__ import annotations

from typing import Any

from muniment.server import approvals, catalog, identity, lifecycle, policy, serving
from muniment.server.ledger.records import Actor, Recorded, Subject
from muniment.server.ledger.rules import payload_of
from muniment.server.ports.db import Database


async def agrees(db: Database) -> None:
    """Every table of identity, catalog, policy and lifecycle is what folding the log gives."""
    async with db.transaction(read_only=True) as tx:
        rows = await tx.fetch(
            "SELECT * FROM ledger_entry e JOIN ledger_pending p ON p.entry_id = e.id"
            " ORDER BY p.arrival"
        )
        entries = [
            Recorded(
                id=row["id"],
                at=row["at"],
                act=row["act"],
                actor=Actor(row["actor_kind"], row["actor_id"]),
                subject=Subject(row["subject_kind"], row["subject_id"], row["subject_name"]),
                payload=payload_of(row["payload"], row["bundle"]),
                index=None,
            )
            for row in rows
        ]
        for fold in (
            *identity.FOLDS,
            *catalog.FOLDS,
            *policy.FOLDS,
            *approvals.FOLDS,
            *lifecycle.FOLDS,
            *serving.FOLDS,
        ):
            folded: dict[str, dict[str, Any]] = {}
            for entry in entries:
                fold.apply(folded, entry)
            stored = {key: fields async for key, fields in fold.stored(tx)}
            assert folded == stored, fold.table
