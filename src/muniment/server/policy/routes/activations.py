"""Propose a policy, approve or withdraw it; what is, was and will be in force."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Final, Literal

import msgspec

from muniment.core.errors import BadBody, BadCursor, LifecycleConflict, NotFound, Refused
from muniment.server import identity
from muniment.server.http import problems
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import Page, cut
from muniment.server.http.records import Verb
from muniment.server.ledger.records import Actor
from muniment.server.policy.actions import activating as actions
from muniment.server.policy.actions.activating import NotByYou, Proposal
from muniment.server.policy.records import Activation, Decided
from muniment.server.policy.routes import parts
from muniment.server.policy.routes.simulations import SimulationResultBody, result_body
from muniment.server.policy.store import activations as store
from muniment.server.ports.db import Tx

_ALL: Final = "/api/v1/policy/activations"
_ONE: Final = f"{_ALL}/{{activation_id}}"
State = Literal["open", "withdrawn", "scheduled", "effective"]


class ProposalBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which bundle is to be in force, why, and from when on (null: as soon as it is approved).

    `simulation_id` null: the newest simulation of it against what is in force.
    """

    digest: parts.DigestText
    reason: parts.Reason
    effective_from: Annotated[dt.datetime, msgspec.Meta(tz=True)] | None = None
    simulation_id: uuid.UUID | None = None


class ApprovalBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why it is approved; `weakens` names the rules of class critical_safety that it weakens."""

    reason: parts.Reason
    weakens: Annotated[list[str], msgspec.Meta(max_length=1000)] = []


class WithdrawalBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why it is withdrawn."""

    reason: parts.Reason


class DecidedBody(msgspec.Struct, frozen=True, kw_only=True):
    """Who decided something, when and why."""

    at: dt.datetime
    by: Actor
    reason: str
    entry_id: uuid.UUID


class ActivationBody(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that is to be in force, was or is.

    `open` waits for somebody else's approval; `scheduled` is approved for later; `effective` was in
    force from `effective_at` on; `active`: it is now. The first of a registry has no simulation.
    """

    id: uuid.UUID
    digest: str
    state: State
    active: bool
    proposed: DecidedBody
    effective_from: dt.datetime | None
    approved: DecidedBody | None
    effective_at: dt.datetime | None
    withdrawn: DecidedBody | None
    simulation_id: uuid.UUID | None
    simulation: SimulationResultBody | None


class ActivationsQuery(parts.PageQuery, frozen=True, kw_only=True):
    """Which: all, or only those that wait for approval."""

    open: bool = False


async def propose(call: Call, tx: Tx) -> Reply:
    """Propose a policy; somebody else approves it."""
    body: ProposalBody = call.body
    wanted = Proposal(
        digest=body.digest,
        reason=body.reason,
        effective_from=body.effective_from,
        simulation_id=body.simulation_id,
    )
    came_in = await identity.came_in(tx, call.caller)
    return await _answer(call, tx, await actions.propose(tx, wanted, parts.by(call), came_in))


async def approve(call: Call, tx: Tx) -> Reply:
    """Approve a policy that somebody else proposed."""
    body: ApprovalBody = call.body
    one = parts.id_of(call, "activation_id")
    came_in = await identity.came_in(tx, call.caller)
    found = await actions.approve(tx, one, body.reason, body.weakens, parts.by(call), came_in)
    return await _answer(call, tx, found)


async def withdraw(call: Call, tx: Tx) -> Reply:
    """Withdraw a policy that is not in force yet."""
    body: WithdrawalBody = call.body
    one = parts.id_of(call, "activation_id")
    return await _answer(call, tx, await actions.withdraw(tx, one, body.reason, parts.by(call)))


async def list_(call: Call, tx: Tx) -> Reply:
    """List what was proposed and activated, the latest first."""
    asked: ActivationsQuery = call.query
    found = await store.page(
        tx, only_open=asked.open, before=parts.position(asked.cursor), limit=asked.limit + 1
    )
    now = await store.in_force(tx, call.now)
    more = len(found) > asked.limit
    cursor = {"id": str(found[asked.limit - 1].id)} if more else None
    items = [_body(one, call.now, now) for one in found]
    return Reply(Page(*cut(items, asked.limit, cursor)))


async def get(call: Call, tx: Tx) -> Reply:
    """Show one."""
    one = await actions.get(tx, parts.id_of(call, "activation_id"))
    return Reply(_body(one, call.now, await store.in_force(tx, call.now)))


async def _answer(call: Call, tx: Tx, found: Activation | NotByYou) -> Reply:
    if isinstance(found, NotByYou):
        error = Refused(found.message, extra={"entry_id": str(found.entry_id)})
        return problems.reply_for(error, call.request_id)
    return Reply(_body(found, call.now, await store.in_force(tx, call.now)))


def _body(one: Activation, at: dt.datetime, now: Activation | None) -> ActivationBody:
    known = one.simulation
    return ActivationBody(
        id=one.id,
        digest=one.digest,
        state=msgspec.convert(one.state(at), State),
        active=now is not None and now.id == one.id,
        proposed=_decided_body(one.proposed),
        effective_from=one.effective_from,
        approved=None if one.approved is None else _decided_body(one.approved),
        effective_at=one.effective_at,
        withdrawn=None if one.withdrawn is None else _decided_body(one.withdrawn),
        simulation_id=None if known is None else uuid.UUID(known["id"]),
        simulation=None if known is None else result_body(known["result"]),
    )


def _decided_body(one: Decided) -> DecidedBody:
    return DecidedBody(at=one.at, by=one.by, reason=one.reason, entry_id=one.entry_id)


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path=_ALL,
        id="propose_policy",
        summary="Propose that a policy bundle be in force",
        handler=propose,
        needs=Verb.GOVERN,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.WRITE,
        body=ProposalBody,
        returns=ActivationBody,
        errors=(NotFound, BadBody, LifecycleConflict, Refused),
        tag=parts.TAG,
    ),
    Operation(
        method="GET",
        path=_ALL,
        id="list_policy_activations",
        summary="What was proposed, and what was in force from when on",
        handler=list_,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=ActivationsQuery,
        returns=Page[ActivationBody],
        errors=(BadCursor,),
        tag=parts.TAG,
    ),
    Operation(
        method="GET",
        path=_ONE,
        id="get_policy_activation",
        summary="One proposal, with its simulation and what became of it",
        handler=get,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        returns=ActivationBody,
        errors=(NotFound,),
        tag=parts.TAG,
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/approve",
        id="approve_policy",
        summary="Approve a policy that somebody else proposed",
        handler=approve,
        needs=Verb.GOVERN,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.WRITE,
        body=ApprovalBody,
        returns=ActivationBody,
        errors=(NotFound, BadBody, LifecycleConflict, Refused),
        tag=parts.TAG,
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/withdraw",
        id="withdraw_policy",
        summary="Withdraw a policy that is not in force yet",
        handler=withdraw,
        needs=Verb.GOVERN,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.WRITE,
        body=WithdrawalBody,
        returns=ActivationBody,
        errors=(NotFound, BadBody, LifecycleConflict),
        tag=parts.TAG,
    ),
]
