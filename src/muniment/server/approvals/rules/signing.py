"""Who may sign, and whether what they signed counts.

In the order checked at the bar; who fails is refused, and that is recorded:

1. A named human being signs, never a service or a pipeline (R-114).
2. Neither who asked, nor who made or registered the version, the composite or a member of it (R-120);
   they do the step of the review that is theirs (`author`), if the policy has one, and that is no
   approval of the whole.
3. In a role they hold for that asset, of a composite for every member's: being an administrator is none.
4. In one role only; the last word of a person counts.
5. With their own key, where the policy's profile for the risk tier says `own_key`.
6. Come in by an issuer, where it says `own_login`; of a key, when it was made known. A token that
   somebody made for them is not enough: who made it could be the one who signs.

Later a signature counts only while the person is active and holds the role, and the key was not
revoked: computed, never stored.

Source: R-112…R-117, R-120; trust.md §8.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from muniment.core.approvals import AUTHOR, KEY, NOT_APPLICABLE, Condition, Said, Signed
from muniment.core.errors import BadBody
from muniment.server import policy
from muniment.server.approvals.records import Approval, Bar, Request, Word
from muniment.server.http.records import Grant, PrincipalKind, Scope
from muniment.server.identity.records import CameIn, Principal, SigningKey
from muniment.server.policy.records import ReviewStep

#: How far a client's clock may be ahead, and its signature older than the request.
SKEW: Final = dt.timedelta(minutes=5)
APPROVAL_DAYS: Final = 90
#: Ten years: no policy makes an approval that nobody asks again about.
APPROVAL_DAYS_MAX: Final = 3650
_TIERS: Final = frozenset({"minimal", "limited"})
#: What lets something go on; stopping takes less.
_YES: Final = frozenset({"approve", NOT_APPLICABLE})

_WHY_NOT: Final = {
    Bar.OWN_KEY_NEEDED: "the policy takes their own key only",
    Bar.OWN_LOGIN_NEEDED: "the policy takes only who came in by an issuer",
}

USED_NONCE: Final = {
    "field": "nonce",
    "message": "was used before, for something else or for what was said since",
    "fix": "sign anew: the command makes another",
}


@dataclass(frozen=True, slots=True)
class Signer:
    """Who wants to sign: what it is, and which approvers' roles it holds for the asset."""

    id: uuid.UUID
    kind: PrincipalKind
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Profile:
    """What a policy says of a risk tier: whether it takes own keys only, for how long, in which steps."""

    own_key: bool
    approval_days: int
    review_steps: tuple[ReviewStep, ...] = ()
    own_login: bool = False


def roles_in(grants: Iterable[Grant], scope: Scope, *more: Scope) -> frozenset[str]:
    """Return the approvers' roles that `grants` give for each scope: `platform` of `approver_platform`."""
    approving = [one for one in grants if one.role.value.startswith("approver_")]
    held = [
        {one.role.value.removeprefix("approver_") for one in approving if one.scope.covers(each)}
        for each in (scope, *more)
    ]
    return frozenset(set.intersection(*held))


def profile(data: Mapping[str, Any], risk_tier: str | None) -> Profile:
    """Return a bundle's profile of a risk tier; of one that is not known, that of `high`.

    What cannot be read in it asks for the most.
    """
    found = policy.profile_of(data, risk_tier if risk_tier in _TIERS else "high")
    days = found.get("approval_days")
    if not isinstance(days, int) or isinstance(days, bool) or days <= 0:
        days = APPROVAL_DAYS
    return Profile(
        policy.asks(found, "own_key"),
        min(days, APPROVAL_DAYS_MAX),
        policy.review_steps(found),
        policy.asks(found, "own_login"),
    )


def bar(
    signer: Signer, role: str, *, requester: str, authors: Sequence[str]
) -> tuple[Bar, str] | None:
    """Return why somebody may not sign in a role; None if they may."""
    if signer.kind is not PrincipalKind.PERSON:
        return Bar.NOT_A_PERSON, (
            f"a {signer.kind.value} approves nothing: a named person signs, with their own token"
        )
    own = str(signer.id) == requester or str(signer.id) in authors
    if role == AUTHOR:
        why = "only who asked for it or made it reviews it as its author"
        return None if own else (Bar.NO_ROLE, why)
    if str(signer.id) == requester:
        return Bar.REQUESTER, "who asks does not approve: have somebody else sign"
    if str(signer.id) in authors:
        return (
            Bar.AUTHOR,
            "who made or registered the version, or a part of it, does not approve it",
        )
    if role not in signer.roles:
        held = ", ".join(sorted(signer.roles)) or "none"
        return Bar.NO_ROLE, (
            f"expected the role approver_{role} for this asset (of a composite, for that of every member),"
            f" found {held}; being an administrator is not enough"
        )
    return None


def bar_of(
    said: Said, earlier: Approval | None, profile: Profile, came_in: CameIn | None
) -> tuple[Bar, str] | None:
    """Return why a word of somebody who may sign is not taken; None if it is."""
    if earlier is not None and earlier.role != said.role:
        return Bar.OTHER_ROLE, (
            f"you signed this request as {earlier.role}: one person has one role in it"
        )
    return needs_of(said.signed_by, profile, came_in) if said.decision in _YES else None


