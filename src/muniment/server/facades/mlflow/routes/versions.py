"""`model-versions/…`: versions, from where their bytes come and where they are read."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from muniment.core.errors import MunimentError
from muniment.server import catalog
from muniment.server.catalog.records import Kind, VersionState
from muniment.server.facades.mlflow import actions, reads
from muniment.server.facades.mlflow.records import FoundVersion
from muniment.server.facades.mlflow.routes import pending, repeats
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
from muniment.server.facades.mlflow.routes.registered_models import kind_of, no_version
from muniment.server.facades.mlflow.rules import derived, filters, limits, prompts, sources
from muniment.server.facades.mlflow.rules.render import (
    fetch_json,
    merged,
    prompt_tags,
    version_json,
)
from muniment.server.facades.mlflow.rules.repeats import Asked
from muniment.server.facades.mlflow.rules.sources import PROXY
from muniment.server.facades.mlflow.rules.wire import given
from muniment.server.http.operation import Call, Operation, Reply, TxMode
from muniment.server.http.records import Verb
from muniment.server.ports.db import Tx

_V: Final = "/mlflow/model-versions"
_MAX_RESULTS: Final = 200_000


class CreatedVersion(msgspec.Struct):
    """A version to register."""

    name: str
    source: str
    run_id: str = ""
    tags: list[Pair] = []
    run_link: str = ""
    description: str = ""
    model_id: str = ""


class VersionAt(msgspec.Struct):
    """Which version."""

    name: str
    version: str


class UpdatedVersion(msgspec.Struct):
    """What to say of a version."""

    name: str
    version: str
    description: str | None = None


class SearchedVersions(msgspec.Struct):
    """What to look for."""

    filter: str = ""
    max_results: int = 10_000
    order_by: list[str] = []
    page_token: str = ""


class TaggedVersion(msgspec.Struct):
    """A tag of a version to set."""

    name: str
    version: str
    key: str
    value: str = ""


class UntaggedVersion(msgspec.Struct):
    """A tag of a version to take off."""

    name: str
    version: str
    key: str


async def found_version(tx: Tx, name: str, version: str) -> FoundVersion:
    """Return a version.

    Raises:
        NotFound: there is none of that number.
    """
    number = number_of(version)
    one = await reads.find_version(tx, name, number)
    if one is None:
        raise await _absent(tx, name, number)
    return one


async def _absent(tx: Tx, name: str, number: int) -> MunimentError:
    """Return what says why there is no such version: none of that number, or not yet."""
    fetch = await pending.find(tx, name, number)
    return no_version(name, number) if fetch is None else pending.not_ready(fetch)


async def create_model_version(call: Call) -> Reply:
    """Register what a run saved as the next version."""
    body: CreatedVersion = call.body
    ref = asset_of(call, body.name, Verb.REGISTER)
    limits.check_keys(tag.key for tag in body.tags)
    wanted = actions.Wanted(
        asset=ref,
        source=body.source,
        run_id=body.run_id,
        model_id=body.model_id,
        run_link=body.run_link,
        state=VersionState(
            description=body.description,
            tags=derived.without_derived(
                merged([{"key": tag.key, "value": tag.value} for tag in body.tags]),
                copied=sources.is_of_version(body.source),
            ),
        ),
    )
    db = call.deps.db
    async with db.transaction(read_only=True) as tx:
        kind = await kind_of(tx, body.name)
        if kind is not Kind.PROMPT:
            prompts.check_model_tags(wanted.state.tags)
            elsewhere = await pending.is_elsewhere(tx, wanted, call)
            origin = None if elsewhere else await actions.origin_of(tx, wanted, call)
    if kind is Kind.PROMPT:
        return await _create_prompt_version(call, wanted)
    if origin is None:
        return await pending.ask(call, wanted)
    metadata = await actions.metadata_of(call.deps.blobs, wanted, origin)
    return await _register(call, wanted, origin, metadata)


async def _register(
    call: Call, wanted: actions.Wanted, origin: actions.Origin, metadata: dict[str, Any]
) -> Reply:
    asked = Asked(
        wanted.source,
        wanted.run_id,
        wanted.model_id,
        wanted.run_link,
        wanted.state.description,
        wanted.state.tags,
    )
    async with call.deps.db.transaction() as tx:
        asset = await catalog.lock_asset(tx, wanted.asset)
        shown = await repeats.earlier(tx, call, wanted.asset, asked)
        if shown is None:
            version = await actions.register(
                tx, call.deps, by(call), asset, wanted, origin, metadata
            )
            shown = reads.registered(version)
        repeats.answered(call, shown)  # while the asset is locked: the next one looks it up
    return Reply({"model_version": version_json(shown)})


async def _create_prompt_version(call: Call, wanted: actions.Wanted) -> Reply:
    asked, metadata = actions.prompt_of(wanted)
    return await _register(call, asked, actions.Origin(()), metadata)


async def get_model_version(call: Call, tx: Tx) -> Reply:
    """Return a version."""
    query: VersionAt = call.query
    asset_of(call, query.name, Verb.READ)
    number = number_of(query.version)
    version = await reads.find_version(tx, query.name, number)
    if version is not None:
        return Reply({"model_version": version_json(version)})
    fetch = await pending.find(tx, query.name, number)
    if fetch is None:
        raise no_version(query.name, number)
    return Reply({"model_version": fetch_json(fetch)})


async def search_model_versions(call: Call, tx: Tx) -> Reply:
    """Find versions."""
    query: SearchedVersions = call.query
    limit = page_size(query.max_results, most=_MAX_RESULTS)
    offset = offset_of(query.page_token)
    search = filters.parse_filter(query.filter, filters.VERSIONS)
    orders = filters.parse_order(query.order_by, filters.VERSION_ORDERS)
    versions = await reads.search_versions(
        tx, search, orders, reads.Page(offset, limit), seen_by(call)
    )
    more = token_for(offset + limit) if len(versions) > limit else None
    shown = [version_json(version) for version in versions[:limit]]
    return Reply(given(model_versions=shown, next_page_token=more))


async def update_model_version(call: Call, tx: Tx) -> Reply:
    """Say something else of a version."""
    body: UpdatedVersion = call.body
    fields = {} if body.description is None else {"description": body.description}
    await _annotate(call, tx, body, catalog.Change(fields=fields, reason=WHY))
    return Reply({"model_version": version_json(await found_version(tx, body.name, body.version))})


async def set_model_version_tag(call: Call, tx: Tx) -> Reply:
    """Set a tag of a version."""
    body: TaggedVersion = call.body
    limits.check_key(body.key)
    await _annotate(call, tx, body, catalog.Change(tags={body.key: body.value}, reason=WHY))
    return Reply({})


async def delete_model_version_tag(call: Call, tx: Tx) -> Reply:
    """Take a tag off a version."""
    body: UntaggedVersion = call.body
    await _annotate(call, tx, body, catalog.Change(tags={body.key: None}, reason=WHY))
    return Reply({})


async def _annotate(
    call: Call,
    tx: Tx,
    body: UpdatedVersion | TaggedVersion | UntaggedVersion,
    change: catalog.Change,
) -> None:
    ref = asset_of(call, body.name, Verb.ANNOTATE)
    number = number_of(body.version)
    if prompts.DERIVED.isdisjoint(change.tags):
        if not await reads.has_version(tx, body.name, number):
            raise await _absent(tx, body.name, number)
    else:
        shown = prompt_tags(await found_version(tx, body.name, body.version))
        if not all(prompts.check_version_tag(shown, *tag) for tag in change.tags.items()):
            return
    await catalog.annotate_version(tx, ref, number, change, by(call))


async def get_model_version_download_uri(call: Call, tx: Tx) -> Reply:
    """Return where the files of a version are read: at this server, whatever tracks the runs."""
    query: VersionAt = call.query
    asset_of(call, query.name, Verb.READ)
    version = await found_version(tx, query.name, query.version)
    if version.barred is not None:
        raise catalog.not_served(f"{version.name} version {version.number}", version.barred, "")
    return Reply({"artifact_uri": f"{call.base_url}{PROXY}versions/{version.id}"})


OPERATIONS: list[Operation] = [
    *endpoint(
        "POST",
        f"{_V}/create",
        create_model_version,
        CreatedVersion,
        needs=Verb.REGISTER,
        tx=TxMode.NONE,
    ),
    *endpoint("GET", f"{_V}/get", get_model_version, VersionAt),
    *endpoint("GET", f"{_V}/search", search_model_versions, SearchedVersions),
    *endpoint("PATCH", f"{_V}/update", update_model_version, UpdatedVersion, needs=Verb.ANNOTATE),
    *endpoint("GET", f"{_V}/get-download-uri", get_model_version_download_uri, VersionAt),
    *endpoint("POST", f"{_V}/set-tag", set_model_version_tag, TaggedVersion, needs=Verb.ANNOTATE),
    *endpoint(
        "DELETE",
        f"{_V}/delete-tag",
        delete_model_version_tag,
        UntaggedVersion,
        needs=Verb.ANNOTATE,
    ),
]
