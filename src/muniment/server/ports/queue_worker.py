"""The worker: pgqueuer over our own pool, without LISTEN and NOTIFY.

NOTIFY takes a lock common to all commits, so no trigger sends one (ADR 0011). A worker is woken by
commits of its own process, and looks every second for those of others. A job whose worker was
killed stops sending its heartbeat and is taken by another after `STALE`.

Importing this takes most of a second (pydantic); `serve` does so after it accepts connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, Protocol, Self, cast

import structlog
from pgqueuer.adapters.persistence.qb import (
    DBSettings,
    QueryBuilderEnvironment,
    QueryQueueBuilder,
    QuerySchedulerBuilder,
)
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.executors import AbstractEntrypointExecutor, EntrypointExecutorParameters
from pgqueuer.core.qm import QueueManager
from pgqueuer.core.sm import SchedulerManager
from pgqueuer.core.tm import TaskManager
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Context, Schedule
from pgqueuer.domain.models import Job as Row
from pgqueuer.ports.driver import NotifyCallback

from muniment.core.errors import Conflict, Contended, MunimentError
from muniment.server.ports import queue
from muniment.server.ports.db import Database
from muniment.server.ports.queue import GiveUp, Handler, Job, Periodic, TryLater

#: After this long without a heartbeat a job's worker counts as killed.
STALE: Final = dt.timedelta(seconds=20)
_POLL: Final = dt.timedelta(seconds=1)
_BATCH: Final = 10
_DRAIN_SECONDS: Final = 10.0
_RESTART_SECONDS: Final = 1.0

#: A job that gives way begins when no request was in flight for so long, or after the longer time.
_QUIET_SECONDS: Final = 0.03
_GIVE_WAY_SECONDS: Final = 0.5


class Beside(Protocol):
    """What a worker tells of its runs, and the requests its process answers at the same time."""

    in_flight: int

    def job_ran(self, name: str, outcome: str, seconds: float) -> None:
        """Be told of a run that ended: `done`, `later` (it is tried again) or `dead`."""


_log = structlog.get_logger("muniment.jobs")

#: Written out, so that variables of the environment cannot name other tables.
SETTINGS: Final = DBSettings(
    prefix="",
    db_schema=None,
    channel=cast("Any", "ch_pgqueuer"),
    function="fn_pgqueuer_changed",
    trigger="tg_pgqueuer_changed",
    queue_table="pgqueuer",
    queue_table_log="pgqueuer_log",
    statistics_table="pgqueuer_statistics",
    schedules_table="pgqueuer_schedules",
    queue_status_type="pgqueuer_status",
)


class Worker:
    """Runs jobs until stopped. Any number of them may share a database."""

    def __init__(
        self,
        db: Database,
        handlers: Sequence[Handler],
        periodic: Sequence[Periodic],
        *,
        context: object,
        at_once: int = 10,
        stale: dt.timedelta = STALE,
        beside: Beside | None = None,
    ) -> None:
        """Prepare to run jobs of `handlers`, `at_once` of them; nothing is read or written yet.

        `context` is handed to every handler. `beside` is told of every run that ended; jobs that
        give way wait a little while requests are in flight there.
        """
        self._db, self._periodic, self._context = db, periodic, context
        self._handlers = {handler.name: handler for handler in handlers}
        self._at_once, self._stale, self._beside = max(at_once, 2), stale, beside
        self._running: set[asyncio.Task[object]] = set()
        self._stopping = asyncio.Event()
        self._driver: _PoolDriver | None = None

    async def run(self) -> None:
        """Run jobs until `stop`. Begins again when the database was away."""
        _quiet()
        self._db.on_signal("jobs", self._look)
        while not self._stopping.is_set():
            try:
                await self._serve()
            except MunimentError as error:
                _log.warning("worker_begins_again", error=error.code, detail=error.message)
                await self._pause()
            except Exception:  # noqa: BLE001 -- the edge of all jobs: they must go on
                _log.exception("worker_begins_again")
                await self._pause()

    def stop(self) -> None:
        """Have `run` return: no new jobs; running ones get ten seconds, then go back to the queue."""
        self._stopping.set()

    def _look(self) -> None:
        if self._driver is not None:
            self._driver.wake()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), _RESTART_SECONDS)

    async def _serve(self) -> None:
        """Run the queue and its clock until stopped, or until the database is away."""
        driver = _PoolDriver(self._db)
        self._driver = driver
        queries = Queries(
            driver,
            QueryBuilderEnvironment(SETTINGS),
            QueryQueueBuilder(SETTINGS),
            QuerySchedulerBuilder(SETTINGS),
        )
        jobs = QueueManager(queries, channel=SETTINGS.channel)
        for handler in self._handlers.values():
            parameters = EntrypointExecutorParameters(
                concurrency_limit=handler.at_once, func=_never, on_failure="hold"
            )
            jobs.register_executor(handler.name, _Runs(parameters, self, handler))
        clock = SchedulerManager(queries)
        for each in self._periodic:
            clock.schedule(each.name, each.cron)(partial(self._tick, each.name))
        loops = [
            asyncio.create_task(
                jobs.run(
                    dequeue_timeout=_POLL,
                    batch_size=min(self._at_once // 2, _BATCH),
                    max_concurrent_tasks=self._at_once,
                    heartbeat_timeout=self._stale,
                )
            )
        ]
        if self._periodic:
            loops.append(asyncio.create_task(clock.run()))
        await self._until_over(jobs, clock, loops)

    async def _until_over(
        self, jobs: QueueManager, clock: SchedulerManager, loops: list[asyncio.Task[None]]
    ) -> None:
        """Wait for the stop or a loop that fails, then end both; give its error on."""
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({stop, *loops}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            jobs.shutdown.set()
            clock.shutdown.set()
            await asyncio.wait(loops, timeout=_DRAIN_SECONDS)
            for task in self._running:
                task.cancel()
            await asyncio.wait(loops, timeout=_DRAIN_SECONDS)
            for loop in loops:
                loop.cancel()
        for loop in loops:
            if loop.done() and not loop.cancelled() and (error := loop.exception()):
                raise error

    async def _tick(self, name: str, _schedule: Schedule) -> None:
        async with self._db.transaction() as tx:
            await queue.enqueue(tx, name, {}, key=f"periodic {name}")

    async def perform(self, handler: Handler, job: Job) -> None:
        """Run one job to its end.

        Raises:
            RetryRequested: it failed, and is to be run again.
            Exception: it failed for good.
        """
        started, outcome = time.perf_counter(), "dead"
        task = asyncio.ensure_future(self._run(handler, job))
        self._running.add(task)
        try:
            await task
            outcome = "done"
        except asyncio.CancelledError:
            outcome = "later"
            task.cancel()
            raise RetryRequested(reason="its worker was stopped") from None
        except TryLater as wanted:
            if job.is_last:
                raise
            outcome = "later"
            raise RetryRequested(wanted.delay, str(wanted)) from wanted
        except GiveUp:
            raise
        except Exception as error:
            if job.is_last:
                raise
            outcome = "later"
            raise RetryRequested(queue.wait_after(job.attempt), _reason(error)) from error
        finally:
            self._running.discard(task)
            seconds = time.perf_counter() - started
            if self._beside is not None:
                self._beside.job_ran(job.name, outcome, seconds)
            log = _log.error if outcome == "dead" else _log.info
            log("job_ran", job=job.id, name=job.name, attempt=job.attempt, outcome=outcome)

    async def _run(self, handler: Handler, job: Job) -> object:
        if handler.gives_way:
            await self._give_way()
        return await handler.run(self._context, job)

    async def _give_way(self) -> None:
        """Wait until requests have paused, and never for long: jobs go on under any load."""
        started = busy_at = time.monotonic()
        while (now := time.monotonic()) - started < _GIVE_WAY_SECONDS:
            if self._stopping.is_set():
                return
            if self._beside is not None and self._beside.in_flight:
                busy_at = now
            elif now - busy_at >= _QUIET_SECONDS:
                return
            await asyncio.sleep(_QUIET_SECONDS / 3)


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, MunimentError) else f"{type(error).__name__}: {error}"


async def _never(_job: Row) -> None:
    raise AssertionError("the executor runs the handler itself")


class _Runs(AbstractEntrypointExecutor):
    """How pgqueuer runs a handler of ours."""

    def __init__(
        self, parameters: EntrypointExecutorParameters, worker: Worker, handler: Handler
    ) -> None:
        super().__init__(parameters)
        self._worker, self._handler = worker, handler

    async def execute(self, job: Row, context: Context) -> None:  # noqa: ARG002 -- theirs
        """Run the handler for one row of the queue."""
        payload = json.loads(job.payload or b"{}")
        attempt = job.attempts + 1
        ours = Job(job.id, self._handler.name, payload, attempt, self._handler.attempts)
        await self._worker.perform(self._handler, ours)


class _PoolDriver:
    """pgqueuer's driver over our `Database`; its channel never leaves the process."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._shutdown = asyncio.Event()
        self._tasks = TaskManager()
        self._callbacks: list[NotifyCallback] = []

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        with _driver_errors():
            async with self._db.transaction() as tx:
                return [dict(row) for row in await tx.fetch(cast("Any", query), *args)]

    async def execute(self, query: str, *args: object) -> str:
        with _driver_errors():
            async with self._db.transaction() as tx:
                return await tx.execute(cast("Any", query), *args)

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:  # noqa: ARG002
        self._callbacks.append(callback)

    async def notify(self, channel: str, payload: str) -> None:  # noqa: ARG002 -- one channel
        for callback in self._callbacks:
            callback(payload)

    def wake(self) -> None:
        """Have the worker look at once."""
        event = {
            "channel": SETTINGS.channel,
            "operation": "insert",
            "sent_at": "1970-01-01T00:00:00Z",
            "table": SETTINGS.queue_table,
            "type": "table_changed_event",
        }
        for callback in self._callbacks:
            callback(json.dumps(event))

    @property
    def shutdown(self) -> asyncio.Event:
        return self._shutdown

    @property
    def tm(self) -> TaskManager:
        return self._tasks

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


class _driver_errors:  # noqa: N801 -- used as a statement
    """Show pgqueuer the driver's own error where it looks for its SQLSTATE."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        cause = getattr(error, "__cause__", None)
        if isinstance(error, Conflict | Contended) and cause is not None:
            raise cause from None


class _OursAlready(logging.Filter):
    """Drops what `perform` has logged already, with the traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.msg.startswith("Exception while processing entrypoint/job-id")


def _quiet() -> None:
    logger = logging.getLogger("pgqueuer")
    if not any(isinstance(each, _OursAlready) for each in logger.filters):
        logger.addFilter(_OursAlready())
