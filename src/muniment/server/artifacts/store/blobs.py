"""Rows of uploads, blobs and manifests. Every function takes a `Tx`; none commits."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Final, LiteralString

from muniment.core.digest import Digest
from muniment.server.artifacts.records import (
    Declared,
    Format,
    Held,
    Manifest,
    Upload,
    UploadState,
)
from muniment.server.ports.db import Row, Tx

#: Shared by whoever notes that a blob is held, alone for who removes blobs: `sealings` in ASCII.
_SEAL_LOCK = int.from_bytes(b"sealings", "big")


async def insert_upload(tx: Tx, upload: Upload) -> None:
    """Open an upload."""
    await tx.execute(
        """
        INSERT INTO upload (id, principal_id, state, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5)
        """,
        upload.id,
        upload.principal_id,
        upload.state.value,
        upload.created_at,
        upload.expires_at,
    )


async def find_upload(tx: Tx, upload_id: uuid.UUID, principal_id: uuid.UUID) -> Upload | None:
    """Return an upload of a principal, or None; other people's are not there."""
    row = await tx.fetchrow(
        """
        SELECT id, principal_id, state, created_at, expires_at
        FROM upload WHERE id = $1 AND principal_id = $2
        """,
        upload_id,
        principal_id,
    )
    return None if row is None else _upload(row)


async def find_any_upload(tx: Tx, upload_id: uuid.UUID) -> Upload | None:
    """Return an upload, whoever's it is, or None: for who shows that its owner sent them."""
    row = await tx.fetchrow(
        "SELECT id, principal_id, state, created_at, expires_at FROM upload WHERE id = $1",
        upload_id,
    )
    return None if row is None else _upload(row)


def _upload(row: Row) -> Upload:
    return Upload(
        row["id"],
        row["principal_id"],
        UploadState(row["state"]),
        row["created_at"],
        row["expires_at"],
    )


async def abandon_upload(tx: Tx, upload_id: uuid.UUID) -> None:
    """Close an upload."""
    await tx.execute("UPDATE upload SET state = 'abandoned' WHERE id = $1", upload_id)


async def abandon_expired(tx: Tx, now: dt.datetime) -> list[uuid.UUID]:
    """Close the uploads whose time is over; return them."""
    rows = await tx.fetch(
        """
        UPDATE upload SET state = 'abandoned' WHERE state = 'open' AND expires_at <= $1
        RETURNING id
        """,
        now,
    )
    return [row["id"] for row in rows]


async def forget_abandoned(tx: Tx, before: dt.datetime) -> None:
    """Remove the rows of uploads that were over before `before`."""
    await tx.execute("DELETE FROM upload WHERE state = 'abandoned' AND expires_at <= $1", before)


