"""`python -m bench`: ours beside MLflow, in one run. Prints tables; asserts nothing."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import files, fill, log, page, registry, starts
from bench.peers import BENCH_BIN, TOKEN, Mlflow, Muniment

PARTS = ("start", "registry", "files", "ledger")
FULL = registry.Effort(sizes=(1_000, 10_000, 100_000), clients=(1, 8, 32), rounds=2, seconds=1.0)
#: Versions at which ours alone shows that keyed reads cost what they did.
FLAT = 1_000_000
QUICK = registry.Effort(sizes=(1_000, 100_000), clients=(1, 8, 32), rounds=2, seconds=0.6)


async def run(parts: list[str], home: Path, found: dict[str, Any], *, quick: bool) -> None:
    """Measure `parts` into `found`; both servers run throughout."""
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


def main() -> None:
    """Parse, measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about five minutes, not eighteen")
    parser.add_argument("--only", choices=PARTS, action="append", help="may be repeated")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    parser.add_argument("--write", type=Path, help="renew the tables in this page")
    asked = parser.parse_args()
    if not (BENCH_BIN / "mlflow").exists():
        parser.error("MLflow is not installed: run `make bench`, which makes .venv-bench")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that no server stays
    began = time.time()
    with tempfile.TemporaryDirectory(prefix="mb-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        if os.geteuid() == 0:
            home.chmod(0o711)  # PostgreSQL runs under another account then
        found: dict[str, Any] = {}
        try:
            asyncio.run(run(asked.only or list(PARTS), home, found, quick=asked.quick))
        finally:  # what was measured before something failed is worth keeping
            command = " ".join(["python -m bench", *sys.argv[1:]])
            found["about"] = page.about(command, time.time() - began)
            if asked.json:
                asked.json.write_text(json.dumps(found, indent=1))
    print(page.render(found))
    if asked.write:
        page.write(asked.write, found)


if __name__ == "__main__":
    main()
