"""Where rows come from: the statements' common parts, and rows as records.

JSON travels as text (`$n::text::jsonb`, `column::text`) in canonical form.
"""

from __future__ import annotations

from typing import Any, Final, LiteralString

from muniment.core.digest import Digest
from muniment.core.names import AssetName, AssetRef, Namespace, SemVer
from muniment.server.catalog.records import (
    Annotation,
    Asset,
    AssetState,
    Kind,
    Mark,
    RiskTier,
    Standing,
    Version,
    VersionState,
)
from muniment.server.catalog.rules.standing import lifecycle_of, standing_from
from muniment.server.catalog.rules.versions import json_text, parse_json
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Row

# What holds now, and what held at $1: every statement takes that time as $1, NULL for now. The
# identity of things never changes, so it comes from the same columns either way, and so do order
# and terms; what is said of them is the latest annotation until then.
_ASSET_COLUMNS: Final[LiteralString] = """
    SELECT a.id, a.namespace, a.name, a.kind, a.created_at, a.actor_kind, a.actor_id, a.entry_id,
           a.next_number, a.tombstoned_at,
           ARRAY(SELECT x.name FROM asset_naming x WHERE x.asset_id = a.id AND x.name <> a.name
                 ORDER BY x.since) AS former_names"""
_ASSET_SAID_THEN: Final[LiteralString] = """
    JOIN LATERAL (
        SELECT n.revision, n.at AS updated_at, n.state->>'description' AS description,
               (n.state->>'owner') COLLATE "C" AS owner, n.state->'tags' AS tags,
               (n.state->>'backup_owner') COLLATE "C" AS backup_owner,
               (n.state->>'escalation_contact') COLLATE "C" AS escalation_contact,
               (n.state->>'risk_tier') COLLATE "C" AS risk_tier
        FROM annotation n WHERE n.subject_id = a.id AND n.at <= $1::timestamptz
        ORDER BY n.revision DESC LIMIT 1
    ) o ON true"""
ASSET_COLUMNS_NOW: Final[LiteralString] = (
    _ASSET_COLUMNS
    + """, a.revision, a.updated_at, a.description, a.owner, a.backup_owner, a.escalation_contact,
           a.risk_tier, a.tags::text AS tags"""
)
ASSET_COLUMNS_THEN: Final[LiteralString] = (
    _ASSET_COLUMNS
    + """, o.revision, o.updated_at, o.description, o.owner, o.backup_owner, o.escalation_contact,
           o.risk_tier, o.tags::text AS tags"""
)
ASSET_NOW: Final[LiteralString] = " FROM asset a WHERE $1::timestamptz IS NULL"
ASSET_THEN: Final[LiteralString] = " FROM asset a" + _ASSET_SAID_THEN + " WHERE true"

# What may be done with a version: of one that MLflow's API deleted with its asset nothing was said,
# and it is retired.
_MARK_NOW: Final[LiteralString] = "CASE WHEN a.tombstoned_at IS NULL THEN k.mark ELSE 'retired' END"
_MARK_THEN: Final[LiteralString] = (
    "CASE WHEN a.tombstoned_at <= $1::timestamptz THEN 'retired' ELSE k.mark END"
)
LIFECYCLE_NOW: Final[LiteralString] = f"coalesce({_MARK_NOW}, 'draft')"
LIFECYCLE_THEN: Final[LiteralString] = f"coalesce({_MARK_THEN}, 'draft')"
_STANDING: Final[LiteralString] = """,
           k.quarantined, k.tombstoned, k.about::text AS about, k.revision AS standing_revision,
           k.at AS standing_at"""
_STANDING_THEN: Final[LiteralString] = """
    LEFT JOIN LATERAL (
        SELECT e.mark, e.quarantined, e.tombstoned, e.about, e.revision, e.at
        FROM version_standing_event e WHERE e.version_id = v.id AND e.at <= $1::timestamptz
        ORDER BY e.revision DESC LIMIT 1
    ) k ON true"""

_VERSION_COLUMNS: Final[LiteralString] = """
    SELECT v.id, v.asset_id, a.namespace, a.name, a.kind, v.number, v.version, v.manifest_digest,
           v.size_bytes, v.file_count, v.formats, v.executable, v.metadata::text AS metadata,
           v.metadata_digest, v.metrics_at_registration::text AS metrics, v.registered_at,
           v.actor_kind, v.actor_id, v.entry_id, l.revision, l.description, l.tags::text AS tags"""
VERSION_COLUMNS_NOW: Final[LiteralString] = _VERSION_COLUMNS + _STANDING + f", {_MARK_NOW} AS mark"
VERSION_COLUMNS_THEN: Final[LiteralString] = (
    _VERSION_COLUMNS + _STANDING + f", {_MARK_THEN} AS mark"
)
VERSION_NOW: Final[LiteralString] = """
    FROM version v
    JOIN asset a ON a.id = v.asset_id
    JOIN version_label l ON l.version_id = v.id
    LEFT JOIN version_standing k ON k.version_id = v.id
    WHERE $1::timestamptz IS NULL"""
