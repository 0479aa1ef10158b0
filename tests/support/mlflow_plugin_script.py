"""What a data scientist does with MLflow and our plugin: runs tracked anywhere, models with us.

`mlflow_plugin_script.py all URL` trains, logs, registers, finds and loads; `push DIRECTORY` registers
a directory. Before what is watched from outside it prints `@NAME` and waits for a line. Knows only
`mlflow`; what it saw is in `seen.json`.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")

import mlflow  # type: ignore[import-not-found]  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.exceptions import (  # type: ignore[import-not-found]  # noqa: E402
    MlflowException,
)

SEEN: dict[str, Any] = {}


def pause(name: str) -> None:
    """Let whoever watches do something."""
    print(f"@{name}", flush=True)
    sys.stdin.readline()


def refused(call: Callable[[], object]) -> list[str]:
    """Return MLflow's code, ours, and the message of what `call` is refused with."""
    try:
        call()
    except MlflowException as error:
        return [error.error_code, getattr(error, "code", ""), error.message]
    return ["", "", "not refused"]


def tokens(url: str) -> None:
    """Whom a token is sent to: from the environment, and as `muniment login` kept it for `url`."""
    import requests  # noqa: PLC0415
    from mlflow.tracking.request_auth.registry import (  # type: ignore[import-not-found]  # noqa: PLC0415
        fetch_auth,
    )

    add_token = fetch_auth("muniment")

    def sent() -> dict[str, bool]:
        host = url.rsplit(":", 1)[0]
        urls = (f"{url}/api", f"{host}:1/api", f"{host}.evil/api", "https://elsewhere.example/api")
        prepared = {one: requests.Request("GET", one).prepare() for one in urls}
        return {one: "Authorization" in add_token(each).headers for one, each in prepared.items()}

    token = os.environ.pop("MUNIMENT_TOKEN")
    SEEN["token_saved"] = sent()
    SEEN["no_token"] = refused(lambda: MlflowClient().get_registered_model("churn model"))
    os.environ["MLFLOW_TRACKING_AUTH"] = "muniment"
    here = MlflowClient(tracking_uri=url)
    SEEN["tracked_here"] = [one.name for one in here.search_experiments()]
    os.environ["MUNIMENT_CONFIG_HOME"] = "nowhere"
    os.environ["MUNIMENT_TOKEN"] = token
    SEEN["token_by_registry_uri"] = sent()  # the registry is a muniment:// address: nobody's token
    os.environ["MUNIMENT_URL"] = url
    SEEN["token_by_url"] = sent()


def everything(url: str) -> None:
    """Train, log, register, find, load."""
    import numpy as np  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    client = MlflowClient()
    inputs = np.array([[0.0], [1.0], [2.0], [3.0]])
    model = LogisticRegression().fit(inputs, np.array([0, 0, 1, 1]))
    mlflow.set_experiment("churn")
    with mlflow.start_run() as run:
        mlflow.log_params({"C": 1.0})
        info = mlflow.sklearn.log_model(
            model,
            name="clf",
            registered_model_name="churn model",
            signature=mlflow.models.infer_signature(inputs, model.predict(inputs)),
            pip_requirements=["scikit-learn"],
        )
    SEEN["run_id"], SEEN["model_id"] = run.info.run_id, info.model_id
    SEEN["logged_as"] = str(info.registered_model_version)
    pause("first is registered")
    version = mlflow.register_model(f"runs:/{run.info.run_id}/clf", "churn model", tags={"k": "v"})
    pause("second is registered")
    SEEN["by_run"] = [version.version, version.status, version.tags, version.run_id]
    client.set_registered_model_alias("churn model", "champion", version.version)
    loaded = mlflow.pyfunc.load_model("models:/churn model@champion")
    SEEN["predicted"] = [int(one) for one in loaded.predict(inputs)]
    copied = client.copy_model_version("models:/churn model/1", "copied")
    SEEN["copied"] = [copied.version, copied.source]
    found = client.search_model_versions("name = 'churn model'", order_by=["version_number ASC"])
    SEEN["found"] = [[one.version, one.status, one.run_id] for one in found]
    SEEN["uri"] = client.get_model_version_download_uri("churn model", "1")
    listed = mlflow.artifacts.list_artifacts("models:/churn model/1")
    SEEN["listed"] = sorted(one.path for one in listed if not one.is_dir)
    one = Path("one")
    one.mkdir()
    SEEN["one"] = mlflow.artifacts.download_artifacts(SEEN["uri"] + "/MLmodel", dst_path="one")
    SEEN["direct"] = sorted(
        each.name for each in Path(mlflow.artifacts.download_artifacts(SEEN["uri"])).iterdir()
    )
    refusals(client)
    pause("tamper")
    Path("bad").mkdir()
    SEEN["tampered"] = refused(
        lambda: mlflow.artifacts.download_artifacts("models:/churn model/1", dst_path="bad")
    )
    SEEN["tampered_load"] = refused(lambda: mlflow.sklearn.load_model("models:/churn model/2"))
    SEEN["bad"] = sorted(each.name for each in Path("bad").iterdir())
    tokens(url)


def refusals(client: MlflowClient) -> None:
    """What the registry refuses, through its REST answers and through the SDK."""
    linked = Path("linked")
    linked.mkdir()
    linked.joinpath("MLmodel").write_text("flavors: {}")
    linked.joinpath("link").symlink_to("/etc/hostname")
    uri = SEEN["uri"]
    SEEN["refused"] = {
        "link": refused(lambda: mlflow.register_model(str(linked), "linked")),
        "missing": refused(lambda: client.get_model_version("churn model", "99")),
        "missing uri": refused(lambda: client.get_model_version_download_uri("churn model", "99")),
        "missing file": refused(lambda: mlflow.artifacts.download_artifacts(f"{uri}/nothing")),
        "outside": refused(lambda: mlflow.artifacts.download_artifacts(f"{uri}/../x")),
        "delete": refused(lambda: client.delete_registered_model("churn model")),
        "write": refused(
            lambda: mlflow.store.artifact.artifact_repository_registry.get_artifact_repository(
                uri
            ).log_artifacts("one")
        ),
        "address": refused(lambda: MlflowClient(registry_uri="muniment://u:p@h").get_model_version("m", 1)),
    }  # fmt: skip


def push(directory: str) -> None:
    """Register a directory that MLflow tracks nowhere."""
    version = mlflow.register_model(directory, "big")
    SEEN["pushed"] = [version.version, version.status]


def main(way: str, *rest: str) -> None:
    """Do it, and leave what was seen."""
    everything(*rest) if way == "all" else push(*rest)
    Path("seen.json").write_text(json.dumps(SEEN))


if __name__ == "__main__":
    main(*sys.argv[1:])
