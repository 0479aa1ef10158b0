"""Ask the rules about a request after what somebody did to it, and decide what is due."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any

from muniment.server import identity, policy
from muniment.server.approvals.actions.recording import About, Act, Tools, record
from muniment.server.approvals.reads import standing as reads
from muniment.server.approvals.records import DecisionOf, Ended, Outcome, Payload, Request, Standing
from muniment.server.approvals.rules import decisions as rules
from muniment.server.approvals.store import decisions as store
from muniment.server.approvals.store import requests as request_store
from muniment.server.approvals.store import signed as signed_store
from muniment.server.catalog.records import Asset, Version
from muniment.server.identity import By
from muniment.server.policy.records import Evaluation, Judged
from muniment.server.ports.db import Tx


async def settle(tx: Tx, request: Request, by: By, tools: Tools) -> DecisionOf | None:
    """Decide an open request, which is locked, if nothing is in the way any more; else do nothing."""
    found = await reads.of_request(tx, request, by.at)
    if found.void or not somebody_approves(found):
        return None
    version, asset = await reads.subject_of(tx, request)
    evaluation, document = await reads.judge(tx, tools.engines, version, asset, found)
    if evaluation.verdict.failed:
        return None
    judged = policy.judged(by.new_id(), evaluation, document)
    return await decide(tx, found, version, asset, Outcome.APPROVED, judged, by, tools)


def somebody_approves(found: Standing) -> bool:
    """Say whether anybody's approval counts: without one nothing is approved, whatever the rules say."""
    return any(one.counts and one.approval.decision == "approve" for one in found.words)


async def decide(  # noqa: PLR0917 -- what a decision is made of
    tx: Tx,
    found: Standing,
    version: Version,
    asset: Asset,
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
    days = reads.profile_of(bundle, asset).approval_days
    decision = DecisionOf(
        id=by.new_id(),
        request_id=request.id,
        asset_id=asset.id,
        version_id=version.id,
        environment=request.environment,
        outcome=outcome,
        frozen_sha256=request.frozen_sha256,
        decided_at=at,
        expires_at=at + dt.timedelta(days=days) if outcome is Outcome.APPROVED else None,
        entry_id=entry_id,
        ref=version.name,
    )
    ended = Ended(outcome.value)
    await request_store.end_request(tx, request.id, ended, "", at, entry_id)
    await store.insert_decision(tx, decision)
    kept = await keep(tx, judged, version, request.environment, entry_id=entry_id, at=at,
                      carried_out=outcome is Outcome.APPROVED)  # fmt: skip
    payload = await _payload(tx, found, decision, judged.evaluation, tools)
    ended_json = {"id": str(request.id), "as": ended.value, "reason": ""}
    act = Act(
        name=f"decision.{'approve' if outcome is Outcome.APPROVED else 'reject'}",
        kind="decision",
        id=decision.id,
        changes={"environment": (None, request.environment), "request": ("open", ended.value)},
        digests=(version.manifest_digest,),
        predicate_type=rules.SUMMARY_TYPE,
    )
    about = About(asset.id, version.id, str(version.version), version.name)
    await record(
        tx,
        about,
        act,
        {**payload, "request_ended": ended_json, "judged": kept},
        by,
        entry_id=entry_id,
        at=at,
        signer=tools.record_key,
    )
    return decision


async def keep(
    tx: Tx,
    judged: Judged,
    version: Version,
    environment: str,
    *,
    entry_id: uuid.UUID,
    at: dt.datetime,
    carried_out: bool,
) -> Mapping[str, Any]:
    """Keep a verdict beside its act; return the member `judged` of the act's payload."""
    about: dict[str, Any] = {
        "asset_id": version.asset_id,
        "version_id": version.id,
        "environment": environment,
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
            rules.exception_json(one.exception) for one in found.exceptions if not one.lapsed
        ],
        "predicate": rules.summary(
            decision,
            registry=tools.registry,
            policy_digest=evaluation.verdict.policy_digest,
            attestations=rules.attestations(signed, request.frozen),
        ),
    }
