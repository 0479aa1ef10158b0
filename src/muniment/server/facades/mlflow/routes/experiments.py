"""`experiments/…`."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from muniment.core.errors import BadRequest, NotFound
from muniment.server import tracking
from muniment.server.facades.mlflow.routes.bodies import Pair
from muniment.server.facades.mlflow.routes.dialect import endpoint, page_size, tracking_allowed
from muniment.server.facades.mlflow.rules.render import experiment_json
from muniment.server.facades.mlflow.rules.wire import given
from muniment.server.http.operation import Call, Operation, Reply
from muniment.server.http.records import Verb
from muniment.server.ports.db import Tx
from muniment.server.tracking.records import Experiment

_E: Final = "/mlflow/experiments"
_ID: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_NAMED: Final = re.compile(r"\s*(?:attributes?\.)?name\s*=\s*'([^']*)'\s*")
_NAME_MAX_CHARS: Final = 500
_MAX_RESULTS: Final = 50_000


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


async def create_experiment(call: Call, tx: Tx) -> Reply:
    """Create an experiment."""
    tracking_allowed(call, Verb.REGISTER)
    body: NewExperiment = call.body
    if len(body.name) > _NAME_MAX_CHARS:
        raise BadRequest(f"Invalid experiment name: expected at most {_NAME_MAX_CHARS} characters")
    if body.artifact_location:
        raise BadRequest(
            "Invalid parameter 'artifact_location': artifacts are kept by this server; leave it out"
        )
    tags = {tag.key: tag.value for tag in body.tags}
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
    found = await tracking.list_experiments(tx, names=names, limit=limit)
    return Reply(given(experiments=[experiment_json(one) for one in found]))


async def set_experiment_tag(call: Call, tx: Tx) -> Reply:
    """Set a tag of an experiment."""
    tracking_allowed(call, Verb.REGISTER)
    body: TaggedExperiment = call.body
    experiment = await experiment_of(tx, body.experiment_id)
    await tracking.tag_experiment(tx, experiment.id, {body.key: body.value}, call.now)
    return Reply({})


OPERATIONS: list[Operation] = [
    *endpoint("POST", f"{_E}/create", create_experiment, NewExperiment, needs=Verb.REGISTER),
    *endpoint("GET", f"{_E}/get", get_experiment, ExperimentAt),
    *endpoint("GET", f"{_E}/get-by-name", get_experiment_by_name, ExperimentNamed),
    *endpoint("GET", f"{_E}/search", search_experiments, ExperimentsSearched),
    *endpoint("POST", f"{_E}/search", search_experiments, ExperimentsSearched),
    *endpoint(
        "POST",
        f"{_E}/set-experiment-tag",
        set_experiment_tag,
        TaggedExperiment,
        needs=Verb.REGISTER,
    ),
]
