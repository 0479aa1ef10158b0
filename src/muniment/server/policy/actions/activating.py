"""Bring a policy into force: one person proposes it, another approves it; either may withdraw it.

Who may not approve is refused, and the refusal is recorded. Everybody who decides takes turns.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muniment.core.digest import Digest
from muniment.core.entry import time_text
from muniment.core.errors import BadBody, LifecycleConflict, NotFound
from muniment.server import catalog, ledger
from muniment.server.identity.records import By, CameIn
from muniment.server.ledger.records import Actor, Entry, Subject
from muniment.server.policy.reads.bundles import get_bundle
from muniment.server.policy.records import Activation, Decided, Simulation
from muniment.server.policy.rules import activating as rules
from muniment.server.policy.rules import folding
from muniment.server.policy.rules.simulating import result_digest
from muniment.server.policy.store import activations as store
from muniment.server.policy.store import bundles, simulations, verdicts
from muniment.server.ports.db import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What is wanted: a bundle, why, from when on (None: when approved), and what it was tried by.

    `simulation_id` None takes the newest simulation of the bundle against what is in force.
    """

    digest: str
    reason: str
    effective_from: dt.datetime | None = None
    simulation_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class NotByYou:
    """The answer no: who asked may not decide this; recorded by that entry."""

    activation_id: uuid.UUID | None
    message: str
    entry_id: uuid.UUID


async def propose(
    tx: Tx, wanted: Proposal, by: By, came_in: CameIn | None = None
) -> Activation | NotByYou:
    """Propose a policy; the same again while it is open is the same proposal.

    `came_in` is how who proposes did (None: not known).

    Raises:
        NotFound: there is no such bundle or simulation.
        BadBody: the reason is no text, the date is past, or the bundle is in force already.
        LifecycleConflict: there is no simulation of it against what is in force, or an old one that
            does not know what was judged since.
    """
    _check_reason(wanted.reason)
    rules.check_effective(wanted.effective_from, by.at)
    await store.lock(tx)
    if await bundles.find(tx, wanted.digest) is None:
        raise NotFound(
            f"this registry holds no policy bundle {wanted.digest[:80]!a}: push it first"
        )
    refusal = rules.refusal_of_proposer(by.actor) or await _not_so(tx, by, came_in)
    if refusal:
        return await _refuse(tx, None, wanted.digest, refusal, by)
    in_force = await store.digest_in_force(tx, by.at)
    if in_force == wanted.digest:
        message = "it is in force already"
        raise BadBody(message, problems=[{"field": "digest", "message": message, "fix": ""}])
    there = await store.find_open(tx, wanted.digest)
    if there is not None and _same(there, wanted, by.actor):
        return there
    simulation = await _simulation(tx, wanted, in_force)
    rules.check_fresh(simulation, await verdicts.newest(tx), by.at)
    assert simulation.result is not None
    new = Activation(
        id=by.new_id(),
        digest=wanted.digest,
        proposed=Decided(by.at, by.actor, wanted.reason, by.new_id()),
        effective_from=wanted.effective_from,
        simulation=attached(simulation.id, simulation.result),
    )
    await store.insert(tx, new)
    entry = _entry(new, folding.PROPOSE, new.proposed, folding.proposal_payload(new))
    await ledger.append(tx, entry)
    return new


