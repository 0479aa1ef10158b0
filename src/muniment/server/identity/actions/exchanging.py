"""An ID token becomes a token of the registry: what a pipeline is trusted for, for 15 minutes."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from muniment.core.errors import NotTrusted
from muniment.server.identity.actions.access import keep_workload_token
from muniment.server.identity.records import (
    Attestation,
    By,
    CameBy,
    CameIn,
    Issued,
    Issuer,
    Line,
    Publisher,
    Token,
)
from muniment.server.identity.rules import publishers as rules
from muniment.server.identity.rules.id_tokens import IdToken, claim_text, refused
from muniment.server.identity.rules.providers import PROVIDERS
from muniment.server.identity.store import access as principals
from muniment.server.identity.store import trust as store
from muniment.server.ledger.records import Workload
from muniment.server.ports.db import Tx

LIFETIME: Final = dt.timedelta(minutes=15)
_LABEL_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Proven:
    """An ID token whose signature and times hold; it is known by `key` until `expires_at`."""

    issuer: Issuer
    token: IdToken
    key: bytes
    expires_at: dt.datetime


async def matching(tx: Tx, issuer: Issuer, claims: Mapping[str, Any]) -> list[Publisher]:
    """Return the publishers a token with `claims` is of.

    Raises:
        NotTrusted: of none; `problems` has what keeps it from the closest one.
    """
    provider = PROVIDERS[issuer.provider]
    identity = claim_text(claims, provider.identity)
    known = await store.publishers_for(tx, issuer.id, identity) if identity else []
    found = [each for each in known if rules.matches(each, claims)]
    if not found:
        raise _untrusted(provider.identity, identity, rules.closest(known, claims))
    return found


def _untrusted(claim: str, identity: str | None, lines: Sequence[Line]) -> NotTrusted:
    if not lines:
        said = "nothing" if identity is None else repr(identity[:100])
        return NotTrusted(
            f"nothing trusts a pipeline whose `{claim}` is {said}: an administrator adds it with"
            " `muniment trust add`"
        )
    problems = [
        {
            "field": line.claim,
            "message": f"{line.what}: expected {line.expected!r}, found {line.found!r}",
            "fix": "run the trusted workflow as it is trusted, or `muniment trust add` this one",
        }
        for line in lines
    ]
    names = ", ".join(line.claim for line in lines)
    return NotTrusted(
        f"the pipeline is known, but not as it ran here: {names} differ from what is trusted",
        problems=problems,
    )


async def exchange(
    tx: Tx, proven: Proven, now: dt.datetime, new_id: Callable[[], uuid.UUID]
) -> tuple[Issued, list[Publisher]]:
    """Make a token with what the publishers that match permit; return it and them.

    Raises:
        IdTokenRefused: the ID token was exchanged before.
        NotTrusted: no publisher matches, or the workload was disabled. Nothing is to be committed
            in these cases.
    """
    claims = proven.token.claims
    found = await matching(tx, proven.issuer, claims)
    principal = await principals.lock_principal(tx, found[0].principal_id)
    if principal.disabled_at is not None:
        raise NotTrusted(f"the workload {principal.name!r} was disabled by an administrator")
    if not await store.use_id_token(tx, proven.key, proven.expires_at):
        raise refused("replayed", "it was exchanged before; ask CI for a new one")
    made = rules.attestation(proven.issuer, claims, found)
    if not await store.note_use(tx, made.publishers, now):
        raise NotTrusted("a publisher was removed just now")
    token = _token(principal.id, made, found, now, new_id)
    by = By(Workload(str(principal.id), made.claims), now, new_id)
    return await keep_workload_token(tx, token, by, claims), found


def _token(
    principal_id: uuid.UUID,
    made: Attestation,
    found: Sequence[Publisher],
    now: dt.datetime,
    new_id: Callable[[], uuid.UUID],
) -> Token:
    run = next((made.claims[name] for name in _RUNS if name in made.claims), "")
    return Token(
        id=new_id(),
        principal_id=principal_id,
        label=f"run {run}"[:_LABEL_MAX] if run else "workload",
        limits=rules.grants(found),
        created_at=now,
        expires_at=now + LIFETIME,
        revoked_at=None,
        last_used_at=None,
        workload=made,
        came_in=CameIn(CameBy.ISSUER),
    )


_RUNS: Final = ("run_id", "pipeline_id", "build_number")
