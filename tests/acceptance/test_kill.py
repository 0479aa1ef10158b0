"""`kill -9` at any moment of a loop of registrations: all or nothing, and the log agrees."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import pytest

from muniment import Client
from muniment.core.errors import MunimentError
from tests.support.server_process import TOKEN, ServerProcess

#: How often the server is killed.
ROUNDS = int(os.environ.get("KILL_ROUNDS", "50"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Registrations(threading.Thread):
    """Registers version after version until the server goes away; keeps what was acknowledged."""

    def __init__(self, server: ServerProcess, home: Path, first: int) -> None:
        super().__init__(daemon=True)
        self.server, self.home, self.next = server, home, first
        self.acknowledged: dict[str, dict[str, bytes]] = {}
        self.first = threading.Event()

    def run(self) -> None:
        with Client(self.server.url, TOKEN, retries=0) as client:
            while True:
                version = f"1.0.{self.next}"
                files = write_model(self.home / version, self.next)
                try:
                    client.register(
                        "killed",
                        version=version,
                        artifact=self.home / version,
                        metadata={"owner": "ada"},
                        kind="model",
                        owner="ada",
                    )
                except (MunimentError, OSError):
                    return
                self.acknowledged[version] = files
                self.first.set()
                self.next += 1


def write_model(folder: Path, seed: int) -> dict[str, bytes]:
    """Write three files that no other version has, and one that every version has."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)
    files = {f"part-{n}.bin": chance.randbytes(20_000 + seed) for n in range(3)}
    files["shared.txt"] = b"the same in every version\n"
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return files


def test_every_acknowledged_version_survives_fifty_kills(tmp_path: Path) -> None:
    chance = random.Random(os.environ.get("KILL_SEED", "muniment"))
    server = ServerProcess(tmp_path)
    acknowledged: dict[str, dict[str, bytes]] = {}
    following = 0
    try:
        for _ in range(ROUNDS):
            server.start()
            loop = Registrations(server, tmp_path / "models", following)
            loop.start()
            if chance.random() < 0.7:  # the others die before anything was answered
                loop.first.wait(timeout=10)
            time.sleep(chance.uniform(0.0, 0.25))  # the moment of death is the point
            server.kill()
            loop.join(timeout=30)
            acknowledged |= loop.acknowledged
            following = loop.next + 1  # the one in flight may be there or not; both are right
        server.start()
        check_everything(server, acknowledged, tmp_path)
        assert server.cli("fsck", "--data", str(server.data), "--sample", "all").returncode == 0
        assert server.stop() == 0
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()
    assert len(acknowledged) >= ROUNDS // 2, "the loop hardly registered anything"


def check_everything(
    server: ServerProcess, acknowledged: dict[str, dict[str, bytes]], home: Path
) -> None:
    """Every acknowledged version is there byte for byte; every version that is there is whole."""
    with Client(server.url, TOKEN) as client:
        present = {str(version.version) for version in client.versions.search("name = 'killed'")}
        assert set(acknowledged) <= present
        for version in sorted(present):
            into = home / "downloaded" / version
            client.download(f"killed@{version}", into)
            found = {path.name: path.read_bytes() for path in into.iterdir()}
            written = {
                path.name: path.read_bytes() for path in (home / "models" / version).iterdir()
            }
            assert found == written
            assert version not in acknowledged or found == acknowledged[version]
