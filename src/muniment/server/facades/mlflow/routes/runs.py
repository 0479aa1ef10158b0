"""`runs/…`: what a training script says of itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import msgspec

from muniment.core.errors import BadRequest, NotFound
from muniment.server import tracking
from muniment.server.facades.mlflow.routes.bodies import Int64, Pair
from muniment.server.facades.mlflow.routes.dialect import (
    endpoint,
    offset_of,
    page_size,
    token_for,
    tracking_allowed,
)
from muniment.server.facades.mlflow.routes.experiments import experiment_of, stages_of
from muniment.server.facades.mlflow.rules import limits
from muniment.server.facades.mlflow.rules.render import run_info_json, run_json
from muniment.server.facades.mlflow.rules.wire import given, milliseconds
from muniment.server.http.operation import Call, Operation, Reply
from muniment.server.http.records import Verb
from muniment.server.ports.db import Tx
from muniment.server.tracking.records import ACTIVE, DELETED, Metric, Run, RunNotes

_R: Final = "/mlflow/runs"
_STATUSES: Final = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")
_MAX_RESULTS: Final = 50_000


class NewRun(msgspec.Struct):
    """A run to begin."""

    experiment_id: str = "0"
    user_id: str = ""
    run_name: str = ""
    start_time: Int64 = 0
    tags: list[Pair] = []


class RunAt(msgspec.Struct):
    """Which run."""

    run_id: str = ""
    run_uuid: str = ""


class UpdatedRun(msgspec.Struct):
    """How a run goes."""

    run_id: str = ""
    run_uuid: str = ""
    status: str = ""
    end_time: Int64 = 0
    run_name: str = ""


class MetricBody(msgspec.Struct):
    """One value of a metric."""

    key: str
    value: float | str
    timestamp: Int64
    step: Int64 = 0
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class LoggedMetric(MetricBody):
    """One value of a metric of a run."""

    run_id: str = ""
    run_uuid: str = ""


class LoggedPair(msgspec.Struct):
    """A parameter or tag of a run."""

    key: str
    value: str = ""
    run_id: str = ""
    run_uuid: str = ""


class UntaggedRun(msgspec.Struct):
    """A tag of a run to take off."""

    run_id: str
    key: str


class Batch(msgspec.Struct):
    """Much at once."""

    run_id: str
    metrics: list[MetricBody] = []
    params: list[Pair] = []
    tags: list[Pair] = []


class Inputs(msgspec.Struct):
    """What went into a run."""

    run_id: str
    datasets: list[dict[str, Any]] = []
    models: list[dict[str, Any]] = []


class Outputs(msgspec.Struct):
    """What came out of a run."""

    run_id: str
    models: list[dict[str, Any]] = []


class SavedModel(msgspec.Struct):
    """A model saved under a run's artifacts, as clients before 3 say it."""

    run_id: str
    model_json: str


class RunsSearched(msgspec.Struct):
    """What to look for."""

    experiment_ids: list[str] = []
    filter: str = ""
    run_view_type: str = ""
    max_results: int = 1000
    page_token: str = ""


async def run_of(tx: Tx, body: Any, *, lock: bool = False) -> Run:
    """Return the run a request names.

    Raises:
        BadRequest: it names none.
        NotFound: there is none of that id.
    """
    run_id: str = body.run_id or getattr(body, "run_uuid", "")
    if not run_id:
        raise BadRequest("Missing value for required parameter 'run_id'.")
    run = await tracking.find_run(tx, run_id, lock=lock)
    if run is None:
        raise NotFound(f"Run with id={run_id[:80]} not found")
    return run


def _root(run: Run) -> str:
    return tracking.run_root(run.experiment_id, run.id)


async def create_run(call: Call, tx: Tx) -> Reply:
    """Begin a run."""
    tracking_allowed(call, Verb.REGISTER)
    body: NewRun = call.body
    experiment = await experiment_of(tx, body.experiment_id or "0")
    if experiment.lifecycle_stage != ACTIVE:
        raise BadRequest(
            f"The experiment {experiment.id} must be in the 'active' state: it was deleted"
        )
    run_id = call.new_id().hex
    tags = {tag.key: tag.value for tag in body.tags}
    limits.check_pairs("tags", tags, limits.TAG_MAX_CHARS)
    name = body.run_name or tags.get("mlflow.runName") or f"run-{run_id[-8:]}"
    run = Run(
        id=run_id,
        experiment_id=experiment.id,
        name=name,
        user_name=body.user_id or call.caller.name,
        principal_id=call.caller.id,
        status="RUNNING",
        start_time_ms=body.start_time or milliseconds(call.now),
        tags={**tags, "mlflow.runName": name},
    )
    await tracking.create_run(tx, run)
    return Reply({"run": run_json(run, _root(run))})


