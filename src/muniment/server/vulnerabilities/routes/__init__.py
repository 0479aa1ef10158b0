"""What can be asked of vulnerabilities over HTTP."""

from muniment.server.http.operation import Operation
from muniment.server.vulnerabilities.routes import databases

OPERATIONS: list[Operation] = [*databases.OPERATIONS]

__all__ = ["OPERATIONS"]
