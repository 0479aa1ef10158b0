"""The one door of pipelines: an ID token of their CI system for a token of the registry."""

from __future__ import annotations

from muniment.core.errors import (
    DestinationDown,
    IdTokenRefused,
    NotTrusted,
    TooManyRequests,
)
from muniment.server.http.gate import address_of
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.records import Verb
from muniment.server.identity.actions import exchanging
from muniment.server.identity.routes import proving
from muniment.server.identity.routes.bodies import grant_bodies
from muniment.server.identity.routes.trust_bodies import (
    AudienceBody,
    ExchangeBody,
    ExchangedBody,
    permits_of,
)


async def exchange_id_token(call: Call) -> Reply:
    """Exchange a pipeline's ID token, once, for a token of 15 minutes; its text is shown once."""
    body: ExchangeBody = call.body
    address = address_of(call.scope)
    failed = proving.failed_tries(call)
    failed.check(address, call.now)
    try:
        proven = await proving.prove(call, body.id_token)
        async with call.deps.db.transaction() as tx:
            issued, found = await exchanging.exchange(tx, proven, call.now, call.new_id)
    except (IdTokenRefused, NotTrusted):
        failed.take(address, call.now)
        raise
    made = issued.token.workload
    assert made is not None
    return Reply(
        ExchangedBody(
            token=issued.text,
            token_id=issued.token.id,
            expires_at=issued.token.expires_at,
            principal_id=issued.token.principal_id,
            grants=grant_bodies(issued.token.limits or ()),
            permits=permits_of(found),
            claims=dict(made.claims),
        )
    )


async def get_audience(call: Call) -> Reply:
    """Say for whom an ID token must be made to be accepted here."""
    return Reply(AudienceBody(proving.audience(call)))


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path="/api/v1/id-tokens/exchange",
        id="exchange_id_token",
        summary="Exchange a pipeline's ID token for a token",
        handler=exchange_id_token,
        needs=Verb.ANONYMOUS,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.NONE,
        body=ExchangeBody,
        returns=ExchangedBody,
        status=201,
        errors=(IdTokenRefused, NotTrusted, DestinationDown, TooManyRequests),
        tag="identity",
        secret=True,
    ),
    Operation(
        method="GET",
        path="/api/v1/id-tokens/audience",
        id="get_audience",
        summary="The audience of ID tokens that are accepted here",
        handler=get_audience,
        needs=Verb.ANONYMOUS,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.NONE,
        returns=AudienceBody,
        tag="identity",
    ),
]
