"""How this slice's tables follow from the log."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from muniment.core.canon import loads_strict
from muniment.core.entry import time_text
from muniment.server.http.records import Grant, Role, Scope
from muniment.server.identity.rules import access as rules
from muniment.server.identity.rules.publishers import attestation_json
from muniment.server.identity.store import access as store
from muniment.server.identity.store.rows import ROWS
from muniment.server.ledger import Fields, Fold, Key, Recorded
from muniment.server.ports.db import Row, Tx

_Apply = Callable[[dict[Key, Fields], Recorded, Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class TableFold:
    """One table of this slice: which acts change it, and what its rows are. Implements `Fold`."""

    table: str
    acts: Mapping[str, _Apply]
    row: Callable[[Row], tuple[Key, Fields]]

    def apply(self, rows: dict[Key, Fields], entry: Recorded) -> None:
        """Change `rows` as `entry` changed the table; an erased entry changes nothing."""
        change = self.acts.get(entry.act)
        if change is not None and entry.payload is not None:
            change(rows, entry, entry.payload)

    async def stored(self, tx: Tx) -> AsyncIterator[tuple[Key, Fields]]:
        """Yield every row the table holds now."""
        async for row in tx.cursor(ROWS[self.table]):
            yield self.row(row)


def _at(at: dt.datetime | None) -> str | None:
    return None if at is None else time_text(at)


def _create_principal(rows: dict[Key, Fields], entry: Recorded, payload: Mapping[str, Any]) -> None:
    rows[entry.subject.id] = {
        "kind": payload["kind"],
        "name": payload["name"],
        "display_name": payload["display_name"],
        "created_at": payload["created_at"],
        "disabled_at": None,
    }


def _disable_principal(
    rows: dict[Key, Fields], entry: Recorded, payload: Mapping[str, Any]
) -> None:
    rows[entry.subject.id]["disabled_at"] = payload["disabled_at"]


def _stored_principal(row: Row) -> tuple[Key, Fields]:
    return str(row["id"]), {
        "kind": row["kind"],
        "name": row["name"],
        "display_name": row["display_name"],
        "created_at": _at(row["created_at"]),
        "disabled_at": _at(row["disabled_at"]),
    }


def _grant_of(values: Mapping[str, Any]) -> Grant:
    return Grant(Role(values["role"]), Scope(values["namespace"], values["asset"]))


def _grant_role(rows: dict[Key, Fields], entry: Recorded, payload: Mapping[str, Any]) -> None:
    rows[rules.grant_key(entry.subject.id, _grant_of(payload))] = {
        "granted_at": payload["granted_at"],
        "issuer_id": payload.get("issuer_id"),
    }


def _revoke_role(rows: dict[Key, Fields], entry: Recorded, payload: Mapping[str, Any]) -> None:
    del rows[rules.grant_key(entry.subject.id, _grant_of(payload))]


def _enable_principal(rows: dict[Key, Fields], entry: Recorded, _: Mapping[str, Any]) -> None:
    rows[entry.subject.id]["disabled_at"] = None


def _stored_grant(row: Row) -> tuple[Key, Fields]:
    grant = _grant_of({name: row[name] for name in ("role", "namespace", "asset")})
    return rules.grant_key(row["principal_id"], grant), {
        "granted_at": _at(row["granted_at"]),
        "issuer_id": None if row["issuer_id"] is None else str(row["issuer_id"]),
    }


def _create_token(rows: dict[Key, Fields], entry: Recorded, payload: Mapping[str, Any]) -> None:
    names = ("principal_id", "label", "hash_witness", "limits", "created_at", "expires_at")
    rows[entry.subject.id] = {name: payload[name] for name in names} | {
        "workload": payload.get("workload"),
        "came_in": payload.get("came_in"),
        "revoked_at": None,
    }


def _revoke_token(rows: dict[Key, Fields], entry: Recorded, payload: Mapping[str, Any]) -> None:
    rows[entry.subject.id]["revoked_at"] = payload["revoked_at"]


def _stored_token(row: Row) -> tuple[Key, Fields]:
    limits = None if row["limits"] is None else store.grants_from_json(row["limits"])
    return str(row["id"]), {
        "principal_id": str(row["principal_id"]),
        "label": row["label"],
        "hash_witness": rules.hash_witness(row["hash"]),
        "limits": rules.grants_as_json(limits),
        "created_at": _at(row["created_at"]),
        "expires_at": _at(row["expires_at"]),
        "workload": attestation_json(store.attestation_from_json(row["workload"])),
        "came_in": _came_in(row),
        "revoked_at": _at(row["revoked_at"]),
    }


def _came_in(row: Row) -> dict[str, str | None] | None:
    return rules.came_in_json(rules.came_in_of(row["came_in"], row["made_by"]))


def _add_issuer(rows: dict[Key, Fields], entry: Recorded, payload: Mapping[str, Any]) -> None:
    names = ("name", "url", "provider", "created_at")
    rows[entry.subject.id] = {name: payload[name] for name in names} | {"removed_at": None}


def _remove(rows: dict[Key, Fields], entry: Recorded, payload: Mapping[str, Any]) -> None:
    rows[entry.subject.id]["removed_at"] = payload["removed_at"]


def _stored_issuer(row: Row) -> tuple[Key, Fields]:
    return str(row["id"]), {
        "name": row["name"],
        "url": row["url"],
        "provider": row["provider"],
        "created_at": _at(row["created_at"]),
        "removed_at": _at(row["removed_at"]),
    }


def _add_publisher(rows: dict[Key, Fields], entry: Recorded, payload: Mapping[str, Any]) -> None:
    names = ("namespace", "asset", "issuer_id", "principal_id", "rule", "permits", "created_at")
    rows[entry.subject.id] = {name: payload[name] for name in names} | {
        "identity": payload["rule"]["identity"],
        "removed_at": None,
    }


def _stored_publisher(row: Row) -> tuple[Key, Fields]:
    return str(row["id"]), {
        "namespace": row["namespace"],
        "asset": row["asset"],
        "issuer_id": str(row["issuer_id"]),
        "principal_id": str(row["principal_id"]),
        "identity": row["identity"],
        "rule": loads_strict(row["rule"]),
        "permits": list(row["permits"]),
        "created_at": _at(row["created_at"]),
        "removed_at": _at(row["removed_at"]),
    }


def _add_login(rows: dict[Key, Fields], entry: Recorded, payload: Mapping[str, Any]) -> None:
    names = ("name", "url", "client_id", "groups_claim", "scopes", "roles", "created_at")
    rows[entry.subject.id] = {name: payload[name] for name in names} | {"removed_at": None}


def _set_roles(rows: dict[Key, Fields], entry: Recorded, payload: Mapping[str, Any]) -> None:
    rows[entry.subject.id]["roles"] = payload["roles"]


def _stored_login(row: Row) -> tuple[Key, Fields]:
    return str(row["id"]), {
        "name": row["name"],
        "url": row["url"],
        "client_id": row["client_id"],
        "groups_claim": row["groups_claim"],
        "scopes": list(row["scopes"]),
        "roles": loads_strict(row["roles"]),
        "created_at": _at(row["created_at"]),
        "removed_at": _at(row["removed_at"]),
    }


def _add_identity(rows: dict[Key, Fields], entry: Recorded, payload: Mapping[str, Any]) -> None:
    if "login" in payload:
        rows[entry.subject.id] = {**payload["login"], "created_at": payload["created_at"]}


def _stored_identity(row: Row) -> tuple[Key, Fields]:
    return str(row["principal_id"]), {
        "issuer": row["issuer"],
        "subject": row["subject"],
        "created_at": _at(row["created_at"]),
    }


def _create_key(rows: dict[Key, Fields], entry: Recorded, payload: Mapping[str, Any]) -> None:
    names = ("principal_id", "name", "public_key", "key_sha256", "created_at")
    rows[entry.subject.id] = {name: payload[name] for name in names} | {
        "came_in": payload.get("came_in"),
        "revoked_at": None,
        "revoked_by": None,
    }


def _revoke_key(rows: dict[Key, Fields], entry: Recorded, payload: Mapping[str, Any]) -> None:
    rows[entry.subject.id] |= {
        "revoked_at": payload["revoked_at"],
        "revoked_by": payload["revoked_by"],
    }


def _stored_key(row: Row) -> tuple[Key, Fields]:
    return str(row["id"]), {
        "principal_id": str(row["principal_id"]),
        "name": row["name"],
        "public_key": row["public_key"].hex(),
        "key_sha256": row["key_sha256"],
        "created_at": _at(row["created_at"]),
        "came_in": _came_in(row),
        "revoked_at": _at(row["revoked_at"]),
        "revoked_by": None if row["revoked_by"] is None else str(row["revoked_by"]),
    }


#: How this slice's tables follow from the log.
FOLDS: tuple[Fold, ...] = (
    TableFold(
        "principal",
        {
            "principal.create": _create_principal,
            "principal.disable": _disable_principal,
            "principal.enable": _enable_principal,
        },
        _stored_principal,
    ),
    TableFold(
        "role_grant", {"role.grant": _grant_role, "role.revoke": _revoke_role}, _stored_grant
    ),
    TableFold(
        "token", {"token.create": _create_token, "token.revoke": _revoke_token}, _stored_token
    ),
    TableFold(
        "trusted_issuer", {"issuer.add": _add_issuer, "issuer.remove": _remove}, _stored_issuer
    ),
    TableFold(
        "trusted_publisher",
        {"publisher.add": _add_publisher, "publisher.remove": _remove},
        _stored_publisher,
    ),
    TableFold(
        "login_issuer",
        {
            "login_issuer.add": _add_login,
            "login_issuer.roles": _set_roles,
            "login_issuer.remove": _remove,
        },
        _stored_login,
    ),
    TableFold(
        "signing_key",
        {"signing_key.create": _create_key, "signing_key.revoke": _revoke_key},
        _stored_key,
    ),
    TableFold("person_identity", {"principal.create": _add_identity}, _stored_identity),
)
