"""The jobs that the guide shows are run as they stand: in a shell, with what their CI system gives."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from muniment import Client
from tests.support.evidenced import ASSET, METADATA
from tests.support.issuer import GITHUB_RULE, Issuer, running_issuer
from tests.support.policies import BARE
from tests.support.server_process import TOKEN, ServerProcess

pytestmark = pytest.mark.slow

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "ci.md"
NAME, VERSION = "fraud-detector", "5.2.0"
PERMITS = ["register", "promote:production"]
OWNED = {name: value for name, value in ASSET.items() if name != "kind"} | {"risk_tier": "limited"}
_NOT_GITLAB = (
    "repository_id", "repository_owner", "repository_owner_id", "repository", "workflow_ref",
    "workflow_sha", "job_workflow_ref", "job_workflow_sha", "event_name",
)  # fmt: skip


def jobs(heading: str) -> dict[str, Any]:
    """The YAML that follows a heading of the guide."""
    found = re.search(
        rf"^{heading}:\n\n```yaml\n(.*?)```", GUIDE.read_text(), re.MULTILINE | re.DOTALL
    )
    assert found, heading
    document: dict[str, Any] = yaml.safe_load(found[1])
    return document


@pytest.fixture(scope="module")
def github() -> Iterator[Issuer]:
    with running_issuer() as running:
        yield running


@pytest.fixture(scope="module")
def gitlab() -> Iterator[Issuer]:
    with running_issuer() as running:
        yield running


@pytest.fixture(scope="module")
def server(
    github: Issuer, gitlab: Issuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    home = tmp_path_factory.mktemp("examples")
    environ = {
        "MUNIMENT_OUTBOUND_PRIVATE": f"{github.host},{gitlab.host}",
        "MUNIMENT_FIRST_POLICY": str(BARE),
    }
    with ServerProcess(home, environ=environ) as running:
        with Client(running.url, TOKEN) as admin:
            admin.publishers.add_issuer("github", github.url, provider="github")
            admin.publishers.add_issuer("gitlab", gitlab.url, provider="gitlab")
            admin.publishers.add(NAME, issuer="github", permits=PERMITS, rule=GITHUB_RULE)
            rule = {
                "repository_id": "7", "owner_id": "9", "repository": "acme/fraud",
                "workflow": ".gitlab-ci.yml@refs/heads/main", "environment": "production",
            }  # fmt: skip
            admin.publishers.add(NAME, issuer="gitlab", permits=PERMITS, rule=rule)
        yield running


@pytest.fixture
def shell(server: ServerProcess, tmp_path: Path) -> dict[str, str]:
    """A runner's environment: `muniment` is installed, and nobody is logged in."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "muniment").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m muniment "$@"\n')
    (bin_ / "pip").write_text("#!/bin/sh\nexit 0\n")  # it is installed from this checkout
    for each in bin_.iterdir():
        each.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUNIMENT_")}
    return {
        **kept,
        "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}",
        "MUNIMENT_CONFIG_HOME": str(tmp_path / "config"),
        "MUNIMENT_STATE_HOME": str(tmp_path / "state"),
    }


def run(lines: list[str], environ: dict[str, str], home: Path) -> str:
    """Run lines as a CI system does: one after the other, until one fails."""
    printed = ""
    for line in lines:
        done = subprocess.run(
            ["bash", "-e", "-c", line],
            env=environ, cwd=home, capture_output=True, text=True, check=False,
        )  # fmt: skip
        printed += done.stdout + done.stderr
        assert done.returncode == 0, f"{line}: {printed}"
    return printed


def with_github(shell: dict[str, str], server: ServerProcess, issuer: Issuer) -> dict[str, str]:
    return {
        **shell,
        "MUNIMENT_URL": server.url,
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{issuer.url}/token?api-version=2",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request-token",
    }


def registered(server: ServerProcess, environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")
    (tmp_path / "model.yaml").write_text(yaml.safe_dump({**METADATA, **OWNED}))
    line = f"muniment register {NAME} --version {VERSION} --artifact model.bin --metadata model.yaml --kind model"
    run([line], environ, tmp_path)
    server.cli(
        "withdraw", f"{NAME}@{VERSION}", "--env", "production", "--reason", "for the next job"
    )
    assert in_production(server) is None


def in_production(server: ServerProcess) -> str | None:
    found = server.cli("show", f"{NAME}@champion", "--json", check=False)
    return json.loads(found.stdout)["version"] if found.returncode == 0 else None


def test_the_github_job(
    server: ServerProcess, github: Issuer, shell: dict[str, str], tmp_path: Path
) -> None:
    workflow = jobs("GitHub Actions")
    assert workflow["permissions"]["id-token"] == "write"
    assert set(workflow["env"]) == {"MUNIMENT_URL"}
    environ = with_github(shell, server, github)
    registered(server, environ, tmp_path)
    job = workflow["jobs"]["promote"]
    assert job["environment"] == "production"
    said = run([step["run"] for step in job["steps"]], environ, tmp_path)
    assert "production" in said
    assert in_production(server) == VERSION


def test_the_gitlab_job(
    server: ServerProcess, github: Issuer, gitlab: Issuer, shell: dict[str, str], tmp_path: Path
) -> None:
    job = jobs("GitLab")["promote"]
    registered(server, with_github(shell, server, github), tmp_path)
    claims = gitlab.claims(
        **dict.fromkeys(_NOT_GITLAB), project_id="7", namespace_id="9", project_path="acme/fraud",
        ci_config_ref_uri=f"{gitlab.host}//acme/fraud//.gitlab-ci.yml@refs/heads/main",
        ci_config_sha="0" * 40, pipeline_source="push",
    )  # fmt: skip
    with Client(server.url, TOKEN) as admin:
        (told,) = (one for one in admin.publishers.list_(NAME) if one.issuer.name == "gitlab")
    claims["ci_config_ref_uri"] = told.rule["workflow"]
    token = gitlab.signed({"alg": "RS256", "kid": "rsa-1", "typ": "JWT"}, claims)
    (variable,) = job["id_tokens"]
    environ = {**shell, "MUNIMENT_URL": server.url, variable: token}
    said = run(job["script"], environ, tmp_path)
    assert "production" in said
    assert in_production(server) == VERSION
