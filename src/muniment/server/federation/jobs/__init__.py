"""What federation does later: bring bytes here, tell others what happened."""

from muniment.server.federation.jobs.delivering import HANDLERS, PERIODIC

__all__ = ["HANDLERS", "PERIODIC"]
