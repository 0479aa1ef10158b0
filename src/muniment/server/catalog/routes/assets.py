"""`/assets`: create, list, read, annotate, history."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import msgspec

from muniment.core.errors import (
    AlreadyExists,
    BadBody,
    BadCursor,
    BadFilter,
    BadName,
    NotFound,
    StaleRevision,
)
from muniment.core.names import NAMESPACE_DEFAULT, AssetName, AssetRef, Namespace
from muniment.server.catalog import actions
from muniment.server.catalog.reads import history, search
from muniment.server.catalog.reads.bodies import AssetBody, EventBody, asset_body, event_body
from muniment.server.catalog.records import AssetState, Kind, RiskTier
from muniment.server.catalog.routes import parts
from muniment.server.catalog.rules.changes import Change
from muniment.server.catalog.store import assets
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import Page
from muniment.server.http.preconditions import expected_revision
from muniment.server.http.records import Scope, Verb
from muniment.server.ports.db import Tx

_TAG = "assets"
Unset = msgspec.UnsetType


class NewAssetBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An asset to be made. `owner` answers for it: a person or a team."""

    name: str
    kind: Kind
    owner: str
    namespace: str = NAMESPACE_DEFAULT
    description: str = ""
    tags: dict[str, str] = {}
    backup_owner: str | None = None
    escalation_contact: str | None = None
    risk_tier: RiskTier | None = None


class AssetChangeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; what is left out stays. A tag of null is taken off."""

    description: str | Unset = msgspec.UNSET
    owner: str | Unset = msgspec.UNSET
    backup_owner: str | Unset | None = msgspec.UNSET
    escalation_contact: str | Unset | None = msgspec.UNSET
    risk_tier: RiskTier | Unset | None = msgspec.UNSET
    tags: dict[str, str | None] = {}
    reason: Annotated[str, msgspec.Meta(description="Why; kept in the history.")] | None = None


async def create(call: Call, tx: Tx) -> Reply:
    """Create an asset."""
    body: NewAssetBody = call.body
    ref = AssetRef(Namespace.parse(body.namespace), AssetName.parse(body.name))
    call.require(Verb.CREATE, Scope(body.namespace, body.name))
    state = AssetState(
        owner=body.owner,
        description=body.description,
        tags=body.tags,
        backup_owner=body.backup_owner or None,
        escalation_contact=body.escalation_contact or None,
        risk_tier=body.risk_tier,
    )
    asset = await actions.create_asset(tx, ref, body.kind, state, parts.by(call))
    where = f"/api/v1/assets/{quote(body.namespace, safe='')}/{quote(body.name, safe='')}"
    return Reply(asset_body(asset), headers={"Location": where, **parts.etag(asset.revision)})


async def search_(call: Call, tx: Tx) -> Reply:
    """List the assets that match."""
    found, position = await search.search_assets(tx, parts.query_of(call))
    return Reply(parts.page_of(found, position, asset_body))


async def get(call: Call, tx: Tx) -> Reply:
    """Return one asset."""
    asset = await assets.get_asset(tx, parts.asset_ref(call), parts.as_of(call.query.as_of))
    return Reply(asset_body(asset), headers=parts.etag(asset.revision))


async def annotate(call: Call, tx: Tx) -> Reply:
    """Change what is said of an asset."""
    change = change_of(call, ("tags", "reason"))
    asset = await actions.annotate_asset(tx, parts.asset_ref(call), change, parts.by(call))
    return Reply(asset_body(asset), headers=parts.etag(asset.revision))


def change_of(call: Call, apart: tuple[str, ...]) -> Change:
    """Return what a PATCH asks for: its members but those `apart`, the tags, the reason."""
    body: Any = call.body
    fields = {name: getattr(body, name) for name in body.__struct_fields__ if name not in apart}
    return Change(
        fields={name: value for name, value in fields.items() if value is not msgspec.UNSET},
        tags=body.tags,
        reason=body.reason or "",
        revision=expected_revision(call),
    )


async def asset_history(call: Call, tx: Tx) -> Reply:
    """Return what was done to an asset, its versions and its aliases."""
    span = parts.span_of(call)
    asset = await assets.get_asset(tx, parts.asset_ref(call), span.as_of)
    events = await history.asset_history(tx, asset.id, span)
    return Reply(parts.history_page(events, span, event_body, lambda event: event))


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path="/api/v1/assets",
        id="create_asset",
        summary="Create an asset",
        handler=create,
        needs=Verb.CREATE,
        scope=ScopeFrom.HANDLER,
        tx=TxMode.WRITE,
        body=NewAssetBody,
        returns=AssetBody,
        status=201,
        errors=(AlreadyExists, BadName, BadBody),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path="/api/v1/assets",
        id="search_assets",
        summary="Find assets",
        handler=search_,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=parts.SearchQuery,
        returns=Page[AssetBody],
        errors=(BadFilter, BadCursor),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path="/api/v1/assets/{namespace}/{name}",
        id="get_asset",
        summary="Read an asset",
        handler=get,
        needs=Verb.READ,
        query=parts.AsOfQuery,
        returns=AssetBody,
        also=(304,),
        errors=(NotFound, BadName),
        tag=_TAG,
    ),
    Operation(
        method="PATCH",
        path="/api/v1/assets/{namespace}/{name}",
        id="annotate_asset",
        summary="Change what is said of an asset",
        handler=annotate,
        needs=Verb.ANNOTATE,
        tx=TxMode.WRITE,
        body=AssetChangeBody,
        returns=AssetBody,
        errors=(NotFound, BadName, BadBody, StaleRevision),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path="/api/v1/assets/{namespace}/{name}/history",
        id="asset_history",
        summary="What was done to an asset, its versions and its aliases",
        handler=asset_history,
        needs=Verb.READ,
        query=parts.HistoryQuery,
        returns=Page[EventBody],
        errors=(NotFound, BadName, BadCursor),
        tag=_TAG,
    ),
]
