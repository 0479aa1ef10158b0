"""Deployments, verdicts and refusals as the API shows them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

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
    Promoted,
    Refusal,
    Stage,
    StageOf,
)
from muniment.server.lifecycle.rules import verdict as rules


class DeploymentBody(msgspec.Struct, frozen=True, kw_only=True):
    """A version in an environment, from `since` until `ended_at` (null: it is live).

    `decision_id` is the decision it rests on, if one was needed.
    """

    id: uuid.UUID
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
    ended_at: dt.datetime | None
    ended_as: EndedAs | None
    ended_by: Actor | None
    ended_entry_id: uuid.UUID | None


def deployment_body(one: Deployment) -> DeploymentBody:
    """Return `one` as the API shows it."""
    return DeploymentBody(
        id=one.id,
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


class PromotedBody(msgspec.Struct, frozen=True, kw_only=True):
    """A promotion that was carried out; with `dry_run`, or when it stood so already, `entry_id` is null.

    `would_have_been_refused`: the rules did not allow it, and the namespace does not enforce them.
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


def promoted_body(answer: Promoted, *, dry_run: bool) -> PromotedBody:
    """Return a promotion as the API shows it."""
    return PromotedBody(
        version=str(answer.version.version),
        number=answer.version.number,
        deployment=deployment_body(answer.deployment),
        verdict=verdict_body(answer.verdict),
        enforcement=answer.mode,
        would_have_been_refused=bool(answer.verdict.failed),
        warnings=list(answer.warnings),
        superseded=[deployment_body(one) for one in answer.ended],
        entry_id=answer.entry_id,
        dry_run=dry_run,
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

    `step` is what was wanted of the `subject`: `promote`, or `bind` a consumer to it.
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
        "environment": answer.environment,
        "enforcement": answer.mode.value,
        "verdict": rules.verdict_json(answer.verdict),
        "entry_id": None if answer.entry_id is None else str(answer.entry_id),
    }
