"""What a team does with MLflow's stages, aliases, renames and deletions; what it saw is in `seen.json`.

Nothing of ours is imported: this runs in an environment that has MLflow's client only. The server
is asked to enforce its rules by its own API, as an administrator would from the command line.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow  # type: ignore[import-not-found]
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException  # type: ignore[import-not-found]

warnings.filterwarnings("ignore")
SEEN: dict[str, Any] = {"mlflow": mlflow.__version__}
URL = os.environ["MLFLOW_TRACKING_URI"]
HEADERS = {"Authorization": f"Bearer {os.environ['MLFLOW_TRACKING_TOKEN']}"}


class Doubled(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A model as small as they come."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        del context, params
        return [2 * one for one in model_input["x"]]


def refused(call: Callable[[], object]) -> list[str]:
    """Return code and message of what `call` is refused with."""
    try:
        call()
    except MlflowException as error:
        return [error.error_code, str(error)]
    return ["", "not refused"]


def stages(client: MlflowClient, name: str) -> dict[str, str]:
    """Return the stage of each version."""
    return {v.version: v.current_stage for v in client.search_model_versions(f"name = '{name}'")}


def registered(name: str, count: int) -> None:
    """Register the same small model some times."""
    with mlflow.start_run() as run:
        mlflow.pyfunc.log_model("model", python_model=Doubled())
    for _ in range(count):
        mlflow.register_model(f"runs:/{run.info.run_id}/model", name)


def moved(client: MlflowClient) -> None:
    """Move stages as everybody did before aliases."""
    registered("risk", 3)
    move = client.transition_model_version_stage
    SEEN["moved"] = [
        move("risk", "1", "staging").current_stage,
        move("risk", "1", "Production").current_stage,
        move("risk", "2", "Production", archive_existing_versions=True).current_stage,
    ]
    SEEN["stages"] = stages(client, "risk")
    SEEN["latest"] = {v.current_stage: v.version for v in client.get_latest_versions("risk")}
    SEEN["latest_production"] = [
        v.version for v in client.get_latest_versions("risk", ["Production"])
    ]
    data = {"x": [1, 2]}
    SEEN["predicted"] = {
        uri: list(mlflow.pyfunc.load_model(uri).predict(data))
        for uri in ("models:/risk/Production", "models:/risk/production", "models:/risk/None")
    }
    SEEN["odd"] = refused(lambda: move("risk", "1", "Limbo"))
    SEEN["no_archive"] = refused(lambda: move("risk", "1", "None", archive_existing_versions=True))
    SEEN["back"] = move("risk", "1", "Production", archive_existing_versions=True).current_stage
    SEEN["after"] = stages(client, "risk")


def ended(client: MlflowClient) -> None:
    """Rename, delete, and try to get names and numbers back."""
    client.set_registered_model_alias("risk", "mine", "3")
    client.rename_registered_model("risk", "hazard")
    SEEN["renamed"] = [client.get_registered_model("hazard").name, stages(client, "hazard")]
    SEEN["old_name"] = refused(lambda: client.get_registered_model("risk"))
    SEEN["reserved"] = refused(lambda: client.create_registered_model("risk"))
    SEEN["deployed"] = refused(lambda: client.delete_model_version("hazard", "1"))
    client.delete_model_version("hazard", "3")
    SEEN["deleted"] = refused(lambda: client.get_model_version("hazard", "3"))
    SEEN["alias_of_deleted"] = refused(lambda: client.get_model_version_by_alias("hazard", "mine"))
    copied = client.create_model_version("hazard", "models:/hazard/2")
    SEEN["next"] = copied.version
    SEEN["copied_tags"] = copied.tags
    registered("gone", 1)
    client.delete_registered_model("gone")
    SEEN["gone"] = refused(lambda: client.get_registered_model("gone"))
    SEEN["again"] = refused(lambda: client.create_registered_model("gone"))
    SEEN["models"] = sorted(model.name for model in client.search_registered_models())


def retired(client: MlflowClient) -> None:
    """A version that was retired by our own API is not found through an alias any more."""
    registered("old", 2)
    client.set_registered_model_alias("old", "mine", "1")
    path = f"{URL}/api/v1/assets/default/old/versions/1/retire"
    requests.post(
        path, json={"reason": "superseded"}, headers=HEADERS, timeout=30
    ).raise_for_status()
    SEEN["retired"] = refused(lambda: mlflow.pyfunc.load_model("models:/old@mine"))
    SEEN["retired_stage"] = stages(client, "old")


def enforced(client: MlflowClient) -> None:
    """Once the rules are enforced, a person asks and a pipeline moves."""
    path = f"{URL}/api/v1/namespaces/default"
    body = {"mode": "enforce", "reason": "the team is ready"}
    requests.patch(path, json=body, headers=HEADERS, timeout=30).raise_for_status()
    move = client.transition_model_version_stage
    SEEN["stage_refused"] = refused(lambda: move("hazard", "2", "Production"))
    SEEN["alias_refused"] = refused(
        lambda: client.set_registered_model_alias("hazard", "champion", "2")
    )
    SEEN["alias_kept"] = refused(
        lambda: client.set_registered_model_alias("hazard", "challenger", "2")
    )
    SEEN["stages_kept"] = stages(client, "hazard")
    SEEN["tag_refused"] = refused(
        lambda: client.set_model_version_tag("hazard", "1", "muniment.approved", "true")
    )
    SEEN["tags"] = client.get_model_version("hazard", "1").tags


if __name__ == "__main__":
    one = MlflowClient()
    moved(one)
    ended(one)
    retired(one)
    enforced(one)
    Path("seen.json").write_text(json.dumps(SEEN))
