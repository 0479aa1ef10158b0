"""Rows of uploads, blobs and manifests. Every function takes a `Tx`; none commits."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Final, LiteralString

from muniment.core.digest import Digest
from muniment.server.artifacts.records import (
    BlobFinding,
    Declared,
    Format,
    Held,
    Manifest,
    Problem,
    ScrubPass,
    Upload,
    UploadState,
)
from muniment.server.ports.db import Row, Tx

#: PostgreSQL advisory lock of who begins a pass of the scrub: `scrubbed` in ASCII.
_BEGIN_LOCK = int.from_bytes(b"scrubbed", "big")
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


async def blobs_after(tx: Tx, cursor: bytes, limit: int) -> list[Held]:
    """Return up to `limit` blobs that should be held, in digest order, after `cursor`."""
    rows = await tx.fetch(
        "SELECT digest, size_bytes FROM blob WHERE digest > $1 ORDER BY digest LIMIT $2",
        cursor,
        limit,
    )
    return [Held(Digest(row["digest"]), row["size_bytes"]) for row in rows]


async def open_findings(tx: Tx, limit: int) -> list[Held]:
    """Return up to `limit` blobs that were found wrong and not right since, oldest first."""
    rows = await tx.fetch(
        """
        SELECT f.digest, b.size_bytes FROM blob_finding f JOIN blob b ON b.digest = f.digest
        WHERE f.healed_at IS NULL ORDER BY f.found_at LIMIT $1
        """,
        limit,
    )
    return [Held(Digest(row["digest"]), row["size_bytes"]) for row in rows]


async def lease_scrub(
    tx: Tx,
    new_id: uuid.UUID,
    *,
    now: dt.datetime,
    until: dt.datetime,
    due_before: dt.datetime,
) -> ScrubPass | None:
    """Take the pass that is under way, or begin one if the last began at or before `due_before`.

    None when another server reads, when none is due, or when there is nothing to read.
    """
    await tx.execute("SELECT pg_advisory_xact_lock($1)", _BEGIN_LOCK)
    row = await tx.fetchrow("SELECT leased_until FROM scrub_pass WHERE finished_at IS NULL")
    if row is None:
        await tx.execute(
            """
            INSERT INTO scrub_pass (id, started_at, held_bytes, leased_until)
            SELECT $1, $2, sum(size_bytes), $2 FROM blob
            WHERE NOT EXISTS (SELECT FROM scrub_pass WHERE started_at > $3)
            HAVING count(*) > 0
            """,
            new_id,
            now,
            due_before,
        )
    taken = await tx.fetchrow(
        """
        UPDATE scrub_pass SET leased_until = $2 WHERE finished_at IS NULL AND leased_until <= $1
        RETURNING *
        """,
        now,
        until,
    )
    return None if taken is None else scrub_pass(taken)


async def advance_scrub(
    tx: Tx, pass_id: uuid.UUID, *, cursor: bytes, more: tuple[int, int, int], until: dt.datetime
) -> ScrubPass:
    """Keep how far a pass got: `more` blobs, bytes and findings since it was last kept."""
    row = await tx.fetchrow(
        """
        UPDATE scrub_pass SET cursor = $2, blob_count = blob_count + $3,
               size_bytes = size_bytes + $4, finding_count = finding_count + $5, leased_until = $6
        WHERE id = $1 RETURNING *
        """,
        pass_id,
        cursor,
        *more,
        until,
    )
    assert row is not None, "passes are never removed"
    return scrub_pass(row)


async def release_scrub(tx: Tx, pass_id: uuid.UUID, now: dt.datetime) -> None:
    """Let the next round, here or elsewhere, take the pass at once."""
    await tx.execute("UPDATE scrub_pass SET leased_until = $2 WHERE id = $1", pass_id, now)


async def finish_scrub(tx: Tx, pass_id: uuid.UUID, now: dt.datetime) -> ScrubPass | None:
    """Note that a pass read everything; None if that was noted before."""
    row = await tx.fetchrow(
        """
        UPDATE scrub_pass SET finished_at = $2 WHERE id = $1 AND finished_at IS NULL RETURNING *
        """,
        pass_id,
        now,
    )
    return None if row is None else scrub_pass(row)


async def insert_finding(
    tx: Tx, act_id: uuid.UUID, digest: Digest, problem: Problem, at: dt.datetime
) -> bool:
    """Note that a blob is wrong; False if that is known, or if no such blob should be held."""
    done = await tx.execute(
        """
        INSERT INTO blob_finding (act_id, digest, problem, found_at)
        SELECT $1, digest, $3, $4 FROM blob WHERE digest = $2 FOR SHARE
        ON CONFLICT (digest) WHERE healed_at IS NULL DO NOTHING
        """,
        act_id,
        digest.raw,
        problem.value,
        at,
    )
    return done == "INSERT 0 1"


async def heal_finding(tx: Tx, digest: Digest, at: dt.datetime) -> BlobFinding | None:
    """Note that a blob is right again; None if it was not known to be wrong."""
    row = await tx.fetchrow(
        """
        UPDATE blob_finding SET healed_at = $2 WHERE digest = $1 AND healed_at IS NULL RETURNING *
        """,
        digest.raw,
        at,
    )
    return None if row is None else finding(row)


def finding(row: Row) -> BlobFinding:
    """Return a row of `blob_finding` as a record."""
    return BlobFinding(
        act_id=row["act_id"],
        digest=Digest(row["digest"]),
        problem=Problem(row["problem"]),
        found_at=row["found_at"],
        healed_at=row["healed_at"],
    )


def scrub_pass(row: Row) -> ScrubPass:
    """Return a row of `scrub_pass` as a record."""
    return ScrubPass(**{name: value for name, value in row.items() if name != "leased_until"})
