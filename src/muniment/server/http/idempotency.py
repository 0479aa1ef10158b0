"""Doing a write once however often it is sent.

A client that sends `Idempotency-Key` may repeat a request it got no answer to. The key, a digest
of the request and the answer are kept in the transaction of the act itself, so either both are
there or neither. A second request with the same key waits for the first one's transaction (the
unique row), then is given its answer, if it still has every role it had then. Keys belong to a principal and are kept for 24 hours.

Failures are not kept: nothing was done, so the request may simply be repeated.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from muniment.core.errors import BadRequest, IdempotencyConflict, NotAllowed
from muniment.server.http.operation import Deps
from muniment.server.http.records import Caller, Grant, Role, Scope
from muniment.server.ports.db import Tx

KEPT_FOR = dt.timedelta(hours=24)
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class Claim:
    """A principal's key for one request, whose digest is 32 raw bytes, and what it may do now."""

    principal_id: uuid.UUID
    key: str
    digest: bytes
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it was given the first time."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Grant(msgspec.Struct, frozen=True):
    """A grant as it is kept beside an answer."""

    role: Role
    namespace: str | None
    asset: str | None

    def is_within(self, grants: Iterable[Grant]) -> bool:
        """Say whether one of `grants` is the same role, as far or farther."""
        scope = Scope(self.namespace, self.asset)
        return any(one.role is self.role and one.scope.covers(scope) for one in grants)


def _as_json(grant: Grant) -> _Grant:
    return _Grant(grant.role, grant.scope.namespace, grant.scope.asset)


def claim_of(caller: Caller, key: str, parts: tuple[bytes, ...]) -> Claim:
    """Return the claim of `caller` on a request made of `parts` (method, path, query, body).

    Raises:
        BadRequest: the key is not 1 to 255 visible ASCII characters.
    """
    if not _KEY.fullmatch(key):
        raise BadRequest("expected an Idempotency-Key of 1 to 255 visible ASCII characters")
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return Claim(caller.id, key, digest.digest(), caller.grants)


async def begin(tx: Tx, claim: Claim, now: dt.datetime) -> Answer | None:
    """Take the key for this request, or return the answer already given to it.

    Waits while another transaction holds the same key.

    Raises:
        IdempotencyConflict: the key was used for another request, or the answer held a secret
            and was not kept.
        NotAllowed: who asks has not all the roles it had then: the answer may say what it may not
            know any more.
    """
    taken = await tx.fetchval(
        """
        INSERT INTO idempotency (principal_id, key, request_digest, created_at, grants)
        VALUES ($1, $2, $3, $4, $5::text::jsonb)
        ON CONFLICT (principal_id, key) DO NOTHING
        RETURNING true
        """,
        claim.principal_id,
        claim.key,
        claim.digest,
        now,
        msgspec.json.encode([_as_json(grant) for grant in claim.grants]).decode(),
    )
    return None if taken else await _replay(tx, claim)


async def _replay(tx: Tx, claim: Claim) -> Answer | None:
    row = await tx.fetchrow(
        """
        SELECT request_digest, status, headers, body, grants::text AS grants FROM idempotency
        WHERE principal_id = $1 AND key = $2
        """,
        claim.principal_id,
        claim.key,
    )
    if row is None or row["request_digest"] != claim.digest:
        raise IdempotencyConflict(
            f"Idempotency-Key {claim.key!r} was used for another request; use a new key for each"
        )
    if row["status"] is None:
        raise IdempotencyConflict(
            "this request was done already, and its answer held a secret that is shown only once; "
            "revoke what it made and repeat with a new key"
        )
    had = msgspec.json.decode(row["grants"], type=list[_Grant])
    if not all(one.is_within(claim.grants) for one in had):
        raise NotAllowed(
            "this request was done already, when you had roles that you have not now: its answer is "
            "not shown again"
        )
    headers = msgspec.json.decode(row["headers"], type=dict[str, str])
    return Answer(row["status"], headers, row["body"])


async def keep(tx: Tx, claim: Claim, answer: Answer) -> None:
    """Keep the answer, in the transaction that did the act."""
    await tx.execute(
        """
        UPDATE idempotency SET status = $3, headers = $4, body = $5
        WHERE principal_id = $1 AND key = $2
        """,
        claim.principal_id,
        claim.key,
        answer.status,
        msgspec.json.encode(answer.headers).decode(),
        answer.body,
    )


async def sweep(deps: Deps) -> int:
    """Forget keys older than 24 hours; return how many. May be repeated."""
    async with deps.db.transaction() as tx:
        tag = await tx.execute(
            "DELETE FROM idempotency WHERE created_at < $1", deps.clock.now() - KEPT_FOR
        )
    return int(tag.rsplit(" ", 1)[1])
