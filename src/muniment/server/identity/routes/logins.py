"""How people come in: the issuers, and an ID token of one for a token of the registry."""

from __future__ import annotations

from muniment.core.errors import (
    AlreadyExists,
    BadName,
    Conflict,
    DestinationDown,
    IdTokenRefused,
    NotFound,
    NotTrusted,
    TooManyRequests,
)
from muniment.server.http.gate import address_of
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import Page
from muniment.server.http.records import Verb
from muniment.server.identity.actions import logins as actions
from muniment.server.identity.routes import proving
from muniment.server.identity.routes.bodies import by, principal_body
from muniment.server.identity.routes.login_bodies import (
    ChoicesBody,
    LoggedInBody,
    LogInBody,
    LoginIssuerBody,
    NewLoginIssuerBody,
    RolesBody,
    choice_body,
    login_issuer_body,
)
from muniment.server.identity.store import logins as store
from muniment.server.ports.db import Tx

_L = "/api/v1/login-issuers"


async def list_login_choices(_call: Call, tx: Tx) -> Reply:
    """Say by which issuers people may come in: what a client needs to ask one for an ID token."""
    found = await store.issuers(tx)
    return Reply(ChoicesBody([choice_body(each) for each in found if each.removed_at is None]))


async def log_in(call: Call) -> Reply:
    """Exchange a person's ID token, once, for a token; roles follow the person's groups."""
    body: LogInBody = call.body
    address = address_of(call.scope)
    failed = proving.failed_tries(call)
    failed.check(address, call.now)
    try:
        login = await proving.prove_person(call, body.id_token)
        async with call.deps.db.transaction() as tx:
            done = await actions.log_in(
                tx, login, call.now, call.new_id, call.deps.settings.login_ttl
            )
        if isinstance(done, NotTrusted):
            raise done
    except (IdTokenRefused, NotTrusted):
        failed.take(address, call.now)
        raise
    issued, principal = done
    return Reply(
        LoggedInBody(
            token=issued.text,
            token_id=issued.token.id,
            expires_at=issued.token.expires_at,
            principal=principal_body(principal),
        )
    )


async def add_login_issuer(call: Call, tx: Tx) -> Reply:
    """Let people come in by an issuer; the same again changes nothing."""
    body: NewLoginIssuerBody = call.body
    return Reply(login_issuer_body(await actions.add_issuer(tx, body.new(), by(call))))


async def list_login_issuers(_call: Call, tx: Tx) -> Reply:
    """List every login issuer there is or was, and what its groups are here."""
    return Reply(Page([login_issuer_body(each) for each in await store.issuers(tx)], None))


async def set_group_roles(call: Call, tx: Tx) -> Reply:
    """Replace what an issuer's groups are: for each person from their next login."""
    body: RolesBody = call.body
    roles = [each.group_role() for each in body.roles]
    issuer = await actions.set_roles(tx, call.path["issuer"], roles, by(call))
    return Reply(login_issuer_body(issuer))


async def remove_login_issuer(call: Call, tx: Tx) -> Reply:
    """Let nobody come in by an issuer any more; what its groups gave, and all tokens, end."""
    return Reply(login_issuer_body(await actions.remove_issuer(tx, call.path["issuer"], by(call))))


OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path="/api/v1/login",
        id="list_login_choices",
        summary="By which issuers people may log in",
        handler=list_login_choices,
        needs=Verb.ANONYMOUS,
        scope=ScopeFrom.EVERYTHING,
        returns=ChoicesBody,
        tag="identity",
    ),
    Operation(
        method="POST",
        path="/api/v1/login",
        id="log_in",
        summary="Exchange a person's ID token for a token",
        handler=log_in,
        needs=Verb.ANONYMOUS,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.NONE,
        body=LogInBody,
        returns=LoggedInBody,
        status=201,
        errors=(
            IdTokenRefused,
            NotTrusted,
            NotFound,
            Conflict,
            AlreadyExists,
            DestinationDown,
            TooManyRequests,
        ),
        tag="identity",
        secret=True,
    ),
    Operation(
        method="POST",
        path=_L,
        id="add_login_issuer",
        summary="Let people log in by an issuer",
        handler=add_login_issuer,
        needs=Verb.ADMINISTER,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.WRITE,
        body=NewLoginIssuerBody,
        returns=LoginIssuerBody,
        status=201,
        errors=(AlreadyExists, BadName),
        tag="identity",
    ),
    Operation(
        method="GET",
        path=_L,
        id="list_login_issuers",
        summary="List login issuers and what their groups are",
        handler=list_login_issuers,
        needs=Verb.READ_PRINCIPALS,
        scope=ScopeFrom.EVERYTHING,
        returns=Page[LoginIssuerBody],
        tag="identity",
    ),
    Operation(
        method="POST",
        path=_L + "/{issuer}/roles",
        id="set_group_roles",
        summary="Replace what a login issuer's groups are",
        handler=set_group_roles,
        needs=Verb.ADMINISTER,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.WRITE,
        body=RolesBody,
        returns=LoginIssuerBody,
        errors=(NotFound, BadName),
        tag="identity",
    ),
    Operation(
        method="POST",
        path=_L + "/{issuer}/remove",
        id="remove_login_issuer",
        summary="Let nobody log in by an issuer any more",
        handler=remove_login_issuer,
        needs=Verb.ADMINISTER,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.WRITE,
        returns=LoginIssuerBody,
        errors=(NotFound, Conflict),
        tag="identity",
    ),
]