async def open_uploads(tx: Tx, among: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Return which of `among` still take bytes."""
    rows = await tx.fetch(
        "SELECT id FROM upload WHERE id = ANY($1::uuid[]) AND state = 'open'", list(among)
    )
    return {row["id"] for row in rows}


async def declare(tx: Tx, upload_id: uuid.UUID, blobs: Sequence[Declared]) -> set[Digest]:
    """Note what a session is going to send; return what it had not declared before. One statement.

    The size of a blob that was declared and is not sealed may be declared anew.
    """
    rows = await tx.fetch(
        """
        INSERT INTO upload_blob (upload_id, digest, size_bytes)
        SELECT $1, digest, size_bytes
        FROM unnest($2::bytea[], $3::bigint[]) AS offered (digest, size_bytes)
        ORDER BY digest
        ON CONFLICT (upload_id, digest) DO UPDATE SET size_bytes = EXCLUDED.size_bytes
        WHERE upload_blob.size_bytes <> EXCLUDED.size_bytes AND upload_blob.sealed_at IS NULL
        RETURNING digest, xmax = 0 AS new
        """,
        upload_id,
        [blob.digest.raw for blob in blobs],
        [blob.size_bytes for blob in blobs],
    )
    return {Digest(row["digest"]) for row in rows if row["new"]}


async def unsealed_bytes(tx: Tx, principal_id: uuid.UUID, now: dt.datetime) -> int:
    """Return how many bytes a principal declared and has not sent whole, in all open uploads.

    Declarations of one principal wait here for each other, so that none is left out.
    """
    await tx.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('upload ' || $1::text, 0))",
        str(principal_id),
    )
    return int(
        await tx.fetchval(
            """
            SELECT coalesce(sum(b.size_bytes), 0) FROM upload u
            JOIN upload_blob b ON b.upload_id = u.id
            WHERE u.principal_id = $1 AND u.state = 'open' AND u.expires_at > $2
              AND b.sealed_at IS NULL
            """,
            principal_id,
            now,
        )
    )


async def find_sending(
    tx: Tx, upload_id: uuid.UUID, principal_id: uuid.UUID, digest: Digest
) -> tuple[Upload, Declared | None] | None:
    """Return an upload of a principal with one blob it declared. One statement."""
    row = await tx.fetchrow(
        """
        SELECT u.id, u.principal_id, u.state, u.created_at, u.expires_at,
               b.size_bytes, b.sealed_at
        FROM upload u LEFT JOIN upload_blob b ON b.upload_id = u.id AND b.digest = $3
        WHERE u.id = $1 AND u.principal_id = $2
        """,
        upload_id,
        principal_id,
        digest.raw,
    )
    if row is None:
        return None
    if row["size_bytes"] is None:
        return _upload(row), None
    return _upload(row), Declared(digest, row["size_bytes"], row["sealed_at"] is not None)


async def declared_blobs(tx: Tx, upload_id: uuid.UUID) -> list[Declared]:
    """Return all that was declared in an upload, in digest order."""
    rows = await tx.fetch(
        """
        SELECT digest, size_bytes, sealed_at FROM upload_blob WHERE upload_id = $1
        ORDER BY digest
        """,
        upload_id,
    )
    return [
        Declared(Digest(row["digest"]), row["size_bytes"], row["sealed_at"] is not None)
        for row in rows
    ]


async def seal_blob(
    tx: Tx, upload_id: uuid.UUID, blob: Declared, found: Format, now: dt.datetime
) -> bool:
    """Note that a blob is held, what it is, and that this session sent it. One statement.

    Until `tx` ends nobody removes bytes that nothing names (`keep_sealing_out`).

    Returns False, and does not note who sent it, if the session was closed meanwhile.
    """
    tag = await tx.execute(
        """
        WITH collector_kept_out AS (SELECT pg_advisory_xact_lock_shared($7)), held AS (
            INSERT INTO blob (digest, size_bytes, format, executable, sealed_at)
            SELECT $2, $3, $4, $5, $6 FROM collector_kept_out
            ON CONFLICT (digest) DO NOTHING
        )
        UPDATE upload_blob b SET sealed_at = $6 FROM upload u
        WHERE b.upload_id = $1 AND b.digest = $2 AND u.id = b.upload_id AND u.state = 'open'
        """,
        upload_id,
        blob.digest.raw,
        blob.size_bytes,
        found.name,
        found.executable,
        now,
        _SEAL_LOCK,
    )
    return tag != "UPDATE 0"


async def note_blobs(tx: Tx, held: Sequence[tuple[Held, Format]], now: dt.datetime) -> None:
    """Note that blobs are held which no session sent, and what they are. Once is enough.

    Until `tx` ends nobody removes bytes that nothing names (`keep_sealing_out`).
    """
    if not held:
        return
    in_order = sorted(held, key=lambda one: one[0].digest.raw)  # as others do: nobody deadlocks
    await tx.execute(
        """
        WITH collector_kept_out AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared($6))
        INSERT INTO blob (digest, size_bytes, format, executable, sealed_at)
        SELECT new.*, $5::timestamptz FROM collector_kept_out,
               unnest($1::bytea[], $2::bigint[], $3::text[], $4::boolean[]) AS new
        ON CONFLICT (digest) DO NOTHING
        """,
        [blob.digest.raw for blob, _ in in_order],
        [blob.size_bytes for blob, _ in in_order],
        [found.name for _, found in in_order],
        [found.executable for _, found in in_order],
        now,
        _SEAL_LOCK,
    )


async def keep_sealing_out(tx: Tx) -> None:
    """Until `tx` ends, let nobody note that a blob is held; wait for those who are doing so."""
    await tx.execute("SELECT pg_advisory_xact_lock($1)", _SEAL_LOCK)


async def sealed_before(tx: Tx, moment: dt.datetime, cursor: bytes, limit: int) -> list[Held]:
    """Return up to `limit` blobs sealed before `moment`, in digest order, after `cursor`."""
    rows = await tx.fetch(
        """
        SELECT digest, size_bytes FROM blob WHERE digest > $1 AND sealed_at < $2
        ORDER BY digest LIMIT $3
        """,
        cursor,
        moment,
        limit,
    )
    return [Held(Digest(row["digest"]), row["size_bytes"]) for row in rows]


async def named_blobs(tx: Tx, digests: Sequence[Digest]) -> set[Digest]:
    """Return which of `digests` a manifest or an upload names, an upload that is over included."""
    rows = await tx.fetch(
        """
        SELECT digest FROM manifest_blob WHERE digest = ANY($1::bytea[])
        UNION SELECT digest FROM upload_blob WHERE digest = ANY($1::bytea[])
        """,
        [digest.raw for digest in digests],
    )
    return {Digest(row["digest"]) for row in rows}


async def remove_blobs(tx: Tx, digests: Sequence[Digest]) -> None:
    """Forget blobs: their bytes are to go."""
    await tx.execute(
        "DELETE FROM blob WHERE digest = ANY($1::bytea[])", [digest.raw for digest in digests]
    )


async def find_format(tx: Tx, digest: Digest) -> tuple[int, Format] | None:
    """Return size and format of a blob as its row says, or None."""
    row = await tx.fetchrow(
        "SELECT size_bytes, format, executable FROM blob WHERE digest = $1", digest.raw
    )
    return None if row is None else (row["size_bytes"], Format(row["format"], row["executable"]))


#: Keeps a manifest (`manifest_values`) and which blobs it has, unless it is kept already, where
#: `made` has a row: a version was registered in the same statement.
KEEP_MANIFEST: Final[LiteralString] = """kept AS (
        INSERT INTO manifest (digest, body, size_bytes, file_count)
        SELECT $1, $2, $3, $4 FROM made
        ON CONFLICT (digest) DO NOTHING
        RETURNING digest
    ), listed AS (
        INSERT INTO manifest_blob (digest, manifest_digest)
        SELECT blob, kept.digest FROM kept, unnest($5::bytea[]) AS blob
    )"""
_KEEP_ALONE: Final[LiteralString] = "WITH made AS (SELECT true), " + KEEP_MANIFEST + " SELECT 1"


async def insert_manifest(tx: Tx, manifest: Manifest) -> None:
    """Keep a manifest and which blobs it has, unless it is kept already. One statement."""
    await tx.execute(_KEEP_ALONE, *manifest_values(manifest))


def manifest_values(manifest: Manifest) -> tuple[object, ...]:
    """Return the parameters of `KEEP_MANIFEST`."""
    return (
        manifest.digest.raw,
        manifest.body,
        manifest.size_bytes,
        len(manifest.files),
        sorted({file.digest.raw for file in manifest.files}),
    )
