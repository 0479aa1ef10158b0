"""Requests, what people said of them, exceptions, decisions, and how all of it stands.

Source: design §2; requirements §1.1 J, §1.2 (4, 5), §1.3.
"""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muniment.core.approvals import AUTHOR, REGISTRY, end_of
from muniment.core.digest import Digest
from muniment.core.names import AssetRef
from muniment.server.identity.records import CameIn
from muniment.server.ledger.records import Actor

Payload = dict[str, Any]


class ChangeClass(enum.StrEnum):
    """How much a version changes. Source: requirements §1.3 (quorum table)."""

    ROUTINE = "routine"
    SIGNIFICANT = "significant"
    SUBSTANTIAL = "substantial"


class Ended(enum.StrEnum):
    """What a request came to."""

    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    VOID = "void"  # what was frozen had changed when it was asked anew


class Outcome(enum.StrEnum):
    """What was decided."""

    APPROVED = "approved"
    REJECTED = "rejected"


class Bar(enum.StrEnum):
    """Why what somebody wanted to sign is not taken."""

    NOT_A_PERSON = "not_a_person"
    NO_ROLE = "no_role"
    REQUESTER = "requester"
    AUTHOR = "author"
    OTHER_ROLE = "other_role"
    OWN_KEY_NEEDED = "own_key_needed"
    OWN_LOGIN_NEEDED = "own_login_needed"
    VOID = "void"
    CRITICAL_SAFETY = "critical_safety"
    RULE_CLASS = "rule_class"


