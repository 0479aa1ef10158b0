"""What is fetched from elsewhere, and who is told of what happens here."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from muniment.core.digest import Digest
from muniment.core.names import AssetRef
from muniment.server.ledger.records import Actor


class FetchState(enum.StrEnum):
    """How far a fetch is; it ends once."""

    PENDING = "pending"
    REGISTERED = "registered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class About:
    """What was said of a version whose bytes are not here yet."""

    run_id: str = ""
    model_id: str = ""
    run_link: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fetch:
    """A registration whose bytes are fetched first. It holds its number for ever.

    `asset` is the asset's name now. `reason` says why it failed.
    """

    id: uuid.UUID
    asset_id: uuid.UUID
    asset: AssetRef
    number: int
    source: str
    about: About
    asked_at: dt.datetime
    asked_by: Actor
    entry_id: uuid.UUID
    state: FetchState = FetchState.PENDING
    reason: str = ""
    ended_at: dt.datetime | None = None
    version_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file elsewhere: its path below the place, its size if that is told, and a mark of its bytes.

    The same path, size and mark mean the same bytes, as far as the other side says.
    """

    path: str
    size_bytes: int | None
    mark: str = ""


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of a fetch that is here."""

    path: str
    mark: str
    size_bytes: int
    digest: Digest

    def is_of(self, remote: RemoteFile) -> bool:
        """Say whether these are the bytes the other side has, as far as it says."""
        same_size = remote.size_bytes is None or remote.size_bytes == self.size_bytes
        return self.path == remote.path and self.mark == remote.mark and same_size


@dataclass(frozen=True, slots=True)
class RemoteRun:
    """A run or logged model that another server tracks: where its files lie, and its parameters."""

    artifact_uri: str
    params: Mapping[str, str]
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a listing says lies in a directory; `size_bytes` is None for a directory."""

    name: str
    is_directory: bool
    size_bytes: int | None


Json = dict[str, Any]
