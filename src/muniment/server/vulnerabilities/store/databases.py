"""Rows of vulnerability databases and imports. Every function takes a `Tx`; none commits."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import msgspec

from muniment.core.digest import Digest
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Row, Tx
from muniment.server.vulnerabilities.records import Database, Import, ImportState

DATABASE: Final[LiteralString] = """
    SELECT d.id, d.ecosystem, d.number, d.digest, d.rows_digest, d.dated_at, d.record_count,
           d.withdrawn_count, d.source_digest, d.source_bytes, d.source_name, d.recorded_at,
           d.actor_kind, d.actor_id, d.entry_id
    FROM advisory_database d"""
IMPORT: Final[LiteralString] = """
    SELECT i.id, i.ecosystem, i.source_digest, i.source_bytes, i.source_name, i.dated_at, i.older,
           i.state, i.read_count, i.total_count, i.database_id, i.problems::text AS problems,
           i.asked_at, i.actor_kind, i.actor_id
    FROM advisory_import i"""


def to_database(row: Row) -> Database:
    """Return the snapshot in `row` (`DATABASE`)."""
    return Database(
        id=row["id"],
        ecosystem=row["ecosystem"],
        number=row["number"],
        digest=Digest(row["digest"]),
        rows=Digest(row["rows_digest"]),
        dated_at=row["dated_at"],
        record_count=row["record_count"],
        withdrawn_count=row["withdrawn_count"],
        source_digest=Digest(row["source_digest"]),
        source_bytes=row["source_bytes"],
        source_name=row["source_name"],
        recorded_at=row["recorded_at"],
        actor=Actor(row["actor_kind"], row["actor_id"]),
        entry_id=row["entry_id"],
    )


def to_import(row: Row) -> Import:
    """Return the import in `row` (`IMPORT`)."""
    return Import(
        id=row["id"],
        ecosystem=row["ecosystem"],
        source_digest=Digest(row["source_digest"]),
        source_bytes=row["source_bytes"],
        source_name=row["source_name"],
        dated_at=row["dated_at"],
        older=row["older"],
        state=ImportState(row["state"]),
        read_count=row["read_count"],
        total_count=row["total_count"],
        database_id=row["database_id"],
        problems=tuple(msgspec.json.decode(row["problems"])),
        asked_at=row["asked_at"],
        actor=Actor(row["actor_kind"], row["actor_id"]),
    )


async def insert_import(tx: Tx, new: Import) -> None:
    """Keep an import that is to be done."""
    await tx.execute(
        """
        INSERT INTO advisory_import (id, ecosystem, source_digest, source_bytes, source_name,
                                     dated_at, older, asked_at, actor_kind, actor_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        new.id,
        new.ecosystem,
        new.source_digest.raw,
        new.source_bytes,
        new.source_name,
        new.dated_at,
        new.older,
        new.asked_at,
        new.actor.kind,
        new.actor.id,
    )


async def note_progress(tx: Tx, import_id: uuid.UUID, read: int, total: int) -> None:
    """Note how many records of an import are read."""
    await tx.execute(
        "UPDATE advisory_import SET read_count = $2, total_count = $3 WHERE id = $1 AND state = 'due'",
        import_id,
        read,
        total,
    )


async def end_import(
    tx: Tx,
    import_id: uuid.UUID,
    state: ImportState,
    *,
    database_id: uuid.UUID | None = None,
    problems: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Note how an import ended."""
    await tx.execute(
        """
        UPDATE advisory_import
        SET state = $2, database_id = $3, problems = $4::text::jsonb,
            read_count = CASE WHEN $2 = 'done' THEN coalesce(total_count, read_count) ELSE read_count END
        WHERE id = $1
        """,
        import_id,
        state.value,
        database_id,
        msgspec.json.encode([dict(one) for one in problems]).decode(),
    )


async def lock_ecosystem(tx: Tx, ecosystem: str) -> None:
    """Have others who import into the same database wait until `tx` ends."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 16))", ecosystem)