@dataclass(frozen=True, slots=True)
class Place:
    """An environment, and the stage a deployment there counts as (`none`, `staging`, `production`)."""

    name: str
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody asks for."""

    environment: str
    change_class: ChangeClass = ChangeClass.SUBSTANTIAL
    reason: str = ""
    reference: str = ""
    re_conformity: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Somebody asks for a version, or a composite, to be approved for an environment.

    `frozen` is what reviewers are shown, as it was when it was asked; `ended_as` None: it is open. Of a
    `composite` (its CVI), asset and version are its lead's; `member_assets` are those of its members.
    """

    id: uuid.UUID
    asset_id: uuid.UUID
    version_id: uuid.UUID
    asset: AssetRef
    version: str
    environment: str
    change_class: ChangeClass
    reason: str
    reference: str
    re_conformity: str
    frozen: Mapping[str, Any]
    frozen_sha256: Digest
    opened_at: dt.datetime
    actor: Actor
    entry_id: uuid.UUID
    ended_at: dt.datetime | None = None
    ended_as: Ended | None = None
    ended_reason: str | None = None
    ended_entry_id: uuid.UUID | None = None
    composite: str | None = None
    member_assets: tuple[uuid.UUID, ...] | None = None

    @property
    def ref(self) -> str:
        """`[namespace/]NAME@VERSION`; of a composite, its lead's."""
        return f"{self.asset}@{self.version}"

    @property
    def name(self) -> str:
        """What it is about: `[namespace/]NAME@VERSION`, or the CVI."""
        return self.composite or self.ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What a person said of a request, signed by their own key (`key_id`) or by the registry.

    `came_in` is how they did: with a key, the session that made it known; None: not known.
    """

    id: uuid.UUID
    request_id: uuid.UUID
    person_id: uuid.UUID
    role: str
    decision: str
    sign_off: str | None
    comment: str
    signed_by: str
    key_id: uuid.UUID | None
    nonce: str
    statement_sha256: Digest
    bundle: Mapping[str, Any]
    at: dt.datetime
    entry_id: uuid.UUID
    review_step: str | None = None
    came_in: CameIn | None = None

    @property
    def approves(self) -> bool:
        """Whether it says yes to the whole, as somebody who neither asked nor made it."""
        return self.decision == "approve" and self.role != AUTHOR

    @property
    def by_session(self) -> bool:
        """Whether the registry signed it, for an authenticated session."""
        return self.signed_by == REGISTRY


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionOf:
    """A condition of an approval: due by the end of a day (UTC); when and by whom it was met."""

    id: uuid.UUID
    approval_id: uuid.UUID
    position: int
    text: str
    due: dt.date
    met_at: dt.datetime | None = None
    met_by: uuid.UUID | None = None
    met_note: str | None = None
    met_entry_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """A remark on a request; open until somebody says how it was resolved."""

    id: uuid.UUID
    request_id: uuid.UUID
    text: str
    at: dt.datetime
    actor: Actor
    entry_id: uuid.UUID
    resolved_at: dt.datetime | None = None
    resolution: str | None = None
    resolved_by: Actor | None = None
    resolved_entry_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionOf:
    """What came of a request. `expires_at` is None of a rejection; `ref` is of the version, or lead."""

    id: uuid.UUID
    request_id: uuid.UUID
    asset_id: uuid.UUID
    version_id: uuid.UUID
    environment: str
    outcome: Outcome
    frozen_sha256: Digest
    decided_at: dt.datetime
    expires_at: dt.datetime | None
    entry_id: uuid.UUID
    composite: str | None = None
    ref: str = ""

    @property
    def name(self) -> str:
        """What it is about: `[namespace/]NAME@VERSION`, or the CVI."""
        return self.composite or self.ref


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleException:
    """A rule that is waived for one version in one environment, through a day (UTC)."""

    id: uuid.UUID
    asset_id: uuid.UUID
    version_id: uuid.UUID
    environment: str
    rule: str
    reason: str
    control: str
    until: dt.date
    person_id: uuid.UUID
    role: str
    signed_by: str
    key_id: uuid.UUID | None
    nonce: str
    statement_sha256: Digest
    bundle: Mapping[str, Any]
    granted_at: dt.datetime
    entry_id: uuid.UUID
    revoked_at: dt.datetime | None = None
    revoked_by: Actor | None = None
    revoked_reason: str | None = None
    revoked_entry_id: uuid.UUID | None = None
    ref: str = ""
    came_in: CameIn | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """Something of what was frozen that is not so any more."""

    what: str
    was: Any
    now: Any


@dataclass(frozen=True, slots=True)
class Word:
    """The last word of a person on a request, and whether it counts now.

    `signature_valid`: by a key that holds, of a kind the policy takes. `eligible`: the person is
    active and holds the role. `why_not` says what is in the way.
    """

    approval: Approval
    signature_valid: bool
    eligible: bool
    why_not: str = ""

    @property
    def counts(self) -> bool:
        """Whether it counts."""
        return self.signature_valid and self.eligible

    def facts(self, signed: Digest) -> dict[str, Any]:
        """Return what policy is told of it; `signed` is the digest of what was signed."""
        found: dict[str, Any] = {
            "person": str(self.approval.person_id),
            "role": self.approval.role,
            "decision": self.approval.decision,
            "at": int(self.approval.at.timestamp()),
            "signature_valid": self.signature_valid,
            "eligible": self.eligible,
            "frozen_sha256": signed.hex,
        }
        if self.approval.sign_off is not None:
            found["sign_off"] = self.approval.sign_off
        if self.approval.review_step is not None:
            found["review_step"] = self.approval.review_step
        came_in = self.approval.came_in
        if came_in is not None:
            made_by = {} if came_in.made_by is None else {"made_by": str(came_in.made_by)}
            found["came_in"] = {"by": came_in.by.value, **made_by}
        return found


@dataclass(frozen=True, slots=True)
class Waived:
    """An exception, and why it does not hold although nobody revoked it (empty: it does)."""

    exception: RuleException
    lapsed: str = ""

    def facts(self) -> dict[str, Any]:
        """Return what policy is told of it."""
        return {
            "rule": self.exception.rule,
            "from": int(self.exception.granted_at.timestamp()),
            "until": int(end_of(self.exception.until).timestamp()),
            "signature_valid": not self.lapsed,
            "reason": self.exception.reason[:1000],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How approval of a version, or composite, for an environment stands at `at`.

    `request` is that of the approval that was given last and has not run out, else the newest;
    `pending` is a newer one that is open beside it. `frozen_now` is the digest of what `request` would
    freeze now, and `changed` what of it differs and matters: of an open request everything, of a
    decided one what no verdict would tell. `words` are people's last words on it, in the order they
    were said; `exceptions` those that were not revoked. `waived` is what policy is told of exceptions of
    a composite, whose members have them.
    """

    at: dt.datetime
    place: Place
    request: Request | None = None
    pending: Request | None = None
    frozen_now: Digest | None = None
    changed: tuple[Changed, ...] = ()
    words: tuple[Word, ...] = ()
    comments: tuple[Comment, ...] = ()
    conditions: tuple[ConditionOf, ...] = ()
    exceptions: tuple[Waived, ...] = ()
    waived: tuple[Mapping[str, Any], ...] | None = None
    decision: DecisionOf | None = None

    @property
    def void(self) -> bool:
        """Whether an open request is about what is not so any more."""
        return self.request is not None and self.request.ended_as is None and bool(self.changed)

    @property
    def overdue(self) -> tuple[ConditionOf, ...]:
        """The conditions whose day is over, and which nobody met."""
        return tuple(
            one for one in self.conditions if one.met_at is None and end_of(one.due) <= self.at
        )

    def exception_facts(self) -> Sequence[Mapping[str, Any]]:
        """Return what policy is told of exceptions; of a composite, those that hold for every member."""
        return [one.facts() for one in self.exceptions] if self.waived is None else self.waived

    def facts(self) -> dict[str, Any]:
        """Return what policy is told of it, to be put over the facts (`extra`)."""
        found: dict[str, Any] = {
            "stage": self.place.stage,
            "exceptions": [dict(one) for one in self.exception_facts()],
        }
        request = self.request
        if request is None or request.ended_as in {Ended.WITHDRAWN, Ended.VOID}:
            return found
        signed = request.frozen_sha256
        told = (self.frozen_now or signed) if self.changed else signed
        found["request"] = {
            "requester": request.actor.id,
            "frozen_sha256": told.hex,
            "open_comments": sum(one.resolved_at is None for one in self.comments),
        }
        if request.re_conformity:
            found["request"]["re_conformity_reference"] = request.re_conformity[:1000]
        found["approvals"] = [one.facts(signed) for one in self.words]
        found["subject"] = {"change_class": request.change_class.value}
        decision = self.decision
        if decision is not None and decision.expires_at is not None:
            found["approval"] = {
                "granted_at": int(decision.decided_at.timestamp()),
                "expires_at": int(decision.expires_at.timestamp()),
            }
        return found


@dataclass(frozen=True, slots=True)
class Missing:
    """A role of the quorum of which people are missing."""

    role: str
    have: int
    need: int


@dataclass(frozen=True, slots=True)
class Approved:
    """Whether a version is approved for an environment at a moment, and if not, why.

    `reasons` are pairs of a code and words: `not_decided`, `rejected`, `expired`, `changed`,
    `overdue_condition`, `not_enforced`, or the id of a rule.
    """

    approved: bool
    reasons: tuple[tuple[str, str], ...] = ()
    decision: DecisionOf | None = None