def attached(simulation_id: uuid.UUID, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return a simulation as a proposal has it: its result, under the digest of that."""
    return {
        "id": str(simulation_id),
        "digest": result_digest(result),
        "result": dict(result),
    }


async def approve(  # noqa: PLR0917 -- what the act is
    tx: Tx,
    activation_id: uuid.UUID,
    reason: str,
    weakens: Sequence[str],
    by: By,
    came_in: CameIn | None = None,
) -> Activation | NotByYou:
    """Approve a proposal: it is in force from its date on. Again by the same person: no act.

    `came_in` is how who approves did (None: not known).

    Raises:
        NotFound: there is no such proposal.
        BadBody: the reason is no text, or rules that it weakens are not named.
        LifecycleConflict: it is not open, what it was simulated against is in force no longer,
            another that is approved takes force later: it was not simulated against this one; or
            verdicts were given since that no simulation of the last day knows.
    """
    _check_reason(reason)
    await store.lock(tx)
    one = await get(tx, activation_id)
    if one.approved is not None and one.approved.by == by.actor and one.withdrawn is None:
        return one
    rules.check_open(one, by.at)
    bundle = await bundles.find(tx, one.digest)
    assert bundle is not None  # the foreign key sees to it
    refusal = rules.refusal_of_approver(one, bundle.actor, by.actor)
    refusal = refusal or await _not_so(tx, by, came_in)
    if refusal:
        return await _refuse(tx, one, one.digest, refusal, by)
    in_force = await store.digest_in_force(tx, by.at)
    rules.check_base(one, in_force)
    rules.check_alone(await store.scheduled(tx, by.at))
    assert one.simulation is not None  # only the first of a registry has none, and it is not open
    standing_on = await _newest(tx, one, in_force, by.at)
    newer = None if standing_on["id"] == one.simulation["id"] else standing_on
    rules.check_acknowledged([one.simulation["result"], standing_on["result"]], weakens)
    approved = Decided(by.at, by.actor, reason, by.new_id())
    effective = rules.effective_at(one, by.at)
    await store.approve(tx, one.id, approved, effective)
    payload = {
        "approval_reason": reason,
        "effective_at": time_text(effective),
        "policy_digest": one.digest,
        "simulation_digest": standing_on["digest"],
        "weakens": sorted(set(weakens)),
        **({} if newer is None else {"simulation": newer}),
    }
    await ledger.append(tx, _entry(one, folding.ACTIVATE, approved, payload))
    return dataclasses.replace(one, approved=approved, effective_at=effective)


async def _not_so(tx: Tx, by: By, came_in: CameIn | None) -> str:
    """Return why somebody who came in so decides nothing about policies now; empty if they may."""
    digest = await store.digest_in_force(tx, by.at)
    in_force = None if digest is None else await get_bundle(tx, digest)
    return "" if in_force is None else rules.refusal_of_login(in_force.data, came_in)


async def _newest(tx: Tx, one: Activation, in_force: str | None, at: dt.datetime) -> dict[str, Any]:
    """Return the newest simulation of a proposal's bundle: what it found is known, whatever its own did."""
    found = await simulations.newest_done(tx, one.digest, in_force)
    rules.check_fresh(found, await verdicts.newest(tx), at)
    assert found is not None
    assert found.result is not None
    return attached(found.id, found.result)


async def withdraw(tx: Tx, activation_id: uuid.UUID, reason: str, by: By) -> Activation:
    """Withdraw a proposal that is not in force yet; one person may. Again: no act.

    Raises:
        NotFound: there is no such proposal.
        BadBody: the reason is no text.
        LifecycleConflict: it is in force.
    """
    _check_reason(reason)
    await store.lock(tx)
    one = await get(tx, activation_id)
    if one.withdrawn is not None and one.withdrawn.by == by.actor:
        return one
    rules.check_withdrawable(one, by.at)
    withdrawn = Decided(by.at, by.actor, reason, by.new_id())
    await store.withdraw(tx, one.id, withdrawn)
    payload = {"withdrawal_reason": reason, "policy_digest": one.digest}
    await ledger.append(tx, _entry(one, folding.WITHDRAW, withdrawn, payload))
    return dataclasses.replace(one, withdrawn=withdrawn)


async def get(tx: Tx, activation_id: uuid.UUID) -> Activation:
    """Return a proposal, whatever became of it.

    Raises:
        NotFound: there is none of that id.
    """
    found = await store.find(tx, activation_id)
    if found is None:
        raise NotFound(f"there is no policy proposal {activation_id}")
    return found


def _same(there: Activation, wanted: Proposal, actor: Actor) -> bool:
    return (there.proposed.by, there.proposed.reason, there.effective_from) == (
        actor,
        wanted.reason,
        wanted.effective_from,
    )


async def _simulation(tx: Tx, wanted: Proposal, in_force: str | None) -> Simulation:
    """Return the simulation that a proposal stands on."""
    if wanted.simulation_id is not None:
        found = await simulations.find(tx, wanted.simulation_id)
        if found is None:
            raise NotFound(f"there is no simulation {wanted.simulation_id}")
    else:
        found = await simulations.newest_done(tx, wanted.digest, in_force)
    same = found is not None and (found.digest, found.against) == (wanted.digest, in_force)
    if found is None or not same or found.result is None:
        raise LifecycleConflict(
            "there is no finished simulation of this bundle against the policy in force:"
            f" `muniment policy simulate {wanted.digest}`"
        )
    return found


async def _refuse(tx: Tx, one: Activation | None, digest: str, message: str, by: By) -> NotByYou:
    entry = Entry(
        id=by.new_id(),
        at=by.at,
        act=folding.REFUSE,
        actor=by.actor,
        subject=_subject(one.id, digest) if one else Subject("policy bundle", digest, digest[:12]),
        payload={"why": message, "policy_digest": digest},
    )
    await ledger.append(tx, entry)
    return NotByYou(None if one is None else one.id, message, entry.id)


def _entry(one: Activation, act: str, done: Decided, payload: Mapping[str, Any]) -> Entry:
    return Entry(
        id=done.entry_id,
        at=done.at,
        act=act,
        actor=done.by,
        subject=_subject(one.id, one.digest),
        payload=payload,
        digests=(Digest.parse(one.digest),),
    )


def _subject(activation_id: uuid.UUID, digest: str) -> Subject:
    return Subject("policy activation", str(activation_id), digest[:12])


def _check_reason(reason: str) -> None:
    problems = list(catalog.text_problems("reason", reason))
    if not problems and not reason.strip():
        message = "expected why, found nothing"
        problems = [{"field": "reason", "message": message, "fix": "send `reason` (`--reason`)"}]
    if problems:
        raise BadBody(f"`reason`: {problems[0]['message']}", problems=problems)
