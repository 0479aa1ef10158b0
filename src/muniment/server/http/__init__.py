"""A small HTTP kit: operations, problem details, authorisation before the handler, paging."""

from muniment.server.http.app import build

__all__ = ["build"]
