"""What a data scientist does with MLflow, in MLflow's own environment; prints what it saw as JSON.

Started by the conformance tests against a real server. Knows nothing of ours: only `mlflow`.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")

import mlflow  # type: ignore[import-not-found]  # noqa: E402
import numpy as np  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.exceptions import (  # type: ignore[import-not-found]  # noqa: E402
    MlflowException,
)
from sklearn.linear_model import LogisticRegression  # noqa: E402

SEEN: dict[str, Any] = {}
INPUTS = np.array([[0.0], [1.0], [2.0], [3.0]])
client = MlflowClient()


def refused(call: Callable[[], object]) -> list[str]:
    """Return code and message of what `call` is refused with."""
    try:
        call()
    except MlflowException as error:
        return [error.error_code, error.message]
    return ["", "not refused"]


def train() -> str:
    """Train, log and register; return the run's id."""
    model = LogisticRegression().fit(INPUTS, np.array([0, 0, 1, 1]))
    mlflow.set_experiment("churn")
    with mlflow.start_run(run_name="first") as run:
        mlflow.log_params({"C": 1.0, "solver": "lbfgs"})
        for step in range(3):
            mlflow.log_metric("loss", 1.0 / (step + 1), step=step)
        mlflow.log_metrics({"auc": 0.91, "f1": 0.8})
        mlflow.set_tags({"team": "risk"})
        mlflow.log_text("hello", "notes/readme.txt")
        mlflow.log_dict({"a": 1}, "config.json")
        info = mlflow.sklearn.log_model(
            model,
            name="clf",
            registered_model_name="churn model",
            signature=mlflow.models.infer_signature(INPUTS, model.predict(INPUTS)),
        )
        SEEN["logged_as"] = str(info.registered_model_version)
        SEEN["model_id"] = info.model_id
    run_id: str = run.info.run_id
    return run_id


def look_at(run_id: str) -> None:
    """Read the run back."""
    run = client.get_run(run_id)
    SEEN["run"] = {
        "status": run.info.status,
        "params": run.data.params,
        "metrics": run.data.metrics,
        "team": run.data.tags["team"],
        "name": run.info.run_name,
        "models_out": [one.model_id for one in run.outputs.model_outputs],
    }
    SEEN["history"] = [one.value for one in client.get_metric_history(run_id, "loss")]
    SEEN["artifacts"] = sorted(one.path for one in client.list_artifacts(run_id))
    SEEN["notes"] = [one.path for one in client.list_artifacts(run_id, "notes")]
    SEEN["text"] = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/notes/readme.txt")
    experiment = client.get_experiment_by_name("churn")
    SEEN["runs_found"] = [one.info.run_id for one in client.search_runs([experiment.experiment_id])]
    SEEN["param_again"] = refused(lambda: client.log_param(run_id, "C", 2.0))
    logged = client.get_logged_model(SEEN["model_id"])
    SEEN["logged_model"] = [logged.status.value, logged.source_run_id == run_id]


def register_more(run_id: str) -> None:
    """Register the same model by other names and ways."""
    SEEN["by_run"] = mlflow.register_model(f"runs:/{run_id}/clf", "churn model").version
    SEEN["by_model"] = mlflow.register_model(
        f"models:/{SEEN['model_id']}", "churn model", tags={"how": "by model"}
    ).version
    copied = client.copy_model_version("models:/churn model/1", "copied")
    SEEN["copied"] = [copied.name, copied.version, copied.source]
    with mlflow.start_run() as run:
        mlflow.log_text("just a file", "plain/file.txt")
    client.create_registered_model("plain", tags={"a": "b"}, description="no flavor")
    source = f"{run.info.artifact_uri}/plain"
    version = client.create_model_version("plain", source, run.info.run_id, tags={"k": "v"})
    SEEN["plain"] = [version.version, version.tags, version.status]
    SEEN["plain_again"] = refused(lambda: client.create_registered_model("plain"))


