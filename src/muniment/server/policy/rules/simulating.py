"""What another bundle would have said: two verdicts on one document compared, and all of it summed up.

Compared is with the bundle that is in force, not with the one that was asked at the time: what
changes is what activating the other would change.

Source: R-110; requirements §1.2 (5).
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from muniment.core.canon import canonical
from muniment.core.digest import digest_of
from muniment.server.policy.records import (
    Bundle,
    Decision,
    Fixture,
    Outcome,
    Rule,
    RuleClass,
    RuleResult,
    Verdict,
)
from muniment.server.policy.rules.weakening import asking_less

SCHEMA: Final = "muniment.policy-simulation.v1"
_NAMED_MAX: Final = 20


class Kind(enum.StrEnum):
    """How two verdicts on one document differ."""

    BLOCKED = "blocked"  # allowed now, not by the other
    LET_THROUGH = "let_through"  # not allowed now, allowed by the other
    CHANGED = "changed"  # allowed by neither, or by both, for other reasons


@dataclass(frozen=True, slots=True)
class Difference:
    """How another verdict differs. `safety`: `critical_safety` rules that fail now and not there."""

    kind: Kind
    now: Decision
    would: Decision
    newly_failed: tuple[RuleResult, ...]
    no_longer_failed: tuple[RuleResult, ...]
    safety: tuple[str, ...]


def compare(now: Verdict, would: Verdict) -> Difference | None:
    """Return how `would` differs from `now` in what matters; None if it does not."""
    fails, would_fail = _failing(now), _failing(would)
    newly = tuple(one for name, one in would_fail.items() if name not in fails)
    no_longer = tuple(one for name, one in fails.items() if name not in would_fail)
    safety = tuple(
        name
        for name, one in fails.items()
        if one.rule_class is RuleClass.CRITICAL_SAFETY
        and (name not in would_fail or would_fail[name].rule_class is not RuleClass.CRITICAL_SAFETY)
    )
    if now.decision is would.decision and not (newly or no_longer or safety):
        return None
    return Difference(
        _kind(now.decision, would.decision), now.decision, would.decision, newly, no_longer, safety
    )


def could_not_be_asked(found: Verdict) -> str:
    """Return why a verdict says nothing of its rules, but of the engine; empty if it does not."""
    return next(
        (
            one.message
            for one in found.results
            if one.fault in {"engine_timeout", "engine_unavailable", "engine_other_bundle"}
        ),
        "",
    )


def weakened(now: Bundle, would: Bundle) -> list[str]:
    """Return the `critical_safety` rules that the other bundle lacks, has in another class, or asks less.

    With them what its tables ask less of (`asking_less`). In order.
    """
    others = {rule.id: rule for rule in would.rules}
    rules = {
        rule.id
        for rule in now.rules
        if _is_safety(rule) and not _as_strict(rule, others.get(rule.id))
    }
    return sorted(rules | asking_less(now, would))


def could_be_weaker(now: Bundle, would: Bundle) -> tuple[Fixture, ...]:
    """Return what a `critical_safety` rule in force says no to by its fixtures, to be asked of the other.

    Left out are rules that are gone, of another class, or the same to the byte with all they read.
    """
    others = {rule.id: rule for rule in would.rules}
    asked = {
        rule.id
        for rule in now.rules
        if _is_safety(rule)
        and _as_strict(rule, others.get(rule.id))
        and _read_by(now, rule) != _read_by(would, others[rule.id])
    }
    return tuple(one for one in now.fixtures if one.rule in asked and one.outcome is Outcome.FAILED)


def _read_by(bundle: Bundle, rule: Rule) -> tuple[bytes, Mapping[str, Any], dict[str, bytes]]:
    """Return all that a rule's answer may depend on beside the document: its file, tables, any other Rego."""
    shared = {path: data for path, data in bundle.files.items() if path.endswith(".rego")}
    return bundle.files[rule.file], bundle.data, shared


def by_rule(passing: Iterable[Fixture]) -> dict[str, list[str]]:
    """Return the names of fixtures that fail no longer, by rule, at most 20 of each."""
    found: dict[str, list[str]] = {}
    for one in passing:
        found.setdefault(one.rule, []).append(one.name)
    return {name: sorted(names)[:_NAMED_MAX] for name, names in sorted(found.items())}


