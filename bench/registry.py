"""Registry calls on both servers, in turns: what a second, and at which latency.

Each cell is the median of short runs that alternate (ours, theirs, ours, theirs …), so that
whatever else the machine does hits both. Runs of one client know no queue; of 32 mostly queue.
"""

from __future__ import annotations

import itertools
import random
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from bench import fill, processes
from bench.load import Request, Result, drive
from bench.peers import Mlflow, Muniment, Peer

PAGE = 100
_FILL_AT_ONCE = 100_000
_KEYED = ("get version", "get by alias")
_THEIRS = "/api/2.0/mlflow"
_OURS = "/api/v1"
Requests = Callable[[int], Iterator[Request]]  # of a registry of that many versions
Sides = tuple[tuple[Peer, dict[str, Requests]], ...]  # what each server is asked, call by call


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure."""

    sizes: tuple[int, ...]
    clients: tuple[int, ...]
    rounds: int
    seconds: float


class Ours:
    """The calls as our API has them."""

    def __init__(self, sha256: str) -> None:
        self._sha256 = sha256
        self._patch, self._move = itertools.count(), itertools.count()

    def calls(self) -> dict[str, Requests]:
        return {
            "create version": self.create,
            "get version": self.get,
            "get by alias": self.by_alias,
            "set alias": self.set_alias,
            "search by name": lambda size: self._search(size, lambda a: f"name = '{fill.asset(a)}'"),
            "search by tag": lambda size: self._search(size, lambda a: f"tags.team = 'team-{a % 100}'"),
            "search all": lambda size: self._search(size, lambda _: ""),
        }  # fmt: skip

    def create(self, size: int) -> Iterator[Request]:
        for a in assets(size):
            body = fill.registration(a, f"2.0.{next(self._patch)}", self._sha256)
            yield Request("POST", f"{_OURS}/assets/default/{fill.asset(a)}/versions", body)

    def get(self, size: int) -> Iterator[Request]:
        for a in assets(size):
            at = f"{fill.asset(a)}/versions/1.{a % fill.EACH}.0"
            yield Request("GET", f"{_OURS}/assets/default/{at}")

    def by_alias(self, size: int) -> Iterator[Request]:
        for a in assets(size):
            yield Request("GET", f"{_OURS}/assets/default/{fill.asset(a)}/aliases/champion")

    def set_alias(self, size: int) -> Iterator[Request]:
        for a, n in _moves(size, self._move):
            path = f"{_OURS}/assets/default/{fill.asset(a)}/aliases/bench-{size}"
            yield Request("PUT", path, {"version": f"1.{n}.0"})

    def _search(self, size: int, of: Callable[[int], str]) -> Iterator[Request]:
        for a in assets(size):
            yield Request("GET", f"{_OURS}/versions?limit={PAGE}&filter={quote(of(a))}")


class Theirs:
    """The calls as MLflow's REST API has them. Versions are made from `source`."""

    def __init__(self, source: str = "s3://models/m") -> None:
        self._source = source
        self._move = itertools.count()

    def calls(self) -> dict[str, Requests]:
        return {
            "create version": self.create,
            "get version": self.get,
            "get by alias": self.by_alias,
            "set alias": self.set_alias,
            "search by name": lambda size: self._search(size, lambda a: f"name='{fill.asset(a)}'"),
            "search by tag": lambda size: self._search(size, lambda a: f"tags.team='team-{a % 100}'"),
            "search all": lambda size: self._search(size, lambda _: ""),
        }  # fmt: skip

    def create(self, size: int) -> Iterator[Request]:
        for a in assets(size):
            said = [{"key": key, "value": value} for key, value in fill.tags(a).items()]
            body = {"name": fill.asset(a), "source": self._source, "tags": said}
            body["description"] = fill.DESCRIPTION
            yield Request("POST", f"{_THEIRS}/model-versions/create", body)

    def get(self, size: int) -> Iterator[Request]:
        for a in assets(size):
            query = f"name={fill.asset(a)}&version={a % fill.EACH + 1}"
            yield Request("GET", f"{_THEIRS}/model-versions/get?{query}")

    def by_alias(self, size: int) -> Iterator[Request]:
        for a in assets(size):
            query = f"name={fill.asset(a)}&alias=champion"
            yield Request("GET", f"{_THEIRS}/registered-models/alias?{query}")

    def set_alias(self, size: int) -> Iterator[Request]:
        for a, n in _moves(size, self._move):
            body = {"name": fill.asset(a), "alias": f"bench-{size}", "version": str(n + 1)}
            yield Request("POST", f"{_THEIRS}/registered-models/alias", body)

    def _search(self, size: int, of: Callable[[int], str]) -> Iterator[Request]:
        for a in assets(size):
            query = f"max_results={PAGE}&filter={quote(of(a))}"
            yield Request("GET", f"{_THEIRS}/model-versions/search?{query}")


