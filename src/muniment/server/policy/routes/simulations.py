"""Have a bundle simulated, follow that, and see what it found."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, Final, Literal

import msgspec

from muniment.core.errors import BadCursor, NotFound, Unavailable
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import Page, cut
from muniment.server.http.records import Verb
from muniment.server.ledger.records import Actor
from muniment.server.policy.actions import simulating as actions
from muniment.server.policy.records import Simulation
from muniment.server.policy.routes import parts
from muniment.server.policy.rules import simulating as rules
from muniment.server.policy.store import simulations as store
from muniment.server.ports.db import Tx

_ALL: Final = "/api/v1/policy/simulations"
_ONE: Final = f"{_ALL}/{{simulation_id}}"


class SimulateBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which bundle to ask about every verdict there is."""

    digest: parts.DigestText


class SimulationResultBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle would change, against the one that was in force.

    `blocked`: allowed now, not by it. `let_through`: the other way round. `changed`: for other reasons.
    `live`: blocked, and deployed or bound now. `approvals`: versions that would lose their approval.
    `safety`: rules of class critical_safety that stop something now and would not; `weakened`: those it lacks, has
    in another class, or by which a fixture of the bundle in force fails no more (`fixtures`, by rule), and those whose
    tables ask less (of what no such rule is for, the table: `profiles.high.own_login`).
    `to_acknowledge`: both, which whoever approves it names. `unreadable`: their documents were erased.
    `digest` is over all of it.
    """

    digest: str
    verdict_count: int
    unreadable_count: int
    differing_count: int
    blocked_count: int
    let_through_count: int
    changed_count: int
    live_count: int
    approval_count: int
    safety_count: int
    safety: list[str]
    weakened: list[str]
    to_acknowledge: list[str]
    fixtures: dict[str, list[str]]
    rules: dict[str, dict[str, int]]
    differences_sha256: str


class SimulationBody(msgspec.Struct, frozen=True, kw_only=True):
    """A simulation: `due` (`done_count` of `total_count` verdicts asked again), `done`, or `failed`."""

    id: uuid.UUID
    digest: str
    against: str
    state: Literal["due", "done", "failed"]
    total_count: int
    done_count: int
    result: SimulationResultBody | None
    problem: str | None
    asked_at: dt.datetime
    asked_by: Actor
    done_at: dt.datetime | None


class RuleSaysBody(msgspec.Struct, frozen=True):
    """A rule that would fail, and why."""

    id: str
    message: str


class VerdictDifferenceBody(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict of which the bundle says something else.

    `was`: as decided at the time; `now`: by the bundle in force; `would`: by the one that is tried.
    `newest`: no later one was asked of this version there; `live`: where it is deployed, or the consumer
    that was bound by it and is still.
    """

    verdict_id: uuid.UUID
    subject: str
    step: str
    environment: str | None
    kind: rules.Kind
    was: str
    now: str
    would: str
    newly_failed: list[RuleSaysBody]
    no_longer_failed: list[str]
    safety: list[str]
    newest: bool
    live: list[str]
    loses_approval: bool


async def simulate(call: Call, tx: Tx) -> Reply:
    """Ask a bundle about every verdict, by a job; the answer says how to follow it."""
    body: SimulateBody = call.body
    return Reply(simulation_body(await actions.ask(tx, body.digest, parts.by(call))))


async def get(call: Call, tx: Tx) -> Reply:
    """Show how far a simulation is, and what it came to."""
    return Reply(simulation_body(await _find(call, tx)))


async def differences(call: Call, tx: Tx) -> Reply:
    """List what a simulation found, the oldest verdict first."""
    asked: parts.PageQuery = call.query
    one = await _find(call, tx)
    after = parts.position(asked.cursor)
    found = await store.differences(tx, one.id, after, asked.limit + 1)
    items = [msgspec.convert(each, VerdictDifferenceBody) for each in found]
    more = len(items) > asked.limit
    cursor = {"id": str(items[asked.limit - 1].verdict_id)} if more else None
    return Reply(Page(*cut(items, asked.limit, cursor)))


async def _find(call: Call, tx: Tx) -> Simulation:
    found = await store.find(tx, parts.id_of(call, "simulation_id"))
    if found is None:
        raise NotFound("there is no such simulation")
    return found


def simulation_body(one: Simulation) -> SimulationBody:
    """Return a simulation as the API shows it."""
    state: Literal["due", "done", "failed"] = "due" if one.problem is None else "failed"
    return SimulationBody(
        id=one.id,
        digest=one.digest,
        against=one.against,
        state=state if one.result is None else "done",
        total_count=one.total_count,
        done_count=one.done_count,
        result=None if one.result is None else result_body(dict(one.result)),
        problem=one.problem,
        asked_at=one.asked_at,
        asked_by=one.actor,
        done_at=one.done_at,
    )


def result_body(result: dict[str, Any]) -> SimulationResultBody:
    """Return what a simulation came to as the API shows it."""
    known = {
        "fixtures": {},
        **result,
        "digest": rules.result_digest(result),
        "to_acknowledge": rules.to_acknowledge(result),
    }
    return msgspec.convert(known, SimulationResultBody)


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path=_ALL,
        id="simulate_policy",
        summary="Ask a policy bundle about every verdict there is",
        handler=simulate,
        needs=Verb.GOVERN,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.WRITE,
        body=SimulateBody,
        returns=SimulationBody,
        status=202,
        errors=(NotFound, Unavailable),
        tag=parts.TAG,
    ),
    Operation(
        method="GET",
        path=_ONE,
        id="get_policy_simulation",
        summary="How far a simulation is, and what it came to",
        handler=get,
        needs=Verb.GOVERN,
        scope=ScopeFrom.EVERYTHING,
        returns=SimulationBody,
        errors=(NotFound,),
        tag=parts.TAG,
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/differences",
        id="list_policy_differences",
        summary="The verdicts of which a simulated bundle says something else",
        handler=differences,
        needs=Verb.GOVERN,
        scope=ScopeFrom.EVERYTHING,
        query=parts.PageQuery,
        returns=Page[VerdictDifferenceBody],
        errors=(NotFound, BadCursor),
        tag=parts.TAG,
    ),
]
