"""Principals and their roles over HTTP."""

from __future__ import annotations

import msgspec

from muniment.core.errors import AlreadyExists, BadBody, BadName, Conflict, NotAllowed, NotFound
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import Page, cut, read_cursor
from muniment.server.http.records import EVERYTHING, Grant, PrincipalKind, Verb
from muniment.server.identity.actions import access as actions
from muniment.server.identity.records import NewPrincipal
from muniment.server.identity.routes.bodies import (
    GrantBody,
    NewPrincipalBody,
    PrincipalBody,
    PrincipalsQuery,
    by,
    id_of,
    principal_body,
)
from muniment.server.identity.rules import access as rules
from muniment.server.identity.store import access as store
from muniment.server.ports.db import Tx

_P = "/api/v1/principals"


class _AfterName(msgspec.Struct, frozen=True):
    name: str


async def list_principals(call: Call, tx: Tx) -> Reply:
    """List principals by name."""
    query: PrincipalsQuery = call.query
    after = read_cursor(query.cursor, _AfterName).name if query.cursor else None
    found = await store.list_principals(tx, after=after, limit=query.limit + 1, name=query.name)
    last = found[query.limit - 1].name if len(found) > query.limit else ""
    items, cursor = cut(found, query.limit, {"name": last})
    return Reply(Page([principal_body(each) for each in items], cursor))


async def create_principal(call: Call, tx: Tx) -> Reply:
    """Make a principal, with roles or without."""
    body: NewPrincipalBody = call.body
    if body.kind is PrincipalKind.SYSTEM:
        raise BadBody("expected person, service or workload; `system` is the registry itself")
    new = NewPrincipal(
        kind=body.kind,
        name=rules.clean_name(body.name),
        display_name=body.display_name
        and rules.clean_name(body.display_name, field="display_name"),
        grants=tuple(each.grant() for each in body.grants),
    )
    principal = await actions.create_principal(tx, new, by(call))
    return Reply(
        principal_body(principal), headers={"location": f"/api/v1/principals/{principal.id}"}
    )


async def get_principal(call: Call, tx: Tx) -> Reply:
    """Show a principal: oneself, or any with the verb `read_principals`."""
    principal_id = id_of(call, "principal_id")
    if principal_id != call.caller.id:
        call.require(Verb.READ_PRINCIPALS, EVERYTHING)
    return Reply(principal_body(await store.get_principal(tx, principal_id)))


async def grant_role(call: Call, tx: Tx) -> Reply:
    """Give a role. Whoever administers a namespace may give roles within it."""
    grant = _administered(call)
    principal_id = id_of(call, "principal_id")
    return Reply(principal_body(await actions.grant_role(tx, principal_id, grant, by(call))))


async def revoke_role(call: Call, tx: Tx) -> Reply:
    """Take a role away; it must have been given for exactly that scope."""
    grant = _administered(call)
    principal_id = id_of(call, "principal_id")
    return Reply(principal_body(await actions.revoke_role(tx, principal_id, grant, by(call))))


def _administered(call: Call) -> Grant:
    body: GrantBody = call.body
    grant = body.grant()
    call.require(Verb.ADMINISTER, grant.scope)
    return grant


async def disable_principal(call: Call, tx: Tx) -> Reply:
    """Have a principal's tokens stop working, until it is enabled again."""
    principal_id = id_of(call, "principal_id")
    return Reply(principal_body(await actions.disable_principal(tx, principal_id, by(call))))


async def enable_principal(call: Call, tx: Tx) -> Reply:
    """Let a disabled principal in again, with its roles; it needs new tokens."""
    principal_id = id_of(call, "principal_id")
    return Reply(principal_body(await actions.enable_principal(tx, principal_id, by(call))))


OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path=_P,
        id="list_principals",
        summary="List principals",
        handler=list_principals,
        needs=Verb.READ_PRINCIPALS,
        scope=ScopeFrom.EVERYTHING,
        query=PrincipalsQuery,
        returns=Page[PrincipalBody],
        tag="identity",
    ),
    Operation(
        method="POST",
        path=_P,
        id="create_principal",
        summary="Make a principal",
        handler=create_principal,
        needs=Verb.ADMINISTER,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.WRITE,
        body=NewPrincipalBody,
        returns=PrincipalBody,
        status=201,
        errors=(AlreadyExists, BadName),
        tag="identity",
    ),
    Operation(
        method="GET",
        path=_P + "/{principal_id}",
        id="get_principal",
        summary="Show a principal",
        handler=get_principal,
        needs=Verb.NOTHING,
        scope=ScopeFrom.HANDLER,
        returns=PrincipalBody,
        errors=(NotFound, NotAllowed),
        tag="identity",
    ),
    Operation(
        method="POST",
        path=_P + "/{principal_id}/roles",
        id="grant_role",
        summary="Give a principal a role",
        handler=grant_role,
        needs=Verb.ADMINISTER,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.WRITE,
        body=GrantBody,
        returns=PrincipalBody,
        errors=(NotFound, Conflict, BadName),
        tag="identity",
    ),
    Operation(
        method="POST",
        path=_P + "/{principal_id}/roles/revoke",
        id="revoke_role",
        summary="Take a role from a principal",
        handler=revoke_role,
        needs=Verb.ADMINISTER,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.WRITE,
        body=GrantBody,
        returns=PrincipalBody,
        errors=(NotFound, Conflict, BadName),
        tag="identity",
    ),
    Operation(
        method="POST",
        path=_P + "/{principal_id}/disable",
        id="disable_principal",
        summary="Refuse all tokens of a principal",
        handler=disable_principal,
        needs=Verb.ADMINISTER,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.WRITE,
        returns=PrincipalBody,
        errors=(NotFound, Conflict),
        tag="identity",
    ),
    Operation(
        method="POST",
        path=_P + "/{principal_id}/enable",
        id="enable_principal",
        summary="Let a disabled principal in again, with its roles and without its old tokens",
        handler=enable_principal,
        needs=Verb.ADMINISTER,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.WRITE,
        returns=PrincipalBody,
        errors=(NotFound,),
        tag="identity",
    ),
]
