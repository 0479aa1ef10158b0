"""The sequencer, step by step: order, batches, faults, recovery, the fork guard.

The fault table: each write x {fails, fails but persisted} x {continue, reload}, then the whole
log is audited by code that shares nothing with it.
"""

from __future__ import annotations

from typing import Any

import pytest

from muniment.core.errors import LogBusy, LogInconsistent, Unavailable
from muniment.server.ledger import append
from muniment.server.ledger.sequencer import GUARD_KEY
from tests.support.ledger import Log, an_entry


async def test_what_is_appended_is_placed_and_shown(log: Log) -> None:
    await log.append(3)
    assert await log.sequencer().step() == 3
    assert await log.audit() == 3


async def test_nothing_appended_nothing_signed(log: Log) -> None:
    assert await log.sequencer().step() == 0
    assert await log.audit() == 0
    assert await log.blobs.get_object(GUARD_KEY) is None


async def test_many_batches_make_one_tree(log: Log) -> None:
    sequencer = log.sequencer()
    for count in (1, 1, 254, 1, 300, 700):
        await log.append(count)
        assert await sequencer.step() == count
        assert await log.audit() == len(log.appended)


async def test_an_entry_that_is_rolled_back_never_was(log: Log) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 -- the block is the transaction
        async with log.db.transaction() as tx:
            await append(tx, an_entry(log.clock))
            raise ZeroDivisionError
    await log.append(1)
    await log.settle()
    assert await log.audit() == 1


# 250 leaves before, 550 after: two tiles filled, one begun, one level up begun.
WRITES = [
    "commit leaves",
    "put log/tile/0/000",
    "put log/tile/entries/000",
    "put log/tile/0/001",
    "put log/tile/entries/001",
    "put log/tile/0/002.p/38",
    "put log/tile/entries/002.p/38",
    "put log/tile/1/000.p/2",
    "swap guard/checkpoint",
    "commit published",
]
#: Superseded partial tiles: what fails here stays behind and harms nothing.
TOLERATED = ["delete log/tile/0/000.p/250", "delete log/tile/entries/000.p/250"]


async def test_the_fault_table_is_complete(log: Log) -> None:
    await log.append(250)
    await log.settle()
    log.faults.seen.clear()
    await log.append(300)
    sequencer = log.sequencer()
    await sequencer.step()
    await sequencer.sweep()
    assert sorted(log.faults.seen) == sorted(WRITES + TOLERATED)


@pytest.mark.parametrize("persisted", [False, True], ids=["fails", "fails-but-persisted"])
@pytest.mark.parametrize("reload", [False, True], ids=["continue", "reload"])
@pytest.mark.parametrize("write", WRITES + TOLERATED)
async def test_any_write_may_fail(log: Log, write: str, persisted: bool, reload: bool) -> None:
    await log.append(250)
    sequencer = log.sequencer()
    await sequencer.step()
    await log.append(300)
    log.faults.name, log.faults.persisted = write, persisted
    if write in TOLERATED:
        assert await sequencer.step() == 300
        await sequencer.sweep()
    else:
        with pytest.raises(Unavailable):
            await sequencer.step()
    assert log.faults.name is None, "the fault never struck"
    shown = await log.audit()
    assert shown in (250, 550)
    if reload:
        sequencer = log.sequencer()
    await log.append(5)
    await sequencer.step()
    assert await sequencer.step() == 0
    assert await log.audit() == 555


@pytest.mark.parametrize("persisted", [False, True], ids=["fails", "fails-but-persisted"])
@pytest.mark.parametrize("write", ["commit leaves", "swap guard/checkpoint", "commit published"])
async def test_the_first_checkpoint_may_fail_too(log: Log, write: str, persisted: bool) -> None:
    await log.append(3)
    log.faults.name, log.faults.persisted = write, persisted
    with pytest.raises(Unavailable):
        await log.sequencer().step()
    await log.sequencer().step()
    assert await log.audit() == 3


async def test_partial_tiles_go_once_the_full_tile_is_there(log: Log) -> None:
    sequencer = log.sequencer()
    for count in (100, 100, 100):
        await log.append(count)
        await sequencer.step()
        await sequencer.sweep()
    keys = [found.key async for found in log.blobs.list_objects("log/tile/")]
    assert keys == [
        "log/tile/0/000",
        "log/tile/0/001.p/44",
        "log/tile/1/000.p/1",
        "log/tile/entries/000",
        "log/tile/entries/001.p/44",
    ]


