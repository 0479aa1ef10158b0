"""Approvals on a real server: people with keys of their own, from the command line."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from muniment import Client
from muniment.server import policy
from tests.support.approving import quorum_alone
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
    home = tmp_path_factory.mktemp("registry")
    first = home / "quorum.tar.gz"
    first.write_bytes(policy.pack(quorum_alone(own_key=True)))
    with ServerProcess(home, environ={"MUNIMENT_FIRST_POLICY": str(first)}) as running:
        yield running


def test_three_people_approve_and_a_stranger_checks_it(server: ServerProcess) -> None:
    """Asked for, refused to who asked, signed with two keys, decided, exported, checked offline."""
    maker = Person(server, "maker", "contributor")
    asker = Person(server, "asker", "contributor", "approver_product")
    files = server.home / "model"
    files.mkdir()
    (files / "m.bin").write_bytes(b"weights")
    (files.parent / "m.yaml").write_text("risk_tier: limited\n")
    maker.run(
        "register", "fraud", "--version", "1.0.0", "--artifact", str(files), "--kind", "model",
        "--owner", "ada", "--metadata", str(files.parent / "m.yaml"),
    )  # fmt: skip
    asked = asker.run("request", "fraud@1.0.0", "--to", "production", "--change", "significant")
    asker.run("key", "create")
    own = asker.run("approve", asked["id"], "--as", "product", code=3)
    assert own["error"]["bar"] == "requester"
    product = Person(server, "pia", "approver_product")
    session = product.run("approve", "fraud@1.0.0", "--as", "product", code=3)
    assert session["error"]["bar"] == "own_key_needed"
    product.run("key", "create")
    first = product.run(
        "approve",
        "fraud@1.0.0",
        "--as",
        "product",
        "--condition",
        "watch it",
        "--due",
        "2099-01-01",
    )
    assert first["missing"] == [{"role": "platform", "have": 0, "need": 1}]
    remark = product.run("comment", "fraud@1.0.0", "and the latency?")
    platform = Person(server, "paul", "approver_platform")
    platform.run("key", "create")
    waiting = platform.run("approve", asked["id"], "--as", "platform")
    assert waiting["decision"] is None
    done = product.run("resolve", asked["id"], remark["id"], "--how", "measured")["decision"]
    assert done["outcome"] == "approved"
    shown = platform.server.run(["decision", "show", done["id"]], platform.environ).stdout
    assert "Holds now" in shown
    assert "pia" in shown
    bundle, keys = server.home / "decision.json", server.home / "keys.json"
    platform.run("decision", "export", done["id"], "-o", str(bundle))
    keys.write_text(json.dumps(platform.run("log", "keys")))
    alone: Any = {"MUNIMENT_CONFIG_HOME": str(server.home / "nobody"), "MUNIMENT_TOKEN": "x"}
    check = ("decision", "verify", str(bundle), "--key", str(keys))
    found = product.run(*check, **alone)
    assert (found["ok"], found["approves"], len(found["steps"])) == (True, True, 6)
    product.run(*check, "--at", "2099-01-01", code=1, **alone)
    changed = bundle.read_text().replace('"logIndex": "', '"logIndex": "1', 1)
    (server.home / "changed.json").write_text(changed.replace('"treeSize"', '"treeSizes"'))
    broken = product.run("decision", "verify", str(server.home / "changed.json"), "--key", str(keys), code=1, **alone)  # fmt: skip
    assert [one["step"] for one in broken["steps"] if one["holds"] is False] == [2]
    server.cli("fsck", "--data", str(server.data))


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
    everybody = ada.run("key", "list", "--all", "--revoked")
    assert made["id"] in {one["id"] for one in everybody}
