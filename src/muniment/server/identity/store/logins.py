"""Rows of login issuers and of who people are at them. Every function takes a `Tx`."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from typing import LiteralString

import msgspec

from muniment.core.errors import NotFound
from muniment.server.http.records import Grant, Role, Scope
from muniment.server.identity.records import GroupRole, LoginIssuer
from muniment.server.identity.rules import logins as rules
from muniment.server.ports.db import Row, Tx

_ISSUER: LiteralString = """
    SELECT id, name, url, client_id, groups_claim, scopes, roles::text AS roles, created_at,
           removed_at FROM login_issuer
"""


class _RoleRow(msgspec.Struct, frozen=True):
    """What a group is, as JSON."""

    group: str
    role: Role
    namespace: str | None = None
    asset: str | None = None


def _issuer(row: Row) -> LoginIssuer:
    roles = msgspec.json.decode(row["roles"], type=list[_RoleRow])
    return LoginIssuer(
        id=row["id"],
        name=row["name"],
        url=row["url"],
        client_id=row["client_id"],
        groups_claim=row["groups_claim"],
        scopes=tuple(row["scopes"]),
        roles=tuple(
            GroupRole(each.group, Grant(each.role, Scope(each.namespace, each.asset)))
            for each in roles
        ),
        created_at=row["created_at"],
        removed_at=row["removed_at"],
    )


def _roles_text(roles: Iterable[GroupRole]) -> str:
    return msgspec.json.encode(rules.roles_json(roles)).decode()


async def insert_issuer(tx: Tx, issuer: LoginIssuer) -> None:
    """Write an issuer."""
    await tx.execute(
        """
        INSERT INTO login_issuer
            (id, name, url, client_id, groups_claim, scopes, roles, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8)
        """,
        issuer.id,
        issuer.name,
        issuer.url,
        issuer.client_id,
        issuer.groups_claim,
        list(issuer.scopes),
        _roles_text(issuer.roles),
        issuer.created_at,
    )


async def issuers(tx: Tx) -> list[LoginIssuer]:
    """Return every login issuer there is or was, by name, oldest first."""
    return [_issuer(row) for row in await tx.fetch(_ISSUER + "ORDER BY name, id")]


async def find_issuer(tx: Tx, url: str) -> LoginIssuer | None:
    """Return the login issuer whose tokens say `url`, if people come in by it now."""
    row = await tx.fetchrow(_ISSUER + "WHERE url = $1 AND removed_at IS NULL", url)
    return None if row is None else _issuer(row)


async def lock_issuer(tx: Tx, name: str) -> LoginIssuer:
    """Return the login issuer of that name; its logins and changes take turns until the end of `tx`.

    Raises:
        NotFound: people do not come in by one of that name.
    """
    row = await tx.fetchrow(
        _ISSUER + "WHERE name = $1 AND removed_at IS NULL FOR NO KEY UPDATE", name
    )
    if row is None:
        raise NotFound(
            f"there is no login issuer {name[:80]!r}: `muniment trust people list` shows those there are"
        )
    return _issuer(row)


async def set_roles(tx: Tx, issuer_id: uuid.UUID, roles: Iterable[GroupRole]) -> None:
    """Replace what groups of an issuer are."""
    await tx.execute(
        "UPDATE login_issuer SET roles = $2::text::jsonb WHERE id = $1",
        issuer_id,
        _roles_text(roles),
    )


async def remove_issuer(tx: Tx, issuer_id: uuid.UUID, at: dt.datetime) -> None:
    """Mark an issuer, which people still come in by, as removed."""
    await tx.execute("UPDATE login_issuer SET removed_at = $2 WHERE id = $1", issuer_id, at)


# --- people ------------------------------------------------------------------------------------


async def insert_identity(
    tx: Tx, principal_id: uuid.UUID, issuer: str, subject: str, at: dt.datetime
) -> None:
    """Write who a principal is."""
    await tx.execute(
        """
        INSERT INTO person_identity (principal_id, issuer, subject, created_at)
        VALUES ($1, $2, $3, $4)
        """,
        principal_id,
        issuer,
        subject,
        at,
    )


async def find_person(tx: Tx, issuer: str, subject: str) -> uuid.UUID | None:
    """Return whose principal a subject at the issuer `issuer` (URL) is, or None."""
    found = await tx.fetchval(
        "SELECT principal_id FROM person_identity WHERE issuer = $1 AND subject = $2",
        issuer,
        subject,
    )
    return None if found is None else uuid.UUID(str(found))


async def people(tx: Tx, issuer: str) -> list[uuid.UUID]:
    """Return everybody who ever came in by the issuer `issuer` (URL), in order."""
    rows = await tx.fetch(
        "SELECT principal_id FROM person_identity WHERE issuer = $1 ORDER BY principal_id", issuer
    )
    return [row["principal_id"] for row in rows]


async def held(tx: Tx, principal_id: uuid.UUID) -> dict[Grant, bool]:
    """Return a principal's roles, and of each whether groups gave it."""
    rows = await tx.fetch(
        """
        SELECT role, namespace, asset, issuer_id IS NOT NULL AS by_groups FROM role_grant
        WHERE principal_id = $1
        """,
        principal_id,
    )
    return {
        Grant(Role(row["role"]), Scope(row["namespace"], row["asset"])): row["by_groups"]
        for row in rows
    }
