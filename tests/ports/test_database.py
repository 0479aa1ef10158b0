# ruff: noqa: PT012 -- a transaction is a block, and anything in it may raise
"""The database port on real PostgreSQL: what commits, what is refused, what each costs."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import uvloop

from muniment.core.errors import Conflict, Contended, DatabaseDown, Unavailable
from muniment.server.ports.db import Database, Tx
from muniment.server.ports.embedded_postgres import OWNER, EmbeddedPostgres
from muniment.server.ports.postgres import PostgresDatabase, open_database
from muniment.server.ports.postgres_errors import translated, without_password
from tests.support.postgres import fresh_database

_TABLE = """
CREATE TABLE thing (
    id int PRIMARY KEY,
    name text CONSTRAINT thing_name_unique UNIQUE,
    parent int CONSTRAINT thing_parent REFERENCES thing,
    span int8range,
    EXCLUDE USING gist (span WITH &&)
)
"""


@pytest.fixture
async def db_url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """A database of this test's own, as its owner: tables are made here."""
    async with fresh_database(postgres) as url:
        yield postgres.url_of(url.partition("?")[0].rpartition("/")[2], OWNER)


@pytest.fixture
async def things(db: PostgresDatabase) -> PostgresDatabase:
    """A database with an empty table `thing`."""
    async with db.transaction() as tx:
        await tx.execute(_TABLE)
    return db


async def add(tx: Tx, number: int, name: str | None = None) -> None:
    await tx.execute("INSERT INTO thing (id, name) VALUES ($1, $2)", number, name)


async def ids(db: Database) -> list[int]:
    async with db.transaction(read_only=True) as tx:
        return [row["id"] for row in await tx.fetch("SELECT id FROM thing ORDER BY id")]


async def test_leaving_the_block_commits_and_raising_rolls_back(things: PostgresDatabase) -> None:
    async with things.transaction() as tx:
        await add(tx, 1)
    with pytest.raises(ZeroDivisionError):
        async with things.transaction() as tx:
            await add(tx, 2)
            raise ZeroDivisionError
    assert await ids(things) == [1]


async def test_a_cancelled_request_rolls_back_and_its_connection_is_used_again(
    db_url: str, things: PostgresDatabase
) -> None:
    async with asyncio.timeout(60):
        single = await open_database(db_url, max_size=1)
        inside = asyncio.Event()

        async def request() -> None:
            async with single.transaction() as tx:
                await add(tx, 1)
                inside.set()
                await tx.fetchval("SELECT pg_sleep(60)")

        task = asyncio.create_task(request())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with single.transaction() as tx:
            await add(tx, 2)
        await single.close()
    assert await ids(things) == [2]


async def test_requests_cancelled_anywhere_leave_no_transaction_open(
    db_url: str, things: PostgresDatabase
) -> None:
    few = await open_database(db_url, max_size=3)
    complaints: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: complaints.append(context["message"]))

    async def requests() -> None:
        while True:
            async with few.transaction() as tx:
                await tx.fetchval("SELECT 1")

    for turns in range(100):
        tasks = [asyncio.create_task(requests()) for _ in range(4)]
        for _ in range(turns):
            await asyncio.sleep(0)  # lets every task take one step
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(result) for result in results} == {asyncio.CancelledError}
    loop.set_exception_handler(None)
    assert complaints == []
    async with few.transaction() as tx:
        await add(tx, 1)
    await few.close()
    assert await ids(things) == [1]


async def test_every_way_to_ask(things: PostgresDatabase) -> None:
    async with things.transaction() as tx:
        await tx.executemany(
            "INSERT INTO thing (id, name) VALUES ($1, $2)", [(1, "a"), (2, "b"), (3, "c")]
        )
        await tx.copy("thing", ["id", "name"], [(4, "d"), (5, "e")])
        assert await tx.execute("UPDATE thing SET name = name || '!'") == "UPDATE 5"
        assert await tx.fetchval("SELECT name FROM thing WHERE id = $1", 4) == "d!"
        assert await tx.fetchval("SELECT name FROM thing WHERE id = $1", 9) is None
        row = await tx.fetchrow("SELECT * FROM thing WHERE id = $1", 5)
        assert row is not None
        assert row["name"] == "e!"
        assert await tx.fetchrow("SELECT * FROM thing WHERE id = $1", 9) is None
        assert len(await tx.fetch("SELECT * FROM thing")) == 5


