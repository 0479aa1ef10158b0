"""People's own keys: make one known, revoke one; each act appends one entry, in `tx`."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from muniment.core.entry import time_text
from muniment.core.errors import NotAllowed
from muniment.core.own_keys import key_sha256
from muniment.server import ledger
from muniment.server.http.records import Caller, PrincipalKind
from muniment.server.identity.records import By, SigningKey
from muniment.server.identity.rules import signing_keys as rules
from muniment.server.identity.rules.access import came_in_json
from muniment.server.identity.store import access
from muniment.server.identity.store import signing_keys as store
from muniment.server.ledger import Entry, Subject
from muniment.server.ports.db import Tx

_ONLY_PEOPLE: Final = "only people have signing keys: services and pipelines approve nothing"
_WHOLE_LOGIN: Final = (
    "a token with limits makes no keys: it could sign for more than it may itself; log in"
    " (`muniment login`) and repeat"
)


async def create_key(
    tx: Tx, caller: Caller, *, name: str, pem: str, proof: str, by: By
) -> tuple[SigningKey, bool]:
    """Make a public key known as the caller's own; say whether it is new. Repeatable.

    `proof` is base64 of a signature by the key (`core.own_keys.possession`).

    Raises:
        NotAllowed: the caller is no person, or its token is narrower than it.
        BadBody: the name, key or proof is none.
        Conflict, AlreadyExists: see `rules.check_new`. Nothing is written in any of these cases.
    """
    if caller.kind is not PrincipalKind.PERSON:
        raise NotAllowed(_ONLY_PEOPLE)
    token = await access.find_token(tx, caller.token_id) if caller.token_id else None
    if token is not None and token.limits is not None:
        raise NotAllowed(_WHOLE_LOGIN)
    public_key = rules.read_new_key(caller.id, name, pem, proof)
    await access.lock_principal(tx, caller.id)
    called = key_sha256(public_key)
    same = await store.find_key_called(tx, called)
    there = rules.check_new(caller.id, name, same, await store.keys_of(tx, [caller.id]))
    if there is not None:
        return there, False
    came_in = None if token is None else token.came_in
    key = SigningKey(by.new_id(), caller.id, name, public_key, called, by.at, came_in=came_in)
    await store.insert_key(tx, key)
    payload = {
        "principal_id": str(caller.id),
        "name": name,
        "public_key": public_key.hex(),
        "key_sha256": called,
        "created_at": time_text(by.at),
        "came_in": came_in_json(came_in),
        "token_id": None if caller.token_id is None else str(caller.token_id),
    }
    await _record(tx, by, "signing_key.create", key.id, payload)
    return key, True


async def revoke_key(tx: Tx, key: SigningKey, by: By) -> SigningKey:
    """Have a key no longer count, nor what was signed with it. Repeating it changes nothing."""
    await access.lock_principal(tx, key.principal_id)
    key = await store.get_key(tx, key.id)
    if key.revoked_at is not None:
        return key
    actor = uuid.UUID(by.actor.id)
    at = max(by.at, key.created_at)
    await store.revoke_key(tx, key.id, at, actor)
    payload: dict[str, str | None] = {"revoked_at": time_text(at), "revoked_by": str(actor)}
    await _record(tx, by, "signing_key.revoke", key.id, payload)
    return await store.get_key(tx, key.id)


async def _record(tx: Tx, by: By, act: str, key_id: uuid.UUID, payload: Mapping[str, Any]) -> None:
    subject = Subject("signing_key", str(key_id), str(key_id))
    await ledger.append(tx, Entry(by.new_id(), by.at, act, by.actor, subject, payload))
