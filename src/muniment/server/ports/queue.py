"""Work that is done later: asked for inside a transaction, done by a worker after it commits.

    await queue.enqueue(tx, "webhooks.deliver", {"delivery_id": str(id)})

The job is a row of the caller's own transaction: it is there exactly if the act is. A worker runs
it *at least once*: one that was killed, or whose database went away, leaves its job to another. So
handlers do nothing harmful when they run again. A handler that fails is run again later, further
apart each time; after its last attempt the job is *dead*: kept, shown, and run again when asked.

Slices list their handlers in `jobs.py`, as `HANDLERS` and `PERIODIC`; wiring collects them.

Adapters: `queue_worker` (pgqueuer), `queue_inline` (a fake that runs what is due at once).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from muniment.core.errors import NotFound
from muniment.server.ports.db import Row, Tx

#: `due`: waits for a worker or its time. `running`. `dead`: failed its last attempt.
State = Literal["due", "running", "dead"]

#: The states a job may be in, with what the table calls them.
_STORED: dict[State, str] = {"due": "queued", "running": "picked", "dead": "failed"}
_SHOWN = {stored: shown for shown, stored in _STORED.items()}

_BACKOFF_FIRST = dt.timedelta(seconds=2)
_BACKOFF_LAST = dt.timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a job: `attempt` counts from 1 up to `attempts`, the last one."""

    id: int
    name: str
    payload: Mapping[str, Any]
    attempt: int
    attempts: int

    @property
    def is_last(self) -> bool:
        """Whether failing now makes it dead."""
        return self.attempt >= self.attempts


class GiveUp(Exception):
    """Raised by a handler: trying again cannot help. The job is dead at once."""


class TryLater(Exception):
    """Raised by a handler that wants to be run again after `delay`, instead of the usual wait."""

    def __init__(self, reason: str, delay: dt.timedelta) -> None:
        super().__init__(reason)
        self.delay = delay


