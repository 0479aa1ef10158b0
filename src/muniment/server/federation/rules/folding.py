"""How the tables of federation follow from the log."""

from __future__ import annotations

from typing import Any

from muniment.core.entry import time_text
from muniment.server.federation.records import About
from muniment.server.ledger.records import Fields, Key, Recorded

Rows = dict[Key, Fields]

RESERVE = "version.reserve"
ABANDON = "version.abandon"


def about_json(about: About) -> dict[str, Any]:
    """Return what was said of a version as JSON; only what was."""
    said: dict[str, Any] = {
        name: text
        for name, text in (
            ("run_id", about.run_id),
            ("model_id", about.model_id),
            ("run_link", about.run_link),
            ("description", about.description),
        )
        if text
    }
    return said | ({"tags": dict(about.tags)} if about.tags else {})


def fold_fetch(rows: Rows, entry: Recorded) -> None:
    """Apply `version.reserve`, and `version.register` or `version.abandon` of its number."""
    payload = entry.payload
    if payload is None:
        return
    if entry.act == RESERVE:
        fetch = payload["fetch"]
        rows[f"{payload['asset_id']}/{payload['number']}"] = {
            "id": fetch["id"],
            "source": fetch["source"],
            "about": fetch["about"],
            "asked_at": time_text(entry.at),
            "actor_kind": entry.actor.kind,
            "actor_id": entry.actor.id,
            "entry_id": str(entry.id),
            "state": "pending",
            "reason": "",
            "ended_at": None,
            "version_id": None,
        }
    elif entry.act == ABANDON:
        rows[f"{payload['asset_id']}/{payload['number']}"] |= {
            "state": "failed",
            "reason": payload["reason"],
            "ended_at": time_text(entry.at),
        }
    elif entry.act == "version.register":
        version = payload["version"]
        row = rows.get(f"{version['asset_id']}/{version['number']}")
        if row is not None:
            ended = {"ended_at": time_text(entry.at), "version_id": version["id"]}
            row |= {"state": "registered", **ended}
