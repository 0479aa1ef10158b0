"""`python -m bench`: ours beside MLflow, in one run. Prints tables; asserts nothing."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import (
    files,
    fill,
    log,
    page,
    policy,
    registry,
    running,
    scanning,
    starts,
    vulnerabilities,
)
from bench.peers import TOKEN, Mlflow, Muniment

PARTS = ("start", "registry", "files", "ledger", "policy", "scanning", "matching")
#: Those that need no server; each has a table of its own in the page.
ALONE = ("policy", "scanning", "matching")
FULL = registry.Effort(sizes=(1_000, 10_000, 100_000), clients=(1, 8, 32), rounds=2, seconds=1.0)
#: Versions at which ours alone shows that keyed reads cost what they did.
FLAT = 1_000_000
QUICK = registry.Effort(sizes=(1_000, 100_000), clients=(1, 8, 32), rounds=2, seconds=0.6)


async def run(home: Path, found: dict[str, Any], asked: argparse.Namespace) -> None:
    """Measure the parts asked for into `found`; both servers run throughout."""
    parts, quick = asked.only or PARTS, asked.quick
    await _alone(home, found, parts, quick=quick)
    if not set(parts) - set(ALONE):
        return
    effort = QUICK if quick else FULL
    ours, theirs = Muniment(home / "muniment"), Mlflow(home / "mlflow")
    try:
        print("start and memory")
        rounds = 2
        begun = await starts.measure(ours, theirs, home, rounds)
        if "start" in parts:
            found["start"] = begun
            found["commands"] = starts.commands(sys.executable, 5 if quick else 15)
        sha256 = fill.first_blob(ours.url, TOKEN, home)
        if "ledger" in parts:
            print("ledger")
            found["ledger"] = await log.measure(ours, sha256, effort, home)
        if "registry" in parts:
            print("registry calls")
            found["registry"] = await registry.measure(ours, theirs, effort, sha256)
            if not quick:
                found["flat"] = await registry.flat(ours, effort.sizes[-1], FLAT, effort)
            found.setdefault("start", []).append(
                starts.memory("memory after that load", ours, theirs)
            )
        if "files" in parts:
            print("files")
            found["files"] = files.measure(
                ours, theirs, home, mib=256 if quick else 1024, count=200 if quick else 1000,
                rounds=2 if quick else 1,
            )  # fmt: skip
    except BaseException:
        print(f"our server's last words:\n{(home / 'muniment' / 'log').read_text()[-3000:]}")
        raise
    finally:
        ours.close()
        theirs.close()


async def _alone(home: Path, found: dict[str, Any], parts: Sequence[str], *, quick: bool) -> None:
    """Measure what needs no server."""
    if "policy" in parts:
        print("policy")
        found["policy"] = await policy.measure(2_000 if quick else 10_000)
    if "scanning" in parts:
        print("scanning")
        found["scanning"] = scanning.measure(256 if quick else 1024)
    if "matching" in parts:
        print("matching")
        sizes = (1_000, 200, 20_000) if quick else vulnerabilities.SIZES
        with tempfile.TemporaryDirectory(dir=home) as name:
            own = Path(name)
            own.chmod(0o711)  # noqa: ASYNC240 -- nothing else runs; PostgreSQL's account may be another
            found["matching"] = await vulnerabilities.measure(own, *sizes)


def main() -> None:
    """Parse, measure, print, and write what was asked for."""
    parser = running.options("bench", __doc__, "about five minutes, not eighteen")
    parser.add_argument("--only", choices=PARTS, action="append", help="may be repeated")
    found, page_at = running.measured(parser, run)
    shown = {
        f"{name} figures": draw(found[name])
        for name, draw in (
            ("policy", page.render_policy),
            ("scanning", page.render_scanning),
            ("matching", page.render_matching),
        )
        if name in found
    }
    if set(found) - {"about", *ALONE}:
        shown["figures"] = page.render(found)
    for name, text in shown.items():
        print(text)
        if page_at:
            page.write(page_at, text, name)


if __name__ == "__main__":
    main()
