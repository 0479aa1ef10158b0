"""A promotion with all that is known when it is judged, and how what came of it is recorded."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from muniment.core.errors import BadBody
from muniment.core.names import VersionRef
from muniment.server import catalog, ledger
from muniment.server.catalog.records import (
    Asset,
    GovernedNamespace,
    HigherAct,
    Lifecycle,
    Version,
)
from muniment.server.identity import By
from muniment.server.ledger.records import Entry, Subject
from muniment.server.lifecycle import store
from muniment.server.lifecycle.actions.recording import Answer, keep_answer
from muniment.server.lifecycle.records import (
    Deployment,
    Environment,
    Executor,
    Facts,
    Payload,
    Refusal,
    Resting,
    Stage,
)
from muniment.server.lifecycle.rules import folding
from muniment.server.lifecycle.rules import verdict as rules
from muniment.server.policy.records import Judged, Verdict
from muniment.server.ports.db import Tx
from muniment.server.ports.keys import Signer


@dataclass(frozen=True, slots=True)
class Question:
    """Whether a version may be deployed in an environment, or may leave it.

    `verdict` has no results where no rule is asked. `judged` is what the policy in force said, and
    `resting` the decision it is about, if there are any; `request_id` is of an open request for it.
    """

    asset: Asset
    version: Version
    namespace: GovernedNamespace
    environment: Environment
    live: Sequence[Deployment]
    facts: Facts
    verdict: Verdict
    judged: Judged | None = None
    resting: Resting | None = None
    request_id: str | None = None

    @property
    def refused(self) -> bool:
        """Whether the answer is no."""
        return rules.refused(self.verdict, self.namespace.state.mode)


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
    version = await catalog.get_version(tx, ref)
    namespace = await catalog.get_namespace(tx, asset.ref.namespace)
    facts = facts_of(asset, version, environment, executor, leaving=leaving)
    if await catalog.vouched_for(tx, version):
        facts = dataclasses.replace(facts, registration_vouched_for=True)
    live = await store.live_of_asset(tx, asset.id)
    return Question(asset, version, namespace, environment, live, facts, rules.verdict(facts))


_STEPS: Final = {
    Stage.NONE: None,
    Stage.STAGING: Lifecycle.CANDIDATE,
    Stage.PRODUCTION: Lifecycle.APPROVED,
    Stage.ARCHIVED: None,
}


def facts_of(
    asset: Asset,
    version: Version,
    environment: Environment,
    executor: Executor,
    *,
    leaving: bool = False,
) -> Facts:
    """Return what the rules may read of a promotion."""
    step = _STEPS[environment.stage]
    gaps = (
        [gap.field for gap in catalog.missing(asset.kind, step, asset.state, version.metadata)]
        if step is not None
        else []
    )
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


def refusal(question: Question, entry_id: uuid.UUID | None) -> Refusal:
    """Return the answer no, recorded by that entry."""
    return Refusal(
        question.version,
        question.environment.name,
        question.verdict,
        question.namespace.state.mode,
        entry_id,
        rules.barred(question.verdict),
    )


async def refuse(tx: Tx, question: Question, by: By, reason: str) -> uuid.UUID:
    """Record that somebody asked and was refused; return the entry's id."""
    entry_id = by.new_id()
    done = act_of(question, "promotion.refuse", by, entry_id, by.at, reason)
    rules_failed = [one.id for one in question.verdict.failed]
    done = dataclasses.replace(
        done,
        changes={"environment": (None, question.environment.name), "failed": (None, rules_failed)},
    )
    await log(tx, question, done, {}, carried_out=False)
    return entry_id


def act_of(  # noqa: PLR0917 -- the parts of one record
    question: Question, act: str, by: By, entry_id: uuid.UUID, at: dt.datetime, reason: str
) -> HigherAct:
    """Return the act for the histories, its changes still to be said."""
    return HigherAct(
        entry_id=entry_id,
        asset_id=question.asset.id,
        version_ids=(question.version.id,),
        at=at,
        act=act,
        subject=str(question.version.version),
        actor=by.actor,
        reason=reason,
        changes={},
    )


async def log(
    tx: Tx,
    question: Question,
    done: HigherAct,
    payload: Payload,
    *,
    carried_out: bool,
    signer: Signer | None = None,
) -> None:
    """Keep the act for the histories, an attempt where the rules said no, and the one entry.

    With a `signer` the entry is a signed statement about the version's files (ADR 0006).
    """
    version = question.version
    answer = Answer(
        namespace=question.namespace,
        version=version,
        environment=question.environment.name,
        step="promote",
        facts=rules.facts_json(question.facts),
        verdict=question.verdict,
        judged=question.judged,
    )
    payload = {**payload, **await keep_answer(tx, answer, done, carried_out=carried_out)}
    entry = Entry(
        id=done.entry_id,
        at=done.at,
        act=done.act,
        actor=done.actor,
        subject=Subject("version", str(version.id), version.name, question.asset.id),
        payload=payload,
        digests=() if signer is None else (version.manifest_digest,),
        predicate_type=None if signer is None else folding.PREDICATE_TYPE,
    )
    await ledger.append(tx, entry, signer)
