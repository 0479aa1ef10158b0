"""Tokens over HTTP, and whose token this is."""

from __future__ import annotations

import uuid

import msgspec

from muniment.core.errors import BadName, Conflict, NotAllowed, NotFound
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import Page, cut, read_cursor
from muniment.server.http.records import EVERYTHING, Verb
from muniment.server.identity.actions import access as actions
from muniment.server.identity.records import NewToken
from muniment.server.identity.routes.bodies import (
    IssuedBody,
    NewTokenBody,
    TokenBody,
    TokensQuery,
    WhoAmI,
    by,
    grant_bodies,
    id_of,
    issued_body,
    token_body,
)
from muniment.server.identity.rules import access as rules
from muniment.server.identity.store import access as store
from muniment.server.ports.db import Tx

_T = "/api/v1/tokens"


class _AfterId(msgspec.Struct, frozen=True):
    id: uuid.UUID


async def whoami(call: Call, tx: Tx) -> Reply:
    """Tell the caller who it is and what it may do."""
    caller = call.caller
    token = await store.find_token(tx, caller.token_id) if caller.token_id else None
    return Reply(
        WhoAmI(
            id=caller.id,
            kind=caller.kind,
            name=caller.name,
            grants=grant_bodies(caller.grants),
            token_id=caller.token_id,
            token_expires_at=token.expires_at if token else None,
        )
    )


async def _only_itself(call: Call, tx: Tx) -> uuid.UUID | None:
    """Return the caller's token if that is all it may see: it is narrower than its principal.

    Whoever was handed a narrow token has no say about the others of who handed it out.
    """
    if call.caller.token_id is None or call.may(Verb.ADMINISTER, EVERYTHING):
        return None
    own = await store.find_token(tx, call.caller.token_id)
    return own.id if own is not None and own.limits is not None else None


async def list_tokens(call: Call, tx: Tx) -> Reply:
    """List tokens, newest first: one's own; for an administrator everybody's.

    A token with limits sees only itself.
    """
    query: TokensQuery = call.query
    if query.principal_id not in (None, call.caller.id):
        call.require(Verb.ADMINISTER, EVERYTHING)
    itself = await _only_itself(call, tx)
    if itself is not None:
        own = await store.find_token(tx, itself)
        after_it = query.cursor is not None and read_cursor(query.cursor, _AfterId).id <= itself
        return Reply(Page([token_body(own)] if own is not None and not after_it else [], None))
    everybody = call.may(Verb.ADMINISTER, EVERYTHING)
    found = await store.list_tokens(
        tx,
        principal_id=query.principal_id or (None if everybody else call.caller.id),
        after=read_cursor(query.cursor, _AfterId).id if query.cursor else None,
        limit=query.limit + 1,
    )
    last = found[query.limit - 1].id if len(found) > query.limit else None
    items, cursor = cut(found, query.limit, {"id": last})
    return Reply(Page([token_body(each) for each in items], cursor))


async def create_token(call: Call, tx: Tx) -> Reply:
    """Make a token: one's own, or anybody's for an administrator. Its text is shown once."""
    body: NewTokenBody = call.body
    principal_id = body.principal_id or call.caller.id
    if principal_id != call.caller.id:
        call.require(Verb.ADMINISTER, EVERYTHING)
    new = NewToken(
        principal_id=principal_id,
        label=rules.clean_name(body.label, field="label"),
        expires_at=body.expires_at,
        limits=None if body.limits is None else tuple(each.grant() for each in body.limits),
    )
    return Reply(issued_body(await actions.create_token(tx, new, by(call), maker=call.caller)))


async def revoke_token(call: Call, tx: Tx) -> Reply:
    """End a token for good: one's own, or anybody's for an administrator.

    A token with limits ends only itself.
    """
    token_id = id_of(call, "token_id")
    token = await store.find_token(tx, token_id)
    if token is None or (
        token.principal_id != call.caller.id and not call.may(Verb.ADMINISTER, EVERYTHING)
    ):
        raise NotFound(f"there is no token {token_id}, or it is not yours")
    if await _only_itself(call, tx) not in (None, token_id):
        raise NotFound(f"there is no token {token_id}, or it is not yours")
    return Reply(token_body(await actions.revoke_token(tx, token, by(call))))


OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path="/api/v1/whoami",
        id="whoami",
        summary="Show whose token this is",
        handler=whoami,
        needs=Verb.NOTHING,
        scope=ScopeFrom.EVERYTHING,
        returns=WhoAmI,
        tag="identity",
    ),
    Operation(
        method="GET",
        path=_T,
        id="list_tokens",
        summary="List tokens",
        handler=list_tokens,
        needs=Verb.NOTHING,
        scope=ScopeFrom.HANDLER,
        query=TokensQuery,
        returns=Page[TokenBody],
        tag="identity",
    ),
    Operation(
        method="POST",
        path=_T,
        id="create_token",
        summary="Make a token",
        handler=create_token,
        needs=Verb.NOTHING,
        scope=ScopeFrom.HANDLER,
        tx=TxMode.WRITE,
        body=NewTokenBody,
        returns=IssuedBody,
        status=201,
        errors=(NotFound, NotAllowed, Conflict, BadName),
        tag="identity",
        secret=True,
    ),
    Operation(
        method="POST",
        path=_T + "/{token_id}/revoke",
        id="revoke_token",
        summary="End a token for good",
        handler=revoke_token,
        needs=Verb.NOTHING,
        scope=ScopeFrom.HANDLER,
        tx=TxMode.WRITE,
        returns=TokenBody,
        errors=(NotFound,),
        tag="identity",
    ),
]
