"""What the catalog knows: assets, their versions, what is said of them, and aliases."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from muniment.core.digest import Digest
from muniment.core.names import Alias, AssetRef, Namespace, SemVer
from muniment.server.ledger.records import Actor


class Kind(enum.StrEnum):
    """What an asset is."""

    MODEL = "model"
    PROMPT = "prompt"
    ADAPTER = "adapter"


class RiskTier(enum.StrEnum):
    """How much harm an asset could do. Source: Regulation (EU) 2024/1689, Articles 5, 6 and 50."""

    MINIMAL = "minimal"
    LIMITED = "limited"
    HIGH = "high"
    UNACCEPTABLE = "unacceptable"


class Lifecycle(enum.StrEnum):
    """What a version may do. Derived, never stored. Source: requirements §1.3."""

    DRAFT = "draft"
    CANDIDATE = "candidate"
    APPROVED = "approved"
    DEPRECATED = "deprecated"
    RETIRED = "retired"


class Mode(enum.StrEnum):
    """How a namespace takes what its rules do not allow. Source: design §2."""

    OBSERVE = "observe"  # carried out; what would have been refused is counted
    WARN = "warn"  # the same, and the answer says so
    ENFORCE = "enforce"  # refused


@dataclass(frozen=True, slots=True)
class OwnField:
    """A member of `extra` that is due from `step` on, of these kinds and risk tiers (none: of all)."""

    field: str
    step: Lifecycle
    why: str
    kinds: tuple[Kind, ...] = ()
    risk_tiers: tuple[RiskTier, ...] = ()


@dataclass(frozen=True, slots=True)
class NamespaceState:
    """What may change about a namespace. `production_aliases` are lower case, sorted."""

    mode: Mode
    production_aliases: tuple[str, ...]
    required_fields: tuple[OwnField, ...] = ()


@dataclass(frozen=True, slots=True)
class GovernedNamespace:
    """A namespace. `revision` counts the changes of `state`, from 1."""

    name: Namespace
    state: NamespaceState
    revision: int
    created_at: dt.datetime
    created_by: Actor
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class NamespaceChange:
    """What a caller wants to hold of a namespace; None stays. `revision`: the one it has read."""

    mode: Mode | None = None
    production_aliases: Sequence[str] | None = None
    reason: str = ""
    revision: int | None = None
    required_fields: Sequence[OwnField] | None = None


@dataclass(frozen=True, slots=True)
class NamespaceEvent:
    """One change of how a namespace is governed. `changes` maps fields to (before, after)."""

    name: Namespace
    state: NamespaceState
    revision: int
    changes: Mapping[str, Any]
    reason: str
    at: dt.datetime
    actor: Actor
    entry_id: uuid.UUID


class Mark(enum.StrEnum):
    """What was said of a version's use: it ends, or it has ended."""

    DEPRECATED = "deprecated"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Standing:
    """What may be done with a version. `revision` 0: nothing was ever said of it.

    `quarantined` stands beside the mark. `tombstoned`: MLflow's API deleted it. `reason`,
    `replacement` and `sunset` belong to the mark.
    """

    mark: Mark | None = None
    quarantined: bool = False
    tombstoned: bool = False
    reason: str = ""
    replacement: str | None = None
    sunset: dt.date | None = None
    quarantine_reason: str = ""
    revision: int = 0
    at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class StandingChange:
    """A version's standing after an act, and the ledger entry of that act."""

    version_id: uuid.UUID
    asset_id: uuid.UUID
    standing: Standing
    entry_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class AssetState:
    """What may change about an asset, each change kept with who, when and why."""

    owner: str
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    backup_owner: str | None = None
    escalation_contact: str | None = None
    risk_tier: RiskTier | None = None


