"""Rows of principals, roles and tokens. Every function takes a `Tx`; none commits.

Grants travel as JSON text: `[{"role", "namespace", "asset"}]`.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, LiteralString

import msgspec

from muniment.core.errors import AlreadyExists, NotFound
from muniment.server.http.records import Attested, Caller, Grant, PrincipalKind, Role, Scope
from muniment.server.identity.records import Attestation, Credential, NewPrincipal, Principal, Token
from muniment.server.identity.rules import access as rules
from muniment.server.identity.rules.publishers import attestation_json
from muniment.server.ports.db import Row, Tx


class GrantRow(msgspec.Struct, frozen=True):
    """A grant as JSON."""

    role: Role
    namespace: str | None = None
    asset: str | None = None


def grants_to_json(grants: Iterable[Grant]) -> str:
    """Write grants as JSON text."""
    rows = [GrantRow(g.role, g.scope.namespace, g.scope.asset) for g in grants]
    return msgspec.json.encode(rows).decode()


def grants_from_json(text: str) -> tuple[Grant, ...]:
    """Read grants from JSON text."""
    rows = msgspec.json.decode(text, type=list[GrantRow])
    return tuple(Grant(row.role, Scope(row.namespace, row.asset)) for row in rows)


class AttestationRow(msgspec.Struct, frozen=True):
    """What a pipeline's token was made from, as JSON."""

    claims: dict[str, str]
    claims_sha256: str
    publishers: list[uuid.UUID]
    promotes: list[tuple[str, str, str]]


def attestation_from_json(text: str | None) -> Attestation | None:
    """Read what a pipeline's token was made from; None for other tokens."""
    if text is None:
        return None
    row = msgspec.json.decode(text, type=AttestationRow)
    return Attestation(row.claims, row.claims_sha256, tuple(row.publishers), tuple(row.promotes))


_PRINCIPAL: LiteralString = """
    SELECT p.id, p.kind, p.name, p.display_name, p.created_at, p.disabled_at,
           (SELECT coalesce(jsonb_agg(jsonb_build_object(
                       'role', g.role, 'namespace', g.namespace, 'asset', g.asset)
                   ORDER BY g.role, g.namespace NULLS FIRST, g.asset NULLS FIRST), '[]')
            FROM role_grant g WHERE g.principal_id = p.id)::text AS grants
    FROM principal p
"""

_TOKENS: LiteralString = """
    SELECT t.id, t.principal_id, t.label, t.limits::text AS limits, t.created_at, t.expires_at,
           t.revoked_at, t.last_used_at, t.workload::text AS workload, t.came_in, t.made_by
    FROM token t
"""


def _principal(row: Row) -> Principal:
    return Principal(
        id=row["id"],
        kind=PrincipalKind(row["kind"]),
        name=row["name"],
        display_name=row["display_name"],
        created_at=row["created_at"],
        disabled_at=row["disabled_at"],
        grants=grants_from_json(row["grants"]),
    )


