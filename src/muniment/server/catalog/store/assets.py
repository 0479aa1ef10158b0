"""Rows of assets and of what is said of them. Every function takes a `Tx`; none commits."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Final, LiteralString

from muniment.core.errors import NotFound
from muniment.core.names import AssetName, AssetRef
from muniment.server.catalog.records import Annotation, Asset, NamespaceState
from muniment.server.catalog.rules.versions import asset_state_json, json_text, timestamp
from muniment.server.catalog.store.sources import (
    ASSET_COLUMNS_NOW,
    ASSET_COLUMNS_THEN,
    ASSET_NOW,
    ASSET_THEN,
    said_values,
    to_asset,
)
from muniment.server.catalog.store.standing import renamed_to
from muniment.server.ports.db import Tx

_BY_NAME: Final[LiteralString] = " AND a.namespace = $2 AND a.name = $3"
_ASSET_NOW: Final[LiteralString] = ASSET_COLUMNS_NOW + ASSET_NOW + _BY_NAME
_ASSET_THEN: Final[LiteralString] = ASSET_COLUMNS_THEN + ASSET_THEN + _BY_NAME


async def find_asset(tx: Tx, ref: AssetRef, as_of: dt.datetime | None = None) -> Asset | None:
    """Return the asset of that name, as it is now or as it was said to be at `as_of`."""
    sql = _ASSET_NOW if as_of is None else _ASSET_THEN
    row = await tx.fetchrow(sql, as_of, str(ref.namespace), str(ref.name))
    return None if row is None else to_asset(row)


async def get_asset(tx: Tx, ref: AssetRef, as_of: dt.datetime | None = None) -> Asset:
    """Return the asset of that name.

    Raises:
        NotFound: there is none, or was none at `as_of`.
    """
    asset = await find_asset(tx, ref, as_of)
    if asset is None:
        raise await no_asset(tx, ref, as_of)
    return asset


async def no_asset(tx: Tx, ref: AssetRef, as_of: dt.datetime | None = None) -> NotFound:
    """Return the error that says there is no such asset, or what it is called now."""
    now = await renamed_to(tx, str(ref.namespace), str(ref.name))
    if now is not None:
        other = AssetRef(ref.namespace, AssetName(now))
        return NotFound(f"{ref} was renamed: it is {other} now", extra={"renamed_to": str(other)})
    when = "" if as_of is None else f" at {timestamp(as_of)}"
    return NotFound(f"there is no asset {ref}{when}, or you may not see it")


async def lock_asset(tx: Tx, ref: AssetRef) -> Asset:
    """Return the asset of that name, its row locked until `tx` ends.

    Registrations and annotations of one asset take turns by this lock; reads never wait.

    Raises:
        NotFound: there is none.
    """
    row = await tx.fetchrow(
        _ASSET_NOW + " FOR NO KEY UPDATE OF a", None, str(ref.namespace), str(ref.name)
    )
    if row is None:
        raise await no_asset(tx, ref)
    return to_asset(row)


async def insert_asset(tx: Tx, asset: Asset, namespace: NamespaceState) -> tuple[bool, bool]:
    """Insert an asset with its name and first annotation, and its namespace if that is new.

    `namespace` is how a new one is governed. Returns whether the namespace was new, and whether
    the asset was: if it was not, because an asset has or had that name, nothing of it is written.
    """
    state = asset.state
    row = await tx.fetchrow(
        """
        WITH ns AS (
            INSERT INTO namespace (name, created_at, actor_kind, actor_id, mode,
                                   production_aliases, revision, updated_at)
            VALUES ($2, $5, $6, $7, $16, $17, 1, $5)
            ON CONFLICT DO NOTHING RETURNING 1
        ), named AS (
            INSERT INTO asset_naming (namespace, name, asset_id, since, entry_id)
            VALUES ($2, $3, $1, $5, $8) ON CONFLICT DO NOTHING RETURNING asset_id
        ), made AS (
            INSERT INTO asset (id, namespace, name, kind, created_at, actor_kind, actor_id,
                               entry_id, revision, updated_at, description, owner, backup_owner,
                               escalation_contact, risk_tier, tags)
            SELECT asset_id, $2, $3, $4, $5, $6, $7, $8, 1, $5, $9, $10, $11, $12, $13,
                   $14::text::jsonb
            FROM named RETURNING id
        ), said AS (
            INSERT INTO annotation (subject_id, revision, subject_kind, asset_id, at, actor_kind,
                                    actor_id, reason, changes, state, entry_id)
            SELECT id, 1, 'asset', id, $5, $6, $7, '', '{}', $15::text::jsonb, $8 FROM made
        )
        SELECT EXISTS (SELECT FROM ns) AS new_namespace, EXISTS (SELECT FROM made) AS new_asset
        """,
        asset.id,
        str(asset.ref.namespace),
        str(asset.ref.name),
        asset.kind.value,
        asset.created_at,
        asset.created_by.kind,
        asset.created_by.id,
        asset.entry_id,
        state.description,
        state.owner,
        state.backup_owner,
        state.escalation_contact,
        state.risk_tier and state.risk_tier.value,
        json_text(dict(state.tags)),
        json_text(asset_state_json(state)),
        namespace.mode.value,
        list(namespace.production_aliases),
    )
    assert row is not None
    return row["new_namespace"], row["new_asset"]


async def annotate_asset(tx: Tx, said: Annotation) -> None:
    """Make what `said` says of an asset hold, and keep it as its next revision."""
    state = said.state
    await tx.execute(
        """
        WITH held AS (
            UPDATE asset SET revision = $2, updated_at = $4, description = $10, owner = $11,
                             backup_owner = $12, escalation_contact = $13, risk_tier = $14,
                             tags = $15::text::jsonb
            WHERE id = $1
        )
        INSERT INTO annotation (subject_id, revision, subject_kind, asset_id, at, actor_kind,
                                actor_id, reason, changes, state, entry_id)
        VALUES ($1, $2, 'asset', $3, $4, $5, $6, $7, $8::text::jsonb, $16::text::jsonb, $9)
        """,
        *said_values(said),
        state["description"],
        state["owner"],
        state["backup_owner"],
        state["escalation_contact"],
        state["risk_tier"],
        json_text(state["tags"]),
        json_text(state),
    )


async def last_said_at(tx: Tx, subject_id: uuid.UUID) -> dt.datetime | None:
    """Return when something was last said of an asset or a version."""
    found: dt.datetime | None = await tx.fetchval(
        "SELECT at FROM annotation WHERE subject_id = $1 ORDER BY revision DESC LIMIT 1", subject_id
    )
    return found
