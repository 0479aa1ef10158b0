"""The lifecycle over HTTP: parse, call one action or read, render."""

from __future__ import annotations

from muniment.server.http.operation import Operation
from muniment.server.lifecycle.routes import (
    advice,
    assets,
    composites,
    lifecycles,
    namespaces,
    versions,
)

OPERATIONS: list[Operation] = [
    *versions.OPERATIONS,
    *advice.OPERATIONS,
    *lifecycles.OPERATIONS,
    *assets.OPERATIONS,
    *composites.OPERATIONS,
    *namespaces.OPERATIONS,
]
