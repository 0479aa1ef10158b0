"""Connections handed around: who waits, who makes one, and what is never used again."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import asyncpg
import pytest

from muniment.core.errors import Conflict
from muniment.server.ports.postgres import PostgresDatabase, open_database
from muniment.server.ports.postgres_pool import Pool

pytestmark = pytest.mark.timeout(60)


async def pool_of(db_url: str, max_size: int) -> Pool:
    return Pool(lambda: asyncpg.connect(db_url), max_size)


async def test_who_waits_is_served_in_turn(db_url: str) -> None:
    pool = await pool_of(db_url, 1)
    first = await pool.acquire(5)
    served: list[int] = []

    async def use(number: int) -> None:
        connection = await pool.acquire(30)
        assert connection is first
        served.append(number)
        pool.give_back(connection)

    waiting = [asyncio.create_task(use(number)) for number in range(4)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.sleep(0)
    pool.give_back(first)
    await asyncio.gather(*waiting, return_exceptions=True)
    assert served == [0, 2, 3]
    await pool.close()


async def test_a_connection_given_to_who_has_left_goes_to_the_next(db_url: str) -> None:
    pool = await pool_of(db_url, 1)
    first = await pool.acquire(5)
    gone, next_one = (asyncio.create_task(pool.acquire(30)) for _ in range(2))
    await asyncio.sleep(0)
    pool.give_back(first)  # `gone` has it from here on
    gone.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await gone
    assert await next_one is first
    pool.give_back(first)
    await pool.close()


async def test_a_place_left_is_taken_by_the_next_in_line(db_url: str) -> None:
    pool = await pool_of(db_url, 1)
    for spoil in ("closed", "inside a transaction"):
        connection = await pool.acquire(5)
        waiting = asyncio.create_task(pool.acquire(30))
        await asyncio.sleep(0)
        if spoil == "closed":
            await connection.close()
        else:
            await connection.execute("BEGIN")
        pool.give_back(connection)
        other = await waiting
        assert other is not connection
        assert await other.fetchval("SELECT 1") == 1
        pool.give_back(other)
    await pool.close()


async def test_a_connection_that_closed_while_idle_is_not_given(db_url: str) -> None:
    pool = await pool_of(db_url, 1)
    connection = await pool.acquire(5)
    pool.give_back(connection)
    connection.terminate()
    assert pool.take_idle() is None
    other = await pool.acquire(5)
    assert other is not connection
    pool.give_back(other)
    await pool.close()


async def test_one_that_cannot_be_made_leaves_its_place() -> None:
    tries = 0

    async def refused() -> Any:
        nonlocal tries
        tries += 1
        await asyncio.sleep(0)
        raise ConnectionRefusedError

    pool = Pool(refused, 1)
    asked = [asyncio.create_task(pool.acquire(5)) for _ in range(3)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(error) for error in found} == {ConnectionRefusedError}
    assert tries == 3
    await pool.close()


async def test_closing_waits_for_who_uses_one_and_serves_nobody_after(db_url: str) -> None:
    pool = await pool_of(db_url, 2)
    used, idle = await pool.acquire(5), await pool.acquire(5)
    pool.give_back(idle)
    closing = asyncio.create_task(pool.close())
    await asyncio.sleep(0.01)
    assert not closing.done()
    assert await used.fetchval("SELECT 1") == 1
    pool.give_back(used)
    await closing
    assert used.is_closed()
    assert idle.is_closed()
    with pytest.raises(asyncpg.InterfaceError):
        await pool.acquire(1)


# --- acts of one statement ---------------------------------------------------------------------


@pytest.fixture
async def things(db: PostgresDatabase, owner_db: PostgresDatabase) -> PostgresDatabase:
    async with owner_db.transaction() as tx:
        await tx.execute("CREATE TABLE thing (id int PRIMARY KEY)")
        await tx.execute("GRANT ALL ON thing TO muniment")
    return db


async def ids(db: PostgresDatabase) -> list[int]:
    async with db.transaction(read_only=True) as tx:
        return [row["id"] for row in await tx.fetch("SELECT id FROM thing ORDER BY id")]


_ADD = "INSERT INTO thing VALUES ($1) ON CONFLICT DO NOTHING RETURNING id"


async def test_an_act_of_one_statement_costs_one_round_trip(
    db_url: str, things: PostgresDatabase
) -> None:
    single = await open_database(db_url, max_size=1)
    async with single.transaction() as tx:
        pid = (await tx.peek("SELECT pg_backend_pid() AS pid"))["pid"]  # type: ignore[index]
        assert (await tx.finish(_ADD, 1))["id"] == 1  # type: ignore[index]
        assert await ids(things) == [1]  # committed before the block ends
    async with things.transaction(read_only=True) as tx:
        last = await tx.fetchval("SELECT query FROM pg_stat_activity WHERE pid = $1", pid)
    assert last == _ADD  # neither BEGIN nor COMMIT
    await single.close()


async def test_what_committed_stays_and_is_told_whatever_follows(things: PostgresDatabase) -> None:
    heard: list[str] = []
    things.on_signal("done", lambda: heard.append("done"))

    async def careless() -> None:
        async with things.transaction() as tx:
            await tx.finish(_ADD, 1)
            tx.signal("done")
            await tx.fetchval("SELECT 1")

    with pytest.raises(RuntimeError, match="the transaction is over"):
        await careless()
    assert await ids(things) == [1]
    assert heard == ["done"]


async def test_a_finish_that_wrote_nothing_goes_on(things: PostgresDatabase) -> None:
    async with things.transaction() as tx:
        await tx.execute("INSERT INTO thing VALUES (1)")
    async with things.transaction() as tx:
        assert await tx.finish(_ADD, 1) is None
        await tx.execute("INSERT INTO thing VALUES (2)")
        assert await tx.finish(_ADD, 3) is not None
        await tx.execute("INSERT INTO thing VALUES (4)")  # it had begun: a statement like others
    assert await ids(things) == [1, 2, 3, 4]


async def test_a_finish_inside_a_transaction_is_undone_with_it(things: PostgresDatabase) -> None:
    async def failing() -> None:
        async with things.transaction() as tx:
            await tx.execute("INSERT INTO thing VALUES (1)")
            await tx.finish(_ADD, 2)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()
    assert await ids(things) == []


async def test_a_finish_that_fails_writes_nothing(things: PostgresDatabase) -> None:
    with pytest.raises(Conflict):
        async with things.transaction() as tx:
            await tx.finish("INSERT INTO thing VALUES (1), (1) RETURNING id")
    assert await ids(things) == []
