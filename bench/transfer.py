"""Files up and down through the SDK and a real server: `python -m bench.transfer`.

Every round has its own bytes (nothing is held already) and measures its own limits: SHA-256 of one
core, and a plain write of as many bytes with one fsync. Up means hashed, sent, hashed again, synced
and registered; down means sent, hashed and in place. Client and server share the machine. CPU
seconds are for the whole transfer; MB are the peak resident above what there was at rest.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench import processes
from bench.peers import TOKEN, Muniment
from muniment import Client

MIB = 1 << 20


@dataclass(slots=True)
class Row:
    """What was measured of one kind of transfer, one figure a round."""

    rates: list[float] = field(default_factory=list)  # MiB/s
    shares: list[float] = field(default_factory=list)  # of the slower limit, in the same round
    client_cpu: list[float] = field(default_factory=list)
    server_cpu: list[float] = field(default_factory=list)
    client_mb: list[float] = field(default_factory=list)
    server_mb: list[float] = field(default_factory=list)


class Bench:
    """A server, a client, and a directory for what goes between them."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.server = Muniment(home / "server")
        self.server.start()
        self.client = Client(self.server.url, TOKEN)
        self.rows: dict[str, Row] = {}
        self.limits: dict[str, list[float]] = {"sha-256": [], "write + fsync": []}

    def round(self, number: int, shapes: dict[str, tuple[int, int]]) -> None:
        for shape, (count, size_bytes) in shapes.items():
            source, back = self._home / "source", self._home / "back"
            write_files(source, count, size_bytes)
            total = count * size_bytes / MIB
            limit = self._limit(int(total))
            ref, version = f"{shape.replace(' ', '').lower()}-{number}", "1.0.0"

            def up(ref: str = ref, source: Path = source) -> None:
                self.client.register(ref, version="1.0.0", artifact=source, kind="model")

            def down(at: str = f"{ref}@{version}", back: Path = back) -> None:
                self.client.download(at, back)

            self._measure(f"up, {shape}", up, total, limit)
            self._measure(f"down, {shape}", down, total, limit)
            for file in source.iterdir():
                assert same(file, back / file.name), file
            shutil.rmtree(source)
            shutil.rmtree(back)

    def _limit(self, mib: int) -> float:
        block, hasher = os.urandom(MIB), hashlib.sha256()
        began = time.perf_counter()
        for _ in range(mib):
            hasher.update(block)
        hashed = time.perf_counter()
        with (self._home / "limit").open("wb", buffering=0) as file:
            for _ in range(mib):
                file.write(block)
            os.fsync(file.fileno())
        written = time.perf_counter()
        (self._home / "limit").unlink()
        self.limits["sha-256"].append(mib / (hashed - began))
        self.limits["write + fsync"].append(mib / (written - hashed))
        return min(each[-1] for each in self.limits.values())

    def _measure(self, name: str, work: Callable[[], None], mib: float, limit: float) -> None:
        row = self.rows.setdefault(name, Row())
        os.sync()
        ours, theirs = os.getpid(), self.server.python_pid()
        before = [processes.resident_mb(pid) for pid in (ours, theirs)]
        for pid in (ours, theirs):
            processes.forget_peak(pid)
        cpu = [processes.cpu_seconds([ours]), processes.cpu_seconds(self.server.pids())]
        began = time.perf_counter()
        work()
        seconds = time.perf_counter() - began
        row.rates.append(mib / seconds)
        row.shares.append(mib / seconds / limit)
        row.client_cpu.append(processes.cpu_seconds([ours]) - cpu[0])
        row.server_cpu.append(processes.cpu_seconds(self.server.pids()) - cpu[1])
        row.client_mb.append(processes.peak_mb(ours) - before[0])
        row.server_mb.append(processes.peak_mb(theirs) - before[1])

    def close(self) -> None:
        self.client.close()
        self.server.close()


def write_files(folder: Path, count: int, size_bytes: int) -> None:
    """Make files no two blocks of which are the same, on disk already."""
    folder.mkdir()
    block = os.urandom(MIB)
    for number in range(count):
        with (folder / f"{number:05}.bin").open("wb", buffering=0) as file:
            for _ in range(0, size_bytes, MIB):
                file.write(os.urandom(16) + block[16:])


def same(one: Path, other: Path) -> bool:
    with one.open("rb") as first, other.open("rb") as second:
        return (
            hashlib.file_digest(first, "sha256").digest()
            == hashlib.file_digest(second, "sha256").digest()
        )


def table(bench: Bench) -> str:
    """The medians as a Markdown table."""
    lines = [
        (
            "| transfer | MiB/s (lowest-highest) | of the limit | client CPU s | server CPU s"
            " | client +MB | server +MB |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    middle = statistics.median
    for name, row in bench.rows.items():
        lines.append(
            f"| {name} | {middle(row.rates):.0f} ({min(row.rates):.0f}-{max(row.rates):.0f})"
            f" | {middle(row.shares):.0%} | {middle(row.client_cpu):.1f} | {middle(row.server_cpu):.1f}"
            f" | {max(row.client_mb):.0f} | {max(row.server_mb):.0f} |"
        )
    for name, rates in bench.limits.items():
        shown = f"{middle(rates):.0f} ({min(rates):.0f}-{max(rates):.0f})"
        lines.append(f"| limit: {name}, one core | {shown} | | | | | |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mib", type=int, default=1024, help="size of each transfer")
    given = parser.parse_args()
    shapes = {"1 file": (1, given.mib * MIB), "1 MiB files": (given.mib * 1000 // 1024, MIB)}
    with tempfile.TemporaryDirectory(prefix="muniment-bench-") as home:
        os.environ["MUNIMENT_STATE_HOME"] = home
        bench = Bench(Path(home))
        try:
            for number in range(given.rounds):
                bench.round(number, shapes)
        finally:
            bench.close()
    print(table(bench))


if __name__ == "__main__":
    main()
