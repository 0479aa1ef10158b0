"""Figures as Markdown, with the goals beside them, and the page they stand in."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bench.peers import BENCH_BIN

_KEYED, _WRITES = ("get version", "get by alias"), ("create version", "set alias")
Rows = Iterable[dict[str, Any]]
Goal = tuple[str, str, str, bool]


def about(command: str, seconds: float) -> dict[str, Any]:
    """What was measured where."""
    their = [
        str(BENCH_BIN / "python"),
        "-c",
        "import importlib.metadata as m;print(m.version('mlflow'))",
    ]
    return {
        "command": command,
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "minutes": round(seconds / 60, 1),
        "machine": _machine(),
        "python": platform.python_version(),
        "muniment": importlib.metadata.version("muniment"),
        "mlflow": subprocess.run(their, capture_output=True, text=True, check=True).stdout.strip(),
        "load": os.getloadavg()[0],
    }


def _machine() -> str:
    cpus = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", cpus.read_text()) if cpus.exists() else None
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    name = found[1] if found else platform.machine()
    return f"{os.cpu_count()} CPUs ({name}), {memory:.0f} GiB, {platform.system()}"


def introduction(said: dict[str, Any]) -> str:
    """Return what was measured, where and when."""
    what = f"Python {said['python']}, Muniment {said['muniment']}, MLflow {said['mlflow']}"
    how = f"in {said['minutes']} minutes by `{said['command']}`"
    first = f"Measured {said['date']} {how} on {said['machine']}; {what}. "
    return first + f"Load average at the end, with the last of our own: {said['load']:.1f}."


def render(found: dict[str, Any]) -> str:
    """Return every table there are figures for."""
    parts = [introduction(found["about"]), "### Goals", _goals(found)]
    sections: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
        ("start", "### Start and memory", start_table),
        ("commands", "### Command line", _commands),
        ("registry", "### Registry calls", registry_table),
        ("files", "### Files", files_table),
        ("ledger", "### Ledger", _ledger),
        ("http_stack", "### HTTP stack", render_stack),
    )
    for name, title, draw in sections:
        if name in found:
            parts += [title, draw(found[name])]
    return "\n\n".join(parts) + "\n"


def render_scanning(found: dict[str, Any]) -> str:
    """Return how fast pickles are walked, beside the goals."""
    ours = [row for row in found["rows"] if "picklescan" not in row["file"]]
    slowest = min(row["mb_per_second"] for row in ours)
    most = max(row["peak_mib"] for row in ours)
    rows = (
        (row["file"], number(row["mb_per_second"]), f"{row['peak_mib']:.0f}", row["said"])
        for row in found["rows"]
    )
    goals = [
        ("slowest", "at least 300 MB/s", f"{number(slowest)} MB/s", slowest >= 300),
        (
            "most memory",
            "at most 64 MiB, the interpreter's included",
            f"{most:.0f} MiB",
            most <= 64,
        ),
    ]
    return (
        f"Measured {_today()} on {_machine()}, {found['mebibytes']:,} MiB each, best of three.\n\n"
        + _met(goals)
        + "\n\n"
        + table("file | MB/s | peak MiB | said", rows)
    )


def render_policy(found: dict[str, Any]) -> str:
    """Return what verdicts cost, and asking for kept ones again, beside the goals."""
    median, again = found["median_ms"], found["replay_10k_s"]
    goals = [
        (
            f"verdict, {found['rules']} rules, embedded",
            "below 10 ms",
            f"{number(median)} ms (95 %: {number(found['p95_ms'])} ms)",
            median < 10,
        ),
        ("replay of 10,000 verdicts", "below 60 s", f"{number(again)} s", again < 60),
    ]
    rows = [
        (
            f"replay of {found['replays']:,} by {found['engines']} engines",
            f"{number(found['replay_s'])} s",
        ),
        ("of those, the same bytes", f"{found['same']:,}"),
    ]
    return (
        f"Measured {_today()} on {_machine()}.\n\n"
        + _met(goals)
        + "\n\n"
        + table(f"{found['rules']} rules, {found['documents']} documents | ", rows)
    )


def render_matching(found: dict[str, Any]) -> str:
    """Return how long matching takes, beside the goal."""
    versions, components, distinct = found["sizes"]
    again = [seconds for _, seconds, _ in found["rows"][3::2]]
    goals = [
        (
            "matching again, another snapshot",
            "below 60 s",
            " and ".join(f"{seconds:.1f} s" for seconds in again),
            max(again) < 60,
        )
    ]
    rows = ((name, f"{seconds:.1f}", said) for name, seconds, said in found["rows"])
    return (
        f"Measured {_today()} on {_machine()}: {versions:,} versions of {components} components each,"
        f" {distinct:,} distinct.\n\n" + _met(goals) + "\n\n" + table("step | seconds | ", rows)
    )


def _today() -> str:
    return dt.datetime.now(dt.UTC).date().isoformat()


def _met(goals: Iterable[Goal]) -> str:
    shown = ((*one[:3], "met" if one[3] else "**missed**") for one in goals)
    return table("work | goal | measured | ", shown)


def write(path: Path, text: str, name: str = "figures") -> None:
    """Put `text` between the page's markers of that name; the rest of the page stays."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, _, rest = path.read_text().partition(begin)
    _, mark, tail = rest.partition(end)
    if not mark:
        raise SystemExit(f"{path}: expected the lines {begin} and {end}; add them")
    path.write_text(f"{head}{begin}\n\n{text}\n{end}{tail}")


