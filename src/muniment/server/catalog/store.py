"""The catalog's rows. Every function takes a `Tx`; none commits.

JSON travels as text (`$n::text::jsonb`, `column::text`) in canonical form.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, Final, LiteralString

from muniment.core.digest import Digest
from muniment.core.errors import Conflict, NotFound, VersionConflict
from muniment.core.names import Alias, AssetName, AssetRef, Namespace, SemVer, VersionRef
from muniment.server.catalog import rules
from muniment.server.catalog.records import (
    Annotation,
    Asset,
    AssetState,
    Kind,
    NewVersion,
    RiskTier,
    Version,
    VersionState,
)
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Row, Tx

# Two sources with the same columns: what holds now, and what held at $1. Each statement below
# takes that time as $1, NULL for now, so that it is written once.
ASSET_NOW: Final[LiteralString] = """
    FROM asset a
    WHERE $1::timestamptz IS NULL"""
ASSET_THEN: Final[LiteralString] = """
    FROM asset i
    JOIN LATERAL (
        SELECT i.id, i.namespace, i.name, i.kind, i.created_at, i.actor_kind, i.actor_id,
               i.entry_id, i.next_number, n.revision, n.at AS updated_at,
               n.state->>'description' AS description, n.state->'tags' AS tags,
               (n.state->>'owner') COLLATE "C" AS owner,
               (n.state->>'backup_owner') COLLATE "C" AS backup_owner,
               (n.state->>'escalation_contact') COLLATE "C" AS escalation_contact,
               (n.state->>'risk_tier') COLLATE "C" AS risk_tier
        FROM annotation n WHERE n.subject_id = i.id AND n.at <= $1::timestamptz
        ORDER BY n.revision DESC LIMIT 1
    ) a ON true
    WHERE true"""
VERSION_NOW: Final[LiteralString] = """
    FROM version v
    JOIN asset a ON a.id = v.asset_id
    JOIN version_label l ON l.version_id = v.id
    WHERE $1::timestamptz IS NULL"""
VERSION_THEN: Final[LiteralString] = """
    FROM version v
    JOIN asset i ON i.id = v.asset_id
    JOIN LATERAL (
        SELECT i.id, i.namespace, i.name, i.kind, i.created_at,
               (n.state->>'owner') COLLATE "C" AS owner,
               (n.state->>'backup_owner') COLLATE "C" AS backup_owner,
               (n.state->>'risk_tier') COLLATE "C" AS risk_tier
        FROM annotation n WHERE n.subject_id = i.id AND n.at <= $1::timestamptz
        ORDER BY n.revision DESC LIMIT 1
    ) a ON true
    JOIN LATERAL (
        SELECT n.revision, n.state->>'description' AS description, n.state->'tags' AS tags
        FROM annotation n WHERE n.subject_id = v.id AND n.at <= $1::timestamptz
        ORDER BY n.revision DESC LIMIT 1
    ) l ON true
    WHERE true"""

ASSET_COLUMNS: Final[LiteralString] = """
    SELECT a.id, a.namespace, a.name, a.kind, a.created_at, a.actor_kind, a.actor_id, a.entry_id,
           a.revision, a.updated_at, a.description, a.owner, a.backup_owner, a.escalation_contact,
           a.risk_tier, a.tags::text AS tags, a.next_number"""
VERSION_COLUMNS: Final[LiteralString] = """
    SELECT v.id, v.asset_id, a.namespace, a.name, a.kind, v.number, v.version, v.manifest_digest,
           v.size_bytes, v.file_count, v.formats, v.executable, v.metadata::text AS metadata,
           v.metadata_digest, v.metrics_at_registration::text AS metrics, v.registered_at,
           v.actor_kind, v.actor_id, v.entry_id, l.revision, l.description, l.tags::text AS tags"""

_BY_NAME: Final[LiteralString] = " AND a.namespace = $2 AND a.name = $3"
_ASSET_NOW: Final[LiteralString] = ASSET_COLUMNS + ASSET_NOW + _BY_NAME
_ASSET_THEN: Final[LiteralString] = (
    ASSET_COLUMNS + ASSET_THEN + " AND i.namespace = $2 AND i.name = $3"
)
_POINTED_NOW: Final[LiteralString] = """
    AND v.id = (SELECT p.version_id FROM alias p WHERE p.asset_id = a.id AND p.name = $4)"""
_POINTED_THEN: Final[LiteralString] = """
    AND i.namespace = $2 AND i.name = $3
    AND v.id = (SELECT e.version_id FROM alias_event e
                WHERE e.asset_id = i.id AND e.name = $4 AND e.at <= $1::timestamptz
                ORDER BY e.revision DESC LIMIT 1)"""

_VERSION_BY: Final[dict[tuple[type, bool], LiteralString]] = {
    (SemVer, False): VERSION_COLUMNS + VERSION_NOW + _BY_NAME + " AND v.precedence = $4",
    (SemVer, True): VERSION_COLUMNS
    + VERSION_THEN
    + " AND i.namespace = $2 AND i.name = $3 AND v.precedence = $4",
    (int, False): VERSION_COLUMNS + VERSION_NOW + _BY_NAME + " AND v.number = $4",
    (int, True): VERSION_COLUMNS
    + VERSION_THEN
    + " AND i.namespace = $2 AND i.name = $3 AND v.number = $4",
    (Alias, False): VERSION_COLUMNS + VERSION_NOW + _BY_NAME + _POINTED_NOW,
    (Alias, True): VERSION_COLUMNS + VERSION_THEN + _POINTED_THEN,
}


def ref_of(row: Row) -> AssetRef:
    """Return the asset's reference in `row`."""
    return AssetRef(Namespace(row["namespace"]), AssetName(row["name"]))


