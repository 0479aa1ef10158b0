"""A lineage in the words of others: W3C PROV-JSON, and OpenLineage RunEvents.

PROV: runs, jobs, pipelines, deployments and consumers' uses are activities, everything else is an entity.
OpenLineage has no models: a version is an output dataset with a version facet, and each version is one completed run.

Source: PROV-JSON (W3C member submission 2013-04-24); OpenLineage 2-0-2, facets DatasetVersion 1-0-1,
SourceCodeLocation 1-1-0; requirements §4.3.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any, Final

from muniment.server.impact.records import Lineage, Link, LinkKind, Node, NodeKind

_ACTIVITIES: Final = frozenset(
    {NodeKind.RUN, NodeKind.JOB, NodeKind.PIPELINE, NodeKind.DEPLOYMENT, NodeKind.CONSUMER}
)
_OURS_BY_ID: Final = frozenset({NodeKind.VERSION, NodeKind.DEPLOYMENT, NodeKind.CONSUMER})
_SPEC: Final = "https://openlineage.io/spec"
_EVENT: Final = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_VERSION: Final = (
    f"{_SPEC}/facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet"
)
_SOURCE: Final = (
    f"{_SPEC}/facets/1-1-0/SourceCodeLocationJobFacet.json#/$defs/SourceCodeLocationJobFacet"
)
_OURS: Final = "urn:muniment:openlineage:lineage:1"


def prov_json(found: Lineage) -> dict[str, Any]:
    """Return a lineage as one PROV-JSON document; relations say whether they are verified."""
    by_id = {node.id: node for node in found.nodes}
    document: dict[str, Any] = {"prefix": {"muniment": "urn:muniment:"}}
    for node in found.nodes:
        section = "activity" if node.kind in _ACTIVITIES else "entity"
        document.setdefault(section, {})[_name(node)] = _attributes(node)
    for number, link in enumerate(found.links, 1):
        relation, ends = _relation(by_id[link.lower], by_id[link.upper])
        about = {"muniment:link": link.kind.value, "muniment:assurance": _assurance(link)}
        if link.evidence is not None:
            about["muniment:evidence"] = str(link.evidence)
        document.setdefault(relation, {})[f"_:l{number}"] = {**ends, **about}
    return document


def _name(node: Node) -> str:
    """A qualified name that is the same in every answer; other people's names are not part of it."""
    local = node.key
    if node.kind not in _OURS_BY_ID:
        local = hashlib.sha256(node.id.encode()).hexdigest()[:32]
    return f"muniment:{node.kind.value}-{local}"


def _attributes(node: Node) -> dict[str, Any]:
    if node.redacted:
        return {"prov:type": "muniment:redacted"}
    said = {"prov:label": node.label, "prov:type": f"muniment:{node.kind.value}"}
    if node.digest is not None:
        said["muniment:digest"] = node.digest
    return said | {f"muniment:{name}": text for name, text in node.about.items()}


def _relation(lower: Node, upper: Node) -> tuple[str, dict[str, str]]:
    if upper.kind in _ACTIVITIES:
        return "wasGeneratedBy", {"prov:entity": _name(lower), "prov:activity": _name(upper)}
    if lower.kind in _ACTIVITIES:
        return "used", {"prov:activity": _name(lower), "prov:entity": _name(upper)}
    return "wasDerivedFrom", {
        "prov:generatedEntity": _name(lower),
        "prov:usedEntity": _name(upper),
    }


def _assurance(link: Link) -> str:
    return "verified" if link.verified else "asserted"


def openlineage(found: Lineage, producer: str) -> list[dict[str, Any]]:
    """Return one COMPLETE event for each version the caller may read, the oldest first.

    Its inputs are the datasets, base models, features and versions it was made from. What provenance
    alone names is left out: it has no name. `producer` is the URI of this registry.
    """
    by_id = {node.id: node for node in found.nodes}
    uppers: dict[str, list[tuple[Link, Node]]] = {}
    for link in found.links:
        uppers.setdefault(link.lower, []).append((link, by_id[link.upper]))
    versions = [node for node in found.nodes if node.kind is NodeKind.VERSION and not node.redacted]
    versions.sort(key=lambda node: (node.about["registered_at"], node.id))
    return [_event(node, uppers.get(node.id, []), producer) for node in versions]


_INPUTS: Final = frozenset(
    {NodeKind.VERSION, NodeKind.DATASET, NodeKind.BASE_MODEL, NodeKind.FEATURE}
)


def _event(version: Node, uppers: list[tuple[Link, Node]], producer: str) -> dict[str, Any]:
    name = version.label.partition("@")[0]
    code = [node for link, node in uppers if link.kind is LinkKind.BUILT_FROM]
    commits = [node for node in code if node.about.get("repository")]
    return {
        "eventType": "COMPLETE",
        "eventTime": version.about["registered_at"],
        "run": {"runId": str(uuid.UUID(version.key))},
        "job": {
            "namespace": "muniment",
            "name": f"register {name}",
            "facets": {"sourceCodeLocation": _source(commits[0], producer)} if commits else {},
        },
        "inputs": [
            _dataset(node, producer, link)
            for link, node in uppers
            if node.kind in _INPUTS and not node.redacted
        ],
        "outputs": [_dataset(version, producer)],
        "producer": producer,
        "schemaURL": _EVENT,
    }


def _source(commit: Node, producer: str) -> dict[str, Any]:
    return {
        "_producer": producer,
        "_schemaURL": _SOURCE,
        "type": "git",
        "url": commit.about["repository"],
        "repoUrl": commit.about["repository"],
        "version": commit.key,
    }


def _dataset(node: Node, producer: str, link: Link | None = None) -> dict[str, Any]:
    name, _, version = node.label.rpartition("@") if "@" in node.label else (node.label, "", "")
    ours: dict[str, Any] = {"_producer": producer, "_schemaURL": _OURS, "kind": node.kind.value}
    if node.digest is not None:
        ours["digest"] = node.digest
    if link is not None:
        ours |= {"link": link.kind.value, "assurance": _assurance(link)}
    facets: dict[str, Mapping[str, Any]] = {"muniment_lineage": ours}
    if version or node.digest:
        facets["version"] = {
            "_producer": producer,
            "_schemaURL": _VERSION,
            "datasetVersion": version or node.digest,
        }
    namespace = "muniment" if node.kind is NodeKind.VERSION else f"muniment/{node.kind.value}"
    return {"namespace": namespace, "name": name, "facets": facets}
