"""`logged-models/…`: models a script saved, before anybody registers them."""

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
from muniment.server.facades.mlflow.routes.experiments import experiment_of
from muniment.server.facades.mlflow.rules import limits
from muniment.server.facades.mlflow.rules.render import logged_json
from muniment.server.facades.mlflow.rules.wire import given
from muniment.server.http.operation import Call, Operation, Reply
from muniment.server.http.records import Verb
from muniment.server.ports.db import Tx
from muniment.server.tracking.records import LoggedModel

_L: Final = "/mlflow/logged-models"
_ONE: Final = f"{_L}/{{model_id}}"
_PENDING: Final = "LOGGED_MODEL_PENDING"
_STATUSES: Final = ("LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED", _PENDING)
_BY_NAME: Final = re.compile(r"\s*name\s*=\s*['\"]([^'\"]*)['\"]\s*")
_BY_RUN: Final = re.compile(r"\s*source_run_id\s*=\s*['\"]([^'\"]*)['\"]\s*")
_MAX_RESULTS: Final = 1000


class NewLoggedModel(msgspec.Struct):
    """A model a script is about to save."""

    experiment_id: str = "0"
    name: str = ""
    model_type: str = ""
    source_run_id: str = ""
    params: list[Pair] = []
    tags: list[Pair] = []


class Finished(msgspec.Struct):
    """How saving ended."""

    status: str


class TaggedModel(msgspec.Struct):
    """Tags to set."""

    tags: list[Pair] = []


class WithParams(msgspec.Struct):
    """Parameters to add."""

    params: list[Pair] = []


class ModelsSearched(msgspec.Struct):
    """What to look for."""

    experiment_ids: list[str] = []
    filter: str = ""
    max_results: int = 50
    page_token: str = ""


async def model_of(call: Call, tx: Tx) -> LoggedModel:
    """Return the logged model the path names.

    Raises:
        NotFound: there is none.
    """
    model_id = call.path["model_id"]
    model = await tracking.find_model(tx, model_id)
    if model is None:
        raise NotFound(f"Logged model with ID '{model_id[:80]}' not found.")
    return model


def _root(model: LoggedModel) -> str:
    return tracking.model_root(model.experiment_id, model.id)


async def create_logged_model(call: Call, tx: Tx) -> Reply:
    """Begin to save a model."""
    tracking_allowed(call, Verb.REGISTER)
    body: NewLoggedModel = call.body
    experiment = await experiment_of(tx, body.experiment_id or "0")
    model_id = f"m-{call.new_id().hex}"
    model = LoggedModel(
        id=model_id,
        experiment_id=experiment.id,
        name=body.name or f"model-{model_id[-8:]}",
        model_type=body.model_type,
        source_run_id=body.source_run_id or None,
        principal_id=call.caller.id,
        status=_PENDING,
        created_at=call.now,
        updated_at=call.now,
        params={one.key: one.value for one in body.params},
        tags={one.key: one.value for one in body.tags},
    )
    _check(dict(model.params), dict(model.tags))
    await tracking.create_model(tx, model)
    return Reply({"model": logged_json(model, _root(model))})


async def get_logged_model(call: Call, tx: Tx) -> Reply:
    """Return a logged model."""
    tracking_allowed(call, Verb.READ)
    model = await model_of(call, tx)
    metrics = await tracking.metrics_of_model(tx, model.id)
    return Reply({"model": logged_json(model, _root(model), metrics)})


async def finalize_logged_model(call: Call, tx: Tx) -> Reply:
    """Say how saving ended."""
    tracking_allowed(call, Verb.REGISTER)
    body: Finished = call.body
    model = await model_of(call, tx)
    if body.status not in _STATUSES:
        raise BadRequest(f"Invalid status {body.status[:80]!r}: expected {', '.join(_STATUSES)}")
    await tracking.finish_model(tx, model.id, body.status, call.now)
    changed = await model_of(call, tx)
    return Reply({"model": logged_json(changed, _root(changed))})


async def set_logged_model_tags(call: Call, tx: Tx) -> Reply:
    """Set tags of a logged model."""
    tags = {one.key: one.value for one in call.body.tags}
    return await _note(call, tx, tags=tags)


async def delete_logged_model_tag(call: Call, tx: Tx) -> Reply:
    """Take a tag off a logged model."""
    return await _note(call, tx, tags={call.path["tag_key"]: None})


async def log_logged_model_params(call: Call, tx: Tx) -> Reply:
    """Add parameters of a logged model."""
    return await _note(call, tx, params={one.key: one.value for one in call.body.params})


def _check(params: dict[str, str], tags: dict[str, Any]) -> None:
    """Go on only if all of it is within MLflow's limits."""
    limits.check_pairs("params", params, limits.PARAM_MAX_CHARS)
    limits.check_pairs("tags", tags, limits.TAG_MAX_CHARS)


async def _note(
    call: Call,
    tx: Tx,
    *,
    params: dict[str, str] | None = None,
    tags: dict[str, Any] | None = None,
) -> Reply:
    tracking_allowed(call, Verb.REGISTER)
    _check(params or {}, tags or {})
    model = await model_of(call, tx)
    await tracking.note_model(tx, model.id, params=params or {}, tags=tags or {}, now=call.now)
    changed = await model_of(call, tx)
    return Reply({"model": logged_json(changed, _root(changed))})


async def delete_logged_model(call: Call, tx: Tx) -> Reply:
    """Hide a logged model. What was registered from it stays."""
    tracking_allowed(call, Verb.REGISTER)
    model = await model_of(call, tx)
    await tracking.forget_model(tx, model.id, call.now)
    return Reply({})


async def search_logged_models(call: Call, tx: Tx) -> Reply:
    """Find logged models: of experiments, by name or run."""
    tracking_allowed(call, Verb.READ)
    body: ModelsSearched = call.body
    limit = page_size(body.max_results, most=_MAX_RESULTS)
    offset = offset_of(body.page_token)
    named, of_run = _BY_NAME.fullmatch(body.filter), _BY_RUN.fullmatch(body.filter)
    if body.filter.strip() and not (named or of_run):
        raise BadRequest(
            "logged models are found here by name = '…' or source_run_id = '…' only, not "
            f"{body.filter[:200]!r}"
        )
    experiments = [(await experiment_of(tx, one)).id for one in body.experiment_ids]
    found = await tracking.list_models(
        tx,
        experiments,
        name=named[1] if named else None,
        run_id=of_run[1] if of_run else None,
        limit=limit + 1,
        offset=offset,
    )
    more = token_for(offset + limit) if len(found) > limit else None
    shown = [logged_json(model, _root(model)) for model in found[:limit]]
    return Reply(given(models=shown, next_page_token=more))


OPERATIONS: list[Operation] = [
    *endpoint("POST", _L, create_logged_model, NewLoggedModel, needs=Verb.REGISTER),
    *endpoint("POST", f"{_L}/search", search_logged_models, ModelsSearched),
    *endpoint("GET", _ONE, get_logged_model),
    *endpoint("PATCH", _ONE, finalize_logged_model, Finished, needs=Verb.REGISTER),
    *endpoint("DELETE", _ONE, delete_logged_model, needs=Verb.REGISTER),
    *endpoint("PATCH", f"{_ONE}/tags", set_logged_model_tags, TaggedModel, needs=Verb.REGISTER),
    *endpoint("DELETE", f"{_ONE}/tags/{{tag_key}}", delete_logged_model_tag, needs=Verb.REGISTER),
    *endpoint("POST", f"{_ONE}/params", log_logged_model_params, WithParams, needs=Verb.REGISTER),
]