def to_asset(row: Row) -> Asset:
    """Return the asset in `row` (`ASSET_COLUMNS`)."""
    tier = row["risk_tier"]
    return Asset(
        id=row["id"],
        ref=ref_of(row),
        kind=Kind(row["kind"]),
        state=AssetState(
            owner=row["owner"],
            description=row["description"],
            tags=rules.parse_json(row["tags"]),
            backup_owner=row["backup_owner"],
            escalation_contact=row["escalation_contact"],
            risk_tier=None if tier is None else RiskTier(tier),
        ),
        revision=row["revision"],
        next_number=row["next_number"],
        created_at=row["created_at"],
        created_by=Actor(row["actor_kind"], row["actor_id"]),
        updated_at=row["updated_at"],
        entry_id=row["entry_id"],
    )


def to_version(row: Row) -> Version:
    """Return the version in `row` (`VERSION_COLUMNS`)."""
    return Version(
        id=row["id"],
        asset_id=row["asset_id"],
        asset=ref_of(row),
        kind=Kind(row["kind"]),
        number=row["number"],
        version=SemVer.parse(row["version"]),
        manifest_digest=Digest(row["manifest_digest"]),
        size_bytes=row["size_bytes"],
        file_count=row["file_count"],
        formats=tuple(row["formats"]),
        executable=row["executable"],
        metadata=rules.parse_json(row["metadata"]),
        metadata_digest=Digest(row["metadata_digest"]),
        metrics_at_registration=rules.parse_json(row["metrics"]),
        state=VersionState(row["description"], rules.parse_json(row["tags"])),
        revision=row["revision"],
        registered_at=row["registered_at"],
        registered_by=Actor(row["actor_kind"], row["actor_id"]),
        entry_id=row["entry_id"],
    )


async def find_asset(tx: Tx, ref: AssetRef, as_of: dt.datetime | None = None) -> Asset | None:
    """Return the asset of that name, as it is now or as it was said to be at `as_of`."""
    sql = _ASSET_NOW if as_of is None else _ASSET_THEN
    row = await tx.fetchrow(sql, as_of, str(ref.namespace), str(ref.name))
    return None if row is None else to_asset(row)


async def get_asset(tx: Tx, ref: AssetRef, as_of: dt.datetime | None = None) -> Asset:
    """Return the asset of that name.

    Raises:
        NotFound: there is none, or was none at `as_of`.
    """
    asset = await find_asset(tx, ref, as_of)
    if asset is None:
        raise no_asset(ref, as_of)
    return asset


def no_asset(ref: AssetRef, as_of: dt.datetime | None = None) -> NotFound:
    """Return the error that says there is no such asset."""
    when = "" if as_of is None else f" at {rules.timestamp(as_of)}"
    return NotFound(f"there is no asset {ref}{when}, or you may not see it")


async def lock_asset(tx: Tx, ref: AssetRef) -> Asset:
    """Return the asset of that name, its row locked until `tx` ends.

    Registrations and annotations of one asset take turns by this lock; reads never wait.

    Raises:
        NotFound: there is none.
    """
    row = await tx.fetchrow(
        _ASSET_NOW + " FOR NO KEY UPDATE OF a", None, str(ref.namespace), str(ref.name)
    )
    if row is None:
        raise no_asset(ref)
    return to_asset(row)


