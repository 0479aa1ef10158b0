"""Artifacts over HTTP: parse, call one action or read, render."""

from __future__ import annotations

from muniment.server.artifacts.routes import files, scrub, uploads, versions
from muniment.server.http.operation import Operation

OPERATIONS: list[Operation] = [
    *uploads.OPERATIONS,
    *versions.OPERATIONS,
    *files.OPERATIONS,
    *scrub.OPERATIONS,
]
