"""The aliases of an asset: list, follow, history. Moving one is `lifecycle`'s: production may resolve it."""

from __future__ import annotations

from muniment.core.errors import (
    BadCursor,
    BadName,
    NotFound,
    NotServed,
)
from muniment.core.names import Alias
from muniment.server.catalog.reads import history
from muniment.server.catalog.reads.bodies import (
    AliasBody,
    AliasEventBody,
    VersionBody,
    alias_body,
    alias_event_body,
    etag_of,
    version_body_of,
)
from muniment.server.catalog.routes import parts
from muniment.server.catalog.store import aliases, assets, versions
from muniment.server.catalog.store.sources import standing_of
from muniment.server.http.operation import Call, Operation, Reply
from muniment.server.http.paging import Page
from muniment.server.http.records import Verb
from muniment.server.ports.db import Tx

_TAG = "aliases"
_OF = "/api/v1/assets/{namespace}/{name}/aliases"
_ONE = f"{_OF}/{{alias}}"


async def list_(call: Call, tx: Tx) -> Reply:
    """List the aliases of an asset that point at a version."""
    when = parts.as_of(call.query.as_of)
    asset = await assets.get_asset(tx, parts.asset_ref(call), when)
    return Reply(parts.page_of(await aliases.pointers(tx, asset.id, when), None, alias_body))


async def get(call: Call, tx: Tx) -> Reply:
    """Return the version an alias points at."""
    ref, alias = parts.asset_ref(call), Alias.parse(call.path["alias"])
    when = parts.as_of(call.query.as_of)
    row = await versions.get_row(tx, ref, alias, when)
    if when is not None:
        return Reply(version_body_of(row))
    shown = etag_of(row["revision"], row["aliases"], standing_of(row)).strip('"')
    tag = f'"{row["alias_revision"]}-{row["number"]}-{shown}"'
    return Reply(version_body_of(row), headers={"ETag": tag})


async def alias_history(call: Call, tx: Tx) -> Reply:
    """Return where an alias pointed, move by move."""
    span = parts.span_of(call)
    alias = Alias.parse(call.path["alias"])
    asset = await assets.get_asset(tx, parts.asset_ref(call), span.as_of)
    moves = await history.alias_history(tx, asset.id, alias, span)
    return Reply(parts.history_page(moves, span, alias_event_body, lambda move: move[0]))


OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path=_OF,
        id="list_aliases",
        summary="Where the aliases of an asset point",
        handler=list_,
        needs=Verb.READ,
        query=parts.AsOfQuery,
        returns=Page[AliasBody],
        errors=(NotFound, BadName),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=_ONE,
        id="get_alias",
        summary="The version an alias points at",
        handler=get,
        needs=Verb.READ,
        query=parts.AsOfQuery,
        returns=VersionBody,
        also=(304,),
        errors=(NotFound, BadName, NotServed),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/history",
        id="alias_history",
        summary="Where an alias pointed, move by move",
        handler=alias_history,
        needs=Verb.READ,
        query=parts.HistoryQuery,
        returns=Page[AliasEventBody],
        errors=(NotFound, BadName, BadCursor),
        tag=_TAG,
    ),
]
