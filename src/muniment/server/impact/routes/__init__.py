"""What can be asked over HTTP: impact, lineage, and what others tell of it."""

from muniment.server.http.operation import Operation
from muniment.server.impact.routes import containing, events, lineage

OPERATIONS: list[Operation] = [*containing.OPERATIONS, *lineage.OPERATIONS, *events.OPERATIONS]

__all__ = ["OPERATIONS"]
