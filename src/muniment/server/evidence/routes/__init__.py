"""Evidence over HTTP: parse, call one action or read, render."""

from __future__ import annotations

from muniment.server.evidence.routes import adding, composites, judging, reading, signers, signing
from muniment.server.http.operation import Operation

OPERATIONS: list[Operation] = [
    *adding.OPERATIONS,
    *reading.OPERATIONS,
    *judging.OPERATIONS,
    *signing.OPERATIONS,
    *signers.OPERATIONS,
    *composites.OPERATIONS,
]
