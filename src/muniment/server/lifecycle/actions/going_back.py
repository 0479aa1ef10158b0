"""Go back: an environment to what it had before. One person may, and no quorum is asked.

Production goes back only to what is approved now; other environments to whatever may be handed out.
What is found there ends as `rolled_back`, and by that going back counts as tried (PROM-002). What is
there as part of a composite goes back whole, to a composite: every version in it.

Source: requirements §1.1 (R-146, R-149), §1.3, §1.5; design §2 (starting needs a quorum, stopping one person).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from muniment.core.errors import LifecycleConflict, StaleRevision
from muniment.core.names import Alias, AssetRef, VersionRef
from muniment.server import catalog, composites
from muniment.server.catalog.records import Asset, Version
from muniment.server.composites.records import Composite
from muniment.server.http.records import Scope, Verb
from muniment.server.identity import By
from muniment.server.lifecycle.actions import approving, earlier, placing, wholes
from muniment.server.lifecycle.actions import question as questions
from muniment.server.lifecycle.actions.promoting import Act, concluded
from muniment.server.lifecycle.actions.question import Question
from muniment.server.lifecycle.records import (
    Deployment,
    EndedAs,
    Environment,
    Ports,
    Promoted,
    Promotion,
    Refusal,
    Stage,
    Whole,
    Whose,
)
from muniment.server.lifecycle.store import deployments as store
from muniment.server.ports.db import Tx

_ACT = Act("version.rollback", EndedAs.ROLLED_BACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoingBack:
    """Which environment is to go back, and where to; `to` None is the last that may be gone back to.

    `alias` says which of several endpoints, where there are several.
    """

    asset: AssetRef
    environment: str
    to: VersionRef | Composite | None = None
    alias: Alias | None = None
    reason: str = ""


async def roll_back(
    tx: Tx,
    wanted: GoingBack,
    whose: Whose,
    by: By,
    ports: Ports,
    *,
    dry_run: bool = False,
) -> Promoted | Refusal:
    """Deploy in the place of a version, or of a composite, one that was there before, or refuse to.

    With `dry_run` nothing is written, and the answer is what it would be.

    Raises:
        NotFound: there is no such asset or version.
        NotAllowed: who asks may not stop some of what a composite would change; all are named.
        LifecycleConflict: nothing is deployed there, it is not clear what is to end, there is nothing
            to go back to, or `to` is there already, or was never found there as what leaves is.
        StaleRevision: what is there changed meanwhile.
        BadBody: there is no such environment, or no reason is given. Nothing is written in any of
            these cases.
    """
    questions.check_reason(wanted.reason, due_for="going back")
    environment = await store.get_environment(tx, wanted.environment)
    asset = await catalog.get_asset(tx, wanted.asset)
    leaving = _leaving(await store.live_of_asset(tx, asset.id), environment, wanted)
    back = Back(asset, environment, wanted, whose, by, ports, dry_run=dry_run)
    target = await _from_whole(tx, back, leaving)
    if target is None:
        return await _alone(tx, back, leaving)
    if isinstance(target, Version):
        return await _out_of_whole(tx, back, leaving, target)
    return await _whole(tx, back, leaving, await wholes.whole_of(tx, target))


@dataclass(frozen=True, slots=True)
class Back:
    """Going back as it is asked for, and who asks."""

    asset: Asset
    environment: Environment
    wanted: GoingBack
    whose: Whose
    by: By
    ports: Ports
    dry_run: bool


def _still(question: Question, leaving: Deployment) -> None:
    """Go on only if what is to end is there now that nobody can move it.

    Raises:
        StaleRevision: it is not.
    """
    if all(one.id != leaving.id for part in question.parts for one in part.live):
        raise StaleRevision(
            f"what {question.environment.name} has of {question.lead.asset.ref} changed meanwhile;"
            f" look at it and repeat (`muniment deployments {question.lead.asset.ref}`)"
        )


async def _conclude(
    tx: Tx,
    back: Back,
    question: Question,
    leaving: Deployment,
    promotion: Promotion,
    *,
    approved: bool,
) -> Promoted | Refusal:
    """Judge going back, and do it or refuse to."""
    _still(question, leaving)
    question = question.knowing(going_back=True, approved=approved)
    return await concluded(tx, question, promotion, back.by, _ACT, back.ports, dry_run=back.dry_run)


# --- a version alone -----------------------------------------------------------------------------


async def _alone(tx: Tx, back: Back, leaving: Deployment) -> Promoted | Refusal:
    environment, asset = back.environment, back.asset
    if not back.dry_run:
        await catalog.lock_asset(tx, asset.ref)
    live = await store.live_of_asset(tx, asset.id)
    beside = [
        one.version_id
        for one in live
        if (one.environment, one.alias) == (environment.name, None) and leaving.alias is None
    ]
    before = [*beside, *await store.before(tx, asset.id, environment.name)]
    others = [one for one in dict.fromkeys(before) if one != leaving.version_id]
    target, approved = await _target(tx, back, leaving, others)
    ref = VersionRef(asset.ref, target.version)
    executor = back.whose.executor(asset.ref)
    question = await questions.ask(tx, ref, environment, executor, locked=False)
    promotion = Promotion(
        version=ref,
        environment=environment.name,
        mode=leaving.mode,
        reason=back.wanted.reason,
        ends=(leaving.id,),
    )
    alias = None if leaving.alias is None else Alias(leaving.alias)
    question = placing.at(question, promotion, [alias])
    return await _conclude(tx, back, question, leaving, promotion, approved=approved)


def _leaving(live: Sequence[Deployment], environment: Environment, wanted: GoingBack) -> Deployment:
    """Return the deployment that is to end."""
    there = [one for one in live if one.environment == environment.name]
    if wanted.alias is not None:
        there = [one for one in there if one.alias == str(wanted.alias)]
    elif len(there) > 1:
        # What most of an environment's traffic finds, where it finds several.
        there = [one for one in there if one.alias == "champion"] or there
    if len(there) == 1:
        return there[0]
    if not there:
        raise LifecycleConflict(
            f"nothing of {wanted.asset} is deployed in {environment.name}"
            + (f" as {wanted.alias}" if wanted.alias else "")
            + f": `muniment deployments {wanted.asset} --env {environment.name}` shows what was"
        )
    if all(one.alias is None for one in there):
        return there[0]
    names = ", ".join(sorted({one.alias or "none" for one in there}))
    raise LifecycleConflict(
        f"several versions of {wanted.asset} are deployed in {environment.name}: say which alias is to"
        f" go back (`--alias`): {names}"
    )


async def _target(
    tx: Tx, back: Back, leaving: Deployment, others: Sequence[uuid.UUID]
) -> tuple[Version, bool]:
    """Return where to go back to, and whether it is approved there now.

    `others` are versions that are or were there, the latest first. Whatever was never found there as
    what leaves is starts, which is no going back: a canary becomes champion by a pipeline.
    """
    environment, wanted = back.environment, back.wanted
    were = await store.found_as(tx, back.asset.id, environment.name, leaving.alias)
    if isinstance(wanted.to, VersionRef):
        chosen = await catalog.get_version(tx, wanted.to)
        if chosen.id == leaving.version_id:
            raise LifecycleConflict(f"{chosen.name} is what is deployed in {environment.name}")
        if chosen.id not in were:
            raise _never_there(chosen.name, leaving)
        return chosen, await _approved(tx, back, chosen)
    found: Version | None = None
    for version_id in others:
        if version_id not in were:
            continue
        one = await catalog.version_by_id(tx, version_id)
        if environment.stage is not Stage.PRODUCTION:
            if not one.standing.quarantined and one.standing.mark is None:
                return one, False
        elif await _approved(tx, back, one):
            return one, True
        found = found or one
    if found is None:
        raise LifecycleConflict(
            f"no other version of {wanted.asset} was in {environment.name} before: take out what is"
            f" there (`muniment withdraw {wanted.asset}@{leaving.version} --env {environment.name}"
            " --reason …`), or say where to go back to (`--to`)"
        )
    return found, False


async def _approved(tx: Tx, back: Back, version: Version) -> bool:
    place, at = back.environment, back.by.at
    return await approving.approved(tx, back.asset, version, place, at, back.ports)


# --- whole ---------------------------------------------------------------------------------------


async def _whole(tx: Tx, back: Back, leaving: Deployment, whole: Whole) -> Promoted | Refusal:
    """Go back to a composite: every version in it."""
    environment = back.environment
    held = None
    if not back.dry_run:
        held = await wholes.lock(tx, whole.members, (await _ending(tx, leaving))[1])
    alias, ending = await _ending(tx, leaving)
    promotion = Promotion(
        version=whole.members[0].ref,
        environment=environment.name,
        whole=whole,
        mode=leaving.mode,
        reason=back.wanted.reason,
        ends=tuple(one.id for one in ending),
    )
    question = await wholes.parts_of(tx, whole, environment, back.whose)
    aliases = [
        alias if alias and catalog.resolves(part.namespace.state, alias) else None
        for part in question.parts
    ]
    question = placing.at(question, promotion, aliases)
    wholes.check_apart(question)
    question = await _with_left(tx, back, question, ending, held)
    # Asked only now that nobody decides on it any more.
    approved = await earlier.approved(
        tx, whole.composite, back.asset, environment, back.by.at, back.ports
    )
    return await _conclude(tx, back, question, leaving, promotion, approved=approved)


async def _out_of_whole(
    tx: Tx, back: Back, leaving: Deployment, version: Version
) -> Promoted | Refusal:
    """Go back from a composite to a version that was there alone; what else it has is taken out."""
    environment, ref = back.environment, VersionRef(back.asset.ref, version.version)
    held = None
    if not back.dry_run:
        held = await wholes.lock(tx, (), (await _ending(tx, leaving))[1])
    _, ending = await _ending(tx, leaving)
    executor = back.whose.executor(back.asset.ref)
    question = await questions.ask(tx, ref, environment, executor, locked=False)
    promotion = Promotion(
        version=ref,
        environment=environment.name,
        mode=leaving.mode,
        reason=back.wanted.reason,
        ends=(leaving.id,),
    )
    alias = None if leaving.alias is None else Alias(leaving.alias)
    question = placing.at(question, promotion, [alias], whole=leaving.composite)
    question = await _with_left(tx, back, question, ending, held)
    approved = await _approved(tx, back, question.lead.version)
    return await _conclude(tx, back, question, leaving, promotion, approved=approved)


async def _with_left(
    tx: Tx,
    back: Back,
    question: Question,
    ending: Sequence[Deployment],
    held: frozenset[uuid.UUID] | None,
) -> Question:
    """Return the question with what else ends, if all of it is locked, and who asks may stop it."""
    question = await wholes.with_left(tx, question, ending, back.whose)
    wholes.check_held(question, held)
    refs = [part.asset.ref for part in (*question.parts, *question.gone)]
    name, may = question.name, back.whose.may
    if question.composite and not await composites.allowed(tx, question.composite, Verb.READ, may):
        name = "what was there before"
    sees = lambda ref: may(Verb.READ, Scope(str(ref.namespace), str(ref.name)))  # noqa: E731 -- of each
    wholes.check_each(refs, back.whose.may_stop, "stop", f"going back to {name} changes", sees)
    return question


async def _ending(tx: Tx, leaving: Deployment) -> tuple[Alias | None, list[Deployment]]:
    """Return what ends with a deployment, all that is found with it of its composite; and through which alias.

    Of what is found through none (its namespace resolves no such alias) it is that of the composite's others.
    """
    name, live = leaving.alias, [leaving]
    if leaving.composite is not None:
        live = await store.live_of_composite(tx, leaving.composite, leaving.environment)
        names = sorted({one.alias for one in live if one.alias is not None})
        if name is None and names:
            name = "champion" if "champion" in names else names[0]
        live = await wholes.found_with(tx, live, name)
    return (None if name is None else Alias(name)), live


async def _from_whole(tx: Tx, back: Back, leaving: Deployment) -> earlier.Target | None:
    """Return where to go back to if a composite leaves or comes; None: a version takes another's place."""
    to = back.wanted.to
    if isinstance(to, Composite):
        await _check_target(tx, await wholes.whole_of(tx, to), back.asset, leaving)
        return to
    if leaving.composite is None:
        return None
    if to is None:
        return await _last_target(tx, back, leaving)
    chosen, place = await catalog.get_version(tx, to), back.environment.name
    return chosen if await store.was_alone(tx, chosen.id, place, leaving.alias) else None


