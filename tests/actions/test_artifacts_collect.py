"""Bytes that nothing names are removed; whatever names them keeps them, also at the last moment."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from muniment.core.digest import Digest, digest_of
from muniment.core.errors import BlobStoreDown
from muniment.server.artifacts import jobs, store
from muniment.server.ledger.reads import tail
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.db import Database, Tx
from muniment.server.ports.keys import Keys
from muniment.server.wiring import KEEPERS
from tests.support.artifacts import House, fine, open_house

TREE = {"model.bin": b"named by a version"}
LOOSE = b"sent and never registered"
WEEK = dt.timedelta(days=7)
LONG = dt.timedelta(days=30)


@pytest.fixture
async def house(
    db: Database, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[House]:
    async with open_house(db, blobs, keys, clock) as opened:
        yield opened


async def collect(
    house: House, *, dry_run: bool = False, older_than: dt.timedelta = WEEK
) -> list[Digest]:
    batches = jobs.collect(house.registry.deps, KEEPERS, older_than=older_than, dry_run=dry_run)
    return [one.digest async for batch in batches for one in batch.blobs]


async def forget_uploads(house: House, clock: FixedClock) -> None:
    """Have sessions be over, and so long ago that their rows are gone."""
    clock.advance(LONG)
    await jobs.sweep_uploads(house.registry.deps)
    await jobs.sweep_uploads(house.registry.deps)


async def test_only_what_nothing_names_goes(
    house: House, blobs: FakeBlobs, clock: FixedClock
) -> None:
    await house.sender().registered(TREE)
    await house.sender().send(LOOSE)
    assert await collect(house) == [], "its session may yet register it"
    await forget_uploads(house, clock)
    assert await collect(house, older_than=LONG * 2) == [], "it is not old enough"
    assert await collect(house, dry_run=True) == [digest_of(LOOSE)]
    assert digest_of(LOOSE) in blobs.blobs
    assert await collect(house) == [digest_of(LOOSE)]
    assert list(blobs.blobs) == [digest_of(TREE["model.bin"])]
    assert await collect(house) == []
    await house.check()
    async with house.db.transaction(read_only=True) as tx:
        act = (await tail(tx, limit=100))[-1]
    assert (act.act, act.actor.id) == ("blob.collect", "collector")
    assert act.payload == {
        "blobs": {digest_of(LOOSE).hex: len(LOOSE)},
        "older_than_seconds": 7 * 86400,
    }


async def test_what_was_collected_may_be_sent_again(
    house: House, blobs: FakeBlobs, clock: FixedClock
) -> None:
    await house.sender().send(LOOSE)
    await forget_uploads(house, clock)
    await collect(house)
    assert blobs.blobs == {}
    await house.sender().registered({"a": LOOSE})
    await forget_uploads(house, clock)
    assert await collect(house) == []
    await house.check()


async def test_it_goes_on_where_the_store_failed(
    house: House, blobs: FakeBlobs, clock: FixedClock
) -> None:
    await house.sender().send(LOOSE)
    await forget_uploads(house, clock)
    blobs.fail("delete_blob", BlobStoreDown())
    with pytest.raises(BlobStoreDown):
        await collect(house)
    async with house.db.transaction(read_only=True) as tx:
        assert await tx.fetchval("SELECT count(*) FROM blob") == 1, "nothing was committed"
    assert await collect(house) == [digest_of(LOOSE)]
    await house.check()


async def test_many_are_removed_batch_by_batch(
    house: House, blobs: FakeBlobs, clock: FixedClock
) -> None:
    await house.sender().send(*(b"%d" % n for n in range(250)))
    await forget_uploads(house, clock)
    batches = jobs.collect(house.registry.deps, KEEPERS, older_than=WEEK, dry_run=False)
    assert [len(batch.blobs) async for batch in batches] == [100, 100, 50]
    assert blobs.blobs == {}


async def test_what_is_named_at_the_last_moment_stays(
    house: House, blobs: FakeBlobs, clock: FixedClock
) -> None:
    """Registered after the collector looked, and before it had the lock."""
    await house.sender().send(LOOSE)
    await forget_uploads(house, clock)
    registered = False

    async def slow(_tx: Tx, _digests: Sequence[Digest]) -> set[Digest]:
        nonlocal registered
        if not registered:
            registered = True
            await house.sender().registered({"a": LOOSE})
        return set()

    batches = jobs.collect(house.registry.deps, [*KEEPERS, slow], older_than=WEEK, dry_run=False)
    assert [batch async for batch in batches] == []
    assert digest_of(LOOSE) in blobs.blobs
    await house.check()


async def test_who_seals_what_is_being_removed_is_told_to_send_it_again(
    house: House, blobs: FakeBlobs, clock: FixedClock
) -> None:
    """The same bytes arrive while the collector removes them: never a blob without its bytes."""
    await house.sender().send(LOOSE)
    await forget_uploads(house, clock)
    sender = house.sender()
    upload_id = await sender.open()
    fine(await sender.declare(upload_id, LOOSE))
    removing, go_on = asyncio.Event(), asyncio.Event()

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(blobs, name)

        async def delete_blob(self, digest: Digest) -> None:
            removing.set()
            await go_on.wait()
            await blobs.delete_blob(digest)

    slow: Any = Slow()
    deps = dataclasses.replace(house.registry.deps, blobs=slow)

    async def run() -> None:
        async for _ in jobs.collect(deps, KEEPERS, older_than=WEEK, dry_run=False):
            pass

    # The session's row names the digest only once it is sent: hide it from the keepers till then.
    async with house.db.transaction() as tx:
        await tx.execute("DELETE FROM upload_blob WHERE digest = $1", digest_of(LOOSE).raw)
    collecting = asyncio.create_task(run())
    await removing.wait()
    fine(await sender.declare(upload_id, LOOSE))
    sending = asyncio.create_task(sender.put(upload_id, LOOSE))
    await asyncio.sleep(0.05)
    assert not sending.done(), "it waits for the collector"
    go_on.set()
    await collecting
    assert (await sending).status_code == 409
    assert fine(await sender.put(upload_id, LOOSE))["state"] == "held"
    assert blobs.blobs == {digest_of(LOOSE): LOOSE}
    fine(await sender.register({"a": LOOSE}, upload_id=upload_id))
    await house.check()


async def test_findings_of_what_is_collected_end(
    house: House, blobs: FakeBlobs, clock: FixedClock
) -> None:
    await house.sender().send(LOOSE)
    await forget_uploads(house, clock)
    blobs.blobs[digest_of(LOOSE)] = b"changed"
    await jobs.scrub(house.registry.deps)
    async with house.db.transaction(read_only=True) as tx:
        assert len(await store.open_findings(tx, 9)) == 1
    assert await collect(house) == [digest_of(LOOSE)]
    async with house.db.transaction(read_only=True) as tx:
        assert await tx.fetchval("SELECT count(*) FROM blob_finding WHERE healed_at IS NULL") == 0
    await house.check()
