"""Issuers that are believed, over HTTP."""

from __future__ import annotations

from muniment.core.errors import AlreadyExists, NotFound
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import Page
from muniment.server.http.records import Verb
from muniment.server.identity.actions import trust as actions
from muniment.server.identity.routes.bodies import by
from muniment.server.identity.routes.trust_bodies import IssuerBody, NewIssuerBody, issuer_body
from muniment.server.identity.store import trust as store
from muniment.server.ports.db import Tx

_I = "/api/v1/issuers"


async def add_issuer(call: Call, tx: Tx) -> Reply:
    """Believe what an issuer says of pipelines; the same again changes nothing."""
    body: NewIssuerBody = call.body
    issuer = await actions.add_issuer(tx, body.name, body.url, body.provider, by(call))
    return Reply(issuer_body(issuer))


async def list_issuers(_call: Call, tx: Tx) -> Reply:
    """List every issuer there is or was."""
    return Reply(Page([issuer_body(each) for each in await store.issuers(tx)], None))


async def remove_issuer(call: Call, tx: Tx) -> Reply:
    """Believe an issuer no more, and trust none of its publishers."""
    issuer = await store.get_issuer(tx, call.path["issuer"])
    await actions.remove_issuer(tx, issuer, by(call))
    found = [each for each in await store.issuers(tx) if each.id == issuer.id]
    return Reply(issuer_body(found[0]))


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path=_I,
        id="add_issuer",
        summary="Believe an issuer of ID tokens",
        handler=add_issuer,
        needs=Verb.ADMINISTER,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.WRITE,
        body=NewIssuerBody,
        returns=IssuerBody,
        status=201,
        errors=(AlreadyExists,),
        tag="identity",
    ),
    Operation(
        method="GET",
        path=_I,
        id="list_issuers",
        summary="List issuers of ID tokens",
        handler=list_issuers,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        returns=Page[IssuerBody],
        tag="identity",
    ),
    Operation(
        method="POST",
        path=_I + "/{issuer}/remove",
        id="remove_issuer",
        summary="Believe an issuer of ID tokens no more",
        handler=remove_issuer,
        needs=Verb.ADMINISTER,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.WRITE,
        returns=IssuerBody,
        errors=(NotFound,),
        tag="identity",
    ),
]
