"""Rows of decisions, and of what was told of their end. Every function takes a `Tx`; none commits."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Final, LiteralString

from muniment.core.digest import Digest
from muniment.core.errors import NotFound
from muniment.server.approvals.records import DecisionOf, Outcome
from muniment.server.ports.db import Row, Tx

_DECISIONS: Final[LiteralString] = """
    SELECT d.id, d.request_id, d.asset_id, d.version_id, d.environment, d.outcome, d.frozen_sha256,
           d.decided_at, d.expires_at, d.entry_id,
           CASE a.namespace WHEN 'default' THEN '' ELSE a.namespace || '/' END
               || a.name || '@' || v.version AS ref
    FROM decision d JOIN version v ON v.id = d.version_id JOIN asset a ON a.id = d.asset_id
"""
_NOT_REPLACED: Final[LiteralString] = """
    NOT EXISTS (SELECT FROM decision n WHERE n.version_id = d.version_id
                AND n.environment = d.environment AND n.id > d.id)
"""


def _decision(row: Row) -> DecisionOf:
    fields = dict(row)
    fields["frozen_sha256"] = Digest(fields["frozen_sha256"])
    fields["outcome"] = Outcome(fields["outcome"])
    return DecisionOf(**fields)


async def insert_decision(tx: Tx, new: DecisionOf) -> None:
    """Write a decision.

    Raises:
        Conflict: its request was decided before.
    """
    await tx.execute(
        """
        INSERT INTO decision (id, request_id, asset_id, version_id, environment, outcome,
                              frozen_sha256, decided_at, expires_at, entry_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        new.id,
        new.request_id,
        new.asset_id,
        new.version_id,
        new.environment,
        new.outcome.value,
        new.frozen_sha256.raw,
        new.decided_at,
        new.expires_at,
        new.entry_id,
    )


async def get_decision(tx: Tx, decision_id: uuid.UUID) -> DecisionOf:
    """Return a decision.

    Raises:
        NotFound: there is none of that id.
    """
    row = await tx.fetchrow(_DECISIONS + "WHERE d.id = $1", decision_id)
    if row is None:
        raise NotFound(f"there is no decision {decision_id}")
    return _decision(row)


async def decision_on(tx: Tx, request_id: uuid.UUID) -> DecisionOf | None:
    """Return what was decided on a request, or None."""
    row = await tx.fetchrow(_DECISIONS + "WHERE d.request_id = $1", request_id)
    return None if row is None else _decision(row)


async def newest_decision(tx: Tx, version_id: uuid.UUID, environment: str) -> DecisionOf | None:
    """Return what was decided last of a version and environment, or None."""
    row = await tx.fetchrow(
        _DECISIONS + "WHERE d.version_id = $1 AND d.environment = $2 ORDER BY d.id DESC LIMIT 1",
        version_id,
        environment,
    )
    return None if row is None else _decision(row)


async def list_decisions(
    tx: Tx,
    *,
    scopes: Sequence[tuple[str | None, str | None]] | None,
    version_id: uuid.UUID | None,
    environment: str | None,
    outcome: str | None,
    after: uuid.UUID | None,
    limit: int,
) -> list[DecisionOf]:
    """Return decisions, newest first, those after `after`.

    `scopes` are (namespace, asset) that may be seen, None everything.
    """
    rows = await tx.fetch(
        _DECISIONS
        + """
        WHERE ($1 OR EXISTS (SELECT FROM unnest($2::text[], $3::text[]) s (namespace, name)
                             WHERE s.namespace = a.namespace AND coalesce(s.name, a.name) = a.name))
          AND ($4::uuid IS NULL OR d.version_id = $4)
          AND ($5::text IS NULL OR d.environment = $5)
          AND ($6::text IS NULL OR d.outcome = $6)
          AND ($7::uuid IS NULL OR d.id < $7)
        ORDER BY d.id DESC LIMIT $8
        """,
        scopes is None,
        [one[0] for one in scopes or ()],
        [one[1] for one in scopes or ()],
        version_id,
        environment,
        outcome,
        after,
        limit,
    )
    return [_decision(row) for row in rows]


async def expiring(
    tx: Tx,
    *,
    scopes: Sequence[tuple[str | None, str | None]] | None,
    now: dt.datetime,
    until: dt.datetime,
    after: tuple[dt.datetime, uuid.UUID] | None,
    limit: int,
) -> list[DecisionOf]:
    """Return approvals that nothing replaced and that end after `now` and by `until`.

    The first to end first; `after` is the end and id of the last one of the page before.
    """
    ends_after, last = after or (now, None)
    rows = await tx.fetch(
        _DECISIONS
        + """
        WHERE d.expires_at > $4 AND d.expires_at <= $5
          AND ($7::uuid IS NULL OR (d.expires_at, d.id) > ($6, $7))
          AND ($1 OR EXISTS (SELECT FROM unnest($2::text[], $3::text[]) s (namespace, name)
                             WHERE s.namespace = a.namespace AND coalesce(s.name, a.name) = a.name))
          AND """
        + _NOT_REPLACED
        + " ORDER BY d.expires_at, d.id LIMIT $8",
        scopes is None,
        [one[0] for one in scopes or ()],
        [one[1] for one in scopes or ()],
        now,
        until,
        ends_after,
        last,
        limit,
    )
    return [_decision(row) for row in rows]


async def warned_days(tx: Tx, decision_id: uuid.UUID) -> list[int]:
    """Return for how many days before its end an approval was told to end."""
    rows = await tx.fetch(
        "SELECT days FROM approval_warning WHERE decision_id = $1 ORDER BY days", decision_id
    )
    return [row["days"] for row in rows]


async def insert_warning(
    tx: Tx, decision_id: uuid.UUID, days: int, at: dt.datetime, entry_id: uuid.UUID
) -> bool:
    """Keep that it was told; return False, and write nothing, if it was before."""
    done = await tx.fetchval(
        """
        INSERT INTO approval_warning (decision_id, days, at, entry_id) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING RETURNING true
        """,
        decision_id,
        days,
        at,
        entry_id,
    )
    return bool(done)