async def insert_asset(tx: Tx, asset: Asset) -> tuple[bool, bool]:
    """Insert an asset with its first annotation, and its namespace if that is new.

    Returns whether the namespace was new, and whether the asset was: if it was not, nothing of
    the asset is written.
    """
    state = asset.state
    row = await tx.fetchrow(
        """
        WITH ns AS (
            INSERT INTO namespace (name, created_at, actor_kind, actor_id) VALUES ($2, $5, $6, $7)
            ON CONFLICT DO NOTHING RETURNING 1
        ), made AS (
            INSERT INTO asset (id, namespace, name, kind, created_at, actor_kind, actor_id,
                               entry_id, revision, updated_at, description, owner, backup_owner,
                               escalation_contact, risk_tier, tags)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $5, $9, $10, $11, $12, $13, $14::text::jsonb)
            ON CONFLICT DO NOTHING RETURNING id
        ), said AS (
            INSERT INTO annotation (subject_id, revision, subject_kind, asset_id, at, actor_kind,
                                    actor_id, reason, changes, state, entry_id)
            SELECT id, 1, 'asset', id, $5, $6, $7, '', '{}', $15::text::jsonb, $8 FROM made
        )
        SELECT EXISTS (SELECT FROM ns) AS new_namespace, EXISTS (SELECT FROM made) AS new_asset
        """,
        asset.id,
        str(asset.ref.namespace),
        str(asset.ref.name),
        asset.kind.value,
        asset.created_at,
        asset.created_by.kind,
        asset.created_by.id,
        asset.entry_id,
        state.description,
        state.owner,
        state.backup_owner,
        state.escalation_contact,
        state.risk_tier and state.risk_tier.value,
        rules.json_text(dict(state.tags)),
        rules.json_text(rules.asset_state_json(state)),
    )
    assert row is not None
    return row["new_namespace"], row["new_asset"]


async def find_version(
    tx: Tx,
    asset: AssetRef,
    at: SemVer | Alias | int,
    as_of: dt.datetime | None = None,
) -> Version | None:
    """Return the version of `asset` that `at` names; build metadata in a SemVer is ignored.

    `at` is a SemVer, an MLflow number, or an alias. With `as_of`, an alias resolves as it did
    then, what is said of the version is what was said then, and later versions do not exist.
    """
    key = rules.precedence_key(at) if isinstance(at, SemVer) else at
    row = await tx.fetchrow(
        _VERSION_BY[type(at), as_of is not None],
        as_of,
        str(asset.namespace),
        str(asset.name),
        str(key) if isinstance(key, Alias) else key,
    )
    return None if row is None else to_version(row)


async def get_version(tx: Tx, ref: VersionRef, as_of: dt.datetime | None = None) -> Version:
    """Return the version `ref` names.

    Raises:
        NotFound: there is none, or was none at `as_of`.
    """
    version = await find_version(tx, ref.asset, ref.at, as_of)
    if version is None:
        when = "" if as_of is None else f" at {rules.timestamp(as_of)}"
        raise NotFound(f"there is no version {ref}{when}, or you may not see it")
    return version


async def add_version(tx: Tx, asset: Asset, new: NewVersion) -> Version:
    """Insert a version with the asset's next number, and its first annotation; return it.

    One statement. The ledger entry is the caller's to append (`rules.version_payload`).

    Raises:
        VersionConflict: the asset has a version of that precedence. Nothing is written.
    """
    metadata = rules.json_text(dict(new.metadata))
    digest = rules.metadata_digest(new.metadata)
    try:
        number = await tx.fetchval(_ADD_VERSION, *_new_version_values(asset, new, metadata, digest))
    except Conflict as conflict:
        if conflict.context.get("constraint") != "version_asset_id_precedence_key":
            raise
        raise VersionConflict(f"{asset.ref}@{new.version} is registered already") from None
    return Version(
        id=new.id,
        asset_id=asset.id,
        asset=asset.ref,
        kind=asset.kind,
        number=number,
        version=new.version,
        manifest_digest=new.manifest_digest,
        size_bytes=new.size_bytes,
        file_count=new.file_count,
        formats=new.formats,
        executable=new.executable,
        metadata=new.metadata,
        metadata_digest=digest,
        metrics_at_registration=new.metrics_at_registration,
        state=new.state,
        revision=1,
        registered_at=new.at,
        registered_by=new.actor,
        entry_id=new.entry_id,
    )