@pytest.mark.parametrize("read_only", [True, False])
async def test_a_cursor_gives_rows_one_by_one(things: PostgresDatabase, read_only: bool) -> None:
    sql = "SELECT generate_series(1, $1::int) AS n"
    async with things.transaction(read_only=read_only) as tx:
        assert [row["n"] async for row in tx.cursor(sql, 1234, prefetch=100)] == [*range(1, 1235)]
        async for row in tx.cursor(sql, 10**9, prefetch=10):
            assert row["n"] == 1
            break
    assert await ids(things) == []


async def test_values_come_back_as_they_went_in(db: PostgresDatabase) -> None:
    """`jsonb` goes both ways as text, undecoded."""
    key = uuid.uuid4()
    at = dt.datetime(2026, 11, 21, 12, 30, 0, 123456, tzinfo=dt.UTC)
    async with db.transaction(read_only=True) as tx:
        row: Any = await tx.fetchrow(
            "SELECT $1::uuid AS key, $2::timestamptz AS at, $3::jsonb AS body, $4::bytea AS raw,"
            " int8range(3, 3, '[]') AS span, NULL AS nothing",
            key,
            at,
            json.dumps({"b": 1, "a": [None, "é"]}),
            b"\x00\xff",
        )
    assert row["key"] == key
    assert row["at"] == at
    assert row["at"].tzinfo is not None
    assert isinstance(row["body"], str)
    assert json.loads(row["body"]) == {"a": [None, "é"], "b": 1}
    assert row["raw"] == b"\x00\xff"
    assert (row["span"].lower, row["span"].upper) == (3, 4)
    assert row["nothing"] is None


@pytest.mark.parametrize(
    ("sql", "constraint"),
    [
        ("INSERT INTO thing (id) VALUES (1)", "thing_pkey"),
        ("INSERT INTO thing (id, name) VALUES (2, 'one')", "thing_name_unique"),
        ("INSERT INTO thing (id, parent) VALUES (2, 9)", "thing_parent"),
        ("INSERT INTO thing (id, span) VALUES (2, int8range(5, 6))", "thing_span_excl"),
    ],
)
async def test_a_broken_constraint_is_a_conflict_that_names_it(
    things: PostgresDatabase, sql: Any, constraint: str
) -> None:
    async with things.transaction() as tx:
        await tx.execute("INSERT INTO thing VALUES (1, 'one', NULL, int8range(1, 9))")
    with pytest.raises(Conflict) as raised:
        async with things.transaction() as tx:
            await tx.execute(sql)
    assert raised.value.context["constraint"] == constraint
    assert constraint not in raised.value.message
    assert await ids(things) == [1]


