"""What is fetched and who is told, over HTTP."""

from muniment.server.federation.routes import deliveries, fetches, webhooks
from muniment.server.http.operation import Operation

OPERATIONS: list[Operation] = [
    *fetches.OPERATIONS,
    *webhooks.OPERATIONS,
    *deliveries.OPERATIONS,
]