async def test_partial_tiles_that_a_crash_left_go_at_the_next_start(log: Log) -> None:
    for count in (200, 100):
        await log.append(count)
        await log.settle()
    later = log.sequencer()
    await later.step()
    await later.sweep()
    keys = [found.key async for found in log.blobs.list_objects("log/tile/0/000")]
    assert keys == ["log/tile/0/000"]


async def test_a_restored_backup_is_refused(log: Log, superuser: Any) -> None:
    await log.append(5)
    await log.settle()
    ahead = await log.blobs.get_object(GUARD_KEY)
    assert ahead is not None
    await _forget_everything(log, superuser)
    with pytest.raises(LogInconsistent, match=r"has 0 leaves .* but 5 .* backup"):
        await log.sequencer().step()
    await log.append(9)  # it may not outgrow the guard either
    with pytest.raises(LogInconsistent, match="backup"):
        await log.sequencer().step()
    assert await log.blobs.get_object(GUARD_KEY) == ahead


async def test_another_log_of_the_same_size_is_refused(log: Log, superuser: Any) -> None:
    await log.append(5)
    await log.settle()
    guard = await log.blobs.get_object(GUARD_KEY)
    assert guard is not None
    await _forget_everything(log, superuser)
    await log.blobs.delete_object(GUARD_KEY)
    await log.append(7)
    await log.settle()
    await log.blobs.put_object(GUARD_KEY, guard)
    with pytest.raises(LogInconsistent, match="this is another log"):
        await log.sequencer().step()


async def test_a_guard_that_is_gone_or_foreign_is_refused(log: Log) -> None:
    await log.append(5)
    await log.settle()
    await log.blobs.put_object(GUARD_KEY, b"log.example\n5\nAAAA\n\n")
    with pytest.raises(LogInconsistent, match="should hold a checkpoint signed by"):
        await log.sequencer().step()
    await log.blobs.delete_object(GUARD_KEY)
    with pytest.raises(LogInconsistent, match="fork guard in the blob store is gone"):
        await log.sequencer().step()


async def test_a_guard_that_lags_is_caught_up(log: Log) -> None:
    await log.append(5)
    await log.settle()
    older = await log.blobs.get_object(GUARD_KEY)
    assert older is not None
    await log.append(5)
    await log.settle()
    await log.blobs.put_object(GUARD_KEY, older)  # the blob store's own backup
    await log.append(1)
    await log.settle()
    assert await log.audit() == 11


@pytest.mark.parametrize(
    ("forgery", "message"),
    [
        ("DELETE FROM ledger_leaf WHERE leaf_index = 4", "is for 5 leaves, found 4 in ledger_leaf"),
        ("UPDATE ledger_checkpoint SET root = sha256('')", "has the root e3b0c4.*, the tiles have"),
        ("DELETE FROM ledger_tile", "should have at least 5 hashes, found 0"),
    ],
)
async def test_tables_that_contradict_each_other_are_not_built_on(
    log: Log, superuser: Any, forgery: str, message: str
) -> None:
    await log.append(5)
    await log.settle()
    await superuser.execute(forgery)
    await log.append(1)
    with pytest.raises(LogInconsistent, match=message):
        await log.sequencer().step()


async def test_a_guard_somebody_else_moved_is_read_again(log: Log) -> None:
    await log.append(5)
    await log.settle()
    older = await log.blobs.get_object(GUARD_KEY)
    assert older is not None
    sequencer = log.sequencer()
    await log.append(1)
    await sequencer.step()
    await log.blobs.put_object(GUARD_KEY, older)
    await log.append(1)
    with pytest.raises(LogBusy, match="another sequencer moved the fork guard"):
        await sequencer.step()
    await sequencer.step()
    assert await log.audit() == 7


async def _forget_everything(log: Log, superuser: Any) -> None:
    """Make the database what an early backup was."""
    await superuser.execute(
        "TRUNCATE ledger_entry, ledger_pending, ledger_leaf, ledger_tile, ledger_checkpoint"
    )
    log.appended.clear()
