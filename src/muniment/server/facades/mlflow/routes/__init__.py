"""MLflow's endpoints."""

from muniment.server.facades.mlflow.routes import (
    aliases,
    artifacts,
    endings,
    experiments,
    logged_models,
    metrics,
    multipart,
    registered_models,
    runs,
    server,
    stages,
    uploaded,
    versions,
    webhooks,
)
from muniment.server.facades.mlflow.routes.dialect import DIALECT
from muniment.server.http.operation import Operation

OPERATIONS: list[Operation] = [
    *server.OPERATIONS,
    *registered_models.OPERATIONS,
    *versions.OPERATIONS,
    *aliases.OPERATIONS,
    *stages.OPERATIONS,
    *endings.OPERATIONS,
    *experiments.OPERATIONS,
    *runs.OPERATIONS,
    *metrics.OPERATIONS,
    *logged_models.OPERATIONS,
    *artifacts.OPERATIONS,
    *multipart.OPERATIONS,
    *webhooks.OPERATIONS,
]

OURS: list[Operation] = uploaded.OPERATIONS  # in our own manners: for our plugin of MLflow's client

__all__ = ["DIALECT", "OPERATIONS", "OURS"]
