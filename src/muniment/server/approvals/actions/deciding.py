"""Ask the rules about a request after what somebody did to it, and decide what is due."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any

from muniment.server import identity, policy
from muniment.server.approvals.actions.recording import Act, Tools, about_of, record
from muniment.server.approvals.reads import matters
from muniment.server.approvals.reads import standing as reads
from muniment.server.approvals.records import (
    DecisionOf,
    Ended,
    Outcome,
    Payload,
    Request,
    Standing,
    Waived,
)
from muniment.server.approvals.rules import decisions as rules
from muniment.server.approvals.rules.matters import Matter
from muniment.server.approvals.store import decisions as store
from muniment.server.approvals.store import requests as request_store
from muniment.server.approvals.store import signed as signed_store
from muniment.server.identity import By
from muniment.server.policy.records import Evaluation, Judged
from muniment.server.ports.db import Tx


async def settle(tx: Tx, request: Request, by: By, tools: Tools) -> DecisionOf | None:
    """Decide an open request, which is locked, if nothing is in the way any more; else do nothing."""
    matter = await matters.of_request(tx, request)
    found = await reads.of_request(tx, request, by.at, matter=matter)
    if found.void or not somebody_approves(found):
        return None
    evaluation, document = await reads.judge(tx, tools.engines, matter, found)
    if evaluation.verdict.failed:
        return None
    judged = policy.judged(by.new_id(), evaluation, document)
    return await decide(tx, found, matter, Outcome.APPROVED, judged, by, tools)


def somebody_approves(found: Standing) -> bool:
    """Say whether anybody's approval counts: without one nothing is approved, whatever the rules say."""
    return any(one.counts and one.approval.approves for one in found.words)


async def decide(  # noqa: PLR0917 -- what a decision is made of
    tx: Tx,
    found: Standing,
    matter: Matter,
    outcome: Outcome,
    judged: Judged,
    by: By,
    tools: Tools,
) -> DecisionOf:
    """Write a decision on a request, which is locked: one signed entry that carries all of it."""
    request = found.request
    assert request is not None
    at, entry_id = max(by.at, request.opened_at), by.new_id()
    bundle = await policy.active(tx, found.at)
    days = matter.profile(bundle.data).approval_days
    decision = DecisionOf(
        id=by.new_id(),
        request_id=request.id,
        asset_id=request.asset_id,
        version_id=request.version_id,
        environment=request.environment,
        outcome=outcome,
        frozen_sha256=request.frozen_sha256,
        decided_at=at,
        expires_at=at + dt.timedelta(days=days) if outcome is Outcome.APPROVED else None,
        entry_id=entry_id,
        composite=request.composite,
        ref=request.ref,
    )
    ended = Ended(outcome.value)
    await request_store.end_request(tx, request.id, ended, "", at, entry_id)
    await store.insert_decision(tx, decision)
    kept = await keep(tx, judged, request, entry_id=entry_id, at=at,
                      carried_out=outcome is Outcome.APPROVED)  # fmt: skip
    payload = await _payload(tx, found, decision, judged.evaluation, tools)
    ended_json = {"id": str(request.id), "as": ended.value, "reason": ""}
    act = Act(
        name=f"decision.{'approve' if outcome is Outcome.APPROVED else 'reject'}",
        kind="decision",
        id=decision.id,
        changes={"environment": (None, request.environment), "request": ("open", ended.value)},
        digests=matter.digests,
        predicate_type=rules.SUMMARY_TYPE,
    )
    await record(
        tx,
        about_of(request),
        act,
        {**payload, "request_ended": ended_json, "judged": kept},
        by,
        entry_id=entry_id,
        at=at,
        signer=tools.record_key,
    )
    return decision


def counts(one: Waived, found: Standing) -> bool:
    """Say whether an exception counts: of a composite, one of a member alone does not."""
    if one.lapsed:
        return False
    return found.waived is None or one.exception.rule in {each["rule"] for each in found.waived}


async def keep(
    tx: Tx,
    judged: Judged,
    request: Request,
    *,
    entry_id: uuid.UUID,
    at: dt.datetime,
    carried_out: bool,
) -> Mapping[str, Any]:
    """Keep a verdict beside its act; return the member `judged` of the act's payload."""
    about: dict[str, Any] = {
        "asset_id": request.asset_id,
        "version_id": request.version_id,
        "environment": request.environment,
        "composite": request.composite,
        "carried_out": carried_out,
    }
    await policy.keep(tx, judged, entry_id=entry_id, at=at, **about)
    return policy.judged_payload(judged, **about)


async def _payload(
    tx: Tx, found: Standing, decision: DecisionOf, evaluation: Evaluation, tools: Tools
) -> Payload:
    """Return what a decision carries: what was frozen, what people signed, what was waived."""
    request = found.request
    assert request is not None
    signed = await signed_store.approvals_of(tx, request.id)
    keys = await identity.signing_keys_with(tx, [one.key_id for one in signed if one.key_id])
    last = {one.approval.id for one in found.words if one.counts}
    signed = [one for one in signed if one.id in last]
    return {
        "decision": rules.decision_json(decision),
        "frozen": dict(request.frozen),
        "approvals": rules.carried(
            signed,
            {key_id: key.public_key for key_id, key in keys.items()},
            tools.record_key.public_key_der,
        ),
        "conditions": [rules.condition_json(one) for one in found.conditions],
        "exceptions": [
            rules.exception_json(one.exception) for one in found.exceptions if counts(one, found)
        ],
        "predicate": rules.summary(
            decision,
            registry=tools.registry,
            policy_digest=evaluation.verdict.policy_digest,
            attestations=rules.attestations(signed, request.frozen),
        ),
    }
