"""The ledger alone, durable (fsync on): `python -m bench.ledger`.

Prints: governed transactions (one entry each) from 16 tasks; the sequencer's own speed over a
backlog; how long after its commit an entry's receipt can be had, at rest and under load; and the
time of a proof in a tree of ten million leaves.
"""

from __future__ import annotations

import asyncio
import hashlib
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg

from muniment.core import merkle
from muniment.core.errors import LogBusy
from muniment.server import migrations
from muniment.server.ledger import Actor, Entry, Subject, append, reads
from muniment.server.ledger.sequencer import Sequencer
from muniment.server.ports import embedded_postgres
from muniment.server.ports.blobs_local import open_local_blobs
from muniment.server.ports.clock import SystemClock
from muniment.server.ports.key_files import open_keys
from muniment.server.ports.postgres import PostgresDatabase, open_database

ADA = Actor("person", "ada")
CLOCK = SystemClock()
PAYLOAD = {"note": "x" * 200, "metrics": {"auc": 0.91, "f1": 0.84}}


def an_entry() -> Entry:
    subject = Subject("version", "v1", "fraud-detector@1.0.0")
    return Entry(CLOCK.new_id(), CLOCK.now(), "version.annotate", ADA, subject, PAYLOAD)


async def append_alone(db: PostgresDatabase, count: int) -> None:
    for _ in range(count):
        async with db.transaction() as tx:
            await append(tx, an_entry())


async def backlog(db: PostgresDatabase, sequencer: Sequencer, count: int) -> float:
    """Entries per second from the queue to a published checkpoint."""
    async with db.transaction() as tx:
        for _ in range(count):
            await append(tx, an_entry())
    start = time.perf_counter()
    while await sequencer.step():
        pass
    return count / (time.perf_counter() - start)


async def latency(db: PostgresDatabase, count: int, pause: float) -> list[float]:
    """Milliseconds from an entry's commit to its receipt."""
    found = []
    for _ in range(count):
        entry = an_entry()
        async with db.transaction() as tx:
            await append(tx, entry)
        start = time.perf_counter()
        while True:
            try:
                async with db.transaction(read_only=True) as tx:
                    await reads.receipt(tx, entry.id)
                break
            except LogBusy:
                await asyncio.sleep(0.002)
        found.append((time.perf_counter() - start) * 1000)
        await asyncio.sleep(pause)
    return sorted(found)


def shown(times: list[float]) -> str:
    return (
        f"p50 {statistics.median(times):.0f} ms, p99 {times[int(len(times) * 0.99)]:.0f} ms, "
        f"max {times[-1]:.0f} ms"
    )


async def proofs(db: PostgresDatabase, admin_url: str, size: int) -> list[float]:
    """Milliseconds of an inclusion proof in a synthetic tree of `size` leaves."""
    admin = await asyncpg.connect(admin_url, database="muniment")
    await admin.execute("SET session_replication_role = replica")
    await admin.execute("TRUNCATE ledger_tile, ledger_checkpoint")
    block = b"".join(hashlib.sha256(b"%d" % at).digest() for at in range(256))
    rows = [
        (tile.level, tile.index, block[: tile.width * 32]) for tile in merkle.tiles_between(0, size)
    ]
    await admin.copy_records_to_table("ledger_tile", records=rows)
    await admin.execute(
        "INSERT INTO ledger_checkpoint VALUES ($1, $2, 'note', now(), now())", size, bytes(32)
    )
    await admin.close()
    times = []
    for at in range(300):
        start = time.perf_counter()
        async with db.transaction(read_only=True) as tx:
            await reads.inclusion(tx, at * 7919 * 4219 % size)
        times.append((time.perf_counter() - start) * 1000)
    return sorted(times)


async def measure(postgres: embedded_postgres.EmbeddedPostgres, directory: Path) -> None:
    await migrations.migrate(postgres.owner_url, server_role=embedded_postgres.ROLE)
    keys: Any = open_keys(directory / "keys")
    db = await open_database(postgres.url, mac=keys.entry.mac, max_size=20)
    blobs = open_local_blobs(directory / "blobs")
    sequencer = Sequencer(db, blobs, log_key=keys.log, clock=CLOCK, origin="bench.example")
    print(f"backlog of 20 000: {await backlog(db, sequencer, 20_000):.0f} entries/s sequenced")
    running = asyncio.create_task(sequencer.run())
    print(f"receipt at rest: {shown(await latency(db, 100, 0.03))}")
    start = time.perf_counter()
    load = [asyncio.create_task(append_alone(db, 250)) for _ in range(16)]
    under_load = await latency(db, 40, 0.02)
    await asyncio.gather(*load)
    print(f"16 tasks: {4000 / (time.perf_counter() - start):.0f} transactions/s with the sequencer")
    print(f"receipt under that load: {shown(under_load)}")
    sequencer.stop()
    await running
    found = await proofs(db, postgres.admin_url, 10_000_000)
    print(f"inclusion proof at 10 M leaves: p50 {statistics.median(found):.2f} ms, {shown(found)}")
    await db.close()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="mb-") as name:
        directory = Path(name)
        with embedded_postgres.start(directory) as postgres:
            asyncio.run(measure(postgres, directory))


if __name__ == "__main__":
    main()
