"""What the policy in force says of a promotion, joined with what the registry's own rules say."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from typing import Any

from muniment.core.errors import BadBody
from muniment.server import approvals, catalog, policy
from muniment.server.http.records import PrincipalKind
from muniment.server.identity import By
from muniment.server.lifecycle import store
from muniment.server.lifecycle.actions import approving
from muniment.server.lifecycle.actions.question import Question
from muniment.server.lifecycle.records import Deployment, Executor, Ports, Stage
from muniment.server.lifecycle.rules import verdict as rules
from muniment.server.ports.db import Tx

_KINDS = {PrincipalKind.PERSON: "human", PrincipalKind.WORKLOAD: "workload"}


async def judge(  # noqa: PLR0917 -- what is asked, and who asks
    tx: Tx,
    question: Question,
    executor: Executor,
    ports: Ports,
    by: By,
    replaced: Sequence[Deployment] = (),
    *,
    decision: uuid.UUID | None = None,
) -> Question:
    """Return the question with what the policy in force says as well; development is not asked about.

    `replaced` are the deployments that would end with the promotion. `decision` is the one it is to
    rest on, None the one that stands.

    Raises:
        BadBody: `decision` is not the one that stands for this version and environment.
    """
    if question.environment.stage is Stage.NONE or question.facts.leaving:
        return question
    version, asset, place = question.version, question.asset, question.environment
    standing = await approving.authority(tx, version, place, by.at)
    if decision is not None:
        _check_decision(question, standing, decision)
    extra = {
        **standing.facts,
        "stage": place.stage.value.lower(),
        "executor": _executor(executor, place.name),
        **await _rollback(tx, question, ports, by, replaced),
    }
    document = await approvals.facts(
        tx, version, asset, step="promote", at=by.at, environment=place.name, extra=extra
    )
    bundle = await policy.active(tx, by.at)
    evaluation = await policy.judge(ports.engines, bundle, document)
    facts = dataclasses.replace(
        question.facts, excepted=standing.excepted, overdue=standing.overdue
    )
    return dataclasses.replace(
        question,
        facts=facts,
        verdict=rules.joined(rules.verdict(facts), evaluation.verdict),
        judged=policy.judged(by.new_id(), evaluation, document),
        resting=standing.resting,
        request_id=standing.request_id,
    )


def _check_decision(question: Question, standing: approving.Authority, decision: uuid.UUID) -> None:
    stands = None if standing.resting is None else standing.resting.decision_id
    if stands == decision:
        return
    expected = "expected none: nothing is decided" if stands is None else f"expected {stands}"
    message = (
        f"{expected} for {question.version.name} in {question.environment.name}, found {decision}"
    )
    problem = {"field": "decision", "message": message, "fix": "leave it out, or send that one"}
    raise BadBody(f"`decision`: {message}", problems=[problem])


def _executor(executor: Executor, environment: str) -> dict[str, Any]:
    trusted = executor.environments is not None and environment in executor.environments
    return {"kind": _KINDS.get(executor.kind, "service"), "trusted": executor.may and trusted}


async def _rollback(
    tx: Tx, question: Question, ports: Ports, by: By, replaced: Sequence[Deployment]
) -> dict[str, Any]:
    """Return what production would go back to: what is there now, or was, and is approved."""
    if question.environment.stage is not Stage.PRODUCTION:
        return {}
    there = [one.version_id for one in replaced if one.version_id != question.version.id]
    if not there:
        return {"rollback": {"withdraws": True}}
    was = await store.before(tx, question.asset.id, question.environment.name)
    drilled_at = await store.last_drill(tx, question.asset.id)
    found: dict[str, Any] = {}
    for version_id in dict.fromkeys([*there, *was]):
        if version_id == question.version.id:
            continue
        target = await catalog.version_by_id(tx, version_id)
        approved = await approving.approved(
            tx, question.asset, target, question.environment, by.at, ports
        )
        if not found or approved:
            found = {"target": target.name[:300], "approved": approved}
        if approved:
            break
    if drilled_at is not None:
        found["drilled_at"] = int(drilled_at.timestamp())
    return {"rollback": found}
