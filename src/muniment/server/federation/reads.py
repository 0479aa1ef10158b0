"""The tables of federation as `fsck` compares them with the log."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from muniment.core.entry import time_text
from muniment.server.federation.rules import folding, webhooks
from muniment.server.ledger.records import Fields, Fold, Key, Recorded
from muniment.server.ports.db import Tx


class FetchFold:
    """`version_fetch`: what was asked for, and how it ended."""

    table = "version_fetch"

    def apply(self, rows: dict[Key, Fields], entry: Recorded) -> None:
        """Change `rows` as `entry` changed the table."""
        folding.fold_fetch(rows, entry)

    async def stored(self, tx: Tx) -> AsyncIterator[tuple[Key, Fields]]:
        """Yield every row the table holds now."""
        async for row in tx.cursor(
            """
            SELECT asset_id || '/' || number AS key, id::text AS id, source, about, asked_at,
                   actor_kind, actor_id, entry_id::text AS entry_id, state, reason, ended_at,
                   version_id::text AS version_id
            FROM version_fetch
            """
        ):
            fields = dict(row)
            key = fields.pop("key")
            fields["about"] = msgspec.json.decode(fields["about"])
            for name in ("asked_at", "ended_at"):
                fields[name] = None if fields[name] is None else time_text(fields[name])
            yield key, fields


class WebhookFold:
    """`webhook`: who is told of what."""

    table = "webhook"

    def apply(self, rows: dict[Key, Fields], entry: Recorded) -> None:
        """Change `rows` as `entry` changed the table."""
        webhooks.fold_webhook(rows, entry)

    async def stored(self, tx: Tx) -> AsyncIterator[tuple[Key, Fields]]:
        """Yield every row the table holds now."""
        async for row in tx.cursor(
            """
            SELECT id::text AS key, dialect, name, url, events, acts, description, status, namespace,
                   secret_id::text AS secret_id, revision, created_at, actor_kind, actor_id,
                   updated_at, updated_by_kind, updated_by_id, entry_id::text AS entry_id
            FROM webhook
            """
        ):
            fields = dict(row)
            key = fields.pop("key")
            for name in ("created_at", "updated_at"):
                fields[name] = time_text(fields[name])
            yield key, fields


FOLDS: tuple[Fold, ...] = (FetchFold(), WebhookFold())
