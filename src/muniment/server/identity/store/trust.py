"""Rows of issuers, trusted publishers and used ID tokens. Every function takes a `Tx`."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import LiteralString

import msgspec

from muniment.core.errors import NotFound
from muniment.server.identity.records import Issuer, NewPublisher, Publisher
from muniment.server.identity.rules import publishers as rules
from muniment.server.ports.db import Row, Tx

_ISSUER: LiteralString = """
    SELECT i.id, i.name, i.url, i.provider, i.created_at, i.removed_at FROM trusted_issuer i
"""

_PUBLISHER: LiteralString = """
    SELECT p.id, p.namespace, p.asset, p.principal_id, p.rule::text AS rule, p.permits,
           p.created_at, p.removed_at, p.last_used_at, i.id AS issuer_id, i.name, i.url, i.provider,
           i.created_at AS issuer_created_at, i.removed_at AS issuer_removed_at
    FROM trusted_publisher p JOIN trusted_issuer i ON i.id = p.issuer_id
"""


def _publisher(row: Row) -> Publisher:
    return Publisher(
        id=row["id"],
        namespace=row["namespace"],
        asset=row["asset"],
        issuer=Issuer(
            row["issuer_id"],
            row["name"],
            row["url"],
            row["provider"],
            row["issuer_created_at"],
            row["issuer_removed_at"],
        ),
        principal_id=row["principal_id"],
        rule=rules.rule_from(msgspec.json.decode(row["rule"])),
        permits=tuple(row["permits"]),
        created_at=row["created_at"],
        removed_at=row["removed_at"],
        last_used_at=row["last_used_at"],
    )


# --- issuers -----------------------------------------------------------------------------------


async def lock_trust(tx: Tx) -> None:
    """Wait for other transactions that change what is trusted, until this one ends."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtext('muniment trust'))")


async def insert_issuer(tx: Tx, issuer: Issuer) -> None:
    """Write an issuer."""
    await tx.execute(
        """
        INSERT INTO trusted_issuer (id, name, url, provider, created_at) VALUES ($1, $2, $3, $4, $5)
        """,
        issuer.id,
        issuer.name,
        issuer.url,
        issuer.provider,
        issuer.created_at,
    )


async def issuers(tx: Tx) -> list[Issuer]:
    """Return every issuer there is or was, by name, oldest first."""
    rows = await tx.fetch(_ISSUER + "ORDER BY i.name, i.id")
    return [Issuer(**dict(row)) for row in rows]


async def find_issuer(tx: Tx, url: str) -> Issuer | None:
    """Return the issuer whose tokens say `url`, if it is trusted now."""
    row = await tx.fetchrow(_ISSUER + "WHERE i.url = $1 AND i.removed_at IS NULL", url)
    return None if row is None else Issuer(**dict(row))


async def get_issuer(tx: Tx, name: str) -> Issuer:
    """Return the issuer of that name, if it is trusted now.

    Raises:
        NotFound: there is none.
    """
    row = await tx.fetchrow(_ISSUER + "WHERE i.name = $1 AND i.removed_at IS NULL", name)
    if row is None:
        raise NotFound(
            f"there is no issuer {name[:80]!r}: `muniment trust issuer list` shows those there are"
        )
    return Issuer(**dict(row))


async def remove_issuer(tx: Tx, issuer_id: uuid.UUID, at: dt.datetime) -> None:
    """Mark an issuer, which is still trusted, as removed."""
    await tx.execute("UPDATE trusted_issuer SET removed_at = $2 WHERE id = $1", issuer_id, at)


# --- publishers --------------------------------------------------------------------------------


async def insert_publisher(tx: Tx, publisher: Publisher) -> None:
    """Write a publisher."""
    await tx.execute(
        """
        INSERT INTO trusted_publisher (id, namespace, asset, issuer_id, principal_id, identity, rule,
                                       permits, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8, $9)
        """,
        publisher.id,
        publisher.namespace,
        publisher.asset,
        publisher.issuer.id,
        publisher.principal_id,
        publisher.rule.identity,
        msgspec.json.encode(rules.rule_json(publisher.rule)).decode(),
        list(publisher.permits),
        publisher.created_at,
    )


