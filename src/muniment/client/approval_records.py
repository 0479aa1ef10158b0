"""Requests for approval, what people said of them, decisions and exceptions, as the registry answers."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from muniment.client.records import Record


class ApprovalRequest(Record, frozen=True, kw_only=True):
    """A request; `state` is `open`, `approved`, `rejected`, `withdrawn` or `void`.

    Of a `composite` (its CVI), `version` is its lead's.
    """

    id: str
    version: str
    composite: str | None = None
    environment: str
    change_class: str
    state: str
    requester: dict[str, Any]
    opened_at: dt.datetime
    frozen_sha256: str
    reason: str = ""
    reference: str = ""
    re_conformity_reference: str = ""
    ended_at: dt.datetime | None = None
    ended_reason: str | None = None
    entry_id: str = ""

    @property
    def name(self) -> str:
        """What it is about: `[NAMESPACE/]NAME@1.2.0`, or the CVI."""
        return self.composite or self.version


class Approval(Record, frozen=True, kw_only=True):
    """What a person said of a request; `counts` false: not now, and `why_not` says why."""

    id: str
    person_id: str
    role: str
    decision: str
    signed_by: str
    at: dt.datetime
    request_id: str = ""
    sign_off: str | None = None
    review_step: str | None = None
    came_in: dict[str, Any] | None = None
    comment: str = ""
    key_id: str | None = None
    statement_sha256: str = ""
    entry_id: str = ""
    counts: bool = True
    why_not: str = ""
    conditions: list[dict[str, Any]] = msgspec.field(default_factory=list)


class Decision(Record, frozen=True, kw_only=True):
    """What came of a request: `approved` until `expires_at`, or `rejected`.

    On a `composite` (its CVI), `version` is its lead's.
    """

    id: str
    request_id: str
    version: str
    composite: str | None = None
    environment: str
    outcome: str
    decided_at: dt.datetime
    expires_at: dt.datetime | None = None
    frozen_sha256: str = ""
    entry_id: str = ""

    @property
    def name(self) -> str:
        """What it is about: `[NAMESPACE/]NAME@1.2.0`, or the CVI."""
        return self.composite or self.version


class CompositeApproved(Record, frozen=True, kw_only=True):
    """Whether a composite is approved for an environment now, until when, and if not, why."""

    environment: str
    approved: bool
    until: dt.datetime | None = None
    decision_id: str | None = None
    request_id: str | None = None
    reasons: list[dict[str, str]] = msgspec.field(default_factory=list)


class CompositeApprovals(Record, frozen=True, kw_only=True):
    """A composite, the versions of this registry it pins (the lead first), and where it is approved."""

    cvi: str
    members: list[str] = msgspec.field(default_factory=list)
    items: list[CompositeApproved] = msgspec.field(default_factory=list)


class ShownDecision(Decision, frozen=True, kw_only=True):
    """A decision, whether it holds now and if not, why, and what its signed entry carries."""

    holds: bool
    reasons: list[dict[str, str]] = msgspec.field(default_factory=list)
    record: dict[str, Any] = msgspec.field(default_factory=dict)


class ShownRequest(ApprovalRequest, frozen=True, kw_only=True):
    """A request and how it stands; `frozen` is what is signed, for the registry `registry`.

    `review_steps` are those of the policy, in order; `state` of each is `done`, `not_applicable`,
    `next`, `waiting` or `early` (to be done again).
    """

    registry: str
    frozen: dict[str, Any]
    void: bool = False
    changed: list[dict[str, Any]] = msgspec.field(default_factory=list)
    approvals: list[Approval] = msgspec.field(default_factory=list)
    comments: list[dict[str, Any]] = msgspec.field(default_factory=list)
    missing: list[dict[str, Any]] = msgspec.field(default_factory=list)
    verdict: dict[str, Any] | None = None
    own_key: bool = False
    own_login: bool = False
    review_steps: list[dict[str, Any]] = msgspec.field(default_factory=list)
    decision: Decision | None = None


class Given(Record, frozen=True, kw_only=True):
    """A word that was taken: the decision that followed, or of which roles people are wanting."""

    approval: Approval
    decision: Decision | None = None
    missing: list[dict[str, Any]] = msgspec.field(default_factory=list)
    verdict: dict[str, Any] | None = None


class RuleException(Record, frozen=True, kw_only=True):
    """A waived rule; `state` is `holds`, `ended`, `revoked`, or why it lapsed.

    That is `key_revoked`, `own_key_needed`, `own_login_needed`, `not_eligible` or `requester_or_author`.
    """

    id: str
    version: str
    environment: str
    rule: str
    until: dt.date
    person_id: str
    role: str
    signed_by: str
    state: str
    reason: str = ""
    control: str = ""
    granted_at: dt.datetime | None = None
    revoked_at: dt.datetime | None = None
    revoked_reason: str | None = None
    entry_id: str = ""


class Granted(Record, frozen=True, kw_only=True):
    """An exception, and what was decided now that it holds."""

    exception: RuleException
    decision: Decision | None = None


class Resolved(Record, frozen=True, kw_only=True):
    """A comment that is resolved, and what was decided now."""

    comment: dict[str, Any]
    decision: Decision | None = None
