"""Who uses what: list bindings, show one, count them."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated

import msgspec

from muniment.core.errors import (
    BadCursor,
    BadName,
    BadReference,
    BadRequest,
    BadVersion,
    NotFound,
    NotServed,
)
from muniment.core.names import AssetRef, VersionRef, parse_version
from muniment.server import catalog
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom
from muniment.server.http.paging import Cursor, Page, cut, read_cursor
from muniment.server.http.records import Verb
from muniment.server.ports.db import Tx
from muniment.server.serving import store
from muniment.server.serving.reads import consumers as reads
from muniment.server.serving.reads.judging import Asking
from muniment.server.serving.routes import bodies, parts
from muniment.server.serving.routes.binding import ONE

_Text = Annotated[str, msgspec.Meta(max_length=2000)]


class ConsumersQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which bindings: of an `asset` (`NAME`), that use a `version` (`NAME@1.2.0`), a system, a use case.

    `ended`: those too that have ended. `unacknowledged`: only those whose consumer was told that the
    version it uses ends, and nobody said that they know.
    """

    asset: Annotated[str, msgspec.Meta(max_length=500)] | None = None
    version: Annotated[str, msgspec.Meta(max_length=700)] | None = None
    system: _Text | None = None
    use_case: _Text | None = None
    environment: parts.Environment | None = None
    ended: bool = False
    unacknowledged: bool = False
    as_of: parts.AsOf | None = None
    cursor: Cursor | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100, description="Items on a page.")] = 50


class AsOfQuery(msgspec.Struct, frozen=True, kw_only=True):
    """When the answer is to hold."""

    as_of: parts.AsOf | None = None


class CountQuery(AsOfQuery, frozen=True, kw_only=True):
    """Of which version (of all if it is not said), and when the answer is to hold."""

    version: Annotated[str, msgspec.Meta(max_length=128)] | None = None


class _Position(msgspec.Struct):
    id: uuid.UUID


async def list_consumers(call: Call, tx: Tx) -> Reply:
    """List bindings, the newest first, each with how it stands."""
    asked: ConsumersQuery = call.query
    when = _when(asked.as_of)
    asset_id, version_id = await _about(call, tx, asked, when)
    query = reads.Query(
        scopes=parts.visible(call),
        asset_id=asset_id,
        version_id=version_id,
        system=asked.system,
        use_case=asked.use_case,
        environment=asked.environment,
        ended=asked.ended,
        unacknowledged=asked.unacknowledged,
        as_of=when,
        before=read_cursor(asked.cursor, _Position).id if asked.cursor else None,
        limit=asked.limit,
    )
    found = await reads.page(tx, query)
    position = {"id": str(found[asked.limit - 1].binding.id)} if len(found) > asked.limit else None
    items, cursor = cut(found, asked.limit, position)
    shown = await Asking(tx, call.deps.engines, call.now, when).shown(items)
    return Reply(Page([bodies.shown_body(one) for one in shown], cursor))


async def _about(
    call: Call, tx: Tx, asked: ConsumersQuery, when: dt.datetime | None
) -> tuple[uuid.UUID | None, uuid.UUID | None]:
    """Return the ids of the asset and version that are asked about, which the caller may read."""
    asset_id = version_id = None
    if asked.asset is not None:
        asset = AssetRef.parse(asked.asset)
        call.require(Verb.READ, parts.scope_of(asset))
        asset_id = (await catalog.get_asset(tx, asset, when)).id
    if asked.version is not None:
        ref = VersionRef.parse(asked.version)
        call.require(Verb.READ, parts.scope_of(ref.asset))
        version = await catalog.get_version(tx, ref, when)
        version_id = version.id
        asset_id = asset_id or version.asset_id
    return asset_id, version_id


def _when(text: str | None) -> dt.datetime | None:
    return None if text is None else catalog.parse_as_of(text)


async def get_consumer(call: Call, tx: Tx) -> Reply:
    """Show a binding with how it stands."""
    when = _when(call.query.as_of)
    found = await parts.binding_of(call, tx)
    if when is not None:
        found = await store.get(tx, found.binding.id, when)
    [shown] = await Asking(tx, call.deps.engines, call.now, when).shown([found])
    return Reply(bodies.shown_body(shown))


async def count_consumers(call: Call, tx: Tx) -> Reply:
    """Count the consumers an asset has, or one of its versions."""
    asked: CountQuery = call.query
    when = _when(asked.as_of)
    asset = await catalog.get_asset(tx, parts.asset_ref(call), when)
    version_id = None
    if asked.version is not None:
        ref = VersionRef(asset.ref, parse_version(asked.version))
        version_id = (await catalog.get_version(tx, ref, when)).id
    return Reply(bodies.counts_body(await reads.counts(tx, asset.id, version_id, when)))


OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path="/api/v1/consumers",
        id="list_consumers",
        summary="Who uses what, for what, and how each stands now",
        handler=list_consumers,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=ConsumersQuery,
        returns=Page[bodies.ShownBody],
        errors=(NotFound, NotServed, BadName, BadReference, BadVersion, BadRequest, BadCursor),
        tag=parts.TAG,
    ),
    Operation(
        method="GET",
        path=ONE,
        id="get_consumer",
        summary="One consumer's binding, and how it stands now",
        handler=get_consumer,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=AsOfQuery,
        returns=bodies.ShownBody,
        errors=(NotFound, BadRequest),
        tag=parts.TAG,
    ),
    Operation(
        method="GET",
        path="/api/v1/assets/{namespace}/{name}/consumers/count",
        id="count_consumers",
        summary="How many consumers an asset has, or one of its versions",
        handler=count_consumers,
        needs=Verb.READ,
        query=CountQuery,
        returns=bodies.CountsBody,
        errors=(NotFound, BadName, BadVersion, BadRequest),
        tag=parts.TAG,
    ),
]