async def same_publisher(tx: Tx, new: NewPublisher, issuer_id: uuid.UUID) -> Publisher | None:
    """Return the publisher that trusts exactly the same for the same, if there is one."""
    row = await tx.fetchrow(
        _PUBLISHER
        + """
        WHERE p.namespace = $1 AND p.asset = $2 AND p.issuer_id = $3 AND p.rule = $4::text::jsonb
              AND p.permits = $5 AND p.removed_at IS NULL
        """,
        new.namespace,
        new.asset,
        issuer_id,
        msgspec.json.encode(rules.rule_json(new.rule)).decode(),
        list(new.permits),
    )
    return None if row is None else _publisher(row)


async def count_publishers(tx: Tx, namespace: str, asset: str) -> int:
    """Return how many publishers an asset trusts now."""
    return int(
        await tx.fetchval(
            """
            SELECT count(*) FROM trusted_publisher
            WHERE namespace = $1 AND asset = $2 AND removed_at IS NULL
            """,
            namespace,
            asset,
        )
    )


async def find_publisher(
    tx: Tx, namespace: str, asset: str, publisher_id: uuid.UUID
) -> Publisher | None:
    """Return one publisher of an asset, or None."""
    row = await tx.fetchrow(
        _PUBLISHER + "WHERE p.id = $1 AND p.namespace = $2 AND p.asset = $3",
        publisher_id,
        namespace,
        asset,
    )
    return None if row is None else _publisher(row)


async def publishers_of(
    tx: Tx, namespace: str | None, asset: str | None, *, after: uuid.UUID | None, limit: int
) -> list[Publisher]:
    """Return publishers, newest first, those after `after`; removed ones too. None: of everything."""
    rows = await tx.fetch(
        _PUBLISHER
        + """
        WHERE ($1::text IS NULL OR p.namespace = $1) AND ($2::text IS NULL OR p.asset = $2)
              AND ($3::uuid IS NULL OR p.id < $3)
        ORDER BY p.id DESC LIMIT $4
        """,
        namespace,
        asset,
        after,
        limit,
    )
    return [_publisher(row) for row in rows]


async def publishers_for(
    tx: Tx, issuer_id: uuid.UUID, identity: str | None = None
) -> list[Publisher]:
    """Return the publishers of an issuer that are trusted now; of one repository, or of all."""
    rows = await tx.fetch(
        _PUBLISHER
        + """
        WHERE p.issuer_id = $1 AND ($2::text IS NULL OR p.identity = $2) AND p.removed_at IS NULL
              AND i.removed_at IS NULL
        ORDER BY p.id
        """,
        issuer_id,
        identity,
    )
    return [_publisher(row) for row in rows]


async def remove_publisher(tx: Tx, publisher_id: uuid.UUID, at: dt.datetime) -> bool:
    """Mark a publisher as removed; return False if it was already."""
    done = await tx.fetchval(
        """
        UPDATE trusted_publisher SET removed_at = $2 WHERE id = $1 AND removed_at IS NULL
        RETURNING true
        """,
        publisher_id,
        at,
    )
    return bool(done)


async def note_use(tx: Tx, publishers: Sequence[uuid.UUID], at: dt.datetime) -> bool:
    """Keep when publishers were last used; return False if one was removed meanwhile."""
    rows = await tx.fetch(
        """
        UPDATE trusted_publisher SET last_used_at = $2
        WHERE id = ANY($1::uuid[]) AND removed_at IS NULL RETURNING id
        """,
        list(publishers),
        at,
    )
    return len(rows) == len(publishers)


# --- ID tokens ---------------------------------------------------------------------------------


async def use_id_token(tx: Tx, key: bytes, expires_at: dt.datetime) -> bool:
    """Remember that the ID token known by `key` was used; return False if it was before."""
    done = await tx.fetchval(
        """
        INSERT INTO used_id_token (key, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING
        RETURNING true
        """,
        key,
        expires_at,
    )
    return bool(done)


async def forget_id_tokens(tx: Tx, now: dt.datetime) -> None:
    """Forget used ID tokens that have expired: nobody can use them anyway."""
    await tx.execute("DELETE FROM used_id_token WHERE expires_at < $1", now)
