"""What can be asked of vulnerabilities over HTTP."""

from muniment.server.http.operation import Operation
from muniment.server.vulnerabilities.routes import databases, findings, vex

OPERATIONS: list[Operation] = [
    *databases.OPERATIONS,
    *findings.OPERATIONS,
    *vex.OPERATIONS,
]

__all__ = ["OPERATIONS"]
