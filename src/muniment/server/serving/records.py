"""Who uses what: a consumer's binding, what is known when it is judged, and how it stands."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from muniment.core.names import AssetRef, SemVer
from muniment.server.catalog.records import Mark, Mode, Version
from muniment.server.ledger.records import Actor
from muniment.server.policy.records import RuleResult, Verdict


@dataclass(frozen=True, slots=True)
class Use:
    """A system that uses something at an endpoint for a use case, in an environment if that is said.

    The endpoint is text that names where; nothing is ever fetched from it.
    """

    system: str
    endpoint: str
    use_case: str
    environment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A binding as somebody wants it; `version` None is what the environment finds, else the newest."""

    asset: AssetRef
    use: Use
    version: SemVer | int | None = None
    reason: str = ""


class EndedAs(enum.StrEnum):
    """Why a binding ended: somebody ended it, or the same use was bound to another version."""

    ENDED = "ended"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a binding ended."""

    at: dt.datetime
    ended_as: EndedAs
    reason: str
    actor: Actor
    entry_id: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A consumer's use of an asset, from `bound_at` until it `ended` (None: it is current).

    `version_id` and `version` are those it is bound to, None where it follows the environment's (else
    the newest); `judged_version_id` is which that was when it was bound.
    """

    id: uuid.UUID
    asset_id: uuid.UUID
    asset: AssetRef
    version_id: uuid.UUID | None
    version: str | None
    judged_version_id: uuid.UUID
    use: Use
    reason: str
    bound_at: dt.datetime
    actor: Actor
    entry_id: uuid.UUID
    ended: Ended | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """What a consumer is told: the version it uses ends (`mark`), since when, why, and when it is over.

    `acknowledged` is when somebody said for it that they know of this version's end, the last time.
    `due`: nobody has yet, of what was said since.
    """

    mark: Mark
    since: dt.datetime
    reason: str
    replacement: str | None
    sunset: dt.date | None
    acknowledged_at: dt.datetime | None
    acknowledged_by: Actor | None
    note: str
    due: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A binding with the version it uses, and what it is told of that (None: nothing)."""

    binding: Binding
    uses_id: uuid.UUID
    uses: str
    notice: Notice | None


class State(enum.StrEnum):
    """How a binding stands. Computed whenever it is shown, never stored."""

    ALLOWED = "allowed"
    DEPRECATED = "deprecated"  # goes on until the sunset
    PROHIBITED = "prohibited"  # what allowed it does not any more
    RETIRED = "retired"  # what it uses is not handed out


@dataclass(frozen=True, slots=True)
class Standing:
    """How a binding stands, and why; `quarantined` stands beside it. `results` are the rules in the way."""

    state: State
    why: tuple[str, ...] = ()
    quarantined: bool = False
    results: tuple[RuleResult, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """A binding as it is shown: with the version it uses, its notice, and how it stands."""

    found: Found
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the registry's own rules read when a consumer is bound; kept with the verdict."""

    ref: str
    system: str
    use_case: str
    environment: str | None
    lifecycle: str
    replacement: str | None
    quarantined: bool
    risk_tier: str | None
    executable: bool
    formats: tuple[str, ...]
    excepted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bound:
    """A binding that was made, or (`new` False) stood already, or would be (its entry is none).

    `verdict` is what the rules said, None where it stood already. `warnings` are for whoever asked,
    where the namespace warns. `replaced` is the binding of the same use that ended with it.
    """

    binding: Binding
    version: Version
    mode: Mode
    new: bool
    verdict: Verdict | None = None
    warnings: tuple[str, ...] = ()
    replaced: Binding | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A fair question whose answer is no: which rules, and the entry that says it was asked."""

    version: Version
    use: Use
    verdict: Verdict
    mode: Mode
    entry_id: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many consumers an asset has now, how many of them were not acknowledged for, and by version."""

    consumers: int
    unacknowledged: int
    by_version: Mapping[str, int]
