"""How `composite` follows from the log. Source: design §1 (promise 5), §5.6."""

from __future__ import annotations

from typing import Any, Final

from muniment.core.entry import time_text
from muniment.server.composites.records import Composite
from muniment.server.composites.rules.pinning import digests_of
from muniment.server.ledger.records import Fields, Key, Recorded

ACT: Final = "composite.register"


def payload(composite: Composite) -> Fields:
    """Return the payload of `composite.register`: all that its row holds but the entry's own."""
    return {
        "id": str(composite.id),
        "namespace": composite.namespace,
        "manifest": dict(composite.manifest),
    }


def fold_composite(rows: dict[Key, Any], entry: Recorded) -> None:
    """Apply `composite.register`."""
    if entry.act != ACT or entry.payload is None:
        return
    manifest = entry.payload["manifest"]
    rows[entry.subject.id] = {
        **entry.payload,
        "system": manifest["system"],
        "digests": digests_of(manifest),
        "registered_at": time_text(entry.at),
        "actor_kind": entry.actor.kind,
        "actor_id": entry.actor.id,
        "entry_id": str(entry.id),
    }
