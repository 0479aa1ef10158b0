"""Consumers in a seeded registry: bindings to be shown, ended, and acknowledged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from muniment import Client

#: What the metadata of seeded versions allows.
USE = "card-fraud-triage"


def seed_consumers(
    admin: Client, folder: Path
) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Bind some consumers; return likely values of parameters, and bodies, by operation."""

    def bind(name: str, system: str, use: str = USE) -> str:
        made = admin.consumers.bind(
            name, system=system, endpoint="https://pay.example", use_case=use
        )
        return made.binding.id

    shown, over = bind("model-one", "checkout"), bind("model-one", "doomed")
    # A namespace that only observes binds for any use.
    admin.register("watched/used-one", version="1.0.0", artifact=folder, kind="model", owner="ada")
    told = bind("watched/used-one", "checkout", "anything")
    admin.lifecycle.deprecate("watched/used-one@1.0.0", reason="old")
    values: dict[str, list[Any]] = {
        "binding_id": [shown],
        "end_consumer.binding_id": [over],
        "acknowledge_consumer.binding_id": [told],
        "bind_consumer.name": ["model-one"],
        "count_consumers.name": ["model-one"],
        "list_consumers.asset": ["model-one"],
        "list_consumers.version": ["model-one@1.0.0"],
        "list_consumers.system": ["checkout"],
        "use_case": [USE],
    }
    wanted = {"system": "billing", "endpoint": "batch:nightly", "use_case": USE}
    bodies: dict[str, list[Any]] = {
        "bind_consumer": [
            wanted,
            {**wanted, "environment": "production", "dry_run": True},
            {**wanted, "use_case": "credit-decisions", "version": "1.0.0"},
        ],
        "end_consumer": [{"reason": "moved"}],
        "acknowledge_consumer": [{"note": "in May"}, {}],
    }
    return values, bodies
