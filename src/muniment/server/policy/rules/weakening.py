"""Which tables of a bundle ask less than those of another, where no rule's fixture has to show it.

Some tables the registry reads itself (`own_key`, `own_login`, `approval_days`, `review_steps`), and
fixtures that bring tables of their own say nothing of the bundle's. A tier whose profile is gone is
read as `high`. What cannot be read asks for all there is where it is in force, and for nothing where
it is to be.

Source: R-110, R-118, R-121.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from muniment.server.policy.records import Bundle, ReviewStep, RuleClass
from muniment.server.policy.rules import tables

_TIERS: Final = ("minimal", "limited", "high")
_FLAGS: Final = ("own_key", "own_login")
#: Periods that end an approval: longer is weaker.
_PERIODS: Final = ("approval_days", "decision_hours")


def asking_less(now: Bundle, would: Bundle) -> set[str]:
    """Return what asks less in `would`: the `critical_safety` rule that it is for, else its place.

    `profiles.high.own_login`; APPR-005 for steps of a review.
    """
    critical = {one.id for one in now.rules if one.rule_class is RuleClass.CRITICAL_SAFETY}
    found = set()
    for tier in _TIERS:
        before, after = (tables.profile_of(one.data, tier) for one in (now, would))
        quorums = (_member(_member(one.data, "quorum"), tier) for one in (now, would))
        for rule, name in [*_profile(before, after), *_quorum(*quorums)]:
            place = f"quorum.{tier}" if name == "quorum" else f"profiles.{tier}.{name}"
            found.add(rule if rule in critical else place)
    return found


def _profile(now: Mapping[str, Any], would: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in _FLAGS:
        if tables.asks(now, name) and would.get(name) is not True:
            yield "", name
    for name in _PERIODS:
        if name in now and _more(would.get(name), now[name]):
            yield "APPR-002", name
    signed_off = _member(would, "sign_offs")
    if any(signed_off.get(role) != one for role, one in _member(now, "sign_offs").items()):
        yield "APPR-004", "sign_offs"
    if _fewer_steps(tables.review_steps(now), tables.review_steps(would)):
        yield "APPR-005", "review_steps"


def _quorum(now: Mapping[str, Any], would: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for change in now:
        there = _member(would, change)
        for role, count in _member(now, change).items():
            if _more(count, there.get(role)):
                yield "APPR-001", "quorum"


def _fewer_steps(now: tuple[ReviewStep, ...], would: tuple[ReviewStep, ...]) -> bool:
    others = {one.name: one for one in would}
    return any(not _step_as_strict(one, others) for one in now)


def _step_as_strict(one: ReviewStep, others: Mapping[str, ReviewStep]) -> bool:
    other = others.get(one.name)
    return (
        other is not None
        and (one.optional or not other.optional)
        and set(other.roles) <= set(one.roles)
        and set(one.after) <= _all_before(other, others)
    )


def _all_before(one: ReviewStep, steps: Mapping[str, ReviewStep]) -> set[str]:
    """Return the steps that come before a step, and before those: a step is listed after them."""
    return set(one.after).union(*(_all_before(steps[name], steps) for name in one.after))


def _more(one: Any, other: Any) -> bool:
    """Say whether a number is more than another; what is none counts as more, and as nothing asked."""
    return one != other and not (_is_number(one) and _is_number(other) and one <= other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _member(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, Mapping) else {}