async def get_run(call: Call, tx: Tx) -> Reply:
    """Return a run."""
    tracking_allowed(call, Verb.READ)
    run = await run_of(tx, call.query)
    return Reply({"run": run_json(run, _root(run))})


async def update_run(call: Call, tx: Tx) -> Reply:
    """Say how a run goes."""
    tracking_allowed(call, Verb.REGISTER)
    body: UpdatedRun = call.body
    if body.status and body.status not in _STATUSES:
        raise BadRequest(f"Invalid status {body.status[:80]!r}: expected {', '.join(_STATUSES)}")
    run = await run_of(tx, body, lock=True)
    run = replace(
        run,
        status=body.status or run.status,
        end_time_ms=body.end_time or run.end_time_ms,
        name=body.run_name or run.name,
    )
    await tracking.update_run(tx, run)
    if body.run_name:
        await tracking.note_run(tx, run.id, RunNotes(tags={"mlflow.runName": body.run_name}))
    return Reply({"run_info": run_info_json(run, _root(run))})


async def delete_run(call: Call, tx: Tx) -> Reply:
    """Hide a run. What was registered from it stays."""
    return await _stage(call, tx, DELETED)


async def restore_run(call: Call, tx: Tx) -> Reply:
    """Show a hidden run again."""
    return await _stage(call, tx, ACTIVE)


async def _stage(call: Call, tx: Tx, stage: str) -> Reply:
    tracking_allowed(call, Verb.REGISTER)
    run = await run_of(tx, call.body, lock=True)
    await tracking.update_run(tx, replace(run, lifecycle_stage=stage))
    return Reply({})


async def log_metric(call: Call, tx: Tx) -> Reply:
    """Keep one value of a metric."""
    body: LoggedMetric = call.body
    return await _note(call, tx, RunNotes(metrics=[_metric(body)]))


def _metric(body: MetricBody) -> Metric:
    try:
        value = float(body.value)
    except ValueError:
        raise BadRequest(f"Invalid value {body.value!r:.80} for metric {body.key[:80]!r}") from None
    return Metric(
        body.key,
        value,
        body.timestamp,
        body.step,
        body.model_id or None,
        body.dataset_name or None,
        body.dataset_digest or None,
    )


async def log_parameter(call: Call, tx: Tx) -> Reply:
    """Keep a parameter, which never changes afterwards."""
    body: LoggedPair = call.body
    return await _note(call, tx, RunNotes(params={body.key: body.value}))


async def set_tag(call: Call, tx: Tx) -> Reply:
    """Set a tag of a run."""
    body: LoggedPair = call.body
    return await _note(call, tx, RunNotes(tags={body.key: body.value}))


async def delete_tag(call: Call, tx: Tx) -> Reply:
    """Take a tag off a run."""
    body: UntaggedRun = call.body
    return await _note(call, tx, RunNotes(tags={body.key: None}))


async def log_batch(call: Call, tx: Tx) -> Reply:
    """Keep metrics, parameters and tags together."""
    body: Batch = call.body
    notes = RunNotes(
        params={one.key: one.value for one in body.params},
        tags={one.key: one.value for one in body.tags},
        metrics=[_metric(one) for one in body.metrics],
    )
    return await _note(call, tx, notes)


async def log_inputs(call: Call, tx: Tx) -> Reply:
    """Keep what went into a run."""
    body: Inputs = call.body
    return await _note(call, tx, RunNotes(inputs=body.datasets, models_in=body.models))


async def log_outputs(call: Call, tx: Tx) -> Reply:
    """Keep what came out of a run."""
    body: Outputs = call.body
    return await _note(call, tx, RunNotes(models_out=body.models))


