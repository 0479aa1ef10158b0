"""Approve, reject, defer; say that conditions are met; which approvals end soon."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Any, Literal

import msgspec

from muniment.core.approvals import CONDITIONS_MAX, Condition
from muniment.core.errors import LifecycleConflict, NotAllowed, NotFound, Refused
from muniment.server.approvals.actions import approving, requesting, words
from muniment.server.approvals.actions.recording import Barred
from muniment.server.approvals.routes import bodies, parts
from muniment.server.approvals.store import decisions as decision_store
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import LIMIT_DEFAULT, Cursor, Limit, Page, cut, in_utc, read_cursor
from muniment.server.http.records import Verb
from muniment.server.ports.db import Tx

Role = Literal["technical", "platform", "product", "security", "governance", "legal"]
#: Who asked or made it, in a review step of their own.
RoleOrAuthor = Literal[
    "technical", "platform", "product", "security", "governance", "legal", "author"
]
StepName = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9-]{0,62}$")]
SignOff = Literal["entry-verified", "metrics-reviewed", "production-approved"]


class NewConditionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must be done by the end of a day (2026-09-01, UTC) for the approval to go on."""

    text: parts.Text
    due: Annotated[str, msgspec.Meta(max_length=10)]


class WordBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the caller says of a request.

    Either `bundle`, a Sigstore bundle of the approval statement signed with the caller's own key, and
    nothing else; or the words, which the registry then signs for the caller's session.

    `review_step` is the step that is done, null: the only one of the role. `not_applicable` says that an
    optional step does not apply, and `comment` why.
    """

    bundle: dict[str, Any] | None = None
    decision: Literal["approve", "reject", "defer", "not_applicable"] = "approve"
    role: RoleOrAuthor | None = None
    sign_off: SignOff | None = None
    review_step: StepName | None = None
    comment: parts.Text = ""
    conditions: Annotated[list[NewConditionBody], msgspec.Meta(max_length=CONDITIONS_MAX)] = []

    def __post_init__(self) -> None:
        """Refuse a word without a role, or beside a bundle."""
        alone = (
            self.role,
            self.sign_off,
            self.comment,
            self.conditions,
            self.decision,
            self.review_step,
        )
        if self.bundle is None and self.role is None:
            raise ValueError("expected `role`, or a `bundle` that was signed")
        if self.bundle is not None and alone != (None, None, "", [], "approve", None):
            raise ValueError("a signed `bundle` says all of it: send nothing beside it")


class MetBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a condition was met."""

    note: parts.Text


class ExpiringQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Within how many days."""

    days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 30
    cursor: Cursor | None = None
    limit: Limit = LIMIT_DEFAULT


class _AfterEnd(msgspec.Struct, frozen=True):
    at: dt.datetime
    id: uuid.UUID


async def give(call: Call, tx: Tx) -> Reply:
    """Approve, reject or defer; whoever reads the asset may try, and a refusal is recorded."""
    request = await parts.request_of(call, tx)
    body: WordBody = call.body
    sent = words.Sent(
        bundle=body.bundle,
        decision=body.decision,
        role=body.role or "",
        sign_off=body.sign_off,
        review_step=body.review_step,
        comment=body.comment,
        conditions=tuple(
            Condition(one.text, parts.day(one.due, f"conditions[{index}].due"))
            for index, one in enumerate(body.conditions)
        ),
    )
    answer = await approving.give(
        tx, request.id, sent, call.caller, parts.by(call), tools=parts.tools(call)
    )
    if isinstance(answer, Barred):
        return parts.barred(call, answer)
    decided = answer.decision
    shown = bodies.GivenBody(
        approval=bodies.approval_body(answer.approval, answer.conditions),
        decision=None if decided is None else bodies.decision_body(decided),
        missing=bodies.missing_bodies(answer.missing),
        verdict=bodies.verdict_body(answer.verdict),
    )
    return Reply(shown, status=201 if answer.new else 200)


async def meet(call: Call, tx: Tx) -> Reply:
    """Say that a condition was met."""
    request = await parts.request_of(call, tx)
    body: MetBody = call.body
    done = await requesting.meet(
        tx,
        request.id,
        parts.id_of(call, "condition_id"),
        body.note,
        call.caller,
        parts.by(call),
    )
    return Reply(bodies.condition_body(done))


async def expiring(call: Call, tx: Tx) -> Reply:
    """List approvals that end soon and that nothing replaced, the first to end first."""
    query: ExpiringQuery = call.query
    after = read_cursor(query.cursor, _AfterEnd) if query.cursor else None
    found = await decision_store.expiring(
        tx,
        scopes=parts.visible(call),
        now=call.now,
        until=call.now + dt.timedelta(days=query.days),
        after=None if after is None else (in_utc(after.at), after.id),
        limit=query.limit + 1,
    )
    last = found[query.limit - 1] if len(found) > query.limit else None
    at = None if last is None else {"at": last.expires_at, "id": last.id}
    items, cursor = cut(found, query.limit, at)
    return Reply(Page([bodies.decision_body(one) for one in items], cursor))


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path=f"{parts.REQUEST}/approvals",
        id="give_approval",
        summary="Approve, reject or defer a request, in one role",
        handler=give,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.WRITE,
        body=WordBody,
        returns=bodies.GivenBody,
        status=201,
        also=(200,),
        errors=(NotFound, Refused, LifecycleConflict),
        tag=parts.TAG,
    ),
    Operation(
        method="POST",
        path=f"{parts.REQUEST}/conditions/{{condition_id}}/meet",
        id="meet_approval_condition",
        summary="Say that a condition of an approval was met",
        handler=meet,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.WRITE,
        body=MetBody,
        returns=bodies.ConditionBody,
        errors=(NotFound, NotAllowed),
        tag=parts.TAG,
    ),
    Operation(
        method="GET",
        path="/api/v1/approvals/expiring",
        id="list_expiring_approvals",
        summary="Approvals that end soon",
        handler=expiring,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=ExpiringQuery,
        returns=Page[bodies.DecisionBody],
        tag=parts.TAG,
    ),
]
