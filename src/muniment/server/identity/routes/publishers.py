"""Trusted publishers of assets, over HTTP."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from muniment.core.errors import (
    BadBody,
    BadName,
    Conflict,
    DestinationDown,
    IdTokenRefused,
    NotFound,
)
from muniment.core.names import AssetName, Namespace
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import Page, cut, read_cursor
from muniment.server.http.records import Verb
from muniment.server.identity.actions import trust as actions
from muniment.server.identity.records import NewPublisher, Publisher
from muniment.server.identity.routes import proving
from muniment.server.identity.routes.bodies import by, id_of
from muniment.server.identity.routes.trust_bodies import (
    NewPublisherBody,
    PublisherBody,
    PublishersQuery,
    TestBody,
    TestedBody,
    TriedBody,
    line_body,
    permits_of,
    publisher_body,
)
from muniment.server.identity.rules import publishers as rules
from muniment.server.identity.store import trust as store
from muniment.server.ports.db import Tx

_P = "/api/v1/assets/{namespace}/{name}/publishers"


class _AfterId(msgspec.Struct, frozen=True):
    id: uuid.UUID


def _asset(call: Call) -> tuple[str, str]:
    return str(Namespace.parse(call.path["namespace"])), str(AssetName.parse(call.path["name"]))


async def add_publisher(call: Call, tx: Tx) -> Reply:
    """Trust a pipeline for an asset, which need not exist yet; the same again changes nothing."""
    body: NewPublisherBody = call.body
    namespace, asset = _asset(call)
    new = NewPublisher(
        namespace=namespace,
        asset=asset,
        issuer=body.issuer,
        rule=body.rule.rule(),
        permits=tuple(body.permits),
    )
    made = await actions.add_publisher(tx, new, by(call))
    return Reply(publisher_body(made, rules.warnings(made.issuer, made.rule, made.permits)))


async def list_publishers(call: Call, tx: Tx) -> Reply:
    """List the pipelines an asset trusts or trusted, newest first."""
    return await _list(call, tx, *_asset(call))


async def list_all_publishers(call: Call, tx: Tx) -> Reply:
    """List the pipelines of all assets, newest first."""
    return await _list(call, tx, None, None)


async def _list(call: Call, tx: Tx, namespace: str | None, asset: str | None) -> Reply:
    query: PublishersQuery = call.query
    after = read_cursor(query.cursor, _AfterId).id if query.cursor else None
    found = await store.publishers_of(tx, namespace, asset, after=after, limit=query.limit + 1)
    last = found[query.limit - 1].id if len(found) > query.limit else None
    items, cursor = cut(found, query.limit, {"id": last})
    return Reply(Page([publisher_body(each) for each in items], cursor))


async def _one(call: Call, tx: Tx) -> Publisher:
    publisher_id = id_of(call, "publisher_id")
    found = await store.find_publisher(tx, *_asset(call), publisher_id)
    if found is None:
        raise NotFound(f"this asset has no publisher {publisher_id}")
    return found


async def get_publisher(call: Call, tx: Tx) -> Reply:
    """Show a trusted pipeline, and when it was last used."""
    found = await _one(call, tx)
    return Reply(publisher_body(found, rules.warnings(found.issuer, found.rule, found.permits)))


async def remove_publisher(call: Call, tx: Tx) -> Reply:
    """Trust a pipeline no more; its tokens stop working at once."""
    await actions.remove_publisher(tx, await _one(call, tx), by(call))
    return Reply(publisher_body(await _one(call, tx)))


async def try_id_token(call: Call) -> Reply:
    """Say line by line what of an ID token or of claims matches; nothing is used up."""
    body: TestBody = call.body
    if (body.id_token is None) == (body.claims is None):
        message = "expected either `id_token` or `claims`"
        raise BadBody(message, problems=[{"field": "id_token", "message": message}])
    verified, why = None, None
    claims: Mapping[str, Any] = body.claims or {}
    if body.id_token is not None:
        try:
            claims = (await proving.prove(call, body.id_token)).token.claims
            verified = True
        except (IdTokenRefused, DestinationDown) as error:
            verified, why = False, error.message
            claims = proving.claims_of(body.id_token)
    async with call.deps.db.transaction(read_only=True) as tx:
        known = await store.publishers_of(tx, *_asset(call), after=None, limit=500)
    live = [each for each in known if each.removed_at is None]
    tried = [
        TriedBody(
            publisher_id=each.id,
            permits=list(each.permits),
            matches=rules.matches(each, claims),
            lines=[line_body(line) for line in rules.lines(each, claims)],
        )
        for each in live
    ]
    matched = [each for each in live if rules.matches(each, claims)]
    permits = permits_of(matched) if verified is not False else []
    return Reply(TestedBody(verified, why, permits, tried))


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path=_P,
        id="add_publisher",
        summary="Trust a pipeline for an asset",
        handler=add_publisher,
        needs=Verb.ADMINISTER,
        tx=TxMode.WRITE,
        body=NewPublisherBody,
        returns=PublisherBody,
        status=201,
        errors=(NotFound, BadName, Conflict),
        tag="identity",
    ),
    Operation(
        method="GET",
        path=_P,
        id="list_publishers",
        summary="List the pipelines an asset trusts",
        handler=list_publishers,
        needs=Verb.READ,
        query=PublishersQuery,
        returns=Page[PublisherBody],
        errors=(BadName,),
        tag="identity",
    ),
    Operation(
        method="GET",
        path="/api/v1/publishers",
        id="list_all_publishers",
        summary="List the pipelines of all assets",
        handler=list_all_publishers,
        needs=Verb.READ_PRINCIPALS,
        scope=ScopeFrom.EVERYTHING,
        query=PublishersQuery,
        returns=Page[PublisherBody],
        tag="identity",
    ),
    Operation(
        method="POST",
        path=_P + "/test",
        id="try_id_token",
        summary="Say what of an ID token matches what an asset trusts",
        handler=try_id_token,
        needs=Verb.READ,
        tx=TxMode.NONE,
        body=TestBody,
        returns=TestedBody,
        errors=(BadName,),
        tag="identity",
    ),
    Operation(
        method="GET",
        path=_P + "/{publisher_id}",
        id="get_publisher",
        summary="Show a trusted pipeline",
        handler=get_publisher,
        needs=Verb.READ,
        returns=PublisherBody,
        errors=(NotFound, BadName),
        tag="identity",
    ),
    Operation(
        method="POST",
        path=_P + "/{publisher_id}/remove",
        id="remove_publisher",
        summary="Trust a pipeline no more",
        handler=remove_publisher,
        needs=Verb.ADMINISTER,
        tx=TxMode.WRITE,
        returns=PublisherBody,
        errors=(NotFound, BadName),
        tag="identity",
    ),
]
