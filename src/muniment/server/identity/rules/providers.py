"""What each CI system's ID tokens say, under which names.

`identity` is the claim that never comes to mean somebody else: a number, where names can be given
up and taken by others. `sub` is not used where there is one: an organisation can change its form.

Source: requirements §5.1, §5.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: Events that run code of whoever proposes a change. No publisher may accept them.
NEVER: Final = frozenset(
    {
        "pull_request",
        "pull_request_target",
        "merge_request_event",
        "external_pull_request_event",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """The names of claims, None where the provider has none; and what a publisher must pin.

    `events` are accepted unless a publisher says otherwise. `kept` go into the log with every act.
    `single_use` says that tokens carry a `jti`.
    """

    identity: str
    owner: str | None = None
    repository: str | None = None
    workflow: str | None = None
    workflow_sha: str | None = None
    environment: str | None = None
    ref: str | None = None
    protected: str | None = None
    event: str | None = None
    events: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    single_use: bool = False


PROVIDERS: Final[Mapping[str, Provider]] = {
    "github": Provider(
        identity="repository_id",
        owner="repository_owner_id",
        repository="repository",
        workflow="job_workflow_ref",
        workflow_sha="job_workflow_sha",
        environment="environment",
        ref="ref",
        protected="ref_protected",
        event="event_name",
        events=("push", "workflow_dispatch", "release"),
        pins=("owner", "workflow"),
        kept=("sha", "workflow_ref", "workflow_sha", "run_id", "run_attempt", "runner_environment"),
        single_use=True,
    ),
    "gitlab": Provider(
        identity="project_id",
        owner="namespace_id",
        repository="project_path",
        workflow="ci_config_ref_uri",
        workflow_sha="ci_config_sha",
        environment="environment",
        ref="ref",
        protected="ref_protected",
        event="pipeline_source",
        events=("push", "web"),
        pins=("owner", "workflow"),
        kept=("sha", "ref_type", "pipeline_id", "job_id", "runner_environment"),
        single_use=True,
    ),
    "buildkite": Provider(
        identity="pipeline_id",
        owner="organization_id",
        repository="pipeline_slug",
        workflow="step_key",
        ref="build_branch",
        pins=("owner", "ref"),
        kept=("organization_slug", "build_commit", "build_number", "job_id"),
    ),
    "google": Provider(identity="sub", kept=("azp",)),
    "generic": Provider(identity="sub"),
}


def kept_claims(provider: Provider) -> tuple[str, ...]:
    """Return the names of the claims that go into the log, the issuer first."""
    named = (
        provider.repository,
        provider.identity,
        provider.owner,
        provider.ref,
        provider.workflow,
        provider.workflow_sha,
        provider.environment,
        provider.event,
    )
    return tuple(dict.fromkeys(("iss", *(name for name in named if name), *provider.kept)))
