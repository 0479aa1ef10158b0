"""From what is asked about to versions, and from versions to where they are."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, LiteralString

from muniment.core.digest import Digest
from muniment.core.names import NAMESPACE_DEFAULT
from muniment.server import artifacts, vulnerabilities
from muniment.server.http.records import Scope
from muniment.server.impact.reads.composites import composites_with
from muniment.server.impact.records import About, Asked, Place, Reached, Step, Where
from muniment.server.ports.db import Row, Tx
from muniment.server.vulnerabilities.records import Contained, Finding, Holder


@dataclass(frozen=True, slots=True)
class Answer:
    """Every version that is reached, by id, with its paths; `names` are what it is also called.

    `known` is False where nobody ever heard of what was asked about. `findings` are those of
    components, by the component's id, where a vulnerability was asked about. `composites` are the
    paths from those that lead there themselves, by identifier; others contain versions that do.
    """

    known: bool
    names: tuple[str, ...] = ()
    reached: dict[uuid.UUID, list[Reached]] = field(default_factory=dict)
    composites: dict[str, list[tuple[Step, ...]]] = field(default_factory=dict)
    findings: dict[uuid.UUID, list[Finding]] = field(default_factory=dict)


async def answer(tx: Tx, asked: Asked) -> Answer:
    """Return everything a question leads to, whoever may see it."""
    match asked.about:
        case About.VULNERABILITY:
            return await _vulnerability(tx, asked.text)
        case About.PACKAGE:
            return await _package(tx, asked)
        case About.DIGEST:
            found = _by_version(await _digest(tx, asked.text))
            paths = await composites_with(tx, asked.text)
            return replace(found, known=found.known or bool(paths), composites=paths)
        case About.MATERIAL:
            return _by_version(await _material(tx, asked.text))


def _by_version(reached: Sequence[Reached]) -> Answer:
    found: dict[uuid.UUID, list[Reached]] = {}
    for one in reached:
        found.setdefault(one.version_id, []).append(one)
    return Answer(bool(reached), (), found)


async def _vulnerability(tx: Tx, name: str) -> Answer:
    affected = await vulnerabilities.affected_by(tx, name)
    if affected is None:
        return Answer(known=False)
    found = affected.found
    reached: list[Reached] = []
    findings: dict[uuid.UUID, list[Finding]] = {}

    def path(one: Holder) -> tuple[Step, ...]:
        finding = found[one.component_id]
        return (
            Step("sbom", one.file_name, str(one.evidence_id)),
            Step("component", _called(finding.package, finding.version), finding.purl or ""),
            Step("vulnerability", finding.name),
        )

    for one in await vulnerabilities.holders(tx, list(found)):
        version_id = uuid.UUID(one.subject_id)
        reached.append(Reached(version_id, path(one)))
        findings.setdefault(version_id, []).append(found[one.component_id])
    grouped = _by_version(reached)
    own = await _composites(tx, list(found), path)
    return Answer(True, affected.vulnerability.names, grouped.reached, own, findings)


async def _composites(
    tx: Tx, component_ids: Sequence[int], path: Callable[[Holder], tuple[Step, ...]]
) -> dict[str, list[tuple[Step, ...]]]:
    """Return the paths from composites whose own SBOMs have components, by identifier."""
    found: dict[str, list[tuple[Step, ...]]] = {}
    for one in await vulnerabilities.holders(tx, component_ids, "composite"):
        found.setdefault(one.subject_id, []).append(path(one))
    return found


async def _package(tx: Tx, asked: Asked) -> Answer:
    components = await vulnerabilities.components_of(tx, asked.text, asked.version)
    by_id: dict[int, Contained] = {one.component_id: one for one in components}

    def path(one: Holder) -> tuple[Step, ...]:
        component = by_id[one.component_id]
        return (
            Step("sbom", one.file_name, str(one.evidence_id)),
            Step("component", _called(asked.text, component.version), component.purl or ""),
        )

    grouped = _by_version(
        [
            Reached(uuid.UUID(one.subject_id), path(one))
            for one in await vulnerabilities.holders(tx, list(by_id))
        ]
    )
    return Answer(bool(components), (), grouped.reached, await _composites(tx, list(by_id), path))


def _called(package: str, version: str | None) -> str:
    return package if version is None else f"{package}@{version}"


async def _digest(tx: Tx, hexed: str) -> list[Reached]:
    rows = await tx.fetch(_OF_DIGEST, bytes.fromhex(hexed))
    found = [
        Reached(row["version_id"], (Step(row["kind"], row["name"], f"sha256:{hexed}"),))
        for row in rows
    ]
    files = await _files(tx, Digest(bytes.fromhex(hexed)))
    return found + files + await _terms(tx, (f"sha256:{hexed}", hexed))


async def _files(tx: Tx, digest: Digest) -> list[Reached]:
    """Return the versions that have a file of a digest, with each path it has there."""
    rows = await tx.fetch(
        """
        SELECT v.id, v.manifest_digest
        FROM manifest_blob m JOIN version v ON v.manifest_digest = m.manifest_digest
        WHERE m.digest = $1 ORDER BY v.id
        """,
        digest.raw,
    )
    paths: dict[Digest, list[str]] = {}
    for manifest in {Digest(row["manifest_digest"]) for row in rows}:
        files = (await artifacts.get_manifest(tx, manifest)).files
        paths[manifest] = [file.path for file in files if file.digest == digest]
    return [
        Reached(row["id"], (Step("file", path, str(digest)),))
        for row in rows
        for path in paths[Digest(row["manifest_digest"])]
    ]


_OF_DIGEST: Final[LiteralString] = """
    SELECT v.id AS version_id, 'manifest' AS kind, 'the whole version' AS name
    FROM version v WHERE v.manifest_digest = $1
    UNION ALL
    SELECT e.subject_id::uuid, 'evidence', e.file_name
    FROM evidence e WHERE e.digest = $1 AND e.subject_kind = 'version'
    ORDER BY 1, 2, 3"""


async def _material(tx: Tx, name: str) -> list[Reached]:
    return await _terms(tx, (name,))


async def _terms(tx: Tx, values: Sequence[str]) -> list[Reached]:
    """Return the versions that say they were made of something called so."""
    wanted = [f"{field}:{value}" for field in ("dataset", "base_model") for value in values]
    rows = await tx.fetch(
        """
        SELECT l.version_id, term FROM version_label l, unnest(l.terms) AS term
        WHERE l.terms && $1::text[] AND term = ANY($1::text[]) ORDER BY 1, 2
        """,
        wanted,
    )
    return [Reached(row["version_id"], (_material_step(row["term"]),)) for row in rows]


def _material_step(term: str) -> Step:
    kind, _, name = term.partition(":")
    return Step(kind, name)


_WHERE: Final[LiteralString] = """
    SELECT v.id, a.namespace, a.name, v.version,
           ARRAY(SELECT p.name FROM alias p WHERE p.version_id = v.id ORDER BY p.name) AS aliases
    FROM version v JOIN asset a ON a.id = v.asset_id
    WHERE v.id = ANY($1::uuid[])
      AND ($2::text[] IS NULL OR a.namespace = ANY($2)
           OR a.namespace || '/' || a.name = ANY($3::text[]))
    ORDER BY v.id DESC"""
_PLACES: Final[LiteralString] = """
    SELECT d.version_id, d.environment, d.alias, d.mode, d.since FROM deployment d
    WHERE d.version_id = ANY($1::uuid[]) AND d.ended_at IS NULL ORDER BY d.since, d.id"""


async def where(tx: Tx, ids: Sequence[uuid.UUID], scopes: list[Scope] | None) -> list[Where]:
    """Return those versions that are within `scopes` (None: any), the newest first, and where they are."""
    namespaces = [str(one.namespace) for one in scopes or () if one.asset is None]
    assets = [f"{one.namespace}/{one.asset}" for one in scopes or () if one.asset is not None]
    rows = await tx.fetch(_WHERE, list(ids), None if scopes is None else namespaces, assets)
    places: dict[uuid.UUID, list[Place]] = {}
    for row in await tx.fetch(_PLACES, [row["id"] for row in rows]):
        one = Place(row["environment"], row["alias"], row["mode"], row["since"])
        places.setdefault(row["version_id"], []).append(one)
    return [
        Where(row["id"], _name(row), tuple(row["aliases"]), tuple(places.get(row["id"], ())))
        for row in rows
    ]


def _name(row: Row) -> str:
    plain = f"{row['name']}@{row['version']}"
    return plain if row["namespace"] == NAMESPACE_DEFAULT else f"{row['namespace']}/{plain}"
