"""Go back: an environment to a version it had before. One person may, and no quorum is asked.

Production goes back only to what is approved now; other environments to whatever may be handed out.
What is found there ends as `rolled_back`, and by that going back counts as tried (PROM-002).

Source: requirements §1.1 (R-146, R-149), §1.3; design §2 (starting needs a quorum, stopping one person).
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from muniment.core.errors import LifecycleConflict
from muniment.core.names import Alias, AssetRef, VersionRef
from muniment.server import catalog
from muniment.server.catalog.records import Version
from muniment.server.identity import By
from muniment.server.lifecycle import store
from muniment.server.lifecycle.actions import approving
from muniment.server.lifecycle.actions import question as questions
from muniment.server.lifecycle.actions.promoting import Act, carry_out, promoted_as
from muniment.server.lifecycle.actions.question import Question
from muniment.server.lifecycle.records import (
    Deployment,
    EndedAs,
    Environment,
    Executor,
    Ports,
    Promoted,
    Promotion,
    Refusal,
    Stage,
)
from muniment.server.lifecycle.rules import verdict as rules
from muniment.server.ports.db import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class GoingBack:
    """Which environment is to go back, and where to; `to` None is the last that may be gone back to.

    `alias` says which of several endpoints, where there are several.
    """

    asset: AssetRef
    environment: str
    to: VersionRef | None = None
    alias: Alias | None = None
    reason: str = ""


async def roll_back(
    tx: Tx,
    wanted: GoingBack,
    executor: Executor,
    by: By,
    ports: Ports,
    *,
    dry_run: bool = False,
) -> Promoted | Refusal:
    """Deploy in the place of a version one that was there before, or refuse to.

    With `dry_run` nothing is written, and the answer is what it would be.

    Raises:
        NotFound: there is no such asset or version.
        LifecycleConflict: nothing is deployed there, it is not clear what is to end, there is nothing
            to go back to, or `to` is there already.
        BadBody: there is no such environment, or no reason is given. Nothing is written in any of
            these cases.
    """
    questions.check_reason(wanted.reason, due_for="going back")
    environment = await store.get_environment(tx, wanted.environment)
    find = catalog.get_asset if dry_run else catalog.lock_asset
    asset = await find(tx, wanted.asset)
    live = await store.live_of_asset(tx, asset.id)
    leaving = _leaving(live, environment, wanted)
    beside = [
        one.version_id
        for one in live
        if (one.environment, one.alias) == (environment.name, None) and leaving.alias is None
    ]
    before = [*beside, *await store.before(tx, asset.id, environment.name)]
    others = [one for one in dict.fromkeys(before) if one != leaving.version_id]
    target, approved = await _target(tx, wanted, leaving, others, environment, by, ports)
    ref = VersionRef(asset.ref, target.version)
    question = await questions.ask(tx, ref, environment, executor, locked=not dry_run)
    facts = dataclasses.replace(question.facts, going_back=True, approved=approved)
    question = dataclasses.replace(question, facts=facts, verdict=rules.verdict(facts))
    if question.refused:
        entry_id = None if dry_run else await questions.refuse(tx, question, by, wanted.reason)
        return questions.refusal(question, entry_id)
    promotion = Promotion(
        version=ref, environment=environment.name, mode=leaving.mode, reason=wanted.reason
    )
    alias = None if leaving.alias is None else Alias(leaving.alias)
    ended = _ended(question, target, leaving)
    if dry_run:
        return promoted_as(question, promotion, alias, by, ended)
    act = Act("version.rollback", EndedAs.ROLLED_BACK, ended)
    return await carry_out(tx, question, promotion, alias, by, act, ports)


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


async def _target(  # noqa: PLR0917 -- what is known
    tx: Tx,
    wanted: GoingBack,
    leaving: Deployment,
    others: Sequence[uuid.UUID],
    environment: Environment,
    by: By,
    ports: Ports,
) -> tuple[Version, bool]:
    """Return where to go back to, and whether it is approved there now.

    `others` are versions that are or were found there, the latest first.
    """
    if wanted.to is not None:
        chosen = await catalog.get_version(tx, wanted.to)
        if chosen.id == leaving.version_id:
            raise LifecycleConflict(f"{chosen.name} is what is deployed in {environment.name}")
        return chosen, await _approved(tx, chosen, environment, by, ports)
    found: Version | None = None
    for version_id in others:
        one = await catalog.version_by_id(tx, version_id)
        if environment.stage is not Stage.PRODUCTION:
            if not one.standing.quarantined and one.standing.mark is None:
                return one, False
        elif await _approved(tx, one, environment, by, ports):
            return one, True
        found = found or one
    if found is None:
        raise LifecycleConflict(
            f"no other version of {wanted.asset} was in {environment.name} before: take out what is"
            f" there (`muniment withdraw {wanted.asset}@{leaving.version} --env {environment.name}"
            " --reason …`), or say where to go back to (`--to`)"
        )
    return found, False


async def _approved(
    tx: Tx, version: Version, environment: Environment, by: By, ports: Ports
) -> bool:
    if environment.stage is not Stage.PRODUCTION:
        return False
    asset = await catalog.get_asset(tx, version.asset)
    return await approving.approved(tx, asset, version, environment, by.at, ports)


def _ended(question: Question, target: Version, leaving: Deployment) -> tuple[Deployment, ...]:
    """Return what ends: what is there, and what of the target is deployed where nothing finds it."""
    same: set[uuid.UUID] = {
        one.id
        for one in question.live
        if leaving.alias is None
        and one.alias is None
        and (one.version_id, one.environment) == (target.id, leaving.environment)
    }
    return tuple(one for one in question.live if one.id in {leaving.id, *same})