def _as_strict(rule: Rule, other: Rule | None) -> bool:
    return (
        other is not None
        and other.rule_class is rule.rule_class
        and set(rule.steps) <= set(other.steps)
    )


@dataclass(slots=True)
class Sum:
    """All differences of a simulation, in the order of their verdicts."""

    counts: Counter[str] = field(default_factory=Counter)
    newly: Counter[str] = field(default_factory=Counter)
    no_longer: Counter[str] = field(default_factory=Counter)
    safety: set[str] = field(default_factory=set)
    lines: bytearray = field(default_factory=bytearray)

    def add(self, body: Mapping[str, Any]) -> None:
        """Count a difference, as `difference_json` wrote it."""
        self.counts[body["kind"]] += 1
        self.counts["safety"] += bool(body["safety"])
        self.counts["live"] += body["kind"] == Kind.BLOCKED and bool(body["live"])
        self.counts["approvals"] += bool(body["loses_approval"])
        self.newly.update(one["id"] for one in body["newly_failed"])
        self.no_longer.update(body["no_longer_failed"])
        self.safety.update(body["safety"])
        self.lines += digest_of(canonical(body)).raw

    def result(
        self,
        now: Bundle,
        would: Bundle,
        passing: Iterable[Fixture] = (),
        *,
        until: str | None,
        asked: int,
        unreadable: int,
    ) -> dict[str, Any]:
        """Return what the simulation came to; `asked` verdicts of which `unreadable` have no document.

        `passing` are fixtures of `now` by which a `critical_safety` rule says no, and not in `would`.
        """
        fixtures = by_rule(passing)
        rules = sorted({*self.newly, *self.no_longer})
        kinds = {f"{kind.value}_count": self.counts[kind] for kind in Kind}
        return {
            "schema": SCHEMA,
            "digest": would.digest,
            "against": now.digest,
            "until": until,
            "verdict_count": asked,
            "unreadable_count": unreadable,
            "differing_count": sum(self.counts[kind] for kind in Kind),
            **kinds,
            "live_count": self.counts["live"],
            "approval_count": self.counts["approvals"],
            "safety_count": self.counts["safety"],
            "safety": sorted(self.safety),
            "weakened": sorted({*weakened(now, would), *fixtures}),
            "fixtures": fixtures,
            "rules": {
                name: {
                    "newly_failed": self.newly[name],
                    "no_longer_failed": self.no_longer[name],
                }
                for name in rules
            },
            "differences_sha256": digest_of(bytes(self.lines)).hex,
        }


def result_digest(result: Mapping[str, Any]) -> str:
    """Return the digest of what a simulation came to, in hexadecimal."""
    return digest_of(canonical(result)).hex


def to_acknowledge(result: Mapping[str, Any]) -> list[str]:
    """Return the rules whose weakening somebody has to say yes to by name."""
    return sorted({*result["safety"], *result["weakened"]})


def difference_json(found: Difference, **about: Any) -> dict[str, Any]:
    """Return a difference as it is kept and shown; `about` says of which verdict."""
    return {
        **about,
        "kind": found.kind.value,
        "now": found.now.value,
        "would": found.would.value,
        "newly_failed": [{"id": one.id, "message": one.message} for one in found.newly_failed],
        "no_longer_failed": [one.id for one in found.no_longer_failed],
        "safety": list(found.safety),
    }


def replay_differences(stored: Verdict, again: Verdict) -> list[dict[str, Any]]:
    """Return the rules that say something else now than was stored; text for both."""
    was = {one.id: one for one in stored.results}
    now = {one.id: one for one in again.results}
    return [
        {"id": name, "stored": _said(was.get(name)), "replayed": _said(now.get(name))}
        for name in sorted({*was, *now})
        if was.get(name) != now.get(name)
    ]


def _said(one: RuleResult | None) -> str | None:
    return None if one is None else f"{one.outcome.value}: {one.message}"


def _failing(found: Verdict) -> dict[str, RuleResult]:
    return {one.id: one for one in found.failed}


def _kind(now: Decision, would: Decision) -> Kind:
    if now is would or Decision.ALLOW not in {now, would}:
        return Kind.CHANGED
    return Kind.BLOCKED if now is Decision.ALLOW else Kind.LET_THROUGH


def _is_safety(rule: Rule) -> bool:
    return rule.rule_class is RuleClass.CRITICAL_SAFETY
