"""Runs tracked by MLflow's own server, models registered here by MLflow's own client, nothing else.

`set_registry_uri` is the only line that names us. The registry fetches the bytes itself; the client
waits as it always does. Also: a worker killed in the middle, and files in a real S3.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import obstore
import pytest
from obstore.store import S3Store

from tests.support import mlflow_env
from tests.support.other_mlflow import RUN, OtherMlflow, other_mlflow
from tests.support.other_server import Asked
from tests.support.s3 import S3Server, running_s3
from tests.support.server_process import TOKEN, ServerProcess, free_port, wait_for

pytestmark = pytest.mark.slow

_SCRIPT = """\
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import mlflow, numpy
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sklearn.linear_model import LinearRegression

tracking, registry = sys.argv[1:3]
mlflow.set_tracking_uri(tracking)
mlflow.set_registry_uri(registry)
said = {}
model = LinearRegression().fit([[1.0], [2.0]], [2.0, 4.0])
with mlflow.start_run() as run:
    mlflow.log_param("rate", "0.1")
    info = mlflow.sklearn.log_model(model, name="m", registered_model_name="fraud")
said["by_log_model"] = info.registered_model_version
version = mlflow.register_model(f"runs:/{run.info.run_id}/m", "fraud", await_registration_for=60)
client = MlflowClient()
said["by_run"] = [str(version.version), client.get_model_version("fraud", version.version).status]
version = mlflow.register_model(info.model_uri, "fraud", await_registration_for=60)
said["by_model"] = [str(version.version), client.get_model_version("fraud", version.version).status]
loaded = mlflow.pyfunc.load_model("models:/fraud/1")
said["predicted"] = float(numpy.round(loaded.predict(numpy.array([[3.0]]))[0], 6))
try:
    mlflow.register_model("s3://nobody-allowed/m", "fraud")
except MlflowException as error:
    said["refused"] = error.error_code
try:
    client.create_model_version(
        "fraud", "models:/m-" + "0" * 32, model_id="m-" + "0" * 32, await_creation_for=60
    )
except MlflowException as error:
    said["failed"] = str(error)
