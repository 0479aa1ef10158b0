"""How the tables of vulnerabilities follow from the log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from muniment.core.entry import time_text
from muniment.server.ledger.records import Fields, Fold, Key, Recorded
from muniment.server.ports.db import Tx
from muniment.server.vulnerabilities.reads.databases import current
from muniment.server.vulnerabilities.rules import folding
from muniment.server.vulnerabilities.store.databases import DATABASE, to_database, totals
from muniment.server.vulnerabilities.store.results import MATCHING, VEX, to_matching, to_vex


class DatabaseFold:
    """`advisory_database`, and whether the newest snapshots' records are as the log has the digest."""

    table = "advisory_database"

    def apply(self, rows: dict[Key, Fields], entry: Recorded) -> None:
        """Apply `vulnerabilities.import`."""
        folding.fold_database(rows, entry)

    async def stored(self, tx: Tx) -> AsyncIterator[tuple[Key, Fields]]:
        """Yield every snapshot."""
        newest_ids = {one.id: one for one in await current(tx)}
        states = {}
        for one in newest_ids.values():
            found = await totals(tx, one.ecosystem)
            same = (found.digest, found.rows) == (one.digest, one.rows)
            states[one.id] = folding.AS_DIGESTED if same else "not as digested"
        async for row in tx.cursor(DATABASE + " ORDER BY d.id"):
            database = to_database(row)
            yield (
                str(database.id),
                {
                    **folding.database_payload(database),
                    "recorded_at": time_text(database.recorded_at),
                    "actor_kind": database.actor.kind,
                    "actor_id": database.actor.id,
                    "entry_id": str(database.entry_id),
                    "records": states.get(database.id, folding.REPLACED),
                },
            )


class VexFold:
    """`vex`."""

    table = "vex"

    def apply(self, rows: dict[Key, Fields], entry: Recorded) -> None:
        """Apply `vulnerabilities.vex`."""
        folding.fold_vex(rows, entry)

    async def stored(self, tx: Tx) -> AsyncIterator[tuple[Key, Fields]]:
        """Yield every row."""
        async for row in tx.cursor(VEX + " ORDER BY x.id"):
            vex = to_vex(row)
            own = {
                "added_at": time_text(vex.added_at),
                "actor_kind": vex.actor.kind,
                "actor_id": vex.actor.id,
                "entry_id": str(vex.entry_id),
            }
            yield str(vex.id), {**folding.vex_payload(vex), **own}


class MatchingFold:
    """`vulnerability_matching`."""

    table = "vulnerability_matching"

    def apply(self, rows: dict[Key, Fields], entry: Recorded) -> None:
        """Apply `vulnerabilities.match`."""
        folding.fold_matching(rows, entry)

    async def stored(self, tx: Tx) -> AsyncIterator[tuple[Key, Fields]]:
        """Yield every row."""
        async for row in tx.cursor(MATCHING + " ORDER BY m.id"):
            matching = to_matching(row)
            payload = folding.matching_payload(matching)
            yield str(matching.id), {**payload, "entry_id": str(matching.entry_id)}


#: How this slice's tables follow from the log.
FOLDS: Final[tuple[Fold, ...]] = (DatabaseFold(), VexFold(), MatchingFold())
