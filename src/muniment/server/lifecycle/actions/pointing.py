"""Point an alias, and take a version out of an environment."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

from muniment.core.names import VersionRef
from muniment.server import catalog
from muniment.server.catalog.records import AliasMove, Mode, Pointer, Version
from muniment.server.http.records import PrincipalKind
from muniment.server.identity import By
from muniment.server.lifecycle import store
from muniment.server.lifecycle.actions import question as questions
from muniment.server.lifecycle.actions import standings
from muniment.server.lifecycle.actions.promoting import promote
from muniment.server.lifecycle.actions.question import Question
from muniment.server.lifecycle.records import (
    Deployment,
    EndedAs,
    Executor,
    Moved,
    Payload,
    Ports,
    Promotion,
    Refusal,
    Stage,
)
from muniment.server.lifecycle.rules import stages
from muniment.server.lifecycle.rules import verdict as rules
from muniment.server.policy.records import Decision, Verdict
from muniment.server.ports.db import Tx

#: Stopping asks no rule, and nobody who does it.
_UNASKED: Final = Verdict(Decision.ALLOW, (), "", "")
_ANYBODY: Final = Executor(PrincipalKind.SYSTEM, may=True)


async def point_alias(
    tx: Tx, move: AliasMove, executor: Executor, by: By, ports: Ports
) -> Moved | Refusal:
    """Point an alias at a version, or nowhere. One that production resolves is a promotion.

    Raises:
        NotFound, StaleRevision, NotServed, BadBody: see `catalog.move_alias`, `promote`.
    """
    look = await catalog.alias_standing(tx, move.asset, move.alias, move.to, peek=True)
    governed = look.namespace is not None and catalog.resolves(look.namespace, move.alias)
    if not governed or (move.to is None and look.current is None):
        return Moved(await catalog.set_alias(tx, move, by, look))
    catalog.check_alias_standing(look, move)
    environment = await store.environment_at(tx, Stage.PRODUCTION)
    if move.to is None:
        return await _unpoint(tx, move, executor, by)
    wanted = Promotion(
        version=VersionRef(move.asset, move.to),
        environment=environment.name,
        alias=move.alias,
        mode=stages.mode_of(move.alias),
        reason=move.reason,
        move=move,
    )
    answer = await promote(tx, wanted, executor, by, ports)
    if isinstance(answer, Refusal):
        return answer
    return Moved(await _pointer(tx, move), answer.verdict, answer.warnings)


async def _pointer(tx: Tx, move: AliasMove) -> Pointer:
    look = await catalog.alias_standing(tx, move.asset, move.alias, None)
    assert look.asset_id is not None
    assert look.updated_at is not None
    return Pointer(
        asset_id=look.asset_id,
        alias=move.alias,
        version_id=look.current_id,
        version=look.current,
        number=look.current_number,
        revision=look.revision,
        updated_at=look.updated_at,
    )


async def _unpoint(tx: Tx, move: AliasMove, executor: Executor, by: By) -> Moved | Refusal:
    """Have an alias that production resolves point nowhere, and end what was found through it."""
    questions.check_reason(move.reason)
    await catalog.lock_asset(tx, move.asset)
    look = await catalog.alias_standing(tx, move.asset, move.alias, None)
    catalog.check_alias_standing(look, move)
    if look.current is None:
        return Moved(await catalog.set_alias(tx, move, by, look))
    environment = await store.environment_at(tx, Stage.PRODUCTION)
    ref = VersionRef(move.asset, look.current)
    question = await questions.ask(tx, ref, environment, executor, leaving=True)
    if question.refused:
        entry_id = await questions.refuse(tx, question, by, move.reason)
        return questions.refusal(question, entry_id)
    through = [one for one in question.live if one.alias == str(move.alias)]
    await _end(tx, question, through, (str(move.alias),), by, move.reason)
    warns = question.namespace.state.mode is Mode.WARN
    warnings = tuple(rules.words(question.verdict)) if warns else ()
    return Moved(await _pointer(tx, move), question.verdict, warnings)


async def withdraw(
    tx: Tx, ref: VersionRef, environment: str, reason: str, by: By
) -> tuple[Version, tuple[Deployment, ...]]:
    """Take a version out of an environment; return it, and the deployments that ended.

    One person may stop: no rule is asked. Aliases through which the environment finds the version
    point nowhere then. Where it is not deployed there is no act.

    Raises:
        NotFound: there is no such version.
        BadBody: there is no such environment, or no reason. Nothing is written.
    """
    questions.check_reason(reason, due_for="taking a version out of an environment")
    place = await store.get_environment(tx, environment)
    question = await questions.ask(tx, ref, place, _ANYBODY, leaving=True)
    question = dataclasses.replace(question, verdict=_UNASKED)
    ended = [
        one
        for one in question.live
        if one.version_id == question.version.id and one.environment == question.environment.name
    ]
    if not ended:
        return question.version, ()
    names = tuple(
        alias for alias in question.version.aliases if alias in {one.alias for one in ended}
    )
    await _end(tx, question, ended, names, by, reason)
    return await catalog.get_version(tx, VersionRef(ref.asset, question.version.version)), tuple(
        ended
    )


async def _end(  # noqa: PLR0917 -- the parts of one act
    tx: Tx,
    question: Question,
    ended: Sequence[Deployment],
    aliases: Sequence[str],
    by: By,
    reason: str,
) -> None:
    entry_id, act = by.new_id(), "version.withdraw"
    at = questions.after(ended, by.at)
    at, moved = await standings.unset(
        tx, question.version, aliases, dataclasses.replace(by, at=at), entry_id, act, reason
    )
    await store.end_deployments(
        tx, [one.id for one in ended], EndedAs.WITHDRAWN, at, by.actor, entry_id
    )
    done = questions.act_of(question, act, by, entry_id, at, reason)
    done = dataclasses.replace(done, changes={"environment": (question.environment.name, None)})
    payload: Payload = {
        "ended": [str(one.id) for one in ended],
        "ended_as": EndedAs.WITHDRAWN.value,
        "alias_moves": moved,
    }
    await questions.log(tx, question, done, payload, carried_out=True)
