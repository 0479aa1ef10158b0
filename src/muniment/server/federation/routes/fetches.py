"""Registrations whose bytes are fetched first: which are pending, which failed and why."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated

import msgspec

from muniment.core.errors import BadName, NotFound
from muniment.core.names import AssetRef
from muniment.server.federation.records import Fetch, FetchState
from muniment.server.federation.store import fetches
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom
from muniment.server.http.paging import Cursor, Limit, Page, cut, read_cursor
from muniment.server.http.records import Scope, Verb
from muniment.server.identity import visible_scopes
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Tx

_F = "/api/v1/fetches"


class FetchBody(msgspec.Struct, frozen=True, kw_only=True):
    """A registration whose bytes are fetched first; it holds its number for ever.

    `reason` says why it failed; `version_id` is the version it became.
    """

    id: uuid.UUID
    namespace: str
    name: str
    number: int
    source: str
    state: FetchState
    reason: str
    asked_at: dt.datetime
    asked_by: Actor
    ended_at: dt.datetime | None
    version_id: uuid.UUID | None
    run_id: str
    model_id: str
    entry_id: uuid.UUID


class FetchesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which fetches to list."""

    asset: Annotated[str, msgspec.Meta(description="Only those of `NAMESPACE/NAME`.")] | None = None
    number: (
        Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1, description="Only the one of this number.")]
        | None
    ) = None
    state: FetchState | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class _Before(msgspec.Struct, frozen=True):
    id: uuid.UUID


async def list_fetches(call: Call, tx: Tx) -> Reply:
    """List fetches of assets the caller may read, newest first."""
    query: FetchesQuery = call.query
    asset = None if query.asset is None else AssetRef.parse(query.asset)
    if asset is not None and query.number is not None:
        call.require(Verb.READ, Scope(str(asset.namespace), str(asset.name)))
        one = await fetches.find_fetch_of(tx, asset, query.number)
        return Reply(Page([] if one is None else [_body(one)]))
    found = await fetches.list_fetches(
        tx,
        visible=visible_scopes(call.caller.grants),
        asset=asset,
        state=query.state,
        before=read_cursor(query.cursor, _Before).id if query.cursor else None,
        limit=query.limit + 1,
    )
    last = found[query.limit - 1].id if len(found) > query.limit else None
    items, cursor = cut(found, query.limit, {"id": last})
    return Reply(Page([_body(each) for each in items], cursor))


async def get_fetch(call: Call, tx: Tx) -> Reply:
    """Return one fetch."""
    try:
        fetch = await fetches.find_fetch(tx, uuid.UUID(call.path["fetch_id"]))
    except ValueError:
        fetch = None
    if fetch is None:
        raise NotFound(f"there is no fetch {call.path['fetch_id'][:80]}")
    call.require(Verb.READ, Scope(str(fetch.asset.namespace), str(fetch.asset.name)))
    return Reply(_body(fetch))


def _body(fetch: Fetch) -> FetchBody:
    return FetchBody(
        id=fetch.id,
        namespace=str(fetch.asset.namespace),
        name=str(fetch.asset.name),
        number=fetch.number,
        source=fetch.source,
        state=fetch.state,
        reason=fetch.reason,
        asked_at=fetch.asked_at,
        asked_by=fetch.asked_by,
        ended_at=fetch.ended_at,
        version_id=fetch.version_id,
        run_id=fetch.about.run_id,
        model_id=fetch.about.model_id,
        entry_id=fetch.entry_id,
    )


OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path=_F,
        id="list_fetches",
        summary="List registrations whose bytes are fetched from elsewhere",
        handler=list_fetches,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=FetchesQuery,
        returns=Page[FetchBody],
        errors=(BadName, NotFound),
        tag="versions",
    ),
    Operation(
        method="GET",
        path=_F + "/{fetch_id}",
        id="get_fetch",
        summary="Show one of them",
        handler=get_fetch,
        needs=Verb.READ,
        scope=ScopeFrom.HANDLER,
        returns=FetchBody,
        errors=(NotFound,),
        tag="versions",
    ),
]
