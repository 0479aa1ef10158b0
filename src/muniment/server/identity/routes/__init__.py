"""Principals, roles, tokens, logins, trust in pipelines and the welcome page over HTTP."""

from __future__ import annotations

from muniment.server.http.operation import Operation
from muniment.server.identity.routes import (
    exchange,
    issuers,
    logins,
    names,
    principals,
    publishers,
    signing_keys,
    tokens,
    welcome,
)

#: Every operation of this slice.
OPERATIONS: list[Operation] = [
    *principals.OPERATIONS,
    *names.OPERATIONS,
    *tokens.OPERATIONS,
    *signing_keys.OPERATIONS,
    *issuers.OPERATIONS,
    *publishers.OPERATIONS,
    *exchange.OPERATIONS,
    *logins.OPERATIONS,
    *welcome.OPERATIONS,
]
