"""Rows of decisions, and of what was told of their end. Every function takes a `Tx`; none commits."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Final, LiteralString

from muniment.core.digest import Digest
from muniment.core.errors import NotFound
from muniment.server.approvals.records import DecisionOf, Outcome
from muniment.server.approvals.store.seen import OF_REQUEST, Scopes, scope_values
from muniment.server.ports.db import Row, Tx

_DECISIONS: Final[LiteralString] = """
    SELECT d.id, d.request_id, d.asset_id, d.version_id, d.environment, d.outcome, d.frozen_sha256,
           d.decided_at, d.expires_at, d.entry_id, d.composite,
           CASE a.namespace WHEN 'default' THEN '' ELSE a.namespace || '/' END
               || a.name || '@' || v.version AS ref
    FROM decision d JOIN version v ON v.id = d.version_id JOIN asset a ON a.id = d.asset_id
         JOIN approval_request r ON r.id = d.request_id
"""
_NOT_REPLACED: Final[LiteralString] = """
    NOT EXISTS (SELECT FROM decision n WHERE n.version_id = d.version_id
                AND n.composite IS NOT DISTINCT FROM d.composite
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
                              frozen_sha256, decided_at, expires_at, entry_id, composite)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
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
        new.composite,
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


async def newest_decision(tx: Tx, key: uuid.UUID | str, environment: str) -> DecisionOf | None:
    """Return what was decided last of a version (its id) or composite (its CVI) there, or None."""
    of: LiteralString = (
        "d.composite = $1" if isinstance(key, str) else "d.version_id = $1 AND d.composite IS NULL"
    )
    row = await tx.fetchrow(
        _DECISIONS + "WHERE " + of + " AND d.environment = $2 ORDER BY d.id DESC LIMIT 1",
        key,
        environment,
    )
    return None if row is None else _decision(row)


async def list_decisions(
    tx: Tx,
    *,
    scopes: Scopes,
    version_id: uuid.UUID | None,
    composite: str | None,
    environment: str | None,
    outcome: str | None,
    after: uuid.UUID | None,
    limit: int,
) -> list[DecisionOf]:
    """Return decisions, newest first, those after `after`.

    `scopes` are (namespace, asset) that may be seen, None everything. Those of a version are of it alone.
    """
    rows = await tx.fetch(
        _DECISIONS
        + "WHERE"
        + OF_REQUEST
        + """
          AND ($4::uuid IS NULL OR (d.version_id = $4 AND d.composite IS NULL))
          AND ($5::text IS NULL OR d.composite = $5)
          AND ($6::text IS NULL OR d.environment = $6)
          AND ($7::text IS NULL OR d.outcome = $7)
          AND ($8::uuid IS NULL OR d.id < $8)
        ORDER BY d.id DESC LIMIT $9
        """,
        *scope_values(scopes),
        version_id,
        composite,
        environment,
        outcome,
        after,
        limit,
    )
    return [_decision(row) for row in rows]


async def expiring(
    tx: Tx,
    *,
    scopes: Scopes,
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
        + "WHERE"
        + OF_REQUEST
        + """
          AND d.expires_at > $4 AND d.expires_at <= $5
          AND ($7::uuid IS NULL OR (d.expires_at, d.id) > ($6, $7)) AND
        """
        + _NOT_REPLACED
        + " ORDER BY d.expires_at, d.id LIMIT $8",
        *scope_values(scopes),
        now,
        until,
        ends_after,
        last,
        limit,
    )
    return [_decision(row) for row in rows]


async def warned_of(tx: Tx, decision_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[int]]:
    """Return for how many days before their ends approvals were told to end; those never told left out."""
    rows = await tx.fetch(
        "SELECT decision_id, array_agg(days) AS days FROM approval_warning"
        " WHERE decision_id = ANY($1::uuid[]) GROUP BY decision_id",
        list(decision_ids),
    )
    return {row["decision_id"]: list(row["days"]) for row in rows}


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
