"""Assets, versions and aliases as the API shows them."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from muniment.server.catalog.records import (
    AliasEvent,
    Asset,
    Completeness,
    Event,
    Gap,
    Kind,
    Lifecycle,
    Mark,
    Pointer,
    RiskTier,
    Standing,
    Version,
)
from muniment.server.catalog.rules.standing import lifecycle_of
from muniment.server.catalog.rules.versions import has_many_digits, parse_json
from muniment.server.catalog.store.sources import standing_of
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Row


class AssetBody(msgspec.Struct, frozen=True, kw_only=True):
    """An asset. `revision` counts the changes of what is said of it; `entry_id` is its creation.

    `former_names` stay reserved. `tombstoned_at`: when it was deleted through MLflow's API; it
    takes no versions since, and what it has is retired.
    """

    id: uuid.UUID
    namespace: str
    name: str
    kind: Kind
    owner: str
    backup_owner: str | None
    escalation_contact: str | None
    risk_tier: RiskTier | None
    description: str
    tags: dict[str, str]
    revision: int
    created_at: dt.datetime
    created_by: Actor
    updated_at: dt.datetime
    entry_id: uuid.UUID
    former_names: tuple[str, ...]
    tombstoned_at: dt.datetime | None


def asset_body(asset: Asset) -> AssetBody:
    """Return `asset` as the API shows it."""
    state = asset.state
    return AssetBody(
        id=asset.id,
        namespace=str(asset.ref.namespace),
        name=str(asset.ref.name),
        kind=asset.kind,
        owner=state.owner,
        backup_owner=state.backup_owner,
        escalation_contact=state.escalation_contact,
        risk_tier=state.risk_tier,
        description=state.description,
        tags=dict(state.tags),
        revision=asset.revision,
        created_at=asset.created_at,
        created_by=asset.created_by,
        updated_at=asset.updated_at,
        entry_id=asset.entry_id,
        former_names=asset.former_names,
        tombstoned_at=asset.tombstoned_at,
    )


class VersionItem(msgspec.Struct, frozen=True, kw_only=True):
    """A version in a list: without its metadata."""

    id: uuid.UUID
    namespace: str
    name: str
    kind: Kind
    version: str
    number: int
    lifecycle: Lifecycle
    quarantined: bool
    manifest_digest: str
    size_bytes: int
    file_count: int
    formats: tuple[str, ...]
    executable: bool
    metrics_at_registration: dict[str, float]
    description: str
    tags: dict[str, str]
    revision: int
    registered_at: dt.datetime
    registered_by: Actor
    owner: str
    risk_tier: RiskTier | None


_KINDS: Final = {kind.value: kind for kind in Kind}
_NOTHING_SAID: Final = Standing()
_LIFECYCLES: Final = {step.value: step for step in Lifecycle}
_RISK_TIERS: Final = {None: None} | {tier.value: tier for tier in RiskTier}


def version_item(row: Row) -> VersionItem:
    """Return the version in `row` (`sources.FOUND_COLUMNS_NOW`) as a list shows it.

    What the tables hold was checked when it was written, so names and versions stay text here.
    """
    return VersionItem(
        id=row["id"],
        namespace=row["namespace"],
        name=row["name"],
        kind=_KINDS[row["kind"]],
        version=row["version"],
        number=row["number"],
        lifecycle=_LIFECYCLES[row["lifecycle"]],
        quarantined=row["quarantined"],
        manifest_digest="sha256:" + row["manifest_digest"].hex(),
        size_bytes=row["size_bytes"],
        file_count=row["file_count"],
        formats=tuple(row["formats"]),
        executable=row["executable"],
        metrics_at_registration=parse_json(row["metrics"]),
        description=row["description"],
        tags=parse_json(row["tags"]),
        revision=row["revision"],
        registered_at=row["registered_at"],
        registered_by=Actor(row["actor_kind"], row["actor_id"]),
        owner=row["owner"],
        risk_tier=_RISK_TIERS[row["risk_tier"]],
    )


class StandingBody(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of a version's use.

    `reason`, `replacement` and `sunset` are those of its deprecation or retirement.
    `tombstoned`: it was deleted through MLflow's API and is hidden from it.
    """

    mark: Mark | None
    quarantined: bool
    tombstoned: bool
    reason: str
    replacement: str | None
    sunset: dt.date | None
    quarantine_reason: str
    revision: int
    at: dt.datetime | None


def standing_body(standing: Standing) -> StandingBody | None:
    """Return `standing` as the API shows it; None where nothing was said."""
    if standing == _NOTHING_SAID:
        return None
    return StandingBody(
        **{name: getattr(standing, name) for name in StandingBody.__struct_fields__}
    )


class VersionBody(msgspec.Struct, frozen=True, kw_only=True):
    """A version. `entry_id` is its registration in the ledger, whose receipt proves it.

    `standing` is null where nothing was said of its use.
    """

    id: uuid.UUID
    namespace: str
    name: str
    kind: Kind
    version: str
    number: int
    lifecycle: Lifecycle
    quarantined: bool
    manifest_digest: str
    size_bytes: int
    file_count: int
    formats: tuple[str, ...]
    executable: bool
    metrics_at_registration: dict[str, float]
    description: str
    tags: dict[str, str]
    revision: int
    registered_at: dt.datetime
    registered_by: Actor
    metadata: dict[str, Any]
    metadata_digest: str
    aliases: tuple[str, ...]
    entry_id: uuid.UUID
    standing: StandingBody | None


