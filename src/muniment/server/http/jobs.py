"""Looking at the job queue, and having a job run again. For administrators."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec

from muniment.core.errors import NotFound
from muniment.server.http import idempotency
from muniment.server.http.operation import Call, Deps, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import Cursor, Limit, Page, cut, read_cursor
from muniment.server.http.records import Verb
from muniment.server.ports import queue
from muniment.server.ports.db import Tx
from muniment.server.ports.queue import Handler, Job, Periodic

_KEPT = dt.timedelta(days=14)


class JobBody(msgspec.Struct, frozen=True, kw_only=True):
    """A job that is not done. `attempts` failed so far; `error` says how the last one did."""

    id: int
    name: str
    state: Literal["due", "running", "dead"]
    payload: Any
    attempts: int
    created_at: dt.datetime
    due_at: dt.datetime
    error: str | None


class JobsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs to list."""

    state: Literal["due", "running", "dead"] | None = None
    name: Annotated[str, msgspec.Meta(description="Only jobs of this name.")] | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class _Before(msgspec.Struct, frozen=True):
    id: int


async def list_jobs(call: Call, tx: Tx) -> Reply:
    """List jobs that are due, run, or are dead, newest first."""
    query: JobsQuery = call.query
    found = await queue.list_jobs(
        tx,
        state=query.state,
        name=query.name,
        before=read_cursor(query.cursor, _Before).id if query.cursor else None,
        limit=query.limit + 1,
    )
    last = found[query.limit - 1].id if len(found) > query.limit else None
    items, cursor = cut(found, query.limit, {"id": last})
    return Reply(Page([_body(each) for each in items], cursor))


async def retry_job(call: Call, tx: Tx) -> Reply:
    """Have a dead or waiting job run now. Repeating it does nothing more."""
    text = call.path["job_id"]
    if not (text.isascii() and text.isdecimal() and len(text) < 19):  # noqa: PLR2004 -- of int64
        raise NotFound(f"there is no job {text!r}")
    return Reply(_body(await queue.retry(tx, int(text))))


def _body(job: queue.Shown) -> JobBody:
    return JobBody(
        id=job.id,
        name=job.name,
        state=job.state,
        payload=job.payload,
        attempts=job.attempts,
        created_at=job.created_at,
        due_at=job.due_at,
        error=job.error,
    )


async def _forget(deps: Deps, _job: Job) -> None:
    async with deps.db.transaction() as tx:
        await queue.forget(tx, deps.clock.now() - _KEPT)


HANDLERS: list[Handler] = [
    Handler("jobs.forget", _forget, attempts=3),
    Handler("idempotency.sweep", lambda deps, _job: idempotency.sweep(deps), attempts=3),
]
PERIODIC: list[Periodic] = [
    Periodic("jobs.forget", "17 3 * * *"),
    Periodic("idempotency.sweep", "*/10 * * * *"),
]

OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path="/api/v1/jobs",
        id="list_jobs",
        summary="List jobs that are not done",
        handler=list_jobs,
        needs=Verb.ADMINISTER,
        scope=ScopeFrom.EVERYTHING,
        query=JobsQuery,
        returns=Page[JobBody],
        tag="server",
    ),
    Operation(
        method="POST",
        path="/api/v1/jobs/{job_id}/retry",
        id="retry_job",
        summary="Run a dead or waiting job now",
        handler=retry_job,
        needs=Verb.ADMINISTER,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.WRITE,
        returns=JobBody,
        errors=(NotFound,),
        tag="server",
    ),
]
