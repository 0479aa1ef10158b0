"""Where versions are deployed, what is asked of the rules, and what they answer."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from muniment.core.names import Alias, AssetRef, VersionRef
from muniment.server.catalog.records import AliasMove, Mode, Pointer, Version
from muniment.server.composites.records import Composite, Member
from muniment.server.http.records import Caller, PrincipalKind, Scope, Verb
from muniment.server.ledger.records import Actor
from muniment.server.policy.records import Judged, Verdict
from muniment.server.ports.engine_pool import EnginePool
from muniment.server.ports.keys import Signer


class Stage(enum.StrEnum):
    """A derived label, for MLflow and auditors. Source: requirements §1.3, §1.4."""

    NONE = "None"
    STAGING = "Staging"
    PRODUCTION = "Production"
    ARCHIVED = "Archived"


class DeployMode(enum.StrEnum):
    """How a deployment shares an environment's traffic. Source: R-152."""

    FULL = "full"
    CANARY = "canary"
    BLUE_GREEN = "blue-green"
    SHADOW = "shadow"
    CHAMPION = "champion"
    CHALLENGER = "challenger"
    BANDIT = "bandit"


class EndedAs(enum.StrEnum):
    """Why a deployment ended."""

    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, slots=True)
class Environment:
    """A place versions run in, and the stage that a deployment there brings about."""

    name: str
    stage: Stage
    position: int


@dataclass(frozen=True, slots=True)
class Deployment:
    """A version in an environment, from `since` until `ended_at` (None: it is live).

    `alias` is how the environment finds it; None where only a stage was set. `version` is its
    SemVer, `number` MLflow's integer. `decision_id` is the decision it rests on, if one was needed.
    `composite` is what it was deployed as a part of (its CVI); None: a version alone. `asset` is how its
    asset is called now.
    """

    id: uuid.UUID
    asset_id: uuid.UUID
    version_id: uuid.UUID
    version: str
    number: int
    environment: str
    alias: str | None
    mode: DeployMode
    since: dt.datetime
    actor: Actor
    reason: str
    entry_id: uuid.UUID
    decision_id: uuid.UUID | None = None
    ended_at: dt.datetime | None = None
    ended_as: EndedAs | None = None
    ended_by: Actor | None = None
    ended_entry_id: uuid.UUID | None = None
    composite: str | None = None
    asset: AssetRef | None = None


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an asset was deployed as: in a composite (its CVI), or a version alone; one of them is None."""

    composite: str | None
    version_id: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class Executor:
    """Who would carry a promotion out: its kind, and whether its roles hold the verb there.

    `environments` are those its trusted publishers permit, if an issuer vouched for it; else None.
    """

    kind: PrincipalKind
    may: bool
    environments: frozenset[str] | None = None

    @classmethod
    def of(cls, caller: Caller, asset: AssetRef, *, may: bool) -> Executor:
        """Return `caller` as who would promote versions of `asset`; `may` is what its roles say."""
        if caller.attested is None:
            return cls(caller.kind, may)
        at = (str(asset.namespace), str(asset.name))
        return cls(caller.kind, may, caller.attested.environments(*at))


@dataclass(frozen=True, slots=True)
class Whose:
    """Who acts on several assets: as which executor on each, and whether its roles let it stop there.

    `may` says what its roles let it do in a scope.
    """

    executor: Callable[[AssetRef], Executor]
    may_stop: Callable[[AssetRef], bool]
    may: Callable[[Verb, Scope], bool]


@dataclass(frozen=True, slots=True)
class Whole:
    """A composite and the versions that it pins, lead first; at least one."""

    composite: Composite
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What somebody wants deployed, where, found how.

    `alias` None with `by_default` is the mode's own alias, else none is moved. `expects` as in
    `AliasMove`. `ends` are deployments to be ended with it, by id. `decision` is the one it is to rest
    on; None is the one that stands. Of a composite (`whole`) `version` is the lead's.
    """

    version: VersionRef
    environment: str
    whole: Whole | None = None
    alias: Alias | None = None
    by_default: bool = True
    mode: DeployMode = DeployMode.FULL
    reason: str = ""
    move: AliasMove | None = None
    ends: tuple[uuid.UUID, ...] = ()
    decision: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Ports:
    """What is asked about promotions, and what signs those that are carried out."""

    engines: EnginePool
    record_key: Signer


