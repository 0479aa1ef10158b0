"""Principals, roles, tokens, trust in pipelines and the welcome page over HTTP."""

from __future__ import annotations

from muniment.server.http.operation import Operation
from muniment.server.identity.routes import (
    exchange,
    issuers,
    names,
    principals,
    publishers,
    tokens,
    welcome,
)

#: Every operation of this slice.
OPERATIONS: list[Operation] = [
    *principals.OPERATIONS,
    *names.OPERATIONS,
    *tokens.OPERATIONS,
    *issuers.OPERATIONS,
    *publishers.OPERATIONS,
    *exchange.OPERATIONS,
    *welcome.OPERATIONS,
]
