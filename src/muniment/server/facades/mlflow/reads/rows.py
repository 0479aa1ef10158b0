"""Versions and assets as rows: what is read of them, and what it is read into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, LiteralString

import msgspec

from muniment.server import lifecycle
from muniment.server.catalog.records import Kind
from muniment.server.facades.mlflow.records import FoundModel, FoundVersion, Known
from muniment.server.lifecycle.records import Stage
from muniment.server.ports.db import Row

#: Of a version v with its label l and its standing k, of an asset a. What derived tags of a
#: version in production show is only looked up where it is deployed.
_SHOWN: Final[LiteralString] = """
           v.id, v.number, v.registered_at, l.updated_at, l.description, l.tags,
           v.metadata->'run'->>'id' AS run_id, v.metadata->'extra'->'mlflow' AS about,
           CASE a.kind WHEN 'prompt' THEN v.metadata->'prompt' END AS prompt,
           array(SELECT p.name FROM alias p WHERE p.version_id = v.id ORDER BY p.name) AS aliases,
           v.version, v.manifest_digest, l.metrics, coalesce(k.mark, 'draft') AS lifecycle,
           coalesce(k.quarantined, false) AS quarantined,
           CASE WHEN EXISTS (SELECT FROM deployment d
                             WHERE d.version_id = v.id AND d.ended_at IS NULL)
                THEN jsonb_build_object('code', v.metadata->'code', 'pipeline', v.metadata->'pipeline',
                                        'training_datasets', v.metadata->'training_datasets')
           END AS said"""
_FROM: Final[LiteralString] = """
    FROM version_label l
    JOIN version v ON v.id = l.version_id
    JOIN asset a ON a.id = l.asset_id
    LEFT JOIN version_standing k ON k.version_id = l.version_id
    WHERE a.namespace = 'default' AND a.tombstoned_at IS NULL AND k.tombstoned IS NOT TRUE"""
#: Versions that are shown, to be narrowed with AND.
VERSION: Final[LiteralString] = (
    "SELECT a.name, a.kind," + _SHOWN + f", {lifecycle.STAGE} AS stage" + _FROM
)

AMONG: Final[LiteralString] = """
    AND (a.name, v.number) IN (SELECT * FROM unnest($1::text[], $2::integer[]))"""

_SHOWN_OF_MODEL: Final[LiteralString] = """
    SELECT a.name, a.kind, a.created_at, greatest(a.updated_at, t.registered_at) AS changed_at,
           a.description AS said_of_it, a.tags AS its_tags,
           (SELECT coalesce(json_agg(json_build_array(p.name, w.number) ORDER BY p.name), '[]')
            FROM alias p JOIN version w ON w.id = p.version_id WHERE p.asset_id = a.id)::text
           AS pointers"""
#: The highest version of each stage: of those of which something was said or that are deployed, and
#: of the others, which are all at None, the highest.
_LATEST: Final[LiteralString] = (
    "SELECT v.number, "  # noqa: S608 -- constants only
    + lifecycle.STAGE
    + """ AS stage
            FROM version v LEFT JOIN version_standing k ON k.version_id = v.id
            WHERE v.id IN (SELECT s.version_id FROM version_standing s WHERE s.asset_id = a.id
                           UNION SELECT d.version_id FROM deployment d
                                 WHERE d.asset_id = a.id AND d.ended_at IS NULL)
              AND k.tombstoned IS NOT TRUE
            UNION ALL
            (SELECT v.number, 'None' FROM version v WHERE v.asset_id = a.id
                AND NOT EXISTS (SELECT FROM version_standing s WHERE s.version_id = v.id)
                AND NOT EXISTS (SELECT FROM deployment d
                                WHERE d.version_id = v.id AND d.ended_at IS NULL)
             ORDER BY v.number DESC LIMIT 1)"""
)
_PER_STAGE: Final[LiteralString] = (
    "(SELECT DISTINCT ON (c.stage) c.number, c.stage FROM ("  # noqa: S608 -- ours
    + _LATEST
    + ") c ORDER BY c.stage, c.number DESC)"
)
_NEWEST: Final[LiteralString] = """
    FROM asset a
    LEFT JOIN LATERAL (SELECT v.registered_at FROM version v WHERE v.asset_id = a.id
                       ORDER BY v.number DESC LIMIT 1) t ON true"""
#: Assets that are shown, to be narrowed with AND; `latest` are the numbers of their latest versions.
MODEL: Final[LiteralString] = (
    _SHOWN_OF_MODEL  # noqa: S608 -- ours
    + ", array(SELECT s.number FROM "
    + _PER_STAGE
    + " s) AS latest"
    + _NEWEST
    + " WHERE a.namespace = 'default' AND a.tombstoned_at IS NULL"
)
#: One asset, a row for each of its latest versions or one without any.
ONE_MODEL: Final[LiteralString] = (
    _SHOWN_OF_MODEL
    + ","
    + _SHOWN
    + ", s.stage"
    + _NEWEST
    + " LEFT JOIN LATERAL "
    + _PER_STAGE
    + """ s ON true
    LEFT JOIN version v ON v.asset_id = a.id AND v.number = s.number
    LEFT JOIN version_label l ON l.version_id = v.id
    LEFT JOIN version_standing k ON k.version_id = v.id
    WHERE a.namespace = 'default' AND a.tombstoned_at IS NULL AND a.name = $1"""
)

KINDS: Final = {kind.value: kind for kind in Kind}
_STAGES: Final = {stage.value: stage for stage in Stage}


def to_model(row: Row, latest: Sequence[FoundVersion]) -> FoundModel:
    """Read an asset; `latest` are the versions of it that are shown with it."""
    return FoundModel(
        name=row["name"],
        kind=KINDS[row["kind"]],
        created_at=row["created_at"],
        updated_at=row["changed_at"],
        description=row["said_of_it"],
        tags=msgspec.json.decode(row["its_tags"]),
        aliases=[(name, number) for name, number in msgspec.json.decode(row["pointers"])],
        latest_versions=sorted(latest, key=lambda one: list(Stage).index(one.stage)),
    )


def to_version(row: Row) -> FoundVersion:
    """Read a version."""
    about: Any = msgspec.json.decode(row["about"]) if row["about"] else None
    return FoundVersion(
        id=row["id"],
        name=row["name"],
        number=row["number"],
        kind=KINDS[row["kind"]],
        registered_at=row["registered_at"],
        updated_at=row["updated_at"],
        description=row["description"],
        tags=msgspec.json.decode(row["tags"]),
        run_id=row["run_id"],
        about=about if isinstance(about, dict) else {},
        prompt=msgspec.json.decode(row["prompt"]) if row["prompt"] else None,
        aliases=tuple(row["aliases"]),
        stage=_STAGES[row["stage"]],
        barred=_barred(row),
        known=_known(row),
    )


def _known(row: Row) -> Known | None:
    """Return what derived tags show; None where there are none, as of most versions."""
    if row["lifecycle"] == "draft" and not row["quarantined"] and row["said"] is None:
        return None
    return Known(
        version=row["version"],
        lifecycle=row["lifecycle"],
        quarantined=row["quarantined"],
        manifest_digest="sha256:" + row["manifest_digest"].hex(),
        metadata=msgspec.json.decode(row["said"]) if row["said"] else {},
        metrics=msgspec.json.decode(row["metrics"]),
    )


def _barred(row: Row) -> str | None:
    if row["lifecycle"] == "retired":
        return "retired"
    return "quarantined" if row["quarantined"] else None
