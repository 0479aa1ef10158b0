"""Promote: what is deployed where.

In a namespace that enforces, what the rules do not allow is refused, and the refusal recorded; in
one that observes or warns it is carried out, and recorded with what would have been refused. Rules
that hold always (`rules.verdict.barred`) refuse in every mode. The policy in force is asked too, of
everything beyond development.

A promotion is one signed entry in one transaction: the alias moved, the deployment begun, those it
supersedes ended. Promotions of one asset take turns by the asset's lock.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from muniment.core.digest import digest_of
from muniment.core.errors import BadBody
from muniment.core.names import Alias
from muniment.server import catalog, policy
from muniment.server.catalog.records import AliasMove, GovernedNamespace, Mode
from muniment.server.identity import By
from muniment.server.lifecycle import store
from muniment.server.lifecycle.actions import judging
from muniment.server.lifecycle.actions import question as questions
from muniment.server.lifecycle.actions.question import Question
from muniment.server.lifecycle.records import (
    Deployment,
    EndedAs,
    Environment,
    Executor,
    Payload,
    Ports,
    Promoted,
    Promotion,
    Refusal,
    Stage,
)
from muniment.server.lifecycle.rules import folding, stages
from muniment.server.lifecycle.rules import verdict as rules
from muniment.server.ports.db import Tx


async def promote(
    tx: Tx,
    wanted: Promotion,
    executor: Executor,
    by: By,
    ports: Ports,
    *,
    dry_run: bool = False,
) -> Promoted | Refusal:
    """Deploy a version, or refuse to; what stands so already is no act.

    With `dry_run` nothing is written, and the answer is what it would be; its entry is None.

    Raises:
        NotFound: there is no such version.
        StaleRevision: the alias does not stand where `wanted.move` expects it.
        BadBody: there is no such environment, the alias is not one production resolves, the decision
            is not the one that stands, or the reason is no text. Nothing is written in any of these
            cases.
    """
    questions.check_reason(wanted.reason)
    environment = await store.get_environment(tx, wanted.environment)
    question = await questions.ask(tx, wanted.version, environment, executor, locked=not dry_run)
    alias = _alias(question.namespace, environment, wanted)
    there = _standing_so(question, wanted, alias)
    if there is not None:
        mode = question.namespace.state.mode
        return Promoted(question.version, there, question.verdict, mode, None)
    ended = _superseded(question, wanted, alias)
    question = await judging.judge(
        tx, question, executor, ports, by, ended, decision=wanted.decision
    )
    if question.refused:
        entry_id = None if dry_run else await questions.refuse(tx, question, by, wanted.reason)
        return questions.refusal(question, entry_id)
    if dry_run:
        return promoted_as(question, wanted, alias, by, ended)
    act = Act("version.promote", EndedAs.SUPERSEDED, tuple(ended))
    return await carry_out(tx, question, wanted, alias, by, act, ports)


def _alias(
    namespace: GovernedNamespace, environment: Environment, wanted: Promotion
) -> Alias | None:
    """Return the alias that moves with the promotion."""
    if wanted.alias is None:
        default = stages.alias_of(wanted.mode)
        finds = environment.stage is Stage.PRODUCTION and catalog.resolves(namespace.state, default)
        return default if wanted.by_default and finds else None
    if environment.stage is not Stage.PRODUCTION or not catalog.resolves(
        namespace.state, wanted.alias
    ):
        message = (
            f"{environment.name} finds nothing through the alias {wanted.alias}: production of"
            f" {namespace.name} resolves {', '.join(namespace.state.production_aliases)}"
        )
        problem = {"field": "alias", "message": message, "fix": "choose one of them, or none"}
        raise BadBody(f"`alias`: {message}", problems=[problem])
    return wanted.alias


def _standing_so(question: Question, wanted: Promotion, at: Alias | None) -> Deployment | None:
    """Return the live deployment that is what is wanted, if everything stands so already."""
    if wanted.ends:
        return None
    alias = None if at is None else str(at)
    if alias is not None and alias not in question.version.aliases:
        return None
    for one in question.live:
        same = (one.version_id, one.environment, one.alias) == (
            question.version.id,
            question.environment.name,
            alias,
        )
        if same and one.mode is wanted.mode:
            return one
    return None


def _superseded(question: Question, wanted: Promotion, at: Alias | None) -> list[Deployment]:
    """Return the live deployments that end with the promotion: those found where it will be found."""
    alias = None if at is None else str(at)
    place = question.environment.name
    return [
        one
        for one in question.live
        if one.id in wanted.ends
        or (
            one.environment == place
            and one.alias == alias
            and (alias is not None or one.version_id == question.version.id)
        )
    ]


@dataclass(frozen=True, slots=True)
class Act:
    """What is done: its name in the log, and what ends with it, as what."""

    name: str
    ended_as: EndedAs
    ended: tuple[Deployment, ...]


async def carry_out(  # noqa: PLR0917 -- the parts of one act
    tx: Tx,
    question: Question,
    wanted: Promotion,
    alias: Alias | None,
    by: By,
    act: Act,
    ports: Ports,
) -> Promoted:
    """Move the alias, begin the deployment, end others; record that as one signed statement."""
    entry_id, ended = by.new_id(), act.ended
    at = questions.after(question.live, by.at)
    moves: list[Payload] = []
    if alias is not None:
        move = wanted.move or AliasMove(question.asset.ref, alias, None)
        move = dataclasses.replace(
            move, alias=alias, to=question.version.version, reason=wanted.reason
        )
        look = await catalog.alias_standing(tx, move.asset, move.alias, move.to)
        at = catalog.moment_after(look.updated_at, at)
        whose = dataclasses.replace(by, at=at)
        _, event = await catalog.move_alias(tx, move, whose, entry_id, act.name)
        if event is not None:
            moves.append(catalog.alias_payload(event))
    new = _deployment(question, wanted, alias, by, entry_id, at)
    await store.end_deployments(tx, [one.id for one in ended], act.ended_as, at, by.actor, entry_id)
    await store.insert_deployment(tx, new)
    others = tuple({one.version_id for one in ended} - {new.version_id})
    changes = {
        "environment": (None, new.environment),
        "version": ([one.version for one in ended], new.version),
        **({"alias": (None, new.alias)} if new.alias else {}),
    }
    payload: Payload = {
        "deployment": folding.deployment_json(new),
        "ended": [str(one.id) for one in ended],
        "ended_as": act.ended_as.value,
        "alias_moves": moves,
        "promotion": await _statement(tx, question, act),
    }
    done = questions.act_of(question, act.name, by, entry_id, at, wanted.reason)
    done = dataclasses.replace(done, version_ids=(new.version_id, *others), changes=changes)
    await questions.log(tx, question, done, payload, carried_out=True, signer=ports.record_key)
    return _promoted(question, new, entry_id, ended)


async def _statement(tx: Tx, question: Question, act: Act) -> Payload:
    """Return what is said of the promotion to whoever checks it without us."""
    places = {one.name: one.stage for one in await store.environments(tx)}
    version, judged, resting = question.version, question.judged, question.resting
    was = {places[one.environment] for one in question.live if one.version_id == version.id}
    will_be = was | {question.environment.stage}
    previous = [
        str((await catalog.version_by_id(tx, each)).manifest_digest)
        for each in dict.fromkeys(one.version_id for one in act.ended)
        if each != version.id
    ]
    return {
        "action": act.name.rpartition(".")[2],
        "environment": question.environment.name,
        "from_stage": stages.stage_of(version.lifecycle, was).value,
        "to_stage": stages.stage_of(version.lifecycle, will_be).value,
        "verdict_sha256": (
            None
            if judged is None
            else digest_of(policy.verdict_bytes(judged.evaluation.verdict)).hex
        ),
        "decision": None if resting is None else folding.resting_json(resting),
        "previous": previous,
    }


def _deployment(  # noqa: PLR0917 -- the parts of one record
    question: Question,
    wanted: Promotion,
    alias: Alias | None,
    by: By,
    entry_id: uuid.UUID,
    at: dt.datetime,
) -> Deployment:
    return Deployment(
        id=by.new_id(),
        asset_id=question.asset.id,
        version_id=question.version.id,
        version=str(question.version.version),
        number=question.version.number,
        environment=question.environment.name,
        alias=None if alias is None else str(alias),
        mode=wanted.mode,
        since=at,
        actor=by.actor,
        reason=wanted.reason,
        entry_id=entry_id,
        decision_id=None if question.resting is None else question.resting.decision_id,
    )


def promoted_as(
    question: Question,
    wanted: Promotion,
    alias: Alias | None,
    by: By,
    ended: Sequence[Deployment],
) -> Promoted:
    """Return what the answer would be, without doing it."""
    new = _deployment(question, wanted, alias, by, by.new_id(), by.at)
    return _promoted(question, new, None, ended)


def _promoted(
    question: Question,
    new: Deployment,
    entry_id: uuid.UUID | None,
    ended: Sequence[Deployment],
) -> Promoted:
    mode = question.namespace.state.mode
    warnings = rules.words(question.verdict) if mode is Mode.WARN else []
    return Promoted(
        question.version,
        new,
        question.verdict,
        mode,
        entry_id,
        warnings=tuple(warnings),
        ended=tuple(ended),
        judged=question.judged,
    )
