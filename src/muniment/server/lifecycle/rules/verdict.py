"""What the registry's own rules say of a promotion: a pure function of facts, one result a rule.

They hold whatever the policy in force says. What that says is joined with them by rule id (`joined`).

1. A failed rule of class `critical_safety` or `waivable` denies; `advisory` is said and never in the way.
2. What only lacks approval needs approval; what lacks evidence, or cannot be, is denied.
3. Rules marked `always` hold in every mode of a namespace.
4. An exception turns a failed `waivable` rule into a waived one.
5. Of two results of one rule the worse counts: failed, waived, passed, not applicable.
6. Of a composite each rule is asked about every version in it, and says one thing of all.

Source: requirements §1.2 (4, 6), §1.11; R-098, R-099, R-104, R-111, R-139, R-140.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from muniment.core.errors import ApprovalPending, EvidenceMissing, Refused
from muniment.server.catalog.records import Mode
from muniment.server.http.records import PrincipalKind
from muniment.server.lifecycle.records import Facts, Refusal
from muniment.server.lifecycle.rules.checks import ALWAYS, RULES, F, Rule
from muniment.server.policy.records import (
    Decision,
    Lacks,
    Outcome,
    RuleClass,
    RuleResult,
    Verdict,
    bars,
)


def verdict(facts: Facts, rules: Sequence[Rule[Facts]] = RULES) -> Verdict:
    """Return what `rules` say of a promotion: the same for the same facts, whenever it is asked."""
    return said(facts, rules, facts.excepted)


def said(facts: F, rules: Sequence[Rule[F]], excepted: Collection[str] = ()) -> Verdict:
    """Return what `rules` say of `facts`; `excepted` are those an exception holds for."""
    return _decided(tuple(_result(rule, facts, excepted) for rule in rules))


def together(parts: Sequence[Facts]) -> Verdict:
    """Return what the rules say of what is deployed whole: of each rule the worst, of all it is said of.

    Where several are as bad, what is said of each is told; of one alone it is its own verdict.
    """
    if len(parts) == 1:
        return verdict(parts[0])
    found = [verdict(facts) for facts in parts]
    names = [facts.ref for facts in parts]
    rows = zip(*(one.results for one in found), strict=True)
    return _decided(tuple(_of_all(list(zip(names, row, strict=True))) for row in rows))


def _of_all(each_said: Sequence[tuple[str, RuleResult]]) -> RuleResult:
    """Return one result for what one rule says of several versions, by name."""
    worst = min(_WORST_FIRST.index(one.outcome) for _, one in each_said)
    there = [(name, one) for name, one in each_said if _WORST_FIRST.index(one.outcome) == worst]
    first = there[0][1]
    lacking = {one.lacks for _, one in there} - {None}
    if len(there) == len(each_said) and len({one.message for _, one in each_said}) == 1:
        message = first.message
    else:
        message = "; ".join(f"{name}: {one.message}" for name, one in there)
    remedy = "; ".join(dict.fromkeys(one.remedy for _, one in there if one.remedy))
    lacks = next((one for one in _HARDEST_FIRST if one in lacking), None)
    return dataclasses.replace(first, message=message, remedy=remedy, lacks=lacks)


_HARDEST_FIRST: Final = (Lacks.NOTHING, Lacks.EVIDENCE, Lacks.APPROVAL)


_KINDS: Final[Mapping[str, str]] = {
    PrincipalKind.PERSON.value: "human",
    PrincipalKind.WORKLOAD.value: "workload",
}


def executor(parts: Sequence[Facts]) -> dict[str, Any]:
    """Return who executes as policy is told: trusted if every asset trusts it to promote there."""
    trusted = all(
        one.executor_may and one.environment in (one.executor_environments or ()) for one in parts
    )
    return {"kind": _KINDS.get(parts[0].executor_kind, "service"), "trusted": trusted}


def joined(own: Verdict, asked: Verdict) -> Verdict:
    """Return what the registry's own rules and the policy in force say together.

    The registry's own come first. Neither can make good what the other finds.
    """
    theirs = {one.id: one for one in asked.results}
    results = [_worse(one, theirs.pop(one.id, one)) for one in own.results]
    found = _decided((*results, *theirs.values()))
    return dataclasses.replace(
        found, policy_digest=asked.policy_digest, input_digest=asked.input_digest
    )


_STRICTEST_FIRST: Final = (Mode.ENFORCE, Mode.WARN, Mode.OBSERVE)


def strictest(modes: Iterable[Mode]) -> Mode:
    """Return the strictest of namespaces' modes: that is how what is about all of them is enforced."""
    return min(modes, key=_STRICTEST_FIRST.index)


