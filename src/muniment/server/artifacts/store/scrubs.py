"""Rows of scrubs: how far a pass is, and what it found. Every function takes a `Tx`; none commits."""

from __future__ import annotations

import datetime as dt
import uuid

from muniment.core.digest import Digest
from muniment.server.artifacts.records import (
    BlobFinding,
    Held,
    Problem,
    ScrubPass,
)
from muniment.server.ports.db import Row, Tx

#: PostgreSQL advisory lock of who begins a pass of the scrub: `scrubbed` in ASCII.
_BEGIN_LOCK = int.from_bytes(b"scrubbed", "big")


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
