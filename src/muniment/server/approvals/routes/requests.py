"""Requests over HTTP: ask, list, look, take back; comments on them."""

from __future__ import annotations

from typing import Literal

import msgspec

from muniment.core.errors import (
    BadComposite,
    BadName,
    BadReference,
    BadVersion,
    Conflict,
    LifecycleConflict,
    NotAllowed,
    NotFound,
    NotServed,
)
from muniment.server import policy
from muniment.server.approvals.actions import requesting
from muniment.server.approvals.reads import matters
from muniment.server.approvals.reads import standing as reads
from muniment.server.approvals.records import ChangeClass, Wanted
from muniment.server.approvals.routes import bodies, parts
from muniment.server.approvals.rules import decisions as rules
from muniment.server.approvals.store import requests as store
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import LIMIT_DEFAULT, Cursor, Limit, Page, cut, read_cursor
from muniment.server.http.records import Verb
from muniment.server.ports.db import Tx

State = Literal["open", "approved", "rejected", "withdrawn", "void"]


class NewRequestBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a version, or composite, is to go, and how much it changes: that says whose approval it takes.

    `reference` is where else it is talked of (`AI-1187`), `re_conformity_reference` the conformity
    assessment of a substantial change.
    """

    environment: parts.Name
    change_class: ChangeClass = ChangeClass.SUBSTANTIAL
    reason: parts.Text = ""
    reference: parts.Line = ""
    re_conformity_reference: parts.Line = ""


class RequestsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests: all the caller may read, those of a version alone (`NAME@1.2.0`), of a composite."""

    version: parts.Ref | None = None
    composite: parts.Cvi | None = None
    environment: parts.Name | None = None
    state: State | None = None
    cursor: Cursor | None = None
    limit: Limit = LIMIT_DEFAULT


class WhyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why."""

    reason: parts.Text = ""


class NewCommentBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody asks or remarks."""

    text: parts.Text


class ResolutionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a comment was resolved."""

    resolution: parts.Text


class ResolvedBody(msgspec.Struct, frozen=True, kw_only=True):
    """A comment that is resolved, and what was decided now that none is open any more."""

    comment: bodies.CommentBody
    decision: bodies.DecisionBody | None


async def open_request(call: Call, tx: Tx) -> Reply:
    """Ask for a version to be approved for an environment."""
    wanted, by = _wanted(call.body), parts.by(call)
    found, new = await requesting.open_request(tx, parts.ref_of(call), wanted, by)
    return Reply(bodies.request_body(found), status=201 if new else 200)


async def open_composite_request(call: Call, tx: Tx) -> Reply:
    """Ask for a composite to be approved for an environment."""
    composite = await parts.composite_of(call, tx, Verb.REQUEST)
    wanted, by = _wanted(call.body), parts.by(call)
    found, new = await requesting.open_composite_request(tx, composite, wanted, by)
    return Reply(bodies.request_body(found), status=201 if new else 200)


def _wanted(body: NewRequestBody) -> Wanted:
    return Wanted(
        environment=body.environment,
        change_class=body.change_class,
        reason=body.reason,
        reference=body.reference,
        re_conformity=body.re_conformity_reference,
    )


async def list_requests(call: Call, tx: Tx) -> Reply:
    """List requests, newest first."""
    query: RequestsQuery = call.query
    found = await store.list_requests(
        tx,
        scopes=parts.visible(call),
        version_id=await parts.version_id_of(call, tx, query.version),
        composite=query.composite,
        environment=query.environment,
        state=query.state,
        after=read_cursor(query.cursor, parts.AfterId).id if query.cursor else None,
        limit=query.limit + 1,
    )
    items, cursor = cut(found, query.limit, parts.last_id(found, query.limit))
    return Reply(Page([bodies.request_body(one) for one in items], cursor))


async def show_request(call: Call, tx: Tx) -> Reply:
    """Show a request: what is signed, who did, what is in the way."""
    request = await parts.request_of(call, tx)
    matter = await matters.of_request(tx, request)
    found = await reads.of_request(tx, request, call.now, matter=matter)
    profile = matter.profile((await policy.active(tx, call.now)).data)
    steps = await reads.reviewed(tx, found, matter, profile.review_steps)
    verdict = None
    if request.ended_as is None:
        evaluation, _ = await reads.judge(tx, call.deps.engines, matter, found)
        verdict = evaluation.verdict
    return Reply(
        bodies.shown_request(
            found,
            verdict,
            () if verdict is None else rules.missing(verdict),
            registry=call.deps.settings.origin,
            own_key=profile.own_key,
            own_login=profile.own_login,
            steps=steps,
            people=await reads.people_for(tx, steps, matter),
        )
    )


async def withdraw_request(call: Call, tx: Tx) -> Reply:
    """Take a request back."""
    request = await parts.request_of(call, tx)
    matter = await matters.of_request(tx, request)
    governs = all(call.may(Verb.GOVERN, scope) for scope in matter.scopes)
    body: WhyBody = call.body
    done = await requesting.withdraw(tx, request.id, body.reason, parts.by(call), governs=governs)
    return Reply(bodies.request_body(done))


async def comment_request(call: Call, tx: Tx) -> Reply:
    """Remark on a request; while the remark is open, nothing is decided."""
    request = await parts.request_of(call, tx, Verb.REQUEST)
    body: NewCommentBody = call.body
    made = await requesting.comment(tx, request.id, body.text, parts.by(call))
    return Reply(bodies.comment_body(made))


async def resolve_comment(call: Call, tx: Tx) -> Reply:
    """Say how a comment was resolved."""
    request = await parts.request_of(call, tx, Verb.REQUEST)
    body: ResolutionBody = call.body
    comment, decision = await requesting.resolve(
        tx,
        request.id,
        parts.id_of(call, "comment_id"),
        body.resolution,
        call.caller,
        parts.by(call),
        parts.tools(call),
    )
    shown = None if decision is None else bodies.decision_body(decision)
    return Reply(ResolvedBody(comment=bodies.comment_body(comment), decision=shown))


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path=f"{parts.ONE}/approval-requests",
        id="open_approval_request",
        summary="Ask for a version to be approved for an environment",
        handler=open_request,
        needs=Verb.REQUEST,
        tx=TxMode.WRITE,
        body=NewRequestBody,
        returns=bodies.RequestBody,
        status=201,
        also=(200,),
        errors=(NotFound, BadName, BadVersion, Conflict, NotServed),
        tag=parts.TAG,
    ),
    Operation(
        method="POST",
        path=f"{parts.WHOLE}/approval-requests",
        id="open_composite_approval_request",
        summary="Ask for a composite to be approved for an environment",
        handler=open_composite_request,
        needs=Verb.REQUEST,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.WRITE,
        body=NewRequestBody,
        returns=bodies.RequestBody,
        status=201,
        also=(200,),
        errors=(NotFound, NotAllowed, BadComposite, Conflict, NotServed),
        tag=parts.TAG,
    ),
    Operation(
        method="GET",
        path="/api/v1/approval-requests",
        id="list_approval_requests",
        summary="List requests for approval, newest first",
        handler=list_requests,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=RequestsQuery,
        returns=Page[bodies.RequestBody],
        errors=(NotFound, BadName, BadReference, BadVersion),
        tag=parts.TAG,
    ),
    Operation(
        method="GET",
        path=parts.REQUEST,
        id="show_approval_request",
        summary="Show a request: what is signed, who did, what is in the way",
        handler=show_request,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        returns=bodies.ShownRequestBody,
        errors=(NotFound,),
        tag=parts.TAG,
    ),
    Operation(
        method="POST",
        path=f"{parts.REQUEST}/withdraw",
        id="withdraw_approval_request",
        summary="Take a request for approval back",
        handler=withdraw_request,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.WRITE,
        body=WhyBody,
        returns=bodies.RequestBody,
        errors=(NotFound, NotAllowed, LifecycleConflict),
        tag=parts.TAG,
    ),
    Operation(
        method="POST",
        path=f"{parts.REQUEST}/comments",
        id="comment_approval_request",
        summary="Remark on a request; while the remark is open, nothing is decided",
        handler=comment_request,
        needs=Verb.REQUEST,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.WRITE,
        body=NewCommentBody,
        returns=bodies.CommentBody,
        status=201,
        errors=(NotFound, NotAllowed, LifecycleConflict),
        tag=parts.TAG,
    ),
    Operation(
        method="POST",
        path=f"{parts.REQUEST}/comments/{{comment_id}}/resolve",
        id="resolve_approval_comment",
        summary="Say how a comment on a request was resolved",
        handler=resolve_comment,
        needs=Verb.REQUEST,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.WRITE,
        body=ResolutionBody,
        returns=ResolvedBody,
        errors=(NotFound, NotAllowed, LifecycleConflict),
        tag=parts.TAG,
    ),
]
