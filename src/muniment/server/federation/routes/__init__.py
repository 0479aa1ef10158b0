"""What is fetched and who is told, over HTTP."""

from muniment.server.federation.routes import fetches
from muniment.server.http.operation import Operation

OPERATIONS: list[Operation] = [*fetches.OPERATIONS]
