"""Whose token it is, kept for two seconds; and how the tables follow from the log."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from muniment.core.errors import MunimentError, NotAuthenticated
from muniment.server.http.operation import Deps
from muniment.server.http.records import Caller, Role, Scope
from muniment.server.identity.records import Credential
from muniment.server.identity.rules import access as rules
from muniment.server.identity.store import access as store
from muniment.server.ports.db import Database, Tx

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


async def active_people(tx: Tx, names: Sequence[str]) -> dict[str, bool]:
    """Return of those `names` that a person is known by whether that person is active."""
    rows = await tx.fetch(
        "SELECT name, disabled_at IS NULL AS active FROM principal"
        " WHERE kind = 'person' AND name = ANY($1::text[])",
        list(names),
    )
    return {row["name"]: row["active"] for row in rows}


_PEOPLE_MAX = 20


async def people_with(tx: Tx, roles: Sequence[Role], scope: Scope) -> dict[Role, tuple[str, ...]]:
    """Return the names of active people who hold one of `roles` there, by role; at most 20 of each."""
    rows = await tx.fetch(
        """
        SELECT g.role, array_agg(DISTINCT coalesce(p.display_name, p.name)) AS names
        FROM role_grant g JOIN principal p ON p.id = g.principal_id
        WHERE p.kind = 'person' AND p.disabled_at IS NULL AND g.role = ANY($1::text[])
          AND (g.namespace IS NULL OR g.namespace = $2 AND (g.asset IS NULL OR g.asset = $3))
        GROUP BY g.role
        """,
        [role.value for role in roles],
        scope.namespace,
        scope.asset,
    )
    return {Role(row["role"]): tuple(sorted(row["names"])[:_PEOPLE_MAX]) for row in rows}


async def trusted_to_promote(tx: Tx, namespace: str, asset: str) -> frozenset[str]:
    """Return the environments that pipelines an asset trusts may promote it to."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT substr(permit, 9) AS environment
        FROM trusted_publisher p JOIN trusted_issuer i ON i.id = p.issuer_id,
             unnest(p.permits) permit
        WHERE p.namespace = $1 AND p.asset = $2 AND permit LIKE 'promote:%'
          AND p.removed_at IS NULL AND i.removed_at IS NULL
        """,
        namespace,
        asset,
    )
    return frozenset(row["environment"] for row in rows)


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
