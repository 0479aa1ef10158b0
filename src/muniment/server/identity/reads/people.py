"""People and their keys, for slices above that ask who signed."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from muniment.server.http.records import Caller
from muniment.server.identity.records import CameIn, Principal, SigningKey
from muniment.server.identity.store import access, signing_keys
from muniment.server.ports.db import Tx


async def people(tx: Tx, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Principal]:
    """Return principals by id with the roles they have now, those of them that there are."""
    wanted = sorted(set(ids))
    found = await access.principals_of(tx, wanted) if wanted else []
    return {one.id: one for one in found}


async def signing_keys_with(tx: Tx, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, SigningKey]:
    """Return people's own keys by id, revoked ones too."""
    wanted = sorted(set(ids))
    found = await signing_keys.keys_with(tx, wanted) if wanted else []
    return {one.id: one for one in found}


async def signing_key_called(tx: Tx, key_sha256: str) -> SigningKey | None:
    """Return the key of that digest, revoked or not; None if it is nobody's."""
    return await signing_keys.find_key_called(tx, key_sha256)


async def came_in(tx: Tx, caller: Caller) -> CameIn | None:
    """Return how a caller came in; None: that is not known."""
    token = await access.find_token(tx, caller.token_id) if caller.token_id else None
    return None if token is None else token.came_in