def point_and_load() -> None:
    """Aliases, loading and downloading."""
    client.set_registered_model_alias("churn model", "champion", "2")
    loaded = mlflow.pyfunc.load_model("models:/churn model@champion")
    SEEN["predicted"] = [int(one) for one in loaded.predict(INPUTS)]
    by_number = mlflow.sklearn.load_model("models:/churn model/1")
    SEEN["predicted_by_number"] = [int(one) for one in by_number.predict(INPUTS)]
    latest = mlflow.sklearn.load_model("models:/churn model/latest")
    SEEN["predicted_by_latest"] = [int(one) for one in latest.predict(INPUTS)]
    with tempfile.TemporaryDirectory() as there:
        mlflow.artifacts.download_artifacts("models:/churn model/1", dst_path=there)
        SEEN["downloaded"] = sorted(one.name for one in Path(there).rglob("*") if one.is_file())
    SEEN["flavors"] = sorted(mlflow.models.get_model_info("models:/churn model/1").flavors)
    SEEN["alias"] = client.get_model_version_by_alias("churn model", "champion").version
    SEEN["aliases"] = dict(client.get_registered_model("churn model").aliases)
    client.delete_registered_model_alias("churn model", "champion")
    SEEN["alias_gone"] = refused(
        lambda: client.get_model_version_by_alias("churn model", "champion")
    )
    SEEN["alias_latest"] = refused(
        lambda: client.set_registered_model_alias("churn model", "latest", "1")
    )


def describe() -> None:
    """Tags and descriptions."""
    client.set_registered_model_tag("churn model", "owner", "ada")
    client.set_model_version_tag("churn model", "1", "checked", "yes")
    client.set_model_version_tag("churn model", "2", "checked", "no")
    client.delete_model_version_tag("churn model", "2", "never there")
    client.update_registered_model("churn model", "Predicts churn")
    client.update_model_version("churn model", "1", "The first one")
    model = client.get_registered_model("churn model")
    version = client.get_model_version("churn model", "1")
    SEEN["model"] = [model.description, model.tags, model.latest_versions[0].version]
    SEEN["version"] = [version.description, version.tags, version.current_stage]
    client.delete_registered_model_tag("churn model", "owner")
    SEEN["untagged"] = client.get_registered_model("churn model").tags
    SEEN["latest"] = [v.version for v in client.get_latest_versions("churn model")]


def search(run_id: str) -> None:
    """Every operator, orders and pages."""
    filters = [
        "name = 'churn model'",
        "name != 'churn model'",
        "name LIKE 'churn%'",
        "name ILIKE 'CHURN%'",
        "name IN ('churn model', 'plain')",
        f"run_id = '{run_id}'",
        f"run_id IN ('{run_id}')",
        "source_path LIKE 'models:/m-%' AND name = 'churn model'",
        "version_number >= 2 AND name = 'churn model'",
        "version_number < 2 AND version_number != 5",
        "tags.checked = 'yes'",
        "tags.`checked` != 'yes'",
        "tag.\"checked\" ILIKE 'Y%'",
        "tags.how LIKE 'by%' AND name = 'churn model'",
        "tags.nothing = 'x'",
        "name = 'it''s; DROP TABLE version'",
    ]
    SEEN["search"] = {
        one: [
            f"{v.name}/{v.version}"
            for v in client.search_model_versions(one, order_by=["name ASC", "version_number ASC"])
        ]
        for one in filters
    }
    pages, token = [], None
    while True:
        page = client.search_model_versions("", max_results=2, page_token=token)
        pages.append(len(page))
        token = page.token
        if not token:
            break
    SEEN["pages"] = pages
    SEEN["models"] = {
        one: [m.name for m in client.search_registered_models(one, order_by=["name DESC"])]
        for one in ("", "name LIKE 'c%'", "tags.a = 'b'", "name ILIKE '%MODEL'")
    }
    SEEN["bad_filter"] = refused(lambda: client.search_model_versions("name = 'a' OR name = 'b'"))


def refuse() -> None:
    """What cannot be considered."""
    create = client.create_model_version
    SEEN["foreign"] = {
        source: refused(lambda source=source: create("plain", source))  # type: ignore[misc]
        for source in (
            "s3://bucket/model",
            "http://169.254.169.254/latest/meta-data",
            "dbfs:/model",
            "gs://bucket/x",
        )
    }
    SEEN["missing"] = refused(lambda: client.get_registered_model("nobody"))
    SEEN["missing_version"] = refused(lambda: client.get_model_version("plain", "99"))


the_run = train()
look_at(the_run)
register_more(the_run)
point_and_load()
describe()
search(the_run)
refuse()
SEEN["run_id"] = the_run
Path("seen.json").write_text(json.dumps(SEEN), encoding="utf-8")
