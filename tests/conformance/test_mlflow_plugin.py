"""MLflow's own client with our plugin: runs tracked in files or by MLflow's server, models with us."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from muniment.client import places
from tests.support import mlflow_env
from tests.support.counting_proxy import CountingProxy
from tests.support.server_process import TOKEN, ServerProcess, free_port, wait_for

SCRIPT = mlflow_env.ROOT / "tests" / "support" / "mlflow_plugin_script.py"
MIB = 1 << 20

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mlflow_env.make(tmp_path_factory.mktemp("env"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("registry")) as running:
        yield running
        running.stop()


@contextlib.contextmanager
def tracking(kind: str, home: Path) -> Iterator[str]:
    """Give the tracking address of a kind: files, or a server of MLflow's."""
    if kind == "files":
        yield f"file://{home}/mlruns"
        return
    port = free_port()
    command = [str(mlflow_env.MLFLOW / "bin" / "mlflow"), "server", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{home}/mlflow.db"]
    command += ["--artifacts-destination", str(home / "artifacts")]
    environ = mlflow_env.environ(home, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
    with (home / "mlflow.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environ, cwd=home, stdout=log, stderr=log, start_new_session=True
        )
    try:
        health = f"http://127.0.0.1:{port}/health"
        wait_for(health, process, home / "mlflow.log", seconds=200)
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


class Script:
    """The script in a process of its own."""

    def __init__(
        self, python: Path, home: Path, proxy: CountingProxy, tracked: str, *arguments: str
    ) -> None:
        self.home, self._log = home, home / "script.log"
        environ = mlflow_env.environ(
            home,
            MLFLOW_TRACKING_URI=tracked,
            MLFLOW_REGISTRY_URI=f"muniment+http://127.0.0.1:{proxy.port}",
            MUNIMENT_TOKEN=TOKEN,
            MLFLOW_ALLOW_FILE_STORE="true",
        )
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [python, SCRIPT, *arguments],
                env=environ,
                cwd=home,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def until(self, name: str) -> None:
        """Read until it waits at `name`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == f"@{name}":
                return
        raise AssertionError(self._log.read_text()[-8000:])

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> dict[str, Any]:
        """Wait for its end; return what it saw."""
        self.process.communicate("\n")
        assert self.process.returncode == 0, self._log.read_text()[-6000:]
        seen: dict[str, Any] = json.loads((self.home / "seen.json").read_text())
        return seen


@pytest.fixture(scope="module", params=["files", "server"])
def seen(
    request: pytest.FixtureRequest, python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """What the script saw, with `sent` bytes at its stops, and our server's `manifest` of the first."""
    home = tmp_path_factory.mktemp(f"plugin-{request.param}")
    registry = ServerProcess(tmp_path_factory.mktemp("registry"))
    with registry, CountingProxy(registry.port) as proxy, tracking(request.param, home) as tracked:
        saved = {"default": None, "servers": {registry.url: {"token": TOKEN}}}
        places.write_private(home / "config" / "credentials.json", saved)
        with Script(python, home, proxy, tracked, "all", registry.url) as script:
            outside = watch(script, proxy, registry)
            found = script.end() | outside
        yield found | {"tracked": tracked, "kind": request.param, "port": proxy.port}
        registry.stop()


def watch(script: Script, proxy: CountingProxy, registry: ServerProcess) -> dict[str, Any]:
    """Note what is seen from outside, and tamper with the bytes when it is time."""
    sent = []
    for stop in ("first is registered", "second is registered"):
        script.until(stop)
        sent.append(proxy.sent)
        script.go_on()
    script.until("tamper")
    headers = {"authorization": f"Bearer {TOKEN}"}
    url = f"{registry.url}/api/v1/assets/default/churn%20model/versions/1"
    version = httpx.get(url, headers=headers).json()
    manifest = httpx.get(f"{url}/manifest", headers=headers).json()
    verified = registry.cli("verify", "churn model@1.0.0", check=False).returncode
    files = {file["path"]: file for file in manifest["files"]}
    tamper(registry.data, files["requirements.txt"]["sha256"])
    return {"sent": sent, "manifest": files, "version": version, "verified": verified}


def tamper(data: Path, sha256: str) -> None:
    """Flip a byte of a blob on the server's disk."""
    at = next(path for path in (data / "blobs").rglob(f"*{sha256[4:]}") if path.is_file())
    at.chmod(0o644)
    held = bytearray(at.read_bytes())
    held[0] ^= 1
    at.write_bytes(held)


def test_every_way_to_register_gives_a_version_that_is_ready(seen: dict[str, Any]) -> None:
    run_id = seen["run_id"]
    assert seen["logged_as"] == "1"
    assert seen["by_run"] == ["2", "READY", {"k": "v"}, run_id]
    assert seen["found"] == [["1", "READY", run_id], ["2", "READY", run_id]]
    assert seen["copied"] == ["1", "models:/churn model/1"]


def test_the_version_says_what_its_mlmodel_and_its_run_say(seen: dict[str, Any]) -> None:
    metadata = seen["version"]["metadata"]
    assert metadata["signature"]["inputs"][0]["shape"] == [-1, 1]
    assert "sklearn" in [one["name"] for one in metadata["frameworks"]]
    assert metadata["run"] == {"id": seen["run_id"]}
    assert metadata["hyperparameters"] == {"C": "1.0"}
    about = metadata["extra"]["mlflow"]
    assert (about["source"], about["model_id"]) == (f"models:/{seen['model_id']}", seen["model_id"])
    assert about.get("tracking_uri") == (seen["tracked"] if seen["kind"] == "server" else None)


def test_digests_are_those_of_the_files_and_the_receipt_holds(seen: dict[str, Any]) -> None:
    data = Path(seen["one"]).read_bytes()
    assert seen["manifest"]["MLmodel"]["sha256"] == hashlib.sha256(data).hexdigest()
    assert "registered_model_meta" not in seen["manifest"]
    assert seen["verified"] == 0


def test_what_is_held_is_not_sent_again(seen: dict[str, Any]) -> None:
    first, both = seen["sent"]
    size_bytes = sum(file["size_bytes"] for file in seen["manifest"].values())
    assert first > size_bytes
    largest = max(file["size_bytes"] for file in seen["manifest"].values())
    assert both - first < 12_000, "requests and headers only"
    assert size_bytes > 2000
    assert largest > 500


def test_a_registered_model_loads_and_lists(seen: dict[str, Any]) -> None:
    assert seen["predicted"] == [0, 0, 1, 1]
    assert seen["uri"] == f"muniment+http://127.0.0.1:{seen['port']}/churn%20model@1"
    top = sorted(path for path in seen["manifest"] if "/" not in path)
    assert seen["listed"] == top
    assert seen["direct"] == sorted({path.split("/")[0] for path in seen["manifest"]})


def test_bytes_that_are_not_those_registered_never_arrive(seen: dict[str, Any]) -> None:
    for what in ("tampered", "tampered_load"):
        mlflows, ours, message = seen[what]
        assert (mlflows, ours) == ("DATA_LOSS", "digest_mismatch")
        assert "requirements.txt" in message
    assert "requirements.txt" not in seen["bad"]
    assert not [name for name in seen["bad"] if name.endswith(".part")]


def test_a_token_goes_to_its_own_registry_alone(seen: dict[str, Any]) -> None:
    assert seen["tracked_here"] == ["Default"]
    assert set(seen["token_by_registry_uri"].values()) == {False}
    assert list(seen["token_by_url"].values()) == [True, False, False, False]
    assert list(seen["token_saved"].values()) == [True, False, False, False]
    assert seen["no_token"][:2] == ["UNAUTHENTICATED", "not_authenticated"]
    assert "muniment login" in seen["no_token"][2]


REFUSED = {
    "link": ("INVALID_PARAMETER_VALUE", "bad_path", "symbolic link"),
    "missing": ("RESOURCE_DOES_NOT_EXIST", "not_found", "version=99"),
    "missing uri": ("RESOURCE_DOES_NOT_EXIST", "not_found", "version=99"),
    "missing file": ("RESOURCE_DOES_NOT_EXIST", "not_found", "nothing"),
    "outside": ("INVALID_PARAMETER_VALUE", "bad_reference", ".."),
    "delete": ("RESOURCE_CONFLICT", "lifecycle_conflict", "is deployed in production"),
    "write": ("PERMISSION_DENIED", "not_allowed", "never changes"),
    "address": ("INVALID_PARAMETER_VALUE", "bad_reference", "MUNIMENT_TOKEN"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refusals_have_mlflows_code_ours_and_the_registrys_words(
    seen: dict[str, Any], what: str
) -> None:
    mlflows, ours, words = REFUSED[what]
    found = seen["refused"][what]
    assert found[:2] == [mlflows, ours], found
    assert words in found[2]
    assert "u:p" not in found[2]


def test_an_upload_that_was_killed_goes_on_where_it_was(
    python: Path, server: ServerProcess, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    model.joinpath("MLmodel").write_text("flavors: {}\n")
    model.joinpath("weights.bin").write_bytes(os.urandom(24 * MIB))
    with CountingProxy(server.port) as proxy:
        tracked = f"file://{tmp_path}/mlruns"
        proxy.stop_after(16 * MIB)
        with Script(python, tmp_path, proxy, tracked, "push", str(model)):
            assert proxy.stopped.wait(120), "it never sent that much"
        proxy.stop_after(None)
        before = proxy.sent
        with Script(python, tmp_path, proxy, tracked, "push", str(model)) as second:
            assert second.end()["pushed"] == ["1", "READY"]
        assert proxy.sent - before < 12 * MIB
    assert server.cli("verify", "big@1.0.0").returncode == 0
