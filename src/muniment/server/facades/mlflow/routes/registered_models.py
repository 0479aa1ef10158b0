"""`registered-models/…`: assets, and what is said of them."""

from __future__ import annotations

from typing import Final

import msgspec

from muniment.core.errors import AlreadyExists, NameReserved, NotFound
from muniment.server import catalog
from muniment.server.catalog.records import AssetState, Kind, Mode
from muniment.server.facades.mlflow import reads
from muniment.server.facades.mlflow.records import FoundModel
from muniment.server.facades.mlflow.routes.bodies import Pair
from muniment.server.facades.mlflow.routes.dialect import (
    WHY,
    asset_of,
    by,
    endpoint,
    offset_of,
    page_size,
    seen_by,
    token_for,
)
from muniment.server.facades.mlflow.rules import filters, limits, prompts
from muniment.server.facades.mlflow.rules.render import merged, model_json
from muniment.server.facades.mlflow.rules.wire import given
from muniment.server.http.operation import Call, Operation, Reply
from muniment.server.http.records import Verb
from muniment.server.ports.db import Tx

_M: Final = "/mlflow/registered-models"
_MAX_RESULTS: Final = 1000


class Named(msgspec.Struct):
    """Which registered model."""

    name: str


class Created(msgspec.Struct):
    """A registered model to create."""

    name: str
    tags: list[Pair] = []
    description: str = ""


class Updated(msgspec.Struct):
    """What to say of a registered model."""

    name: str
    description: str | None = None


class Searched(msgspec.Struct):
    """What to look for."""

    filter: str = ""
    max_results: int = 100
    order_by: list[str] = []
    page_token: str = ""


class Tagged(msgspec.Struct):
    """A tag of a registered model to set."""

    name: str
    key: str
    value: str = ""


class Untagged(msgspec.Struct):
    """A tag of a registered model to take off."""

    name: str
    key: str


async def found(tx: Tx, name: str) -> FoundModel:
    """Return a registered model.

    Raises:
        NotFound: there is none of that name.
    """
    model = await reads.find_model(tx, name)
    if model is None:
        raise NotFound(f"Registered Model with name={name[:300]} not found")
    return model


async def kind_of(tx: Tx, name: str) -> Kind:
    """Return of which kind a registered model is: cheaper than all of it.

    Raises:
        NotFound: there is none of that name.
    """
    kind = await reads.find_kind(tx, name)
    if kind is None:
        raise NotFound(f"Registered Model with name={name[:300]} not found")
    return kind


async def create_registered_model(call: Call, tx: Tx) -> Reply:
    """Create an asset of kind model."""
    body: Created = call.body
    ref = asset_of(call, body.name, Verb.CREATE)
    tags = merged(_builtins(body.tags))
    limits.check_keys(tags)
    kind = Kind.PROMPT if prompts.is_prompt(tags) else Kind.MODEL
    tags.pop(prompts.IS_PROMPT, None)
    state = AssetState(owner=call.caller.name, description=body.description, tags=tags)
    mode = Mode(call.deps.settings.mlflow_mode)
    try:
        await catalog.create_asset(tx, ref, kind, state, by(call), mode)
    except NameReserved as reserved:
        raise already_there(body.name, reserved) from None
    except AlreadyExists:
        there = await kind_of(tx, body.name)
        raise prompts.taken(
            body.name, prompt=kind is Kind.PROMPT, by_prompt=there is Kind.PROMPT
        ) from None
    return Reply({"registered_model": model_json(await found(tx, body.name))})


def already_there(name: str, reserved: NameReserved) -> AlreadyExists:
    """Return what says, in MLflow's words, that a name is taken for ever."""
    return AlreadyExists(f"Registered Model (name={name[:300]}) already exists. {reserved.message}")


def _builtins(tags: list[Pair]) -> list[dict[str, str]]:
    return [{"key": tag.key, "value": tag.value} for tag in tags]


async def get_registered_model(call: Call, tx: Tx) -> Reply:
    """Return an asset."""
    asset_of(call, call.query.name, Verb.READ)
    return Reply({"registered_model": model_json(await found(tx, call.query.name))})


async def search_registered_models(call: Call, tx: Tx) -> Reply:
    """Find assets."""
    query: Searched = call.query
    limit = page_size(query.max_results, most=_MAX_RESULTS)
    offset = offset_of(query.page_token)
    search = filters.parse_filter(query.filter, filters.MODELS)
    orders = filters.parse_order(query.order_by, filters.MODEL_ORDERS)
    models = await reads.search_models(tx, search, orders, reads.Page(offset, limit), seen_by(call))
    more = token_for(offset + limit) if len(models) > limit else None
    shown = [model_json(model) for model in models[:limit]]
    return Reply(given(registered_models=shown, next_page_token=more))


async def update_registered_model(call: Call, tx: Tx) -> Reply:
    """Say something else of an asset."""
    body: Updated = call.body
    ref = asset_of(call, body.name, Verb.ANNOTATE)
    await kind_of(tx, body.name)
    fields = {} if body.description is None else {"description": body.description}
    await catalog.annotate_asset(tx, ref, catalog.Change(fields=fields, reason=WHY), by(call))
    return Reply({"registered_model": model_json(await found(tx, body.name))})


async def set_registered_model_tag(call: Call, tx: Tx) -> Reply:
    """Set a tag of an asset."""
    body: Tagged = call.body
    return await _tag(call, tx, body.name, body.key, body.value)


async def delete_registered_model_tag(call: Call, tx: Tx) -> Reply:
    """Take a tag off an asset."""
    body: Untagged = call.body
    return await _tag(call, tx, body.name, body.key, None)


async def _tag(call: Call, tx: Tx, name: str, key: str, value: str | None) -> Reply:
    ref = asset_of(call, name, Verb.ANNOTATE)
    if value is not None:
        limits.check_key(key)
    is_prompt = await kind_of(tx, name) is Kind.PROMPT
    if prompts.check_asset_tag(name, prompt=is_prompt, key=key, value=value):
        change = catalog.Change(tags={key: value}, reason=WHY)
        await catalog.annotate_asset(tx, ref, change, by(call))
    return Reply({})


async def check_version(tx: Tx, name: str, number: int) -> None:
    """Go on only if there is a version of that number.

    Raises:
        NotFound: there is none, or no such registered model.
    """
    if not await reads.has_version(tx, name, number):
        await kind_of(tx, name)
        raise no_version(name, number)


def no_version(name: str, number: int) -> NotFound:
    """Return what says that there is no such version."""
    return NotFound(f"Model Version (name={name[:300]}, version={number}) not found")


OPERATIONS: list[Operation] = [
    *endpoint("POST", f"{_M}/create", create_registered_model, Created, needs=Verb.CREATE),
    *endpoint("GET", f"{_M}/get", get_registered_model, Named),
    *endpoint("GET", f"{_M}/search", search_registered_models, Searched),
    *endpoint("PATCH", f"{_M}/update", update_registered_model, Updated, needs=Verb.ANNOTATE),
    *endpoint("POST", f"{_M}/set-tag", set_registered_model_tag, Tagged, needs=Verb.ANNOTATE),
    *endpoint(
        "DELETE", f"{_M}/delete-tag", delete_registered_model_tag, Untagged, needs=Verb.ANNOTATE
    ),
]
