"""Start to ready, and memory at rest: on an empty directory, and again on an existing one."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path
from typing import Any

from bench import processes
from bench.peers import Mlflow, Muniment

_SETTLE_SECONDS = 3.0


async def measure(ours: Muniment, theirs: Mlflow, home: Path, rounds: int) -> list[dict[str, Any]]:
    """Return one row for each figure; both servers run when it returns."""
    await theirs.create_database()
    fresh_ours, again_ours = await _ours(ours, home, rounds)
    fresh_theirs = theirs.start()
    theirs.stop()
    again_theirs = [theirs.start()]
    for _ in range(rounds - 2):
        theirs.stop()
        again_theirs.append(theirs.start())
    ours.start()
    await asyncio.sleep(_SETTLE_SECONDS)
    rows = [
        row("start, empty directory", "s", statistics.median(fresh_ours), fresh_theirs),
        row("start, existing one", "s", statistics.median(again_ours), statistics.median(again_theirs)),
        memory("memory at rest", ours, theirs),
    ]  # fmt: skip
    for one in rows:
        print(f"  {one['figure']}: {one['muniment']:.1f} against {one['mlflow']:.1f} {one['unit']}")
    return rows


async def _ours(ours: Muniment, home: Path, rounds: int) -> tuple[list[float], list[float]]:
    fresh, again = [], []
    for at in range(rounds):
        peer = ours if at == 0 else Muniment(home / f"start-{at}")
        fresh.append(peer.start())
        peer.stop()
        again.append(peer.start())
        peer.stop()
        await asyncio.sleep(0.2)
    return fresh, again


def row(figure: str, unit: str, ours: float, theirs: float) -> dict[str, Any]:
    """One figure of which less is better, and how many times less ours is."""
    return {
        "figure": figure,
        "unit": unit,
        "muniment": ours,
        "mlflow": theirs,
        "ratio": theirs / ours,
    }


def memory(figure: str, ours: Muniment, theirs: Mlflow) -> dict[str, Any]:
    """Proportional memory of both trees, PostgreSQL included, and of our Python alone."""
    found = row(
        figure,
        "MB",
        processes.proportional_mb(ours.pids()),
        processes.proportional_mb(theirs.pids()),
    )
    found["muniment_python"] = processes.proportional_mb([ours.python_pid()])
    return found


def commands(python: str, rounds: int) -> list[dict[str, Any]]:
    """Wall time of `import muniment` and `muniment --help`, interpreter included, least of some."""
    import subprocess  # noqa: PLC0415

    rows = []
    for figure, arguments in (
        ("python alone", ["-c", "pass"]),
        ("import muniment", ["-c", "import muniment"]),
        ("muniment --help", ["-m", "muniment", "--help"]),
    ):
        times = []
        for _ in range(rounds):
            began = time.perf_counter()
            subprocess.run([python, *arguments], check=True, capture_output=True)
            times.append(time.perf_counter() - began)
        rows.append({"figure": figure, "unit": "ms", "muniment": 1000 * statistics.median(times)})
        print(f"  {figure}: {rows[-1]['muniment']:.0f} ms")
    return rows
