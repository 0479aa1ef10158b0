"""One asset or version, by its name."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Final, LiteralString

from muniment.server.catalog.records import Kind, Version
from muniment.server.facades.mlflow.reads.rows import (
    KINDS,
    ONE_MODEL,
    VERSION,
    to_model,
    to_version,
)
from muniment.server.facades.mlflow.records import FoundModel, FoundVersion
from muniment.server.ports.db import Tx


async def find_model(tx: Tx, name: str) -> FoundModel | None:
    """Return the asset of that name, or None. One statement."""
    rows = await tx.fetch(ONE_MODEL, name)
    if not rows:
        return None
    return to_model(rows[0], [to_version(row) for row in rows if row["number"] is not None])


async def find_kind(tx: Tx, name: str) -> Kind | None:
    """Return of which kind the asset of that name is, or None."""
    kind = await tx.fetchval(
        """
        SELECT kind FROM asset
        WHERE namespace = 'default' AND name = $1 AND tombstoned_at IS NULL
        """,
        name,
    )
    return None if kind is None else KINDS[kind]


async def has_version(tx: Tx, name: str, number: int) -> bool:
    """Say whether there is a version of that number, without reading it."""
    found = await tx.fetchval(
        """
        SELECT true FROM asset a JOIN version v ON v.asset_id = a.id AND v.number = $2
        LEFT JOIN version_standing k ON k.version_id = v.id
        WHERE a.namespace = 'default' AND a.name = $1
          AND a.tombstoned_at IS NULL AND k.tombstoned IS NOT TRUE
        """,
        name,
        number,
    )
    return found is not None


async def find_version(tx: Tx, name: str, at: int | str) -> FoundVersion | None:
    """Return the version of that number (int) or that an alias (str) points at, or None."""
    by: LiteralString = " AND a.name = $1 AND v.number = $2"
    if isinstance(at, str):
        by = """ AND a.name = $1
            AND v.id = (SELECT p.version_id FROM alias p WHERE p.asset_id = a.id AND p.name = $2)"""
    row = await tx.fetchrow(VERSION + by, name, at)
    return None if row is None else to_version(row)


_UNTOUCHED: Final[LiteralString] = """
    AND a.name = $1 AND l.actor_id = $2 AND l.registered_at > $3 AND l.revision = 1
    AND v.number = a.next_number - 1
    AND k.version_id IS NULL
    AND NOT EXISTS (SELECT FROM alias_event e WHERE e.asset_id = a.id
                    AND v.id IN (e.version_id, e.previous_version_id))
    AND NOT EXISTS (SELECT FROM deployment d WHERE d.version_id = v.id)"""


async def newest_untouched(
    tx: Tx, name: str, actor_id: str, since: dt.datetime
) -> FoundVersion | None:
    """Return the newest version of an asset if that caller made it since then and nobody touched it."""
    row = await tx.fetchrow(VERSION + _UNTOUCHED, name, actor_id, since)
    return None if row is None else to_version(row)


@dataclass(frozen=True, slots=True)
class Held:
    """Whose version it is, its manifest's digest (32 bytes), and why it is not handed out, if so."""

    namespace: str
    name: str
    manifest_digest: bytes
    barred: str | None


async def find_bytes(tx: Tx, version_id: uuid.UUID) -> Held | None:
    """Return where the bytes of a version are, or None."""
    row = await tx.fetchrow(
        """
        SELECT a.namespace, a.name, v.manifest_digest,
               CASE WHEN k.mark = 'retired' THEN 'retired'
                    WHEN k.quarantined THEN 'quarantined' END AS barred
        FROM version v JOIN asset a ON a.id = v.asset_id
        LEFT JOIN version_standing k ON k.version_id = v.id
        WHERE v.id = $1 AND a.tombstoned_at IS NULL AND k.tombstoned IS NOT TRUE
        """,
        version_id,
    )
    if row is None:
        return None
    return Held(row["namespace"], row["name"], row["manifest_digest"], row["barred"])


def registered(version: Version) -> FoundVersion:
    """Return a version just registered as it would be found: a draft, deployed nowhere."""
    extra = version.metadata.get("extra", {})
    return FoundVersion(
        id=version.id,
        name=str(version.asset.name),
        number=version.number,
        kind=version.kind,
        registered_at=version.registered_at,
        updated_at=version.registered_at,
        description=version.state.description,
        tags=version.state.tags,
        run_id=version.metadata.get("run", {}).get("id"),
        about=extra.get("mlflow", {}),
        prompt=version.metadata.get("prompt") if version.kind is Kind.PROMPT else None,
    )