def assets(size: int) -> Iterator[int]:
    chosen = random.Random(7)
    while True:  # the same assets in the same order, whoever asks
        yield chosen.randrange(size // fill.EACH)


def _moves(size: int, counter: Iterator[int]) -> Iterator[tuple[int, int]]:
    """Each asset in turn, each time to another version: no move is for nothing."""
    for at in counter:
        yield at % (size // fill.EACH), at // (size // fill.EACH) % fill.EACH


async def measure(
    ours: Muniment, theirs: Mlflow, effort: Effort, sha256: str
) -> list[dict[str, Any]]:
    """One row for each size, call and number of clients; each side by its own API."""
    # Made once: version numbers given at one size are not given again at the next.
    return await compare(
        ours, theirs, (Ours(sha256).calls(), Theirs().calls()), effort=effort, sha256=sha256
    )


async def compare(
    ours: Muniment,
    theirs: Mlflow,
    calls: tuple[dict[str, Requests], dict[str, Requests]],
    *,
    effort: Effort,
    sha256: str,
) -> list[dict[str, Any]]:
    """One row for each size, call and number of clients; `calls` are ours and theirs."""
    rows = []
    filled = 0
    sides: Sides = ((ours, calls[0]), (theirs, calls[1]))
    for size in effort.sizes:
        if filled == 0:
            await fill.register_first(ours, sha256)
            await fill.fill_mlflow(theirs, 0, fill.BY_API)
            filled = fill.BY_API
        if size > filled:
            await fill.fill_muniment(ours, filled, size)
            await fill.fill_mlflow(theirs, filled, size)
            filled = size
        await _warm_up(sides, size, effort.seconds)
        rows += [
            await _cell(sides, call, size, clients, effort)
            for call in calls[0]
            for clients in effort.clients
        ]
    return rows


async def flat(ours: Muniment, filled: int, largest: int, effort: Effort) -> list[dict[str, Any]]:
    """Keyed reads of ours alone once it holds `largest` versions; it holds `filled` before."""
    while filled < largest:
        more = min(filled + _FILL_AT_ONCE, largest)
        await fill.fill_muniment(ours, filled, more)
        filled = more
    calls, rows = Ours("").calls(), []
    for call in _KEYED:
        runs = [
            await drive(
                ours.port,
                calls[call](largest),
                clients=8,
                seconds=effort.seconds,
                headers=ours.headers,
                cpu_seconds=lambda: processes.cpu_seconds(ours.pids()),
            )
            for _ in range(effort.rounds + 1)
        ]
        one = summary(runs[1:])  # the first fills caches
        rows.append({"call": call, "versions": largest, "clients": 8, "muniment": one})
        print(
            f"  {call:15} {largest:7} versions   8 clients: {one['per_second']:8.0f}/s", flush=True
        )
    return rows


async def _warm_up(sides: Sides, size: int, seconds: float) -> None:
    """Have every worker loaded and every pool full before anything is counted."""
    for peer, calls in sides:
        for requests in calls.values():
            await drive(
                peer.port,
                requests(size),
                clients=8,
                seconds=seconds,
                headers=peer.headers,
                cpu_seconds=lambda: 0.0,
            )


async def _cell(
    sides: Sides,
    call: str,
    size: int,
    clients: int,
    effort: Effort,
) -> dict[str, Any]:
    runs: dict[str, list[Result]] = {peer.name: [] for peer, _ in sides}
    for _ in range(effort.rounds):
        for peer, calls in sides:
            found = await drive(
                peer.port,
                calls[call](size),
                clients=clients,
                seconds=effort.seconds,
                headers=peer.headers,
                cpu_seconds=lambda peer=peer: processes.cpu_seconds(peer.pids()),  # type: ignore[misc]
            )
            runs[peer.name].append(found)
    row: dict[str, Any] = {"call": call, "versions": size, "clients": clients}
    row |= {name: summary(results) for name, results in runs.items()}
    row["ratio"] = row["muniment"]["per_second"] / max(row["mlflow"]["per_second"], 1e-9)
    print(
        f"  {call:15} {size:7} versions {clients:3} clients: {row['muniment']['per_second']:8.0f}/s"
        f" against {row['mlflow']['per_second']:6.1f}/s = {row['ratio']:.0f}x",
        flush=True,
    )
    return row


def summary(results: list[Result]) -> dict[str, Any]:
    """Medians over the runs; errors and requests are sums."""
    return {
        "per_second": statistics.median(one.per_second for one in results),
        "p50_ms": statistics.median(one.p50_ms for one in results),
        "p99_ms": statistics.median(one.p99_ms for one in results),
        "cpu_ms": statistics.median(one.cpu_ms for one in results),
        "requests": sum(one.requests for one in results),
        "errors": sum(one.errors for one in results),
    }
