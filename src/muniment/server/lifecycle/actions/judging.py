"""What the policy in force says of a promotion, joined with what the registry's own rules say."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

from muniment.core.errors import BadBody
from muniment.server import catalog, composites, policy
from muniment.server.identity import By
from muniment.server.lifecycle.actions import approving, earlier
from muniment.server.lifecycle.actions.question import Part, Question
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
    """Return what production would go back to: what is there now, or was, and is approved.

    Of a composite that is asked of every version that takes the place of something, and the worst
    counts: nothing to go back to, then what is not approved; and the drill that was longest ago.
    """
    if question.environment.stage is not Stage.PRODUCTION:
        return {}
    whole = question.composite is not None
    replacing = await _replacing(tx, question) if whole else [question.lead]
    before = _earlier if whole else _versions_before
    found = [await before(tx, question, part, ports, by) for part in replacing]
    if not whole and found == [None]:
        found = []
    if not found:
        return {"rollback": {"withdraws": True}}
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        return {}
    target, approved = min(known, key=lambda one: one[1])
    said: dict[str, Any] = {"target": target[:300], "approved": approved}
    drills = [await store.last_drill(tx, part.asset.id, whole=whole) for part in replacing]
    dated = [one for one in drills if one is not None]
    if len(dated) == len(drills):
        said["drilled_at"] = int(min(dated).timestamp())
    return {"rollback": said}


async def _versions_before(
    tx: Tx, question: Question, part: Part, ports: Ports, by: By
) -> tuple[str, bool] | None:
    """Return the version that production would go back to, and whether it is approved; None: nothing is there."""
    mine, asset, place = part.version.id, part.asset, question.environment
    there = [one.version_id for one in part.ends if one.version_id != mine]
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


async def _replacing(tx: Tx, question: Question) -> list[Part]:
    """Return the parts of a composite that take the place of something else than itself.

    A version that another system's composite has as well, and which stays there, takes no place: if this
    composite is taken out, that one has it again.
    """
    mine = question.composite
    assert mine is not None
    ending = {one.id for part in (*question.parts, *question.left) for one in part.ends}
    shared = set()
    others = {one.composite for part in question.parts for one in part.ends} - {None, mine.cvi}
    for cvi in sorted(str(one) for one in others):
        other = await composites.get(tx, cvi)
        live = await store.live_of_composite(tx, cvi, question.environment.name)
        elsewhere = (other.namespace, other.system) != (mine.namespace, mine.system)
        if elsewhere and any(one.id not in ending for one in live):
            shared.add(cvi)
    return [
        part
        for part in question.parts
        if any(
            one.composite != mine.cvi
            and not (one.composite in shared and one.version_id == part.version.id)
            for one in part.ends
        )
    ]


async def _earlier(
    tx: Tx, question: Question, part: Part, ports: Ports, by: By
) -> tuple[str, bool] | None:
    """Return what production would go back to from a version in a composite; None: there is nothing."""
    mine, place = question.composite, question.environment
    assert mine is not None
    alias = None if part.alias is None else str(part.alias)
    found: tuple[str, bool] | None = None
    for target in await earlier.targets(tx, part.asset, place, alias, mine):
        approved = await earlier.approved(tx, target, part.asset, place, by.at, ports)
        found = (earlier.name_of(target), approved) if found is None or approved else found
        if approved:
            break
    return found
