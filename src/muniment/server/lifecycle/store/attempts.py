"""Rows of attempts, and how many there are."""

from __future__ import annotations

import datetime as dt
import uuid

from muniment.server.catalog.records import Mode
from muniment.server.ledger.records import Actor
from muniment.server.lifecycle.records import Attempt, Counts
from muniment.server.ports.db import Tx


async def insert_attempt(tx: Tx, attempt: Attempt) -> None:
    """Insert an attempt."""
    await tx.execute(
        """
        INSERT INTO attempt (entry_id, asset_id, version_id, namespace, environment, at, actor_kind,
                             actor_id, mode, carried_out, rules, step, composite)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        """,
        attempt.entry_id,
        attempt.asset_id,
        attempt.version_id,
        attempt.namespace,
        attempt.environment,
        attempt.at,
        attempt.actor.kind,
        attempt.actor.id,
        attempt.mode.value,
        attempt.carried_out,
        list(attempt.rules),
        attempt.step,
        attempt.composite,
    )


async def attempts(
    tx: Tx, namespace: str, before: tuple[dt.datetime, uuid.UUID] | None, limit: int
) -> list[Attempt]:
    """Return the attempts in a namespace, the latest first, from the position on."""
    at, last = before or (None, None)
    rows = await tx.fetch(
        """
        SELECT t.entry_id, t.asset_id, t.version_id, t.namespace, t.environment, t.at, t.actor_kind,
               t.actor_id, t.mode, t.carried_out, t.rules, t.step, t.composite,
               a.name || coalesce('@' || v.version, '') AS subject
        FROM attempt t JOIN asset a ON a.id = t.asset_id LEFT JOIN version v ON v.id = t.version_id
        WHERE t.namespace = $1 AND ($2::timestamptz IS NULL OR (t.at, t.entry_id) < ($2, $3::uuid))
        ORDER BY t.at DESC, t.entry_id DESC LIMIT $4
        """,
        namespace,
        at,
        last,
        limit,
    )
    return [
        Attempt(
            entry_id=row["entry_id"],
            asset_id=row["asset_id"],
            version_id=row["version_id"],
            namespace=row["namespace"],
            environment=row["environment"],
            at=row["at"],
            actor=Actor(row["actor_kind"], row["actor_id"]),
            mode=Mode(row["mode"]),
            carried_out=row["carried_out"],
            rules=tuple(row["rules"]),
            subject=row["subject"],
            step=row["step"],
            composite=row["composite"],
        )
        for row in rows
    ]


async def counts(tx: Tx, namespace: str) -> Counts:
    """Return how often the rules of a namespace said no."""
    row = await tx.fetchrow(
        """
        SELECT count(*) FILTER (WHERE NOT carried_out) AS refused,
               count(*) FILTER (WHERE carried_out) AS would, max(at) AS last_at
        FROM attempt WHERE namespace = $1
        """,
        namespace,
    )
    by_rule = await tx.fetch(
        """
        SELECT rule, count(*) AS times FROM attempt, unnest(rules) rule
        WHERE namespace = $1 GROUP BY rule ORDER BY rule
        """,
        namespace,
    )
    assert row is not None
    return Counts(
        row["refused"], row["would"], {one["rule"]: one["times"] for one in by_rule}, row["last_at"]
    )
