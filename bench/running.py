"""What every benchmark program has in common: its options, its directory, its figures kept."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from bench import page
from bench.peers import BENCH_BIN

Run = Callable[[Path, dict[str, Any], argparse.Namespace], Coroutine[Any, Any, None]]


def options(program: str, about: str | None, quick: str) -> argparse.ArgumentParser:
    """Return a parser of what all of them take."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=about)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    parser.add_argument("--write", type=Path, help="renew the tables in this page")
    return parser


def measured(parser: argparse.ArgumentParser, run: Run) -> tuple[dict[str, Any], Path | None]:
    """Run `run(home, found, asked)` in a directory of its own; return what it found, and where to write it."""
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
            asyncio.run(run(home, found, asked))
        finally:  # what was measured before something failed is worth keeping
            command = " ".join([parser.prog, *sys.argv[1:]])
            found["about"] = page.about(command, time.time() - began)
            if asked.json:
                asked.json.write_text(json.dumps(found, indent=1))
    return found, asked.write
