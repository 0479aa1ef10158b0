"""How `lineage_event` follows from the log. Source: design §1 (promise 5), §5.6."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from muniment.core.entry import time_text
from muniment.server.impact.records import Event, Material, RecordedEvent
from muniment.server.ledger.records import Fields, Key, Recorded

ACT: Final = "lineage.tell"


def named(materials: Sequence[Material]) -> list[Fields]:
    """Return what an event names as its row has it."""
    return [
        {
            "kind": one.kind.value,
            "name": one.name,
            "version": one.version,
            "digest": one.digest,
            "also": list(one.also),
        }
        for one in materials
    ]


def found_by(materials: Sequence[Material]) -> list[str]:
    """Return every name by which what an event names is found, sorted, each once."""
    return sorted({name for one in materials for name in one.called})


def event_payload(made: RecordedEvent) -> Fields:
    """Return the payload of `lineage.tell`: what the row says but the entry's own, and `sha256`."""
    event: Event = made.event
    return {
        "kind": event.kind.value,
        "maker": event.maker,
        "job": event.job,
        "event_type": event.type,
        "event_time": time_text(event.at),
        "producer": event.producer,
        "schema_url": event.schema_url,
        "parent_run": event.parent_run,
        "code_commit": event.commit,
        "repository": event.repository,
        "inputs": named(event.inputs),
        "outputs": named(event.outputs),
        "sha256": made.digest.hex,
    }


def fold_event(rows: dict[Key, Any], entry: Recorded) -> None:
    """Apply `lineage.tell`. The body must have the digest that was logged."""
    if entry.act != ACT or entry.payload is None:
        return
    rows[entry.subject.id] = {
        **entry.payload,
        "body_sha256": entry.payload["sha256"],
        "input_names": _names(entry.payload["inputs"]),
        "output_names": _names(entry.payload["outputs"]),
        "recorded_at": time_text(entry.at),
        "actor_kind": entry.actor.kind,
        "actor_id": entry.actor.id,
        "entry_id": str(entry.id),
    }


def _names(told: Sequence[Fields]) -> list[str]:
    return found_by(
        [
            Material(one["kind"], one["name"], one["version"], one["digest"], tuple(one["also"]))
            for one in told
        ]
    )
