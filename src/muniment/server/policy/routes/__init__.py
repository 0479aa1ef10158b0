"""Policy over HTTP: parse, call one action or read, render."""

from __future__ import annotations

from muniment.server.http.operation import Operation
from muniment.server.policy.routes import activations, bundles, simulations, verdicts

OPERATIONS: list[Operation] = [
    *bundles.OPERATIONS,
    *simulations.OPERATIONS,
    *activations.OPERATIONS,
    *verdicts.OPERATIONS,
]
