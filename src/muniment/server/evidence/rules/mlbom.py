"""The ML-BOM of a version: what it consists of and what is known of it, as CycloneDX 1.7 JSON.

Everything in it is registered or read from evidence; nothing is guessed, so a package has no purl
unless an SBOM gave one. The same state gives the same document, byte for byte.

Source: CycloneDX 1.7, `machine-learning-model`, `modelCard`; requirements §4.1.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from muniment.core.canon import canonical
from muniment.core.digest import digest_of
from muniment.server.artifacts.records import File
from muniment.server.catalog.records import Kind, Version
from muniment.server.evidence.records import Component, Evidence, EvidenceKind
from muniment.server.evidence.rules.parsed import is_void

SPEC: Final = "1.7"
_VERSION: Final = importlib.metadata.version("muniment")
_FILES_MAX: Final = 5000
_HASHES: Final = {
    "md5": "MD5", "sha-1": "SHA-1", "sha-256": "SHA-256", "sha-384": "SHA-384", "sha-512": "SHA-512",
    "sha3-256": "SHA3-256", "sha3-384": "SHA3-384", "sha3-512": "SHA3-512", "blake3": "BLAKE3",
    "blake2b-256": "BLAKE2b-256", "blake2b-384": "BLAKE2b-384", "blake2b-512": "BLAKE2b-512",
}  # fmt: skip
_LENGTHS: Final = frozenset({32, 40, 64, 96, 128})


def ml_bom(
    version: Version,
    files: Sequence[File],
    evidence: Sequence[Evidence],
    software: Sequence[Component] = (),
) -> dict[str, Any]:
    """Return the document. `evidence` still holds; `software` are the components of its newest SBOM."""
    known = max([version.registered_at, *(one.recorded_at for one in evidence)])
    components = [
        *_files(files[:_FILES_MAX]),
        *_datasets(version.metadata),
        *_bases(version.metadata),
        *(_software(one, at) for at, one in enumerate(software)),
        *(_declared(version.metadata) if not software else ()),
    ]
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "version": 1,
        "metadata": {
            "timestamp": known.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lifecycles": [{"phase": "post-build"}],
            "tools": {
                "components": [{"type": "application", "name": "muniment", "version": _VERSION}]
            },
            "component": _subject(version, evidence),
        },
        "components": components,
        "dependencies": [
            {"ref": "subject", "dependsOn": [each["bom-ref"] for each in components]},
            *({"ref": each["bom-ref"]} for each in components),
        ],
    }
    named = uuid.uuid5(
        uuid.NAMESPACE_URL, f"urn:muniment:{version.id}:{digest_of(canonical(bom)).hex}"
    )
    return {**bom, "serialNumber": f"urn:uuid:{named}"}


def _subject(version: Version, evidence: Sequence[Evidence]) -> dict[str, Any]:
    metadata = version.metadata
    kind = "data" if version.kind is Kind.PROMPT else "machine-learning-model"
    subject: dict[str, Any] = {
        "type": kind,
        "bom-ref": "subject",
        "name": str(version.asset.name),
        "group": str(version.asset.namespace),
        "version": str(version.version),
        "hashes": [{"alg": "SHA-256", "content": version.manifest_digest.hex}],
        "properties": list(_properties(version)),
    }
    if version.state.description:
        subject["description"] = version.state.description
    if metadata.get("license"):
        subject["licenses"] = [{"expression": metadata["license"]}]
    ancestors = list(_bases(metadata, prefix="ancestor"))
    if ancestors:
        subject["pedigree"] = {"ancestors": ancestors}
    references = list(_references(version, evidence))
    if references:
        subject["externalReferences"] = references
    if version.kind is Kind.PROMPT:
        subject["data"] = [{"type": "configuration", "name": str(version.asset.name)}]
    else:
        subject["modelCard"] = _model_card(version, evidence)
    return subject


def _properties(version: Version) -> Iterator[dict[str, str]]:
    yield {"name": "muniment:manifest", "value": str(version.manifest_digest)}
    yield {"name": "muniment:metadata", "value": str(version.metadata_digest)}
    yield {"name": "muniment:entry", "value": str(version.entry_id)}
    yield {"name": "muniment:executable", "value": "true" if version.executable else "false"}
    for name in version.formats:
        yield {"name": "muniment:format", "value": name}


_REFERENCES: Final = {
    EvidenceKind.SBOM: "bom",
    EvidenceKind.PROVENANCE: "attestation",
    EvidenceKind.SIGNATURE: "attestation",
    EvidenceKind.EVALUATION: "quality-metrics",
}


def _references(version: Version, evidence: Sequence[Evidence]) -> Iterator[dict[str, Any]]:
    repository = version.metadata.get("code", {}).get("repository")
    if repository and " " not in repository:
        yield {
            "type": "vcs",
            "url": repository,
            "comment": version.metadata["code"].get("commit", ""),
        }
    for one in evidence:
        yield {
            "type": _REFERENCES.get(one.kind, "evidence"),
            "url": f"urn:uuid:{one.id}",
            "comment": f"{one.kind.value}: {one.file_name}",
            "hashes": [{"alg": "SHA-256", "content": one.digest.hex}],
        }


def _model_card(version: Version, evidence: Sequence[Evidence]) -> dict[str, Any]:
    metadata = version.metadata
    parameters: dict[str, Any] = {
        "datasets": [{"ref": f"dataset-{at}"} for at, _ in enumerate(_all_datasets(metadata))],
        "inputs": [
            {"format": each["type"]} for each in metadata.get("signature", {}).get("inputs", ())
        ],
        "outputs": [
            {"format": each["type"]} for each in metadata.get("signature", {}).get("outputs", ())
        ],
    }
    card: dict[str, Any] = {
        "modelParameters": {name: each for name, each in parameters.items() if each}
    }
    metrics = [*_measured(evidence)] or [*_registered(version)]
    if metrics:
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    considerations = _considerations(metadata)
    if considerations:
        card["considerations"] = considerations
    return card


def _measured(evidence: Sequence[Evidence]) -> Iterator[dict[str, Any]]:
    """The metrics of evaluations that are not void; values are text in CycloneDX."""
    for one in evidence:
        if one.kind is not EvidenceKind.EVALUATION or is_void(one.flags):
            continue
        for metric in one.parsed.get("metrics", ())[:500]:
            where = [metric.get("task"), metric.get("slice")]
            shown = {"type": metric["metric"], "value": f"{metric['value']:.12g}"}
            if any(where):
                shown["slice"] = " / ".join(each for each in where if each)
            if "ci" in metric:
                low, high = metric["ci"]
                shown["confidenceInterval"] = {
                    "lowerBound": f"{low:.12g}",
                    "upperBound": f"{high:.12g}",
                }
            yield shown


def _registered(version: Version) -> Iterator[dict[str, Any]]:
    for name, value in sorted(version.metrics_at_registration.items()):
        yield {"type": name, "value": f"{value:.12g}"}


def _considerations(metadata: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        "useCases": [*_texts(metadata.get("intended_use")), *metadata.get("allowed_use_cases", ())],
        "technicalLimitations": _texts(metadata.get("limitations")),
        "ethicalConsiderations": [
            {"name": each} for each in _texts(metadata.get("ethical_considerations"))
        ],
    }
    return {name: each for name, each in found.items() if each}


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _files(files: Sequence[File]) -> Iterator[dict[str, Any]]:
    for at, file in enumerate(files):
        yield {
            "type": "file",
            "bom-ref": f"file-{at}",
            "name": file.path,
            "hashes": [{"alg": "SHA-256", "content": file.digest.hex}],
            "properties": [{"name": "muniment:size_bytes", "value": str(file.size_bytes)}],
        }


def _all_datasets(metadata: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for use in ("training", "evaluation"):
        for dataset in metadata.get(f"{use}_datasets", ()):
            yield use, dataset


def _datasets(metadata: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for at, (use, dataset) in enumerate(_all_datasets(metadata)):
        shown: dict[str, Any] = {
            "type": "data",
            "bom-ref": f"dataset-{at}",
            "name": dataset["name"],
            "data": [{"type": "dataset", "name": dataset["name"]}],
            "properties": [{"name": "muniment:use", "value": use}],
        }
        yield _identified(shown, dataset)


def _bases(metadata: Mapping[str, Any], prefix: str = "base") -> Iterator[dict[str, Any]]:
    for at, base in enumerate(metadata.get("base_models", ())):
        shown = {
            "type": "machine-learning-model",
            "bom-ref": f"{prefix}-{at}",
            "name": base["name"],
        }
        yield _identified(shown, base)


def _identified(shown: dict[str, Any], reference: Mapping[str, Any]) -> dict[str, Any]:
    """Add version, digest and licence of a reference, as far as they are known."""
    if reference.get("version"):
        shown["version"] = reference["version"]
    algorithm, _, value = reference.get("digest", "").partition(":")
    if algorithm == "sha256":
        shown["hashes"] = [{"alg": "SHA-256", "content": value}]
    elif value:
        shown.setdefault("properties", []).append(
            {"name": f"muniment:digest:{algorithm}", "value": value}
        )
    if reference.get("license"):
        shown["licenses"] = [{"expression": reference["license"]}]
    return shown


def _declared(metadata: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Software that the registration names, where no SBOM says more."""
    for kind, name in (("framework", "frameworks"), ("library", "libraries")):
        for at, one in enumerate(metadata.get(name, ())):
            yield {
                "type": kind,
                "bom-ref": f"{kind}-{at}",
                "name": one["name"],
                "version": one["version"],
            }


_TYPES: Final = frozenset(
    {"application", "framework", "library", "container", "platform", "operating-system", "device", "device-driver",
     "firmware", "file", "machine-learning-model", "data", "cryptographic-asset"}
)  # fmt: skip


def _software(one: Component, at: int) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "type": one.type if one.type in _TYPES else "library",
        "bom-ref": f"software-{at}",
        "name": one.name or "unnamed",
    }
    if one.version:
        shown["version"] = one.version
    if one.purl:
        shown["purl"] = one.purl
    if one.licenses:
        shown["licenses"] = [{"license": {"name": name}} for name in one.licenses]
    hashes = [
        {"alg": _HASHES[name], "content": value}
        for name, value in one.hashes.items()
        if name in _HASHES and len(value) in _LENGTHS
    ]
    if hashes:
        shown["hashes"] = hashes
    return shown