async def test_a_constraint_checked_at_commit_is_a_conflict_too(things: PostgresDatabase) -> None:
    async with things.transaction() as tx:
        await tx.execute("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(Conflict):
        async with things.transaction() as tx:
            tx.signal("late")
            await tx.execute("INSERT INTO late VALUES (1), (1)")


async def test_a_failure_that_was_caught_cannot_be_committed_over(
    things: PostgresDatabase,
) -> None:
    async def careless() -> None:
        async with things.transaction() as tx:
            await add(tx, 1)
            with contextlib.suppress(Conflict):
                await add(tx, 1)

    with pytest.raises(RuntimeError, match="its error was caught"):
        await careless()
    assert await ids(things) == []


async def test_a_transaction_that_is_over_cannot_be_used(db: PostgresDatabase) -> None:
    async with db.transaction(read_only=True) as tx:
        pass
    with pytest.raises(RuntimeError, match="fetchval must happen inside its block"):
        await tx.fetchval("SELECT 1")


async def test_a_mistake_of_ours_stays_what_it_is(db: PostgresDatabase) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        async with db.transaction(read_only=True) as tx:
            await tx.fetch("SELECT * FROM nowhere")
    async with db.transaction(read_only=True) as tx:
        assert await tx.fetchval("SELECT 1") == 1


async def test_a_write_in_a_read_is_refused_by_postgresql(things: PostgresDatabase) -> None:
    for repeatable in (False, True):
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            async with things.transaction(read_only=True, repeatable=repeatable) as tx:
                await add(tx, 1)
    assert await ids(things) == []


async def test_statements_of_a_read_see_what_is_committed_between_them(
    things: PostgresDatabase,
) -> None:
    async with things.transaction(read_only=True) as reader:
        assert await reader.fetchval("SELECT count(*) FROM thing") == 0
        async with things.transaction() as tx:
            await add(tx, 1)
        assert await reader.fetchval("SELECT count(*) FROM thing") == 1


@pytest.mark.parametrize("read_only", [True, False])
async def test_statements_of_a_repeatable_one_see_one_state(
    things: PostgresDatabase, read_only: bool
) -> None:
    async with things.transaction(read_only=read_only, repeatable=True) as reader:
        assert await reader.fetchval("SELECT count(*) FROM thing") == 0
        async with things.transaction() as tx:
            await add(tx, 1)
        assert await reader.fetchval("SELECT count(*) FROM thing") == 0


async def test_two_that_cannot_both_be_right_are_contended(things: PostgresDatabase) -> None:
    async with things.transaction() as tx:
        await add(tx, 1)
    with pytest.raises(Contended) as raised:
        async with things.transaction(repeatable=True) as slow:
            await slow.fetchval("SELECT name FROM thing")
            async with things.transaction() as quick:
                await quick.execute("UPDATE thing SET name = 'quick'")
            await slow.execute("UPDATE thing SET name = 'slow'")
    assert raised.value.retryable
    assert raised.value.context["sqlstate"] == "40001"


async def test_a_deadlock_is_contended_and_one_of_the_two_goes_on(things: PostgresDatabase) -> None:
    async with things.transaction() as tx:
        await tx.execute("INSERT INTO thing (id) VALUES (1), (2)")
    met = asyncio.Barrier(2)

    async def lock(first: int, second: int) -> str:
        async with things.transaction() as tx:
            await tx.execute("SELECT 1 FROM thing WHERE id = $1 FOR UPDATE", first)
            await met.wait()
            return await tx.execute("SELECT 1 FROM thing WHERE id = $1 FOR UPDATE", second)

    results = await asyncio.gather(lock(1, 2), lock(2, 1), return_exceptions=True)
    assert {type(result) for result in results} == {str, Contended}


async def test_a_lock_not_had_in_time_is_contended(things: PostgresDatabase) -> None:
    async with things.transaction() as tx:
        await add(tx, 1)
        await tx.execute("SELECT 1 FROM thing FOR UPDATE")
        with pytest.raises(Contended):
            async with things.transaction() as other:
                await other.execute("SET LOCAL lock_timeout = '1ms'")
                await other.execute("LOCK TABLE thing")


async def test_a_statement_that_takes_too_long_is_stopped(db: PostgresDatabase) -> None:
    with pytest.raises(Unavailable, match="narrow the request"):
        async with db.transaction() as tx:
            await tx.execute("SET LOCAL statement_timeout = '1ms'")
            await tx.fetchval("SELECT pg_sleep(60)")


async def test_listeners_hear_of_commits_only_and_once_each(things: PostgresDatabase) -> None:
    heard: list[str] = []
    things.on_signal("ledger", lambda: heard.append("first"))
    things.on_signal("ledger", lambda: heard.append("second"))
    things.on_signal("other", lambda: heard.append("other"))
    async with things.transaction() as tx:
        tx.signal("ledger")
        tx.signal("ledger")
        tx.signal("nobody listens")
        assert heard == []
    assert heard == ["first", "second"]
    with pytest.raises(ZeroDivisionError):
        async with things.transaction() as tx:
            tx.signal("ledger")
            raise ZeroDivisionError
    assert heard == ["first", "second"]


async def test_a_listener_finds_the_row_committed_and_the_connection_free(
    db_url: str, things: PostgresDatabase
) -> None:
    single = await open_database(db_url, max_size=1)
    seen: asyncio.Queue[list[int]] = asyncio.Queue()
    tasks: list[asyncio.Task[None]] = []

    async def look() -> None:
        async with single.transaction() as tx:
            await seen.put([row["id"] for row in await tx.fetch("SELECT id FROM thing")])

    single.on_signal("ledger", lambda: tasks.append(asyncio.create_task(look())))
    async with single.transaction() as tx:
        await add(tx, 1)
        tx.signal("ledger")
    assert await seen.get() == [1]
    await tasks[0]
    await single.close()


async def test_a_lost_connection_is_the_database_down_and_the_next_request_works(
    db_url: str, things: PostgresDatabase
) -> None:
    single = await open_database(db_url, max_size=1)
    for read_only in (False, True):
        with pytest.raises(DatabaseDown):
            async with single.transaction(read_only=read_only) as tx:
                pid = await tx.fetchval("SELECT pg_backend_pid()")
                async with things.transaction() as killer:
                    assert await killer.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
                await tx.fetchval("SELECT 1")
        async with single.transaction(read_only=read_only) as tx:
            assert await tx.fetchval("SELECT 1") == 1
    await single.close()


async def test_no_free_connection_is_the_database_down(db_url: str) -> None:
    single = await open_database(db_url, max_size=1, wait_seconds=0.01)
    async with single.transaction():
        with pytest.raises(DatabaseDown):
            async with single.transaction():
                raise AssertionError
    async with single.transaction() as tx:
        assert await tx.fetchval("SELECT 1") == 1
    await single.close()


async def test_a_database_that_is_not_there_is_down_and_the_password_is_not_shown(
    postgres: EmbeddedPostgres,
) -> None:
    for url in (
        postgres.url_of("nowhere"),
        "postgresql://ada:hush@127.0.0.1:1/muniment",
        "postgresql://ada:hush@host.invalid/muniment",
    ):
        with pytest.raises(DatabaseDown, match="no answer from the database at") as raised:
            await open_database(url)
        assert "hush" not in str(raised.value)


def test_a_url_is_shown_without_its_password() -> None:
    assert without_password("postgresql://a:b@h/d") == "postgresql://a:***@h/d"
    assert without_password("postgresql://h/d?password=b") == "postgresql://h/d?password=***"
    assert without_password("postgresql://a@/d?host=/s") == "postgresql://a@/d?host=/s"


@pytest.fixture
async def watcher(db_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(db_url)
    yield connection
    await connection.close()


async def test_nothing_is_sent_but_what_was_asked(db_url: str, watcher: Any) -> None:
    """Neither BEGIN nor COMMIT around a read, and no reset after anything."""
    single = await open_database(db_url, max_size=1)
    last = "SELECT query FROM pg_stat_activity WHERE pid = $1"
    async with single.transaction(read_only=True) as tx:
        pid = await tx.fetchval("SELECT pg_backend_pid()")
    assert await watcher.fetchval(last, pid) == "SELECT pg_backend_pid()"
    async with single.transaction(read_only=True) as tx:
        await tx.fetchval("SELECT 1")
        state = "SELECT state FROM pg_stat_activity WHERE pid = $1"
        assert await watcher.fetchval(state, pid) == "idle"
    async with single.transaction() as tx:
        pid = await tx.fetchval("SELECT pg_backend_pid()")
    assert await watcher.fetchval(last, pid) == "COMMIT"
    await single.close()


async def test_sessions_start_as_the_registry_wants_them(db: PostgresDatabase) -> None:
    for read_only in (True, False):
        async with db.transaction(read_only=read_only) as tx:
            assert await tx.fetchval("SHOW timezone") == "UTC"
            assert await tx.fetchval("SHOW statement_timeout") == "30s"
            assert await tx.fetchval("SHOW application_name") == "muniment"


def test_it_runs_on_uvloop(pg_url: str) -> None:
    async def ask() -> object:
        database = await open_database(pg_url, max_size=2)
        try:
            async with database.transaction(read_only=True) as tx:
                return await tx.fetchval("SELECT 42")
        finally:
            await database.close()

    assert uvloop.run(ask()) == 42


def test_a_connection_caught_between_two_states_is_lost() -> None:
    said = "cannot switch to state 11; another operation (2) is in progress"
    with pytest.raises(DatabaseDown), translated():
        raise asyncpg.InternalClientError(said)
    with pytest.raises(asyncpg.InternalClientError), translated():
        raise asyncpg.InternalClientError("a mistake of the driver's, to be shown as one")