async def current_records(tx: Tx, ecosystem: str) -> dict[str, tuple[int, Digest]]:
    """Return the row and digest of each record of the newest snapshot, by its id."""
    rows = await tx.fetch(
        "SELECT id, osv_id, digest FROM advisory WHERE ecosystem = $1 AND until IS NULL", ecosystem
    )
    return {row["osv_id"]: (row["id"], Digest(row["digest"])) for row in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRecord:
    """A record to be kept; `body` is canonical JSON."""

    osv_id: str
    digest: Digest
    withdrawn: bool
    modified: dt.datetime
    names: Sequence[str]
    packages: Sequence[str]
    body: bytes


async def end_records(tx: Tx, rows: Sequence[int], number: int) -> None:
    """Say of records that they are in no snapshot from `number` on."""
    await tx.execute("UPDATE advisory SET until = $2 WHERE id = ANY($1::bigint[])", rows, number)


async def insert_records(tx: Tx, ecosystem: str, number: int, new: Sequence[NewRecord]) -> None:
    """Keep records that are in snapshots from `number` on. One statement."""
    await tx.execute(
        """
        INSERT INTO advisory (ecosystem, since, osv_id, digest, withdrawn, modified, names, packages,
                              body)
        SELECT $1, $2, osv_id, digest, withdrawn, modified,
               ARRAY(SELECT jsonb_array_elements_text(names::jsonb)),
               ARRAY(SELECT jsonb_array_elements_text(packages::jsonb)), body
        FROM unnest($3::text[], $4::bytea[], $5::boolean[], $6::timestamptz[], $7::text[], $8::text[],
                    $9::text[]) AS new (osv_id, digest, withdrawn, modified, names, packages, body)
        """,
        ecosystem,
        number,
        [one.osv_id for one in new],
        [one.digest.raw for one in new],
        [one.withdrawn for one in new],
        [one.modified for one in new],
        [msgspec.json.encode(list(one.names)).decode() for one in new],
        [msgspec.json.encode(list(one.packages)).decode() for one in new],
        [one.body.decode() for one in new],
    )


@dataclass(frozen=True, slots=True)
class Totals:
    """What a snapshot's rows come to."""

    digest: Digest
    rows: Digest
    record_count: int
    withdrawn_count: int


async def totals(tx: Tx, ecosystem: str) -> Totals:
    """Return what the rows of an ecosystem's newest snapshot come to."""
    row = await tx.fetchrow(
        """
        SELECT count(*) AS records, count(*) FILTER (WHERE withdrawn) AS withdrawn,
               sha256(coalesce(string_agg(convert_to(
                   osv_id || ' ' || encode(digest, 'hex') || E'\n', 'UTF8'), '' ORDER BY osv_id), '')) AS digest,
               sha256(coalesce(string_agg(convert_to(
                   osv_id || ' ' || encode(digest, 'hex') || ' ' || withdrawn::text || ' '
                   || to_json(names)::text || ' ' || to_json(packages)::text || ' '
                   || encode(sha256(convert_to(body, 'UTF8')), 'hex') || E'\n', 'UTF8'), '' ORDER BY osv_id),
                   '')) AS rows
        FROM advisory WHERE ecosystem = $1 AND until IS NULL
        """,
        ecosystem,
    )
    assert row is not None, "an aggregate has a row"
    return Totals(Digest(row["digest"]), Digest(row["rows"]), row["records"], row["withdrawn"])


async def insert_database(tx: Tx, new: Database) -> None:
    """Keep a snapshot."""
    await tx.execute(
        """
        INSERT INTO advisory_database (id, ecosystem, number, digest, rows_digest, dated_at,
                                       record_count, withdrawn_count, source_digest, source_bytes,
                                       source_name, recorded_at, actor_kind, actor_id, entry_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        """,
        new.id,
        new.ecosystem,
        new.number,
        new.digest.raw,
        new.rows.raw,
        new.dated_at,
        new.record_count,
        new.withdrawn_count,
        new.source_digest.raw,
        new.source_bytes,
        new.source_name,
        new.recorded_at,
        new.actor.kind,
        new.actor.id,
        new.entry_id,
    )


async def newest_modified(tx: Tx, ecosystem: str) -> dt.datetime | None:
    """Return when a record of an ecosystem's newest snapshot was last changed."""
    found: dt.datetime | None = await tx.fetchval(
        "SELECT max(modified) FROM advisory WHERE ecosystem = $1 AND until IS NULL", ecosystem
    )
    return found
