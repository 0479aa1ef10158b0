"""Take a version, or a composite whole, out of an environment. One person may stop: no rule is asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

from muniment.core.names import VersionRef
from muniment.server import catalog
from muniment.server.catalog.records import Version
from muniment.server.http.records import PrincipalKind
from muniment.server.identity import By
from muniment.server.lifecycle.actions import entries, standings, wholes
from muniment.server.lifecycle.actions import question as questions
from muniment.server.lifecycle.actions.question import Part, Question
from muniment.server.lifecycle.records import Deployment, EndedAs, Executor, Payload, Whole, Whose
from muniment.server.lifecycle.rules import folding
from muniment.server.lifecycle.store import deployments as store
from muniment.server.policy.records import Decision, Verdict
from muniment.server.ports.db import Tx

_UNASKED: Final = Verdict(Decision.ALLOW, (), "", "")
_ANYBODY: Final = Executor(PrincipalKind.SYSTEM, may=True)
_WHAT: Final = "taking something out of an environment"


async def withdraw(
    tx: Tx, ref: VersionRef, environment: str, reason: str, by: By
) -> tuple[Version, tuple[Deployment, ...]]:
    """Take a version out of an environment; return it, and the deployments that ended.

    Aliases through which the environment finds the version point nowhere then. Where it is not
    deployed there is no act. What else is there of a composite it is a part of stays.

    Raises:
        NotFound: there is no such version.
        BadBody: there is no such environment, or no reason. Nothing is written.
    """
    questions.check_reason(reason, due_for=_WHAT)
    place = await store.get_environment(tx, environment)
    question = await questions.ask(tx, ref, place, _ANYBODY, leaving=True)
    question = dataclasses.replace(question, verdict=_UNASKED)
    version = question.lead.version
    ended = tuple(
        one
        for one in question.lead.live
        if one.version_id == version.id and one.environment == place.name
    )
    if not ended:
        return version, ()
    await leave(tx, question, dataclasses.replace(question.lead, ends=ended), by, reason)
    return await catalog.get_version(tx, VersionRef(ref.asset, version.version)), ended


async def withdraw_whole(  # noqa: PLR0917 -- what is to leave, and who says so
    tx: Tx, whole: Whole, environment: str, reason: str, whose: Whose, by: By
) -> tuple[Deployment, ...]:
    """Take all that is deployed as part of a composite out of an environment; return what ended.

    What another composite there has as well stays, as a part of that, and is not returned.

    Raises:
        NotAllowed: who asks may not stop some of its versions; all are named.
        BadBody: there is no such environment, or no reason.
        StaleRevision: what is deployed of it changed meanwhile. Nothing is written in any of these cases.
    """
    questions.check_reason(reason, due_for=_WHAT)
    place = await store.get_environment(tx, environment)
    cvi = whole.composite.cvi
    refs = [one.ref.asset for one in whole.members]
    wholes.check_each(refs, whose.may_stop, "stop", f"{cvi} has in it")

    held = await wholes.lock(tx, (), await store.live_of_composite(tx, cvi, place.name))
    live = await store.live_of_composite(tx, cvi, place.name)
    parts = await wholes.leaving(tx, live, place, whose)
    question = Question(parts, place, _UNASKED, whole.composite, left=parts)
    wholes.check_held(question, held)
    for part in question.left:
        await leave_or_hand_over(tx, question, part, by, reason, EndedAs.WITHDRAWN)
    return tuple(one for part in question.gone for one in part.ends)


async def leave_or_hand_over(  # noqa: PLR0917 -- who leaves, and the parts of an act
    tx: Tx, question: Question, part: Part, by: By, reason: str, ended_as: EndedAs
) -> None:
    """Take a version out; one that another composite there has as well is from now on that one's."""
    if part.heir is None:
        await leave(tx, question, part, by, reason, ended_as=ended_as)
        return
    entry_id, [ended] = by.new_id(), part.ends
    at = questions.after(part.ends, by.at)
    new = dataclasses.replace(
        ended,
        id=by.new_id(),
        since=at,
        actor=by.actor,
        reason=reason,
        entry_id=entry_id,
        decision_id=part.heir.decision_id,
        composite=part.heir.composite,
    )
    await store.end_deployments(tx, [ended.id], EndedAs.SUPERSEDED, at, by.actor, entry_id)
    await store.insert_deployment(tx, new)
    done = entries.act_of(part, "version.hand_over", by, entry_id, at, reason)
    changes = {"composite": (ended.composite, new.composite)}
    payload: Payload = {
        "deployment": folding.deployment_json(new),
        "ended": [str(ended.id)],
        "ended_as": EndedAs.SUPERSEDED.value,
        "alias_moves": [],
    }
    done = dataclasses.replace(done, changes=changes)
    await entries.log(tx, question, part, done, payload, carried_out=True)


async def leave(
    tx: Tx,
    question: Question,
    part: Part,
    by: By,
    reason: str,
    *,
    aliases: Sequence[str] | None = None,
    ended_as: EndedAs = EndedAs.WITHDRAWN,
) -> None:
    """End a version's deployments (`part.ends`), with an entry.

    `aliases` point nowhere then; if None, those that the deployments that end are found through.
    """
    entry_id, act, version, ended = by.new_id(), "version.withdraw", part.version, part.ends
    if aliases is None:
        found = {one.alias for one in ended}
        aliases = [alias for alias in version.aliases if alias in found]
    at = questions.after(ended, by.at)
    at, moved = await standings.unset(
        tx, version, aliases, dataclasses.replace(by, at=at), entry_id, act, reason
    )
    ids = [one.id for one in ended]
    await store.end_deployments(tx, ids, ended_as, at, by.actor, entry_id)
    done = entries.act_of(part, act, by, entry_id, at, reason)
    done = dataclasses.replace(done, changes={"environment": (question.environment.name, None)})
    payload: Payload = {
        "ended": [str(one) for one in ids],
        "ended_as": ended_as.value,
        "alias_moves": moved,
    }
    await entries.log(tx, question, part, done, payload, carried_out=True)
