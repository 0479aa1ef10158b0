"""Whose token it is, kept for two seconds; and how the tables follow from the log."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from muniment.core.entry import time_text
from muniment.core.errors import MunimentError, NotAuthenticated
from muniment.server.http.operation import Deps
from muniment.server.http.records import Caller, Grant, Role, Scope
from muniment.server.identity.records import Credential
from muniment.server.identity.rules import access as rules
from muniment.server.identity.store import access as store
from muniment.server.ledger import Fields, Fold, Key, Recorded
from muniment.server.ports.db import Database, Row, Tx

#: Signalled by every transaction that changes who may do what.
SIGNAL = "identity"
#: How long another process may go on using a token that was revoked here.
KEPT_FOR = dt.timedelta(seconds=2)
NOTED_EVERY = dt.timedelta(minutes=1)
TOKENS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    credential: Credential
    checked_at: dt.datetime


class TokenCache:
    """Knows whose tokens were presented a moment ago.

    A change made by this process is seen by its next request; one made by another process within
    two seconds. Expiry is looked at every time. Bad tokens are not remembered.

    Source: docs/adr/0004-token-cache.md.
    """

    def __init__(self, db: Database) -> None:
        """Know nobody."""
        self._db = db
        self._known: dict[bytes, _Known] = {}
        self._changes = 0
        self._notes: set[asyncio.Task[None]] = set()
        db.on_signal(SIGNAL, self.forget)

    def forget(self) -> None:
        """Know nobody any more: the next request of each token asks the database."""
        self._known.clear()
        self._changes += 1  # a lookup under way must not put back what it saw before

    def known(self, bearer: str, now: dt.datetime) -> Caller | None:
        """Return whose token it is if that was looked up in the last two seconds. No I/O."""
        known = self._known.get(rules.token_hash(bearer))
        if known is None or not dt.timedelta(0) <= now - known.checked_at < KEPT_FOR:
            return None
        return known.credential.caller if now < known.credential.expires_at else None

    async def authenticate(self, bearer: str, now: dt.datetime) -> Caller:
        """Return whose token it is, asking the database.

        Raises:
            NotAuthenticated: nobody's, or it is expired, revoked, or of a disabled principal.
        """
        if len(bearer) > rules.TOKEN_MAX_CHARS:
            raise NotAuthenticated
        hashed, changes = rules.token_hash(bearer), self._changes
        async with self._db.transaction(read_only=True) as tx:
            found = await store.find_credential(tx, hashed)
        credential = rules.check_credential(found, hashed, now)
        if changes == self._changes:
            self._keep(hashed, _Known(credential, now))
        self._note_use(credential, now)
        return credential.caller

    def _keep(self, hashed: bytes, known: _Known) -> None:
        if len(self._known) >= TOKENS_MAX:
            self._known.pop(next(iter(self._known)))
        self._known[hashed] = known

    def _note_use(self, credential: Credential, now: dt.datetime) -> None:
        last, token_id = credential.last_used_at, credential.caller.token_id
        if token_id is None or (last is not None and now - last < NOTED_EVERY):
            return
        task = asyncio.get_running_loop().create_task(self._write_use(token_id, now))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _write_use(self, token_id: uuid.UUID, now: dt.datetime) -> None:
        try:
            async with self._db.transaction() as tx:
                await store.note_use(tx, token_id, now, NOTED_EVERY)
        except MunimentError:
            return  # the next use notes it; nobody's request depends on it

    async def settle(self) -> None:
        """Wait until the uses noted so far are written."""
        while self._notes:
            await asyncio.wait(self._notes)


def authenticator(deps: Deps) -> TokenCache:
    """Return what tells the HTTP kit whose token it is."""
    return TokenCache(deps.db)


# --- folds -------------------------------------------------------------------------------------

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
        async for row in tx.cursor(store.ROWS[self.table]):
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
        "granted_at": payload["granted_at"]
    }


def _revoke_role(rows: dict[Key, Fields], entry: Recorded, payload: Mapping[str, Any]) -> None:
    del rows[rules.grant_key(entry.subject.id, _grant_of(payload))]


def _enable_principal(rows: dict[Key, Fields], entry: Recorded, _: Mapping[str, Any]) -> None:
    rows[entry.subject.id]["disabled_at"] = None


def _stored_grant(row: Row) -> tuple[Key, Fields]:
    grant = _grant_of({name: row[name] for name in ("role", "namespace", "asset")})
    return rules.grant_key(row["principal_id"], grant), {"granted_at": _at(row["granted_at"])}


def _create_token(rows: dict[Key, Fields], entry: Recorded, payload: Mapping[str, Any]) -> None:
    names = ("principal_id", "label", "hash_witness", "limits", "created_at", "expires_at")
    rows[entry.subject.id] = {name: payload[name] for name in names} | {"revoked_at": None}


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
        "revoked_at": _at(row["revoked_at"]),
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
)
