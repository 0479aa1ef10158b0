"""The tables of a bundle that the registry reads too: looked at when the bundle is.

A name that is misspelt there would be a demand that nobody ever meets, or that is never made.
A bundle that is held already is not looked at so: it may be older than what is looked for. What
cannot be read in it asks for the most: nobody is taken for what nobody could have meant.

Source: R-118, R-121; `docs/guides/policy.md`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from muniment.core.approvals import AUTHOR, REVIEW_STEP, ROLES, SIGN_OFFS
from muniment.server.policy.records import Problem, ReviewStep

_FILE: Final = "data.json"
_MEMBERS: Final = frozenset({"name", "roles", "after", "optional"})
_STEPS_MAX: Final = 50
#: Nobody does it: nothing is approved under steps that cannot be read.
UNREADABLE: Final = ReviewStep("unreadable", ())
#: What is asked where there is a profile, and it is none.
_ODD: Final[Mapping[str, Any]] = {"own_key": True, "own_login": True, "review_steps": None}


def problems_of(tables: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the profiles of risk tiers, as far as the registry reads them."""
    profiles = tables.get("profiles")
    for tier, profile in profiles.items() if isinstance(profiles, Mapping) else ():
        if isinstance(profile, Mapping):
            at = f"profiles.{tier}"
            yield from _flags(at, profile)
            yield from _sign_offs(f"{at}.sign_offs", profile.get("sign_offs", {}))
            yield from _review_steps(f"{at}.review_steps", profile.get("review_steps", []))


def profile_of(tables: Mapping[str, Any], risk_tier: str) -> Mapping[str, Any]:
    """Return the profile of a risk tier, else that of `high`; nothing if the tables have no profiles."""
    profiles = tables.get("profiles", {})
    known = profiles if isinstance(profiles, Mapping) else {"high": profiles}
    found = [known[tier] for tier in (risk_tier, "high") if tier in known]
    readable = [one for one in found if isinstance(one, Mapping)]
    if found and not readable:
        return _ODD
    return readable[0] if readable else {}


def asks(profile: Mapping[str, Any], flag: str) -> bool:
    """Say whether a profile asks for something; what is neither true nor false does."""
    return profile.get(flag, False) is not False


def review_steps(profile: Mapping[str, Any]) -> tuple[ReviewStep, ...]:
    """Return the steps of a review that a profile has, in their order; `UNREADABLE` if they cannot be read."""
    listed = profile.get("review_steps", [])
    if any(_review_steps("", listed)):
        return (UNREADABLE,)
    return tuple(
        ReviewStep(
            one["name"],
            tuple(one["roles"]),
            tuple(one.get("after", ())),
            optional=one.get("optional", False),
        )
        for one in listed
    )


def asks_own_login(tables: Mapping[str, Any]) -> bool:
    """Say whether the profile of any risk tier takes only who came in by an issuer."""
    profiles = tables.get("profiles")
    known = profiles.values() if isinstance(profiles, Mapping) else ()
    return any(isinstance(one, Mapping) and asks(one, "own_login") for one in known)


def _flags(at: str, profile: Mapping[str, Any]) -> Iterator[Problem]:
    for name in ("own_key", "own_login"):
        if not isinstance(profile.get(name, False), bool):
            yield Problem(_FILE, f"`{at}.{name}`: expected true or false")


def _sign_offs(at: str, table: Any) -> Iterator[Problem]:
    if not isinstance(table, Mapping):
        yield Problem(_FILE, f"`{at}`: expected the sign-off of each role, found something else")
        return
    for role, sign_off in table.items():
        if role not in ROLES or role == AUTHOR:
            known = f"expected one of {', '.join(one for one in ROLES if one != AUTHOR)}"
            yield Problem(_FILE, f"`{at}`: {known}, found the role {role[:80]!a}")
        if sign_off not in SIGN_OFFS:
            known = f"expected one of {', '.join(SIGN_OFFS)}"
            yield Problem(_FILE, f"`{at}.{role[:80]}`: {known}, found {sign_off!a:.80}")


def _review_steps(at: str, listed: Any) -> Iterator[Problem]:
    if not isinstance(listed, list) or len(listed) > _STEPS_MAX:
        yield Problem(_FILE, f"`{at}`: expected a list of at most {_STEPS_MAX} steps")
        return
    before: list[str] = []
    for number, one in enumerate(listed):
        here = f"{at}[{number}]"
        wrong = list(_step(one, before))
        yield from (Problem(_FILE, f"`{here}`: {message}") for message in wrong)
        if not wrong:
            before.append(one["name"])


def _step(one: Any, before: list[str]) -> Iterator[str]:
    if not isinstance(one, Mapping) or set(one) - _MEMBERS:
        yield f"expected {', '.join(sorted(_MEMBERS))}"
        return
    name, roles, after = one.get("name"), one.get("roles"), one.get("after", [])
    if not isinstance(name, str) or not REVIEW_STEP.fullmatch(name):
        yield "expected a `name` of a-z, 0-9 and -, such as `peer`"
    elif name in before:
        yield f"expected each name once, found {name} again"
    if not isinstance(roles, list) or not roles or not all(role in ROLES for role in roles):
        yield f"expected `roles`, some of {', '.join(ROLES)}"
    elif AUTHOR in roles and len(roles) > 1:
        yield f"a step of the {AUTHOR} is nobody else's"
    if not isinstance(after, list) or not all(each in before for each in after):
        yield "expected in `after` the names of steps listed before this one"
    if not isinstance(one.get("optional", False), bool):
        yield "expected true or false as `optional`"
