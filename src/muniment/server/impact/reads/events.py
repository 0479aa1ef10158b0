"""Events as they were told, and how their table follows from the log."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Final, LiteralString

from muniment.core.digest import Digest
from muniment.core.entry import time_text
from muniment.core.errors import NotFound
from muniment.server.impact import store
from muniment.server.impact.records import RecordedEvent
from muniment.server.impact.rules import folding
from muniment.server.ledger.records import Fields, Fold, Key, Recorded
from muniment.server.ports.db import Tx


async def page(
    tx: Tx, *, about: str | None, before: uuid.UUID | None, limit: int
) -> list[RecordedEvent]:
    """Return up to `limit` + 1 events, the newest first; of a run or job all that are about it."""
    kind, _, key = (about or "").partition(":")
    rows = await tx.fetch(
        store.EVENT
        + """
        WHERE ($1::text IS NULL OR e.maker = $1 OR ($4 AND e.job = $5))
          AND ($2::uuid IS NULL OR e.id < $2)
        ORDER BY e.id DESC LIMIT $3
        """,
        about,
        before,
        limit + 1,
        kind == "job",
        key,
    )
    return [store.to_event(row) for row in rows]


async def sent(tx: Tx, event_id: uuid.UUID) -> bytes:
    """Return an event as it was sent.

    Raises:
        NotFound: there is none.
    """
    found = await store.body_of(tx, event_id)
    if not found:
        raise NotFound(f"there is no lineage event {event_id}")
    return found


_WITH_BODY: Final[LiteralString] = (
    "SELECT sha256(e.body) AS body_digest, e.input_names, e.output_names,"  # noqa: S608 -- columns only
    + store.COLUMNS
    + " FROM lineage_event e ORDER BY e.id"
)


class EventFold:
    """`lineage_event`."""

    table = "lineage_event"

    def apply(self, rows: dict[Key, Fields], entry: Recorded) -> None:
        """Apply `lineage.tell`."""
        folding.fold_event(rows, entry)

    async def stored(self, tx: Tx) -> AsyncIterator[tuple[Key, Fields]]:
        """Yield every row; the digest of its body is computed."""
        async for row in tx.cursor(_WITH_BODY):
            made = store.to_event(row)
            yield (
                str(made.id),
                {
                    **folding.event_payload(made),
                    "body_sha256": Digest(row["body_digest"]).hex,
                    "input_names": list(row["input_names"]),
                    "output_names": list(row["output_names"]),
                    "recorded_at": time_text(made.recorded_at),
                    "actor_kind": made.actor.kind,
                    "actor_id": made.actor.id,
                    "entry_id": str(made.entry_id),
                },
            )


#: How this slice's table follows from the log.
FOLDS: Final[tuple[Fold, ...]] = (EventFold(),)
