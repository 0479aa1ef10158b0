"""Deployments, verdicts and refusals as the API shows them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from muniment.core.names import AssetRef
from muniment.server import catalog
from muniment.server.catalog.records import Mode, Version
from muniment.server.http import problems
from muniment.server.http.operation import Call, Reply
from muniment.server.ledger.records import Actor
from muniment.server.lifecycle.reads import VerdictBody, verdict_body
from muniment.server.lifecycle.records import (
    Attempt,
    ConsumerOf,
    Counts,
    Deployment,
    DeployMode,
    EndedAs,
    Placed,
    Promoted,
    Refusal,
    Stage,
    StageOf,
)
from muniment.server.lifecycle.rules import verdict as rules


class DeploymentBody(msgspec.Struct, frozen=True, kw_only=True):
    """A version of an asset in an environment, from `since` until `ended_at` (null: it is live).

    `decision_id` is the decision it rests on, if one was needed. `composite` is what it was deployed as
    a part of; null: a version alone.
    """

    id: uuid.UUID
    asset: str
    version: str
    number: int
    environment: str
    alias: str | None
    mode: DeployMode
    since: dt.datetime
    by: Actor
    reason: str
    entry_id: uuid.UUID
    decision_id: uuid.UUID | None
    composite: str | None
    ended_at: dt.datetime | None
    ended_as: EndedAs | None
    ended_by: Actor | None
    ended_entry_id: uuid.UUID | None


def deployment_body(one: Deployment) -> DeploymentBody:
    """Return `one` as the API shows it."""
    return DeploymentBody(
        id=one.id,
        asset=str(one.asset),
        version=one.version,
        number=one.number,
        environment=one.environment,
        alias=one.alias,
        mode=one.mode,
        since=one.since,
        by=one.actor,
        reason=one.reason,
        entry_id=one.entry_id,
        decision_id=one.decision_id,
        composite=one.composite,
        ended_at=one.ended_at,
        ended_as=one.ended_as,
        ended_by=one.ended_by,
        ended_entry_id=one.ended_entry_id,
    )


class StageBody(msgspec.Struct, frozen=True, kw_only=True):
    """A version's derived stage, and what it follows from."""

    version: str
    number: int
    stage: Stage
    lifecycle: str
    deprecated: bool
    quarantined: bool
    deployments: list[DeploymentBody]


def stage_body(version: Version, found: StageOf) -> StageBody:
    """Return the stage of `version` as the API shows it."""
    return StageBody(
        version=str(version.version),
        number=version.number,
        stage=found.stage,
        lifecycle=found.lifecycle,
        deprecated=found.deprecated,
        quarantined=found.quarantined,
        deployments=[deployment_body(one) for one in found.deployments],
    )


class MemberBody(msgspec.Struct, frozen=True, kw_only=True):
    """A version that was deployed with a composite, `NAME@1.2.0`, and what ended with that."""

    ref: str
    version: str
    number: int
    deployment: DeploymentBody
    superseded: list[DeploymentBody]
    entry_id: uuid.UUID | None


class PromotedBody(msgspec.Struct, frozen=True, kw_only=True):
    """A promotion that was carried out; with `dry_run`, or when it stood so already, `entry_id` is null.

    `would_have_been_refused`: the rules did not allow it, and the namespace does not enforce them.
    Of a `composite` the first members are those of its lead, or of the asset that went back with it;
    `members` are all of its versions, lead first, and `left` is what ended of the composite before it
    that it has no version for.
    """

    version: str
    number: int
    deployment: DeploymentBody
    verdict: VerdictBody
    enforcement: Mode
    would_have_been_refused: bool
    warnings: list[str]
    superseded: list[DeploymentBody]
    entry_id: uuid.UUID | None
    dry_run: bool
    composite: str | None = None
    members: list[MemberBody] = []
    left: list[DeploymentBody] = []


