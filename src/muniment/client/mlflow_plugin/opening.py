"""The SDK as MLflow's client uses it: with the token of this registry, and MLflow's switches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.environment_variables import (  # type: ignore[import-not-found]
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR,
)
from mlflow.utils.rest_utils import MlflowHostCreds  # type: ignore[import-not-found]

from muniment.client import credentials
from muniment.client.client import Client
from muniment.client.mlflow_plugin.errors import in_mlflows_terms
from muniment.client.progress import OnProgress
from muniment.core.errors import NotAuthenticated


def token_of(url: str) -> str:
    """Return the token for the registry at `url`: `MUNIMENT_TOKEN`, else that of the credentials.

    What MLflow knows of (`MLFLOW_TRACKING_TOKEN`, user and password) is for where runs are tracked,
    and is not sent here.

    Raises:
        NotAuthenticated: none is known.
    """
    token = credentials.find(url).token
    if not token:
        raise NotAuthenticated(
            f"no token for `{url}` is known: run `muniment login {url}`, or set MUNIMENT_TOKEN"
        )
    return token


def host_credentials(url: str) -> MlflowHostCreds:
    """Return what MLflow's own REST calls need; `SSL_CERT_FILE` names other authorities to trust."""
    with in_mlflows_terms():
        token = token_of(url)
    return MlflowHostCreds(url, token=token, server_cert_path=os.environ.get("SSL_CERT_FILE"))


@contextmanager
def opened(url: str) -> Iterator[Client]:
    """Give a client of the registry at `url`; errors within are raised in MLflow's terms."""
    with in_mlflows_terms(), Client(url, token_of(url)) as client:
        yield client


@contextmanager
def watched() -> Iterator[OnProgress | None]:
    """Give what draws progress on a terminal, unless MLflow was told not to."""
    from muniment.client.cli.bars import bars  # noqa: PLC0415 -- rich is slow to import

    with bars(quiet=not MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.get()) as on_progress:
        yield on_progress