async def _last_target(tx: Tx, back: Back, leaving: Deployment) -> earlier.Target:
    """Return what was there before a composite and may be gone back to; if nothing may, the last."""
    environment = back.environment
    mine = await composites.get(tx, str(leaving.composite))
    there = await earlier.targets(tx, back.asset, environment, leaving.alias, mine)
    for one in there:
        if environment.stage is not Stage.PRODUCTION:
            if await _handed_out(tx, one):
                return one
        elif await earlier.approved(tx, one, back.asset, environment, back.by.at, back.ports):
            return one
    if there:
        return there[0]
    raise LifecycleConflict(
        f"no composite of {mine.system} was in {environment.name} before {mine.cvi}, nor a version of"
        f" {back.asset.ref} alone: take out what is there (`muniment withdraw {mine.cvi} --env"
        f" {environment.name} --reason …`), or say where to go back to (`--to CVI`)"
    )


async def _check_target(tx: Tx, whole: Whole, asset: Asset, leaving: Deployment) -> None:
    """Go on only if a composite was there before: what is new there starts, which is no going back."""
    cvi = whole.composite.cvi
    if cvi == leaving.composite:
        raise LifecycleConflict(f"{cvi} is what is deployed in {leaving.environment}")
    if all(one.asset_id != asset.id for one in whole.members):
        raise LifecycleConflict(f"{cvi} has no version of {asset.ref}: name one that has")
    if not await store.found_as(tx, asset.id, leaving.environment, leaving.alias, cvi):
        raise _never_there(cvi, leaving)
    if leaving.composite is not None:
        mine, to = await composites.get(tx, leaving.composite), whole.composite
        if (mine.namespace, mine.system) != (to.namespace, to.system):
            raise LifecycleConflict(
                f"{cvi} is of the system {to.system}, and what is in {leaving.environment} of {mine.system}:"
                f" going back would take that out; withdraw it (`muniment withdraw {mine.cvi} --env"
                f" {leaving.environment} --reason …`), or have a pipeline promote {cvi}"
            )


def _never_there(name: str, leaving: Deployment) -> LifecycleConflict:
    found = "" if leaving.alias is None else f" as {leaving.alias}"
    return LifecycleConflict(
        f"{name} was never in {leaving.environment}{found}, so nothing goes back to it: a pipeline promotes"
        f" it (`muniment promote {name} --env {leaving.environment}`)"
    )


async def _handed_out(tx: Tx, target: earlier.Target) -> bool:
    """Say whether every version in it may be handed out, and none is on its way out."""
    if isinstance(target, Version):
        found = [target]
    else:
        whole = await wholes.whole_of(tx, target)
        found = [await catalog.version_by_id(tx, one.version_id) for one in whole.members]
    return all(not one.standing.quarantined and one.standing.mark is None for one in found)
