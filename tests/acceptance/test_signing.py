"""Signing on a real server, checked by the tool that others use, and its signatures checked by us."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from muniment.core.digest import Digest
from tests.support.server_process import ServerProcess
from tests.support.signing import (
    BUILDER,
    Authority,
    envelope_of,
    p256,
    pem_of,
    private_pem,
    provenance_of,
)

pytestmark = pytest.mark.slow

FILES = {
    "a-x": b"sorted before a/b by paths, after it by parts",
    "a/b": b"weights",
    "a.txt": b"",
    ".gitattributes": b"*.bin filter=lfs\n",
    "sub/.gitignore": b"only those at the top are left out\n",
    "näme with space.json": b"{}",
}


#: Runs the tool's own command line on each line of arguments, in one process: it takes a second to load.
_TOOL = """
import json, sys
from click.testing import CliRunner
from model_signing._cli import main
said = []
for arguments in json.load(sys.stdin):
    done = CliRunner().invoke(main, arguments)
    said.append([done.exit_code, done.output])
print(json.dumps(said))
"""


def tool(*commands: tuple[object, ...]) -> list[bool]:
    """Run `model_signing` as its project ships it; say of each command whether it succeeded."""
    given = json.dumps([list(map(str, command)) for command in commands])
    done = subprocess.run(
        [sys.executable, "-c", _TOOL], input=given, capture_output=True, text=True,
        check=True, timeout=120,
    )  # fmt: skip
    results = json.loads(done.stdout.splitlines()[-1])
    assert all((code == 0) == ("succeeded" in output) for code, output in results), results
    return [code == 0 for code, _ in results]


def verify(folder: Path, signature: Path, key: Path) -> tuple[object, ...]:
    return "verify", "key", folder, "--signature", signature, "--public_key", key


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files as they are registered, changed ones, keys; and what the tool signed of them."""
    home = tmp_path_factory.mktemp("signing")
    for path, data in FILES.items():
        (home / "model" / path).parent.mkdir(parents=True, exist_ok=True)
        (home / "model" / path).write_bytes(data)
    shutil.copytree(home / "model", home / "changed")
    (home / "changed" / "a" / "b").write_bytes(b"weightz")
    for number, name in enumerate(("alice", "bob")):
        (home / f"{name}.pem").write_bytes(private_pem(p256(number)))
        (home / f"{name}.pub").write_text(pem_of(p256(number)))
    authority = Authority(at=dt.datetime.now(dt.UTC))  # its certificates must hold today
    leaf = authority.issue(p256(0), common="train")
    (home / "leaf.crt").write_bytes(leaf.public_bytes(Encoding.PEM))
    (home / "ca.crt").write_text(authority.pem)
    bob = ("--private_key", home / "bob.pem")
    certificate = (
        "--private_key", home / "alice.pem", "--signing_certificate", home / "leaf.crt",
        "--certificate_chain", home / "ca.crt",
    )  # fmt: skip
    signed = tool(
        ("sign", "key", home / "model", "--signature", home / "theirs.sig", *bob),
        ("sign", "key", home / "changed", "--signature", home / "evil.sig", *bob),
        ("sign", "certificate", home / "model", "--signature", home / "cert.sig", *certificate),
    )
    assert all(signed)
    return home


@pytest.fixture(scope="module")
def server(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("registry")) as running:
        running.cli(
            "register", "thing", "--version", "1.0.0", "--artifact", str(home / "model"),
            "--kind", "model", "--owner", "ada",
        )  # fmt: skip
        yield running


def data_of(server: ServerProcess, *arguments: str) -> Any:
    return json.loads(server.cli(*arguments, "--json").stdout)


def test_the_tool_accepts_what_we_sign_and_nothing_else(server: ServerProcess, home: Path) -> None:
    ours, registry, downloaded = home / "ours.sig", home / "registry.sig", home / "downloaded"
    alice = home / "alice.pem"
    signed = data_of(server, "sign", "thing@1.0.0", "--key", str(alice), "-o", str(ours))
    assert (signed["by"], signed["evidence"]["assurance"]) == ("key", "asserted")
    shown = server.cli("sign", "thing@1.0.0", "-o", str(registry)).stdout
    assert "with the registry's record key" in shown
    assert "verified, signed with the key of registry" in shown
    keys = data_of(server, "log", "keys")
    (home / "registry.pub").write_text(keys["record_key_pem"])
    server.cli("download", "thing@1.0.0", "--to", str(downloaded))
    assert tool(
        verify(downloaded, ours, home / "alice.pub"),
        verify(downloaded, registry, home / "registry.pub"),
        verify(downloaded, ours, home / "bob.pub"),
        verify(home / "changed", ours, home / "alice.pub"),
    ) == [True, True, False, False]


def test_we_accept_what_the_tool_signs(server: ServerProcess, home: Path) -> None:
    server.cli("signer", "add", "bob", "--key", str(home / "bob.pub"))
    server.cli(
        "signer", "add", "corporate", "--authority", str(home / "ca.crt"),
        "--identity", "train", "--use", "signature",
    )  # fmt: skip
    files = (str(home / "theirs.sig"), str(home / "cert.sig"))
    made = data_of(server, "evidence", "add", "thing@1.0.0", *files)["items"]
    assert [(one["assurance"], one["signer"]) for one in made] == [
        ("verified", "signer:bob"),
        ("verified", "signer:corporate train"),
    ]
    refused = server.cli("evidence", "add", "thing@1.0.0", str(home / "evil.sig"), check=False)
    assert refused.returncode == 1
    assert "`evil.sig a/b`: is signed as sha256:" in refused.stderr
    server.cli("signer", "remove", "corporate")
    listed = data_of(server, "signer", "list", "--removed")
    assert "corporate" in [one["name"] for one in listed if one["removed_at"]]
    assert "bob" in server.cli("signer", "list").stdout


def test_verify_says_of_each_how_it_stands(server: ServerProcess, home: Path) -> None:
    server.cli("sign", "thing@1.0.0")
    registered = data_of(server, "show", "thing@1.0.0")
    said = provenance_of(Digest.parse(registered["manifest_digest"]))
    (home / "provenance.json").write_text(json.dumps(envelope_of(said, p256(1))))
    server.cli("signer", "add", "ci", "--key", str(home / "bob.pub"), "--builder", BUILDER)
    server.cli("evidence", "add", "thing@1.0.0", str(home / "provenance.json"))
    required = ("--require", "signature", "--require", "provenance")
    found = data_of(server, "verify", "thing@1.0.0", *required)
    assert found["standings"] == dict.fromkeys(
        ("bytes", "signature", "provenance", "receipt"), "verified"
    )
    server.cli("signer", "remove", "ci")
    lacking = server.cli("verify", "thing@1.0.0", *required, check=False)
    assert lacking.returncode == 4
    assert "provenance asserted" in lacking.stdout
