"""What can be asked over HTTP: impact and lineage."""

from muniment.server.http.operation import Operation
from muniment.server.impact.routes import containing, lineage

OPERATIONS: list[Operation] = [*containing.OPERATIONS, *lineage.OPERATIONS]

__all__ = ["OPERATIONS"]
