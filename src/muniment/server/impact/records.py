"""What is asked about, and the versions it leads to; what lineage is made of."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from muniment.core.digest import Digest
from muniment.core.names import AssetRef, VersionRef
from muniment.server.ledger.records import Actor


class About(enum.StrEnum):
    """What a question is about."""

    VULNERABILITY = "vulnerability"
    PACKAGE = "package"
    DIGEST = "digest"
    MATERIAL = "material"  # a dataset or base model, by name


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it was read.

    `text` is the vulnerability's name, the package's key, the hex of a digest, or the name of a
    dataset or base model.
    """

    about: About
    text: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path: what kind of thing, what it is called, its id or digest where it has one."""

    kind: str
    name: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Reached:
    """A version, and one path from it to what was asked about."""

    version_id: uuid.UUID
    path: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A live deployment of a version."""

    environment: str
    alias: str | None
    mode: str
    since: dt.datetime


@dataclass(frozen=True, slots=True)
class Where:
    """A version, its aliases, and where it is deployed now."""

    version_id: uuid.UUID
    name: str
    aliases: tuple[str, ...]
    places: tuple[Place, ...]


class Way(enum.StrEnum):
    """Which way lineage is followed: to what a thing was made from, or to what was made from it."""

    UP = "up"
    DOWN = "down"


class NodeKind(enum.StrEnum):
    """What kind of thing a node of lineage is."""

    VERSION = "version"
    COMMIT = "commit"
    DATASET = "dataset"
    BASE_MODEL = "base_model"
    FEATURE = "feature"
    MATERIAL = "material"  # what provenance alone names
    RUN = "run"
    JOB = "job"  # what runs are executions of, as OpenLineage has it
    PIPELINE = "pipeline"
    DEPLOYMENT = "deployment"
    CONSUMER = "consumer"  # a system bound to a version, or to what it follows


class LinkKind(enum.StrEnum):
    """How the lower end of a link follows from the upper one."""

    BUILT_FROM = "built_from"
    TRAINED_ON = "trained_on"
    EVALUATED_ON = "evaluated_on"
    TUNED_FROM = "tuned_from"
    DERIVED_FROM = "derived_from"
    USES_FEATURE = "uses_feature"
    MADE_BY = "made_by"
    USED = "used"
    EXECUTES = "executes"
    DEPLOYS = "deploys"
    USES = "uses"


@dataclass(frozen=True, slots=True)
class Node:
    """One thing in a lineage. `key` is unique among those of its kind.

    `called` are the names it is found by. `names` are those of them, and of where it is kept, that
    say nothing of its version; empty where it is known by one of its names alone. Of a redacted one
    nothing but its kind is told.
    """

    kind: NodeKind
    key: str
    label: str
    digest: str | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    called: frozenset[str] = frozenset()
    redacted: bool = False
    names: frozenset[str] = frozenset()
    version: str | None = None

    @property
    def id(self) -> str:
        """`KIND:KEY`."""
        return f"{self.kind.value}:{self.key}"

    def is_also(self, other: Node) -> bool:
        """Say whether this is the thing that `other` may name by one of its names alone."""
        return self.id == other.id or (self.kind is other.kind and other.key in self.called)


@dataclass(frozen=True, slots=True)
class Link:
    """The node with id `lower` follows from the one with id `upper`.

    `verified` where provenance by a signer the registry believes names the upper one; `evidence` is
    that provenance, and also provenance that names it without anybody vouching.
    """

    kind: LinkKind
    lower: str
    upper: str
    verified: bool = False
    evidence: uuid.UUID | None = None
    signer: str | None = None


@dataclass(frozen=True, slots=True)
class Dangling:
    """A link that leads nowhere, or to what nobody could recognise again; `fix` says what to do."""

    rule: str
    node: str
    message: str
    fix: str


@dataclass(frozen=True, slots=True)
class Voucher:
    """Provenance of a version: `materials` are the URI and digests of what it was made from."""

    evidence_id: uuid.UUID
    verified: bool
    signer: str | None
    invocation: str
    materials: tuple[tuple[str, Mapping[str, str]], ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """A version as lineage sees it; `vouchers` are its provenance, the verified ones first.

    `assets` are all the names its asset ever had: none is given to another one.
    """

    id: uuid.UUID
    asset: AssetRef
    kind: str
    version: str
    number: int
    manifest: str
    metadata: Mapping[str, Any]
    registered_at: dt.datetime
    registered_by: str
    assets: tuple[AssetRef, ...]
    vouchers: tuple[Voucher, ...] = ()

    @property
    def name(self) -> str:
        """`[namespace/]NAME@VERSION`."""
        return f"{self.asset}@{self.version}"


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that a version or run says it was made from.

    `reference` is the version it may be here; `must` says that it is one, by its own word.
    """

    kind: LinkKind
    node: Node
    reference: VersionRef | None = None
    must: bool = False
    verified: bool = False
    evidence: uuid.UUID | None = None
    signer: str | None = None


class EventKind(enum.StrEnum):
    """What an event is about."""

    RUN = "run"
    JOB = "job"
    DATASET = "dataset"


@dataclass(frozen=True, slots=True)
class Material:
    """A dataset that an event names, or what stands for one: a version of this registry.

    `name` is `NAMESPACE/NAME`; of what this registry names itself (`muniment`, `muniment/KIND`) the
    name alone. `also` are other names of the same form.
    """

    kind: NodeKind
    name: str
    version: str | None = None
    digest: str | None = None
    also: tuple[str, ...] = ()

    @property
    def called(self) -> list[str]:
        """Every name by which it is found, each once."""
        names = [self.name, *self.also]
        found = [*names, *(f"{name}@{self.version}" for name in names if self.version)]
        return list(dict.fromkeys([*found, *([self.digest] if self.digest else [])]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What an OpenLineage event says. `maker` is the id of the node it is about."""

    kind: EventKind
    maker: str
    job: str | None = None
    type: str | None = None
    at: dt.datetime
    producer: str
    schema_url: str = ""
    parent_run: str | None = None
    commit: str | None = None
    repository: str | None = None
    inputs: tuple[Material, ...] = ()
    outputs: tuple[Material, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEvent:
    """An event that was recorded: its body's digest, by whom, when, and its entry."""

    id: uuid.UUID
    event: Event
    digest: Digest
    recorded_at: dt.datetime
    actor: Actor
    entry_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Maker:
    """A run or job as all events about it tell, and what it was built from, used and made."""

    node: Node
    job: Node | None
    commits: tuple[Node, ...]
    inputs: tuple[Material, ...]
    outputs: tuple[Material, ...]


@dataclass(frozen=True, slots=True)
class Lineage:
    """What was found, nodes in the order they were reached, `root` first.

    `deeper` says that there may be more below the last depth, `wider` that nodes were left out.
    """

    root: Node
    way: Way
    depth: int
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    dangling: tuple[Dangling, ...]
    deeper: bool
    wider: bool
