"""Where MLflow keeps what is to be registered: its bytes, and what the run says of them.

Everything is asked of the tracking server through MLflow's own client, with its own credentials.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow  # type: ignore[import-not-found]
from mlflow.exceptions import MlflowException  # type: ignore[import-not-found]
from mlflow.store.artifact.artifact_repository_registry import (  # type: ignore[import-not-found]
    get_artifact_repository,
)
from mlflow.store.artifact.local_artifact_repo import (  # type: ignore[import-not-found]
    LocalArtifactRepository,
)

from muniment.client.mlflow_plugin.addresses import without_secrets

_LOGGED = re.compile(r"models:/(m-[0-9a-f]{32})(?:/(.*))?", re.DOTALL)
_VERSION = re.compile(r"models:/[^/@]+(?:/[^/]+|@[^/]+)")
_OVER_HTTP = ("http", "https")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lineage:
    """What MLflow knows of a source: where its bytes lie, its run and logged model, parameters."""

    location: str
    run_id: str = ""
    model_id: str = ""
    params: dict[str, str] = field(default_factory=dict)


def is_with_the_registry(source: str, tracking_uri: str, url: str) -> bool:
    """Say whether the registry at `url` finds the bytes of `source` itself.

    So it is with versions it has, and where it tracks the runs as well.
    """
    if _VERSION.fullmatch(source) and not _LOGGED.fullmatch(source):
        return True
    tracked_here = tracking_uri.rstrip("/") == url
    here = urlsplit(source).scheme in {"models", "runs", "mlflow-artifacts"}
    return tracked_here and (here or source.startswith(f"{url}/"))


def lineage_of(source: str, run_id: str, model_id: str, tracking_uri: str) -> Lineage:
    """Return what the tracking server knows of `source`.

    Raises:
        MlflowException: there is no logged model of that id.
    """
    client: Any = mlflow.MlflowClient(tracking_uri=tracking_uri)
    location, params = source, {}
    logged = _LOGGED.fullmatch(source)
    model_id = model_id or (logged[1] if logged else "")
    if model_id:
        model = client.get_logged_model(model_id)
        run_id = run_id or model.source_run_id or ""
        params = dict(model.params)
        if logged:
            below = f"/{logged[2]}" if logged[2] else ""
            location = model.artifact_location.rstrip("/") + below
    if run_id:
        params = {**_params_of(client, run_id), **params}
    return Lineage(location, run_id, model_id, params)


def _params_of(client: Any, run_id: str) -> dict[str, str]:
    try:
        return dict(client.get_run(run_id).data.params)
    except MlflowException as error:
        _log.warning("Run %s cannot be read, its parameters are not recorded: %s", run_id, error)
        return {}


@contextmanager
def on_this_machine(location: str, tracking_uri: str) -> Iterator[Path]:
    """Give a file or directory with the bytes at `location`; what was fetched is removed again."""
    repository = get_artifact_repository(location, tracking_uri=tracking_uri)
    if isinstance(repository, LocalArtifactRepository):
        yield Path(repository.artifact_dir)
        return
    with tempfile.TemporaryDirectory(prefix="muniment-mlflow-") as scratch:
        yield Path(repository.download_artifacts("", dst_path=scratch))


def shown_tracking(tracking_uri: str) -> str:
    """Return where the run is kept if that is an address for others as well, else nothing."""
    shown = urlsplit(tracking_uri).scheme in _OVER_HTTP or tracking_uri.startswith("databricks")
    return without_secrets(tracking_uri) if shown else ""
