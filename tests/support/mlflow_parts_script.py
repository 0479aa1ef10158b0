"""Large artifacts in parts, in the newest MLflow's own environment; started with its variables set.

Started by the conformance tests against a real server. Knows nothing of ours: only `mlflow`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import re
import signal
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")

import mlflow  # type: ignore[import-not-found]  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.store.artifact.artifact_repository_registry import (  # type: ignore[import-not-found]  # noqa: E402
    get_artifact_repository,
)
from mlflow.store.artifact.http_artifact_repo import (  # type: ignore[import-not-found]  # noqa: E402
    HttpArtifactRepository,
)

SEEN: dict[str, Any] = {}
REQUESTS: list[str] = []
SAID = re.compile(r'"(\w+) \S*/mlflow-artifacts/(\w+/\w+)\S* HTTP/[0-9.]+" (\d+)')
client = MlflowClient()


class Noted(logging.Handler):
    """Keeps what the client's HTTP library says of each request: method, path, status."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep method, first parts of the path, and status."""
        found = SAID.search(record.getMessage())
        if found:
            REQUESTS.append(" ".join(found.groups()))


logging.getLogger("urllib3.connectionpool").addHandler(Noted())
logging.getLogger("urllib3.connectionpool").setLevel(logging.DEBUG)


def sha256(path: str) -> str:
    """Return the digest of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def send_and_die(root: str) -> None:
    """Begin an upload as the client does, send its first part, and be killed."""
    repo = get_artifact_repository(root)
    made = repo.create_multipart_upload("big é.bin", 3, "killed")
    HttpArtifactRepository._upload_part(made.credentials[0], "big é.bin", 1000, 0)
    os.kill(os.getpid(), signal.SIGKILL)


def in_parts() -> None:
    """A large file of a run, one of nothing, and a directory; then a version of them."""
    Path("big é.bin").write_bytes(os.urandom(1_000_003))
    Path("empty.bin").write_bytes(b"")
    with mlflow.start_run() as run:
        mlflow.log_artifact("big é.bin", "model/w")
        SEEN["requests"] = sorted(REQUESTS)
        REQUESTS.clear()
        mlflow.log_artifact("empty.bin", "model")
        SEEN["empty_requests"] = list(REQUESTS)
        mlflow.log_text("flavors: {}", "model/MLmodel")
    root = f"{run.info.artifact_uri}"
    killed = multiprocessing.Process(target=send_and_die, args=(root,))
    killed.start()
    killed.join()
    SEEN["killed"] = [killed.exitcode, client.list_artifacts(run.info.run_id, "killed")]
    back = mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/model/w/big é.bin")
    SEEN["same"] = sha256(back) == sha256("big é.bin")
    client.create_registered_model("parts")
    version = client.create_model_version("parts", f"runs:/{run.info.run_id}/model")
    there = Path(mlflow.artifacts.download_artifacts("models:/parts/1", dst_path="parts"))
    SEEN["version"] = [
        version.status,
        sha256(str(there / "w" / "big é.bin")) == sha256("big é.bin"),
        (there / "empty.bin").read_bytes() == b"",
    ]


def too_many() -> None:
    """More parts than there may be: the client is told, and nothing is written."""
    os.environ["MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE"] = "50"
    with mlflow.start_run() as run:
        try:
            mlflow.log_artifact("big é.bin")
        except Exception as error:  # noqa: BLE001 -- whatever the client makes of it
            SEEN["too_many"] = str(error)
    SEEN["nothing"] = client.list_artifacts(run.info.run_id)


in_parts()
too_many()
Path("seen.json").write_text(json.dumps(SEEN))
