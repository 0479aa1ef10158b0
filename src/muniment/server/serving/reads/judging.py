"""Uses held against the rules: the registry's own, and the policy in force, with the facts of now."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from muniment.core.names import SemVer, VersionRef
from muniment.server import approvals, catalog, lifecycle, policy
from muniment.server.catalog.records import Asset, Lifecycle, Version
from muniment.server.policy.records import Evaluation, Verdict
from muniment.server.ports.db import Tx
from muniment.server.ports.engine_pool import EnginePool
from muniment.server.serving.records import Facts, Found, Shown, Standing, Use
from muniment.server.serving.rules import standings
from muniment.server.serving.rules.checks import RULES


@dataclass(frozen=True, slots=True)
class Judgement:
    """What all rules say of a use, what the registry's own were given, and what the policy was."""

    facts: Facts
    verdict: Verdict
    evaluation: Evaluation
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a version and environment, whoever is to use it."""

    document: dict[str, Any]
    excepted: tuple[str, ...]


@dataclass(slots=True)
class Asking:
    """Questions of one answer, at one moment: what is the same for several is asked once.

    `as_of` is the time the answer is to hold, None for `at` itself. Evidence is as it is now.
    """

    tx: Tx
    engines: EnginePool
    at: dt.datetime
    as_of: dt.datetime | None = None
    _versions: dict[uuid.UUID, tuple[Version, Asset]] = field(default_factory=dict)
    _known: dict[tuple[uuid.UUID, str | None], _Known] = field(default_factory=dict)
    _verdicts: dict[tuple[uuid.UUID, str | None, str, str], Verdict] = field(default_factory=dict)

    async def judge(self, version: Version, asset: Asset, use: Use) -> Judgement:
        """Return what all rules say of a use of `version`. Nothing is kept of it."""
        at = min(self.as_of or self.at, self.at)  # nothing is known of a time to come
        key = (version.id, use.environment)
        if key not in self._known:
            self._known[key] = await self._ask(version, asset, use.environment, at)
        known, tier = self._known[key], asset.state.risk_tier
        facts = standings.facts_of(
            version, None if tier is None else tier.value, use, known.excepted
        )
        document = standings.document_of(known.document, use)
        bundle = await policy.active(self.tx, at)
        evaluation = await policy.judge(self.engines, bundle, document)
        own = lifecycle.said(facts, RULES, facts.excepted)
        return Judgement(facts, lifecycle.joined(own, evaluation.verdict), evaluation, document)

    async def _ask(
        self, version: Version, asset: Asset, environment: str | None, at: dt.datetime
    ) -> _Known:
        extra: dict[str, Any] = {}
        excepted: tuple[str, ...] = ()
        if environment is not None:
            place = await lifecycle.get_environment(self.tx, environment)
            authority = await lifecycle.authority(self.tx, version, asset, place, at)
            extra = {**authority.facts, "stage": place.stage.value.lower()}
            excepted = authority.excepted
        document = await approvals.facts(
            self.tx, version, asset, step="bind", at=at, environment=environment, extra=extra
        )
        return _Known(document, excepted)

    async def standing(self, found: Found) -> Standing:
        """Return how a binding stands."""
        if found.uses_id not in self._versions:
            asset = await catalog.get_asset(self.tx, found.binding.asset, self.as_of)
            ref = VersionRef(asset.ref, SemVer.parse(found.uses))
            version = await catalog.get_version(self.tx, ref, self.as_of)
            self._versions[found.uses_id] = version, asset
        version, asset = self._versions[found.uses_id]
        if version.lifecycle is Lifecycle.RETIRED:
            return standings.standing_of(version, None)
        use = found.binding.use
        key = (version.id, use.environment, use.system, use.use_case)
        if key not in self._verdicts:
            judged = await self.judge(standings.as_existing(version), asset, use)
            self._verdicts[key] = judged.verdict
        return standings.standing_of(version, self._verdicts[key])

    async def shown(self, found: Sequence[Found]) -> list[Shown]:
        """Return bindings as they are shown."""
        return [Shown(one, await self.standing(one)) for one in found]