_ADD_VERSION: Final[LiteralString] = """
    WITH counted AS (
        UPDATE asset SET next_number = next_number + 1 WHERE id = $2
        RETURNING next_number - 1 AS number
    ), made AS (
        INSERT INTO version (id, asset_id, number, version, precedence, manifest_digest, size_bytes,
                             file_count, formats, executable, metadata, metadata_digest,
                             metrics_at_registration, terms, registered_at, actor_kind, actor_id,
                             entry_id)
        SELECT $1, $2, number, $3, $4, $5, $6, $7, $8, $9, $10::text::jsonb, $11, $12::text::jsonb,
               $13, $14, $15, $16, $17
        FROM counted RETURNING id, number
    ), labelled AS (
        INSERT INTO version_label (version_id, revision, description, tags)
        SELECT id, 1, $18, $19::text::jsonb FROM made
    ), said AS (
        INSERT INTO annotation (subject_id, revision, subject_kind, asset_id, at, actor_kind,
                                actor_id, reason, changes, state, entry_id)
        SELECT id, 1, 'version', $2, $14, $15, $16, '', '{}', $20::text::jsonb, $17 FROM made
    )
    SELECT number FROM made"""


def _new_version_values(
    asset: Asset, new: NewVersion, metadata: str, digest: Digest
) -> tuple[Any, ...]:
    return (
        new.id,
        asset.id,
        str(new.version),
        rules.precedence_key(new.version),
        new.manifest_digest.raw,
        new.size_bytes,
        new.file_count,
        list(new.formats),
        new.executable,
        metadata,
        digest.raw,
        rules.json_text(dict(new.metrics_at_registration)),
        rules.terms(new.metadata, new.formats),
        new.at,
        new.actor.kind,
        new.actor.id,
        new.entry_id,
        new.state.description,
        rules.json_text(dict(new.state.tags)),
        rules.json_text(rules.version_state_json(new.state)),
    )


async def annotate_asset(tx: Tx, said: Annotation) -> None:
    """Make what `said` says of an asset hold, and keep it as its next revision."""
    state = said.state
    await tx.execute(
        """
        WITH held AS (
            UPDATE asset SET revision = $2, updated_at = $4, description = $10, owner = $11,
                             backup_owner = $12, escalation_contact = $13, risk_tier = $14,
                             tags = $15::text::jsonb
            WHERE id = $1
        )
        INSERT INTO annotation (subject_id, revision, subject_kind, asset_id, at, actor_kind,
                                actor_id, reason, changes, state, entry_id)
        VALUES ($1, $2, 'asset', $3, $4, $5, $6, $7, $8::text::jsonb, $16::text::jsonb, $9)
        """,
        *_said_values(said),
        state["description"],
        state["owner"],
        state["backup_owner"],
        state["escalation_contact"],
        state["risk_tier"],
        rules.json_text(state["tags"]),
        rules.json_text(state),
    )


async def annotate_version(tx: Tx, said: Annotation) -> None:
    """Make what `said` says of a version hold, and keep it as its next revision."""
    await tx.execute(
        """
        WITH held AS (
            UPDATE version_label SET revision = $2, description = $10, tags = $11::text::jsonb
            WHERE version_id = $1
        )
        INSERT INTO annotation (subject_id, revision, subject_kind, asset_id, at, actor_kind,
                                actor_id, reason, changes, state, entry_id)
        VALUES ($1, $2, 'version', $3, $4, $5, $6, $7, $8::text::jsonb, $12::text::jsonb, $9)
        """,
        *_said_values(said),
        said.state["description"],
        rules.json_text(said.state["tags"]),
        rules.json_text(said.state),
    )


def _said_values(said: Annotation) -> tuple[Any, ...]:
    return (
        said.subject_id,
        said.revision,
        said.asset_id,
        said.at,
        said.actor.kind,
        said.actor.id,
        said.reason,
        rules.json_text({field: list(pair) for field, pair in said.changes.items()}),
        said.entry_id,
    )


async def lock_version(tx: Tx, version_id: uuid.UUID) -> None:
    """Have annotations of one version take turns until `tx` ends."""
    await tx.execute(
        "SELECT 1 FROM version_label WHERE version_id = $1 FOR NO KEY UPDATE", version_id
    )
