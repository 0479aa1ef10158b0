"""How it is kept what the rules said of an act: beside the act, and in its own entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from muniment.server import catalog, policy
from muniment.server.catalog.records import GovernedNamespace, HigherAct, Mode, Version
from muniment.server.lifecycle.records import Attempt, Payload
from muniment.server.lifecycle.rules import folding
from muniment.server.lifecycle.rules import verdict as rules
from muniment.server.lifecycle.store import attempts as store
from muniment.server.policy.records import Judged, Verdict
from muniment.server.ports.db import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the rules said of an act on a version, and what they were given.

    `step` is what was wanted (`promote`, `bind`), `facts` what the registry's own rules read. `judged`
    is what the policy in force said, None where it was not asked. `composite` is what was wanted whole,
    and then `mode` is the strictest of its namespaces'; of what is said of several versions, an attempt
    is kept of those that are `counted`.
    """

    namespace: GovernedNamespace
    version: Version
    environment: str | None
    step: str
    facts: Payload
    verdict: Verdict
    judged: Judged | None = None
    composite: str | None = None
    mode: Mode | None = None
    counted: bool = True

    @property
    def enforcement(self) -> Mode:
        """How it is enforced."""
        return self.mode or self.namespace.state.mode


async def keep_answer(tx: Tx, answer: Answer, done: HigherAct, *, carried_out: bool) -> Payload:
    """Keep an act for the histories, its verdict, and an attempt where the rules said no.

    Returns what the payload of its entry has of that; the caller appends the entry.
    """
    payload: Payload = {
        "event": catalog.higher_payload(done),
        "enforcement": answer.enforcement.value,
        **({} if answer.composite is None else {"composite": answer.composite}),
    }
    if answer.verdict.results:
        payload["facts"] = answer.facts
        payload["verdict"] = rules.verdict_json(answer.verdict)
    await catalog.note_act(tx, done)
    payload |= await _attempted(tx, answer, done, carried_out=carried_out)
    return payload | await _judged(tx, answer, done, carried_out=carried_out)


async def _attempted(tx: Tx, answer: Answer, done: HigherAct, *, carried_out: bool) -> Payload:
    if not (answer.verdict.failed and answer.counted):
        return {}
    attempt = Attempt(
        entry_id=done.entry_id,
        asset_id=answer.version.asset_id,
        version_id=answer.version.id,
        namespace=str(answer.namespace.name),
        environment=answer.environment,
        at=done.at,
        actor=done.actor,
        mode=answer.enforcement,
        carried_out=carried_out,
        rules=tuple(one.id for one in answer.verdict.failed),
        step=answer.step,
        composite=answer.composite,
    )
    await store.insert_attempt(tx, attempt)
    return {"attempt": folding.attempt_json(attempt)}


async def _judged(tx: Tx, answer: Answer, done: HigherAct, *, carried_out: bool) -> Payload:
    if answer.judged is None:
        return {}
    about: dict[str, Any] = {
        "asset_id": answer.version.asset_id,
        "version_id": answer.version.id,
        "environment": answer.environment,
        "composite": answer.composite,
    }
    await policy.keep(
        tx, answer.judged, entry_id=done.entry_id, at=done.at, carried_out=carried_out, **about
    )
    return {"judged": policy.judged_payload(answer.judged, carried_out=carried_out, **about)}
