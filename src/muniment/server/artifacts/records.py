"""What artifacts are made of: files, manifests, upload sessions."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from dataclasses import dataclass

from muniment.core.digest import Digest
from muniment.scan.records import Format, Formats

__all__ = [
    "Declared",
    "File",
    "FileChanges",
    "Format",
    "Formats",
    "Manifest",
    "Moved",
    "Upload",
    "UploadState",
]


@dataclass(frozen=True, slots=True)
class File:
    """One file of an artifact: its relative path with `/`, its size and its digest."""

    path: str
    size_bytes: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of an artifact, sorted by path (code points).

    `body` is its canonical JSON and `digest` the SHA-256 of that: the artifact's identity.
    """

    files: tuple[File, ...]
    body: bytes
    digest: Digest

    @property
    def size_bytes(self) -> int:
        """The bytes of all files together."""
        return sum(file.size_bytes for file in self.files)


class UploadState(enum.StrEnum):
    """Whether an upload takes bytes."""

    OPEN = "open"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Upload:
    """A session in which one principal sends blobs."""

    id: uuid.UUID
    principal_id: uuid.UUID
    state: UploadState
    created_at: dt.datetime
    expires_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Declared:
    """A blob a client wants to send: its digest and size, and whether it came in whole."""

    digest: Digest
    size_bytes: int
    sealed: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """A file that has other paths in the other version, with the same bytes."""

    digest: Digest
    size_bytes: int
    left: tuple[str, ...]
    right: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileChanges:
    """How the files of two versions differ."""

    added: tuple[File, ...]
    removed: tuple[File, ...]
    changed: tuple[tuple[File, File], ...]
    moved: tuple[Moved, ...]
    same_count: int


class Problem(enum.StrEnum):
    """How stored bytes can be wrong."""

    MISSING = "missing"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Held:
    """A blob the store should hold."""

    digest: Digest
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Use:
    """What a blob is needed for: the first file of the first version that names it.

    `name` is `fraud-detector@1.0.0: model.pkl`; `version_count` is how many versions need it.
    """

    name: str
    asset_id: uuid.UUID
    version_count: int


@dataclass(frozen=True, slots=True)
class BlobFinding:
    """Stored bytes that were found missing or changed, and when they were right again."""

    act_id: uuid.UUID
    digest: Digest
    problem: Problem
    found_at: dt.datetime
    healed_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class ScrubPass:
    """One reading of all stored bytes: how far it got, how much it read, how many were wrong."""

    id: uuid.UUID
    started_at: dt.datetime
    held_bytes: int
    cursor: bytes
    blob_count: int
    size_bytes: int
    finding_count: int
    finished_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Collected:
    """Blobs that nothing names: removed together, or what would be."""

    blobs: tuple[Held, ...]

    @property
    def size_bytes(self) -> int:
        """The bytes of all of them."""
        return sum(blob.size_bytes for blob in self.blobs)
