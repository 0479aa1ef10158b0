"""The catalog's tables as `muniment fsck` compares them with the log."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from muniment.server.catalog.rules import folding
from muniment.server.catalog.rules.versions import parse_json, timestamp
from muniment.server.ledger.records import Fields, Fold, Key, Recorded
from muniment.server.ports.db import Tx


@dataclass(frozen=True, slots=True)
class TableFold:
    """A table, how it follows from the log, and how it is read.

    `select` gives the primary key first, as text; columns of `json` hold JSON as text.
    """

    table: str
    change: Callable[[dict[Key, Fields], Recorded], None]
    select: LiteralString
    json: frozenset[str] = frozenset()

    def apply(self, rows: dict[Key, Fields], entry: Recorded) -> None:
        """Change `rows` as `entry` changed the table."""
        self.change(rows, entry)

    async def stored(self, tx: Tx) -> AsyncIterator[tuple[Key, Fields]]:
        """Yield every row the table holds now."""
        async for row in tx.cursor(self.select):
            fields = dict(row)
            key = fields.pop("key")
            yield key, {name: self._plain(name, value) for name, value in fields.items()}

    def _plain(self, name: str, value: Any) -> Any:
        if name in self.json:
            return parse_json(value)
        match value:
            case dt.datetime():
                return timestamp(value)
            case bytes():
                return value.hex()
            case uuid.UUID():
                return str(value)
            case list():
                return [self._plain("", one) for one in value]
            case _:
                return value


FOLDS: Final[tuple[Fold, ...]] = (
    TableFold(
        "namespace",
        folding.fold_namespace,
        """
        SELECT name AS key, created_at, actor_kind, actor_id, mode, production_aliases,
               required_fields::text AS required_fields, revision, updated_at
        FROM namespace
        """,
        frozenset({"required_fields"}),
    ),
    TableFold(
        "namespace_event",
        folding.fold_namespace_event,
        """
        SELECT name || '/' || revision AS key, at, actor_kind, actor_id, reason,
               changes::text AS changes, mode, production_aliases,
               required_fields::text AS required_fields, entry_id
        FROM namespace_event
        """,
        frozenset({"changes", "required_fields"}),
    ),
    TableFold(
        "asset_naming",
        folding.fold_asset_naming,
        "SELECT namespace || '/' || name AS key, asset_id, since, entry_id FROM asset_naming",
    ),
    TableFold(
        "asset",
        folding.fold_asset,
        """
        SELECT id::text AS key, namespace, name, kind, created_at, actor_kind, actor_id, entry_id,
               revision, updated_at, description, owner, backup_owner, escalation_contact,
               risk_tier, tags::text AS tags, next_number, tombstoned_at
        FROM asset
        """,
        frozenset({"tags"}),
    ),
    TableFold(
        "version",
        folding.fold_version,
        """
        SELECT id::text AS key, asset_id, number, version, precedence, manifest_digest, size_bytes,
               file_count, formats, executable, metadata::text AS metadata, metadata_digest,
               metrics_at_registration::text AS metrics_at_registration, registered_at,
               actor_kind, actor_id, entry_id
        FROM version
        """,
        frozenset({"metadata", "metrics_at_registration"}),
    ),
    TableFold(
        "version_label",
        folding.fold_version_label,
        """
        SELECT version_id::text AS key, asset_id, registered_at, actor_id,
               metrics::text AS metrics, terms, revision, updated_at, description,
               tags::text AS tags
        FROM version_label
        """,
        frozenset({"metrics", "tags"}),
    ),
    TableFold(
        "annotation",
        folding.fold_annotation,
        """
        SELECT subject_id || '/' || revision AS key, subject_kind, asset_id, at, actor_kind,
               actor_id, reason, changes::text AS changes, state::text AS state, entry_id
        FROM annotation
        """,
        frozenset({"changes", "state"}),
    ),
    TableFold(
        "alias",
        folding.fold_alias,
        "SELECT asset_id || '/' || name AS key, version_id, revision, updated_at FROM alias",
    ),
    TableFold(
        "alias_event",
        folding.fold_alias_event,
        """
        SELECT asset_id || '/' || name || '/' || revision AS key, version_id, previous_version_id,
               at, actor_kind, actor_id, reason, entry_id, act
        FROM alias_event
        """,
    ),
    TableFold(
        "version_standing",
        folding.fold_version_standing,
        """
        SELECT version_id::text AS key, asset_id, revision, at, mark, quarantined, tombstoned,
               about::text AS about
        FROM version_standing
        """,
        frozenset({"about"}),
    ),
    TableFold(
        "version_standing_event",
        folding.fold_version_standing_event,
        """
        SELECT version_id || '/' || revision AS key, asset_id, at, mark, quarantined, tombstoned,
               about::text AS about, entry_id
        FROM version_standing_event
        """,
        frozenset({"about"}),
    ),
    TableFold(
        "asset_event",
        folding.fold_asset_event,
        """
        SELECT entry_id::text AS key, asset_id, version_ids, at, act, subject, actor_kind,
               actor_id, reason, changes::text AS changes
        FROM asset_event
        """,
        frozenset({"changes"}),
    ),
)
