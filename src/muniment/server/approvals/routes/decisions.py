"""Decisions over HTTP: list, show with whether one holds, and what proves one."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec

from muniment.core.errors import BadName, BadReference, BadVersion, LogBusy, NotFound
from muniment.core.names import VersionRef
from muniment.server import catalog, ledger, policy
from muniment.server.approvals.reads import standing as reads
from muniment.server.approvals.records import DecisionOf
from muniment.server.approvals.routes import bodies, parts
from muniment.server.approvals.store import decisions as store
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import LIMIT_DEFAULT, Cursor, Limit, Page, cut, read_cursor
from muniment.server.http.records import Verb
from muniment.server.ports.db import Tx

_ONE = "/api/v1/decisions/{decision_id}"


class DecisionsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which decisions: all the caller may read, or those of a version (`NAME@1.2.0`)."""

    version: Annotated[str, msgspec.Meta(max_length=700)] | None = None
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
    version_id = None
    if query.version is not None:
        ref = VersionRef.parse(query.version)
        call.require(Verb.READ, parts.scope_of(ref.asset))
        version_id = (await catalog.get_version(tx, ref)).id
    found = await store.list_decisions(
        tx,
        scopes=parts.visible(call),
        version_id=version_id,
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
        call.require(Verb.READ, parts.scope_named(found.ref))
    except NotFound:
        raise NotFound(f"there is no decision {decision_id}, or you may not see it") from None
    return found


async def show_decision(call: Call, tx: Tx) -> Reply:
    """Show a decision: whether it holds now, and all that its signed entry carries."""
    found = await _decision(call, tx)
    ref = VersionRef.parse(found.ref)
    asset = await catalog.get_asset(tx, ref.asset)
    version = await catalog.get_version(tx, ref)
    answer = await reads.approved(
        tx, call.deps.engines, version, asset, found.environment, call.now
    )
    entry = await ledger.entry(tx, found.entry_id)
    left_out = {"event", "predicate"}
    record = {name: each for name, each in (entry.payload or {}).items() if name not in left_out}
    record["judged"] = policy.judged_in(entry.payload)
    return Reply(bodies.shown_decision(found, answer, record))


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
