"""Our things as MLflow writes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from muniment.server.catalog.records import Kind
from muniment.server.facades.mlflow.records import FoundModel, FoundVersion
from muniment.server.facades.mlflow.rules import derived, prompts
from muniment.server.facades.mlflow.rules.wire import given, milliseconds, pairs
from muniment.server.federation.records import Fetch, FetchState
from muniment.server.tracking.records import Experiment, LoggedModel, Metric, Run

Json = dict[str, Any]


def version_json(version: FoundVersion) -> Json:
    """Return a model version."""
    about = version.about
    tags = {**version.tags, **prompt_tags(version), **derived.tags_of(version)}
    shown: Json = {
        "name": version.name,
        "version": str(version.number),
        "creation_timestamp": milliseconds(version.registered_at),
        "last_updated_timestamp": milliseconds(version.updated_at),
        "current_stage": version.stage.value,
        "source": about.get("source") or f"mlflow-artifacts:/versions/{version.id}",
        "status": "READY",
    }
    if version.description:
        shown["description"] = version.description
    if version.run_id is not None:
        shown["run_id"] = version.run_id
    for name in ("run_link", "model_id"):
        if about.get(name) is not None:
            shown[name] = about[name]
    if tags:
        shown["tags"] = pairs(tags)
    if version.aliases:
        shown["aliases"] = list(version.aliases)
    return shown


def fetch_json(fetch: Fetch) -> Json:
    """Return a version whose bytes are fetched, or could not be."""
    failed = fetch.state is FetchState.FAILED
    about = fetch.about
    return given(
        name=str(fetch.asset.name),
        version=str(fetch.number),
        creation_timestamp=milliseconds(fetch.asked_at),
        last_updated_timestamp=milliseconds(fetch.ended_at or fetch.asked_at),
        current_stage="None",
        description=about.description or None,
        source=fetch.source,
        run_id=about.run_id or None,
        status="FAILED_REGISTRATION" if failed else "PENDING_REGISTRATION",
        status_message=fetch.reason or None,
        run_link=about.run_link or None,
        model_id=about.model_id or None,
        tags=pairs(about.tags),
    )


def prompt_tags(version: FoundVersion) -> dict[str, str]:
    """Return the tags that show what a prompt says; nothing for a model."""
    return {} if version.prompt is None else prompts.tags_of(version.prompt, version.about)


def model_json(model: FoundModel) -> Json:
    """Return a registered model with the latest version of each stage."""
    kind = {prompts.IS_PROMPT: "true"} if model.kind is Kind.PROMPT else {}
    return given(
        name=model.name,
        creation_timestamp=milliseconds(model.created_at),
        last_updated_timestamp=milliseconds(model.updated_at),
        description=model.description or None,
        latest_versions=[version_json(one) for one in model.latest_versions],
        tags=pairs({**model.tags, **kind}),
        aliases=[{"alias": name, "version": str(number)} for name, number in model.aliases],
    )


def experiment_json(experiment: Experiment) -> Json:
    """Return an experiment."""
    return given(
        experiment_id=str(experiment.id),
        name=experiment.name,
        artifact_location=f"mlflow-artifacts:/{experiment.id}",
        lifecycle_stage=experiment.lifecycle_stage,
        creation_time=milliseconds(experiment.created_at),
        last_update_time=milliseconds(experiment.updated_at),
        tags=pairs(experiment.tags),
    )


def metric_json(metric: Metric, run_id: str | None = None) -> Json:
    """Return a value of a metric."""
    return given(
        key=metric.key,
        value=_number(metric.value),
        timestamp=metric.timestamp_ms,
        step=metric.step,
        model_id=metric.model_id,
        dataset_name=metric.dataset_name,
        dataset_digest=metric.dataset_digest,
        run_id=run_id,
    )


def _number(value: float) -> float | str:
    """Return a number; JSON has no NaN and no infinity, protobuf writes them as text."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def run_info_json(run: Run, root: str) -> Json:
    """Return a run's head; `root` is where its artifacts lie."""
    return given(
        run_id=run.id,
        run_uuid=run.id,
        run_name=run.name,
        experiment_id=str(run.experiment_id),
        user_id=run.user_name,
        status=run.status,
        start_time=run.start_time_ms,
        end_time=run.end_time_ms,
        artifact_uri=f"mlflow-artifacts:/{root}",
        lifecycle_stage=run.lifecycle_stage,
    )


def run_json(run: Run, root: str) -> Json:
    """Return a run with its data, inputs and outputs."""
    return {
        "info": run_info_json(run, root),
        "data": given(
            metrics=[metric_json(one) for one in run.metrics],
            params=pairs(run.params),
            tags=pairs(run.tags),
        ),
        "inputs": given(dataset_inputs=list(run.inputs), model_inputs=list(run.models_in)),
        "outputs": given(model_outputs=list(run.models_out)),
    }


def logged_json(model: LoggedModel, root: str, metrics: Sequence[tuple[str, Metric]] = ()) -> Json:
    """Return a logged model; `metrics` come with the runs that said them."""
    info = given(
        model_id=model.id,
        experiment_id=str(model.experiment_id),
        name=model.name,
        creation_timestamp_ms=milliseconds(model.created_at),
        last_updated_timestamp_ms=milliseconds(model.updated_at),
        artifact_uri=f"mlflow-artifacts:/{root}",
        status=model.status,
        model_type=model.model_type or None,
        source_run_id=model.source_run_id,
        tags=pairs(model.tags),
    )
    measured = [metric_json(metric, run_id) for run_id, metric in metrics]
    return {"info": info, "data": given(params=pairs(model.params), metrics=measured)}


def merged(items: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return tags or parameters, as MLflow sends them, as a mapping; the last of a key holds."""
    return {item["key"]: item["value"] for item in items}
