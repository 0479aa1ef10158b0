"""What the fake registry holds: assets, versions, aliases, uploads, blobs and a log."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from muniment.core.canon import canonical
from muniment.core.digest import digest_of
from muniment.core.errors import NotFound, VersionConflict
from muniment.core.names import AssetRef, VersionRef
from tests.support.fake_log import AT, FakeLog


@dataclass
class Staged:
    """A blob on its way in: what was declared, and the parts that came, by offset."""

    size_bytes: int
    parts: dict[int, bytes] = field(default_factory=dict)

    def received(self) -> list[list[int]]:
        """The ranges received, touching ones merged."""
        ranges: list[list[int]] = []
        for offset, data in sorted(self.parts.items()):
            if ranges and ranges[-1][1] == offset:
                ranges[-1][1] = offset + len(data)
            else:
                ranges.append([offset, offset + len(data)])
        return ranges


class FakeState:
    """A registry's state. `forged` holds what it shows in place of the truth."""

    def __init__(self, *, part_size_bytes: int = 1024, direct: bool = False) -> None:
        self.part_size_bytes = part_size_bytes
        self.direct = direct
        self.assets: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, list[dict[str, Any]]] = {}
        self.manifests: dict[str, dict[str, Any]] = {}
        self.aliases: dict[tuple[str, str], list[str | None]] = {}
        self.blobs: dict[str, bytes] = {}
        self.uploads: dict[str, dict[str, Staged]] = {}
        self.log = FakeLog()
        self.evidence: list[tuple[dict[str, Any], bytes]] = []
        self.lifecycle: dict[str, Any] = {}
        self.consumers: dict[str, Any] = {}
        self.signers: list[dict[str, Any]] = []
        self.missing_gaps: list[dict[str, str]] = []
        self.forged: dict[str, Any] = {}

    def add_version(self, ref: str, files: dict[str, bytes]) -> None:
        """Have a version without going through an upload."""
        at = VersionRef.parse(ref)
        for data in files.values():
            self.blobs[hashlib.sha256(data).hexdigest()] = data
        listed = [
            {"path": p, "sha256": hashlib.sha256(d).hexdigest(), "size_bytes": len(d)}
            for p, d in files.items()
        ]
        self.add_asset(str(at.asset), {"kind": "model", "owner": "ada"})
        self.register(str(at.asset), str(at.at), listed, {})

    def add_asset(self, ref: str, fields: dict[str, Any]) -> dict[str, Any]:
        at = AssetRef.parse(ref)
        entry = self.log.append("asset.create", ref, [], fields)
        self.assets[ref] = {
            "id": f"asset-{len(self.assets)}",
            "namespace": str(at.namespace),
            "name": str(at.name),
            "tags": {},
            "revision": 1,
            "created_at": AT.isoformat(),
            "entry_id": entry,
            **fields,
        }
        self.versions.setdefault(ref, [])
        return self.assets[ref]

    def register(
        self, ref: str, version: str, files: list[dict[str, Any]], metadata: dict[str, Any]
    ) -> dict[str, Any]:
        listed = sorted(files, key=lambda file: str(file["path"]))
        manifest = {"schema": "muniment/manifest/v1", "files": listed}
        digest = digest_of(canonical(manifest))
        for known in self.versions[ref]:
            if known["version"] == version:
                if known["manifest_digest"] == str(digest):
                    return {**known, "created": False}
                raise VersionConflict(
                    extra={"registered": known["manifest_digest"], "found": str(digest)}
                )
        name = f"{ref}@{version}"
        asset = self.assets[ref]
        made = {
            "id": f"version-{name}",
            "namespace": asset["namespace"],
            "name": asset["name"],
            "kind": asset["kind"],
            "version": version,
            "number": len(self.versions[ref]) + 1,
            "manifest_digest": str(digest),
            "size_bytes": sum(file["size_bytes"] for file in files),
            "file_count": len(files),
            "formats": [],
            "executable": False,
            "metadata": metadata,
            "metrics_at_registration": metadata.get("metrics", {}),
            "tags": {},
            "registered_at": AT.isoformat(),
            "registered_by": {"kind": "person", "id": "ada"},
        }
        made["entry_id"] = self.log.append("version.register", name, [digest], {"version": made})
        self.versions[ref].append(made)
        self.manifests[name] = manifest
        return made

    def version(self, ref: str) -> dict[str, Any]:
        """The version a reference means."""
        at = VersionRef.parse(ref)
        wanted = str(at.at)
        moves = self.aliases.get((str(at.asset), wanted))
        for known in self.versions.get(str(at.asset), []):
            by = (known["version"], str(known["number"]))
            if wanted in by or (moves and moves[-1] == known["version"]):
                return known
        raise NotFound(f"there is no {ref}")
