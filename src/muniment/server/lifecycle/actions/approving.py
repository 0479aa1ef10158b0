"""What approval a promotion rests on: from the slice that keeps it, as the rules want it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from muniment.server import approvals
from muniment.server.approvals.records import Outcome, Standing
from muniment.server.catalog.records import Asset, Version
from muniment.server.composites.records import Composite
from muniment.server.lifecycle.actions.question import Question
from muniment.server.lifecycle.records import Environment, Ports, Resting, Stage
from muniment.server.ports.db import Tx


@dataclass(frozen=True, slots=True)
class Authority:
    """How approval of a version or a composite for an environment stands.

    `facts` are put over those of policy. `excepted` are rules an exception holds for, `overdue`
    conditions nobody met in time. `resting` is None where nothing that holds was decided;
    `request_id` is of an open request.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    excepted: tuple[str, ...] = ()
    overdue: tuple[str, ...] = ()
    resting: Resting | None = None
    request_id: str | None = None


async def authority(
    tx: Tx, version: Version, asset: Asset, environment: Environment, at: dt.datetime
) -> Authority:
    """Return how approval of a version for an environment stands at a moment."""
    known = (version, asset)
    return _authority(await approvals.standing(tx, version.id, environment.name, at, known=known))


async def authority_whole(
    tx: Tx, composite: Composite, environment: Environment, at: dt.datetime
) -> Authority:
    """Return how approval of a composite for an environment stands at a moment."""
    return _authority(await approvals.composite_standing(tx, composite, environment.name, at))


def _authority(found: Standing) -> Authority:
    now = int(found.at.timestamp())
    held = found.exception_facts()
    still_open = [
        one for one in (found.pending, found.request) if one is not None and one.ended_as is None
    ]
    return Authority(
        facts=found.facts(),
        excepted=tuple(
            one["rule"]
            for one in held
            if one["signature_valid"] and one["from"] <= now < one["until"]
        ),
        overdue=tuple(one.text for one in found.overdue),
        resting=_resting(found),
        request_id=str(still_open[0].id) if still_open else None,
    )


async def document(
    tx: Tx, question: Question, at: dt.datetime, extra: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what policy is asked about the promotion of what is asked about; `extra` is put over it."""
    place, lead = question.environment.name, question.lead
    if question.composite is not None:
        return await approvals.composite_facts(
            tx, question.composite, step="promote", at=at, environment=place, extra=extra
        )
    return await approvals.facts(
        tx, lead.version, lead.asset, step="promote", at=at, environment=place, extra=extra
    )


def _resting(found: Standing) -> Resting | None:
    decision = found.decision
    if decision is None or decision.outcome is not Outcome.APPROVED:
        return None
    if decision.expires_at is None or decision.expires_at <= found.at:
        return None
    signed = [
        one.approval.statement_sha256.hex
        for one in found.words
        if one.counts and one.approval.decision == "approve"
    ]
    return Resting(decision.id, decision.entry_id, decision.frozen_sha256.hex, tuple(signed))


async def approved(  # noqa: PLR0917 -- what the answer depends on
    tx: Tx,
    asset: Asset,
    version: Version,
    environment: Environment,
    at: dt.datetime,
    ports: Ports,
) -> bool:
    """Say whether a version is approved for an environment that counts as production at a moment."""
    if environment.stage is not Stage.PRODUCTION:
        return False
    answer = await approvals.approved(tx, ports.engines, version, asset, environment.name, at)
    return answer.approved


async def approved_whole(
    tx: Tx, composite: Composite, environment: Environment, at: dt.datetime, ports: Ports
) -> bool:
    """Say whether a composite is approved for an environment that counts as production at a moment."""
    if environment.stage is not Stage.PRODUCTION:
        return False
    answer = await approvals.composite_approved(tx, ports.engines, composite, environment.name, at)
    return answer.approved
