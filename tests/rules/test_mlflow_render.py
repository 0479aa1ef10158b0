"""Our things as MLflow writes them: what is not set is left out."""

from __future__ import annotations

import datetime as dt
import math
import uuid

import pytest

from muniment.server.facades.mlflow.records import FoundModel, FoundVersion
from muniment.server.facades.mlflow.rules import render
from muniment.server.tracking.records import Experiment, LoggedModel, Metric, Run

AT = dt.datetime(2026, 4, 20, tzinfo=dt.UTC)
AT_MS = 1776643200000
ID = uuid.UUID("01a1fc65-6121-7000-8bfb-3651fd695a46")


def version(**said: object) -> FoundVersion:
    plain: dict[str, object] = {"description": "", "tags": {}, "run_id": None, "about": {}}
    return FoundVersion(ID, "m", 3, AT, AT, **(plain | said))  # type: ignore[arg-type]


def test_a_version_registered_elsewhere_has_the_least() -> None:
    assert render.version_json(version()) == {
        "name": "m",
        "version": "3",
        "creation_timestamp": AT_MS,
        "last_updated_timestamp": AT_MS,
        "current_stage": "None",
        "source": f"mlflow-artifacts:/versions/{ID}",
        "status": "READY",
    }


def test_a_version_of_a_prompt_shows_what_it_says_as_tags() -> None:
    shown = render.version_json(version(prompt={"template": "Hi {{x}}"}, tags={"k": "v"}))
    tags = {tag["key"]: tag["value"] for tag in shown["tags"]}
    assert {"k": "v", "mlflow.prompt.text": "Hi {{x}}"}.items() <= tags.items()


def test_a_version_registered_through_mlflow_says_so() -> None:
    about = {"source": "runs:/r/m", "run_link": "l", "model_id": "m-1"}
    shown = render.version_json(
        version(about=about, run_id="r", description="d", tags={"k": "v"}, aliases=("champion",))
    )
    assert shown["source"] == "runs:/r/m"
    assert (shown["run_link"], shown["model_id"], shown["run_id"]) == ("l", "m-1", "r")
    assert shown["description"] == "d"
    assert shown["tags"] == [{"key": "k", "value": "v"}]
    assert shown["aliases"] == ["champion"]


def test_a_model_shows_its_latest_version() -> None:
    bare = FoundModel("m", AT, AT, "", {})
    assert render.model_json(bare) == {
        "name": "m",
        "creation_timestamp": AT_MS,
        "last_updated_timestamp": AT_MS,
    }
    full = FoundModel("m", AT, AT, "d", {"a": "b"}, [("champion", 3)], [version()])
    shown = render.model_json(full)
    assert shown["latest_versions"] == [render.version_json(version())]
    assert shown["aliases"] == [{"alias": "champion", "version": "3"}]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.5, 0.5), (math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")],
)
def test_numbers_json_does_not_have_are_text(value: float, shown: object) -> None:
    metric = Metric("k", value, 1, 0)
    assert render.metric_json(metric, "r") == {
        "key": "k",
        "value": shown,
        "timestamp": 1,
        "step": 0,
        "run_id": "r",
    }


def test_runs_models_and_experiments() -> None:
    run = Run(
        "r", 0, "first", "ada", ID, "RUNNING", 5, params={"C": "1"}, metrics=[Metric("k", 1, 1, 0)]
    )
    shown = render.run_json(run, "0/r/artifacts")
    assert shown["info"]["artifact_uri"] == "mlflow-artifacts:/0/r/artifacts"
    assert "end_time" not in shown["info"]
    assert shown["data"]["params"] == [{"key": "C", "value": "1"}]
    assert shown["inputs"] == shown["outputs"] == {}
    model = LoggedModel("m-1", 0, "clf", "", None, ID, "LOGGED_MODEL_READY", AT, AT)
    logged = render.logged_json(model, "root", [("r", Metric("k", 1, 1, 0))])
    assert logged["data"]["metrics"][0]["run_id"] == "r"
    assert "source_run_id" not in logged["info"]
    experiment = render.experiment_json(Experiment(0, "Default", "active", {}, AT, AT))
    assert experiment["artifact_location"] == "mlflow-artifacts:/0"


def test_the_last_of_a_key_holds() -> None:
    assert render.merged([{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]) == {"a": "2"}


def test_a_value_of_a_metric_names_its_run_where_it_is_asked_for() -> None:
    value = Metric("loss", 0.5, AT_MS, 3)
    shown = render.metric_json(value, "r")
    assert {"key": "loss", "value": 0.5, "timestamp": AT_MS, "step": 3, "run_id": "r"}.items() <= (
        shown.items()
    )
    assert "run_id" not in render.metric_json(value)
