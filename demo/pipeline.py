"""A CI job of this demo's own: it has no stored secret, only what its CI system vouches for."""

from __future__ import annotations

from pathlib import Path

from demo.story import Story
from tests.support.issuer import GITHUB_RULE, Issuer


def trust(story: Story, issuer: Issuer, *assets: str) -> None:
    """Believe the issuer, and let one pipeline of it register and promote these assets."""
    story.step("Let one pipeline in: by the ids and the workflow its CI system vouches for")
    story.run("trust", "issuer", "add", "ci", issuer.url, "--provider", "github")
    workflow = GITHUB_RULE["workflow"].removeprefix("acme/fraud/")
    for asset in assets:
        story.run(
            "trust", "add", asset, "--issuer", "ci", "--repository", "acme/fraud",
            "--repository-id", GITHUB_RULE["repository_id"], "--owner-id", GITHUB_RULE["owner_id"],
            "--workflow", workflow, "--environment", "production", "--permit", "register",
            "--permit", "promote:staging", "--permit", "promote:production",
        )  # fmt: skip


def job(story: Story, home: Path, url: str, issuer: Issuer) -> dict[str, str]:
    """Return the environment of a job: the registry's address, and where to ask for an ID token."""
    kept = {name: value for name, value in story.environ.items() if name != "MUNIMENT_CONFIG_HOME"}
    return {
        **kept,
        "MUNIMENT_URL": url,
        "MUNIMENT_CONFIG_HOME": str(home / "job"),
        "MUNIMENT_STATE_HOME": str(home / "job"),
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{issuer.url}/token?api-version=2",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request-token",
    }
