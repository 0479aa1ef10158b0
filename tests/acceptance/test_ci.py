"""A CI job on a real server with a real issuer: no stored secret, from registration to promotion."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from muniment import Client
from muniment.client import credentials
from muniment.core.errors import NotAuthenticated, NotTrusted, Refused
from tests.support.issuer import CLIENT_ID, GITHUB_RULE, Issuer, running_issuer
from tests.support.server_process import TOKEN, ServerProcess

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with running_issuer() as running:
        yield running


@pytest.fixture(scope="module")
def server(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    home = tmp_path_factory.mktemp("ci")
    with ServerProcess(home, environ={"MUNIMENT_OUTBOUND_PRIVATE": issuer.host}) as running:
        yield running


@pytest.fixture
def job(
    server: ServerProcess, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> pytest.MonkeyPatch:
    """This process is a GitHub job that knows the registry's address and nothing else."""
    monkeypatch.setenv("MUNIMENT_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("MUNIMENT_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("MUNIMENT_TOKEN", raising=False)
    monkeypatch.setenv("MUNIMENT_URL", server.url)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{issuer.url}/token?api-version=2")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-token")
    return monkeypatch


def seen(server: ServerProcess, *arguments: str) -> Any:
    return json.loads(server.cli(*arguments, "--json").stdout)


def outcome(server: ServerProcess, rule: str) -> str:
    """What a rule says of promoting 2.0.0 to staging."""
    wanted = {"environment": "staging", "dry_run": True}
    with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {TOKEN}"}) as http:
        answer = http.post("/api/v1/assets/default/fraud/versions/2.0.0/promote", json=wanted)
    results = {one["id"]: one["outcome"] for one in answer.json()["verdict"]["results"]}
    return str(results[rule])


