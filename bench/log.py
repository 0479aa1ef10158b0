"""The ledger through the API: how soon a registration's receipt can be had, at rest and under load.

The clock starts when the registration is answered (it is committed then) and stops when the receipt
has arrived: inclusion proof, signed checkpoint and all.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from typing import Any

import httpx

from bench import fill, processes, registry
from bench import ledger as alone
from bench.load import Request, drive
from bench.peers import Muniment

_LATER = itertools.count()


async def measure(
    ours: Muniment, sha256: str, effort: registry.Effort, home: Any
) -> dict[str, Any]:
    """Governed acts a second, receipt latencies, and the sequencer without HTTP."""
    await _some_versions(ours, sha256)
    rows: list[dict[str, Any]] = []
    for clients in effort.clients:
        results = [
            await drive(
                ours.port,
                _moves(),
                clients=clients,
                seconds=effort.seconds * 2,
                headers=ours.headers,
                cpu_seconds=lambda: processes.cpu_seconds(ours.pids()),
            )
            for _ in range(effort.rounds)
        ]
        rows.append({"clients": clients, **registry.summary(results)})
        print(f"  {rows[-1]['per_second']:.0f} governed acts/s from {clients} clients", flush=True)
    at_rest = await _receipts(ours, sha256, count=40, pause=0.05)
    load = asyncio.create_task(
        drive(
            ours.port, _moves(), clients=8, seconds=5, headers=ours.headers, cpu_seconds=lambda: 0
        )
    )
    under_load = await _receipts(ours, sha256, count=40, pause=0.02)
    await load
    return {
        "acts": rows,
        "receipt_at_rest": at_rest,
        "receipt_under_load": under_load,
        "alone": await _alone(home),
    }


_MOVE = itertools.count()
_ASSETS = 40


async def _some_versions(ours: Muniment, sha256: str) -> None:
    def all_of() -> Iterator[Request]:
        for n in range(2):
            for a in range(_ASSETS):
                path = f"/api/v1/assets/default/ledger-{a}/versions"
                yield Request("POST", path, fill.registration(a, f"1.{n}.0", sha256))

    await drive(
        ours.port, all_of(), clients=4, seconds=60, headers=ours.headers, cpu_seconds=lambda: 0
    )


def _moves() -> Iterator[Request]:
    for at in _MOVE:
        path = f"/api/v1/assets/default/ledger-{at % _ASSETS}/aliases/challenger"
        yield Request("PUT", path, {"version": f"1.{at // _ASSETS % 2}.0"})


async def _receipts(ours: Muniment, sha256: str, *, count: int, pause: float) -> dict[str, float]:
    times = []
    async with httpx.AsyncClient(base_url=ours.url, headers=ours.headers, timeout=30) as client:
        for _ in range(count):
            body = fill.registration(0, f"3.0.{next(_LATER)}", sha256)
            made = await client.post("/api/v1/assets/default/ledger-0/versions", json=body)
            began = time.perf_counter()
            path = f"/api/v1/log/entries/{made.raise_for_status().json()['entry_id']}/receipt"
            found = await client.get(path, params={"wait_ms": 5000})
            found.raise_for_status()
            times.append(1000 * (time.perf_counter() - began))
            await asyncio.sleep(pause)
    times.sort()
    found_at = {"p50_ms": times[len(times) // 2], "p99_ms": times[int(len(times) * 0.99)]}
    print(
        f"  receipt: p50 {found_at['p50_ms']:.0f} ms, p99 {found_at['p99_ms']:.0f} ms", flush=True
    )
    return found_at


async def _alone(home: Any) -> dict[str, float]:
    """The sequencer over a backlog, and proofs in a large tree, without HTTP."""
    from muniment.server import migrations  # noqa: PLC0415
    from muniment.server.ledger.sequencer import Sequencer  # noqa: PLC0415
    from muniment.server.ports import embedded_postgres  # noqa: PLC0415
    from muniment.server.ports.blobs_local import open_local_blobs  # noqa: PLC0415
    from muniment.server.ports.key_files import open_keys  # noqa: PLC0415
    from muniment.server.ports.postgres import open_database  # noqa: PLC0415

    directory = home / "ledger"
    directory.mkdir()
    with embedded_postgres.start(directory) as postgres:
        await migrations.migrate(postgres.owner_url, server_role=embedded_postgres.ROLE)
        keys = open_keys(directory / "keys")
        db = await open_database(postgres.url, mac=keys.entry.mac, max_size=20)
        blobs = open_local_blobs(directory / "blobs")
        sequencer = Sequencer(
            db, blobs, log_key=keys.log, clock=alone.CLOCK, origin="bench.example"
        )
        per_second = await alone.backlog(db, sequencer, 10_000)
        began = time.perf_counter()
        await asyncio.gather(*(alone.append_alone(db, 125) for _ in range(16)))
        appended = 16 * 125 / (time.perf_counter() - began)
        proofs = await alone.proofs(db, postgres.admin_url, 10_000_000)
        await db.close()
    print(
        f"  sequencer {per_second:.0f} entries/s, append {appended:.0f} transactions/s, proof p99 "
        f"{proofs[int(len(proofs) * 0.99)]:.1f} ms",
        flush=True,
    )
    return {
        "sequenced_per_second": per_second,
        "appended_per_second": appended,
        "proof_p50_ms": proofs[len(proofs) // 2],
        "proof_p99_ms": proofs[int(len(proofs) * 0.99)],
    }
