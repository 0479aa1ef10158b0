"""The main job on a real server: register, find, download, prove, and survive interruptions."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from muniment import Client
from tests.support.server_process import TOKEN, ServerProcess

pytestmark = pytest.mark.slow

REF = "risk/fraud detector@1.0.0"
METADATA = (
    "kind: model\nowner: admin\ndescription: Scores card payments.\nmetrics:\n  roc_auc: 0.93\n"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("MUNIMENT_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    at = tmp_path / "model"
    (at / "nested" / "größe").mkdir(parents=True)
    (at / "config.json").write_text('{"layers": 3}')
    (at / "nested" / "größe" / "weights.bin").write_bytes(os.urandom(3_000_000))
    (at / "empty").write_bytes(b"")
    return at


@pytest.fixture
def registered(server: ServerProcess, model: Path) -> str:
    """A version of an asset of this test's own."""
    name = f"model-{os.urandom(4).hex()}"
    (model.parent / "model.yaml").write_text(METADATA)
    server.cli(
        "register", name, "--version", "1.0.0", "--artifact", str(model),
        "--metadata", str(model.parent / "model.yaml"),
    )  # fmt: skip
    return f"{name}@1.0.0"


def data_of(server: ServerProcess, *arguments: str) -> Any:
    return json.loads(server.cli(*arguments, "--json").stdout)


def tree(at: Path) -> dict[str, str]:
    return {
        file.relative_to(at).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in at.rglob("*")
        if file.is_file()
    }


def test_three_lines_of_python(server: ServerProcess, model: Path, tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text(METADATA)
    with Client(server.url, TOKEN) as client:
        made = client.register(
            "risk/fraud detector", version="1.0.0", artifact=model, metadata=tmp_path / "model.yaml"
        )
        assert (made.ref, made.file_count) == (REF, 3)
        client.download(REF, tmp_path / "out", verify=True)
        assert client.verify(REF).ok
    assert tree(tmp_path / "out") == tree(model)


def test_what_goes_in_comes_out_and_is_found(
    server: ServerProcess, registered: str, model: Path, tmp_path: Path
) -> None:
    name = registered.partition("@")[0]
    server.cli("alias", "set", registered, "challenger", "--reason", "first")
    server.cli("tag", registered, "team=risk")
    shown = data_of(server, "show", f"{name}@challenger")
    assert (shown["version"], shown["tags"]) == ("1.0.0", {"team": "risk"})
    assert {file["path"]: file["sha256"] for file in shown["files"]} == tree(model)
    found = data_of(server, "search", f"name = '{name}'")
    assert [each["version"] for each in found] == ["1.0.0"]
    server.cli("download", f"{name}@challenger", "--into", str(tmp_path / "out"))
    assert tree(tmp_path / "out") == tree(model)
    history = data_of(server, "history", registered)
    acts = [change["act"] for change in history]
    assert all(change["actor"]["name"] for change in history)
    assert acts[-1] == "version.register"


def test_a_version_never_changes(server: ServerProcess, registered: str, model: Path) -> None:
    name = registered.partition("@")[0]
    again = data_of(server, "register", name, "--version", "1.0.0", "-a", str(model),
                    "-m", str(model.parent / "model.yaml"))  # fmt: skip
    assert again["created"] is False
    (model / "config.json").write_text("{}")
    other = server.cli("register", name, "--version", "1.0.0", "-a", str(model), "-m",
                       str(model.parent / "model.yaml"), "--json", check=False)  # fmt: skip
    assert other.returncode == 1
    assert json.loads(other.stdout)["error"]["code"] == "version_conflict"


def test_a_receipt_is_checked_without_the_server(
    server: ServerProcess, registered: str, model: Path, tmp_path: Path
) -> None:
    receipt, keys = tmp_path / "r.json", tmp_path / "keys.json"
    server.cli("log", "receipt", registered, "--out", str(receipt))
    server.cli("log", "keys", "--out", str(keys))
    offline = ("verify", str(receipt), "--offline", "--keys", str(keys), "--dir", str(model))
    unplugged = {**server.environ, "MUNIMENT_URL": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "muniment", *offline]
    done = subprocess.run(command, env=unplugged, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (model / "config.json").write_text('{"layers": 4}')
    done = subprocess.run(command, env=unplugged, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "`config.json`" in done.stdout


def test_the_log_is_followed_by_an_outsider(server: ServerProcess, registered: str) -> None:
    first = data_of(server, "log", "monitor", server.url, "--once")
    server.cli("tag", registered, "seen=yes")
    size = first["size"]
    for _ in range(50):
        size = data_of(server, "log", "checkpoint")["size"]
        if size > first["size"]:
            break
    second = data_of(server, "log", "monitor", server.url, "--once")
    assert second["new_entries"] >= 1
    assert "extends root" in server.cli("log", "consistency", str(first["size"]), str(size)).stdout
    entry = data_of(server, "log", "tail", "-n", "1")[0]["id"]
    assert "Checked" in server.cli("log", "proof", entry).stdout


def test_a_killed_upload_goes_on(server: ServerProcess, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.mkdir()
    for number in range(60):
        (big / f"shard-{number:03d}").write_bytes(os.urandom(1_000_000))
    arguments = ["register", f"big-{os.urandom(4).hex()}", "--version", "1.0.0", "-a", str(big),
                 "--kind", "model", "--owner", "admin"]  # fmt: skip
    environ = {**server.environ, "MUNIMENT_URL": server.url, "MUNIMENT_TOKEN": TOKEN}
    process = subprocess.Popen([sys.executable, "-m", "muniment", *arguments], env=environ)
    sessions = server.home / "state" / "uploads"
    while process.poll() is None and not list(sessions.glob("*.json")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = json.loads(server.cli(*arguments, "--json").stdout)
    assert again["file_count"] == 60
    ref = f"{again['name']}@1.0.0"
    server.cli("download", ref, "--into", str(tmp_path / "out"))
    assert tree(tmp_path / "out") == tree(big)


def test_whoever_has_no_token_gets_nothing(server: ServerProcess, registered: str) -> None:
    environ = {**server.environ, "MUNIMENT_URL": server.url, "MUNIMENT_TOKEN": "mun_x_y"}
    command = [sys.executable, "-m", "muniment", "show", registered, "--json"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "not_authenticated"


def test_an_admin_makes_a_token_for_somebody_else(server: ServerProcess, registered: str) -> None:
    made = data_of(server, "principal", "create", f"grace-{os.urandom(3).hex()}")
    server.cli("role", "grant", made["id"], "viewer", "--on", "default")
    token = server.cli("token", "create", "laptop", "--principal", made["id"]).stdout.strip()
    with Client(server.url, token) as client:
        assert client.whoami().name == made["name"]
        assert client.get(registered).version == "1.0.0"
    tokens = data_of(server, "token", "list")
    assert "laptop" in [each["label"] for each in tokens]
