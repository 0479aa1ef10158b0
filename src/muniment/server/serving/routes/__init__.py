"""Who uses what, over HTTP."""

from muniment.server.http.operation import Operation
from muniment.server.serving.routes import binding, consumers

OPERATIONS: list[Operation] = [*binding.OPERATIONS, *consumers.OPERATIONS]

__all__ = ["OPERATIONS"]