def version_body(version: Version) -> VersionBody:
    """Return `version` as the API shows it."""
    return VersionBody(
        id=version.id,
        namespace=str(version.asset.namespace),
        name=str(version.asset.name),
        kind=version.kind,
        version=str(version.version),
        number=version.number,
        lifecycle=version.lifecycle,
        quarantined=version.standing.quarantined,
        standing=standing_body(version.standing),
        manifest_digest=str(version.manifest_digest),
        size_bytes=version.size_bytes,
        file_count=version.file_count,
        formats=version.formats,
        executable=version.executable,
        metrics_at_registration=dict(version.metrics_at_registration),
        description=version.state.description,
        tags=dict(version.state.tags),
        revision=version.revision,
        registered_at=version.registered_at,
        registered_by=version.registered_by,
        metadata=dict(version.metadata),
        metadata_digest=str(version.metadata_digest),
        aliases=version.aliases,
        entry_id=version.entry_id,
    )


def version_body_of(row: Row) -> VersionBody:
    """Return the version in `row` (`sources.VERSION_COLUMNS_NOW`, `aliases`) as the API shows it.

    As `version_body(to_version(row))`, for less: what the tables hold was checked when it was
    written, and the metadata, most of it all, is passed on as the text it is.
    """
    metadata = row["metadata"]
    standing = standing_of(row)
    return VersionBody(
        id=row["id"],
        namespace=row["namespace"],
        name=row["name"],
        kind=_KINDS[row["kind"]],
        version=row["version"],
        number=row["number"],
        lifecycle=lifecycle_of(standing.mark),
        quarantined=standing.quarantined,
        standing=standing_body(standing),
        manifest_digest="sha256:" + row["manifest_digest"].hex(),
        size_bytes=row["size_bytes"],
        file_count=row["file_count"],
        formats=tuple(row["formats"]),
        executable=row["executable"],
        metrics_at_registration=parse_json(row["metrics"]),
        description=row["description"],
        tags=parse_json(row["tags"]),
        revision=row["revision"],
        registered_at=row["registered_at"],
        registered_by=Actor(row["actor_kind"], row["actor_id"]),
        metadata=parse_json(metadata) if has_many_digits(metadata) else _as_it_is(metadata),
        metadata_digest="sha256:" + row["metadata_digest"].hex(),
        aliases=tuple(row["aliases"]),
        entry_id=row["entry_id"],
    )


def _as_it_is(json: str) -> Any:
    return msgspec.Raw(json.encode())


def version_etag(version: Version) -> str:
    """Return the ETag of a version: its revision, and a mark of what else is shown with it."""
    return etag_of(version.revision, version.aliases, version.standing)


def etag_of(revision: int, aliases: Sequence[str], standing: Standing) -> str:
    """Return the ETag of a version at `revision`, to which `aliases` point."""
    shown = [*aliases]
    if standing != _NOTHING_SAID:
        shown.append(f"{standing.revision}/{standing.mark}")
    if not shown:
        return f'"{revision}"'
    mark = hashlib.sha256("\n".join(shown).encode()).hexdigest()[:16]
    return f'"{revision}-{mark}"'


class AliasBody(msgspec.Struct, frozen=True, kw_only=True):
    """Where an alias points; `version` is null where it was unset."""

    alias: str
    version: str | None
    number: int | None
    revision: int
    updated_at: dt.datetime


def alias_body(pointer: Pointer) -> AliasBody:
    """Return `pointer` as the API shows it."""
    return AliasBody(
        alias=str(pointer.alias),
        version=None if pointer.version is None else str(pointer.version),
        number=pointer.number,
        revision=pointer.revision,
        updated_at=pointer.updated_at,
    )


class EventBody(msgspec.Struct, frozen=True, kw_only=True):
    """One act. `changes` maps fields to [before, after]; `entry_id` is its ledger entry."""

    at: dt.datetime
    act: str
    subject: str
    actor: Actor
    reason: str
    changes: dict[str, Any]
    entry_id: uuid.UUID


def event_body(event: Event) -> EventBody:
    """Return `event` as the API shows it."""
    return EventBody(
        at=event.at,
        act=event.act,
        subject=event.subject,
        actor=event.actor,
        reason=event.reason,
        changes=dict(event.changes),
        entry_id=event.entry_id,
    )


class AliasEventBody(msgspec.Struct, frozen=True, kw_only=True):
    """One move of an alias, from `previous_version` to `version`; null is nowhere."""

    at: dt.datetime
    revision: int
    version: str | None
    previous_version: str | None
    actor: Actor
    reason: str
    entry_id: uuid.UUID
    act: str


def alias_event_body(move: tuple[AliasEvent, str | None, str | None]) -> AliasEventBody:
    """Return a move, with the versions after and before, as the API shows it."""
    event, version, previous = move
    return AliasEventBody(
        at=event.at,
        revision=event.revision,
        version=version,
        previous_version=previous,
        actor=event.actor,
        reason=event.reason,
        entry_id=event.entry_id,
        act=event.act,
    )


class CompletenessBody(msgspec.Struct, frozen=True, kw_only=True):
    """How much of what `step` asks for is there, in percent of the weights, and what is not.

    `overlaps` names training and evaluation data whose time windows meet.
    """

    step: Lifecycle
    present_percent: float
    verified_percent: float
    gaps: tuple[Gap, ...]
    overlaps: list[tuple[str, str]]


def completeness_body(
    found: Completeness, step: Lifecycle, overlaps: list[tuple[str, str]]
) -> CompletenessBody:
    """Return `found` as the API shows it."""
    return CompletenessBody(
        step=step,
        present_percent=found.present_percent,
        verified_percent=found.verified_percent,
        gaps=found.gaps,
        overlaps=overlaps,
    )
