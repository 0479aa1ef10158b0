"""How the catalog's tables follow from the log, act by act.

Each function changes the rows of one table as one entry changed it; entries of other acts change
nothing. An entry whose payload was erased leaves the rows as they are.

Source: design §1 (promise 5), §5.6.
"""

from __future__ import annotations

from typing import Any

from muniment.core.names import SemVer
from muniment.server.catalog.rules.terms import terms
from muniment.server.catalog.rules.versions import metadata_digest, precedence_key, timestamp
from muniment.server.ledger.records import Fields, Key, Recorded

Rows = dict[Key, Fields]

_STATE_FIELDS = (
    "description",
    "owner",
    "backup_owner",
    "escalation_contact",
    "risk_tier",
    "tags",
)


def fold_namespace(rows: Rows, entry: Recorded) -> None:
    """Apply `namespace.create`."""
    if entry.act == "namespace.create":
        rows[entry.subject.id] = {"created_at": timestamp(entry.at), **_actor(entry)}


def fold_asset(rows: Rows, entry: Recorded) -> None:
    """Apply `asset.create`, `asset.annotate`, and the numbers `version.register` takes."""
    payload = entry.payload
    if payload is None:
        return
    if entry.act == "asset.create":
        rows[entry.subject.id] = {
            "namespace": payload["namespace"],
            "name": payload["name"],
            "kind": payload["kind"],
            "created_at": timestamp(entry.at),
            **_actor(entry),
            "entry_id": str(entry.id),
            "revision": 1,
            "updated_at": timestamp(entry.at),
            **{name: payload["state"][name] for name in _STATE_FIELDS},
            "next_number": 1,
        }
    elif entry.act == "asset.annotate":
        rows[entry.subject.id] |= {
            "revision": payload["revision"],
            "updated_at": timestamp(entry.at),
            **{name: payload["state"][name] for name in _STATE_FIELDS},
        }
    elif entry.act == "version.register":
        registered = payload["version"]
        rows[registered["asset_id"]]["next_number"] = registered["number"] + 1


def fold_version(rows: Rows, entry: Recorded) -> None:
    """Apply `version.register`."""
    if entry.act != "version.register" or entry.payload is None:
        return
    fields: dict[str, Any] = dict(entry.payload["version"])
    version_id = fields.pop("id")
    rows[version_id] = {
        **fields,
        "precedence": precedence_key(SemVer.parse(fields["version"])),
        "metadata_digest": metadata_digest(fields["metadata"]).hex,
        "registered_at": timestamp(entry.at),
        **_actor(entry),
        "entry_id": str(entry.id),
    }


def fold_version_label(rows: Rows, entry: Recorded) -> None:
    """Apply what `version.register` says first and `version.annotate` later."""
    if entry.payload is None:
        return
    if entry.act == "version.register":
        registered = entry.payload["version"]
        rows[registered["id"]] = {
            "asset_id": registered["asset_id"],
            "registered_at": timestamp(entry.at),
            "actor_id": entry.actor.id,
            "metrics": registered["metrics_at_registration"],
            "terms": terms(registered["metadata"], registered["formats"]),
            "revision": 1,
            "updated_at": timestamp(entry.at),
            **entry.payload["state"],
        }
    elif entry.act == "version.annotate":
        rows[entry.subject.id] |= {
            "revision": entry.payload["revision"],
            "updated_at": timestamp(entry.at),
            **entry.payload["state"],
        }


def fold_annotation(rows: Rows, entry: Recorded) -> None:
    """Apply every act that says something of an asset or a version."""
    payload = entry.payload
    noun, _, verb = entry.act.partition(".")
    if payload is None or (noun, verb) not in _SAYING:
        return
    subject_id = payload["version"]["id"] if verb == "register" else entry.subject.id
    asset_id = entry.subject.id if verb == "create" else payload.get("asset_id")
    rows[f"{subject_id}/{payload.get('revision', 1)}"] = {
        "subject_kind": noun,
        "asset_id": payload["version"]["asset_id"] if verb == "register" else asset_id,
        "at": timestamp(entry.at),
        **_actor(entry),
        "reason": payload.get("reason", ""),
        "changes": payload.get("changes", {}),
        "state": payload["state"],
        "entry_id": str(entry.id),
    }


_SAYING = {
    ("asset", "create"),
    ("asset", "annotate"),
    ("version", "register"),
    ("version", "annotate"),
}


def fold_alias(rows: Rows, entry: Recorded) -> None:
    """Apply `alias.set`: where the alias points now."""
    if entry.act == "alias.set" and entry.payload is not None:
        payload = entry.payload
        rows[f"{payload['asset_id']}/{payload['alias']}"] = {
            "version_id": payload["version_id"],
            "revision": payload["revision"],
            "updated_at": timestamp(entry.at),
        }


def fold_alias_event(rows: Rows, entry: Recorded) -> None:
    """Apply `alias.set`: one more move of the alias."""
    if entry.act == "alias.set" and entry.payload is not None:
        payload = entry.payload
        rows[f"{payload['asset_id']}/{payload['alias']}/{payload['revision']}"] = {
            "version_id": payload["version_id"],
            "previous_version_id": payload["previous_version_id"],
            "at": timestamp(entry.at),
            **_actor(entry),
            "reason": payload["reason"],
            "entry_id": str(entry.id),
        }


def _actor(entry: Recorded) -> Fields:
    return {"actor_kind": entry.actor.kind, "actor_id": entry.actor.id}
