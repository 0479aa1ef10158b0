"""Stored bytes are read again on a schedule, and what is wrong is said once."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import structlog

from muniment.core.digest import Digest, digest_of
from muniment.core.entry import time_text
from muniment.core.errors import BlobStoreDown
from muniment.server import artifacts
from muniment.server.artifacts import jobs
from muniment.server.artifacts.records import ScrubPass
from muniment.server.http.records import Role
from muniment.server.ledger.fsck import Options, fsck
from muniment.server.ledger.reads import tail
from muniment.server.ledger.records import Recorded, Report
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.db import Database
from muniment.server.ports.keys import Keys
from muniment.server.wiring import FOLDS
from tests.support.artifacts import House, fine, open_house

TREE = {"a.bin": b"a" * 100, "b.bin": b"b" * 100, "c.bin": b"c" * 100}
DIGESTS = sorted((digest_of(content) for content in TREE.values()), key=lambda one: one.raw)
PERIOD = dt.timedelta(days=7)


@pytest.fixture
async def house(
    db: Database, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[House]:
    async with open_house(db, blobs, keys, clock) as opened:
        await opened.sender().registered(TREE)
        yield opened


async def scrub(house: House, **options: Any) -> ScrubPass | None:
    return await jobs.scrub(house.registry.deps, **options)


async def acts(house: House) -> list[Recorded]:
    """What the scrub said in the log."""
    await house.settle()
    async with house.db.transaction(read_only=True) as tx:
        return [one for one in await tail(tx, limit=500) if one.actor.id == "scrub"]


async def report(house: House) -> Report:
    """What fsck says, with no sample: only suspects are read."""
    await house.settle()
    options = Options(
        keys=house.keys, origin=house.registry.deps.settings.origin, folds=FOLDS,
        suspects=artifacts.suspects, sample=0,
    )  # fmt: skip
    return await fsck(house.db, house.blobs, options)


async def test_a_pass_reads_everything_and_says_so_once(house: House) -> None:
    finished = await scrub(house)
    assert finished is not None
    assert (finished.blob_count, finished.size_bytes, finished.finding_count) == (3, 300, 0)
    assert await scrub(house) is None
    (said,) = await acts(house)
    assert said.act == "scrub.finish"
    assert said.payload == {
        "started_at": time_text(finished.started_at),
        "blob_count": 3,
        "size_bytes": 300,
        "finding_count": 0,
    }
    await house.check()


async def test_the_next_pass_begins_a_period_after_the_last(
    house: House, clock: FixedClock
) -> None:
    await scrub(house)
    clock.advance(PERIOD - dt.timedelta(seconds=1))
    assert await scrub(house) is None
    clock.advance(dt.timedelta(seconds=1))
    assert await scrub(house) is not None
    assert await scrub(house) is None
    assert await scrub(house, at_once=True) is not None
    assert len(await acts(house)) == 3


async def test_a_round_ends_and_the_next_goes_on(house: House, clock: FixedClock) -> None:
    seen = []
    for _ in range(4):
        under_way = await scrub(house, round_bytes=100)
        assert under_way is not None
        seen.append((under_way.blob_count, under_way.cursor, under_way.finished_at is not None))
        clock.advance(dt.timedelta(minutes=10))
    assert seen == [
        *((count + 1, DIGESTS[count].raw, False) for count in range(3)),
        (3, DIGESTS[2].raw, True),
    ]


async def test_what_is_due_by_the_schedule_is_read_in_one_round(
    house: House, clock: FixedClock
) -> None:
    await scrub(house, round_bytes=1)
    clock.advance(PERIOD * 2 / 3)
    under_way = await scrub(house, round_bytes=1)
    assert under_way is not None
    assert (under_way.blob_count, under_way.finished_at) == (2, None)


async def test_two_servers_do_not_read_at_once(house: House, clock: FixedClock) -> None:
    class Meanwhile:
        """A store during whose first read another server's round begins."""

        def __init__(self) -> None:
            self.other: ScrubPass | str | None = "not asked"

        def __getattr__(self, name: str) -> Any:
            return getattr(house.blobs, name)

        async def read(self, digest: Digest) -> AsyncIterator[bytes]:
            if self.other == "not asked":
                self.other = None
                self.other = await scrub(house)
            async for chunk in house.blobs.read(digest):
                yield chunk

    blobs = Meanwhile()
    slow: Any = dataclasses.replace(house.registry.deps, blobs=blobs)  # type: ignore[arg-type]
    assert await jobs.scrub(slow) is not None
    assert blobs.other is None
    del clock


