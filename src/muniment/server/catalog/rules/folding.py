"""How the catalog's tables follow from the log, act by act.

Each function changes the rows of one table as one entry changed it; entries of other acts change
nothing. An entry whose payload was erased leaves the rows as they are.

Source: design §1 (promise 5), §5.6.
"""

from __future__ import annotations

from typing import Any

from muniment.core.names import SemVer
from muniment.server.catalog.rules.governing import namespace_json, namespace_state_from
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
    """Apply `namespace.create` and `namespace.govern`."""
    if entry.payload is None:
        return
    if entry.act == "namespace.create":
        rows[entry.subject.id] = {
            "created_at": timestamp(entry.at),
            **_actor(entry),
            **namespace_json(namespace_state_from(entry.payload)),
            "revision": 1,
            "updated_at": timestamp(entry.at),
        }
    elif entry.act == "namespace.govern":
        rows[entry.subject.id] |= {
            **namespace_json(namespace_state_from(entry.payload)),
            "revision": entry.payload["revision"],
            "updated_at": timestamp(entry.at),
        }


def fold_namespace_event(rows: Rows, entry: Recorded) -> None:
    """Apply `namespace.govern`: one more change."""
    payload = entry.payload
    if entry.act == "namespace.govern" and payload is not None:
        rows[f"{entry.subject.id}/{payload['revision']}"] = {
            "at": timestamp(entry.at),
            **_actor(entry),
            "reason": payload["reason"],
            "changes": payload["changes"],
            **namespace_json(namespace_state_from(payload)),
            "entry_id": str(entry.id),
        }


def fold_asset_naming(rows: Rows, entry: Recorded) -> None:
    """Apply `asset.create` and `asset.rename`: one more name that is taken for ever."""
    payload = entry.payload
    if payload is not None and entry.act in {"asset.create", "asset.rename"}:
        rows[f"{payload['namespace']}/{payload['name']}"] = {
            "asset_id": entry.subject.id,
            "since": timestamp(entry.at),
            "entry_id": str(entry.id),
        }


def _standing_said(entry: Recorded) -> Fields | None:
    """Return the payload of an act on what may be done with a version; evidence has a standing too."""
    payload = entry.payload
    said = payload is not None and entry.subject.kind == "version" and "standing" in payload
    return dict(payload or {}) if said else None


def fold_version_standing(rows: Rows, entry: Recorded) -> None:
    """Apply every act that says what may be done with a version: what holds now."""
    if (payload := _standing_said(entry)) is not None:
        rows[entry.subject.id] = {
            "asset_id": payload["event"]["asset_id"],
            "revision": payload["revision"],
            "at": timestamp(entry.at),
            **payload["standing"],
        }


def fold_version_standing_event(rows: Rows, entry: Recorded) -> None:
    """Apply every act that says what may be done with a version: one more revision."""
    if (payload := _standing_said(entry)) is not None:
        rows[f"{entry.subject.id}/{payload['revision']}"] = {
            "asset_id": payload["event"]["asset_id"],
            "at": timestamp(entry.at),
            **payload["standing"],
            "entry_id": str(entry.id),
        }


def fold_asset_event(rows: Rows, entry: Recorded) -> None:
    """Apply every act of a slice above that is in an asset's history."""
    if entry.payload is not None and "event" in entry.payload:
        rows[str(entry.id)] = {
            **entry.payload["event"],
            "at": timestamp(entry.at),
            "act": entry.act,
            **_actor(entry),
        }


def fold_asset(rows: Rows, entry: Recorded) -> None:
    """Apply what makes, annotates, renames and tombstones, and the numbers registrations take."""
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
            "tombstoned_at": None,
        }
    elif entry.act == "asset.annotate":
        rows[entry.subject.id] |= {
            "revision": payload["revision"],
            "updated_at": timestamp(entry.at),
            **{name: payload["state"][name] for name in _STATE_FIELDS},
        }
    elif entry.act == "asset.rename":
        rows[entry.subject.id]["name"] = payload["name"]
    elif entry.act == "asset.tombstone":
        rows[entry.subject.id]["tombstoned_at"] = timestamp(entry.at)
    elif entry.act == "version.register":
        registered = payload["version"]
        _take_number(rows[registered["asset_id"]], registered["number"])
    elif entry.act == "version.reserve":
        _take_number(rows[payload["asset_id"]], payload["number"])


def _take_number(asset: Fields, number: int) -> None:
    """Have the asset go on after `number`; one that was reserved earlier takes nothing back."""
    asset["next_number"] = max(asset["next_number"], number + 1)


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


def alias_moves(entry: Recorded) -> list[dict[str, Any]]:
    """Return the moves of aliases in an entry: of `alias.set` its own, of any other `alias_moves`."""
    if entry.payload is None:
        return []
    if entry.act == "alias.set":
        return [dict(entry.payload)]
    return list(entry.payload.get("alias_moves", []))


def fold_alias(rows: Rows, entry: Recorded) -> None:
    """Apply every move of an alias: where it points now."""
    for move in alias_moves(entry):
        rows[f"{move['asset_id']}/{move['alias']}"] = {
            "version_id": move["version_id"],
            "revision": move["revision"],
            "updated_at": timestamp(entry.at),
        }


def fold_alias_event(rows: Rows, entry: Recorded) -> None:
    """Apply every move of an alias: one more."""
    for move in alias_moves(entry):
        rows[f"{move['asset_id']}/{move['alias']}/{move['revision']}"] = {
            "version_id": move["version_id"],
            "previous_version_id": move["previous_version_id"],
            "at": timestamp(entry.at),
            **_actor(entry),
            "reason": move["reason"],
            "entry_id": str(entry.id),
            "act": entry.act,
        }


def _actor(entry: Recorded) -> Fields:
    return {"actor_kind": entry.actor.kind, "actor_id": entry.actor.id}
