"""`/versions` and the versions of an asset: find, read, annotate, history, completeness."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from muniment.core.errors import (
    BadBody,
    BadCursor,
    BadFilter,
    BadName,
    BadReference,
    BadVersion,
    NotFound,
    NotServed,
    StaleRevision,
)
from muniment.core.names import VersionRef
from muniment.server.catalog import actions
from muniment.server.catalog.reads import history, search
from muniment.server.catalog.reads.bodies import (
    CompletenessBody,
    EventBody,
    VersionBody,
    VersionItem,
    completeness_body,
    etag_of,
    event_body,
    version_body,
    version_body_of,
    version_etag,
)
from muniment.server.catalog.records import Lifecycle, Version
from muniment.server.catalog.routes import parts
from muniment.server.catalog.routes.assets import Unset, change_of
from muniment.server.catalog.rules.metadata import SCHEMA, window_overlaps
from muniment.server.catalog.rules.required import completeness, own_rows
from muniment.server.catalog.store import assets, namespaces, versions
from muniment.server.catalog.store.sources import standing_of
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import Page
from muniment.server.http.records import Scope, Verb
from muniment.server.ports.db import Row, Tx

_TAG = "versions"
_OF = "/api/v1/assets/{namespace}/{name}/versions"
_ONE = f"{_OF}/{{version}}"


class VersionChangeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; what is left out stays. A tag of null is taken off."""

    description: str | Unset = msgspec.UNSET
    tags: dict[str, str | None] = {}
    reason: Annotated[str, msgspec.Meta(description="Why; kept in the history.")] | None = None


class ResolveQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A reference: `[namespace/]NAME@1.2.0`, `NAME@alias` or `NAME@7`."""

    ref: Annotated[str, msgspec.Meta(max_length=700)]
    as_of: parts.AsOf | None = None


class CompletenessQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which step's demands are counted."""

    step: Lifecycle = Lifecycle.CANDIDATE
    as_of: parts.AsOf | None = None


def shown(version: Version) -> Reply:
    """Return the answer that shows one version."""
    return Reply(version_body(version), headers={"ETag": version_etag(version)})


def shown_row(row: Row) -> Reply:
    """Return the answer that shows the version in `row`, for less than `shown`."""
    tag = etag_of(row["revision"], row["aliases"], standing_of(row))
    return Reply(version_body_of(row), headers={"ETag": tag})


async def search_(call: Call, tx: Tx) -> Reply:
    """List the versions that match, over all assets the caller may read."""
    found, position = await search.search_versions(tx, parts.query_of(call))
    return Reply(Page(found, parts.next_cursor(position)))


async def of_asset(call: Call, tx: Tx) -> Reply:
    """List the versions of one asset, newest first."""
    ref = parts.asset_ref(call)
    query = parts.query_of(call, within=ref)
    await assets.get_asset(tx, ref, query.as_of)
    found, position = await search.search_versions(tx, query)
    return Reply(Page(found, parts.next_cursor(position)))


async def get(call: Call, tx: Tx) -> Reply:
    """Return one version."""
    when = parts.as_of(call.query.as_of)
    ref, at = parts.asset_ref(call), parts.version_at(call)
    return shown_row(await versions.get_row(tx, ref, at, when))


async def _version(call: Call, tx: Tx) -> Version:
    when = parts.as_of(call.query.as_of)
    return await versions.get_version_at(tx, parts.asset_ref(call), parts.version_at(call), when)


async def resolve(call: Call, tx: Tx) -> Reply:
    """Return the version a reference names."""
    asked: ResolveQuery = call.query
    ref = VersionRef.parse(asked.ref)
    call.require(Verb.READ, Scope(str(ref.asset.namespace), str(ref.asset.name)))
    return shown_row(await versions.get_row(tx, ref.asset, ref.at, parts.as_of(asked.as_of)))


async def annotate(call: Call, tx: Tx) -> Reply:
    """Change what is said of a version."""
    change = change_of(call, ("tags", "reason"))
    ref, at = parts.asset_ref(call), parts.version_at(call)
    return shown(await actions.annotate_version(tx, ref, at, change, parts.by(call)))


async def version_history(call: Call, tx: Tx) -> Reply:
    """Return what was done to a version, and which aliases came and went."""
    span = parts.span_of(call)
    version = await _version(call, tx)
    events = await history.version_history(tx, version.id, version.asset_id, span)
    return Reply(parts.history_page(events, span, event_body, lambda event: event))


async def version_completeness(call: Call, tx: Tx) -> Reply:
    """Return how much of what a step asks for is there."""
    asked: CompletenessQuery = call.query
    version = await _version(call, tx)
    asset = await assets.get_asset(tx, version.asset, parts.as_of(asked.as_of))
    namespace = await namespaces.state_at(tx, version.asset.namespace, parts.as_of(asked.as_of))
    found = completeness(
        version.kind,
        asked.step,
        asset.state,
        version.metadata,
        also=own_rows(namespace.required_fields),
    )
    return Reply(completeness_body(found, asked.step, window_overlaps(version.metadata)))


async def metadata_schema(_call: Call) -> Reply:
    """Return the JSON Schema of a version's metadata."""
    return Reply(SCHEMA)


OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path="/api/v1/versions",
        id="search_versions",
        summary="Find versions over all assets",
        handler=search_,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=parts.SearchQuery,
        returns=Page[VersionItem],
        errors=(BadFilter, BadCursor),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=_OF,
        id="list_versions",
        summary="The versions of an asset",
        handler=of_asset,
        needs=Verb.READ,
        query=parts.SearchQuery,
        returns=Page[VersionItem],
        errors=(NotFound, BadName, BadFilter, BadCursor),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=_ONE,
        id="get_version",
        summary="Read a version, by semantic version or number",
        handler=get,
        needs=Verb.READ,
        query=parts.AsOfQuery,
        returns=VersionBody,
        also=(304,),
        errors=(NotFound, BadName, BadVersion),
        tag=_TAG,
    ),
    Operation(
        method="PATCH",
        path=_ONE,
        id="annotate_version",
        summary="Change what is said of a version",
        handler=annotate,
        needs=Verb.ANNOTATE,
        tx=TxMode.WRITE,
        body=VersionChangeBody,
        returns=VersionBody,
        errors=(NotFound, BadName, BadVersion, BadBody, StaleRevision),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/history",
        id="version_history",
        summary="What was done to a version, and which aliases came and went",
        handler=version_history,
        needs=Verb.READ,
        query=parts.HistoryQuery,
        returns=Page[EventBody],
        errors=(NotFound, BadName, BadVersion, BadCursor),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/completeness",
        id="version_completeness",
        summary="How much of what a lifecycle step asks for is there",
        handler=version_completeness,
        needs=Verb.READ,
        query=CompletenessQuery,
        returns=CompletenessBody,
        errors=(NotFound, BadName, BadVersion),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path="/api/v1/resolve",
        id="resolve_reference",
        summary="The version a reference names",
        handler=resolve,
        needs=Verb.READ,
        scope=ScopeFrom.HANDLER,
        query=ResolveQuery,
        returns=VersionBody,
        errors=(NotFound, BadReference, NotServed),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path="/api/v1/metadata-schema",
        id="metadata_schema",
        summary="The JSON Schema of a version's metadata",
        handler=metadata_schema,
        needs=Verb.NOTHING,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.NONE,
        returns=dict[str, Any],
        tag=_TAG,
    ),
]
