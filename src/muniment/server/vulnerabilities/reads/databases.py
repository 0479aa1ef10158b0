"""What is asked of vulnerability databases: which there are, imports, which files they need."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence

from muniment.core.digest import Digest
from muniment.core.errors import NotFound
from muniment.server.ledger.records import NeededBlob
from muniment.server.ports.db import Tx
from muniment.server.vulnerabilities.records import Database, Import
from muniment.server.vulnerabilities.store.databases import DATABASE, IMPORT, to_database, to_import


async def current(tx: Tx) -> list[Database]:
    """Return the newest snapshot of every ecosystem, by name."""
    rows = await tx.fetch(
        DATABASE
        + """
        WHERE NOT EXISTS (SELECT FROM advisory_database n
                          WHERE n.ecosystem = d.ecosystem AND n.number > d.number)
        ORDER BY d.ecosystem"""
    )
    return [to_database(row) for row in rows]


async def newest(tx: Tx, ecosystem: str) -> Database | None:
    """Return the newest snapshot of an ecosystem; None if there is none."""
    row = await tx.fetchrow(
        DATABASE + " WHERE d.ecosystem = $1 ORDER BY d.number DESC LIMIT 1", ecosystem
    )
    return None if row is None else to_database(row)


async def page(
    tx: Tx, *, ecosystem: str | None, before: uuid.UUID | None, limit: int
) -> list[Database]:
    """Return snapshots, newest first, with ids below `before`; `limit` and one more."""
    rows = await tx.fetch(
        DATABASE
        + """
        WHERE ($1::text IS NULL OR d.ecosystem = $1) AND ($2::uuid IS NULL OR d.id < $2)
        ORDER BY d.id DESC LIMIT $3""",
        ecosystem,
        before,
        limit + 1,
    )
    return [to_database(row) for row in rows]


async def get_database(tx: Tx, database_id: uuid.UUID) -> Database:
    """Return a snapshot.

    Raises:
        NotFound: there is none of that id.
    """
    row = await tx.fetchrow(DATABASE + " WHERE d.id = $1", database_id)
    if row is None:
        raise NotFound(f"there is no vulnerability database {database_id}")
    return to_database(row)


async def get_import(tx: Tx, import_id: uuid.UUID) -> Import:
    """Return an import.

    Raises:
        NotFound: there is none of that id.
    """
    row = await tx.fetchrow(IMPORT + " WHERE i.id = $1", import_id)
    if row is None:
        raise NotFound(f"there is no import {import_id}")
    return to_import(row)


async def named_blobs(tx: Tx, digests: Sequence[Digest]) -> set[Digest]:
    """Return which of `digests` are files of databases, or of imports on their way."""
    rows = await tx.fetch(
        """
        SELECT source_digest FROM advisory_database WHERE source_digest = ANY($1::bytea[])
        UNION SELECT source_digest FROM advisory_import
              WHERE source_digest = ANY($1::bytea[]) AND state = 'due'
        """,
        [digest.raw for digest in digests],
    )
    return {Digest(row["source_digest"]) for row in rows}


async def required_blobs(tx: Tx) -> AsyncIterator[NeededBlob]:
    """Yield the file of every snapshot."""
    async for row in tx.cursor(
        "SELECT DISTINCT ON (source_digest) source_digest, source_bytes, ecosystem, number"
        " FROM advisory_database ORDER BY source_digest, number"
    ):
        what_for = f"vulnerability database {row['ecosystem']} {row['number']}"
        yield NeededBlob(Digest(row["source_digest"]), row["source_bytes"], what_for)
