"""MLflow's clients in their own environments, and how a script of theirs is run against a server."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.support.server_process import TOKEN, ServerProcess

ROOT = Path(__file__).parents[2]
NEWEST = ROOT / ".venv-bench" / "bin" / "python"
OLDEST = ROOT / ".venv-mlflow2" / "bin" / "python"
AS_USER = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": TOKEN}
AS_BEARER = {"MLFLOW_TRACKING_TOKEN": TOKEN}


def environ_of(server: ServerProcess, *, credentials: dict[str, str]) -> dict[str, str]:
    """Return the environment of a script that speaks to `server`: MLflow's own variables only."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return kept | {
        "MLFLOW_TRACKING_URI": server.url,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "GIT_PYTHON_REFRESH": "quiet",
        **credentials,
    }


def run_script(
    server: ServerProcess, python: Path, script: Path, *, credentials: dict[str, str] = AS_BEARER
) -> None:
    """Run a script to its end in a directory of its own (`server.home`).

    Raises:
        AssertionError: there is no such environment, or the script failed; says what it printed.
    """
    assert python.exists(), f"run `make {python.parts[-3]}/.installed`: MLflow's client lives there"
    done = subprocess.run(
        [python, script],
        env=environ_of(server, credentials=credentials),
        cwd=server.home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr + server.log.read_text()


def what_it_saw(
    server: ServerProcess, python: Path, name: str, *, credentials: dict[str, str] = AS_BEARER
) -> dict[str, Any]:
    """Run `tests/support/NAME` and return what it wrote into `seen.json`."""
    run_script(server, python, ROOT / "tests" / "support" / name, credentials=credentials)
    seen: dict[str, Any] = json.loads((server.home / "seen.json").read_text())
    return seen
