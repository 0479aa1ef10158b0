"""Rows of what is to be delivered, and of how each attempt went. None of these commits."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Final, LiteralString

from muniment.core.names import AssetName, AssetRef, Namespace
from muniment.server.federation.records import (
    Attempt,
    Delivery,
    DeliveryState,
    Judged,
    ToldVersion,
)
from muniment.server.ports.db import Row, Tx

_COLUMNS: Final[LiteralString] = """
    SELECT id, webhook_id, entry_id, part, event, state, attempts, attempts - round_from AS tries,
           created_at, due_at, ended_at, error
    FROM webhook_delivery"""


async def insert_deliveries(tx: Tx, deliveries: Sequence[Delivery]) -> list[uuid.UUID]:
    """Keep what is to be delivered; return the ids of those that were not kept before."""
    rows = await tx.fetch(
        """
        INSERT INTO webhook_delivery (id, webhook_id, entry_id, part, event, state, created_at, due_at)
        SELECT t.id, t.webhook_id, t.entry_id, t.part, t.event, 'due', t.created_at, t.created_at
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::integer[], $5::text[], $6::timestamptz[])
             AS t (id, webhook_id, entry_id, part, event, created_at)
        WHERE EXISTS (SELECT FROM webhook w WHERE w.id = t.webhook_id)
        ON CONFLICT (webhook_id, entry_id, part) DO NOTHING
        RETURNING id
        """,
        [one.id for one in deliveries],
        [one.webhook_id for one in deliveries],
        [one.entry_id for one in deliveries],
        [one.part for one in deliveries],
        [one.event for one in deliveries],
        [one.created_at for one in deliveries],
    )
    return [row["id"] for row in rows]


async def troubled(tx: Tx, webhook_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Return which webhooks have a delivery that failed and is to be tried again."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT webhook_id FROM webhook_delivery
        WHERE webhook_id = ANY($1::uuid[]) AND state = 'due' AND attempts > 0
        """,
        list(webhook_ids),
    )
    return {row["webhook_id"] for row in rows}


async def find_delivery(tx: Tx, delivery_id: uuid.UUID, *, lock: bool = False) -> Delivery | None:
    """Return a delivery; `lock` holds its row until `tx` ends."""
    locked: LiteralString = " FOR UPDATE" if lock else ""
    row = await tx.fetchrow(_COLUMNS + " WHERE id = $1" + locked, delivery_id)
    return None if row is None else _delivery(row)


async def list_deliveries(
    tx: Tx,
    webhook_id: uuid.UUID,
    *,
    state: DeliveryState | None = None,
    before: uuid.UUID | None = None,
    limit: int,
) -> list[Delivery]:
    """Return up to `limit` deliveries of a webhook, newest first, below `before`."""
    rows = await tx.fetch(
        _COLUMNS
        + """
        WHERE webhook_id = $1 AND ($2::text IS NULL OR state = $2) AND ($3::uuid IS NULL OR id < $3)
        ORDER BY id DESC LIMIT $4
        """,
        webhook_id,
        None if state is None else state.value,
        before,
        limit,
    )
    return [_delivery(row) for row in rows]


async def attempts_of(tx: Tx, delivery_id: uuid.UUID) -> list[Attempt]:
    """Return every attempt of a delivery, oldest first."""
    rows = await tx.fetch(
        """
        SELECT number, at, duration_ms, status, error, answer FROM webhook_attempt
        WHERE delivery_id = $1 ORDER BY number
        """,
        delivery_id,
    )
    return [Attempt(**dict(row)) for row in rows]


async def insert_attempt(tx: Tx, delivery_id: uuid.UUID, attempt: Attempt) -> None:
    """Keep how an attempt went."""
    await tx.execute(
        """
        INSERT INTO webhook_attempt (delivery_id, number, at, duration_ms, status, error, answer)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        delivery_id,
        attempt.number,
        attempt.at,
        attempt.duration_ms,
        attempt.status,
        attempt.error,
        attempt.answer,
    )


async def put_judged(tx: Tx, delivery: Delivery, judged: Judged, at: dt.datetime) -> None:
    """Make a delivery, whose row is locked, what follows from its last attempt."""
    over = judged.state is not DeliveryState.DUE
    await tx.execute(
        """
        UPDATE webhook_delivery SET state = $2, attempts = $3, due_at = $4, ended_at = $5, error = $6
        WHERE id = $1
        """,
        delivery.id,
        judged.state.value,
        delivery.attempts,
        None if over or judged.after is None else at + judged.after,
        at if over else None,
        judged.error,
    )


async def begin_round(tx: Tx, delivery_id: uuid.UUID, at: dt.datetime) -> None:
    """Have a delivery be tried again, with all its attempts."""
    await tx.execute(
        """
        UPDATE webhook_delivery
        SET state = 'due', round_from = attempts, due_at = $2, ended_at = NULL
        WHERE id = $1
        """,
        delivery_id,
        at,
    )


async def forget(tx: Tx, before: dt.datetime, most: int) -> int:
    """Drop what ended before a time, and of each webhook what ended beyond its newest `most`."""
    done = await tx.execute(
        """
        DELETE FROM webhook_delivery WHERE ended_at < $1 OR (ended_at IS NOT NULL AND id IN (
            SELECT old.id FROM webhook w CROSS JOIN LATERAL (
                SELECT d.id FROM webhook_delivery d WHERE d.webhook_id = w.id
                ORDER BY d.id DESC OFFSET $2) old))
        """,
        before,
        most,
    )
    return int(done.rpartition(" ")[2])


async def asset_of(tx: Tx, asset_id: uuid.UUID) -> tuple[AssetRef, str] | None:
    """Return what an asset is called now, and its kind."""
    row = await tx.fetchrow("SELECT namespace, name, kind FROM asset WHERE id = $1", asset_id)
    if row is None:
        return None
    return AssetRef(Namespace(row["namespace"]), AssetName(row["name"])), row["kind"]


async def versions_of(tx: Tx, version_ids: Sequence[str]) -> dict[str, ToldVersion]:
    """Return number and SemVer of versions, by id."""
    rows = await tx.fetch(
        "SELECT id::text AS id, number, version FROM version WHERE id = ANY($1::uuid[])",
        list(version_ids),
    )
    return {row["id"]: ToldVersion(row["number"], row["version"]) for row in rows}


def _delivery(row: Row) -> Delivery:
    return Delivery(**{**dict(row), "state": DeliveryState(row["state"])})
