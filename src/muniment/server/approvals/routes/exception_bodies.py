"""Exceptions as the API shows them."""

from __future__ import annotations

import datetime as dt
import uuid

import msgspec

from muniment.server.approvals.records import RuleException, Waived
from muniment.server.approvals.routes.bodies import ActorBody, actor_body
from muniment.server.identity.records import CameIn


class ExceptionBody(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that is waived for one version in one environment, through the day `until` (UTC)."""

    id: uuid.UUID
    version: str
    environment: str
    rule: str
    reason: str
    control: str
    until: dt.date
    person_id: uuid.UUID
    role: str
    signed_by: str
    key_id: uuid.UUID | None
    statement_sha256: str
    granted_at: dt.datetime
    entry_id: uuid.UUID
    revoked_at: dt.datetime | None
    revoked_by: ActorBody | None
    revoked_reason: str | None
    came_in: CameIn | None
    state: str


def exception_body(one: Waived, at: dt.datetime) -> ExceptionBody:
    """Return an exception as the API shows it, and whether it holds at a time."""
    exception = one.exception
    return ExceptionBody(
        id=exception.id,
        version=exception.ref,
        environment=exception.environment,
        rule=exception.rule,
        reason=exception.reason,
        control=exception.control,
        until=exception.until,
        person_id=exception.person_id,
        role=exception.role,
        signed_by=exception.signed_by,
        key_id=exception.key_id,
        statement_sha256=exception.statement_sha256.hex,
        granted_at=exception.granted_at,
        entry_id=exception.entry_id,
        revoked_at=exception.revoked_at,
        revoked_by=None if exception.revoked_by is None else actor_body(exception.revoked_by),
        revoked_reason=exception.revoked_reason,
        came_in=exception.came_in,
        state=_state(exception, at, one.lapsed),
    )


def _state(one: RuleException, at: dt.datetime, lapsed: str) -> str:
    if one.revoked_at is not None:
        return "revoked"
    if one.until < at.date():
        return "ended"
    return lapsed or "holds"
