"""Requests, what people signed, decisions and exceptions as the API shows them."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from muniment.server import policy
from muniment.server.approvals.records import (
    Approval,
    Approved,
    Comment,
    ConditionOf,
    DecisionOf,
    Missing,
    Outcome,
    Request,
    Standing,
    Word,
)
from muniment.server.approvals.routes.step_bodies import ReviewStepBody, step_body
from muniment.server.approvals.rules.reviews import ReviewStepOf
from muniment.server.identity.records import CameIn
from muniment.server.ledger.records import Actor
from muniment.server.policy.records import Verdict


class ActorBody(msgspec.Struct, frozen=True, kw_only=True):
    """Who acted."""

    kind: str
    id: str


class RequestBody(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody asks for a version, or a composite, to be approved for an environment.

    Of a `composite` (its CVI), `version` is its lead's: the first of its models, adapters, prompts. `state`: `open`, `approved`, `rejected`, `withdrawn`, `void`. `frozen_sha256` is of `frozen`.
    """

    id: uuid.UUID
    version: str
    composite: str | None
    environment: str
    change_class: str
    reason: str
    reference: str
    re_conformity_reference: str
    requester: ActorBody
    opened_at: dt.datetime
    state: str
    ended_at: dt.datetime | None
    ended_reason: str | None
    frozen_sha256: str
    entry_id: uuid.UUID


class ChangedBody(msgspec.Struct, frozen=True, kw_only=True):
    """Something of what was frozen that is not so any more."""

    what: str
    was: Any
    now: Any


class ConditionBody(msgspec.Struct, frozen=True, kw_only=True):
    """What must be done by the end of a day (UTC) for an approval to go on."""

    id: uuid.UUID
    text: str
    due: dt.date
    met_at: dt.datetime | None
    met_by: uuid.UUID | None
    met_note: str | None


class ApprovalBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said, in one role, signed by their own key (`key_id`) or by the registry.

    `counts` false: it does not count now, and `why_not` says why. `came_in` is how the person did; with
    a key, the session that made it known (null: not known).
    """

    id: uuid.UUID
    request_id: uuid.UUID
    person_id: uuid.UUID
    role: str
    decision: str
    sign_off: str | None
    review_step: str | None
    comment: str
    signed_by: str
    key_id: uuid.UUID | None
    statement_sha256: str
    at: dt.datetime
    entry_id: uuid.UUID
    came_in: CameIn | None
    counts: bool
    why_not: str
    conditions: list[ConditionBody]


class CommentBody(msgspec.Struct, frozen=True, kw_only=True):
    """A remark on a request; while one is open, nothing is decided."""

    id: uuid.UUID
    request_id: uuid.UUID
    text: str
    at: dt.datetime
    actor: ActorBody
    resolved_at: dt.datetime | None
    resolution: str | None
    resolved_by: ActorBody | None


class MissingBody(msgspec.Struct, frozen=True, kw_only=True):
    """A role of the quorum: how many people approved in it, and how many have to."""

    role: str
    have: int
    need: int


class DecisionBody(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a request: `approved` until `expires_at`, or `rejected`.

    Of a `composite` (its CVI), `version` is its lead's.
    """

    id: uuid.UUID
    request_id: uuid.UUID
    version: str
    composite: str | None
    environment: str
    outcome: Outcome
    decided_at: dt.datetime
    expires_at: dt.datetime | None
    frozen_sha256: str
    entry_id: uuid.UUID


class ReasonBody(msgspec.Struct, frozen=True, kw_only=True):
    """Why something is not so: a code or the id of a rule, and words."""

    code: str
    message: str