def needs_of(signed_by: str, profile: Profile, came_in: CameIn | None) -> tuple[Bar, str] | None:
    """Return why a policy does not take what was signed so, by somebody who came in so."""
    if profile.own_key and signed_by != KEY:
        return Bar.OWN_KEY_NEEDED, (
            "for this risk tier the policy takes your own key only: make one with"
            " `muniment key create`, then sign again"
        )
    if profile.own_login and not _own(came_in):
        what = (
            "your key was made known with a token"
            if signed_by == KEY
            else "you came in with a token"
        )
        return Bar.OWN_LOGIN_NEEDED, (
            "for this risk tier the policy takes only who came in by their organisation's login, and"
            f" {what}: log in with `muniment login --oidc`, make another key (`muniment key create NAME`),"
            " then sign again"
        )
    return None


def _own(came_in: CameIn | None) -> bool:
    return came_in is not None and came_in.own


def problems_of(said: Signed, *, person: uuid.UUID, registry: str) -> list[dict[str, Any]]:
    """Return what is wrong with who and where a signature says it is of."""
    found: list[dict[str, Any]] = []
    if said.person != person:
        found.append(_problem("approver", "is signed by another person than who sends it"))
    if said.registry != registry:
        found.append(_problem("approver", f"is for the registry {said.registry!a}, not this one"))
    if said.signed_by != KEY:
        found.append(_problem("signedBy", "only the registry says that it signed"))
    return found


def time_problems(
    said: Signed, *, now: dt.datetime, since: dt.datetime | None = None
) -> list[dict[str, Any]]:
    """Return what is wrong with when something was signed: in the future, or before `since`."""
    if said.at > now + SKEW:
        return [_problem("decidedAt", "is a time that has not come: set this machine's clock")]
    if since is not None and said.at < since - SKEW:
        return [_problem("decidedAt", "is from before there was anything to sign")]
    return []


def condition_problems(said: Said, today: dt.date) -> list[dict[str, Any]]:
    """Return what is wrong with the conditions of a word."""
    found = [
        _problem(f"conditions[{index}].{name}", message)
        for index, one in enumerate(said.conditions)
        for name, message in _condition_wrong(one, today)
    ]
    if said.conditions and said.decision != "approve":
        found.append(
            _problem("conditions", f"only an approval has conditions, not a {said.decision}")
        )
    if said.sign_off is not None and said.decision != "approve":
        found.append(_problem("sign_off", f"only an approval signs off, not a {said.decision}"))
    if said.decision != "approve" and not said.comment.strip():
        found.append(_problem("comment", f"a {said.decision} says why"))
    if said.role == AUTHOR and said.decision not in _YES:
        found.append(
            _problem("decision", "who asked withdraws the request (`muniment request withdraw`)")
        )
    return found


def _condition_wrong(one: Condition, today: dt.date) -> list[tuple[str, str]]:
    wrong = []
    if not one.text.strip():
        wrong.append(("text", "says what is to be done"))
    if one.due < today:
        wrong.append(("due", "is a day that is over"))
    return wrong


def _problem(field: str, message: str) -> dict[str, Any]:
    return {"field": field, "message": message}


def refuse_problems(problems: Sequence[Mapping[str, Any]]) -> None:
    """Go on only if there are none.

    Raises:
        BadBody: there are; `problems` has all.
    """
    if problems:
        first = problems[0]
        raise BadBody(
            f"`{first['field']}` {first['message']}", problems=[dict(one) for one in problems]
        )


def last_words(approvals: Iterable[Approval]) -> list[Approval]:
    """Return the last word of each person, in the order those were said; `approvals` is in order.

    That a step does not apply stands beside what the same person says of the whole.
    """
    last: dict[tuple[uuid.UUID, str | None], Approval] = {}
    for one in approvals:
        key = what_about(one)
        last.pop(key, None)
        last[key] = one
    return list(last.values())


def what_about(one: Approval) -> tuple[uuid.UUID, str | None]:
    """Return whose word it is, and of which step it says that it does not apply: the last one counts."""
    return one.person_id, one.review_step if one.decision == NOT_APPLICABLE else None


def word(
    approval: Approval,
    person: Principal | None,
    key: SigningKey | None,
    *,
    scopes: Sequence[Scope],
    profile: Profile,
) -> Word:
    """Return whether a person's word counts now."""
    invalid = _unsigned(approval, key, profile)
    barred = ineligible(approval.role, person, *scopes)
    return Word(approval, not invalid, not barred, invalid or barred)


def _unsigned(approval: Approval, key: SigningKey | None, profile: Profile) -> str:
    if not approval.by_session and (key is None or key.revoked_at is not None):
        return "the key was revoked"
    if approval.decision not in _YES:
        return ""
    needs = needs_of(approval.signed_by, profile, approval.came_in)
    return "" if needs is None else _WHY_NOT[needs[0]]


def ineligible(role: str, person: Principal | None, scope: Scope, *more: Scope) -> str:
    """Return why nobody in this role is there to have signed; empty if they might sign now."""
    if person is None or person.kind is not PrincipalKind.PERSON:
        return "there is no such person"
    if person.disabled_at is not None:
        return "the person is not active any more"
    if role != AUTHOR and role not in roles_in(person.grants, scope, *more):
        return f"the person does not hold the role approver_{role} any more"
    return ""


def open_to(request: Request) -> str:
    """Return why a request takes no more words; empty if it does."""
    if request.ended_as is None:
        return ""
    return f"the request is {request.ended_as.value} since {request.ended_at:%Y-%m-%d %H:%M}Z"
