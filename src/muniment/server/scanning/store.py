"""Rows of scans. Every function takes a `Tx`; none commits."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Final, LiteralString

import msgspec

from muniment.core.canon import canonical
from muniment.core.digest import Digest
from muniment.scan.records import VerdictClass
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Row, Tx
from muniment.server.scanning.records import Result, Scan
from muniment.server.scanning.rules.results import result_bytes

COLUMNS: Final[LiteralString] = """
    SELECT s.id, s.version_id, s.version_name, s.ruleset_id, s.ruleset, s.tool_name, s.tool_version,
           s.verdict, s.executable, s.file_count, s.reused_count, s.stopped_count,
           s.severities::text AS severities, s.started_at, s.ended_at, s.report_digest,
           s.report_bytes, s.evidence_id, s.recorded_at, s.actor_kind, s.actor_id, s.entry_id
    FROM scan s"""


def to_scan(row: Row) -> Scan:
    """Return the scan in `row` (`COLUMNS`)."""
    return Scan(
        id=row["id"],
        version_id=row["version_id"],
        version_name=row["version_name"],
        ruleset_id=row["ruleset_id"],
        ruleset=Digest(row["ruleset"]),
        tool_name=row["tool_name"],
        tool_version=row["tool_version"],
        verdict=VerdictClass(row["verdict"]),
        executable=row["executable"],
        file_count=row["file_count"],
        reused_count=row["reused_count"],
        stopped_count=row["stopped_count"],
        severities=msgspec.json.decode(row["severities"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        report_digest=Digest(row["report_digest"]),
        report_bytes=row["report_bytes"],
        evidence_id=row["evidence_id"],
        recorded_at=row["recorded_at"],
        actor=Actor(row["actor_kind"], row["actor_id"]),
        entry_id=row["entry_id"],
    )


async def lock_version(tx: Tx, version_id: uuid.UUID) -> None:
    """Have others who record a scan of the same version wait until `tx` ends."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 15))", str(version_id))


async def insert_scan(tx: Tx, scan: Scan) -> None:
    """Keep a scan."""
    await tx.execute(
        """
        INSERT INTO scan (id, version_id, version_name, ruleset_id, ruleset, tool_name, tool_version,
                          verdict, executable, file_count, reused_count, stopped_count, severities,
                          started_at, ended_at, report_digest, report_bytes, evidence_id,
                          recorded_at, actor_kind, actor_id, entry_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::text::jsonb, $14, $15, $16,
                $17, $18, $19, $20, $21, $22)
        """,
        scan.id,
        scan.version_id,
        scan.version_name,
        scan.ruleset_id,
        scan.ruleset.raw,
        scan.tool_name,
        scan.tool_version,
        scan.verdict.value,
        scan.executable,
        scan.file_count,
        scan.reused_count,
        scan.stopped_count,
        canonical(dict(scan.severities)).decode(),
        scan.started_at,
        scan.ended_at,
        scan.report_digest.raw,
        scan.report_bytes,
        scan.evidence_id,
        scan.recorded_at,
        scan.actor.kind,
        scan.actor.id,
        scan.entry_id,
    )


async def insert_results(tx: Tx, scan: Scan, results: Sequence[Result]) -> set[tuple[Digest, str]]:
    """Keep the results of files that have none yet; return the keys of those that were kept."""
    rows = await tx.fetch(
        """
        INSERT INTO file_scan (digest, ruleset, hint, verdict, result, scan_id)
        SELECT digest, $1, hint, verdict, result, $2
        FROM unnest($3::bytea[], $4::text[], $5::text[], $6::bytea[])
             AS new (digest, hint, verdict, result)
        ORDER BY digest, hint
        ON CONFLICT (digest, ruleset, hint) DO NOTHING
        RETURNING digest, hint
        """,
        scan.ruleset.raw,
        scan.id,
        [one.target.file.digest.raw for one in results],
        [one.target.hint for one in results],
        [one.report.verdict.value for one in results],
        [result_bytes(one.report) for one in results],
    )
    return {(Digest(row["digest"]), row["hint"]) for row in rows}
