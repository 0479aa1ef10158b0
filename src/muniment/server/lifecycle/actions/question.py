"""A promotion with all that is known when it is judged: of a version, or of every version of a composite."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from muniment.core.errors import BadBody
from muniment.core.names import Alias, VersionRef
from muniment.server import catalog
from muniment.server.catalog.records import (
    Asset,
    GovernedNamespace,
    Lifecycle,
    Mode,
    Version,
)
from muniment.server.composites.records import Composite
from muniment.server.lifecycle.records import (
    Deployment,
    Environment,
    Executor,
    Facts,
    Resting,
    Stage,
)
from muniment.server.lifecycle.rules import verdict as rules
from muniment.server.lifecycle.store import deployments as store
from muniment.server.policy.records import Judged, Verdict
from muniment.server.ports.db import Tx


@dataclass(frozen=True, slots=True)
class Part:
    """A version that may be deployed, or may leave, with what is known of it.

    `alias` is how it will be found, and `ends` are the deployments of its asset that end with that.
    `around` are those that production has of composites with a version of its asset, where a version
    alone may be deployed. `heir` is of another composite that has a version that leaves, and gets it.
    """

    asset: Asset
    version: Version
    namespace: GovernedNamespace
    live: Sequence[Deployment]
    facts: Facts
    alias: Alias | None = None
    ends: tuple[Deployment, ...] = ()
    around: Sequence[Deployment] = ()
    heir: Deployment | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """Whether a version, or a composite whole, may be deployed in an environment, or may leave it.

    `parts` are the version, or the composite's, lead first; `left` what the composite before it had
    there and it has not. `verdict` has no results where no rule is asked. `judged` is what the policy
    in force said, and `resting` the decision it is about, if there are any; `request_id` is of an open
    request for it.
    """

    parts: tuple[Part, ...]
    environment: Environment
    verdict: Verdict
    composite: Composite | None = None
    left: tuple[Part, ...] = ()
    judged: Judged | None = None
    resting: Resting | None = None
    request_id: str | None = None

    @property
    def lead(self) -> Part:
        """The version; of a composite the one that stands for it."""
        return self.parts[0]

    @property
    def cvi(self) -> str | None:
        """The composite's identifier; None of a version alone."""
        return None if self.composite is None else self.composite.cvi

    @property
    def gone(self) -> tuple[Part, ...]:
        """What is taken out: what leaves, and no other composite there has."""
        return tuple(part for part in self.left if part.heir is None)

    @property
    def name(self) -> str:
        """What is asked about, as people call it."""
        return self.cvi or self.lead.version.name

    @property
    def mode(self) -> Mode:
        """How its namespaces are enforced: as the strictest of them is."""
        return rules.strictest(part.namespace.state.mode for part in self.parts)

    @property
    def refused(self) -> bool:
        """Whether the answer is no."""
        return rules.refused(self.verdict, self.mode)

    def with_parts(self, parts: Sequence[Part]) -> Question:
        """Return the question about these, asked of the registry's own rules anew."""
        found = rules.together([part.facts for part in parts])
        return dataclasses.replace(self, parts=tuple(parts), verdict=found)

    def knowing(self, **facts: object) -> Question:
        """Return the question with more facts of each part, asked of the registry's own rules anew."""
        return self.with_parts(
            [
                dataclasses.replace(part, facts=dataclasses.replace(part.facts, **facts))  # type: ignore[arg-type]
                for part in self.parts
            ]
        )


def check_reason(reason: str, *, due_for: str | None = None) -> None:
    """Go on only if `reason` is text that can be kept; `due_for` is what must say why.

    Raises:
        BadBody: it is not, or is missing.
    """
    problems = list(catalog.text_problems("reason", reason))
    if due_for is not None and not problems and not reason.strip():
        message = f"{due_for} says why"
        problems = [{"field": "reason", "message": message, "fix": "send `reason` (`--reason`)"}]
    if problems:
        raise BadBody(f"`reason`: {problems[0]['message']}", problems=problems)


async def ask(
    tx: Tx,
    ref: VersionRef,
    environment: Environment,
    executor: Executor,
    *,
    leaving: bool = False,
    locked: bool = True,
) -> Question:
    """Return the question whether `ref` may be deployed there (or leave), judged; lock its asset.

    Only the registry's own rules are asked here.

    Raises:
        NotFound: there is no such version.
    """
    find = catalog.lock_asset if locked else catalog.get_asset
    asset = await find(tx, ref.asset)
    part = await part_of(tx, asset, ref, environment, executor, leaving=leaving)
    return Question((part,), environment, rules.together([part.facts]))


async def part_of(
    tx: Tx,
    asset: Asset,
    ref: VersionRef,
    environment: Environment,
    executor: Executor,
    *,
    leaving: bool = False,
    composite: str | None = None,
) -> Part:
    """Return a version of an asset with what is known of it now; the caller has locked it, or not.

    Raises:
        NotFound: there is no such version.
    """
    version = await catalog.get_version(tx, ref)
    namespace = await catalog.get_namespace(tx, asset.ref.namespace)
    gaps = _gaps(asset, version, namespace, environment)
    facts = dataclasses.replace(
        _facts_of(asset, version, environment, executor, gaps, leaving=leaving),
        registration_vouched_for=await catalog.vouched_for(tx, version),
        composite=composite,
    )
    alone = composite is None and not leaving and environment.stage is Stage.PRODUCTION
    around = await store.live_with(tx, asset.id, environment.name) if alone else ()
    live = await store.live_of_asset(tx, asset.id)
    return Part(asset, version, namespace, live, facts, around=around)


_STEPS: Final = {
    Stage.NONE: None,
    Stage.STAGING: Lifecycle.CANDIDATE,
    Stage.PRODUCTION: Lifecycle.APPROVED,
    Stage.ARCHIVED: None,
}


def _gaps(
    asset: Asset, version: Version, namespace: GovernedNamespace, environment: Environment
) -> list[str]:
    """Return the fields that are due of a version there, and missing; the namespace's own too."""
    step = _STEPS[environment.stage]
    if step is None:
        return []
    own = catalog.own_rows(namespace.state.required_fields)
    found = catalog.missing(asset.kind, step, asset.state, version.metadata, also=own)
    return [gap.field for gap in found]


def _facts_of(
    asset: Asset,
    version: Version,
    environment: Environment,
    executor: Executor,
    gaps: Sequence[str],
    *,
    leaving: bool = False,
) -> Facts:
    """Return what the rules may read of a promotion; `gaps` are the fields that are due and missing."""
    tier = asset.state.risk_tier
    return Facts(
        ref=version.name,
        environment=environment.name,
        stage=environment.stage.value,
        executor_kind=executor.kind.value,
        executor_may=executor.may,
        executor_environments=(
            None if executor.environments is None else tuple(sorted(executor.environments))
        ),
        lifecycle=version.lifecycle.value,
        quarantined=version.standing.quarantined,
        risk_tier=None if tier is None else tier.value,
        executable=version.executable,
        formats=version.formats,
        gaps=tuple(gap for gap in gaps if gap not in catalog.DOCUMENTATION),
        documentation_gaps=tuple(gap for gap in gaps if gap in catalog.DOCUMENTATION),
        leaving=leaving,
    )


def after(live: Sequence[Deployment], at: dt.datetime) -> dt.datetime:
    """Return `at`, or a time later than all these began."""
    for one in live:
        at = catalog.moment_after(one.since, at)
    return at
