"""Rows of verdicts. Every function takes a `Tx`; none commits."""

from __future__ import annotations

from muniment.server.policy.records import StoredVerdict
from muniment.server.ports.db import Tx


async def insert(tx: Tx, new: StoredVerdict) -> None:
    """Insert a verdict."""
    await tx.execute(
        """
        INSERT INTO policy_verdict (id, entry_id, at, asset_id, version_id, step, environment,
            policy_digest, input_digest, decision, failed, carried_out, engine, engine_version,
            duration_us)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
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
    )
