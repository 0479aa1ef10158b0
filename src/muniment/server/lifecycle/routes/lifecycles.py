"""What a version may do now, over HTTP."""

from __future__ import annotations

import datetime as dt
import uuid

import msgspec

from muniment.core.errors import BadName, BadVersion, NotFound
from muniment.core.names import VersionRef, parse_version
from muniment.server.approvals.records import Approved
from muniment.server.catalog.records import Lifecycle
from muniment.server.http.operation import Call, Operation, Reply
from muniment.server.http.records import Verb
from muniment.server.lifecycle.actions.lifecycle_of import lifecycle_of
from muniment.server.lifecycle.routes import parts
from muniment.server.ports.db import Tx


class WhyBody(msgspec.Struct, frozen=True, kw_only=True):
    """A reason: the id of a rule, or what else stands in the way; and words."""

    code: str
    message: str


class ApprovedForBody(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a version is approved for an environment, by the decision made last, and why not."""

    environment: str
    holds: bool
    decision_id: uuid.UUID
    expires_at: dt.datetime | None
    reasons: list[WhyBody]


class LifecycleBody(msgspec.Struct, frozen=True, kw_only=True):
    """A version's lifecycle, computed at `at`; never stored.

    `reasons` is what keeps a draft from being a candidate. `approvals` are of environments for which
    something was decided.
    """

    version: str
    at: dt.datetime
    lifecycle: Lifecycle
    reasons: list[WhyBody]
    approvals: list[ApprovedForBody]


async def show_lifecycle(call: Call, tx: Tx) -> Reply:
    """Say what a version may do now, and why not more."""
    ref = VersionRef(parts.asset_ref(call), parse_version(call.path["version"]))
    found = await lifecycle_of(tx, ref, parts.by(call), parts.ports(call))
    return Reply(
        LifecycleBody(
            version=found.version.name,
            at=call.now,
            lifecycle=found.lifecycle,
            reasons=[WhyBody(code=code, message=text) for code, text in found.reasons],
            approvals=[_approved(name, one) for name, one in found.approved.items()],
        )
    )


def _approved(environment: str, one: Approved) -> ApprovedForBody:
    assert one.decision is not None
    return ApprovedForBody(
        environment=environment,
        holds=one.approved,
        decision_id=one.decision.id,
        expires_at=one.decision.expires_at,
        reasons=[WhyBody(code=code, message=text) for code, text in one.reasons],
    )


OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path="/api/v1/assets/{namespace}/{name}/versions/{version}/lifecycle",
        id="show_lifecycle",
        summary="What a version may do now, and why not more",
        handler=show_lifecycle,
        needs=Verb.READ,
        returns=LifecycleBody,
        errors=(NotFound, BadName, BadVersion),
        tag="lifecycle",
    ),
]
