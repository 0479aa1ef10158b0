"""`registered-models/…`: assets, what is said of them, aliases."""

from __future__ import annotations

from typing import Final, NoReturn

import msgspec

from muniment.core.errors import AlreadyExists, BadRequest, NotAllowed, NotFound
from muniment.core.names import Alias
from muniment.server import catalog
from muniment.server.catalog.records import AliasMove, AssetState, Kind
from muniment.server.facades.mlflow import reads
from muniment.server.facades.mlflow.records import FoundModel, FoundVersion
from muniment.server.facades.mlflow.routes.bodies import Pair, number_of
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
from muniment.server.facades.mlflow.rules import aliases, filters, prompts
from muniment.server.facades.mlflow.rules.render import STAGES, merged, model_json, version_json
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


class Latest(msgspec.Struct):
    """Which registered model, and at which stages (empty: all)."""

    name: str
    stages: list[str] = []


class Tagged(msgspec.Struct):
    """A tag of a registered model to set."""

    name: str
    key: str
    value: str = ""


class Untagged(msgspec.Struct):
    """A tag of a registered model to take off."""

    name: str
    key: str


class Aliased(msgspec.Struct):
    """An alias to set."""

    name: str
    alias: str
    version: str


class Unaliased(msgspec.Struct):
    """An alias."""

    name: str
    alias: str


class Renamed(msgspec.Struct):
    """A registered model and what somebody would like it to be called."""

    name: str
    new_name: str


async def found(tx: Tx, name: str) -> FoundModel:
    """Return a registered model.

    Raises:
        NotFound: there is none of that name.
    """
    model = await reads.find_model(tx, name)
    if model is None:
        raise NotFound(f"Registered Model with name={name[:300]} not found")
    return model


async def create_registered_model(call: Call, tx: Tx) -> Reply:
    """Create an asset of kind model."""
    body: Created = call.body
    ref = asset_of(call, body.name, Verb.CREATE)
    tags = merged(_builtins(body.tags))
    kind = Kind.PROMPT if prompts.is_prompt(tags) else Kind.MODEL
    tags.pop(prompts.IS_PROMPT, None)
    state = AssetState(owner=call.caller.name, description=body.description, tags=tags)
    try:
        await catalog.create_asset(tx, ref, kind, state, by(call))
    except AlreadyExists:
        there = (await found(tx, body.name)).kind
        raise prompts.taken(
            body.name, prompt=kind is Kind.PROMPT, by_prompt=there is Kind.PROMPT
        ) from None
    return Reply({"registered_model": model_json(await found(tx, body.name))})


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
    await found(tx, body.name)
    fields = {} if body.description is None else {"description": body.description}
    await catalog.annotate_asset(tx, ref, catalog.Change(fields=fields, reason=WHY), by(call))
    return Reply({"registered_model": model_json(await found(tx, body.name))})


async def get_latest_versions(call: Call, tx: Tx) -> Reply:
    """Return the highest version of each stage."""
    asked: Latest = call.query or call.body
    asset_of(call, asked.name, Verb.READ)
    latest = (await found(tx, asked.name)).latest
    stages = {stage.lower() for stage in asked.stages}
    for stage in asked.stages:
        check_stage(stage)
    shown = latest is not None and (not stages or "none" in stages)
    return Reply(given(model_versions=[version_json(latest)] if shown and latest else []))


def check_stage(stage: str) -> None:
    """Go on only if there is such a stage.

    Raises:
        BadRequest: there is none.
    """
    if stage.lower() not in {known.lower() for known in STAGES}:
        raise BadRequest(
            f"Invalid Model Version stage: {stage[:80]}. Value must be one of {', '.join(STAGES)}."
        )


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
    is_prompt = (await found(tx, name)).kind is Kind.PROMPT
    if prompts.check_asset_tag(name, prompt=is_prompt, key=key, value=value):
        change = catalog.Change(tags={key: value}, reason=WHY)
        await catalog.annotate_asset(tx, ref, change, by(call))
    return Reply({})


