"""The catalog over HTTP: parse, call one action or read, render."""

from __future__ import annotations

from muniment.server.catalog.routes import aliases, assets, namespaces, versions
from muniment.server.http.operation import Operation

OPERATIONS: list[Operation] = [
    *namespaces.OPERATIONS,
    *assets.OPERATIONS,
    *versions.OPERATIONS,
    *aliases.OPERATIONS,
]
