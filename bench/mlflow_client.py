"""What a data scientist waits for, with MLflow's own client; run by the interpreter MLflow is installed in.

`python -P mlflow_client.py URL source` logs a small real model and prints {"source", "model_id"}.
`python -P mlflow_client.py URL calls NAME ROUNDS` registers, finds and loads that model again and
again and prints the seconds of each round by call. Imports are not counted.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

warnings.filterwarnings("ignore")

import mlflow  # type: ignore[import-not-found]  # noqa: E402
import numpy as np  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402


def logged() -> Any:
    """Log a small model; return what MLflow says of it."""
    inputs = np.array([[0.0], [1.0], [2.0], [3.0]])
    model = LogisticRegression().fit(inputs, np.array([0, 0, 1, 1]))
    mlflow.set_experiment("bench-client")
    return mlflow.sklearn.log_model(
        model,
        name="clf",
        signature=mlflow.models.infer_signature(inputs, model.predict(inputs)),
        pip_requirements=["scikit-learn"],
    )


def calls(name: str, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of every round by call; the first round warms up and is left out."""
    client, source = MlflowClient(), logged().model_uri
    acts: dict[str, Callable[[], object]] = {
        "log_model, registered": lambda: _log_registered(name),
        "register_model": lambda: mlflow.register_model(source, name),
        "set_registered_model_alias": lambda: client.set_registered_model_alias(name, "best", "1"),
        "get_model_version_by_alias": lambda: client.get_model_version_by_alias(name, "best"),
        "search_model_versions": lambda: client.search_model_versions(f"name = '{name}'"),
        "load_model": lambda: mlflow.sklearn.load_model(f"models:/{name}@best"),
    }
    took: dict[str, list[float]] = {act: [] for act in acts}
    for at in range(rounds + 1):
        for act, call in acts.items():
            began = time.perf_counter()
            call()
            if at:
                took[act].append(time.perf_counter() - began)
    return took


def _log_registered(name: str) -> None:
    model = LogisticRegression().fit(np.array([[0.0], [1.0]]), np.array([0, 1]))
    mlflow.sklearn.log_model(
        model, name="clf", registered_model_name=name, pip_requirements=["scikit-learn"]
    )


def main(url: str, way: str, *rest: str) -> None:
    """Do it and print."""
    mlflow.set_tracking_uri(url)
    if way == "source":
        info = logged()
        print(json.dumps({"source": info.model_uri, "model_id": info.model_id}))
    else:
        print(json.dumps(calls(rest[0], int(rest[1]))))


if __name__ == "__main__":
    main(*sys.argv[1:])
