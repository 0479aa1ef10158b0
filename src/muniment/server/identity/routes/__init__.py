"""Principals, roles, tokens and the welcome page over HTTP."""

from __future__ import annotations

from muniment.server.http.operation import Operation
from muniment.server.identity.routes import names, principals, tokens, welcome

#: Every operation of this slice.
OPERATIONS: list[Operation] = [
    *principals.OPERATIONS,
    *names.OPERATIONS,
    *tokens.OPERATIONS,
    *welcome.OPERATIONS,
]
