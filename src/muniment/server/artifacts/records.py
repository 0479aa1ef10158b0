"""What artifacts are made of: files, manifests, upload sessions."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from dataclasses import dataclass

from muniment.core.digest import Digest


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


@dataclass(frozen=True, slots=True)
class Format:
    """What a file is, as its bytes say; `executable` when loading it may run code in it."""

    name: str
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Formats:
    """What the files of an artifact are: names sorted, and whether any may run code."""

    names: tuple[str, ...]
    executable: bool


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
