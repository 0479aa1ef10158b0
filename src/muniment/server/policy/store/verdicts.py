"""Rows of verdicts. Every function takes a `Tx`; none commits."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from muniment.core.names import AssetName, AssetRef, Namespace
from muniment.server.http.records import Scope
from muniment.server.policy.records import Decision, StoredVerdict
from muniment.server.ports.db import Row, Tx


async def insert(tx: Tx, new: StoredVerdict) -> None:
    """Insert a verdict."""
    await tx.execute(
        """
        INSERT INTO policy_verdict (id, entry_id, at, asset_id, version_id, step, environment,
            policy_digest, input_digest, decision, failed, carried_out, engine, engine_version,
            duration_us, composite)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
        """,
        new.id,
        new.entry_id,
        new.at,
        new.asset_id,
        new.version_id,
        new.step,
        new.environment,
        new.policy_digest,
        new.input_digest,
        new.decision.value,
        list(new.failed),
        new.carried_out,
        new.engine,
        new.engine_version,
        new.duration_us,
        new.composite,
    )


_VERDICT: Final[LiteralString] = """
    SELECT p.id, p.entry_id, p.at, p.asset_id, p.version_id, p.step, p.environment,
           p.policy_digest, p.input_digest, p.decision, p.failed, p.carried_out, p.engine,
           p.engine_version, p.duration_us, p.composite, a.namespace, a.name, v.version
    FROM policy_verdict p JOIN asset a ON a.id = p.asset_id
    LEFT JOIN version v ON v.id = p.version_id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which verdicts: of what lies in `scopes` (None: any), before an id.

    Of an asset, of a version alone, or of a composite, which is seen by who may read its namespace and is
    not `hidden`.
    """

    scopes: list[Scope] | None
    asset_id: uuid.UUID | None = None
    version_id: uuid.UUID | None = None
    composite: str | None = None
    hidden: frozenset[str] = frozenset()
    step: str | None = None
    decision: str | None = None
    before: uuid.UUID | None = None
    limit: int = 50


async def find(tx: Tx, verdict_id: uuid.UUID) -> StoredVerdict | None:
    """Return the verdict of that id, or None."""
    row = await tx.fetchrow(_VERDICT + " WHERE p.id = $1", verdict_id)
    return None if row is None else _verdict(row)


async def page(tx: Tx, wanted: Wanted) -> list[StoredVerdict]:
    """Return verdicts, the latest first."""
    scopes = wanted.scopes or []
    rows = await tx.fetch(
        _VERDICT
        + """
        WHERE ($1 OR a.namespace = ANY($2::text[]) OR a.namespace || '/' || a.name = ANY($3::text[]))
          AND ($1 OR p.composite IS NULL OR EXISTS (
                   SELECT FROM composite c WHERE c.cvi = p.composite AND c.namespace = ANY($2::text[])))
          AND ($4::uuid IS NULL OR p.asset_id = $4)
          AND ($5::uuid IS NULL OR p.version_id = $5 AND p.composite IS NULL)
          AND ($10::text IS NULL OR p.composite = $10)
          AND (p.composite IS NULL OR p.composite <> ALL($11::text[]))
          AND ($6::text IS NULL OR p.step = $6) AND ($7::text IS NULL OR p.decision = $7)
          AND ($8::uuid IS NULL OR p.id < $8)
        ORDER BY p.id DESC LIMIT $9
        """,
        wanted.scopes is None,
        [one.namespace for one in scopes if one.asset is None],
        [f"{one.namespace}/{one.asset}" for one in scopes if one.asset is not None],
        wanted.asset_id,
        wanted.version_id,
        wanted.step,
        wanted.decision,
        wanted.before,
        wanted.limit,
        wanted.composite,
        sorted(wanted.hidden),
    )
    return [_verdict(row) for row in rows]


async def following(
    tx: Tx, after: uuid.UUID | None, until: uuid.UUID | None, limit: int
) -> list[StoredVerdict]:
    """Return the verdicts after one, up to another, in the order of their ids."""
    rows = await tx.fetch(
        _VERDICT
        + """
        WHERE ($1::uuid IS NULL OR p.id > $1) AND p.id <= $2 ORDER BY p.id LIMIT $3
        """,
        after,
        until,
        limit,
    )
    return [_verdict(row) for row in rows]


async def newest(tx: Tx) -> uuid.UUID | None:
    """Return the id of the last verdict, or None."""
    found: uuid.UUID | None = await tx.fetchval(
        "SELECT id FROM policy_verdict ORDER BY id DESC LIMIT 1"
    )
    return found


async def superseded(tx: Tx, ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Return which of the verdicts have a later one on the same subject, step and environment."""
    rows = await tx.fetch(
        """
        SELECT p.id FROM policy_verdict p
        WHERE p.id = ANY($1::uuid[]) AND EXISTS (
            SELECT FROM policy_verdict l
            WHERE l.version_id = p.version_id AND l.id > p.id AND l.step = p.step
              AND l.composite IS NOT DISTINCT FROM p.composite
              AND l.environment IS NOT DISTINCT FROM p.environment)
        """,
        list(ids),
    )
    return {row["id"] for row in rows}


def _verdict(row: Row) -> StoredVerdict:
    asset = AssetRef(Namespace(row["namespace"]), AssetName(row["name"]))
    return StoredVerdict(
        id=row["id"],
        entry_id=row["entry_id"],
        at=row["at"],
        asset_id=row["asset_id"],
        version_id=row["version_id"],
        step=row["step"],
        environment=row["environment"],
        policy_digest=row["policy_digest"],
        input_digest=row["input_digest"],
        decision=Decision(row["decision"]),
        failed=tuple(row["failed"]),
        carried_out=row["carried_out"],
        engine=row["engine"],
        engine_version=row["engine_version"],
        duration_us=row["duration_us"],
        composite=row["composite"],
        subject=_subject(asset, row),
        scope=Scope(row["namespace"], row["name"]),
    )


def _subject(asset: AssetRef, row: Row) -> str:
    if row["composite"] is not None:
        return str(row["composite"])
    return str(asset) if row["version"] is None else f"{asset}@{row['version']}"
