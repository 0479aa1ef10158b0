"""Approvals over HTTP: parse, call one action or read, render."""

from __future__ import annotations

from muniment.server.approvals.routes import decisions, exceptions, requests, signing
from muniment.server.http.operation import Operation

#: Every operation of this slice.
OPERATIONS: list[Operation] = [
    *requests.OPERATIONS,
    *signing.OPERATIONS,
    *decisions.OPERATIONS,
    *exceptions.OPERATIONS,
]
