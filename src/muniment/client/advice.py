"""What a version or a composite may do now; what stands between it and an environment, and who can mend that."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from muniment.client.records import Record
from muniment.client.transport import Transport


class Way(Record, frozen=True, kw_only=True):
    """What helps: a command (empty: none does it alone), and who may run it, by role and by name."""

    command: str = ""
    roles: list[str] = msgspec.field(default_factory=list)
    people: list[str] = msgspec.field(default_factory=list)


class RuleSays(Record, frozen=True, kw_only=True):
    """What one rule says. `lacks`: what would make a failed one pass."""

    id: str
    title: str = ""
    source: str = ""
    rule_class: str = msgspec.field(name="class")
    outcome: str
    message: str = ""
    remedy: str = ""
    lacks: str | None = None
    fault: str | None = None


class Unmet(RuleSays, frozen=True, kw_only=True):
    """A rule that is in the way, and the ways to mend that."""

    ways: list[Way] = msgspec.field(default_factory=list)


class WhyNot(Record, frozen=True, kw_only=True):
    """What stands between a version, or a composite, and an environment at a time.

    Of a `composite` `version` is its lead, and `members` are all of its versions, lead first.
    `lacks` is what would help in all: `approval`, `evidence`, `nothing` (it is refused); None: it is
    allowed. A namespace whose `enforcement` is not `enforce` carries out what is not allowed.
    """

    version: str
    composite: str | None = None
    members: list[str] = msgspec.field(default_factory=list)
    environment: str
    at: dt.datetime
    enforcement: str
    decision: str
    lacks: str | None = None
    policy_digest: str | None = None
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    unmet: list[Unmet] = msgspec.field(default_factory=list)
    results: list[RuleSays] = msgspec.field(default_factory=list)

    @property
    def allowed(self) -> bool:
        """Whether nothing is in the way."""
        return self.lacks is None


class Why(Record, frozen=True, kw_only=True):
    """A reason: the id of a rule, or what else stands in the way; and words."""

    code: str
    message: str = ""


class ApprovedFor(Record, frozen=True, kw_only=True):
    """Whether a version is approved for an environment, by the decision made last, and why not."""

    environment: str
    holds: bool
    decision_id: str
    expires_at: dt.datetime | None = None
    reasons: list[Why] = msgspec.field(default_factory=list)


class LifecycleOf(Record, frozen=True, kw_only=True):
    """A version's lifecycle, computed at a time.

    `reasons` is what keeps a draft from being a candidate; `approvals` are of environments for which
    something was decided.
    """

    version: str
    at: dt.datetime
    lifecycle: str
    reasons: list[Why] = msgspec.field(default_factory=list)
    approvals: list[ApprovedFor] = msgspec.field(default_factory=list)


def why_not(transport: Transport, path: str, environment: str) -> WhyNot:
    """Ask what stands between what is at `path` and an environment; nothing is recorded of that."""
    params: dict[str, Any] = {"environment": environment}
    return transport.get(path, WhyNot, params)
