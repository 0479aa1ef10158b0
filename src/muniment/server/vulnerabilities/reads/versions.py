"""Versions, as what vulnerabilities are asked of."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from muniment.core.names import NAMESPACE_DEFAULT
from muniment.server import artifacts
from muniment.server.catalog.records import Version
from muniment.server.http.records import Scope
from muniment.server.ports.db import Row, Tx


@dataclass(frozen=True, slots=True)
class Named:
    """A version, its name, and all that it is called by: names and digests."""

    id: uuid.UUID
    name: str
    called: frozenset[str]


async def called(tx: Tx, version: Version) -> frozenset[str]:
    """Return all that a version is called by: its names, and the digests of it and of its files."""
    manifest = await artifacts.get_manifest(tx, version.manifest_digest)
    digests = {version.manifest_digest.hex, *(file.digest.hex for file in manifest.files)}
    return _names(version.name) | digests | {f"sha256:{one}" for one in digests}


def _names(name: str) -> frozenset[str]:
    short = name.removeprefix(f"{NAMESPACE_DEFAULT}/")
    full = name if "/" in name else f"{NAMESPACE_DEFAULT}/{name}"
    return frozenset({name, short, full, f"pkg:mlflow/{short}", f"pkg:mlflow/{full}"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which versions: in `scopes` (None: any), with ids below `before`."""

    scopes: list[Scope] | None
    namespace: str | None = None
    with_sbom: bool = False
    before: uuid.UUID | None = None
    limit: int = 50


_PAGE: Final[LiteralString] = """
    SELECT v.id, a.namespace, a.name, v.version, v.manifest_digest,
           ARRAY(SELECT encode(m.digest, 'hex') FROM manifest_blob m
                 WHERE m.manifest_digest = v.manifest_digest) AS digests
    FROM version v JOIN asset a ON a.id = v.asset_id
    WHERE ($1::text[] IS NULL OR a.namespace = ANY($1)
           OR a.namespace || '/' || a.name = ANY($2::text[]))
      AND ($3::text IS NULL OR a.namespace = $3)
      AND (NOT $4::boolean OR EXISTS (
          SELECT FROM evidence e
          WHERE e.subject_kind = 'version' AND e.subject_id = v.id::text AND e.kind = 'sbom'))
      AND ($5::uuid IS NULL OR v.id < $5)
    ORDER BY v.id DESC LIMIT $6"""
_NAMED: Final[LiteralString] = """
    SELECT v.id, a.namespace, a.name, v.version, v.manifest_digest,
           ARRAY(SELECT encode(m.digest, 'hex') FROM manifest_blob m
                 WHERE m.manifest_digest = v.manifest_digest) AS digests
    FROM version v JOIN asset a ON a.id = v.asset_id
    WHERE v.id = ANY($1::uuid[])"""


async def named(tx: Tx, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Named]:
    """Return versions by their ids."""
    return {row["id"]: _to_named(row) for row in await tx.fetch(_NAMED, list(ids))}


async def page(tx: Tx, wanted: Wanted) -> list[Named]:
    """Return versions, the newest first; `wanted.limit` and one more."""
    everywhere = wanted.scopes is None
    namespaces, assets = _scopes(wanted.scopes or ())
    rows = await tx.fetch(
        _PAGE,
        None if everywhere else namespaces,
        assets,
        wanted.namespace,
        wanted.with_sbom,
        wanted.before,
        wanted.limit + 1,
    )
    return [_to_named(row) for row in rows]


def _scopes(scopes: Sequence[Scope]) -> tuple[list[str], list[str]]:
    whole = [str(one.namespace) for one in scopes if one.asset is None]
    return whole, [f"{one.namespace}/{one.asset}" for one in scopes if one.asset is not None]


def _to_named(row: Row) -> Named:
    plain = f"{row['name']}@{row['version']}"
    default = row["namespace"] == NAMESPACE_DEFAULT
    name = plain if default else f"{row['namespace']}/{plain}"
    digests = {row["manifest_digest"].hex(), *row["digests"]}
    every = _names(name) | digests | {f"sha256:{one}" for one in digests}
    return Named(row["id"], name, every)
