"""What runs together, and what it is asked for with."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from muniment.core.digest import Digest
from muniment.core.names import AssetRef, VersionRef
from muniment.server.ledger.records import Actor


@dataclass(frozen=True, slots=True)
class Pinned:
    """A version of this registry that a component is: its asset, kind, SemVer and manifest's digest."""

    asset: AssetRef
    kind: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Composite:
    """A registered composite; it never changes. `manifest` has its components by kind and name."""

    cvi: str
    id: uuid.UUID
    namespace: str
    system: str
    manifest: Mapping[str, Any]
    registered_at: dt.datetime
    actor: Actor
    entry_id: uuid.UUID

    @property
    def components(self) -> list[dict[str, Any]]:
        """The records of the manifest, by kind and name."""
        records: list[dict[str, Any]] = self.manifest["components"]
        return records


@dataclass(frozen=True, slots=True)
class Here:
    """A version of this registry that has the digest of some component."""

    id: uuid.UUID
    asset: AssetRef
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Member:
    """A version of this registry that a composite pins: `ref` as it is called now, `digest` of its manifest."""

    version_id: uuid.UUID
    asset_id: uuid.UUID
    ref: VersionRef
    kind: str
    digest: Digest
