"""Rows of events. Every function takes a `Tx`; none commits."""

from __future__ import annotations

import uuid
from typing import Any, Final, LiteralString

import msgspec

from muniment.core.digest import Digest
from muniment.server.impact.records import Event, EventKind, Material, RecordedEvent
from muniment.server.impact.rules import folding
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Row, Tx

COLUMNS: Final[LiteralString] = """
    e.id, e.kind, e.maker, e.job, e.event_type, e.event_time, e.producer, e.schema_url,
           e.parent_run, e.code_commit, e.repository, e.inputs::text AS inputs,
           e.outputs::text AS outputs, e.digest, e.recorded_at, e.actor_kind, e.actor_id, e.entry_id"""
EVENT: Final[LiteralString] = "SELECT" + COLUMNS + " FROM lineage_event e"


def to_event(row: Row) -> RecordedEvent:
    """Return the event in `row` (`EVENT`)."""
    event = Event(
        kind=EventKind(row["kind"]),
        maker=row["maker"],
        job=row["job"],
        type=row["event_type"],
        at=row["event_time"],
        producer=row["producer"],
        schema_url=row["schema_url"],
        parent_run=row["parent_run"],
        commit=row["code_commit"],
        repository=row["repository"],
        inputs=materials_of(row["inputs"]),
        outputs=materials_of(row["outputs"]),
    )
    return RecordedEvent(
        id=row["id"],
        event=event,
        digest=Digest(row["digest"]),
        recorded_at=row["recorded_at"],
        actor=Actor(row["actor_kind"], row["actor_id"]),
        entry_id=row["entry_id"],
    )


def materials_of(text: str) -> tuple[Material, ...]:
    """Return what a row's `inputs` or `outputs` say."""
    return msgspec.json.decode(text, type=tuple[Material, ...])


async def insert_event(tx: Tx, new: RecordedEvent, body: bytes) -> bool:
    """Keep an event and its body; say whether it is new: there was none of its maker, type, time and sender."""
    event = new.event
    row = await tx.fetchrow(
        """
        INSERT INTO lineage_event (id, kind, maker, job, event_type, event_time, producer, schema_url,
                                   parent_run, code_commit, repository, inputs, outputs, input_names,
                                   output_names, digest, body, recorded_at, actor_kind, actor_id,
                                   entry_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text::jsonb, $13::text::jsonb, $14,
                $15, $16, $17, $18, $19, $20, $21)
        ON CONFLICT ON CONSTRAINT lineage_event_once DO NOTHING RETURNING id
        """,
        new.id,
        event.kind.value,
        event.maker,
        event.job,
        event.type,
        event.at,
        event.producer,
        event.schema_url,
        event.parent_run,
        event.commit,
        event.repository,
        _encoded(folding.named(event.inputs)),
        _encoded(folding.named(event.outputs)),
        folding.found_by(event.inputs),
        folding.found_by(event.outputs),
        new.digest.raw,
        body,
        new.recorded_at,
        new.actor.kind,
        new.actor.id,
        new.entry_id,
    )
    return row is not None


def _encoded(value: Any) -> str:
    return msgspec.json.encode(value).decode()


async def find_same(tx: Tx, new: RecordedEvent) -> tuple[RecordedEvent, bytes] | None:
    """Return the event that is there of the same maker, type, time and sender, and its body."""
    row = await tx.fetchrow(
        EVENT + " WHERE e.maker = $1"
        " AND e.event_type IS NOT DISTINCT FROM $2 AND e.event_time = $3"
        " AND e.actor_kind = $4 AND e.actor_id = $5",
        new.event.maker,
        new.event.type,
        new.event.at,
        new.actor.kind,
        new.actor.id,
    )
    if row is None:
        return None
    return to_event(row), await body_of(tx, row["id"])


async def body_of(tx: Tx, event_id: uuid.UUID) -> bytes:
    """Return an event as it was sent; empty if there is none."""
    found = await tx.fetchval("SELECT e.body FROM lineage_event e WHERE e.id = $1", event_id)
    return bytes(found or b"")
