"""Tokens for MLflow's own requests: `MLFLOW_TRACKING_AUTH=muniment`.

For whoever sets MLflow's tracking address to this server itself and keeps the token where
`muniment login` put it. A token goes to the registry it belongs to and to nobody else: MLflow asks
for every host it talks to.
"""

from __future__ import annotations

import os
from typing import Any

from mlflow.tracking.request_auth.abstract_request_auth_provider import (  # type: ignore[import-not-found]
    RequestAuthProvider,
)


class MunimentAuth(RequestAuthProvider):  # type: ignore[misc]
    """The provider named `muniment`."""

    def get_name(self) -> str:
        """Return the name `MLFLOW_TRACKING_AUTH` has for it."""
        return "muniment"

    def get_auth(self) -> Any:
        """Return what adds the token to a request."""
        return add_token


def add_token(request: Any) -> Any:
    """Return `request`, with the token of the registry it goes to if there is one."""
    from muniment.client.mlflow_plugin.errors import in_mlflows_terms  # noqa: PLC0415

    with in_mlflows_terms():
        token = token_for(str(request.url))
    if token:
        request.headers["Authorization"] = f"Bearer {token}"
    return request


def token_for(request_url: str) -> str | None:
    """Return the token of the registry a request goes to, or None.

    `MUNIMENT_TOKEN` belongs to `MUNIMENT_URL`, and without that to where MLflow's registry is.

    Raises:
        BadRequest: the credentials file cannot be used.
    """
    import mlflow  # type: ignore[import-not-found]  # noqa: PLC0415

    from muniment.client import credentials  # noqa: PLC0415

    named = os.environ.get("MUNIMENT_TOKEN")
    here = (os.environ.get("MUNIMENT_URL") or mlflow.get_registry_uri() or "").rstrip("/")
    if named and _is_below(request_url, here):
        return named
    servers = credentials.load()["servers"]
    return next(
        (saved.get("token") for url, saved in servers.items() if _is_below(request_url, url)), None
    )


def _is_below(request_url: str, url: str) -> bool:
    return url.startswith(("http://", "https://")) and request_url.startswith(f"{url}/")
