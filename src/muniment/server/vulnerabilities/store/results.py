"""Rows of VEX documents and of matchings. Every function takes a `Tx`; none commits."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, LiteralString

import msgspec

from muniment.core.digest import Digest
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Row, Tx
from muniment.server.vulnerabilities.records import Matching, Vex

VEX: Final[LiteralString] = """
    SELECT x.id, x.evidence_id, x.subject_kind, x.subject_id, x.subject_name, x.asset_id,
           x.expires_at, x.added_at, x.actor_kind, x.actor_id, x.entry_id
    FROM vex x"""
MATCHING: Final[LiteralString] = """
    SELECT m.id, m.ruleset_id, m.databases::text AS databases, m.component_count, m.subject_count,
           m.changed_count, m.results_digest, m.started_at, m.ended_at, m.entry_id
    FROM vulnerability_matching m"""


def to_vex(row: Row) -> Vex:
    """Return the VEX document in `row` (`VEX`)."""
    return Vex(
        id=row["id"],
        evidence_id=row["evidence_id"],
        subject_kind=row["subject_kind"],
        subject_id=row["subject_id"],
        subject_name=row["subject_name"],
        asset_id=row["asset_id"],
        expires_at=row["expires_at"],
        added_at=row["added_at"],
        actor=Actor(row["actor_kind"], row["actor_id"]),
        entry_id=row["entry_id"],
    )


def to_matching(row: Row) -> Matching:
    """Return the matching in `row` (`MATCHING`)."""
    return Matching(
        id=row["id"],
        ruleset_id=row["ruleset_id"],
        databases=msgspec.json.decode(row["databases"], type=dict[str, str]),
        component_count=row["component_count"],
        subject_count=row["subject_count"],
        changed_count=row["changed_count"],
        results_digest=Digest(row["results_digest"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        entry_id=row["entry_id"],
    )


async def insert_vex(tx: Tx, new: Vex) -> None:
    """Keep until when a VEX document holds."""
    await tx.execute(
        """
        INSERT INTO vex (id, evidence_id, subject_kind, subject_id, subject_name, asset_id,
                         expires_at, added_at, actor_kind, actor_id, entry_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        """,
        new.id,
        new.evidence_id,
        new.subject_kind,
        new.subject_id,
        new.subject_name,
        new.asset_id,
        new.expires_at,
        new.added_at,
        new.actor.kind,
        new.actor.id,
        new.entry_id,
    )


async def newest_vex(tx: Tx, evidence_id: uuid.UUID) -> Vex | None:
    """Return until when a VEX document holds, as was said last; None if nobody did."""
    row = await tx.fetchrow(
        VEX + " WHERE x.evidence_id = $1 ORDER BY x.added_at DESC, x.id DESC LIMIT 1", evidence_id
    )
    return None if row is None else to_vex(row)


async def insert_matching(tx: Tx, new: Matching) -> None:
    """Keep a matching."""
    await tx.execute(
        """
        INSERT INTO vulnerability_matching (id, ruleset_id, databases, component_count,
                                            subject_count, changed_count, results_digest,
                                            started_at, ended_at, entry_id)
        VALUES ($1, $2, $3::text::jsonb, $4, $5, $6, $7, $8, $9, $10)
        """,
        new.id,
        new.ruleset_id,
        msgspec.json.encode(dict(new.databases)).decode(),
        new.component_count,
        new.subject_count,
        new.changed_count,
        new.results_digest.raw,
        new.started_at,
        new.ended_at,
        new.entry_id,
    )


async def lock_results(tx: Tx) -> None:
    """Have others who record results wait until `tx` ends."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('vulnerability results', 16))")


@dataclass(frozen=True, slots=True)
class Subject:
    """What SBOMs are about, as the newest of them says: its bound components too."""

    kind: str
    id: str
    name: str
    asset_id: uuid.UUID | None
    bound: Mapping[str, str]


async def latest_results(tx: Tx, format_: str, ids: list[str] | None) -> dict[tuple[str, str], str]:
    """Return the digest of what was found last, of every subject or of some."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT ON (e.subject_kind, e.subject_id) e.subject_kind, e.subject_id,
               convert_from(e.parsed, 'UTF8')::json -> 'details' ->> 'results_sha256' AS found
        FROM evidence e
        WHERE e.kind = 'vulnerabilities' AND e.format = $1 AND e.signer IS NOT NULL
          AND ($2::text[] IS NULL OR e.subject_id = ANY($2))
        ORDER BY e.subject_kind, e.subject_id, e.recorded_at DESC, e.id DESC
        """,
        format_,
        ids,
    )
    return {(row["subject_kind"], row["subject_id"]): row["found"] for row in rows}
