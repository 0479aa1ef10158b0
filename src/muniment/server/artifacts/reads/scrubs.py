"""What scrubbing found, and what it says of the registry."""

from __future__ import annotations

from collections.abc import AsyncIterator

from muniment.core.digest import Digest
from muniment.server.artifacts import store
from muniment.server.artifacts.reads.files import files_of, version_name
from muniment.server.artifacts.records import BlobFinding, ScrubPass, Use
from muniment.server.http.metrics import Number
from muniment.server.ports.db import Tx


async def use_of(tx: Tx, digest: Digest) -> Use | None:
    """Return what a blob is needed for; None if no version names it."""
    row = await tx.fetchrow(
        """
        SELECT a.namespace, a.name, a.id AS asset_id, v.version, m.digest, m.body,
               count(*) OVER () AS version_count
        FROM manifest_blob b JOIN version v ON v.manifest_digest = b.manifest_digest
        JOIN asset a ON a.id = v.asset_id JOIN manifest m ON m.digest = b.manifest_digest
        WHERE b.digest = $1 ORDER BY v.id LIMIT 1
        """,
        digest.raw,
    )
    if row is None:
        return None
    path = next((file.path for file in files_of(row) if file.digest == digest), "")
    return Use(f"{version_name(row)}: {path}", row["asset_id"], row["version_count"])


async def damaged(tx: Tx, limit: int) -> list[BlobFinding]:
    """Return up to `limit` blobs that were found wrong and not right since, oldest first."""
    rows = await tx.fetch(
        "SELECT * FROM blob_finding WHERE healed_at IS NULL ORDER BY found_at, act_id LIMIT $1",
        limit,
    )
    return [store.finding(row) for row in rows]


async def scrub_passes(tx: Tx) -> tuple[ScrubPass | None, ScrubPass | None]:
    """Return the pass that is under way and the last that was finished."""
    under_way = await tx.fetchrow("SELECT * FROM scrub_pass WHERE finished_at IS NULL")
    finished = await tx.fetchrow(
        "SELECT * FROM scrub_pass WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1"
    )
    return (
        None if under_way is None else store.scrub_pass(under_way),
        None if finished is None else store.scrub_pass(finished),
    )


async def suspects(tx: Tx) -> AsyncIterator[Digest]:
    """Yield the blobs that were found wrong and not right since: `fsck` reads them in any case."""
    async for row in tx.cursor("SELECT digest FROM blob_finding WHERE healed_at IS NULL"):
        yield Digest(row["digest"])


async def gauges(tx: Tx) -> list[Number]:
    """Return what `/metrics` says of stored bytes."""
    row = await tx.fetchrow(
        """
        SELECT (SELECT count(*) FROM blob_finding WHERE healed_at IS NULL) AS damaged,
               (SELECT extract(epoch FROM max(finished_at)) FROM scrub_pass) AS finished,
               (SELECT size_bytes FROM scrub_pass ORDER BY started_at DESC LIMIT 1) AS read
        """
    )
    assert row is not None, "aggregates have a row"
    return [
        Number(
            "muniment_blobs_damaged",
            "Stored blobs found missing or changed, and not right since.",
            row["damaged"],
        ),
        Number(
            "muniment_scrub_finished_timestamp_seconds",
            "When every stored blob had last been read again; 0: never.",
            float(row["finished"] or 0),
        ),
        Number(
            "muniment_scrub_read_bytes",
            "Bytes read again in the pass under way, or else in the last.",
            row["read"] or 0,
        ),
    ]
