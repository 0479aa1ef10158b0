"""Record what others tell of their runs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from muniment.core.digest import digest_of
from muniment.core.errors import Conflict
from muniment.server import ledger
from muniment.server.identity.records import By
from muniment.server.impact import store
from muniment.server.impact.records import Event, RecordedEvent
from muniment.server.impact.rules import folding
from muniment.server.ledger.records import Entry, Subject
from muniment.server.ports.db import Tx


async def tell(
    tx: Tx, told: Sequence[tuple[Event, bytes]], by: By
) -> list[tuple[RecordedEvent, bool]]:
    """Record events, each with its body as it was sent; return them, and which of them are new.

    An event is the same as one before if its maker, type, time and sender are; then nothing is
    written. What was told is never changed.

    Raises:
        Conflict: one of the same maker, type, time and sender says something else. Nothing of
            `told` is written.
        TooLarge: one names so much that the log cannot take it. Nothing is written.
    """
    return [await _tell(tx, event, body, by) for event, body in told]


async def _tell(tx: Tx, event: Event, body: bytes, by: By) -> tuple[RecordedEvent, bool]:
    new = RecordedEvent(
        id=by.new_id(),
        event=event,
        digest=digest_of(body),
        recorded_at=by.at,
        actor=by.actor,
        entry_id=by.new_id(),
    )
    if not await store.insert_event(tx, new, body):
        return await _as_before(tx, new, body), False
    entry = Entry(
        id=new.entry_id,
        at=by.at,
        act=folding.ACT,
        actor=by.actor,
        subject=Subject("lineage event", str(new.id), event.maker[:200]),
        payload=folding.event_payload(new),
        digests=(new.digest,),
    )
    await ledger.append(tx, entry)
    return new, True


async def _as_before(tx: Tx, new: RecordedEvent, body: bytes) -> RecordedEvent:
    found = await store.find_same(tx, new)
    assert found is not None, "who inserted it first has committed, or we would have waited"
    before, held = found
    if msgspec.json.decode(held) != msgspec.json.decode(body):
        type_ = new.event.type or "event"
        raise Conflict(
            f"you told of {type_} of {new.event.maker[:300]} at {new.event.at.isoformat()} before,"
            " and otherwise: events are never changed; send one with a time of its own",
            extra={"event_id": str(before.id), "sha256": before.digest.hex},
        )
    return before