def table(head: str, rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table; `head` has its columns between bars."""
    columns = [column.strip() for column in head.split("|")]
    lines = [columns, ["---"] * len(columns), *([str(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float) -> str:
    """Return a figure with as many digits as mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _times(value: float) -> str:
    return f"{number(value)}x"


def _goals(found: dict[str, Any]) -> str:
    rows = [*_registry_goals(found.get("registry", ()), found.get("flat", ()))]
    rows += [*_file_goals(found.get("files", ()))]
    rows += [*_ledger_goals(found.get("ledger"))]
    rows += [*_start_goals(found)]
    return _met(rows)


def _registry_goals(rows: Rows, larger: Rows) -> Iterable[Goal]:
    rows = list(rows)
    if not rows:
        return
    busy = [row for row in rows if row["clients"] > 1]
    largest = max(row["versions"] for row in rows)
    for names, work, least in ((_KEYED, "keyed read", 20), (_WRITES, "governed write", 15)):
        ratios = [row["ratio"] for row in rows if row["call"] in names]
        told = f"{_times(min(ratios))} to {_times(max(ratios))}"
        yield work, f"at least {least}x MLflow's throughput", told, min(ratios) >= least
    for call in _WRITES:
        most = max(row["muniment"]["per_second"] for row in rows if row["call"] == call)
        yield (
            f"{call}, best of 1, 8, 32 clients",
            "at least 500/s",
            f"{number(most)}/s",
            most >= 500,
        )
    for call in _KEYED:
        at_eight = [row for row in (*busy, *larger) if (row["call"], row["clients"]) == (call, 8)]
        tails = [row["muniment"]["p99_ms"] for row in at_eight]
        told = ", ".join(
            f"{number(row['muniment']['p99_ms'])} ms at {row['versions']:,}" for row in at_eight
        )
        yield f"{call}, p99 by size, 8 clients", "flat", told, max(tails) <= 1.5 * min(tails)
    searches = [r for r in rows if r["call"].startswith("search") and r["versions"] == largest]
    single = max(row["muniment"]["p99_ms"] for row in searches if row["clients"] == 1)
    work = f"search at {largest:,} versions, first page of 100"
    yield f"{work}, 1 client", "p99 below 20 ms", f"{number(single)} ms", single < 20
    eight = max((row["muniment"]["p99_ms"] for row in searches if row["clients"] == 8), default=0.0)
    yield f"{work}, 8 clients", "p99 below 20 ms", f"{number(eight)} ms", eight < 20
    for row in searches:
        if row["clients"] == 8:
            yield (
                f"{row['call']} at {largest:,}, 8 clients",
                "at least 20x",
                _times(row["ratio"]),
                row["ratio"] >= 20,
            )


def _file_goals(rows: Rows) -> Iterable[Goal]:
    for row in rows:
        told = f"{row['of_limit']:.0%} ({number(row['muniment'])} MB/s)"
        goal = "at least 80 % of min(disk, hash)"
        yield f"{row['way']} {row['files']}", goal, told, row["of_limit"] >= 0.8


def _ledger_goals(found: dict[str, Any] | None) -> Iterable[Goal]:
    if found is None:
        return
    alone = found["alone"]
    acts = max(row["per_second"] for row in found["acts"])
    appended, sequenced = alone["appended_per_second"], alone["sequenced_per_second"]
    yield "governed transactions over HTTP", "at least 1,000/s", f"{number(acts)}/s", acts >= 1000
    yield (
        "governed transactions, no HTTP",
        "at least 1,000/s",
        f"{number(appended)}/s",
        appended >= 1000,
    )
    yield "entries sequenced", "at least 5,000/s", f"{number(sequenced)}/s", sequenced >= 5000
    for name, said in (("at rest", "receipt_at_rest"), ("under load", "receipt_under_load")):
        tail = found[said]["p99_ms"]
        yield f"receipt {name}, p99", "at most 250 ms", f"{number(tail)} ms", tail <= 250
    proof = alone["proof_p99_ms"]
    yield "inclusion proof at 10 M entries, p99", "below 5 ms", f"{proof:.1f} ms", proof < 5


def _start_goals(found: dict[str, Any]) -> Iterable[Goal]:
    limits = {"start, empty directory": 3, "start, existing one": 3, "memory at rest": 300}
    limits |= {"memory after that load": 300, "import muniment": 100, "muniment --help": 150}
    for row in [*found.get("start", ()), *found.get("commands", ())]:
        if row["figure"] in limits:
            most, ours = limits[row["figure"]], row["muniment"]
            told = f"{number(ours)} {row['unit']}"
            yield row["figure"], f"below {most} {row['unit']}", told, ours < most


def start_table(rows: Rows) -> str:
    """Return start and memory of both sides."""
    return table(
        "figure | Muniment | MLflow | ratio",
        (
            (f"{row['figure']} ({row['unit']})", number(row["muniment"]), number(row["mlflow"]), _times(row["ratio"]))
            for row in rows
        ),
    )  # fmt: skip


def _commands(rows: Rows) -> str:
    return table("command | ms", ((row["figure"], number(row["muniment"])) for row in rows))


def registry_table(rows: Rows) -> str:
    """Return every cell of the registry calls."""

    def line(row: dict[str, Any]) -> list[str]:
        ours, theirs = row["muniment"], row["mlflow"]
        pairs = [
            f"{number(ours[k])} / {number(theirs[k])}"
            for k in ("per_second", "p50_ms", "p99_ms", "cpu_ms")
        ]
        errors = f"{ours['errors']} / {theirs['errors']}"
        compared = [
            f"**{_times(row['ratio'])}**",
            _times(theirs["cpu_ms"] / max(ours["cpu_ms"], 1e-3)),
        ]
        if (
            ours["errors"] or theirs["errors"]
        ):  # what was refused is not the work that was asked for
            compared = ["not compared"] * 2
        return [
            row["call"],
            f"{row['versions']:,}",
            row["clients"],
            *pairs,
            errors,
            *compared,
        ]

    head = "call | versions | clients | a second | p50 ms | p99 ms | server CPU ms each | errors"
    head += " | ratio of rates | of CPU"
    return "Ours / MLflow's.\n\n" + table(head, (line(row) for row in rows))


def files_table(rows: Rows) -> str:
    """Return uploads and downloads with their limits."""

    def line(row: dict[str, Any]) -> list[str]:
        limits = (number(row["limits"][name]) for name in ("read", "SHA-256", "write and fsync"))
        cpu = f"{number(row['muniment_cpu_s_per_gb'])} / {number(row['mlflow_cpu_s_per_gb'])}"
        peak = f"{number(row['peak_mb']['muniment'])} / {number(row['peak_mb']['mlflow'])}"
        return [
            f"{row['way']} {row['files']}", number(row["muniment"]), number(row["mlflow"]),
            f"**{_times(row['ratio'])}**", " / ".join(limits), f"{row['of_limit']:.0%}", cpu, peak,
        ]  # fmt: skip

    head = "MB/s | Muniment | MLflow | ratio | read / SHA-256 / write+fsync alone | of the limit | "
    return table(head + "server CPU s/GB | largest process MB", (line(row) for row in rows))


def _ledger(found: dict[str, Any]) -> str:
    acts = (
        (f"set alias over HTTP, {row['clients']} clients", f"{number(row['per_second'])}/s",
         number(row["p50_ms"]), number(row["p99_ms"]))
        for row in found["acts"]
    )  # fmt: skip
    alone = found["alone"]
    receipts = (
        (f"receipt {name}", "", number(found[said]["p50_ms"]), number(found[said]["p99_ms"]))
        for name, said in (
            ("at rest", "receipt_at_rest"),
            ("beside 8 writers", "receipt_under_load"),
        )
    )
    rest = (
        ("append and commit, no HTTP, 16 tasks", f"{number(alone['appended_per_second'])}/s", "", ""),
        ("sequencer over a backlog", f"{number(alone['sequenced_per_second'])}/s", "", ""),
        ("inclusion proof, 10 M leaves", "", f"{alone['proof_p50_ms']:.2f}", f"{alone['proof_p99_ms']:.2f}"),
    )  # fmt: skip
    return table("work | rate | p50 ms | p99 ms", (*acts, *receipts, *rest))


def render_stack(rows: Rows) -> str:
    """Return the table of `bench.http_stack`."""
    names = ("keyed read", "governed write", "upload", "download")
    return table(
        "server | " + " | ".join(names),
        ((row["server"], *(row.get(name, "") for name in names)) for row in rows),
    )
