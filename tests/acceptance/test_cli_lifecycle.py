"""The lifecycle from the command line on a real server: what it says, and the exit codes scripts rely on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from muniment import Client
from muniment.client.cli.app import build
from muniment.client.cli.screen import Session
from muniment.client.composites import absent
from muniment.server import policy
from tests.support.server_process import TOKEN, ServerProcess

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    home = tmp_path_factory.mktemp("lifecycle")
    (home / "m.txt").write_text("weights")
    with ServerProcess(home) as running:
        for version in ("1.0.0", "2.0.0"):
            running.cli(
                "register", "fraud", "--version", version, "--artifact", "m.txt", "--kind", "model"
            )
        yield running
        running.stop()


def seen(server: ServerProcess, *arguments: str) -> Any:
    return json.loads(server.cli(*arguments, "--json").stdout)


def test_a_version_goes_its_way_by_command(server: ServerProcess, tmp_path: Path) -> None:
    allowed = server.cli("promote", "fraud@1.0.0", "--env", "development", "--dry-run")
    assert "would be in development" in allowed.stdout
    assert seen(server, "deployments", "fraud") == []
    server.cli("promote", "fraud@1.0.0", "--env", "development", "--reason", "try")
    assert [one["version"] for one in seen(server, "deployments", "fraud", "--live")] == ["1.0.0"]
    deployed = server.cli("retire", "fraud@1.0.0", "--reason", "old", check=False)
    assert (deployed.returncode, "muniment withdraw" in deployed.stderr) == (1, True)
    server.cli("withdraw", "fraud@1.0.0", "--env", "development", "--reason", "done")
    missing = server.cli("promote", "fraud@1.0.0", "--env", "staging", check=False)
    assert (missing.returncode, "META-001" in missing.stderr) == (4, True)
    denied = server.cli("promote", "fraud@1.0.0", "--env", "production", "--json", check=False)
    error = json.loads(denied.stdout)["error"]
    assert (denied.returncode, error["code"]) == (3, "refused")
    assert error["verdict"]["results"][0]["id"] == "PROM-001"
    why = server.cli("why-not", "fraud@1.0.0", "--for", "production", check=False)
    assert why.returncode == 3
    assert "SEC-001  The SBOM is there" in why.stdout
    assert "Run:   muniment evidence add fraud@1.0.0 FILE --context CONTEXT" in why.stdout
    assert "Who:   attester, contributor" in why.stdout
    staging = server.cli("why-not", "fraud@1.0.0", "--for", "staging", "--json", check=False)
    told = json.loads(staging.stdout)
    assert (staging.returncode, told["lacks"]) == (4, "evidence")
    every = server.cli("explain", "fraud@1.0.0", "--for", "staging", check=False)
    assert (every.returncode, "APPR-001" in every.stdout) == (4, True)
    assert server.cli("why-not", "fraud@1.0.0", "--for", "development").returncode == 0
    nothing = server.cli("rollback", "fraud", "--env", "staging", "--reason", "drill", check=False)
    assert (nothing.returncode, "nothing of fraud is deployed" in nothing.stderr) == (1, True)
    alias = server.cli("alias", "set", "fraud@1.0.0", "champion", check=False)
    assert (alias.returncode, "muniment request" in alias.stderr) == (3, True)

    server.cli("quarantine", "fraud@1.0.0", "--reason", "odd")
    into = ("--into", str(tmp_path / "out"))
    assert server.cli("download", "fraud@1.0.0", *into, check=False).returncode == 1
    server.cli("release", "fraud@1.0.0", "--reason", "fine")
    said = server.cli("deprecate", "fraud@1.0.0", "--replacement", "fraud@2.0.0")
    assert "is deprecated; its use ends on" in said.stdout
    server.cli("reinstate", "fraud@1.0.0", "--reason", "too early")
    server.cli("retire", "fraud@1.0.0", "--reason", "rejected")
    shown = seen(server, "show", "fraud@1.0.0")
    assert (shown["lifecycle"], shown["standing"]["reason"]) == ("retired", "rejected")
    acts = [one["act"] for one in seen(server, "history", "fraud@1.0.0")]
    assert acts[:3] == ["version.retire", "version.reinstate", "version.deprecate"]
    assert acts.count("promotion.refuse") == 3


def test_a_composite_goes_its_way_by_command(server: ServerProcess) -> None:
    kinds = ("code", "data", "adapter", "prompt", "config", "env")
    rest = absent(dict.fromkeys(kinds, "none"))
    with Client(server.url, TOKEN) as admin:
        for name in ("churn", "helper"):
            admin.register(name, version="1.0.0", artifact=server.home / "m.txt", kind="model")
        pins = [{"pin": "churn@1.0.0"}, {"pin": "helper@1.0.0"}]
        whole = admin.composites.create("churn", [*pins, *rest]).cvi
        less = admin.composites.create("churn", [pins[0], *rest]).cvi
        admin.lifecycle.promote(less, "development")
    where = ("--env", "development", "--reason", "try")
    dry = server.cli("promote", whole, "--env", "development", "--dry-run").stdout
    assert f"{whole} would be in development:\n  churn@1.0.0 would be in development" in dry
    said = server.cli("promote", whole, *where).stdout
    assert f"{whole} is in development:" in said
    assert "  helper@1.0.0 is in development" in said
    shown = seen(server, "deployments", "churn")
    assert [one["composite"] for one in shown] == [whole, less]
    assert "helper@1.0.0" in server.cli("deployments", whole, "--live").stdout
    why = server.cli("why-not", whole, "--for", "staging", check=False)
    assert (why.returncode, f"{whole} to staging (churn@1.0.0, helper@1.0.0)" in why.stdout) == (4, True)  # fmt: skip
    denied = server.cli("promote", whole, "--env", "production", check=False)
    assert (denied.returncode, f"muniment request {whole}" in denied.stderr) == (3, True)
    back = server.cli("rollback", "churn", *where, "--to", less).stdout
    assert f"{less} is in development:\n  churn@1.0.0 is in development" in back
    assert "helper@1.0.0 is out of development: it is no part of this composite" in back
    out = server.cli("withdraw", less, *where).stdout
    assert out == f"{less} is out of development\n  churn@1.0.0\n"


def test_a_namespace_is_governed_by_command(server: ServerProcess) -> None:
    made = server.cli("namespace", "create", "team", "--mode", "observe")
    assert "mode observe" in made.stdout
    no_reason = server.cli("namespace", "mode", "team", "warn", check=False)
    assert no_reason.returncode == 2
    server.cli("namespace", "mode", "team", "warn", "--reason", "step by step")
    server.cli("namespace", "aliases", "team", "blue", "green", "--reason", "ours")
    shown = seen(server, "namespace", "show", "team")
    assert (shown["mode"], shown["production_aliases"]) == ("warn", ["blue", "green"])
    assert shown["enforcement"]["refused"] == 0
    asks = ("--why", "the law wants it", "--risk-tier", "high", "--reason", "new law")
    server.cli("namespace", "require", "team", "dpia", *asks)
    asked = "extra.dpia at candidate, of high: the law wants it"
    assert asked in server.cli("namespace", "show", "team").stdout
    server.cli("namespace", "require", "team", "dpia", "--drop", "--reason", "repealed")
    again = ("namespace", "require", "team", "dpia", "--drop", "--reason", "repealed")
    assert "does not ask for" in server.cli(*again, check=False).stderr
    assert "step by step" in server.cli("namespace", "history", "team").stdout
    assert "team" in server.cli("namespace", "list").stdout
    assert "Nothing was asked" in server.cli("namespace", "attempts", "team").stdout


def test_a_policy_is_brought_into_force_by_command(server: ServerProcess, tmp_path: Path) -> None:
    with Client(server.url, TOKEN) as admin:
        person = admin.principals.create("grace")
        admin.principals.grant(str(person.id), "approver_governance")
        token = admin.tokens.create("grace", principal_id=str(person.id)).token
        assert admin.policies.bundle().digest in server.cli("policy", "show", "active").stdout
    draft = tmp_path / "draft"
    shutil.copytree(policy.STARTER, draft)
    table = draft / "data.json"
    table.write_text(table.read_text().replace('"grace_days": 60', '"grace_days": 30'))
    changed = server.cli("policy", "diff", "active", str(draft)).stdout
    assert "data.json changed: life.grace_days: 60 -> 30" in changed
    refused = server.cli("promote", "fraud@2.0.0", "--env", "production", check=False)
    assert refused.returncode == 3
    verdict = seen(server, "policy", "verdicts", "--ref", "fraud@2.0.0")[0]
    assert (
        "fraud@2.0.0, promote to production"
        in server.cli("policy", "verdict", verdict["id"]).stdout
    )
    assert "The same bytes: deny" in server.cli("policy", "replay", verdict["id"]).stdout
    simulated = seen(server, "policy", "simulate", str(draft))
    assert simulated["result"]["verdict_count"] >= 1
    assert simulated["result"]["differing_count"] == 0
    digest = simulated["digest"]
    assert server.cli("policy", "diff", "active", digest).stdout == changed
    made = server.cli("policy", "activate", digest, "--reason", "shorter", "--quiet").stdout
    assert "Somebody else approves it: muniment policy approve-activation" in made
    [one, first] = seen(server, "policy", "proposals")
    assert (one["state"], first["active"]) == ("open", True)
    approve = ("policy", "approve-activation", one["id"], "--reason", "yes")
    alone = server.cli(*approve, check=False)
    assert (alone.returncode, "who proposes a policy does not approve" in alone.stderr) == (3, True)
    done = server.run(approve, {**server.environ, "MUNIMENT_TOKEN": str(token)})
    assert "in force" in done.stdout
    assert server.cli("policy", "proposals", "--open").stdout == "Nothing waits for approval.\n"
    assert "by grace: yes" in server.cli("policy", "proposal", one["id"]).stdout
    file = tmp_path / "active.tar.gz"
    server.cli("policy", "download", "-o", str(file))
    assert policy.read_bundle(policy.read_files(file)).digest == digest
    gone = server.cli("policy", "withdraw-activation", one["id"], "--reason", "no", check=False)
    assert (gone.returncode, "is to replace it" in gone.stderr) == (1, True)


def here(server: ServerProcess, *arguments: str) -> str:
    """Run a command in this process, which must do; return what it printed."""
    session = Session(connect=lambda _url, _token: Client(server.url, TOKEN))
    done = CliRunner().invoke(build(), list(arguments), obj=session)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_consumers_are_bound_told_and_acknowledged_by_command(server: ServerProcess) -> None:
    uses = {"allowed_use_cases": ["triage"], "prohibited_use_cases": ["hiring"]}
    with Client(server.url, TOKEN) as admin:
        for version in ("1.0.0", "2.0.0"):
            admin.register(
                "watch",
                version=version,
                artifact=server.home / "m.txt",
                kind="model",
                metadata=uses,
            )
        admin.consumers.bind("watch", system="batch", endpoint="batch:nightly", use_case="triage")
    asked = (
        "consumer",
        "bind",
        "watch@1.0.0",
        "--system",
        "checkout",
        "--endpoint",
        "https://p.example",
    )
    dry = here(server, *asked, "--use-case", "triage", "--dry-run")
    assert dry == "checkout would be bound to watch@1.0.0 for triage\n"
    made = json.loads(here(server, *asked, "--use-case", "triage", "--json"))["binding"]
    denied = server.cli(*asked, "--use-case", "hiring", check=False)
    assert (denied.returncode, "hiring is a prohibited use" in denied.stderr) == (3, True)
    assert "USE-001: see below; who may: contributor, publisher" in denied.stderr
    assert "bind" in here(server, "namespace", "attempts", "default")
    assert "Consumers: 2 (`muniment consumer list watch`)" in here(server, "show", "watch")
    end = ("deprecate", "watch@1.0.0", "--replacement", "watch@2.0.0")
    dry = here(server, *end, "--dry-run")
    assert "watch@1.0.0 would be deprecated" in dry
    assert "1 consumer uses it: `muniment consumer list watch@1.0.0 --unacknowledged`" in dry
    here(server, *end)
    due = json.loads(here(server, "consumer", "list", "--unacknowledged", "--json"))
    assert [(one["id"], one["standing"]["state"]) for one in due] == [(made["id"], "deprecated")]
    told = here(server, "consumer", "acknowledge", made["id"], "--note", "on 2.0.0 in May")
    assert "watch@1.0.0 is deprecated" in told
    assert here(server, "consumer", "list", "--unacknowledged") == (
        "Every consumer knows of what ends\n"
    )
    shown = here(server, "consumer", "show", made["id"])
    assert "use watch@2.0.0" in shown
    assert "on 2.0.0 in May" in shown
    here(server, "consumer", "end", made["id"], "--reason", "moved")
    listed = here(server, "consumer", "list", "watch", "--ended")
    assert "batch:nightly" in listed
    assert "ended" in listed


def test_a_renamed_asset_is_told_by_its_old_name(server: ServerProcess) -> None:
    server.cli(
        "register", "old-name", "--version", "1.0.0", "--artifact", "m.txt", "--kind", "model"
    )
    renamed = server.cli("asset", "rename", "old-name", "new-name", "--reason", "clearer")
    assert "stays reserved" in renamed.stdout
    gone = server.cli("show", "old-name", check=False)
    assert (gone.returncode, "it is new-name now" in gone.stderr) == (1, True)
    assert server.cli("verify", "new-name@1.0.0").returncode == 0