def test_a_job_registers_and_promotes_as_what_it_is(
    server: ServerProcess, issuer: Issuer, job: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = server.cli("trust", "issuer", "add", "ci", issuer.url, "--provider", "github")
    assert "is believed, as `ci`" in said.stdout
    assert seen(server, "trust", "issuer", "list")[0]["url"] == issuer.url
    path, _, ref = GITHUB_RULE["workflow"].removeprefix("acme/fraud/").partition("@")
    made = seen(
        server, "trust", "add", "fraud", "--issuer", "ci", "--repository", "acme/fraud",
        "--repository-id", GITHUB_RULE["repository_id"], "--owner-id", GITHUB_RULE["owner_id"],
        "--workflow", f"{path}@{ref}", "--environment", "production",
        "--permit", "register", "--permit", "promote:development",
    )  # fmt: skip
    assert made["rule"]["workflow"] == GITHUB_RULE["workflow"]
    assert "never" in server.cli("trust", "list", "fraud").stdout

    claims = tmp_path / "claims.json"
    claims.write_text(json.dumps(issuer.claims(environment="staging")))
    tried = server.cli("trust", "test", "fraud", "--claims", str(claims), check=False)
    assert tried.returncode == 3
    assert ["NO", "environment", "environment", "production", "staging"] in [
        line.split() for line in tried.stdout.splitlines()
    ]

    model = tmp_path / "model.bin"
    model.write_bytes(b"weights")
    with Client() as client:
        client.register("fraud", version="1.0.0", artifact=model, kind="model", owner="ada")
        client.lifecycle.promote("fraud@1.0.0", environment="development")
        with pytest.raises(Refused) as refused:
            client.lifecycle.promote("fraud@1.0.0", environment="production")
        assert "TRUST-001" in refused.value.message
        assert client.verify("fraud@1.0.0").ok
    assert issuer.asked["/token"] == 1, "one ID token for the whole job"

    shown = server.cli("trust", "show", "fraud", made["id"]).stdout
    assert "never" not in shown

    model.write_bytes(b"other weights")
    by_hand = ("register", "fraud", "--version", "2.0.0", "--artifact", str(model))
    server.cli(*by_hand)
    assert outcome(server, "TRUST-002") == "failed", "registered by a person: a draft"
    with Client() as client:
        for _ in range(2):
            client.register("fraud", version="2.0.0", artifact=model)
    assert outcome(server, "TRUST-002") == "passed"
    attested = [
        each for each in seen(server, "log", "tail", "-n", "100") if each["act"] == "version.attest"
    ]
    assert [each["actor"]["claims"]["run_id"] for each in attested] == ["21561244697"]
    server.cli("fsck", "--data", str(server.data))

    gone = server.cli("trust", "remove", "fraud", made["id"])
    assert "trusted no more" in gone.stdout
    with Client() as client, pytest.raises(NotTrusted):
        client.whoami()


def test_a_token_given_to_the_job_is_exchanged_and_kept(
    server: ServerProcess, issuer: Issuer, job: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Client(server.url, server.environ["MUNIMENT_BOOTSTRAP_TOKEN"]) as admin:
        if not any(each.removed_at is None for each in admin.publishers.issuers()):
            admin.publishers.add_issuer("ci", issuer.url, provider="github")
        made = admin.publishers.add("kept", issuer="ci", permits=["register"], rule=GITHUB_RULE)
    job.delenv("ACTIONS_ID_TOKEN_REQUEST_URL")
    with Client() as client, pytest.raises(NotAuthenticated):
        client.whoami()
    environ = {
        name: value
        for name, value in server.environ.items()
        if name not in {"MUNIMENT_TOKEN", "MUNIMENT_BOOTSTRAP_TOKEN"}
    }
    environ |= {
        "MUNIMENT_ID_TOKEN": issuer.token(),
        "MUNIMENT_CONFIG_HOME": str(tmp_path / "config"),
    }
    said = server.run(["login", "--ci"], environ)
    assert "default/kept register" in said.stderr
    assert credentials.find(server.url).token is not None
    with Client() as client:
        assert client.whoami().kind == "workload"
    again = server.run(["login", "--ci"], environ, check=False)
    assert again.returncode == 1
    assert "exchanged before" in again.stderr
    with Client(server.url, TOKEN) as admin:  # nothing else here is to find the job trusted
        admin.publishers.remove("kept", made.id)


def test_a_person_logs_in_with_the_device_flow(
    server: ServerProcess, issuer: Issuer, tmp_path: Path
) -> None:
    made = seen(
        server, "trust", "people", "add", "corp", issuer.for_people(), "--client-id", CLIENT_ID,
        "--group", "platform=approver_platform", "--group", "cn=ml,dc=acme=publisher:default/fraud",
    )  # fmt: skip
    assert [each["group"] for each in made["roles"]] == ["cn=ml,dc=acme", "platform"]
    issuer.somebody = {"iss": made["url"], "groups": ["cn=ml,dc=acme"]}
    issuer.polls = ["authorization_pending"]
    config = tmp_path / "config"
    environ = {
        name: value for name, value in server.environ.items() if name != "MUNIMENT_BOOTSTRAP_TOKEN"
    } | {"MUNIMENT_CONFIG_HOME": str(config)}
    said = server.run(["login", server.url, "--oidc"], environ)
    assert f"Open {issuer.url}/activate in a browser and enter the code WDJB-MJHT" in said.stderr
    assert "Logged in to" in said.stdout
    shown = server.run(["whoami"], environ).stdout
    assert "corp:248289761001" in shown
    assert "publisher on default/fraud" in shown
    kept = json.loads((config / "credentials.json").read_text())["servers"][server.url]["token"]
    me = Client(server.url, kept)
    until = me.whoami().token_expires_at
    assert until is not None
    left = until - dt.datetime.now(dt.UTC)
    assert dt.timedelta(hours=11, minutes=50) < left <= dt.timedelta(hours=12)
    assert str(until.date()) in shown

    changed = server.cli("trust", "people", "roles", "corp", "--group", "platform=viewer")
    assert "platform=viewer" in changed.stdout
    gone = server.run(["login", server.url, "--oidc"], environ, check=False)
    assert gone.returncode != 0
    assert "none of your groups there" in gone.stderr
    assert me.whoami().grants == []
    ended = server.cli("trust", "people", "remove", "corp")
    assert "any more" in ended.stdout
    with me, pytest.raises(NotAuthenticated):
        me.whoami()