class ApprovedBody(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a composite is approved for an environment now, until when, and if not, why.

    `request_id` is of a request that is open.
    """

    environment: str
    approved: bool
    until: dt.datetime | None
    decision_id: uuid.UUID | None
    request_id: uuid.UUID | None
    reasons: list[ReasonBody]


class CompositeApprovalsBody(msgspec.Struct, frozen=True, kw_only=True):
    """A composite, the versions of this registry it pins (the lead first), and where it is approved."""

    cvi: str
    members: list[str]
    items: list[ApprovedBody]


class ShownDecisionBody(DecisionBody, frozen=True, kw_only=True):
    """A decision, whether it holds now and if not, why, and all that its entry carries."""

    holds: bool
    reasons: list[ReasonBody]
    record: dict[str, Any]


class ShownRequestBody(RequestBody, frozen=True, kw_only=True):
    """A request and how it stands.

    `frozen` is what is signed, for the registry called `registry`; `void` says that it is about what is
    not so any more, and `changed` what. `verdict` is what the rules say at `approve` now, `missing` of
    which roles people are wanting. `own_key`: only people's own keys count for approving; `own_login`:
    only of people who came in by an issuer.
    `review_steps` are those of the policy for its risk tier, in order.
    """

    registry: str
    frozen: dict[str, Any]
    void: bool
    changed: list[ChangedBody]
    approvals: list[ApprovalBody]
    comments: list[CommentBody]
    missing: list[MissingBody]
    verdict: dict[str, Any] | None
    own_key: bool
    own_login: bool
    review_steps: list[ReviewStepBody]
    decision: DecisionBody | None


class GivenBody(msgspec.Struct, frozen=True, kw_only=True):
    """A word that was taken, and what came of it: a decision, or what is wanting.

    `verdict` is what the rules said with it; null where the word had been taken before.
    """

    approval: ApprovalBody
    decision: DecisionBody | None
    missing: list[MissingBody]
    verdict: dict[str, Any] | None


def actor_body(actor: Actor) -> ActorBody:
    """Return who acted as the API shows it."""
    return ActorBody(kind=actor.kind, id=actor.id)


def _request_fields(one: Request) -> dict[str, Any]:
    return {
        "id": one.id,
        "version": one.ref,
        "composite": one.composite,
        "environment": one.environment,
        "change_class": one.change_class.value,
        "reason": one.reason,
        "reference": one.reference,
        "re_conformity_reference": one.re_conformity,
        "requester": actor_body(one.actor),
        "opened_at": one.opened_at,
        "state": "open" if one.ended_as is None else one.ended_as.value,
        "ended_at": one.ended_at,
        "ended_reason": one.ended_reason,
        "frozen_sha256": one.frozen_sha256.hex,
        "entry_id": one.entry_id,
    }


def request_body(one: Request) -> RequestBody:
    """Return a request as lists show it."""
    return RequestBody(**_request_fields(one))


def shown_request(
    found: Standing,
    verdict: Verdict | None,
    missing: Sequence[Missing],
    *,
    registry: str,
    own_key: bool,
    own_login: bool,
    steps: Sequence[ReviewStepOf] = (),
    people: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> ShownRequestBody:
    """Return a request with how it stands; `people` are names by the role for steps they hold."""
    assert found.request is not None
    fields = _request_fields(found.request)
    if found.void:
        fields["state"] = "void"
    return ShownRequestBody(
        **fields,
        registry=registry,
        frozen=dict(found.request.frozen),
        void=found.void,
        changed=[ChangedBody(what=one.what, was=one.was, now=one.now) for one in found.changed],
        approvals=[word_body(one, found.conditions) for one in found.words],
        comments=[comment_body(one) for one in found.comments],
        missing=missing_bodies(missing),
        verdict=verdict_body(verdict),
        own_key=own_key,
        own_login=own_login,
        review_steps=[step_body(one, people) for one in steps],
        decision=None if found.decision is None else decision_body(found.decision),
    )


def verdict_body(verdict: Verdict | None) -> dict[str, Any] | None:
    """Return what the rules say as the API shows it."""
    return None if verdict is None else policy.verdict_json(verdict)


def missing_bodies(missing: Iterable[Missing]) -> list[MissingBody]:
    """Return roles of which people are wanting."""
    return [MissingBody(role=one.role, have=one.have, need=one.need) for one in missing]


def word_body(word: Word, conditions: Iterable[ConditionOf]) -> ApprovalBody:
    """Return what a person said, and whether it counts."""
    return approval_body(word.approval, conditions, counts=word.counts, why_not=word.why_not)


def approval_body(
    one: Approval, conditions: Iterable[ConditionOf], *, counts: bool = True, why_not: str = ""
) -> ApprovalBody:
    """Return what a person said."""
    return ApprovalBody(
        id=one.id,
        request_id=one.request_id,
        person_id=one.person_id,
        role=one.role,
        decision=one.decision,
        sign_off=one.sign_off,
        review_step=one.review_step,
        comment=one.comment,
        signed_by=one.signed_by,
        key_id=one.key_id,
        statement_sha256=one.statement_sha256.hex,
        at=one.at,
        entry_id=one.entry_id,
        came_in=one.came_in,
        counts=counts,
        why_not=why_not,
        conditions=[condition_body(each) for each in conditions if each.approval_id == one.id],
    )


def condition_body(one: ConditionOf) -> ConditionBody:
    """Return a condition as the API shows it."""
    return ConditionBody(
        id=one.id,
        text=one.text,
        due=one.due,
        met_at=one.met_at,
        met_by=one.met_by,
        met_note=one.met_note,
    )


def comment_body(one: Comment) -> CommentBody:
    """Return a comment as the API shows it."""
    return CommentBody(
        id=one.id,
        request_id=one.request_id,
        text=one.text,
        at=one.at,
        actor=actor_body(one.actor),
        resolved_at=one.resolved_at,
        resolution=one.resolution,
        resolved_by=None if one.resolved_by is None else actor_body(one.resolved_by),
    )


def _decision_fields(one: DecisionOf) -> dict[str, Any]:
    return {
        "id": one.id,
        "request_id": one.request_id,
        "version": one.ref,
        "composite": one.composite,
        "environment": one.environment,
        "outcome": one.outcome,
        "decided_at": one.decided_at,
        "expires_at": one.expires_at,
        "frozen_sha256": one.frozen_sha256.hex,
        "entry_id": one.entry_id,
    }


def decision_body(one: DecisionOf) -> DecisionBody:
    """Return a decision as lists show it."""
    return DecisionBody(**_decision_fields(one))


def shown_decision(one: DecisionOf, answer: Approved, record: dict[str, Any]) -> ShownDecisionBody:
    """Return a decision with whether it holds, and what its entry carries."""
    current = answer.decision is not None and answer.decision.id == one.id
    reasons = list(answer.reasons) if current else [("replaced", "another decision was made since")]
    return ShownDecisionBody(
        **_decision_fields(one),
        holds=current and answer.approved,
        reasons=[ReasonBody(code=code, message=message) for code, message in reasons],
        record=record,
    )


def approved_body(found: Standing, answer: Approved) -> ApprovedBody:
    """Return whether something is approved for an environment."""
    decision = answer.decision
    asked = [one for one in (found.pending, found.request) if one is not None]
    return ApprovedBody(
        environment=found.place.name,
        approved=answer.approved,
        until=None if decision is None else decision.expires_at,
        decision_id=None if decision is None else decision.id,
        request_id=next((one.id for one in asked if one.ended_as is None), None),
        reasons=[ReasonBody(code=code, message=message) for code, message in answer.reasons],
    )