async def test_a_changed_blob_is_one_finding_until_it_heals(
    house: House, blobs: FakeBlobs, clock: FixedClock
) -> None:
    digest = digest_of(TREE["b.bin"])
    blobs.blobs[digest] = b"B" * 100
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            await scrub(house, at_once=True)
            clock.advance(dt.timedelta(days=1))
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["blob_damaged"]
    failed = [one for one in await acts(house) if one.act != "scrub.finish"]
    (fail,) = failed
    assert (fail.act, fail.subject.id, fail.subject.name) == (
        "blob.fail", digest.hex, "thing@1.0.0: b.bin",
    )  # fmt: skip
    assert fail.payload == {"problem": "changed", "version_count": 1}
    (finding,) = (await report(house)).findings
    assert (finding.kind, str(digest) in finding.where) == ("blob", True)
    blobs.blobs[digest] = TREE["b.bin"]
    assert await scrub(house) is None, "no pass is due; what was wrong is looked at all the same"
    heal = (await acts(house))[-1]
    assert (heal.act, heal.payload) == ("blob.heal", {"failed_by": str(fail.id)})
    await house.check()
    blobs.blobs[digest] = b"B" * 100
    await scrub(house, at_once=True)
    assert [one.act for one in await acts(house)].count("blob.fail") == 2


async def test_a_missing_or_cut_blob_is_found(house: House, blobs: FakeBlobs) -> None:
    missing, cut = digest_of(TREE["a.bin"]), digest_of(TREE["c.bin"])
    kept = blobs.blobs.pop(missing)
    blobs.blobs[cut] = TREE["c.bin"][:50]
    finished = await scrub(house)
    assert finished is not None
    assert finished.finding_count == 2
    shown = fine(await house.registry.as_(Role.AUDITOR).get("/api/v1/scrub"))
    assert {(one["sha256"], one["problem"], one["needed_for"]) for one in shown["findings"]} == {
        (missing.hex, "missing", "thing@1.0.0: a.bin"),
        (cut.hex, "changed", "thing@1.0.0: c.bin"),
    }
    assert shown["last_full_pass"]["finding_count"] == 2
    assert (shown["under_way"], shown["more_findings"]) == (None, False)
    metrics = (await house.registry.as_(Role.AUDITOR).get("/metrics")).text.splitlines()
    assert "muniment_blobs_damaged 2.0" in metrics
    assert "muniment_scrub_read_bytes 300.0" in metrics
    blobs.blobs |= {missing: kept, cut: TREE["c.bin"]}
    await scrub(house)
    shown = fine(await house.registry.as_(Role.AUDITOR).get("/api/v1/scrub"))
    assert shown["findings"] == []


async def test_it_is_for_observers(house: House) -> None:
    assert (await house.registry.anonymous.get("/api/v1/scrub")).status_code == 401
    assert (await house.registry.as_(Role.PUBLISHER).get("/api/v1/scrub")).status_code == 403
    shown = fine(await house.registry.as_(Role.AUDITOR).get("/api/v1/scrub"))
    assert shown == {
        "last_full_pass": None,
        "under_way": None,
        "period_seconds": 7 * 86400,
        "findings": [],
        "more_findings": False,
    }


async def test_a_store_that_does_not_answer_is_no_finding(house: House, blobs: FakeBlobs) -> None:
    blobs.fail("read", BlobStoreDown())
    with pytest.raises(BlobStoreDown):
        await scrub(house)
    assert await acts(house) == []
    assert (await scrub(house)) is not None


async def test_an_empty_store_says_nothing(
    db: Database, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> None:
    async with open_house(db, blobs, keys, clock) as empty:
        assert await scrub(empty, at_once=True) is None
        assert await acts(empty) == []


async def test_a_finding_is_not_removed_quietly(
    house: House, blobs: FakeBlobs, superuser: Any
) -> None:
    blobs.blobs[DIGESTS[0]] = b"x"
    await scrub(house)
    blobs.blobs[DIGESTS[0]] = next(c for c in TREE.values() if digest_of(c) == DIGESTS[0])
    for sql, table in (
        ("UPDATE blob_finding SET healed_at = now()", "blob_finding"),
        ("DELETE FROM blob_finding", "blob_finding"),
        ("UPDATE scrub_pass SET finding_count = 0", "scrub_pass"),
    ):
        await superuser.execute(sql)
        findings = (await report(house)).findings
        assert any(one.where.startswith(f"{table}, row") for one in findings), sql


async def test_triggers_refuse_to_change_findings(house: House, blobs: FakeBlobs) -> None:
    blobs.blobs[DIGESTS[0]] = b"x"
    await scrub(house)
    for sql in (
        "DELETE FROM blob_finding",
        "UPDATE blob_finding SET problem = 'missing'",
        "UPDATE blob_finding SET digest = sha256('')",
    ):
        with pytest.raises(asyncpg.RestrictViolationError):
            async with house.registry.deps.db.transaction() as tx:
                await tx.execute(sql)


@pytest.mark.parametrize(
    "sql", ["UPDATE blob SET format = 'safetensors'", "UPDATE blob SET executable = NOT executable"]
)
async def test_fsck_names_a_blob_that_is_said_to_be_something_else(
    house: House, superuser: Any, sql: str
) -> None:
    """What a file is goes into every registration of it: it is read from its bytes again."""
    await house.check()
    await superuser.execute(sql)
    with pytest.raises(AssertionError, match="columns format and executable"):
        await house.check()
