"""Who may bring a policy into force, and when: checks on values, nothing else.

1. Who proposes and who approves are people, and two of them; who sent the bundle approves neither.
   Where what is in force asks anybody to come in by an issuer (`own_login`), it asks them too: else
   one administrator with a token made for another would be two people, and take that rule away.
2. A proposal stands on a simulation of its bundle against what is in force; if that changed, it is void.
   Proposed and approved it is within a day of a simulation that covers every verdict, or while one does.
   What the newest one found is acknowledged too, however fresh the proposal's own is.
3. It is in force from its date on, and never before it was approved.
4. What would weaken a rule of class `critical_safety`, or ask less by a table, is approved by naming that.
5. It may be withdrawn until it is in force; after that only another replaces it.

Source: R-110.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from muniment.core.errors import BadBody, LifecycleConflict
from muniment.server.http.records import PrincipalKind
from muniment.server.identity.records import CameIn
from muniment.server.ledger.records import Actor
from muniment.server.policy.records import Activation, Simulation
from muniment.server.policy.rules.simulating import to_acknowledge
from muniment.server.policy.rules.tables import asks_own_login

FAR = dt.timedelta(days=366)
#: For how long a simulation says enough although verdicts were given since.
FRESH = dt.timedelta(days=1)


def refusal_of_proposer(actor: Actor) -> str:
    """Return why `actor` may not propose; empty if it may."""
    if actor.kind != PrincipalKind.PERSON:
        return (
            f"a {actor.kind} does not propose a policy: a person does, under its own name, so that"
            " another can be told from it (`muniment login`)"
        )
    return ""


def refusal_of_approver(one: Activation, author: Actor, actor: Actor) -> str:
    """Return why `actor` may not approve; empty if it may. `author` sent the bundle."""
    if actor.kind != PrincipalKind.PERSON:
        return f"a {actor.kind} does not approve a policy: a person does (`muniment login`)"
    if actor.id == one.proposed.by.id:
        return "who proposes a policy does not approve it: ask somebody else who may govern"
    if actor.id == author.id:
        return "who sent a bundle does not approve it: ask somebody else who may govern"
    return ""


def refusal_of_login(tables: Mapping[str, Any], came_in: CameIn | None) -> str:
    """Return why somebody who came in so may neither propose nor approve under a bundle's tables."""
    if not asks_own_login(tables) or (came_in is not None and came_in.own):
        return ""
    return (
        "the policy in force takes only who came in by their organisation's login, and you came in with a"
        " token: log in with `muniment login --oidc`, then repeat this"
    )


def check_effective(wanted: dt.datetime | None, at: dt.datetime) -> None:
    """Go on only if a policy may be asked for from `wanted` on.

    Raises:
        BadBody: it is long past, or too far off.
    """
    if wanted is None or at - dt.timedelta(minutes=5) <= wanted <= at + FAR:
        return
    message = f"expected a time from now on, within {FAR.days} days, found {wanted.isoformat()}"
    problem = {"field": "effective_from", "message": message, "fix": "leave it out for at once"}
    raise BadBody(f"`effective_from`: {message}", problems=[problem])


def check_open(one: Activation, at: dt.datetime) -> None:
    """Go on only if a proposal waits for somebody's approval.

    Raises:
        LifecycleConflict: it does not.
    """
    state = one.state(at)
    if state != "open":
        raise LifecycleConflict(f"expected an open proposal, found one that is {state}")


def check_base(one: Activation, in_force: str | None) -> None:
    """Go on only if what a proposal was simulated against is in force still.

    Raises:
        LifecycleConflict: it is not.
    """
    assert one.simulation is not None  # only the first of a registry has none, and it is not open
    against = one.simulation["result"]["against"]
    if against != in_force:
        raise LifecycleConflict(
            f"the policy in force changed since this was proposed: it was simulated against"
            f" {against[:12]}, found {str(in_force)[:12]}; withdraw it, simulate and propose anew"
        )


def check_alone(scheduled: uuid.UUID | None) -> None:
    """Go on only if nothing else is going to take force: it would over a policy nobody tried it on.

    Raises:
        LifecycleConflict: something is.
    """
    if scheduled is not None:
        raise LifecycleConflict(
            f"{scheduled} is approved and takes force later; withdraw it first"
            f" (`muniment policy withdraw-activation {scheduled}`), or wait until it has"
        )


def is_fresh(one: Simulation, newest: uuid.UUID | None, at: dt.datetime) -> bool:
    """Say whether a simulation covers all verdicts up to `newest`, the last; or is of the last day.

    One that was done before fixtures were asked is not.
    """
    return asked_fixtures(one) and (one.until == newest or at - one.asked_at <= FRESH)


def asked_fixtures(one: Simulation) -> bool:
    """Say whether a simulation asked, or will ask, the fixtures of what is in force."""
    return one.result is None or "fixtures" in one.result


def check_fresh(one: Simulation | None, newest: uuid.UUID | None, at: dt.datetime) -> None:
    """Go on only if a simulation is fresh.

    Raises:
        LifecycleConflict: verdicts were given since that it does not know, and it is older than a day.
    """
    if one is not None and is_fresh(one, newest, at):
        return
    if one is not None and not asked_fixtures(one):
        raise LifecycleConflict(
            "it was simulated before the fixtures of what is in force were asked too: simulate it again"
            f" (`muniment policy simulate {one.digest}`), and repeat this"
        )
    when = "" if one is None else f" since it was simulated on {one.asked_at:%Y-%m-%d %H:%M}Z"
    digest = "DIGEST" if one is None else one.digest
    raise LifecycleConflict(
        f"verdicts were given{when}, and nobody knows what it would say of those: simulate it again"
        f" (`muniment policy simulate {digest}`), and repeat this"
    )


def check_acknowledged(results: Iterable[Mapping[str, Any]], named: Sequence[str]) -> None:
    """Go on only if every rule and table is named that a proposal weakens by what simulations came to.

    Raises:
        BadBody: some are not; the message names them.
    """
    wanted = sorted({name for result in results for name in to_acknowledge(result)})
    missing = [name for name in wanted if name not in named]
    if not missing:
        return
    message = f"it weakens rules of class critical_safety, or what tables ask: {', '.join(missing)}"
    fix = "look at the simulation; if that is meant, name each: " + " ".join(
        f"--weakens {name}" for name in missing
    )
    problem = {"field": "weakens", "message": message, "fix": fix}
    raise BadBody(f"`weakens`: {message}; {fix}", problems=[problem])


def check_withdrawable(one: Activation, at: dt.datetime) -> None:
    """Go on only if a proposal may still be withdrawn.

    Raises:
        LifecycleConflict: it was, or it is in force.
    """
    state = one.state(at)
    if state not in {"open", "scheduled"}:
        raise LifecycleConflict(
            f"expected a proposal that is open or scheduled, found one that is {state}"
            + ("; propose the bundle that is to replace it" if state == "effective" else "")
        )


def effective_at(one: Activation, approved_at: dt.datetime) -> dt.datetime:
    """Return from when on a proposal that is approved now is in force."""
    return approved_at if one.effective_from is None else max(one.effective_from, approved_at)
