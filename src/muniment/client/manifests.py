"""The manifest of a version, read with suspicion: its digest, its paths, its sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from muniment.client.paths import check_paths
from muniment.core.canon import canonical
from muniment.core.digest import Digest, digest_of
from muniment.core.errors import BadManifest, DigestMismatch

MANIFEST_SCHEMA = "muniment/manifest/v1"


@dataclass(frozen=True, slots=True, order=True)
class ManifestFile:
    """One file of a version."""

    path: str
    size_bytes: int
    digest: Digest


class _File(msgspec.Struct):
    path: str
    size_bytes: int
    sha256: str


class _Manifest(msgspec.Struct):
    files: list[_File]


def digest_of_manifest(files: list[ManifestFile]) -> Digest:
    """Return the artifact's identity: SHA-256 of the canonical manifest of `files`."""
    return digest_of(canonical(manifest_value(files)))


def manifest_value(files: list[ManifestFile]) -> dict[str, Any]:
    """Return a manifest as JSON values, files sorted by path (code points)."""
    listed = [
        {"path": file.path, "sha256": file.digest.hex, "size_bytes": file.size_bytes}
        for file in sorted(files)
    ]
    return {"schema": MANIFEST_SCHEMA, "files": listed}


def read_manifest(value: Any, expected: Digest | None) -> list[ManifestFile]:
    """Read a manifest (JSON values) that must have the digest `expected`, sorted by path.

    Raises:
        DigestMismatch: it is another manifest than the version was registered with.
        BadManifest: it is malformed.
        BadPath: it names a path that must not be written.
    """
    try:
        listed = msgspec.convert(value, _Manifest).files
    except msgspec.ValidationError as error:
        raise BadManifest(f"the manifest is malformed: {error}") from error
    check_paths(file.path for file in listed)
    if any(file.size_bytes < 0 for file in listed):
        raise BadManifest("the manifest has a negative size")
    files = sorted(
        ManifestFile(file.path, file.size_bytes, Digest.parse(file.sha256)) for file in listed
    )
    found = digest_of_manifest(files)
    if expected is not None and found != expected:
        msg = f"expected the manifest {expected}, found {found}; do not use these files"
        raise DigestMismatch(msg, extra={"expected": str(expected), "found": str(found)})
    return files
