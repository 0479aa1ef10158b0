"""What the policy in force says of a promotion, joined with what the registry's own rules say."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

from muniment.core.errors import BadBody
from muniment.server import catalog, composites, policy
from muniment.server.identity import By
from muniment.server.lifecycle.actions import approving
from muniment.server.lifecycle.actions.question import Question
from muniment.server.lifecycle.records import Ports, Stage
from muniment.server.lifecycle.rules import verdict as rules
from muniment.server.lifecycle.store import deployments as store
from muniment.server.ports.db import Tx


async def judge(
    tx: Tx,
    question: Question,
    ports: Ports,
    by: By,
    *,
    decision: uuid.UUID | None = None,
) -> Question:
    """Return the question with what the policy in force says as well; development is not asked about.

    `decision` is the one it is to rest on, None the one that stands.

    Raises:
        BadBody: `decision` is not the one that stands for this version or composite and environment.
    """
    place = question.environment
    if place.stage is Stage.NONE or question.lead.facts.leaving:
        return question
    if question.composite is None:
        standing = await approving.authority(
            tx, question.lead.version, question.lead.asset, place, by.at
        )
    else:
        standing = await approving.authority_whole(tx, question.composite, place, by.at)
    if decision is not None:
        _check_decision(question, standing, decision)
    extra = {
        **standing.facts,
        "stage": place.stage.value.lower(),
        "executor": rules.executor([part.facts for part in question.parts]),
        **await _rollback(tx, question, ports, by),
    }
    document = await approving.document(tx, question, by.at, extra)
    bundle = await policy.active(tx, by.at)
    evaluation = await policy.judge(ports.engines, bundle, document)
    question = question.knowing(excepted=standing.excepted, overdue=standing.overdue)
    return dataclasses.replace(
        question,
        verdict=rules.joined(question.verdict, evaluation.verdict),
        judged=policy.judged(by.new_id(), evaluation, document),
        resting=standing.resting,
        request_id=standing.request_id,
    )


def _check_decision(question: Question, standing: approving.Authority, decision: uuid.UUID) -> None:
    stands = None if standing.resting is None else standing.resting.decision_id
    if stands == decision:
        return
    expected = "expected none: nothing is decided" if stands is None else f"expected {stands}"
    message = f"{expected} for {question.name} in {question.environment.name}, found {decision}"
    problem = {"field": "decision", "message": message, "fix": "leave it out, or send that one"}
    raise BadBody(f"`decision`: {message}", problems=[problem])


async def _rollback(tx: Tx, question: Question, ports: Ports, by: By) -> dict[str, Any]:
    """Return what production would go back to: what is there now, or was, and is approved."""
    if question.environment.stage is not Stage.PRODUCTION:
        return {}
    whole = question.cvi is not None
    before = await (_wholes_before if whole else _versions_before)(tx, question, ports, by)
    if before is None:
        return {"rollback": {"withdraws": True}}
    target, approved = before
    found: dict[str, Any] = {"target": target[:300], "approved": approved}
    drilled_at = await store.last_drill(tx, question.lead.asset.id, whole=whole)
    if drilled_at is not None:
        found["drilled_at"] = int(drilled_at.timestamp())
    return {"rollback": found}


async def _versions_before(
    tx: Tx, question: Question, ports: Ports, by: By
) -> tuple[str, bool] | None:
    """Return the version that production would go back to, and whether it is approved; None: nothing is there."""
    mine, asset, place = question.lead.version.id, question.lead.asset, question.environment
    there = [one.version_id for one in question.lead.ends if one.version_id != mine]
    if not there:
        return None
    was = await store.before(tx, asset.id, place.name)
    found: tuple[str, bool] | None = None
    for version_id in dict.fromkeys([*there, *was]):
        if version_id == mine:
            continue
        target = await catalog.version_by_id(tx, version_id)
        approved = await approving.approved(tx, asset, target, place, by.at, ports)
        found = (target.name, approved) if found is None or approved else found
        if approved:
            break
    return found


async def _wholes_before(
    tx: Tx, question: Question, ports: Ports, by: By
) -> tuple[str, bool] | None:
    """Return the composite that production would go back to; None: it would be taken out."""
    lead, place = question.lead, question.environment
    if all(one.composite == question.cvi for one in lead.ends):
        return None
    alias = None if lead.alias is None else str(lead.alias)
    found: tuple[str, bool] | None = None
    for cvi in await store.wholes_before(tx, lead.asset.id, place.name, alias):
        if cvi == question.cvi:
            continue
        target = await composites.get(tx, cvi)
        approved = await approving.approved_whole(tx, target, place, by.at, ports)
        found = (cvi, approved) if found is None or approved else found
        if approved:
            break
    return found