#: The version the alias $4 of the asset $2/$3 points at.
POINTED_NOW: Final[LiteralString] = """
    FROM asset a
    JOIN alias p ON p.asset_id = a.id AND p.name = $4
    JOIN version v ON v.id = p.version_id
    JOIN version_label l ON l.version_id = v.id
    LEFT JOIN version_standing k ON k.version_id = v.id
    WHERE $1::timestamptz IS NULL"""
_VERSION_FROM: Final[LiteralString] = """
    FROM version v
    JOIN asset a ON a.id = v.asset_id"""
_VERSION_SAID: Final[LiteralString] = """
    JOIN LATERAL (
        SELECT n.revision, n.state->>'description' AS description, n.state->'tags' AS tags
        FROM annotation n WHERE n.subject_id = v.id AND n.at <= $1::timestamptz
        ORDER BY n.revision DESC LIMIT 1
    ) l ON true"""
VERSION_THEN: Final[LiteralString] = _VERSION_FROM + _VERSION_SAID + _STANDING_THEN + " WHERE true"

_SUMMARY: Final[LiteralString] = """
    SELECT v.id, v.asset_id, a.namespace, a.name, a.kind, v.number, v.version, v.manifest_digest,
           v.size_bytes, v.file_count, v.formats, v.executable, l.metrics::text AS metrics,
           l.registered_at, v.actor_kind, v.actor_id"""
FOUND_COLUMNS_NOW: Final[LiteralString] = (
    _SUMMARY
    + ", l.revision, l.description, l.tags::text AS tags, a.owner, a.risk_tier"
    + f", {LIFECYCLE_NOW} AS lifecycle, coalesce(k.quarantined, false) AS quarantined"
)
FOUND_COLUMNS_THEN: Final[LiteralString] = (
    _SUMMARY
    + ", s.revision, s.description, s.tags::text AS tags, o.owner, o.risk_tier"
    + f", {LIFECYCLE_THEN} AS lifecycle, coalesce(k.quarantined, false) AS quarantined"
)
FOUND_NOW: Final[LiteralString] = """
    FROM version_label l
    JOIN version v ON v.id = l.version_id
    JOIN asset a ON a.id = l.asset_id
    LEFT JOIN version_standing k ON k.version_id = l.version_id
    WHERE $1::timestamptz IS NULL"""
_VERSION_SAID_THEN: Final[LiteralString] = """
    JOIN LATERAL (
        SELECT n.revision, n.state->>'description' AS description, n.state->'tags' AS tags
        FROM annotation n WHERE n.subject_id = l.version_id AND n.at <= $1::timestamptz
        ORDER BY n.revision DESC LIMIT 1
    ) s ON true
    WHERE l.registered_at <= $1::timestamptz"""
FOUND_THEN: Final[LiteralString] = (
    """
    FROM version_label l
    JOIN version v ON v.id = l.version_id
    JOIN asset a ON a.id = l.asset_id"""
    + _ASSET_SAID_THEN
    + _STANDING_THEN
    + _VERSION_SAID_THEN
)
ALIASES_NOW: Final[LiteralString] = """,
           ARRAY(SELECT p.name FROM alias p WHERE p.version_id = v.id ORDER BY p.name) AS aliases"""
ALIASES_THEN: Final[LiteralString] = """,
           ARRAY(SELECT p.name FROM (
                     SELECT DISTINCT ON (e.name) e.name, e.version_id FROM alias_event e
                     WHERE e.asset_id = v.asset_id AND e.at <= $1::timestamptz
                     ORDER BY e.name, e.revision DESC
                 ) p WHERE p.version_id = v.id ORDER BY p.name) AS aliases"""


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
            tags=parse_json(row["tags"]),
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
        former_names=tuple(row["former_names"]),
        tombstoned_at=row["tombstoned_at"],
    )


def to_version(row: Row) -> Version:
    """Return the version in `row` (`VERSION_COLUMNS_NOW`)."""
    standing = standing_of(row)
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
        metadata=parse_json(row["metadata"]),
        metadata_digest=Digest(row["metadata_digest"]),
        metrics_at_registration=parse_json(row["metrics"]),
        state=VersionState(row["description"], parse_json(row["tags"])),
        revision=row["revision"],
        registered_at=row["registered_at"],
        registered_by=Actor(row["actor_kind"], row["actor_id"]),
        entry_id=row["entry_id"],
        aliases=tuple(row["aliases"]),
        lifecycle=lifecycle_of(standing.mark),
        standing=standing,
    )


def standing_of(row: Row) -> Standing:
    """Return the standing in `row` (`VERSION_COLUMNS_NOW`)."""
    mark = None if row["mark"] is None else Mark(row["mark"])
    if row["standing_revision"] is None:
        return Standing() if mark is None else Standing(mark=mark, tombstoned=True)
    fields = {
        "mark": row["mark"],
        "quarantined": row["quarantined"],
        "tombstoned": row["tombstoned"],
        "about": parse_json(row["about"]),
    }
    return standing_from(fields, row["standing_revision"], row["standing_at"])


def said_values(said: Annotation) -> tuple[Any, ...]:
    """Return the first nine values of a statement that keeps an annotation."""
    return (
        said.subject_id,
        said.revision,
        said.asset_id,
        said.at,
        said.actor.kind,
        said.actor.id,
        said.reason,
        json_text({field: list(pair) for field, pair in said.changes.items()}),
        said.entry_id,
    )
