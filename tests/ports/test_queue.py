"""The job queue: one suite for the real worker and for the one that runs what is due at once."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence import schema_inspect, schema_plan
from pgqueuer.domain.schema.declaration import target

from muniment.core.errors import DatabaseDown, NotFound
from muniment.server.ports import queue
from muniment.server.ports.db import Database
from muniment.server.ports.postgres import PostgresDatabase, open_database
from muniment.server.ports.queue import GiveUp, Handler, Job, Periodic, TryLater
from muniment.server.ports.queue_inline import InlineWorker
from muniment.server.ports.queue_worker import SETTINGS, Worker

SECOND = dt.timedelta(seconds=1)


class Runner(Protocol):
    def __call__(self, *handlers: Handler) -> contextlib.AbstractAsyncContextManager[None]: ...


async def until(true: Callable[[], object]) -> None:
    """Wait for what a worker in this loop does; how long does not matter."""
    while not true():  # noqa: ASYNC110 -- the suite's timeout ends it
        await asyncio.sleep(0.005)


async def ask(db: Database, name: str, payload: Any = None, **more: Any) -> int | None:
    async with db.transaction() as tx:
        return await queue.enqueue(tx, name, payload or {}, **more)


async def left(db: Database) -> list[queue.Shown]:
    async with db.transaction(read_only=True) as tx:
        return await queue.list_jobs(tx, before=None, limit=100)


async def settle(db: Database, done: Callable[[Sequence[queue.Shown]], object]) -> None:
    while not done(await left(db)):  # noqa: ASYNC110 -- the suite's timeout ends it
        await asyncio.sleep(0.02)


@dataclass
class Requests:
    """What a worker's process does beside: so many requests are in flight."""

    in_flight: int = 0
    told: list[tuple[str, str]] = field(default_factory=list)

    def job_ran(self, name: str, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.told.append((name, outcome))


@pytest.fixture(params=["real", "inline"])
def runner(request: pytest.FixtureRequest, db: PostgresDatabase) -> Runner:
    @contextlib.asynccontextmanager
    async def running(*handlers: Handler) -> AsyncIterator[None]:
        if request.param == "real":
            worker = Worker(db, handlers, [], context="context")
            task = asyncio.create_task(worker.run())
            yield
            worker.stop()
            await task
        else:
            inline = InlineWorker(db, handlers, context="context")
            task = asyncio.create_task(_for_ever(inline))
            yield
            task.cancel()
            await asyncio.wait([task])

    return running


async def _for_ever(inline: InlineWorker) -> None:
    while True:
        await inline.run_due()
        await asyncio.sleep(0.01)


async def test_a_job_is_run_with_what_was_asked(db: PostgresDatabase, runner: Runner) -> None:
    seen: list[tuple[object, Job]] = []

    async def run(context: object, job: Job) -> None:
        seen.append((context, job))

    job_id = await ask(db, "greet", {"name": "Ada", "deep": [1, {"two": None}]})
    async with runner(Handler("greet", run, attempts=3)):
        await settle(db, lambda jobs: not jobs)
    assert job_id is not None
    assert seen == [
        ("context", Job(job_id, "greet", {"name": "Ada", "deep": [1, {"two": None}]}, 1, 3))
    ]


async def test_an_act_that_is_rolled_back_asks_for_nothing(
    db: PostgresDatabase, runner: Runner
) -> None:
    seen: list[int] = []

    async def run(_context: object, job: Job) -> None:
        seen.append(job.payload["n"])

    with contextlib.suppress(ZeroDivisionError):
        async with db.transaction() as tx:
            await queue.enqueue(tx, "count", {"n": 1})
            raise ZeroDivisionError
    async with db.transaction() as tx:
        await queue.enqueue_all(tx, "count", [{"n": 2}, {"n": 3}])
        await queue.enqueue_all(tx, "count", [])
    async with runner(Handler("count", run)):
        await settle(db, lambda jobs: not jobs)
    assert sorted(seen) == [2, 3]


async def test_a_failure_is_tried_again_later(db: PostgresDatabase, runner: Runner) -> None:
    attempts: list[int] = []

    async def run(_context: object, job: Job) -> None:
        attempts.append(job.attempt)
        if job.attempt == 1:
            raise TryLater("the other side sleeps", dt.timedelta(0))
        if job.attempt == 2:
            raise DatabaseDown("nobody answers")

    await ask(db, "knock")
    async with runner(Handler("knock", run)):
        await settle(db, lambda jobs: jobs and jobs[0].attempts == 2)
        (waiting,) = await left(db)
        assert (waiting.state, waiting.error) == ("due", "nobody answers")
        assert waiting.due_at > waiting.created_at + 3 * SECOND, "the second wait is 4 s"
        async with db.transaction() as tx:
            assert (await queue.retry(tx, waiting.id)).attempts == 2
        await settle(db, lambda jobs: not jobs)
    assert attempts == [1, 2, 3]


async def test_a_dead_job_is_kept_and_can_be_run_again(
    db: PostgresDatabase, runner: Runner
) -> None:
    broken = True

    async def run(_context: object, job: Job) -> None:
        if broken:
            raise ValueError(f"attempt {job.attempt}: still broken")

    await ask(db, "mend")
    async with runner(Handler("mend", run, attempts=2)):
        await settle(db, lambda jobs: jobs and jobs[0].attempts == 1)
        job_id = (await left(db))[0].id
        async with db.transaction() as tx:
            await queue.retry(tx, job_id)
        await settle(db, lambda jobs: jobs and jobs[0].state == "dead")
        (dead,) = await left(db)
        assert dead.error is not None
        assert "attempt 2: still broken" in dead.error
        broken = False
        async with db.transaction() as tx:
            again = await queue.retry(tx, job_id)
        assert (again.state, again.attempts) == ("due", 0)
        await settle(db, lambda jobs: not jobs)


async def test_who_gives_up_is_not_tried_again(db: PostgresDatabase, runner: Runner) -> None:
    async def run(_context: object, _job: Job) -> None:
        raise GiveUp("it is gone for good")

    await ask(db, "seek")
    async with runner(Handler("seek", run)):
        await settle(db, lambda jobs: jobs and jobs[0].state == "dead")
    assert (await left(db))[0].error == "it is gone for good"


async def test_a_key_holds_while_its_job_is_not_done(db: PostgresDatabase, runner: Runner) -> None:
    runs: list[int] = []

    async def run(_context: object, job: Job) -> None:
        runs.append(job.id)

    first = await ask(db, "once", key="k")
    assert await ask(db, "once", key="k") is None
    assert await ask(db, "once", key="other") is not None
    async with runner(Handler("once", run)):
        await settle(db, lambda jobs: not jobs)
    assert len(runs) == 2
    again = await ask(db, "once", key="k")
    assert again is not None
    assert again != first


async def test_a_job_waits_for_its_time(db: PostgresDatabase, runner: Runner) -> None:
    runs: list[str] = []

    async def run(_context: object, job: Job) -> None:
        runs.append(job.name)

    await ask(db, "later", after=dt.timedelta(hours=1))
    await ask(db, "now")
    async with runner(Handler("later", run), Handler("now", run)):
        await settle(db, lambda jobs: len(jobs) == 1)
    assert runs == ["now"]
    inline = InlineWorker(db, [Handler("later", run)], context=None)
    assert await inline.run_due() == []
    assert [ran.outcome for ran in await inline.run_due(early=True)] == ["done"]


async def test_a_name_nobody_handles_stays(db: PostgresDatabase, runner: Runner) -> None:
    async def run(_context: object, _job: Job) -> None:
        return None

    await ask(db, "unknown")
    await ask(db, "known")
    async with runner(Handler("known", run)):
        await settle(db, lambda jobs: len(jobs) == 1)
    assert (await left(db))[0].name == "unknown"


async def test_the_job_of_a_worker_that_vanished_is_run_by_another(db: PostgresDatabase) -> None:
    runs: list[int] = []

    async def run(_context: object, job: Job) -> None:
        runs.append(job.attempt)

    await ask(db, "carry")
    async with db.transaction() as tx:  # taken by a process that is no more
        await tx.execute(
            "UPDATE pgqueuer SET status = 'picked', heartbeat = now() - interval '5 seconds'"
        )
    worker = Worker(db, [Handler("carry", run)], [], context=None, stale=2 * SECOND)
    task = asyncio.create_task(worker.run())
    await settle(db, lambda jobs: not jobs)
    worker.stop()
    await task
    assert runs == [1]


async def test_a_long_job_is_not_taken_for_dead(db_url: str) -> None:
    databases = [await open_database(db_url, min_size=0) for _ in range(2)]
    db = databases[0]
    runs: list[int] = []
    may_end = asyncio.Event()

    async def run(_context: object, job: Job) -> None:
        runs.append(job.attempt)
        await may_end.wait()

    await ask(db, "long")
    workers = [
        Worker(each, [Handler("long", run)], [], context=None, stale=SECOND / 2)
        for each in databases
    ]
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    await until(lambda: runs)
    async with db.transaction(read_only=True) as tx:
        first = await tx.fetchval("SELECT heartbeat FROM pgqueuer")

    async def beats() -> bool:
        async with db.transaction(read_only=True) as tx:
            return bool(
                await tx.fetchval(
                    "SELECT heartbeat > $1::timestamptz + interval '1 s' FROM pgqueuer", first
                )
            )

    while not await beats():  # noqa: ASYNC110 -- the suite's timeout ends it
        await asyncio.sleep(0.05)
    may_end.set()
    await settle(db, lambda jobs: not jobs)
    for worker in workers:
        worker.stop()
    await asyncio.gather(*tasks)
    assert runs == [1], "twice the time to count as dead, and it ran once"
    for each in databases:
        await each.close()


async def test_a_stopped_worker_gives_its_job_back(
    db: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muniment.server.ports.queue_worker._DRAIN_SECONDS", 0.05)
    started = asyncio.Event()

    async def run(_context: object, _job: Job) -> None:
        started.set()
        await asyncio.Event().wait()

    await ask(db, "endless")
    worker = Worker(db, [Handler("endless", run)], [], context=None)
    task = asyncio.create_task(worker.run())
    await started.wait()
    worker.stop()
    await task
    (job,) = await left(db)
    assert (job.state, job.error) == ("due", "its worker was stopped")


async def test_no_more_run_at_once_than_a_handler_allows(db: PostgresDatabase) -> None:
    now, most, done = 0, 0, 0

    async def run(_context: object, _job: Job) -> None:
        nonlocal now, most, done
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        done += 1

    async with db.transaction() as tx:
        await queue.enqueue_all(tx, "narrow", [{"n": n} for n in range(12)])
    worker = Worker(db, [Handler("narrow", run, at_once=2)], [], context=None)
    task = asyncio.create_task(worker.run())
    await settle(db, lambda jobs: not jobs)
    worker.stop()
    await task
    assert done == 12
    assert most <= 2


async def test_two_workers_share_and_none_runs_twice(db_url: str) -> None:
    databases = [await open_database(db_url, min_size=0) for _ in range(2)]
    runs: list[int] = []

    async def run(_context: object, job: Job) -> None:
        runs.append(job.payload["n"])

    async with databases[0].transaction() as tx:
        await queue.enqueue_all(tx, "share", [{"n": n} for n in range(200)])
    workers = [Worker(db, [Handler("share", run)], [], context=None) for db in databases]
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    await settle(databases[0], lambda jobs: not jobs)
    for worker in workers:
        worker.stop()
    await asyncio.gather(*tasks)
    assert sorted(runs) == list(range(200))
    for db in databases:
        await db.close()


async def test_the_clock_asks_once_for_all_workers(db_url: str) -> None:
    databases = [await open_database(db_url, min_size=0) for _ in range(2)]
    runs: list[str] = []

    async def run(_context: object, job: Job) -> None:
        runs.append(job.name)

    def make(db: Database) -> Worker:
        return Worker(db, [Handler("tick", run)], [Periodic("tick", "0 0 1 1 *")], context=None)

    workers = [make(db) for db in databases]
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    connection = await asyncpg.connect(db_url)
    while not await connection.fetchval("SELECT count(*) FROM pgqueuer_schedules"):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert runs == []
    for worker in workers:
        worker.stop()
    await asyncio.gather(*tasks)
    await connection.execute("UPDATE pgqueuer_schedules SET next_run = now()")  # new year
    workers = [make(db) for db in databases]
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    await until(lambda: runs)
    await settle(databases[0], lambda jobs: not jobs)
    for worker in workers:
        worker.stop()
    await asyncio.gather(*tasks)
    assert runs == ["tick"]
    assert await connection.fetchval("SELECT next_run > now() FROM pgqueuer_schedules")
    await connection.close()
    for db in databases:
        await db.close()


async def test_a_worker_outlives_its_connections(db: PostgresDatabase, db_url: str) -> None:
    runs: list[int] = []

    async def run(_context: object, job: Job) -> None:
        runs.append(job.id)

    worker = Worker(db, [Handler("again", run)], [], context=None)
    task = asyncio.create_task(worker.run())
    await ask(db, "again")
    await settle(db, lambda jobs: not jobs)
    connection = await asyncpg.connect(db_url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.execute(
        "INSERT INTO pgqueuer (entrypoint, priority, status) VALUES ('again', 0, 'queued')"
    )
    await until(lambda: len(runs) == 2)
    worker.stop()
    await task
    await connection.close()


async def test_every_run_is_told(db: PostgresDatabase) -> None:
    told: list[tuple[str, str]] = []

    async def run(_context: object, job: Job) -> None:
        if job.attempt == 1:
            raise TryLater("not yet", dt.timedelta(0))

    await ask(db, "tell")
    worker = Worker(
        db,
        [Handler("tell", run)],
        [],
        context=None,
        beside=Requests(told=told),
    )
    task = asyncio.create_task(worker.run())
    await settle(db, lambda jobs: not jobs)
    worker.stop()
    await task
    assert told == [("tell", "later"), ("tell", "done")]


async def test_what_gives_way_waits_while_requests_are_in_flight(db: PostgresDatabase) -> None:
    beside, order = Requests(in_flight=1), list[str]()

    async def patient(_context: object, _job: Job) -> None:
        order.append("patient")

    async def other(_context: object, _job: Job) -> None:
        order.append("other")

    await ask(db, "patient")
    await ask(db, "other")
    handlers = [Handler("patient", patient, gives_way=True), Handler("other", other)]
    worker = Worker(db, handlers, [], context=None, beside=beside)
    task = asyncio.create_task(worker.run())
    await settle(db, lambda jobs: not jobs)  # requests never pause, and it is done all the same
    assert order == ["other", "patient"]
    beside.in_flight = 0
    await ask(db, "patient")
    await settle(db, lambda jobs: not jobs)
    worker.stop()
    await task
    assert order == ["other", "patient", "patient"]


async def test_jobs_are_listed_newest_first_in_pages_and_counted(db: PostgresDatabase) -> None:
    ids = [await ask(db, name) for name in ("a", "b", "a", "a")]
    async with db.transaction() as tx:
        await tx.execute("UPDATE pgqueuer SET status = 'failed' WHERE id = $1", ids[0])
    async with db.transaction(read_only=True) as tx:
        assert await queue.counts(tx) == {("a", "due"): 2, ("a", "dead"): 1, ("b", "due"): 1}
        page = await queue.list_jobs(tx, before=None, limit=2)
        assert [each.id for each in page] == [ids[3], ids[2]]
        rest = await queue.list_jobs(tx, before=page[-1].id, limit=9)
        assert [each.id for each in rest] == [ids[1], ids[0]]
        dead = await queue.list_jobs(tx, state="dead", before=None, limit=9)
        assert [each.id for each in dead] == [ids[0]]
        named = await queue.list_jobs(tx, name="b", before=None, limit=9)
        assert [each.id for each in named] == [ids[1]]


async def test_what_is_done_cannot_be_run_again(db: PostgresDatabase) -> None:
    with pytest.raises(NotFound, match="not kept"):
        async with db.transaction() as tx:
            await queue.retry(tx, 4711)


async def test_old_notes_are_forgotten_but_not_of_what_is_left(db: PostgresDatabase) -> None:
    kept = await ask(db, "kept")
    async with db.transaction() as tx:
        for job_id in (kept, 4711):
            await tx.execute(
                "INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, created)"
                " VALUES ($1, 'queued', 0, 'x', '2020-01-01T00:00:00Z')",
                job_id,
            )
        await queue.forget(tx, dt.datetime(2021, 1, 1, tzinfo=dt.UTC))
        rows = await tx.fetch("SELECT job_id FROM pgqueuer_log")
    assert [row["job_id"] for row in rows] == [kept]


async def test_the_tables_are_those_the_library_declares(db_url: str) -> None:
    connection = await asyncpg.connect(db_url)
    live = await schema_inspect.inspect(AsyncpgDriver(connection), SETTINGS)
    await connection.close()
    plan = schema_plan.plan(live, target(SETTINGS), SETTINGS)
    beside = [each for each in plan.statements if "fn_pgqueuer_changed" not in each]
    assert beside == [], "only the trigger that would NOTIFY is left out"


@given(st.integers(1, 200))
def test_each_wait_is_twice_the_one_before_up_to_half_an_hour(attempt: int) -> None:
    wait, after = queue.wait_after(attempt), queue.wait_after(attempt + 1)
    assert after == min(2 * wait, dt.timedelta(minutes=30))
    assert queue.wait_after(1) == 2 * SECOND
