"""`python -m bench.mlflow`: MLflow's server and ours, both asked in MLflow's own words.

The same REST requests, the same client scripts, the same data on both sides, PostgreSQL under both;
only the address differs. `python -m bench` asks each side by its own API. Prints tables; asserts
nothing.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench import files, fill, page, processes, registry, running, starts
from bench.load import Request
from bench.peers import TOKEN, Mlflow, Muniment
from bench.registry import Requests, assets

FULL = registry.Effort(
    sizes=(1_000, 10_000, 100_000), clients=(1, 8, 32), rounds=2, seconds=0.6
)  # fmt: skip
QUICK = registry.Effort(sizes=(1_000, 100_000), clients=(1, 8, 32), rounds=1, seconds=0.5)
_CLIENT = Path(__file__).with_name("mlflow_client.py")
_API = "/api/2.0/mlflow"
_REST = "one request of MLflow's REST API"


class Calls(registry.Theirs):
    """MLflow's REST calls, some more than have an equal in ours: versions are made of a model logged before."""

    def __init__(self, logged: Mapping[str, str]) -> None:
        super().__init__(logged["source"])
        self._model_id = logged["model_id"]
        self._tag, self._told = itertools.count(), itertools.count()

    def calls(self) -> dict[str, Requests]:
        return super().calls() | {"get model": self.get_model, "set tag": self.set_tag}

    def create(self, size: int) -> Iterator[Request]:
        for request in super().create(size):
            assert isinstance(request.body, dict)
            # Asked for twice alike, a version may be taken for a request sent again: each differs.
            said = f"{fill.DESCRIPTION} {next(self._told)}"
            more = {"description": said, "model_id": self._model_id}  # as the client sends it
            yield Request(request.method, request.path, request.body | more)

    def get_model(self, size: int) -> Iterator[Request]:
        for a in assets(size):
            yield Request("GET", f"{_API}/registered-models/get?name={fill.asset(a)}")

    def set_tag(self, size: int) -> Iterator[Request]:
        for a in assets(size):
            body = {"name": fill.asset(a), "version": str(a % fill.EACH + 1), "key": "bench"}
            yield Request(
                "POST", f"{_API}/model-versions/set-tag", body | {"value": str(next(self._tag))}
            )


async def run(home: Path, found: dict[str, Any], asked: argparse.Namespace) -> None:
    """Measure everything into `found`; both servers run throughout."""
    quick = asked.quick
    ours, theirs = Muniment(home / "muniment"), Mlflow(home / "mlflow")
    try:
        print("start and memory")
        found["start"] = await starts.measure(ours, theirs, home, 2)
        print("registry calls")
        sides = tuple(
            Calls(files.with_mlflow(_CLIENT, peer.url, "source")).calls() for peer in (ours, theirs)
        )
        found["registry"] = await registry.compare(
            ours, theirs, (sides[0], sides[1]), effort=QUICK if quick else FULL,
            sha256=fill.first_blob(ours.url, TOKEN, home),
        )  # fmt: skip
        found["start"].append(starts.memory("memory after that load", ours, theirs))
        print("MLflow's client")  # by now all of MLflow's workers have settled
        found["client"] = client_calls(ours, theirs, 5 if quick else 20)
        print("files")
        found["files"] = files.measure(
            ours, theirs, home, mib=128 if quick else 256, count=50 if quick else 100,
            rounds=1 if quick else 2, by_mlflow=True,
        )  # fmt: skip
    except BaseException:
        print(f"our server's last words:\n{(home / 'muniment' / 'log').read_text()[-3000:]}")
        raise
    finally:
        ours.close()
        theirs.close()


def client_calls(ours: Muniment, theirs: Mlflow, rounds: int) -> list[dict[str, Any]]:
    """One row for each call of MLflow's client: milliseconds on each side, and the servers' CPU."""
    took, cpu = {}, {}
    for peer in (ours, theirs):
        before = processes.cpu_seconds(peer.pids())
        took[peer.name] = files.with_mlflow(_CLIENT, peer.url, "calls", "bench-client", str(rounds))
        cpu[peer.name] = processes.cpu_seconds(peer.pids()) - before
    rows = [_row(call, {name: took[name][call] for name in took}) for call in took[ours.name]]
    each = 1000 / (rounds + 1)
    rows.append(
        {
            "call": "server CPU of one round of these",
            **{name: {"p50_ms": cpu[name] * each, "worst_ms": None} for name in cpu},
            "ratio": cpu[theirs.name] / max(cpu[ours.name], 1e-3),
        }
    )
    for row in rows:
        print(f"  {row['call']}: {row['ratio']:.1f}x", flush=True)
    return rows


def _row(call: str, took: dict[str, list[float]]) -> dict[str, Any]:
    row: dict[str, Any] = {"call": call}
    for name, seconds in took.items():
        middle, worst = statistics.median(seconds), max(seconds)
        row[name] = {"p50_ms": 1000 * middle, "worst_ms": 1000 * worst}
    row["ratio"] = row["mlflow"]["p50_ms"] / row["muniment"]["p50_ms"]
    return row


def _client_table(rows: list[dict[str, Any]]) -> str:
    def shown(row: dict[str, Any], what: str) -> str:
        values = [row[name][what] for name in ("muniment", "mlflow")]
        return "" if None in values else " / ".join(page.number(value) for value in values)

    head = "call | p50 ms | slowest ms | ratio"
    return "Ours / MLflow's.\n\n" + page.table(
        head,
        (
            [
                row["call"],
                shown(row, "p50_ms"),
                shown(row, "worst_ms"),
                f"**{page.number(row['ratio'])}x**",
            ]
            for row in rows
        ),
    )


def render(found: dict[str, Any]) -> str:
    """Return every table there are figures for."""
    parts = [page.introduction(found["about"])]
    for name, title, draw in (
        ("start", "### Start and memory", page.start_table),
        ("registry", f"### Requests ({_REST})", page.registry_table),
        ("client", "### MLflow's own client", _client_table),
        ("files", "### Artifacts, by MLflow's own client", page.files_table),
    ):
        if name in found:
            parts += [title, draw(found[name])]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Parse, measure, print, and write what was asked for."""
    parser = running.options("bench.mlflow", __doc__, "about four minutes, not eight")
    found, page_at = running.measured(parser, run)
    print(render(found))
    if page_at:
        page.write(page_at, render(found), "mlflow figures")


if __name__ == "__main__":
    main()
