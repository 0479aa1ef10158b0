"""Rows of people's own keys. Every function takes a `Tx`; none commits."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import LiteralString

from muniment.core.errors import NotFound
from muniment.server.identity.records import SigningKey
from muniment.server.identity.rules.access import came_in_of, came_in_row
from muniment.server.ports.db import Row, Tx

_KEYS: LiteralString = """
    SELECT id, principal_id, name, public_key, key_sha256, created_at, revoked_at, revoked_by, came_in,
           made_by
    FROM signing_key
"""


def _key(row: Row) -> SigningKey:
    fields = dict(row)
    came_in = came_in_of(fields.pop("came_in"), fields.pop("made_by"))
    return SigningKey(**fields, came_in=came_in)


async def insert_key(tx: Tx, key: SigningKey) -> None:
    """Write a key that holds.

    Raises:
        Conflict: it is somebody's already, or its owner has one of that name.
    """
    await tx.execute(
        """
        INSERT INTO signing_key (id, principal_id, name, public_key, key_sha256, created_at, came_in,
                                 made_by)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        key.id,
        key.principal_id,
        key.name,
        key.public_key,
        key.key_sha256,
        key.created_at,
        *came_in_row(key.came_in),
    )


async def revoke_key(tx: Tx, key_id: uuid.UUID, at: dt.datetime, by: uuid.UUID) -> None:
    """Write that a key, which holds, does not any more."""
    await tx.execute(
        "UPDATE signing_key SET revoked_at = $2, revoked_by = $3 WHERE id = $1", key_id, at, by
    )


async def find_key_called(tx: Tx, key_sha256: str) -> SigningKey | None:
    """Return the key of that digest, revoked or not; None if nobody has it."""
    row = await tx.fetchrow(_KEYS + "WHERE key_sha256 = $1", key_sha256)
    return None if row is None else _key(row)


async def get_key(tx: Tx, key_id: uuid.UUID) -> SigningKey:
    """Return a key.

    Raises:
        NotFound: there is none of that id.
    """
    row = await tx.fetchrow(_KEYS + "WHERE id = $1", key_id)
    if row is None:
        raise NotFound(f"there is no signing key {key_id}")
    return _key(row)


async def keys_with(tx: Tx, ids: Sequence[uuid.UUID]) -> list[SigningKey]:
    """Return the keys with these ids, revoked ones too."""
    return [_key(row) for row in await tx.fetch(_KEYS + "WHERE id = ANY($1)", ids)]


async def keys_of(tx: Tx, principal_ids: Sequence[uuid.UUID]) -> list[SigningKey]:
    """Return all keys of these people, revoked ones too, in the order they were made."""
    rows = await tx.fetch(_KEYS + "WHERE principal_id = ANY($1) ORDER BY id", principal_ids)
    return [_key(row) for row in rows]


async def list_keys(
    tx: Tx,
    *,
    principal_id: uuid.UUID | None,
    revoked: bool,
    after: uuid.UUID | None,
    limit: int,
) -> list[SigningKey]:
    """Return keys, newest first, those after `after`; of one person, or all; `revoked` ones too."""
    rows = await tx.fetch(
        _KEYS
        + """
        WHERE ($1::uuid IS NULL OR principal_id = $1) AND ($2 OR revoked_at IS NULL)
              AND ($3::uuid IS NULL OR id < $3)
        ORDER BY id DESC LIMIT $4
        """,
        principal_id,
        revoked,
        after,
        limit,
    )
    return [_key(row) for row in rows]