@dataclass(frozen=True, slots=True)
class Asset:
    """A named thing under governance. `revision` counts the changes of `state`, from 1.

    `former_names`, in the order they were left, stay reserved. `tombstoned_at`: when MLflow's API
    deleted it; its versions are retired since, and it takes no new ones.
    """

    id: uuid.UUID
    ref: AssetRef
    kind: Kind
    state: AssetState
    revision: int
    next_number: int
    created_at: dt.datetime
    created_by: Actor
    updated_at: dt.datetime
    entry_id: uuid.UUID
    former_names: tuple[str, ...] = ()
    tombstoned_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class VersionState:
    """What may change about a version, each change kept with who, when and why."""

    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version about to be registered.

    `formats` are detected from bytes, sorted. `metadata` is checked already
    (`rules.read_metadata`), and `metadata_json` is its canonical form. `metrics_at_registration` maps names to finite numbers, and is usually
    `rules.metrics_of(metadata)`. `entry_id` is the id the ledger entry of the registration will
    have. `number` is one that was reserved for it; None takes the next.
    """

    id: uuid.UUID
    version: SemVer
    manifest_digest: Digest
    size_bytes: int
    file_count: int
    formats: tuple[str, ...]
    executable: bool
    metadata: Mapping[str, Any]
    metadata_json: bytes
    metrics_at_registration: Mapping[str, float]
    actor: Actor
    at: dt.datetime
    entry_id: uuid.UUID
    state: VersionState = field(default_factory=VersionState)
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """One immutable registration of an asset.

    `number` is MLflow's integer. `aliases` point at it, by name. Everything but `state`, `revision`,
    `aliases` and what is derived is fixed for ever.
    """

    id: uuid.UUID
    asset_id: uuid.UUID
    asset: AssetRef
    kind: Kind
    number: int
    version: SemVer
    manifest_digest: Digest
    size_bytes: int
    file_count: int
    formats: tuple[str, ...]
    executable: bool
    metadata: Mapping[str, Any]
    metadata_digest: Digest
    metrics_at_registration: Mapping[str, float]
    state: VersionState
    revision: int
    registered_at: dt.datetime
    registered_by: Actor
    entry_id: uuid.UUID
    aliases: tuple[str, ...] = ()
    lifecycle: Lifecycle = Lifecycle.DRAFT
    standing: Standing = Standing()

    @property
    def name(self) -> str:
        """`[namespace/]NAME@VERSION`, as the ledger and people call it."""
        return f"{self.asset}@{self.version}"


@dataclass(frozen=True, slots=True)
class Annotation:
    """One change of what is said of an asset or version.

    `changes` maps each changed field to (before, after); a tag's field is `tags.KEY`, and None
    stands for a tag that is not there.
    """

    subject_kind: str
    subject_id: uuid.UUID
    asset_id: uuid.UUID
    revision: int
    at: dt.datetime
    actor: Actor
    reason: str
    changes: Mapping[str, tuple[Any, Any]]
    state: Mapping[str, Any]
    entry_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where an alias points, since when. `version` is None where it was unset."""

    asset_id: uuid.UUID
    alias: Alias
    version_id: uuid.UUID | None
    version: SemVer | None
    number: int | None
    revision: int
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class AliasEvent:
    """One move of an alias, from one version (or none) to another (or none)."""

    asset_id: uuid.UUID
    alias: Alias
    revision: int
    version_id: uuid.UUID | None
    previous_version_id: uuid.UUID | None
    at: dt.datetime
    actor: Actor
    reason: str
    entry_id: uuid.UUID
    act: str = "alias.set"


@dataclass(frozen=True, slots=True)
class AliasMove:
    """Where somebody wants an alias to point: at a version, or (None) nowhere.

    `expected_revision`, where given, is the alias's revision they have read; 0 is an alias that
    never was set. `expected`, where `expects` says so, is the version it points at (None: none).
    """

    asset: AssetRef
    alias: Alias
    to: SemVer | int | None
    reason: str = ""
    expected_revision: int | None = None
    expects: bool = False
    expected: SemVer | int | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One act in the history of an asset, as its tables keep it; `entry_id` is its ledger entry.

    `subject` is the version or alias, empty for the asset itself. `changes` maps fields to
    [before, after].
    """

    at: dt.datetime
    act: str
    subject: str
    actor: Actor
    reason: str
    changes: Mapping[str, Any]
    entry_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class HigherAct:
    """An act of a slice above the catalog, for the histories of an asset and of its versions.

    `version_ids` are whom it concerns, None every version of the asset. It is kept by
    `actions.note`, and follows from the member `event` of the entry's payload.
    """

    entry_id: uuid.UUID
    asset_id: uuid.UUID
    version_ids: tuple[uuid.UUID, ...] | None
    at: dt.datetime
    act: str
    subject: str
    actor: Actor
    reason: str
    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Visible:
    """What a caller may read: everything, or some namespaces and some single assets."""

    everything: bool = False
    namespaces: tuple[str, ...] = ()
    assets: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Gap:
    """A field that is due and missing: why it is due, how to supply it, who says so."""

    field: str
    why: str
    fix: str
    source: str


@dataclass(frozen=True, slots=True)
class Completeness:
    """How much of what is due is there, in percent of the weights, and what is not.

    `verified_percent` counts only what the registry checked itself; it is never above
    `present_percent`.
    """

    present_percent: float
    verified_percent: float
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between two versions: where, what stands on either side, and by how much.

    `path` is a JSON pointer. A side that has nothing is None with `left_present` or `right_present`
    false. `delta` is right minus left of numbers; `better`, where a direction is known, an improvement.
    """

    section: str
    path: str
    left: Any
    right: Any
    left_present: bool = True
    right_present: bool = True
    delta: float | None = None
    better: bool | None = None
