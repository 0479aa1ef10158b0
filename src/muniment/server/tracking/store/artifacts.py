"""Rows of run artifacts."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence

from muniment.core.digest import Digest
from muniment.server.ports.db import Tx
from muniment.server.tracking.records import Artifact


async def put_artifact(
    tx: Tx, artifact: Artifact, *, principal_id: uuid.UUID, now: dt.datetime
) -> None:
    """Let a path name these bytes from now on."""
    await tx.execute(
        """
        INSERT INTO tracking_artifact (path, digest, size_bytes, principal_id, written_at)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (path) DO UPDATE
        SET digest = $2, size_bytes = $3, principal_id = $4, written_at = $5
        """,
        artifact.path,
        artifact.digest.raw,
        artifact.size_bytes,
        principal_id,
        now,
    )


async def find_artifact(tx: Tx, path: str) -> Artifact | None:
    """Return what lies at a path, or None."""
    row = await tx.fetchrow(
        "SELECT path, digest, size_bytes FROM tracking_artifact WHERE path = $1", path
    )
    return None if row is None else Artifact(row["path"], Digest(row["digest"]), row["size_bytes"])


async def artifacts_under(tx: Tx, directory: str) -> list[Artifact]:
    """Return everything below a directory, at any depth, by path."""
    rows = await tx.fetch(
        """
        SELECT path, digest, size_bytes FROM tracking_artifact
        WHERE path > $1 || '/' AND path < $1 || '0' ORDER BY path
        """,
        directory,
    )
    return [Artifact(row["path"], Digest(row["digest"]), row["size_bytes"]) for row in rows]


async def named_blobs(tx: Tx, digests: Sequence[Digest]) -> set[Digest]:
    """Return which of `digests` lie at some path now."""
    rows = await tx.fetch(
        "SELECT DISTINCT digest FROM tracking_artifact WHERE digest = ANY($1::bytea[])",
        [digest.raw for digest in digests],
    )
    return {Digest(row["digest"]) for row in rows}