said["run_id"] = run.info.run_id
print(json.dumps(said))
"""


@contextlib.contextmanager
def tracking_server(home: Path) -> Iterator[str]:
    """MLflow's own server."""
    port = free_port()
    command = [str(mlflow_env.MLFLOW / "bin" / "mlflow"), "server", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{home}/mlflow.db"]
    command += ["--artifacts-destination", str(home / "artifacts")]
    environ = mlflow_env.environ(home, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
    log = home / "mlflow.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=environ, cwd=home, stdout=out, stderr=out, start_new_session=True
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, log, seconds=200)
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def test_the_unmodified_client_waits_until_what_it_logged_elsewhere_is_here(tmp_path: Path) -> None:
    with tracking_server(tmp_path) as tracking:
        server = ServerProcess(tmp_path, environ={"MUNIMENT_MLFLOW_URL": tracking})
        with server:
            environ = mlflow_env.environ(tmp_path, MLFLOW_TRACKING_TOKEN=TOKEN)
            done = subprocess.run(
                [str(mlflow_env.MLFLOW / "bin" / "python"), "-c", _SCRIPT, tracking, server.url],
                env=environ,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
                timeout=280,
            )
            assert done.returncode == 0, done.stdout + done.stderr + server.log.read_text()[-3000:]
            said = json.loads(done.stdout.splitlines()[-1])
            assert said["by_log_model"] in (1, "1")
            assert said["by_run"] == ["2", "READY"]
            assert said["by_model"] == ["3", "READY"]
            assert said["predicted"] == 6.0
            assert said["refused"] == "INVALID_PARAMETER_VALUE"
            assert "FAILED_REGISTRATION" in said["failed"]
            assert "no logged model" in said["failed"]
            shown = json.loads(server.cli("show", "fraud@1", "--json").stdout)
            assert shown["metadata"]["hyperparameters"]["rate"] == "0.1"
            assert {file["path"] for file in shown["files"]} >= {"MLmodel"}
            failed = json.loads(server.cli("fetch", "list", "--state", "failed", "--json").stdout)
            assert [each["number"] for each in failed] == [4]
            assert "failed" in server.cli("show", "fraud@4").stdout
            server.cli("verify", "fraud@1")
            assert server.cli("fsck", "--data", str(server.data), "--sample", "all").returncode == 0


class InThread:
    """A tracking server in a thread of its own, so that a killed registry does not stop it."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.over: asyncio.Event | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.tracked: OtherMlflow | None = None
        self.thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    async def _main(self) -> None:
        self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
        async with other_mlflow() as self.tracked:
            self.ready.set()
            await self.over.wait()

    def __enter__(self) -> OtherMlflow:
        self.thread.start()
        assert self.ready.wait(30)
        assert self.tracked is not None
        return self.tracked

    def __exit__(self, *_: object) -> None:
        assert self.loop is not None
        assert self.over is not None
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join(30)


def status_of(server: ServerProcess, version: str) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {TOKEN}"}
    path = f"/api/2.0/mlflow/model-versions/get?name=fraud&version={version}"
    found: dict[str, Any] = httpx.get(server.url + path, headers=headers).json()["model_version"]
    return found


def create(server: ServerProcess, source: str) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {TOKEN}"}
    at = f"{server.url}/api/2.0/mlflow"
    httpx.post(f"{at}/registered-models/create", json={"name": "fraud"}, headers=headers)
    body = {"name": "fraud", "source": source}
    made = httpx.post(f"{at}/model-versions/create", json=body, headers=headers)
    assert made.status_code == 200, made.text
    version: dict[str, Any] = made.json()["model_version"]
    assert version["status"] == "PENDING_REGISTRATION"
    return version


def await_end(server: ServerProcess, version: str, seconds: float = 90) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while (found := status_of(server, version))["status"] == "PENDING_REGISTRATION":
        assert time.monotonic() < deadline, server.log.read_text()[-3000:]
        time.sleep(0.1)
    return found


def test_a_worker_killed_in_the_middle_is_taken_over_and_goes_on(tmp_path: Path) -> None:
    with InThread() as tracked:
        root = tracked.add_run()
        names = [f"part-{n}.bin" for n in range(4)]
        tracked.files |= {f"{root}/m/{name}": name.encode() * 50_000 for name in names}
        reached, go_on = threading.Event(), threading.Event()

        def hold(asked: Asked) -> bytes | None:
            if asked.path.endswith("part-2.bin") and not go_on.is_set():
                reached.set()
                return b"HTTP/1.1 200 OK\r\ncontent-length: 550000\r\n\r\n" + b"p" * 1000
            return None

        tracked.before = hold
        server = ServerProcess(tmp_path, environ={"MUNIMENT_MLFLOW_URL": tracked.url})
        server.start()
        try:
            version = create(server, f"runs:/{RUN}/m")["version"]
            assert reached.wait(60), server.log.read_text()[-3000:]
            server.kill()
            go_on.set()
            server.start()
            found = await_end(server, version)
            assert found["status"] == "READY", found
            for name in names[:2]:
                assert tracked.asked_for(f"{root}/m/{name}") == 1, "it was here already"
            into = tmp_path / "got"
            server.cli("download", "fraud@1", "--into", str(into))
            got = {path.name: path.read_bytes() for path in into.rglob("*.bin")}
            assert got == {name: name.encode() * 50_000 for name in names}
            assert server.cli("fsck", "--data", str(server.data), "--sample", "all").returncode == 0
            assert server.stop() == 0
        finally:
            if server.process is not None and server.process.poll() is None:
                server.kill()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3(tmp_path_factory.mktemp("s3")) as running:
        yield running


def test_files_in_a_bucket_that_was_allowed_are_fetched(tmp_path: Path, s3: S3Server) -> None:
    store = S3Store(
        s3.bucket,
        config={
            "endpoint": s3.endpoint,
            "access_key_id": s3.access_key,
            "secret_access_key": s3.secret_key,
            "virtual_hosted_style_request": False,
        },
        client_options={"allow_http": True},
    )
    files = {"models/m/MLmodel": b"flavors: {}\n", "models/m/data/w.bin": os.urandom(9 << 20)}
    for key, content in {**files, "models/secret/x": b"x"}.items():
        obstore.put(store, key, content)
    environ = {
        "MUNIMENT_FETCH_BUCKETS": f"s3://{s3.bucket}/models/m",
        "MUNIMENT_FETCH_ENDPOINT": s3.endpoint,
        "MUNIMENT_FETCH_ACCESS_KEY": s3.access_key,
        "MUNIMENT_FETCH_SECRET_KEY": s3.secret_key,
    }
    with ServerProcess(tmp_path, environ=environ) as server:
        version = create(server, f"s3://{s3.bucket}/models/m")["version"]
        assert await_end(server, version)["status"] == "READY"
        into = tmp_path / "got"
        server.cli("download", "fraud@1", "--into", str(into))
        got = {
            str(path.relative_to(into)): path.read_bytes()
            for path in into.rglob("*")
            if path.is_file()
        }
        assert got == {key.removeprefix("models/m/"): content for key, content in files.items()}
        refused = httpx.post(
            f"{server.url}/api/2.0/mlflow/model-versions/create",
            json={"name": "fraud", "source": f"s3://{s3.bucket}/models/secret"},
            headers={"authorization": f"Bearer {TOKEN}"},
        )
        assert refused.status_code == 400
        empty = create(server, f"s3://{s3.bucket}/models/m/none")["version"]
        failed = await_end(server, empty)
        assert (failed["status"], failed["status_message"]) == (
            "FAILED_REGISTRATION",
            "there are no files at the source",
        )