def promoted_body(
    answer: Promoted, *, dry_run: bool, asset: AssetRef | None = None
) -> PromotedBody:
    """Return a promotion as the API shows it; first what is of `asset`, if that is asked about."""
    members = [_member(one) for one in answer.placed]
    at = [one.version.asset for one in answer.placed]
    first = members[at.index(asset) if asset in at else 0]
    return PromotedBody(
        version=first.version,
        number=first.number,
        deployment=first.deployment,
        verdict=verdict_body(answer.verdict),
        enforcement=answer.mode,
        would_have_been_refused=bool(answer.verdict.failed),
        warnings=list(answer.warnings),
        superseded=first.superseded,
        entry_id=first.entry_id,
        dry_run=dry_run,
        composite=answer.composite,
        members=[] if answer.composite is None else members,
        left=[deployment_body(one) for one in answer.left],
    )


def _member(one: Placed) -> MemberBody:
    return MemberBody(
        ref=one.version.name,
        version=str(one.version.version),
        number=one.version.number,
        deployment=deployment_body(one.deployment),
        superseded=[deployment_body(each) for each in one.ended],
        entry_id=one.entry_id,
    )


class ConsumerOfBody(msgspec.Struct, frozen=True, kw_only=True):
    """Who uses a version: a system, at an endpoint, for a use case. `id` is of its binding."""

    id: uuid.UUID
    system: str
    endpoint: str
    use_case: str
    environment: str | None


class EndingBody(catalog.VersionBody, frozen=True, kw_only=True):
    """A version whose use ends, and who uses it: how many, and the first of them.

    With `dry_run` it is what it would be.
    """

    consumer_count: int
    consumers: list[ConsumerOfBody]
    dry_run: bool


def ending_body(
    version: Version, count: int, consumers: Sequence[ConsumerOf], *, dry_run: bool
) -> EndingBody:
    """Return a version whose use ends as the API shows it."""
    shown = msgspec.to_builtins(catalog.version_body(version))
    return msgspec.convert(
        {
            **shown,
            "consumer_count": count,
            "consumers": [dataclasses.asdict(one) for one in consumers],
            "dry_run": dry_run,
        },
        EndingBody,
    )


class AttemptBody(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules did not allow; `carried_out` where the namespace did not enforce them.

    `step` is what was wanted of the `subject`: `promote`, or `bind` a consumer to it. Of a `composite`
    `subject` is the first of its versions in the namespace.
    """

    at: dt.datetime
    step: str
    subject: str
    environment: str | None
    actor: Actor
    enforcement: Mode
    carried_out: bool
    rules: tuple[str, ...]
    entry_id: uuid.UUID
    composite: str | None


def attempt_body(one: Attempt) -> AttemptBody:
    """Return `one` as the API shows it."""
    return AttemptBody(
        at=one.at,
        step=one.step,
        subject=one.subject,
        environment=one.environment,
        actor=one.actor,
        enforcement=one.mode,
        carried_out=one.carried_out,
        rules=one.rules,
        entry_id=one.entry_id,
        composite=one.composite,
    )


class EnforcementBody(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules of a namespace said no to: in all, and each rule."""

    namespace: str
    mode: Mode
    refused: int
    would_have_been_refused: int
    by_rule: dict[str, int]
    last_at: dt.datetime | None


def enforcement_body(namespace: str, mode: Mode, found: Counts) -> EnforcementBody:
    """Return the counts of a namespace as the API shows them."""
    return EnforcementBody(
        namespace=namespace,
        mode=mode,
        refused=found.refused,
        would_have_been_refused=found.would_have_been_refused,
        by_rule=dict(found.by_rule),
        last_at=found.last_at,
    )


class GovernedAliasBody(catalog.AliasBody, frozen=True, kw_only=True):
    """Where an alias points now. `warnings`: what the rules would have refused, where they warn."""

    warnings: list[str] = msgspec.field(default_factory=list)


def refused(call: Call, answer: Refusal) -> Reply:
    """Return the answer to a refusal: what was recorded stays recorded."""
    error = rules.refusal_class(answer.verdict)(
        rules.refusal_text(answer),
        problems=[
            {"field": one.id, "message": one.message, "fix": one.remedy}
            for one in answer.verdict.failed
        ],
        extra=_more(answer),
    )
    return problems.reply_for(error, call.request_id)


def _more(answer: Refusal) -> dict[str, Any]:
    return {
        "version": answer.version.name,
        **({} if answer.composite is None else {"composite": answer.composite}),
        "environment": answer.environment,
        "enforcement": answer.mode.value,
        "verdict": rules.verdict_json(answer.verdict),
        "entry_id": None if answer.entry_id is None else str(answer.entry_id),
    }
