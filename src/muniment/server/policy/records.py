"""Rules, bundles, verdicts, as values.

Source: design §2; requirements §1.2 (5), §1.11; R-098, R-099, R-104.
"""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from muniment.server.http.records import EVERYTHING, Scope
from muniment.server.ledger.records import Actor
from muniment.server.ports.policy_engine import Program


class RuleClass(enum.StrEnum):
    """What a failed rule means. Source: design §2, R-099."""

    CRITICAL_SAFETY = "critical_safety"  # no exception, from anyone
    WAIVABLE = "waivable"
    ADVISORY = "advisory"  # said, and never in the way
    AUTOMATIC = "automatic"  # the registry does something about it; never in the way


class Outcome(enum.StrEnum):
    """What a rule says."""

    PASSED = "passed"
    FAILED = "failed"
    WAIVED = "waived"  # failed, and an exception holds
    NOT_APPLICABLE = "not_applicable"


class Lacks(enum.StrEnum):
    """What would make a failed rule pass."""

    NOTHING = "nothing"  # another executor, another version: this one is refused
    EVIDENCE = "evidence"
    APPROVAL = "approval"


class Decision(enum.StrEnum):
    """What all rules together say."""

    ALLOW = "allow"
    NEEDS_APPROVAL = "needs_approval"
    DENY = "deny"


class Fault(enum.StrEnum):
    """Why a rule counts as failed although it did not say so. Beside them: `EngineFault`."""

    UNDEFINED = "rule_undefined"
    WRONG_SHAPE = "rule_wrong_shape"


@dataclass(frozen=True, slots=True)
class Case:
    """One way in which a rule fails: what is said of it, with `{0}`, `{1}` for its arguments."""

    name: str
    message: str
    remedy: str
    lacks: Lacks
    waivable: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """What a bundle's file says of its rule, the Rego apart. `package` is its path in the engine."""

    id: str
    package: str
    rule_class: RuleClass
    title: str
    description: str
    source: str
    steps: tuple[str, ...]
    cases: Mapping[str, Case]
    passed: str
    not_applicable: str
    file: str


@dataclass(frozen=True, slots=True)
class ReviewStep:
    """A step of a review: who does it (`author`: who asked or made it), and what comes before it."""

    name: str
    roles: tuple[str, ...]
    after: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Fixture:
    """An input document, and what one rule is to say of it.

    `data` is a JSON merge patch over the tables of the bundle, for this fixture alone.
    """

    rule: str
    name: str
    document: Mapping[str, Any]
    outcome: Outcome
    cases: tuple[str, ...]
    place: str
    data: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Bundle:
    """A set of rules that was read and found in order. `files` are all of it, by path."""

    digest: str
    files: Mapping[str, bytes]
    rules: tuple[Rule, ...]
    data: Mapping[str, Any]
    fixtures: tuple[Fixture, ...]
    program: Program


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a bundle: where, what, and what to do."""

    place: str
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing a rule found: which of its cases, with which arguments, in words."""

    case: str
    args: tuple[Any, ...]
    message: str


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What one rule says. `fault`: it failed because it, or the engine, gave no answer that counts."""

    id: str
    rule_class: RuleClass
    outcome: Outcome
    message: str
    remedy: str = ""
    lacks: Lacks | None = None
    violations: tuple[Violation, ...] = ()
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a bundle says of an input document: one result a rule, in the order of their ids.

    The same for the same bundle and document, whichever engine was asked and whenever.
    """

    decision: Decision
    results: tuple[RuleResult, ...]
    policy_digest: str
    input_digest: str

    @property
    def failed(self) -> tuple[RuleResult, ...]:
        """The results that are in the way."""
        return tuple(one for one in self.results if one.outcome is Outcome.FAILED and bars(one))


def bars(result: RuleResult) -> bool:
    """Return whether a failed rule is in the way: by its class, or because nothing is known of it."""
    return result.fault is not None or result.rule_class in {
        RuleClass.CRITICAL_SAFETY,
        RuleClass.WAIVABLE,
    }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A verdict and how it was come by. `duration_us`: microseconds, questions to the engine and all."""

    verdict: Verdict
    engine: str
    engine_version: str
    duration_us: int


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict that goes into the ledger with its act, under an id of its own.

    `document_bytes` is the input document in canonical JSON.
    """

    id: uuid.UUID
    evaluation: Evaluation
    document_bytes: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVerdict:
    """What is kept of a verdict beside its act, whose entry has the rest. `failed` are in the way.

    On a `composite` (its CVI), asset and version are its lead's.
    """

    id: uuid.UUID
    entry_id: uuid.UUID
    at: dt.datetime
    asset_id: uuid.UUID
    version_id: uuid.UUID | None
    step: str
    environment: str | None
    policy_digest: str
    input_digest: str
    decision: Decision
    failed: tuple[str, ...]
    carried_out: bool
    engine: str
    engine_version: str
    duration_us: int
    composite: str | None = None
    subject: str = ""
    scope: Scope = EVERYTHING


@dataclass(frozen=True, slots=True)
class StoredBundle:
    """A bundle the registry holds."""

    digest: str
    rule_count: int
    added_at: dt.datetime
    actor: Actor
    entry_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Decided:
    """Who approved or withdrew something, when, why, and by which entry."""

    at: dt.datetime
    by: Actor
    reason: str
    entry_id: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """A bundle that is to be in force; `effective_at` is None until somebody approved it.

    `effective_from` is as asked. `simulation` is what it would change; the first of a registry has
    none.
    """

    id: uuid.UUID
    digest: str
    proposed: Decided
    effective_from: dt.datetime | None
    simulation: Mapping[str, Any] | None
    approved: Decided | None = None
    effective_at: dt.datetime | None = None
    withdrawn: Decided | None = None

    def state(self, at: dt.datetime) -> str:
        """Return `open`, `withdrawn`, `scheduled` (approved, not in force yet) or `effective`."""
        if self.withdrawn is not None:
            return "withdrawn"
        if self.effective_at is None:
            return "open"
        return "effective" if self.effective_at <= at else "scheduled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """A bundle asked about everything that was asked before; `result` is None until it is done.

    `against` was in force when it was asked for; verdicts up to `until` are asked again, `after` is
    the last that was. `problem` says why it cannot be done.
    """

    id: uuid.UUID
    digest: str
    against: str
    until: uuid.UUID | None
    total_count: int
    done_count: int
    after: uuid.UUID | None
    result: Mapping[str, Any] | None
    problem: str | None
    asked_at: dt.datetime
    actor: Actor
    done_at: dt.datetime | None = None