async def set_registered_model_alias(call: Call, tx: Tx) -> Reply:
    """Point an alias at a version."""
    body: Aliased = call.body
    ref = asset_of(call, body.name, Verb.ALIAS)
    aliases.check_alias(body.alias)
    number = number_of(body.version)
    await found(tx, body.name)
    if await reads.find_version(tx, body.name, number) is None:
        raise no_version(body.name, number)
    move = AliasMove(ref, Alias.parse(body.alias), number, reason=WHY)
    await catalog.set_alias(tx, move, by(call))
    return Reply({})


async def delete_registered_model_alias(call: Call, tx: Tx) -> Reply:
    """Point an alias nowhere."""
    body: Unaliased = call.body
    ref = asset_of(call, body.name, Verb.ALIAS)
    aliases.check_alias(body.alias)
    await found(tx, body.name)
    await catalog.set_alias(tx, AliasMove(ref, Alias.parse(body.alias), None, reason=WHY), by(call))
    return Reply({})


async def get_model_version_by_alias(call: Call, tx: Tx) -> Reply:
    """Return the version an alias points at; `latest` is the highest one."""
    query: Unaliased = call.query
    asset_of(call, query.name, Verb.READ)
    version: FoundVersion | None
    if query.alias.lower() == "latest":
        version = (await found(tx, query.name)).latest
    else:
        version = await reads.find_version(tx, query.name, query.alias)
    if version is None:
        await found(tx, query.name)
        raise BadRequest(f"Registered model alias {query.alias[:300]} not found.")
    return Reply({"model_version": version_json(version)})


def no_version(name: str, number: int) -> NotFound:
    """Return what says that there is no such version."""
    return NotFound(f"Model Version (name={name[:300]}, version={number}) not found")


async def rename_registered_model(call: Call, tx: Tx) -> Reply:
    """Refuse to rename an asset."""
    body: Renamed = call.body
    asset_of(call, body.name, Verb.ANNOTATE)
    await found(tx, body.name)
    _refuse(
        f"Registered Model {body.name[:300]} keeps its name: evidence and logs refer to it."
        f" Create {body.new_name[:300]!a} and register its versions from models:/{body.name[:300]}/N"
    )


async def delete_registered_model(call: Call, tx: Tx) -> Reply:
    """Refuse to delete an asset."""
    body: Named = call.body
    asset_of(call, body.name, Verb.ANNOTATE)
    await found(tx, body.name)
    _refuse(
        f"Registered Model {body.name[:300]} stays: what was registered is never deleted here."
        " Say in its description or tags that it is not to be used, and take its aliases off"
    )


def _refuse(message: str) -> NoReturn:
    raise NotAllowed(message)


OPERATIONS: list[Operation] = [
    *endpoint("POST", f"{_M}/create", create_registered_model, Created, needs=Verb.CREATE),
    *endpoint("GET", f"{_M}/get", get_registered_model, Named),
    *endpoint("GET", f"{_M}/search", search_registered_models, Searched),
    *endpoint("PATCH", f"{_M}/update", update_registered_model, Updated, needs=Verb.ANNOTATE),
    *endpoint("POST", f"{_M}/rename", rename_registered_model, Renamed),
    *endpoint("DELETE", f"{_M}/delete", delete_registered_model, Named),
    *endpoint("POST", f"{_M}/get-latest-versions", get_latest_versions, Latest),
    *endpoint("GET", f"{_M}/get-latest-versions", get_latest_versions, Latest),
    *endpoint("POST", f"{_M}/set-tag", set_registered_model_tag, Tagged, needs=Verb.ANNOTATE),
    *endpoint(
        "DELETE", f"{_M}/delete-tag", delete_registered_model_tag, Untagged, needs=Verb.ANNOTATE
    ),
    *endpoint("POST", f"{_M}/alias", set_registered_model_alias, Aliased, needs=Verb.ALIAS),
    *endpoint("DELETE", f"{_M}/alias", delete_registered_model_alias, Unaliased, needs=Verb.ALIAS),
    *endpoint("GET", f"{_M}/alias", get_model_version_by_alias, Unaliased),
]