#: What a handler is: it is given what wiring gives to all (`Deps`), and the job.
Run = Callable[[Any, Job], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Handler:
    """How the jobs of one name are done.

    `attempts` is how often in all; the wait doubles after each, up to 30 minutes. `at_once` limits
    how many run at the same time across all workers; 0: no limit of its own. One that `gives_way`
    is done when the requests of its worker's process pause, or else half a second later.
    """

    name: str
    run: Run
    attempts: int = 8
    at_once: int = 0
    gives_way: bool = False


@dataclass(frozen=True, slots=True)
class Periodic:
    """A job asked for by the clock: `cron` is five fields, in UTC. One at a time."""

    name: str
    cron: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A job as an operator sees it. `error` is why its last attempt failed."""

    id: int
    name: str
    state: State
    payload: Any
    attempts: int
    created_at: dt.datetime
    due_at: dt.datetime
    error: str | None


def wait_after(attempt: int) -> dt.timedelta:
    """How long to wait after `attempt` (from 1) failed: 2 s, 4 s, 8 s … 30 min."""
    return min(_BACKOFF_FIRST * (1 << min(attempt - 1, 20)), _BACKOFF_LAST)


async def enqueue(
    tx: Tx,
    name: str,
    payload: Mapping[str, Any],
    *,
    after: dt.timedelta = dt.timedelta(0),
    key: str | None = None,
    yields: bool = False,
) -> int | None:
    """Ask for a job in the caller's transaction; return its id.

    Nothing happens, and None comes back, while a job with the same `key` is due or running. One that
    `yields` lets all others that are due go first.
    """
    job_id: int | None = await tx.fetchval(
        """
        INSERT INTO pgqueuer (entrypoint, payload, execute_after, dedupe_key, priority, status)
        VALUES ($1, $2, now() + $3::interval, $4, $5, 'queued')
        ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL
        DO NOTHING
        RETURNING id
        """,
        name,
        msgspec.json.encode(payload),
        after,
        key,
        -1 if yields else 0,
    )
    tx.signal("jobs")
    return job_id


async def hasten(tx: Tx, key: str) -> None:
    """Have the job of that key that waits for its time, if there is one, run now."""
    await tx.execute(
        """
        UPDATE pgqueuer SET execute_after = now(), updated = now()
        WHERE dedupe_key = $1 AND status = 'queued'
        """,
        key,
    )
    tx.signal("jobs")


async def enqueue_all(tx: Tx, name: str, payloads: Sequence[Mapping[str, Any]]) -> None:
    """Ask for one job for each of `payloads`, in one statement."""
    if not payloads:
        return
    await tx.execute(
        """
        INSERT INTO pgqueuer (entrypoint, payload, priority, status)
        SELECT $1, payload, 0, 'queued' FROM unnest($2::bytea[]) AS payload
        """,
        name,
        [msgspec.json.encode(payload) for payload in payloads],
    )
    tx.signal("jobs")


_COLUMNS = """
    SELECT id, entrypoint, status::text AS status, payload, attempts, created, execute_after,
           (SELECT traceback ->> 'exception_message' FROM pgqueuer_log
            WHERE job_id = pgqueuer.id AND traceback IS NOT NULL
            ORDER BY created DESC, id DESC LIMIT 1) AS error
    FROM pgqueuer
"""


async def list_jobs(
    tx: Tx, *, state: State | None = None, name: str | None = None, before: int | None, limit: int
) -> list[Shown]:
    """Return up to `limit` jobs that are not done, newest first, with ids below `before`."""
    rows = await tx.fetch(
        _COLUMNS
        + """
        WHERE ($1::text IS NULL OR status::text = $1) AND ($2::text IS NULL OR entrypoint = $2)
              AND ($3::bigint IS NULL OR id < $3)
        ORDER BY id DESC LIMIT $4
        """,
        None if state is None else _STORED[state],
        name,
        before,
        limit,
    )
    return [_shown(row) for row in rows]


async def retry(tx: Tx, job_id: int) -> Shown:
    """Have a dead job, or one that waits for its time, run as soon as a worker is free.

    A dead one gets all its attempts again. One that runs already is left alone.

    Raises:
        NotFound: there is no such job; it may be done.
    """
    await tx.execute(
        """
        UPDATE pgqueuer SET status = 'queued', execute_after = now(), updated = now(),
               attempts = CASE status WHEN 'failed' THEN 0 ELSE attempts END
        WHERE id = $1 AND status IN ('queued', 'failed')
        """,
        job_id,
    )
    row = await tx.fetchrow(_COLUMNS + " WHERE id = $1", job_id)
    if row is None:
        raise NotFound(f"there is no job {job_id}: a job that was done is not kept")
    tx.signal("jobs")
    return _shown(row)


async def counts(tx: Tx) -> dict[tuple[str, str], int]:
    """Count the jobs that are not done, by name and state."""
    rows = await tx.fetch(
        """
        SELECT entrypoint, status::text AS status, count(*) AS jobs
        FROM pgqueuer GROUP BY entrypoint, status
        """
    )
    return {(row["entrypoint"], _SHOWN[row["status"]]): row["jobs"] for row in rows}


async def forget(tx: Tx, before: dt.datetime) -> None:
    """Drop the queue's own notes about jobs that ended before `before`."""
    await tx.execute(
        """
        DELETE FROM pgqueuer_log WHERE created < $1
               AND NOT EXISTS (SELECT FROM pgqueuer WHERE pgqueuer.id = job_id)
        """,
        before,
    )
    await tx.execute("DELETE FROM pgqueuer_statistics WHERE created < $1", before)


def _shown(row: Row) -> Shown:
    return Shown(
        id=row["id"],
        name=row["entrypoint"],
        state=_SHOWN[row["status"]],
        payload=msgspec.json.decode(row["payload"] or b"{}"),
        attempts=row["attempts"],
        created_at=row["created"],
        due_at=row["execute_after"],
        error=row["error"],
    )
