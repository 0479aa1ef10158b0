"""An environment with MLflow's client and our plugin, as `pip install 'muniment[mlflow]'` makes it.

Made without installing anything twice: an empty virtual environment whose path goes on to MLflow's
own (`.venv-bench`) and then to ours, for the SDK's libraries. What is unpacked into it is the
editable wheel the build backend makes of this tree, with its entry points.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
MLFLOW = ROOT / ".venv-bench"
_WHEEL = "import sys; from hatchling.build import build_editable; build_editable(sys.argv[1])"
_COVERAGE = """\
import os; os.getenv("COVERAGE_PROCESS_CONFIG") and __import__("coverage").process_startup()
"""


def make(at: Path) -> Path:
    """Make the environment in the directory `at`; return its interpreter."""
    assert (MLFLOW / "bin" / "python").exists(), "run `make .venv-bench/.installed`"
    venv.create(at, with_pip=False, symlinks=True)
    below = Path("lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")
    command = [sys.executable, "-c", _WHEEL, str(at)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    zipfile.ZipFile(next(at.glob("*.whl"))).extractall(at / below)
    paths = [MLFLOW / below, Path(sysconfig.get_path("purelib"))]
    lines = "\n".join(map(str, paths))
    at.joinpath(below, "overlay.pth").write_text(f"{lines}\n{_COVERAGE}")
    return at / "bin" / "python"


def environ(home: Path, **more: str) -> dict[str, str]:
    """Return the environment variables of a client that keeps everything below `home`."""
    dropped = ("PYTHONPATH", "MUNIMENT_", "MLFLOW_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    return kept | {
        "MUNIMENT_CONFIG_HOME": str(home / "config"),
        "MUNIMENT_STATE_HOME": str(home / "state"),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "GIT_PYTHON_REFRESH": "quiet",
        **more,
    }
