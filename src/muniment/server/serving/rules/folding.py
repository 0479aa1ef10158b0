"""How this slice's tables follow from the log, act by act.

An entry that binds has `binding`, one that ends a binding `binding_ended`, one that acknowledges
`acknowledgement`. Who and when are the entry's own. An entry whose payload was erased leaves the rows
as they are.

Source: design §1 (promise 5), §5.6.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from muniment.core.entry import time_text
from muniment.server.ledger.records import Fields, Key, Recorded
from muniment.server.serving.records import Binding, EndedAs, Use
from muniment.server.serving.rules.uses import key_of

Rows = dict[Key, Fields]
BIND: Final = "consumer.bind"
END: Final = "consumer.end"
ACKNOWLEDGE: Final = "consumer.acknowledge"
REFUSE: Final = "consumer.refuse"
_OPEN: Final[Fields] = dict.fromkeys(
    (
        "ended_at", "ended_as", "ended_reason", "ended_actor_kind", "ended_actor_id",
        "ended_entry_id",
    )
)  # fmt: skip


def fold_binding(rows: Rows, entry: Recorded) -> None:
    """Apply every act that makes or ends a binding."""
    if entry.act not in {BIND, END} or entry.payload is None:
        return
    at, actor, entry_id = time_text(entry.at), entry.actor, str(entry.id)
    ended = entry.payload.get("binding_ended")
    if ended is not None:
        rows[ended["id"]] |= {
            "ended_at": at,
            "ended_as": ended["as"],
            "ended_reason": ended["reason"],
            "ended_actor_kind": actor.kind,
            "ended_actor_id": actor.id,
            "ended_entry_id": entry_id,
        }
    if "binding" in entry.payload:
        fields = dict(entry.payload["binding"])
        use = Use(*(fields[name] for name in ("system", "endpoint", "use_case", "environment")))
        key = fields.pop("id")
        rows[key] = {
            **fields,
            "use_sha256": key_of(uuid.UUID(fields["asset_id"]), use).hex,
            "bound_at": at,
            "actor_kind": actor.kind,
            "actor_id": actor.id,
            "entry_id": entry_id,
            **_OPEN,
        }


def fold_acknowledgement(rows: Rows, entry: Recorded) -> None:
    """Apply every acknowledgement."""
    if entry.act == ACKNOWLEDGE and entry.payload is not None:
        rows[str(entry.id)] = {
            **entry.payload["acknowledgement"],
            "at": time_text(entry.at),
            "actor_kind": entry.actor.kind,
            "actor_id": entry.actor.id,
        }


def binding_json(binding: Binding) -> dict[str, Any]:
    """Return a binding as its entry has it."""
    use = binding.use
    return {
        "id": str(binding.id),
        "asset_id": str(binding.asset_id),
        "version_id": None if binding.version_id is None else str(binding.version_id),
        "judged_version_id": str(binding.judged_version_id),
        "system": use.system,
        "endpoint": use.endpoint,
        "use_case": use.use_case,
        "environment": use.environment,
        "reason": binding.reason,
    }


def ended_json(binding: Binding, ended_as: EndedAs, reason: str) -> dict[str, Any]:
    """Return the end of a binding as its entry has it."""
    return {"id": str(binding.id), "as": ended_as.value, "reason": reason}