def _token(row: Row) -> Token:
    return Token(
        id=row["id"],
        principal_id=row["principal_id"],
        label=row["label"],
        limits=None if row["limits"] is None else grants_from_json(row["limits"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
        workload=attestation_from_json(row["workload"]),
        came_in=rules.came_in_of(row["came_in"], row["made_by"]),
    )


# --- principals --------------------------------------------------------------------------------


async def insert_principal(
    tx: Tx, principal_id: uuid.UUID, new: NewPrincipal, at: dt.datetime
) -> None:
    """Write a principal, without its grants.

    Raises:
        AlreadyExists: there is one of that name. Nothing is written.
    """
    made = await tx.fetchval(
        """
        INSERT INTO principal (id, kind, name, display_name, created_at)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO NOTHING RETURNING true
        """,
        principal_id,
        new.kind.value,
        new.name,
        new.display_name,
        at,
    )
    if not made:
        raise AlreadyExists(f"there is a principal called {new.name!r} already; choose another")


async def find_principal(tx: Tx, principal_id: uuid.UUID) -> Principal | None:
    """Return a principal with its grants, or None."""
    row = await tx.fetchrow(_PRINCIPAL + "WHERE p.id = $1", principal_id)
    return None if row is None else _principal(row)


async def find_principal_named(tx: Tx, name: str) -> Principal | None:
    """Return the principal of that name with its grants, or None."""
    row = await tx.fetchrow(_PRINCIPAL + "WHERE p.name = $1", name)
    return None if row is None else _principal(row)


async def get_principal(tx: Tx, principal_id: uuid.UUID) -> Principal:
    """Return a principal with its grants.

    Raises:
        NotFound: there is none of that id.
    """
    found = await find_principal(tx, principal_id)
    if found is None:
        raise NotFound(f"there is no principal {principal_id}")
    return found


async def lock_principal(tx: Tx, principal_id: uuid.UUID) -> Principal:
    """Return a principal whose row nobody else changes until the transaction ends.

    Raises:
        NotFound: there is none of that id.
    """
    await tx.execute("SELECT FROM principal WHERE id = $1 FOR NO KEY UPDATE", principal_id)
    return await get_principal(tx, principal_id)


async def list_principals(
    tx: Tx, *, after: str | None, limit: int, name: str | None
) -> list[Principal]:
    """Return principals by name, those after `after`; `name` is a part of theirs, in any case."""
    rows = await tx.fetch(
        _PRINCIPAL
        + """
        WHERE ($1::text IS NULL OR p.name > $1) AND ($3::text IS NULL OR
              position(lower($3) IN lower(p.name)) > 0)
        ORDER BY p.name LIMIT $2
        """,
        after,
        limit,
        name,
    )
    return [_principal(row) for row in rows]


async def principals_of(tx: Tx, ids: Sequence[uuid.UUID]) -> list[Principal]:
    """Return the principals with these ids, with their grants."""
    return [_principal(row) for row in await tx.fetch(_PRINCIPAL + "WHERE p.id = ANY($1)", ids)]


async def names_of(tx: Tx, ids: Sequence[uuid.UUID]) -> list[dict[str, Any]]:
    """Return id, kind, name and display name of the principals with these ids, by name."""
    rows = await tx.fetch(
        """
        SELECT id, kind, name, display_name FROM principal WHERE id = ANY($1) ORDER BY name
        """,
        ids,
    )
    return [dict(row) for row in rows]


async def disable_principal(tx: Tx, principal_id: uuid.UUID, at: dt.datetime) -> None:
    """Mark a principal, which is not yet disabled, as disabled."""
    await tx.execute("UPDATE principal SET disabled_at = $2 WHERE id = $1", principal_id, at)


async def enable_principal(tx: Tx, principal_id: uuid.UUID) -> None:
    """Mark a principal as not disabled any more."""
    await tx.execute("UPDATE principal SET disabled_at = NULL WHERE id = $1", principal_id)


async def any_outside_principal(tx: Tx) -> bool:
    """Say whether anybody but the registry itself (kind `system`) was ever made."""
    return bool(await tx.fetchval("SELECT EXISTS (SELECT FROM principal WHERE kind <> 'system')"))


async def lock_first_admin(tx: Tx) -> None:
    """Wait for other processes that are starting, until the transaction ends."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtext('muniment first administrator'))")


# --- roles -------------------------------------------------------------------------------------


async def insert_grant(
    tx: Tx,
    principal_id: uuid.UUID,
    grant: Grant,
    at: dt.datetime,
    issuer_id: uuid.UUID | None = None,
) -> bool:
    """Write a grant, by groups of `issuer_id` or (None) by hand; return False if it was there.

    One that was there by groups is by hand from now on, if this one is.
    """
    made = await tx.fetchval(
        """
        INSERT INTO role_grant (principal_id, role, namespace, asset, granted_at, issuer_id)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (principal_id, role, namespace, asset) DO UPDATE
            SET issuer_id = NULL, granted_at = excluded.granted_at
            WHERE role_grant.issuer_id IS NOT NULL AND excluded.issuer_id IS NULL
        RETURNING true
        """,
        principal_id,
        grant.role.value,
        grant.scope.namespace,
        grant.scope.asset,
        at,
        issuer_id,
    )
    return bool(made)


async def delete_grant(tx: Tx, principal_id: uuid.UUID, grant: Grant) -> bool:
    """Remove a grant; return False if it was not there."""
    gone = await tx.fetchval(
        """
        DELETE FROM role_grant
        WHERE principal_id = $1 AND role = $2 AND namespace IS NOT DISTINCT FROM $3
              AND asset IS NOT DISTINCT FROM $4
        RETURNING true
        """,
        principal_id,
        grant.role.value,
        grant.scope.namespace,
        grant.scope.asset,
    )
    return bool(gone)


async def lock_admins(tx: Tx) -> list[uuid.UUID]:
    """Return who administers everything, the registry itself apart; their grants stay meanwhile.

    Two administrators who demote each other at once wait for each other here: the second one sees
    what the first one left.
    """
    rows = await tx.fetch(
        """
        SELECT p.id FROM role_grant g JOIN principal p ON p.id = g.principal_id
        WHERE g.role = 'admin' AND g.namespace IS NULL AND p.disabled_at IS NULL
              AND p.kind <> 'system'
        ORDER BY p.id FOR NO KEY UPDATE OF g, p
        """
    )
    return [row["id"] for row in rows]


# --- tokens ------------------------------------------------------------------------------------


async def insert_token(tx: Tx, token: Token, hashed: bytes) -> None:
    """Write a token."""
    made = attestation_json(token.workload)
    await tx.execute(
        """
        INSERT INTO token (id, principal_id, label, hash, limits, created_at, expires_at, workload,
                           came_in, made_by)
        VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7, $8::text::jsonb, $9, $10)
        """,
        token.id,
        token.principal_id,
        token.label,
        hashed,
        None if token.limits is None else grants_to_json(token.limits),
        token.created_at,
        token.expires_at,
        None if made is None else msgspec.json.encode(made).decode(),
        *rules.came_in_row(token.came_in),
    )


async def find_token(tx: Tx, token_id: uuid.UUID) -> Token | None:
    """Return a token, or None."""
    row = await tx.fetchrow(_TOKENS + "WHERE t.id = $1", token_id)
    return None if row is None else _token(row)


async def list_tokens(
    tx: Tx, *, principal_id: uuid.UUID | None, after: uuid.UUID | None, limit: int
) -> list[Token]:
    """Return tokens, newest first, those after `after`; of one principal, or all."""
    rows = await tx.fetch(
        _TOKENS
        + """
        WHERE ($1::uuid IS NULL OR t.principal_id = $1) AND ($2::uuid IS NULL OR t.id < $2)
        ORDER BY t.id DESC LIMIT $3
        """,
        principal_id,
        after,
        limit,
    )
    return [_token(row) for row in rows]


async def live_tokens(tx: Tx, principal_id: uuid.UUID) -> list[Token]:
    """Return a principal's tokens that are not revoked, oldest first."""
    rows = await tx.fetch(
        _TOKENS + "WHERE t.principal_id = $1 AND t.revoked_at IS NULL ORDER BY t.id", principal_id
    )
    return [_token(row) for row in rows]


async def revoke_token(tx: Tx, token_id: uuid.UUID, at: dt.datetime) -> bool:
    """Mark a token as revoked; return False if it was already."""
    done = await tx.fetchval(
        "UPDATE token SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING true",
        token_id,
        at,
    )
    return bool(done)


async def find_credential(tx: Tx, hashed: bytes) -> Credential | None:
    """Return what the token with SHA-256 `hashed` stands for, in one round trip, or None."""
    row = await tx.fetchrow(
        """
        SELECT t.id AS token_id, t.hash, t.limits::text AS limits, t.expires_at, t.last_used_at,
               t.revoked_at IS NULL AND p.disabled_at IS NULL AND (t.workload IS NULL OR NOT EXISTS (
                   SELECT FROM jsonb_array_elements_text(t.workload->'publishers') u (id)
                   JOIN trusted_publisher r ON r.id = u.id::uuid
                   WHERE r.removed_at IS NOT NULL)) AS usable, p.id, p.kind, p.name,
               t.workload::text AS workload,
               (SELECT coalesce(jsonb_agg(jsonb_build_object(
                           'role', g.role, 'namespace', g.namespace, 'asset', g.asset)
                       ORDER BY g.role, g.namespace NULLS FIRST, g.asset NULLS FIRST), '[]')
                FROM role_grant g WHERE g.principal_id = p.id)::text AS grants
        FROM token t JOIN principal p ON p.id = t.principal_id
        WHERE t.hash = $1
        """,
        hashed,
    )
    if row is None:
        return None
    limits = None if row["limits"] is None else grants_from_json(row["limits"])
    made = attestation_from_json(row["workload"])
    held = grants_from_json(row["grants"])
    return Credential(
        hash=row["hash"],
        expires_at=row["expires_at"],
        usable=row["usable"],
        last_used_at=row["last_used_at"],
        caller=Caller(
            id=row["id"],
            kind=PrincipalKind(row["kind"]),
            name=row["name"],
            grants=rules.narrow(held, limits) if made is None else limits or (),
            token_id=row["token_id"],
            attested=None if made is None else Attested(made.claims, frozenset(made.promotes)),
        ),
    )


async def note_use(tx: Tx, token_id: uuid.UUID, at: dt.datetime, every: dt.timedelta) -> None:
    """Keep when a token was last used, unless that was noted less than `every` ago."""
    await tx.execute(
        """
        UPDATE token SET last_used_at = $2::timestamptz
        WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $2::timestamptz - $3::interval)
        """,
        token_id,
        at,
        every,
    )
