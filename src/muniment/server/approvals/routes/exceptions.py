"""Exceptions over HTTP: grant, list, revoke."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from muniment.core.errors import BadName, BadReference, BadVersion, NotAllowed, NotFound, Refused
from muniment.server.approvals.actions import waiving
from muniment.server.approvals.actions.recording import Barred
from muniment.server.approvals.reads import standing as reads
from muniment.server.approvals.routes import bodies, parts
from muniment.server.approvals.routes.exception_bodies import ExceptionBody, exception_body
from muniment.server.approvals.routes.requests import WhyBody
from muniment.server.approvals.routes.signing import Role
from muniment.server.approvals.store import signed as store
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import LIMIT_DEFAULT, Cursor, Limit, Page, cut, read_cursor
from muniment.server.http.records import Verb
from muniment.server.ports.db import Tx


class NewExceptionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule to be waived for a version in an environment, through the day `until` (UTC).

    Either `bundle`, a Sigstore bundle of the exception statement signed with the caller's own key; or
    the words, which the registry then signs for the caller's session.
    """

    environment: parts.Name
    bundle: dict[str, Any] | None = None
    role: Role | None = None
    rule: parts.Name = ""
    until: Annotated[str, msgspec.Meta(max_length=10)] | None = None
    reason: parts.Text = ""
    control: parts.Text = ""

    def __post_init__(self) -> None:
        """Refuse words without a role, rule or day, or beside a bundle."""
        words = (self.role, self.rule, self.until, self.reason, self.control)
        if self.bundle is None and (self.role is None or self.until is None or not self.rule):
            raise ValueError("expected `role`, `rule` and `until`, or a `bundle` that was signed")
        if self.bundle is not None and words != (None, "", None, "", ""):
            raise ValueError("a signed `bundle` says all of it: send only `environment` beside it")


class GrantedBody(msgspec.Struct, frozen=True, kw_only=True):
    """An exception, and what was decided now that it holds."""

    exception: ExceptionBody
    decision: bodies.DecisionBody | None


class ExceptionsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which exceptions: all the caller may read, or those of a version (`NAME@1.2.0`).

    `ended`: those too that hold no more.
    """

    version: parts.Ref | None = None
    ended: bool = False
    cursor: Cursor | None = None
    limit: Limit = LIMIT_DEFAULT


async def grant(call: Call, tx: Tx) -> Reply:
    """Grant an exception; whoever reads the asset may try, and a refusal is recorded."""
    body: NewExceptionBody = call.body
    asked = waiving.Asked(
        environment=body.environment,
        bundle=body.bundle,
        role=body.role or "",
        rule=body.rule,
        until=None if body.until is None else parts.day(body.until, "until"),
        reason=body.reason,
        control=body.control,
    )
    answer = await waiving.grant(
        tx, parts.ref_of(call), asked, call.caller, parts.by(call), tools=parts.tools(call)
    )
    if isinstance(answer, Barred):
        return parts.barred(call, answer)
    [shown] = await reads.waived(tx, [answer.exception], call.now)
    decided = answer.decision
    done = GrantedBody(
        exception=exception_body(shown, call.now),
        decision=None if decided is None else bodies.decision_body(decided),
    )
    return Reply(done, status=201 if answer.new else 200)


async def list_exceptions(call: Call, tx: Tx) -> Reply:
    """List exceptions, newest first."""
    query: ExceptionsQuery = call.query
    found = await store.list_exceptions(
        tx,
        scopes=parts.visible(call),
        version_id=await parts.version_id_of(call, tx, query.version),
        holding_on=None if query.ended else call.now.date(),
        after=read_cursor(query.cursor, parts.AfterId).id if query.cursor else None,
        limit=query.limit + 1,
    )
    items, cursor = cut(found, query.limit, parts.last_id(found, query.limit))
    shown = await reads.waived(tx, items, call.now)
    return Reply(Page([exception_body(one, call.now) for one in shown], cursor))


async def revoke(call: Call, tx: Tx) -> Reply:
    """Have an exception hold no more: who granted it, or governs the namespace."""
    exception_id = parts.id_of(call, "exception_id")
    try:
        found = await store.get_exception(tx, exception_id)
        scope = parts.scope_named(found.ref)
        call.require(Verb.READ, scope)
    except NotFound:
        raise NotFound(f"there is no exception {exception_id}, or you may not see it") from None
    roles = {one.role.value for one in call.caller.grants if one.scope.covers(scope)}
    stops = roles & {"approver_security", "approver_governance"}
    if found.person_id != call.caller.id and not stops and not call.may(Verb.GOVERN, scope):
        raise NotAllowed("who granted it, security or governance revokes an exception")
    body: WhyBody = call.body
    done = await waiving.revoke(tx, exception_id, body.reason, parts.by(call))
    [shown] = await reads.waived(tx, [done], call.now)
    return Reply(exception_body(shown, call.now))


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path=f"{parts.ONE}/exceptions",
        id="grant_exception",
        summary="Waive a rule for a version in an environment, until a day",
        handler=grant,
        needs=Verb.READ,
        tx=TxMode.WRITE,
        body=NewExceptionBody,
        returns=GrantedBody,
        status=201,
        also=(200,),
        errors=(NotFound, BadName, BadVersion, Refused),
        tag=parts.TAG,
    ),
    Operation(
        method="GET",
        path="/api/v1/exceptions",
        id="list_exceptions",
        summary="List exceptions, newest first",
        handler=list_exceptions,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=ExceptionsQuery,
        returns=Page[ExceptionBody],
        errors=(NotFound, BadName, BadReference, BadVersion),
        tag=parts.TAG,
    ),
    Operation(
        method="POST",
        path="/api/v1/exceptions/{exception_id}/revoke",
        id="revoke_exception",
        summary="Have an exception hold no more",
        handler=revoke,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.WRITE,
        body=WhyBody,
        returns=ExceptionBody,
        errors=(NotFound, NotAllowed),
        tag=parts.TAG,
    ),
]
