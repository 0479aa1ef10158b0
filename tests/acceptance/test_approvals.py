"""Approvals on a real server: people with keys of their own, from the command line."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from muniment import Client
from tests.support.server_process import TOKEN, ServerProcess

pytestmark = pytest.mark.slow


class Person:
    """Somebody with a token, and a home of their own."""

    def __init__(self, server: ServerProcess, name: str, *roles: str) -> None:
        self.server, self.home = server, server.home / name
        with Client(server.url, TOKEN) as admin:
            self.id = str(admin.principals.create(name).id)
            for role in roles:
                admin.principals.grant(self.id, role)
            self.token = admin.tokens.create(name, principal_id=self.id).token or ""

    @property
    def environ(self) -> Mapping[str, str]:
        return {
            **self.server.environ,
            "MUNIMENT_TOKEN": self.token,
            "MUNIMENT_CONFIG_HOME": str(self.home),
        }

    def run(self, *arguments: str, code: int = 0, **environ: str) -> Any:
        done = self.server.run([*arguments, "--json"], {**self.environ, **environ}, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("registry")) as running:
        yield running


def test_a_key_is_made_here_and_known_there(server: ServerProcess) -> None:
    ada = Person(server, "ada", "approver_security")
    made = ada.run("key", "create", "laptop", "--passphrase", MUNIMENT_KEY_PASSWORD="horse")
    file = Path(made["file"])
    assert (file.parent.parent, file.name) == (ada.home, "laptop.pem")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"ENCRYPTED" in file.read_bytes()
    again = ada.run("key", "create", "laptop", MUNIMENT_KEY_PASSWORD="horse")
    assert again["id"] == made["id"]
    wrong = ada.run("key", "create", "laptop", code=1, MUNIMENT_KEY_PASSWORD="cow")
    assert wrong["error"]["code"] == "bad_proof"
    file.chmod(0o644)
    seen = ada.run("key", "create", "laptop", code=1, MUNIMENT_KEY_PASSWORD="horse")
    assert "chmod 600" in seen["error"]["message"]
    assert [one["name"] for one in ada.run("key", "list")] == ["laptop"]
    assert ada.run("key", "revoke", "laptop")["revoked_by"] == ada.id
    assert ada.run("key", "list") == []
    assert [one["id"] for one in ada.run("key", "list", "--all", "--revoked")] == [made["id"]]
