"""`experiments/…`."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from muniment.core.errors import BadRequest, NotFound
from muniment.server import tracking
from muniment.server.facades.mlflow.routes.bodies import Pair
from muniment.server.facades.mlflow.routes.dialect import (
    endpoint,
    offset_of,
    page_size,
    token_for,
    tracking_allowed,
)
from muniment.server.facades.mlflow.rules import limits
from muniment.server.facades.mlflow.rules.render import experiment_json
from muniment.server.facades.mlflow.rules.wire import given
from muniment.server.http.operation import Call, Operation, Reply
from muniment.server.http.records import Verb
from muniment.server.ports.db import Tx
from muniment.server.tracking.records import ACTIVE, DELETED, Experiment

_E: Final = "/mlflow/experiments"
_ID: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_NAMED: Final = re.compile(r"\s*(?:attributes?\.)?name\s*=\s*'([^']*)'\s*")
_NAME_MAX_CHARS: Final = 500
_MAX_RESULTS: Final = 50_000
_STAGES: Final = {
    "ACTIVE_ONLY": (ACTIVE,),
    "DELETED_ONLY": (DELETED,),
    "ALL": (ACTIVE, DELETED),
    "": (ACTIVE,),
}


class NewExperiment(msgspec.Struct):
    """An experiment to create. Where artifacts lie is ours to say."""

    name: str
    tags: list[Pair] = []
    artifact_location: str = ""


class ExperimentAt(msgspec.Struct):
    """Which experiment."""

    experiment_id: str


class ExperimentNamed(msgspec.Struct):
    """Which experiment, by name."""

    experiment_name: str


class ExperimentsSearched(msgspec.Struct):
    """What to look for."""

    max_results: int = 1000
    filter: str = ""
    view_type: str = ""
    page_token: str = ""


class RenamedExperiment(msgspec.Struct):
    """What an experiment is called from now on."""

    experiment_id: str
    new_name: str


class UntaggedExperiment(msgspec.Struct):
    """A tag of an experiment to take off."""

    experiment_id: str
    key: str


class TaggedExperiment(msgspec.Struct):
    """A tag of an experiment to set."""

    experiment_id: str
    key: str
    value: str = ""


async def experiment_of(tx: Tx, text: str) -> Experiment:
    """Return an experiment by the text of its number.

    Raises:
        NotFound: there is none.
    """
    found = await tracking.find_experiment(tx, int(text)) if _ID.fullmatch(text) else None
    if found is None:
        raise NotFound(f"No Experiment with id={text[:80]} exists")
    return found


def stages_of(view_type: str) -> tuple[str, ...]:
    """Return the lifecycle stages that a view shows.

    Raises:
        BadRequest: there is no such view.
    """
    stages = _STAGES.get(view_type)
    if stages is None:
        raise BadRequest(f"Invalid view type {view_type[:80]!r}: expected {', '.join(_STAGES)}")
    return stages


def _check_name(name: str) -> None:
    if len(name) > _NAME_MAX_CHARS:
        raise BadRequest(f"'name' exceeds the maximum length of {_NAME_MAX_CHARS} characters")


async def create_experiment(call: Call, tx: Tx) -> Reply:
    """Create an experiment."""
    tracking_allowed(call, Verb.REGISTER)
    body: NewExperiment = call.body
    _check_name(body.name)
    if body.artifact_location:
        raise BadRequest(
            "Invalid parameter 'artifact_location': artifacts are kept by this server; leave it out"
        )
    tags = {tag.key: tag.value for tag in body.tags}
    limits.check_pairs("tags", tags, limits.EXPERIMENT_TAG_MAX_CHARS)
    number = await tracking.create_experiment(tx, body.name, tags, call.now)
    return Reply({"experiment_id": str(number)})


async def get_experiment(call: Call, tx: Tx) -> Reply:
    """Return an experiment."""
    tracking_allowed(call, Verb.READ)
    return Reply({"experiment": experiment_json(await experiment_of(tx, call.query.experiment_id))})


async def get_experiment_by_name(call: Call, tx: Tx) -> Reply:
    """Return the experiment of a name."""
    tracking_allowed(call, Verb.READ)
    name = call.query.experiment_name
    found = await tracking.find_experiment(tx, name)
    if found is None:
        raise NotFound(f"Could not find experiment with name '{name[:300]}'")
    return Reply({"experiment": experiment_json(found)})


async def search_experiments(call: Call, tx: Tx) -> Reply:
    """Find experiments: all of them, or by name."""
    tracking_allowed(call, Verb.READ)
    asked: ExperimentsSearched = call.query or call.body
    limit = page_size(asked.max_results, most=_MAX_RESULTS)
    names = None
    if asked.filter:
        matched = _NAMED.fullmatch(asked.filter)
        if matched is None:
            raise BadRequest(
                f"experiments are found here by name = '…' only, not {asked.filter[:200]!r}"
            )
        names = [matched[1]]
    offset = offset_of(asked.page_token)
    found = await tracking.list_experiments(
        tx, names=names, stages=stages_of(asked.view_type), limit=limit + 1, offset=offset
    )
    more = token_for(offset + limit) if len(found) > limit else None
    shown = [experiment_json(one) for one in found[:limit]]
    return Reply(given(experiments=shown, next_page_token=more))


async def set_experiment_tag(call: Call, tx: Tx) -> Reply:
    """Set a tag of an experiment."""
    tracking_allowed(call, Verb.REGISTER)
    body: TaggedExperiment = call.body
    limits.check_pairs("tags", {body.key: body.value}, limits.EXPERIMENT_TAG_MAX_CHARS)
    experiment = await experiment_of(tx, body.experiment_id)
    await tracking.tag_experiment(tx, experiment.id, {body.key: body.value}, call.now)
    return Reply({})


async def delete_experiment_tag(call: Call, tx: Tx) -> Reply:
    """Take a tag off an experiment."""
    tracking_allowed(call, Verb.REGISTER)
    body: UntaggedExperiment = call.body
    experiment = await experiment_of(tx, body.experiment_id)
    await tracking.tag_experiment(tx, experiment.id, {body.key: None}, call.now)
    return Reply({})


async def update_experiment(call: Call, tx: Tx) -> Reply:
    """Give an experiment another name."""
    tracking_allowed(call, Verb.REGISTER)
    body: RenamedExperiment = call.body
    _check_name(body.new_name)
    experiment = await experiment_of(tx, body.experiment_id)
    await tracking.rename_experiment(tx, experiment.id, body.new_name, call.now)
    return Reply({})


async def delete_experiment(call: Call, tx: Tx) -> Reply:
    """Hide an experiment and its runs. What was registered from them stays."""
    return await _stage(call, tx, DELETED)


async def restore_experiment(call: Call, tx: Tx) -> Reply:
    """Show a hidden experiment and its runs again."""
    return await _stage(call, tx, ACTIVE)


async def _stage(call: Call, tx: Tx, stage: str) -> Reply:
    tracking_allowed(call, Verb.REGISTER)
    experiment = await experiment_of(tx, call.body.experiment_id)
    await tracking.stage_experiment(tx, experiment.id, stage, call.now)
    return Reply({})


def _write(path: str, handler: Any, takes: type[msgspec.Struct]) -> list[Operation]:
    return endpoint("POST", _E + path, handler, takes, needs=Verb.REGISTER)


OPERATIONS: list[Operation] = [
    *_write("/create", create_experiment, NewExperiment),
    *endpoint("GET", f"{_E}/get", get_experiment, ExperimentAt),
    *endpoint("GET", f"{_E}/get-by-name", get_experiment_by_name, ExperimentNamed),
    *endpoint("GET", f"{_E}/search", search_experiments, ExperimentsSearched),
    *endpoint("POST", f"{_E}/search", search_experiments, ExperimentsSearched),
    *_write("/set-experiment-tag", set_experiment_tag, TaggedExperiment),
    *_write("/delete-experiment-tag", delete_experiment_tag, UntaggedExperiment),
    *_write("/update", update_experiment, RenamedExperiment),
    *_write("/delete", delete_experiment, ExperimentAt),
    *_write("/restore", restore_experiment, ExperimentAt),
]
