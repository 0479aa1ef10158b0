"""Upload and download with each side's own client, beside what disk and hash alone can do.

Ours hashes on both ends, writes with fsync, registers, and checks every byte on the way back;
MLflow's does none of that. Limits are measured between the runs, on the same file and disk, one
thread each. Reads come from the page cache on both sides.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import processes
from bench.peers import BENCH_BIN, TOKEN, Mlflow, Muniment
from muniment import Client

_CHUNK = 1 << 20
_SCRIPT = Path(__file__).with_name("mlflow_files.py")


def _make(directory: Path, count: int, size_bytes: int) -> None:
    directory.mkdir(parents=True)
    seed = os.urandom(_CHUNK)
    for at in range(count):
        with directory.joinpath(f"part-{at:04}.bin").open("wb") as out:
            for chunk in range(size_bytes // _CHUNK):
                out.write((at * size_bytes + chunk).to_bytes(16, "big") + seed[16:])


def _renew(directory: Path) -> None:
    """Change the first bytes of every file, so that nothing is held already."""
    for file in directory.iterdir():
        with file.open("r+b") as out:
            out.write(os.urandom(16))


def _chunks(directory: Path) -> Iterator[bytes]:
    for file in sorted(directory.iterdir()):
        with file.open("rb", buffering=0) as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk


def _hash(directory: Path, _: Path) -> None:
    found = hashlib.sha256()
    for chunk in _chunks(directory):
        found.update(chunk)


def _read(directory: Path, _: Path) -> None:
    for _chunk in _chunks(directory):
        pass


def _write(directory: Path, to: Path) -> None:
    to.mkdir()
    for file in sorted(directory.iterdir()):
        with file.open("rb", buffering=0) as stream, to.joinpath(file.name).open("wb") as out:
            while chunk := stream.read(_CHUNK):
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _limits(directory: Path, scratch: Path) -> dict[str, float]:
    found = {}
    for name, act in (("read", _read), ("SHA-256", _hash), ("write and fsync", _write)):
        found[name] = _timed(lambda act=act: act(directory, scratch))  # type: ignore[misc]
    shutil.rmtree(scratch)
    return found


class _Ours:
    def __init__(self, peer: Muniment, name: str) -> None:
        self._client, self._name = Client(peer.url, TOKEN), name
        self._at = 0

    def upload(self, directory: Path) -> float:
        self._at += 1
        return _timed(
            lambda: self._client.register(
                self._name,
                version=f"1.0.{self._at}",
                artifact=directory,
                kind="model",
                owner="bench",
            )
        )

    def download(self, into: Path) -> float:
        return _timed(lambda: self._client.download(f"{self._name}@1.0.{self._at}", into))

    def close(self) -> None:
        self._client.close()


class _Theirs:
    """MLflow's client, to either server."""

    def __init__(self, peer: Muniment | Mlflow) -> None:
        self._url, self._run = peer.url, ""

    def upload(self, directory: Path) -> float:
        found = self._do("upload", str(directory))
        self._run = found["run"]
        return float(found["seconds"])

    def download(self, into: Path) -> float:
        into.mkdir()
        return float(self._do("download", self._run, str(into))["seconds"])

    def _do(self, *arguments: str) -> Any:
        return with_mlflow(_SCRIPT, self._url, *arguments)

    def close(self) -> None:
        """Nothing is kept open."""


def with_mlflow(script: Path, *arguments: str) -> Any:
    """Return what a script of `bench/` prints last, as JSON, run where MLflow is installed."""
    # -P: its directory has a module called like MLflow's
    command = [str(BENCH_BIN / "python"), "-P", str(script), *arguments]
    environ = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    environ |= {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "MLFLOW_TRACKING_TOKEN": TOKEN}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    if done.returncode:
        raise RuntimeError(f"{script.name} failed: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(
    ours: Muniment,
    theirs: Mlflow,
    home: Path,
    *,
    mib: int,
    count: int,
    rounds: int,
    by_mlflow: bool = False,
) -> list[dict[str, Any]]:
    """One row for each way and shape: megabytes (10⁶) a second, and the limits of that run.

    Ours by our own client, or with `by_mlflow` by MLflow's.
    """
    sides: dict[str, _Ours | _Theirs] = {
        "muniment": _Theirs(ours) if by_mlflow else _Ours(ours, "files"),
        "mlflow": _Theirs(theirs),
    }
    pids = {peer.name: peer.python_pid() for peer in (ours, theirs)}
    rows = []
    for title, files, size in ((f"1 x {mib} MiB", 1, mib), (f"{count} x 1 MiB", count, 1)):
        source = home / f"files-{files}"
        _make(source, files, size << 20)
        rows += _shape(title, sides, pids, source, megabytes=files * size * 1.048576, rounds=rounds)
        shutil.rmtree(source)
    for side in sides.values():
        side.close()
    return rows


def _shape(
    title: str,
    sides: dict[str, _Ours | _Theirs],
    pids: dict[str, int],
    source: Path,
    *,
    megabytes: float,
    rounds: int,
) -> list[dict[str, Any]]:
    times: dict[tuple[str, str], list[float]] = {}
    limits: list[dict[str, float]] = []
    cpu: dict[tuple[str, str], list[float]] = {}
    for at in range(rounds):
        _renew(source)
        limits.append(_limits(source, source.with_name("limit")))
        for name, side in sides.items():
            into = source.with_name(f"down-{name}-{at}")
            before = processes.cpu_seconds(processes.tree(pids[name]))
            times.setdefault((name, "upload"), []).append(side.upload(source))
            between = processes.cpu_seconds(processes.tree(pids[name]))
            times.setdefault((name, "download"), []).append(side.download(into))
            after = processes.cpu_seconds(processes.tree(pids[name]))
            cpu.setdefault((name, "upload"), []).append(between - before)
            cpu.setdefault((name, "download"), []).append(after - between)
            shutil.rmtree(into)
    rate = {name: megabytes / statistics.median(one[name] for one in limits) for name in limits[0]}
    peak = {name: max(map(processes.peak_mb, processes.tree(pid))) for name, pid in pids.items()}
    rows = []
    for way in ("upload", "download"):
        row: dict[str, Any] = {"files": title, "way": way, "limits": rate, "peak_mb": peak}
        for name in sides:
            row[name] = megabytes / statistics.median(times[name, way])
            row[f"{name}_cpu_s_per_gb"] = statistics.median(cpu[name, way]) / megabytes * 1000
        row["ratio"] = row["muniment"] / row["mlflow"]
        row["of_limit"] = row["muniment"] / min(rate["SHA-256"], rate["write and fsync"])
        rows.append(row)
        print(
            f"  {way} {title}: {row['muniment']:.0f} against {row['mlflow']:.0f} MB/s; "
            f"{row['of_limit']:.0%} of the limit; limits "
            + ", ".join(f"{name} {value:.0f}" for name, value in rate.items()),
            flush=True,
        )
    return rows
