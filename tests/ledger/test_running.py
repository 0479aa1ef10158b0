"""The sequencer left to run: woken, polled, stopped, doubled, killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from muniment.core.errors import LogInconsistent
from muniment.server.ledger.fsck import Options, fsck
from muniment.server.ledger.sequencer import GUARD_KEY, Sequencer
from muniment.server.ports.blobs_local import open_local_blobs
from muniment.server.ports.postgres import PostgresDatabase, open_database
from tests.support.keys import MemoryKeys
from tests.support.ledger import ORIGIN, Log

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def elsewhere(db_url: str) -> AsyncIterator[PostgresDatabase]:
    """The same database as another process has it: nothing is signalled across."""
    database = await open_database(db_url, mac=MemoryKeys().entry.mac, min_size=0, max_size=3)
    yield database
    await database.close()


@asynccontextmanager
async def running(sequencer: Sequencer) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(sequencer.run())
    try:
        yield task
    finally:
        sequencer.stop()
        await task


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    """Wait for what another process does; there is nothing to be told by."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def published(log: Log, size: int) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        async with log.db.transaction(read_only=True) as tx:
            return bool(
                await tx.fetchval(
                    "SELECT EXISTS (SELECT FROM ledger_checkpoint "
                    "WHERE size = $1 AND published_at IS NOT NULL)",
                    size,
                )
            )

    return holds


async def test_a_commit_wakes_it_and_stop_ends_it(log: Log) -> None:
    shown = asyncio.Event()
    log.db.on_signal("ledger.published", shown.set)
    async with running(log.sequencer()):
        for _ in range(3):
            shown.clear()
            await log.append(2)
            await asyncio.wait_for(shown.wait(), 5)
    assert await log.audit() == 6


async def test_commits_of_other_processes_are_polled(log: Log, elsewhere: PostgresDatabase) -> None:
    async with running(log.sequencer(elsewhere)):
        await log.append(2)
        await until(published(log, 2))
    assert await log.audit() == 2


async def test_a_store_that_comes_back_is_used_again(log: Log) -> None:
    log.faults.name = "swap guard/checkpoint"
    async with running(log.sequencer()):
        await log.append(2)
        await until(published(log, 2))
    assert log.faults.name is None
    assert await log.audit() == 2


async def test_two_sequencers_make_one_tree(log: Log, elsewhere: PostgresDatabase) -> None:
    async with running(log.sequencer()), running(log.sequencer(elsewhere)):
        for _ in range(10):
            await log.append(20)
        await until(published(log, 200))
    assert await log.audit() == 200


async def test_the_second_takes_over(log: Log, elsewhere: PostgresDatabase) -> None:
    first = asyncio.create_task(log.sequencer().run())
    await log.append(5)
    await until(published(log, 5))
    async with running(log.sequencer(elsewhere)):
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await log.append(5)
        await until(published(log, 10))
    assert await log.audit() == 10


async def test_both_stepping_at_once_harms_nothing(log: Log) -> None:
    """Without the lock, as if it were lost unnoticed: one of them may fail, the tree may not."""
    one, two = log.sequencer(), log.sequencer()
    for _ in range(5):
        await log.append(30)
        await asyncio.gather(one.step(), two.step(), return_exceptions=True)
    await log.settle()
    assert await log.audit() == 150


async def test_an_inconsistent_log_stops_it(log: Log) -> None:
    await log.append(2)
    await log.settle()
    await log.blobs.delete_object(GUARD_KEY)
    with pytest.raises(LogInconsistent):
        await log.sequencer().run()


@pytest.mark.slow
async def test_kill_at_any_moment(log: Log, db_url: str, tmp_path: Path) -> None:
    """Killed with no warning, 12 times, while entries keep coming."""
    log.blobs = open_local_blobs(tmp_path / "blobs")
    dice = random.Random(7)
    for _ in range(12):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.support.sequencing",
            db_url,
            str(tmp_path / "blobs"),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        appending = asyncio.create_task(_keep_appending(log, dice))
        await asyncio.sleep(dice.uniform(0.0, 0.25))
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        appending.cancel()
        await asyncio.wait([appending])
        await log.resume()
        await log.audit()
    await log.settle()
    assert await log.audit() == len(log.appended)
    options: Any = Options(keys=log.keys, origin=ORIGIN)
    assert (await fsck(log.db, log.blobs, options)).findings == []


async def _keep_appending(log: Log, dice: random.Random) -> None:
    while True:
        await log.append(dice.choice([1, 1, 3, 40, 300]))
