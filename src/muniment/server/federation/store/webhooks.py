"""Rows of webhooks and of their secrets. None of these commits."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Final, LiteralString

from muniment.server.federation.records import Webhook, WebhookState, WebhookStatus
from muniment.server.federation.rules.webhooks import state_from
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Row, Tx

_COLUMNS: Final[LiteralString] = """
    SELECT id, dialect, name, url, events, acts, description, status, namespace, secret_id, revision,
           created_at, actor_kind, actor_id, updated_at, updated_by_kind, updated_by_id, entry_id
    FROM webhook"""


async def insert_webhook(tx: Tx, webhook: Webhook) -> None:
    """Keep a new webhook."""
    await tx.execute(
        """
        INSERT INTO webhook (id, dialect, secret_id, revision, updated_at, updated_by_kind,
                             updated_by_id, entry_id, name, url, events, acts, description, status,
                             namespace, created_at, actor_kind, actor_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
        """,
        webhook.id,
        webhook.dialect,
        *_changeable(webhook),
        webhook.created_at,
        webhook.created_by.kind,
        webhook.created_by.id,
    )


async def update_webhook(tx: Tx, webhook: Webhook) -> None:
    """Make what may be changed of a webhook what `webhook` says. Its row is locked."""
    await tx.execute(
        """
        UPDATE webhook SET secret_id = $2, revision = $3, updated_at = $4, updated_by_kind = $5,
               updated_by_id = $6, entry_id = $7, name = $8, url = $9, events = $10, acts = $11,
               description = $12, status = $13, namespace = $14
        WHERE id = $1
        """,
        webhook.id,
        *_changeable(webhook),
    )


def _changeable(webhook: Webhook) -> tuple[object, ...]:
    state = webhook.state
    return (
        webhook.secret_id,
        webhook.revision,
        webhook.updated_at,
        webhook.updated_by.kind,
        webhook.updated_by.id,
        webhook.entry_id,
        state.name,
        state.url,
        list(state.events),
        list(state.acts),
        state.description,
        state.status.value,
        state.namespace,
    )


async def delete_webhook(tx: Tx, webhook_id: uuid.UUID) -> None:
    """Drop a webhook with its secrets, deliveries and attempts."""
    await tx.execute("DELETE FROM webhook WHERE id = $1", webhook_id)


async def find_webhook(tx: Tx, webhook_id: uuid.UUID, *, lock: bool = False) -> Webhook | None:
    """Return a webhook; `lock` holds its row until `tx` ends."""
    locked: LiteralString = " FOR UPDATE" if lock else ""
    row = await tx.fetchrow(_COLUMNS + " WHERE id = $1" + locked, webhook_id)
    return None if row is None else _webhook(row)


async def list_webhooks(  # noqa: PLR0917 -- what to list, and which page
    tx: Tx,
    dialect: str | None = None,
    status: WebhookStatus | None = None,
    before: uuid.UUID | None = None,
    offset: int = 0,
    limit: int = 50,
) -> list[Webhook]:
    """Return up to `limit` webhooks, newest first, below `before`, after the first `offset`."""
    rows = await tx.fetch(
        _COLUMNS
        + """
        WHERE ($1::text IS NULL OR dialect = $1) AND ($2::text IS NULL OR status = $2)
              AND ($3::uuid IS NULL OR id < $3)
        ORDER BY id DESC OFFSET $4 LIMIT $5
        """,
        dialect,
        None if status is None else status.value,
        before,
        offset,
        limit,
    )
    return [_webhook(row) for row in rows]


async def active_webhooks(tx: Tx, act: str) -> list[Webhook]:
    """Return the active webhooks that may be told of an act, oldest first."""
    rows = await tx.fetch(
        _COLUMNS
        + """
        WHERE status = 'active' AND acts && ARRAY['*', $1, split_part($1, '.', 1) || '.*']
        ORDER BY id
        """,
        act,
    )
    return [_webhook(row) for row in rows]


async def insert_secret(tx: Tx, webhook_id: uuid.UUID, secret_id: uuid.UUID, sealed: bytes) -> None:
    """Keep a sealed secret."""
    await tx.execute(
        "INSERT INTO webhook_secret (id, webhook_id, sealed) VALUES ($1, $2, $3)",
        secret_id,
        webhook_id,
        sealed,
    )


async def end_secrets(tx: Tx, webhook_id: uuid.UUID, ends_at: dt.datetime | None) -> None:
    """Have the secrets a webhook has stop to sign at a time (None: now), and forget older ones."""
    await tx.execute(
        """
        WITH dropped AS (
            DELETE FROM webhook_secret
            WHERE webhook_id = $1 AND ($2::timestamptz IS NULL OR ends_at IS NOT NULL)
        )
        UPDATE webhook_secret SET ends_at = $2
        WHERE webhook_id = $1 AND $2::timestamptz IS NOT NULL AND ends_at IS NULL
        """,
        webhook_id,
        ends_at,
    )


async def sealed_secrets(
    tx: Tx, webhook_id: uuid.UUID, now: dt.datetime
) -> Sequence[tuple[uuid.UUID, bytes]]:
    """Return the secrets that sign at `now`, the newest first: id, and as it is sealed."""
    rows = await tx.fetch(
        """
        SELECT id, sealed FROM webhook_secret
        WHERE webhook_id = $1 AND (ends_at IS NULL OR ends_at > $2) ORDER BY id DESC
        """,
        webhook_id,
        now,
    )
    return [(row["id"], row["sealed"]) for row in rows]


def _webhook(row: Row) -> Webhook:
    state: WebhookState = state_from(row)
    return Webhook(
        id=row["id"],
        dialect=row["dialect"],
        state=state,
        secret_id=row["secret_id"],
        revision=row["revision"],
        created_at=row["created_at"],
        created_by=Actor(row["actor_kind"], row["actor_id"]),
        updated_at=row["updated_at"],
        updated_by=Actor(row["updated_by_kind"], row["updated_by_id"]),
        entry_id=row["entry_id"],
    )
