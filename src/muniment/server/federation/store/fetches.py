"""Rows of fetches and of the files they have so far."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Final, LiteralString

import msgspec

from muniment.core.digest import Digest
from muniment.core.names import AssetName, AssetRef, Namespace
from muniment.server.federation.records import About, Fetch, FetchState, KeptFile
from muniment.server.federation.rules.folding import about_json
from muniment.server.http.records import Scope
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Row, Tx

_COLUMNS: Final[LiteralString] = """
    SELECT f.id, f.asset_id, a.namespace, a.name, f.number, f.source, f.about, f.asked_at,
           f.actor_kind, f.actor_id, f.entry_id, f.state, f.reason, f.ended_at, f.version_id
    FROM version_fetch f JOIN asset a ON a.id = f.asset_id"""

_LISTED: Final[LiteralString] = f"""{_COLUMNS}
    WHERE ($1 OR a.namespace = ANY($2::text[])
           OR (a.namespace, a.name) IN (SELECT * FROM unnest($3::text[], $4::text[])))
      AND ($5::text IS NULL OR (a.namespace = $5 AND a.name = $6))
      AND ($7::text IS NULL OR f.state = $7) AND ($8::uuid IS NULL OR f.id < $8)
    ORDER BY f.id DESC LIMIT $9"""  # noqa: S608 -- constants alone


async def insert_fetch(tx: Tx, fetch: Fetch) -> None:
    """Keep a fetch that is asked for."""
    await tx.execute(
        """
        INSERT INTO version_fetch (id, asset_id, number, source, about, asked_at, actor_kind, actor_id,
                           entry_id)
        VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7, $8, $9)
        """,
        fetch.id,
        fetch.asset_id,
        fetch.number,
        fetch.source,
        _about_text(fetch.about),
        fetch.asked_at,
        fetch.asked_by.kind,
        fetch.asked_by.id,
        fetch.entry_id,
    )


def _about_text(about: About) -> str:
    return msgspec.json.encode(about_json(about)).decode()


async def find_fetch(tx: Tx, fetch_id: uuid.UUID, *, lock: bool = False) -> Fetch | None:
    """Return a fetch; `lock` holds its row until `tx` ends."""
    locked: LiteralString = " FOR UPDATE OF f" if lock else ""
    row = await tx.fetchrow(_COLUMNS + " WHERE f.id = $1" + locked, fetch_id)
    return None if row is None else _fetch(row)


async def find_fetch_of(tx: Tx, asset: AssetRef, number: int) -> Fetch | None:
    """Return the fetch that holds a number of an asset."""
    row = await tx.fetchrow(
        _COLUMNS + " WHERE a.namespace = $1 AND a.name = $2 AND f.number = $3",
        str(asset.namespace),
        str(asset.name),
        number,
    )
    return None if row is None else _fetch(row)


async def find_same(tx: Tx, fetch: Fetch) -> Fetch | None:
    """Return the pending fetch of the same asset that the same principal asked for in the same words."""
    row = await tx.fetchrow(
        _COLUMNS
        + """
        WHERE f.asset_id = $1 AND f.state = 'pending' AND f.source = $2
              AND f.about = $3::text::jsonb AND f.actor_id = $4
        ORDER BY f.number LIMIT 1
        """,
        fetch.asset_id,
        fetch.source,
        _about_text(fetch.about),
        fetch.asked_by.id,
    )
    return None if row is None else _fetch(row)


async def list_fetches(
    tx: Tx,
    *,
    visible: Sequence[Scope] | None,
    asset: AssetRef | None,
    state: FetchState | None,
    before: uuid.UUID | None,
    limit: int,
) -> list[Fetch]:
    """Return up to `limit` fetches in `visible` scopes (None: all), newest first, below `before`."""
    scopes = visible or ()
    rows = await tx.fetch(
        _LISTED,
        visible is None,
        [scope.namespace for scope in scopes if scope.asset is None],
        [scope.namespace for scope in scopes if scope.asset is not None],
        [scope.asset for scope in scopes if scope.asset is not None],
        None if asset is None else str(asset.namespace),
        None if asset is None else str(asset.name),
        None if state is None else state.value,
        before,
        limit,
    )
    return [_fetch(row) for row in rows]


async def end_fetch(
    tx: Tx,
    fetch_id: uuid.UUID,
    at: dt.datetime,
    *,
    version_id: uuid.UUID | None = None,
    reason: str = "",
) -> None:
    """End a pending fetch: with a version, or for a reason. What it has of files is forgotten."""
    await tx.execute(
        """
        WITH dropped AS (DELETE FROM version_fetch_file WHERE fetch_id = $1)
        UPDATE version_fetch SET state = CASE WHEN $3::uuid IS NULL THEN 'failed' ELSE 'registered' END,
                         reason = $4, ended_at = $2, version_id = $3
        WHERE id = $1
        """,
        fetch_id,
        at,
        version_id,
        reason,
    )


async def kept_files(tx: Tx, fetch_id: uuid.UUID) -> list[KeptFile]:
    """Return what a fetch has so far, by path."""
    rows = await tx.fetch(
        "SELECT path, mark, size_bytes, digest FROM version_fetch_file WHERE fetch_id = $1 ORDER BY path",
        fetch_id,
    )
    return [
        KeptFile(row["path"], row["mark"], row["size_bytes"], Digest(row["digest"])) for row in rows
    ]


async def keep_file(tx: Tx, fetch_id: uuid.UUID, file: KeptFile) -> None:
    """Note that a file of a fetch is here; a later one at the same path takes its place."""
    await tx.execute(
        """
        INSERT INTO version_fetch_file (fetch_id, path, mark, size_bytes, digest)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (fetch_id, path)
        DO UPDATE SET mark = $3, size_bytes = $4, digest = $5
        """,
        fetch_id,
        file.path,
        file.mark,
        file.size_bytes,
        file.digest.raw,
    )


async def named_blobs(tx: Tx, digests: Sequence[Digest]) -> set[Digest]:
    """Return which of `digests` a fetch that still goes on has brought."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT c.digest FROM version_fetch_file c JOIN version_fetch f ON f.id = c.fetch_id
        WHERE f.state = 'pending' AND c.digest = ANY($1::bytea[])
        """,
        [digest.raw for digest in digests],
    )
    return {Digest(row["digest"]) for row in rows}


def _fetch(row: Row) -> Fetch:
    return Fetch(
        id=row["id"],
        asset_id=row["asset_id"],
        asset=AssetRef(Namespace(row["namespace"]), AssetName(row["name"])),
        number=row["number"],
        source=row["source"],
        about=About(**msgspec.json.decode(row["about"])),
        asked_at=row["asked_at"],
        asked_by=Actor(row["actor_kind"], row["actor_id"]),
        entry_id=row["entry_id"],
        state=FetchState(row["state"]),
        reason=row["reason"],
        ended_at=row["ended_at"],
        version_id=row["version_id"],
    )