def barred(found: Verdict) -> tuple[str, ...]:
    """Return the failed rules that hold whatever a namespace's mode is."""
    return tuple(one.id for one in found.failed if one.id in ALWAYS)


def refused(found: Verdict, mode: Mode) -> bool:
    """Say whether a namespace of that mode refuses what the rules said this of."""
    return bool(found.failed) and (mode is Mode.ENFORCE or bool(barred(found)))


_WORST_FIRST: Final = (Outcome.FAILED, Outcome.WAIVED, Outcome.PASSED, Outcome.NOT_APPLICABLE)


def _worse(one: RuleResult, other: RuleResult) -> RuleResult:
    """Return the worse of two results of one rule; of two that are as bad, the one that is in the way."""

    def rank(result: RuleResult) -> tuple[int, bool]:
        return _WORST_FIRST.index(result.outcome), not bars(result)

    return one if rank(one) <= rank(other) else other


def _decided(results: tuple[RuleResult, ...]) -> Verdict:
    found = Verdict(Decision.ALLOW, results, "", "")
    lacking = {one.lacks for one in found.failed}
    if not lacking:
        return found
    decision = Decision.NEEDS_APPROVAL if lacking == {Lacks.APPROVAL} else Decision.DENY
    return dataclasses.replace(found, decision=decision)


def _result(rule: Rule[F], facts: F, excepted: Collection[str]) -> RuleResult:
    found = rule.check(facts)
    outcome = found.outcome
    if outcome is Outcome.FAILED and rule.rule_class is RuleClass.WAIVABLE:
        outcome = Outcome.WAIVED if rule.id in excepted else outcome
    return RuleResult(rule.id, rule.rule_class, outcome, found.message, found.remedy, found.lacks)


def refusal_class(found: Verdict) -> type[Refused]:
    """Return the error that tells clients of a verdict that does not allow.

    What cannot be by anything that may be supplied comes first, then what evidence could change.
    """
    lacking = {one.lacks for one in found.failed}
    if lacking == {Lacks.APPROVAL}:
        return ApprovalPending
    if lacking <= {Lacks.APPROVAL, Lacks.EVIDENCE}:
        return EvidenceMissing
    return Refused


def words(found: Verdict) -> list[str]:
    """Return what is in the way, a line each, with what to do."""
    return [f"{one.id}: {one.message}; {one.remedy}" for one in found.failed]


def refusal_text(answer: Refusal) -> str:
    """Return a refusal in words: what, why, and what to do instead."""
    why = "; ".join(words(answer.verdict))
    return f"{answer.name} is not promoted to {answer.environment}: {why}"


def facts_json(facts: Facts) -> dict[str, Any]:
    """Return the facts as they are kept with the verdict."""
    found = dataclasses.asdict(facts)
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in found.items()
    }


def facts_from(fields: Mapping[str, Any]) -> Facts:
    """Read what `facts_json` wrote."""
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return Facts(**{**fields, **lists})


def verdict_json(found: Verdict) -> dict[str, Any]:
    """Return the verdict as it is kept and shown."""
    return {
        "decision": found.decision.value,
        "policy_digest": found.policy_digest or None,
        "results": [
            {
                "id": one.id,
                "class": one.rule_class.value,
                "outcome": one.outcome.value,
                "message": one.message,
                "remedy": one.remedy,
                "lacks": None if one.lacks is None else one.lacks.value,
            }
            for one in found.results
        ],
    }