@dataclass(frozen=True, slots=True)
class Resting:
    """The decision a promotion rests on, and what that rests on: digests of what was signed, in hex."""

    decision_id: uuid.UUID
    entry_id: uuid.UUID
    frozen_sha256: str
    approvals: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a rule may read; all of it is kept with the verdict, so that it can be given again.

    `ref` is the version's name. `leaving`: production is to find nothing any more. `gaps` are the
    fields due at the step that the environment asks for, those of documentation apart.
    `executor_environments` is where its trusted publishers permit it to promote; None if nobody
    vouched for who executes. `registration_vouched_for`: a pipeline registered the same files.
    `going_back`: an environment goes back to it; `approved`: whether it is approved there now.
    `excepted` are the rules an exception holds for, `overdue` conditions of its approval that nobody
    met in time. `composite` is what is deployed whole; `part_of` are the composites that production
    has and its asset is a part of, where a version alone is. `shared_with` are other systems' composites that have another
    version of it there, which it takes the place of.
    """

    ref: str
    environment: str
    stage: str
    executor_kind: str
    executor_may: bool
    lifecycle: str
    quarantined: bool
    risk_tier: str | None
    executable: bool
    formats: tuple[str, ...]
    gaps: tuple[str, ...] = ()
    documentation_gaps: tuple[str, ...] = ()
    leaving: bool = False
    executor_environments: tuple[str, ...] | None = None
    registration_vouched_for: bool = False
    going_back: bool = False
    approved: bool = False
    excepted: tuple[str, ...] = ()
    overdue: tuple[str, ...] = ()
    composite: str | None = None
    part_of: tuple[str, ...] = ()
    shared_with: tuple[str, ...] = ()

    @property
    def asked(self) -> str:
        """What is asked about, as commands name it: the composite, or the version."""
        return self.composite or self.ref


@dataclass(frozen=True, slots=True)
class Refusal:
    """A fair question whose answer is no: which rules, and the entry that says it was asked.

    `barred` names failed rules that hold whatever the namespace's mode is. `version` is the lead's
    where a `composite` was asked for.
    """

    version: Version
    environment: str
    verdict: Verdict
    mode: Mode
    entry_id: uuid.UUID | None
    barred: tuple[str, ...] = ()
    composite: str | None = None

    @property
    def name(self) -> str:
        """What was asked for: a composite, or a version."""
        return self.composite or self.version.name


@dataclass(frozen=True, slots=True)
class Placed:
    """A version that was deployed, what ended with it, and the entry that says so (None: no act)."""

    version: Version
    deployment: Deployment
    entry_id: uuid.UUID | None
    ended: tuple[Deployment, ...] = ()


@dataclass(frozen=True, slots=True)
class Promoted:
    """A promotion that was carried out, or (`entry_id` None) stood already, or would be.

    `placed` is the version; of a composite its members, lead first. `verdict` is what the rules said;
    what it does not allow was carried out all the same where the namespace does not enforce.
    `warnings` are for whoever asked, where the namespace warns. `judged` is what the policy in force
    said, where it was asked. `left` are deployments of what the composite before it had and it has not.
    """

    placed: tuple[Placed, ...]
    verdict: Verdict
    mode: Mode
    warnings: tuple[str, ...] = ()
    judged: Judged | None = None
    composite: str | None = None
    left: tuple[Deployment, ...] = ()

    @property
    def version(self) -> Version:
        """The version; of a composite its lead."""
        return self.placed[0].version

    @property
    def deployment(self) -> Deployment:
        """Its deployment."""
        return self.placed[0].deployment

    @property
    def entry_id(self) -> uuid.UUID | None:
        """The entry about it."""
        return self.placed[0].entry_id

    @property
    def ended(self) -> tuple[Deployment, ...]:
        """What of its asset ended with it."""
        return self.placed[0].ended


@dataclass(frozen=True, slots=True)
class Moved:
    """An alias where it was wanted; with a verdict where production resolves it."""

    pointer: Pointer
    verdict: Verdict | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the rules did not allow, refused or carried out all the same.

    `step` is what was wanted: to promote a version, or to bind a consumer. `environment` is where,
    None where that was not said.
    """

    entry_id: uuid.UUID
    asset_id: uuid.UUID
    version_id: uuid.UUID | None
    namespace: str
    environment: str | None
    at: dt.datetime
    actor: Actor
    mode: Mode
    carried_out: bool
    rules: tuple[str, ...]
    subject: str = ""
    step: str = "promote"
    composite: str | None = None


@dataclass(frozen=True, slots=True)
class ConsumerOf:
    """Who uses a version: a system, at an endpoint, for a use case, in an environment if that is said."""

    id: uuid.UUID
    system: str
    endpoint: str
    use_case: str
    environment: str | None


@dataclass(frozen=True, slots=True)
class Counts:
    """How often the rules of a namespace said no, and how often each rule did."""

    refused: int
    would_have_been_refused: int
    by_rule: Mapping[str, int] = field(default_factory=dict)
    last_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class StageOf:
    """A version's derived stage and what it follows from."""

    stage: Stage
    lifecycle: str
    deprecated: bool
    quarantined: bool
    deployments: tuple[Deployment, ...]


Payload = dict[str, Any]
