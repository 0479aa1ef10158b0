"""Rows of what may be done with versions, of assets' names, and of acts of slices above.

What changes them lies in the slices above; their ledger entries are appended there, with what these
rows follow from. Every function takes a `Tx`; none commits.
"""

from __future__ import annotations

import datetime as dt
import uuid

from muniment.core.errors import NameReserved
from muniment.core.names import AssetName
from muniment.server.catalog.records import Asset, HigherAct, StandingChange
from muniment.server.catalog.rules.standing import about_json
from muniment.server.catalog.rules.versions import json_text
from muniment.server.ports.db import Tx


async def put_standing(tx: Tx, change: StandingChange) -> None:
    """Make a version's standing hold, and keep it as its next revision. The asset is locked."""
    standing = change.standing
    assert standing.at is not None
    await tx.execute(
        """
        WITH held AS (
            INSERT INTO version_standing (version_id, revision, asset_id, at, mark, quarantined,
                                          tombstoned, about)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb)
            ON CONFLICT (version_id) DO UPDATE
                SET revision = $2, at = $4, mark = $5, quarantined = $6, tombstoned = $7,
                    about = $8::text::jsonb
        )
        INSERT INTO version_standing_event (version_id, revision, asset_id, at, mark, quarantined,
                                            tombstoned, about, entry_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9)
        """,
        change.version_id,
        standing.revision,
        change.asset_id,
        standing.at,
        None if standing.mark is None else standing.mark.value,
        standing.quarantined,
        standing.tombstoned,
        json_text(about_json(standing)),
        change.entry_id,
    )


async def note_act(tx: Tx, act: HigherAct) -> None:
    """Keep an act of a slice above for the histories of an asset and of its versions."""
    await tx.execute(
        """
        INSERT INTO asset_event (entry_id, asset_id, version_ids, at, act, subject, actor_kind,
                                 actor_id, reason, changes)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::jsonb)
        """,
        act.entry_id,
        act.asset_id,
        None if act.version_ids is None else list(act.version_ids),
        act.at,
        act.act,
        act.subject,
        act.actor.kind,
        act.actor.id,
        act.reason,
        json_text({name: list(pair) for name, pair in act.changes.items()}),
    )


async def rename_asset(
    tx: Tx, asset: Asset, name: AssetName, at: dt.datetime, entry_id: uuid.UUID
) -> None:
    """Call `asset`, which is locked, `name`; the old name stays reserved for it.

    Raises:
        NameReserved: an asset has, or had, that name. Nothing is written.
    """
    done = await tx.fetchval(
        """
        INSERT INTO asset_naming (namespace, name, asset_id, since, entry_id)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING true
        """,
        str(asset.ref.namespace),
        str(name),
        asset.id,
        at,
        entry_id,
    )
    if done is None:
        raise NameReserved(
            f"{name} is, or was, the name of an asset in {asset.ref.namespace}: names are never"
            " given again; choose another"
        )
    await tx.execute("UPDATE asset SET name = $2 WHERE id = $1", asset.id, str(name))


async def tombstone_asset(tx: Tx, asset_id: uuid.UUID, at: dt.datetime) -> None:
    """Have an asset, which is locked, be deleted for MLflow's API since `at`."""
    await tx.execute("UPDATE asset SET tombstoned_at = $2 WHERE id = $1", asset_id, at)


async def renamed_to(tx: Tx, namespace: str, name: str) -> str | None:
    """Return what the asset that once had this name is called now; None if none had it."""
    found: str | None = await tx.fetchval(
        """
        SELECT a.name FROM asset_naming n JOIN asset a ON a.id = n.asset_id
        WHERE n.namespace = $1 AND n.name = $2 AND a.name <> n.name
        """,
        namespace,
        name,
    )
    return found
