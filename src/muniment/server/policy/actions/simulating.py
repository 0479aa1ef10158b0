"""Ask a bundle about everything that was asked before; ask one verdict's question again.

What was asked of another bundle than that in force is asked of this too, so that the answer says
what activating the other would change now. Embedded engines are asked, whichever the registry asks
of acts: no agent serves a draft.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from muniment.core.errors import NotFound, Unavailable
from muniment.server.identity.records import By
from muniment.server.policy.actions.evaluating import evaluate, no_longer_failing
from muniment.server.policy.reads import verdicts as reads
from muniment.server.policy.reads.verdicts import Full
from muniment.server.policy.records import (
    Bundle,
    Evaluation,
    Fixture,
    Simulation,
    StoredVerdict,
    Verdict,
)
from muniment.server.policy.rules import simulating, verdicts
from muniment.server.policy.rules.activating import asked_fixtures
from muniment.server.policy.rules.simulating import Difference, Kind
from muniment.server.policy.store import activations, bundles
from muniment.server.policy.store import simulations as store
from muniment.server.policy.store import verdicts as stored
from muniment.server.ports import queue
from muniment.server.ports.db import Tx
from muniment.server.ports.engine_pool import EnginePool
from muniment.server.ports.policy_engine import PolicyEngine

JOB: Final = "policy.simulate"
#: How many verdicts go to an engine at once: acts that are judged meanwhile wait for so many.
PIECE: Final = 20
_PAGE: Final = 500
Kept = tuple[StoredVerdict, dict[str, Any] | None]


async def ask(tx: Tx, digest: str, by: By) -> Simulation:
    """Have a bundle simulated by a job, over all verdicts there are now.

    Asked for again while nothing was judged since, the last one is the answer.

    Raises:
        NotFound: there is no such bundle.
        Unavailable: no policy is in force.
    """
    if await bundles.find(tx, digest) is None:
        raise NotFound(f"this registry holds no policy bundle {digest[:80]!a}: push it first")
    against = await activations.digest_in_force(tx, by.at)
    if against is None:
        raise Unavailable("no policy is in force: there is nothing to simulate against")
    last = await store.newest(tx, digest, against)
    usable = last is not None and last.problem is None and asked_fixtures(last)
    if last is not None and usable and last.until == await stored.newest(tx):
        return last
    made = await store.insert(
        tx, by.new_id(), digest=digest, against=against, at=by.at, actor=by.actor
    )
    await queue.enqueue(tx, JOB, {"simulation_id": str(made.id)})
    return made


@dataclass(frozen=True, slots=True)
class Bundles:
    """The bundle that is tried, and the one that is in force."""

    would: Bundle
    now: Bundle


async def compare(
    engines: EnginePool, both: Bundles, kept: Sequence[Kept]
) -> list[tuple[StoredVerdict, Difference]]:
    """Return the verdicts of which the tried bundle says something else, with what that is.

    Raises:
        Unavailable: an engine could not be asked.
    """
    works = [
        functools.partial(_compare, both=both, kept=kept[start : start + PIECE])
        for start in range(0, len(kept), PIECE)
    ]
    found = await engines.run_all(works)
    return [one for piece in found for one in piece]


async def tried_on_fixtures(engines: EnginePool, both: Bundles) -> list[Fixture]:
    """Return the fixtures by which a critical rule in force says no, and would not.

    Raises:
        Unavailable: an engine could not be asked.
    """
    fixtures = simulating.could_be_weaker(both.now, both.would)
    works = [
        functools.partial(
            no_longer_failing, bundle=both.would, fixtures=fixtures[start : start + PIECE]
        )
        for start in range(0, len(fixtures), PIECE)
    ]
    return [one for piece in await engines.run_all(works) for one in piece]


def _compare(
    engine: PolicyEngine, both: Bundles, kept: Sequence[Kept]
) -> list[tuple[StoredVerdict, Difference]]:
    found = []
    for one, judged in kept:
        if judged is None:
            continue
        would = _asked(engine, both.would, judged["document"])
        now = verdicts.read_verdict(judged["verdict"])
        if one.policy_digest != both.now.digest or simulating.could_not_be_asked(now):
            now = _asked(engine, both.now, judged["document"])
        difference = simulating.compare(now, would)
        if difference is not None:
            found.append((one, difference))
    return found


def _asked(engine: PolicyEngine, bundle: Bundle, document: Mapping[str, Any]) -> Verdict:
    found = evaluate(engine, bundle, document).verdict
    why = simulating.could_not_be_asked(found)
    if why:
        raise Unavailable(f"the engine could not be asked: {why}")
    return found


async def keep_piece(
    tx: Tx,
    simulation: Simulation,
    kept: Sequence[Kept],
    found: Sequence[tuple[StoredVerdict, Difference]],
) -> bool:
    """Note what a piece of a simulation found, and that it was looked at; False if another did."""
    versions = {one.version_id for one, _ in found if one.version_id is not None}
    live = await reads.live(tx, sorted(versions)) if versions else {}
    binds = [one.entry_id for one, _ in found if one.step == "bind"]
    bound = await reads.bound_by(tx, binds) if binds else {}
    over = await stored.superseded(tx, [one.id for one, _ in found])
    bodies = [(one.id, _body(one, each, _alive(one, live, bound), over)) for one, each in found]
    last = kept[-1][0].id
    return await store.advance(tx, simulation, last, simulation.done_count + len(kept), bodies)


def _alive(
    one: StoredVerdict,
    live: Mapping[uuid.UUID, Sequence[str]],
    bound: Mapping[uuid.UUID, Sequence[str]],
) -> list[str]:
    """Return what would be hit now: the consumer that was bound, else where the version is deployed."""
    if one.step == "bind":
        return list(bound.get(one.entry_id, ()))
    places = live.get(one.version_id, ()) if one.version_id else ()
    return [name for name in places if one.environment in {None, name}]


def _body(
    one: StoredVerdict, found: Difference, live: Sequence[str], over: set[uuid.UUID]
) -> dict[str, Any]:
    return simulating.difference_json(
        found,
        verdict_id=str(one.id),
        subject=one.subject,
        step=one.step,
        environment=one.environment,
        was=one.decision.value,
        newest=one.id not in over,
        live=live,
        loses_approval=found.kind is Kind.BLOCKED and one.step == "approve" and one.id not in over,
    )


async def sum_up(
    tx: Tx,
    simulation: Simulation,
    both: Bundles,
    unreadable: int,
    passing: Sequence[Fixture],
) -> dict[str, Any]:
    """Return what a simulation that looked at everything came to; `passing`: `tried_on_fixtures`."""
    summed, after = simulating.Sum(), None
    while True:
        page = await store.differences(tx, simulation.id, after, _PAGE)
        for body in page:
            summed.add(body)
        if len(page) < _PAGE:
            break
        after = uuid.UUID(page[-1]["verdict_id"])
    until = None if simulation.until is None else str(simulation.until)
    return summed.result(
        both.now, both.would, passing, until=until, asked=simulation.done_count,
        unreadable=unreadable,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Replayed:
    """A verdict's question asked again: whether the answer has the same bytes, else what differs."""

    verdict: Full
    evaluation: Evaluation
    same: bool
    differences: list[dict[str, Any]]


async def replay(engines: EnginePool, verdict: Full, bundle: Bundle) -> Replayed:
    """Ask the bundle of that time about the document of that time, and compare byte for byte.

    Raises:
        Unavailable: the engine could not be asked.
    """
    found = await engines.run(
        functools.partial(evaluate, bundle=bundle, document=verdict.judged["document"])
    )
    why = simulating.could_not_be_asked(found.verdict)
    if why:
        raise Unavailable(f"the engine could not be asked: {why}")
    was = verdicts.read_verdict(verdict.judged["verdict"])
    same = verdicts.verdict_bytes(was) == verdicts.verdict_bytes(found.verdict)
    return Replayed(verdict, found, same, simulating.replay_differences(was, found.verdict))
