"""Decisions over HTTP: list, show with whether one holds, and what proves one."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec

from muniment.core.errors import BadComposite, BadName, BadReference, BadVersion, LogBusy, NotFound
from muniment.core.names import VersionRef
from muniment.server import composites, ledger, policy
from muniment.server.approvals.reads import matters
from muniment.server.approvals.reads import standing as reads
from muniment.server.approvals.records import DecisionOf
from muniment.server.approvals.routes import bodies, parts
from muniment.server.approvals.store import decisions as store
from muniment.server.approvals.store import requests as request_store
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import LIMIT_DEFAULT, Cursor, Limit, Page, cut, read_cursor
from muniment.server.http.records import Verb
from muniment.server.ports.db import Tx

_ONE = "/api/v1/decisions/{decision_id}"


class DecisionsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which decisions: all the caller may read, those of a version alone (`NAME@1.2.0`), of a composite."""

    version: parts.Ref | None = None
    composite: parts.Cvi | None = None
    environment: parts.Name | None = None
    outcome: Literal["approved", "rejected"] | None = None
    cursor: Cursor | None = None
    limit: Limit = LIMIT_DEFAULT


class WaitQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait for the log, in milliseconds."""

    wait_ms: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0


async def list_decisions(call: Call, tx: Tx) -> Reply:
    """List decisions, newest first."""
    query: DecisionsQuery = call.query
    found = await store.list_decisions(
        tx,
        scopes=parts.visible(call),
        version_id=await parts.version_id_of(call, tx, query.version),
        composite=query.composite,
        environment=query.environment,
        outcome=query.outcome,
        after=read_cursor(query.cursor, parts.AfterId).id if query.cursor else None,
        limit=query.limit + 1,
    )
    items, cursor = cut(found, query.limit, parts.last_id(found, query.limit))
    return Reply(Page([bodies.decision_body(one) for one in items], cursor))


async def _decision(call: Call, tx: Tx) -> DecisionOf:
    decision_id = parts.id_of(call, "decision_id")
    try:
        found = await store.get_decision(tx, decision_id)
        asset = VersionRef.parse(found.ref).asset
        await parts.require_for(call, tx, found.composite, asset, Verb.READ)
    except NotFound:
        raise NotFound(f"there is no decision {decision_id}, or you may not see it") from None
    return found


async def show_decision(call: Call, tx: Tx) -> Reply:
    """Show a decision: whether it holds now, and all that its signed entry carries."""
    found = await _decision(call, tx)
    matter = await matters.of_row(tx, found.composite, VersionRef.parse(found.ref))
    answer = await reads.approved_of(tx, call.deps.engines, matter, found.environment, call.now)
    entry = await ledger.entry(tx, found.entry_id)
    left_out = {"event", "predicate"}
    record = {name: each for name, each in (entry.payload or {}).items() if name not in left_out}
    record["judged"] = policy.judged_in(entry.payload)
    return Reply(bodies.shown_decision(found, answer, record))


async def composite_approvals(call: Call, tx: Tx) -> Reply:
    """Say for which environments a composite is approved and until when, and if not, why."""
    composite = await parts.composite_of(call, tx)
    members = await composites.members(tx, composite)
    items = []
    if members:
        matter = await matters.of_composite(tx, composite)
        for place in await request_store.places(tx):
            found = await reads.standing_of(tx, matter, place.name, call.now)
            answer = await reads.answer_of(tx, call.deps.engines, matter, found)
            items.append(bodies.approved_body(found, answer))
    refs = [str(one.ref) for one in members]
    return Reply(bodies.CompositeApprovalsBody(cvi=composite.cvi, members=refs, items=items))


async def receipt(call: Call) -> Reply:
    """Send what proves a decision to a stranger."""
    async with call.deps.db.transaction(read_only=True) as tx:
        found = await _decision(call, tx)
    query: WaitQuery = call.query
    wait = dt.timedelta(milliseconds=query.wait_ms)
    return Reply((await ledger.await_receipt(call.deps.db, found.entry_id, wait)).to_json())


OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path="/api/v1/decisions",
        id="list_decisions",
        summary="List decisions, newest first",
        handler=list_decisions,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=DecisionsQuery,
        returns=Page[bodies.DecisionBody],
        errors=(NotFound, BadName, BadReference, BadVersion),
        tag=parts.TAG,
    ),
    Operation(
        method="GET",
        path=_ONE,
        id="show_decision",
        summary="Show a decision, and whether it holds now",
        handler=show_decision,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        returns=bodies.ShownDecisionBody,
        errors=(NotFound,),
        tag=parts.TAG,
    ),
    Operation(
        method="GET",
        path=f"{parts.WHOLE}/approvals",
        id="get_composite_approvals",
        summary="For which environments a composite is approved, until when, and if not, why",
        handler=composite_approvals,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        returns=bodies.CompositeApprovalsBody,
        errors=(NotFound, BadComposite),
        tag=parts.TAG,
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/receipt",
        id="get_decision_receipt",
        summary="What proves a decision to a stranger",
        handler=receipt,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.NONE,
        query=WaitQuery,
        returns=dict[str, Any],
        errors=(NotFound, LogBusy),
        tag=parts.TAG,
    ),
]