async def log_model(call: Call, tx: Tx) -> Reply:
    """Keep that a model was saved under a run's artifacts, in the tag where clients look for it."""
    body: SavedModel = call.body
    tracking_allowed(call, Verb.REGISTER)
    run = await run_of(tx, body, lock=True)
    try:
        saved = msgspec.json.decode(body.model_json)
        before = msgspec.json.decode(run.tags.get("mlflow.log-model.history", "[]"))
    except msgspec.DecodeError:
        raise BadRequest("Malformed model info: it is not JSON") from None
    history = msgspec.json.encode([*before, saved]).decode()
    return await _note(call, tx, RunNotes(tags={"mlflow.log-model.history": history}), kept=True)


def _check(notes: RunNotes) -> None:
    """Go on only if all of it is within MLflow's limits."""
    limits.check_pairs("params", notes.params, limits.PARAM_MAX_CHARS)
    limits.check_pairs("tags", notes.tags, limits.TAG_MAX_CHARS)
    limits.check_keys(one.key for one in notes.metrics)
    limits.check_count("metrics", len(notes.metrics), limits.METRICS_MAX)
    together = len(notes.params) + len(notes.tags) + len(notes.metrics)
    limits.check_count("metrics, params, and tags", together, limits.METRICS_MAX)
    for what, found in (
        ("datasets", notes.inputs),
        ("models", notes.models_in),
        ("models", notes.models_out),
    ):
        limits.check_count(what, len(found), limits.METRICS_MAX)


async def _note(call: Call, tx: Tx, notes: RunNotes, *, kept: bool = False) -> Reply:
    """Keep what is said of a run; `kept` is of our own making, and may be longer."""
    tracking_allowed(call, Verb.REGISTER)
    if not kept:
        _check(notes)
    run = await run_of(tx, call.body, lock=True)
    if run.lifecycle_stage != ACTIVE:
        raise BadRequest(f"The run {run.id} must be in the 'active' state: it was deleted")
    for key, value in notes.params.items():
        if run.params.get(key, value) != value:
            raise BadRequest(
                "Changing param values is not allowed. Param with key="
                f"'{key[:250]}' was already logged with value='{run.params[key][:200]}'"
                f" for run ID='{run.id}'. Attempted logging new value '{value[:200]}'."
            )
    await tracking.note_run(tx, run.id, notes)
    return Reply({})


async def search_runs(call: Call, tx: Tx) -> Reply:
    """Return the runs of experiments, newest first. Filters are not offered: runs are lineage here."""
    tracking_allowed(call, Verb.READ)
    body: RunsSearched = call.body
    limit = page_size(body.max_results, most=_MAX_RESULTS)
    if body.filter.strip():
        raise BadRequest(
            "runs are listed by experiment here, without a filter: this is a registry, and runs are"
            " kept as lineage of what is registered. Filter what comes back instead"
        )
    stages = stages_of(body.run_view_type)
    experiments = [(await experiment_of(tx, one)).id for one in body.experiment_ids]
    offset = offset_of(body.page_token)
    runs = await tracking.list_runs(tx, experiments, stages=stages, limit=limit + 1, offset=offset)
    more = token_for(offset + limit) if len(runs) > limit else None
    shown = [run_json(run, _root(run)) for run in runs[:limit]]
    return Reply(given(runs=shown, next_page_token=more))


def _write(path: str, handler: Any, takes: type[msgspec.Struct]) -> list[Operation]:
    return endpoint("POST", _R + path, handler, takes, needs=Verb.REGISTER)


OPERATIONS: list[Operation] = [
    *_write("/create", create_run, NewRun),
    *endpoint("GET", f"{_R}/get", get_run, RunAt),
    *_write("/update", update_run, UpdatedRun),
    *_write("/delete", delete_run, RunAt),
    *_write("/restore", restore_run, RunAt),
    *_write("/log-metric", log_metric, LoggedMetric),
    *_write("/log-parameter", log_parameter, LoggedPair),
    *_write("/set-tag", set_tag, LoggedPair),
    *_write("/delete-tag", delete_tag, UntaggedRun),
    *_write("/log-batch", log_batch, Batch),
    *_write("/log-inputs", log_inputs, Inputs),
    *_write("/outputs", log_outputs, Outputs),
    *_write("/log-model", log_model, SavedModel),
    *endpoint("POST", f"{_R}/search", search_runs, RunsSearched),
]
