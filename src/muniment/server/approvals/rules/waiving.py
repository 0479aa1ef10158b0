"""Exceptions: who may grant one, to which rules, and until when.

1. A rule of class `critical_safety` takes no exception, from anyone (R-099).
2. A `waivable` rule takes one by security or governance; other classes are never in the way.
3. It is for one version in one environment, says why and what is done instead, and ends by itself, at
   the latest when an approval given today would.
4. It holds only while whoever granted it still might: computed, never stored.

Source: R-099, R-105; requirements §1.2 (5).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from muniment.core.approvals import Waiver
from muniment.server.approvals.records import Bar, RuleException
from muniment.server.approvals.rules import signing
from muniment.server.http.records import Scope
from muniment.server.identity.records import Principal, SigningKey
from muniment.server.policy.records import Rule, RuleClass

#: Whose exceptions a waivable rule takes.
MAY_WAIVE: Final = ("governance", "security")


def bar(rule: Rule, role: str) -> tuple[Bar, str] | None:
    """Return why nobody, or not somebody in this role, may grant an exception to a rule."""
    if rule.rule_class is RuleClass.CRITICAL_SAFETY:
        return Bar.CRITICAL_SAFETY, (
            f"{rule.id} is a rule of class critical_safety: it takes no exception, from anyone"
        )
    if role not in MAY_WAIVE:
        wanted = " or ".join(f"approver_{one}" for one in MAY_WAIVE)
        return Bar.RULE_CLASS, f"an exception to {rule.id} is granted by {wanted}, not as {role}"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What an exception rests on, as of now: where, by which profile, and whom it may not be by."""

    scope: Scope
    profile: signing.Profile
    requester: str = ""
    authors: Sequence[str] = ()


def lapsed(
    one: RuleException, person: Principal | None, key: SigningKey | None, now: Grounds
) -> str:
    """Return why an exception does not hold any more, as a word; empty if it does.

    A request may be opened, or the version registered, by whoever granted it, after that: the bars
    are the same whatever came first.
    """
    if one.key_id is not None and (key is None or key.revoked_at is not None):
        return "key_revoked"
    needs = signing.needs_of(one.signed_by, now.profile, one.came_in)
    if needs is not None:
        return needs[0].value
    if signing.ineligible(one.role, person, now.scope):
        return "not_eligible"
    if str(one.person_id) == now.requester or str(one.person_id) in now.authors:
        return "requester_or_author"
    return ""


def problems_of(
    waiver: Waiver, rules: Iterable[Rule], *, today: dt.date, most_days: int
) -> list[dict[str, Any]]:
    """Return what is wrong with an exception that somebody wants to grant."""
    found: list[dict[str, Any]] = []
    rule = next((one for one in rules if one.id == waiver.rule), None)
    if rule is None:
        fix = "`muniment policy show` lists the rules in force"
        found.append(_problem("rule", f"there is no rule {waiver.rule[:80]!a} in force", fix))
    elif rule.rule_class in {RuleClass.ADVISORY, RuleClass.AUTOMATIC}:
        message = f"{rule.id} is {rule.rule_class.value}: it is never in the way"
        found.append(_problem("rule", message, "no exception is needed"))
    latest = today + dt.timedelta(days=most_days)
    if not today <= waiver.until <= latest:
        message = f"expected a day from {today} to {latest}, found {waiver.until}"
        found.append(_problem("until", message, "grant it anew when it has ended"))
    for name, text in (("reason", waiver.reason), ("control", waiver.control)):
        if not text.strip():
            found.append(_problem(name, "is needed", f"say `--{name}`"))
    return found


def _problem(field: str, message: str, fix: str) -> dict[str, Any]:
    return {"field": field, "message": message, "fix": fix}
