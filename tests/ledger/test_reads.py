"""Histories, pages, proofs; what is not published is neither shown nor proved."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from typing import Any

import pytest

from muniment.core import merkle
from muniment.core.errors import BadProof, LogBusy, NotFound
from muniment.server.ledger import Actor, Subject, entry, find_entry, history, reads, receipt, tail
from muniment.server.ledger.tiles import EMPTY, grow
from tests.support.ledger import Log, mth


@pytest.fixture
async def hashes(log: Log) -> list[bytes]:
    """Leaf hashes of a log of 700 entries in three batches."""
    for count in (10, 390, 300):
        await log.append(count)
        await log.settle()
    async with log.db.transaction(read_only=True) as tx:
        rows = await tx.fetch("SELECT leaf_hash FROM ledger_leaf ORDER BY leaf_index")
    return [row["leaf_hash"] for row in rows]


async def test_every_leaf_of_every_published_tree_can_be_proved(
    log: Log, hashes: list[bytes]
) -> None:
    async with log.db.transaction(read_only=True) as tx:
        for size in (1, 10, 255, 256, 257, 512, 700):
            root = mth(hashes[:size])
            for index in {0, size // 2, size - 1}:
                proof = await reads.inclusion(tx, index, size)
                merkle.verify_inclusion(hashes[index], index, size, proof.hashes, root)
            for old in (0, 1, 10, 255, 256, 400, size):
                if old <= size:
                    steps = await reads.consistency(tx, old, size)
                    roots = mth(hashes[:old]), root
                    merkle.verify_consistency(old, size, *roots, steps.hashes)
        newest = await reads.inclusion(tx, 3)
        assert (newest.index, newest.size) == (3, 700)
        assert (await reads.consistency(tx, 10)).new == 700


async def test_what_cannot_be_proved_is_refused(log: Log, hashes: list[bytes]) -> None:
    async with log.db.transaction(read_only=True) as tx:
        for wrong in ((700, 700), (-1, 5), (0, -1)):
            with pytest.raises(BadProof):
                await reads.inclusion(tx, *wrong)
        with pytest.raises(BadProof):
            await reads.consistency(tx, 9, 5)
        with pytest.raises(BadProof, match="at most 700 now"):
            await reads.inclusion(tx, 0, 701)
        with pytest.raises(BadProof, match="at most 700 now"):
            await reads.consistency(tx, 0, 701)


async def test_a_tree_that_is_coming_is_worth_waiting_for(log: Log) -> None:
    await log.append(2)
    await log.settle()
    await log.append(1)
    async with log.db.transaction(read_only=True) as tx:
        with pytest.raises(LogBusy, match="not 3 yet"):
            await reads.consistency(tx, 2, 3)
        with pytest.raises(BadProof):
            await reads.consistency(tx, 2, 4)


async def test_before_the_first_checkpoint_there_is_none(log: Log) -> None:
    (entry_id,) = await log.append(1)
    async with log.db.transaction(read_only=True) as tx:
        with pytest.raises(LogBusy, match="no checkpoint yet"):
            await reads.checkpoint(tx)
        with pytest.raises(LogBusy, match="waits for its checkpoint"):
            await receipt(tx, entry_id)
        assert await reads.log_since(tx) is None


async def test_what_is_signed_and_unpublished_is_not_shown(log: Log) -> None:
    await log.append(2)
    await log.settle()
    (entry_id,) = await log.append(1)
    log.faults.name = "swap guard/checkpoint"
    with pytest.raises(Exception, match="blob store"):
        await log.sequencer().step()
    async with log.db.transaction(read_only=True) as tx:
        assert (await entry(tx, entry_id)).index == 2
        assert (await reads.checkpoint(tx)).size == 2
        with pytest.raises(LogBusy):
            await receipt(tx, entry_id)
        with pytest.raises(LogBusy):
            await reads.inclusion(tx, 2, 3)


async def test_nothing_is_found_under_an_unknown_id(log: Log) -> None:
    async with log.db.transaction(read_only=True) as tx:
        for read in (entry, receipt):
            with pytest.raises(NotFound):
                await read(tx, uuid.UUID(int=1))


async def test_the_tail_pages_in_leaf_order(log: Log) -> None:
    await log.append(5)
    await log.settle()
    await log.append(1)  # waits: not in the tail
    async with log.db.transaction(read_only=True) as tx:
        first = await tail(tx, limit=3)
        second = await tail(tx, first[-1].index or 0, 3)
        assert await tail(tx, as_of=log.clock.now() - dt.timedelta(seconds=1)) == []
    assert [each.id for each in first + second] == log.appended[:5]
    assert [each.index for each in first + second] == [0, 1, 2, 3, 4]


async def test_histories_are_newest_first(log: Log) -> None:
    asset_id = uuid.UUID(int=9)
    asset = Subject("asset", "a1", "fraud", asset_id)
    version = Subject("version", "v1", "fraud@1.0.0", asset_id)
    eve = Actor("person", "eve")
    ids = [*await log.append(2, subject=asset)]
    start = log.clock.now()
    log.clock.advance(dt.timedelta(hours=1))
    ids += await log.append(2, subject=version, actor=eve)
    await log.append(1)
    async with log.db.transaction(read_only=True) as tx:
        of_asset = await history(tx, asset_id=asset_id, limit=3)
        rest = await history(tx, asset_id=asset_id, before=of_asset[-1].id)
        assert [each.id for each in of_asset + rest] == ids[::-1]
        of_version = await history(tx, subject=("version", "v1"))
        assert [each.id for each in of_version] == ids[:1:-1]
        assert await history(tx, actor_id="eve") == of_version
        assert [each.id for each in await history(tx, asset_id=asset_id, as_of=start)] == ids[1::-1]
        assert await find_entry(tx, subject=("version", "v1"), act="thing.make") == ids[2]
        assert await find_entry(tx, subject=("version", "v1"), act="thing.lose") is None


class Counting:
    """Counts the statements of a read."""

    def __init__(self, tx: Any) -> None:
        self.tx = tx
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        self.count += 1
        return getattr(self.tx, name)


async def test_a_proof_takes_two_statements_in_a_tree_of_ten_million(
    log: Log, superuser: Any
) -> None:
    """Only the tiles of the right edge and of one path are made; the rest is never read."""
    size, index = 10_000_000, 1_234_567
    tiles: dict[tuple[int, int], bytes] = {}
    for make in (
        lambda subtree: merkle.inclusion_proof_from(index, size, subtree),
        lambda subtree: subtree(0, size),
    ):
        for tile in merkle.tiles_for(size, make):
            hashes = (
                hashlib.sha256(f"{tile.level} {tile.index} {at}".encode()).digest()
                for at in range(tile.width)
            )
            tiles[tile.level, tile.index] = b"".join(hashes)
    rows = [(level, number, data) for (level, number), data in tiles.items()]
    await superuser.copy_records_to_table("ledger_tile", records=rows)
    await superuser.execute(
        "INSERT INTO ledger_checkpoint VALUES ($1, $2, 'note', now(), now())", size, bytes(32)
    )
    async with log.db.transaction(read_only=True) as tx:
        counting: Any = Counting(tx)
        proof = await reads.inclusion(counting, index)
    assert counting.count == 2
    assert 20 <= len(proof.hashes) <= 24


def test_growing_in_any_steps_gives_one_tree() -> None:
    hashes = [hashlib.sha256(b"%d" % number).digest() for number in range(70_000)]
    edge = EMPTY
    for count in (1, 254, 1, 1, 255, 65_024, 1, 2048, 2415):
        edge, _ = grow(edge, hashes[edge.size : edge.size + count])
        assert edge.root() == merkle.root_hash(hashes[: edge.size])
    assert edge.size == 70_000
