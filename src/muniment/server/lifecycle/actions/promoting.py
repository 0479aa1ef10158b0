"""Promote: what is deployed where.

In a namespace that enforces, what the rules do not allow is refused, and the refusal recorded; in
one that observes or warns it is carried out, and recorded with what would have been refused. Rules
that hold always (`Verdict.barred`) refuse in every mode.

A promotion is one entry in one transaction: the alias moved, the deployment begun, those it
supersedes ended. Promotions of one asset take turns by the asset's lock.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Sequence

from muniment.core.errors import BadBody
from muniment.core.names import Alias
from muniment.server import catalog
from muniment.server.catalog.records import AliasMove, GovernedNamespace, Mode
from muniment.server.identity import By
from muniment.server.lifecycle import store
from muniment.server.lifecycle.actions import question as questions
from muniment.server.lifecycle.actions.question import Question
from muniment.server.lifecycle.records import (
    Deployment,
    EndedAs,
    Environment,
    Executor,
    Payload,
    Promoted,
    Promotion,
    Refusal,
    Stage,
)
from muniment.server.lifecycle.rules import folding, stages
from muniment.server.lifecycle.rules import verdict as rules
from muniment.server.ports.db import Tx


async def promote(
    tx: Tx, wanted: Promotion, executor: Executor, by: By, *, dry_run: bool = False
) -> Promoted | Refusal:
    """Deploy a version, or refuse to; what stands so already is no act.

    With `dry_run` nothing is written, and the answer is what it would be; its entry is None.

    Raises:
        NotFound: there is no such version.
        StaleRevision: the alias does not stand where `wanted.move` expects it.
        BadBody: there is no such environment, the alias is not one production resolves, or the
            reason is no text. Nothing is written in any of these cases.
    """
    questions.check_reason(wanted.reason)
    environment = await store.get_environment(tx, wanted.environment)
    question = await questions.ask(tx, wanted.version, environment, executor, locked=not dry_run)
    alias = _alias(question.namespace, environment, wanted)
    there = _standing_so(question, wanted, alias)
    if there is not None:
        mode = question.namespace.state.mode
        return Promoted(question.version, there, question.verdict, mode, None)
    if question.refused:
        entry_id = None if dry_run else await questions.refuse(tx, question, by, wanted.reason)
        return questions.refusal(question, entry_id)
    if dry_run:
        ended = _superseded(question, wanted, alias)
        new = _deployment(question, wanted, alias, by, by.new_id(), by.at)
        return _promoted(question, new, None, ended)
    return await _carry_out(tx, question, wanted, alias, by)


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


async def _carry_out(
    tx: Tx, question: Question, wanted: Promotion, alias: Alias | None, by: By
) -> Promoted:
    entry_id, act = by.new_id(), "version.promote"
    ended = _superseded(question, wanted, alias)
    at = questions.after(question.live, by.at)
    moves: list[Payload] = []
    if alias is not None:
        move = wanted.move or AliasMove(question.asset.ref, alias, None)
        move = dataclasses.replace(
            move, alias=alias, to=question.version.version, reason=wanted.reason
        )
        look = await catalog.alias_standing(tx, move.asset, move.alias, move.to)
        at = catalog.moment_after(look.updated_at, at)
        _, event = await catalog.move_alias(tx, move, dataclasses.replace(by, at=at), entry_id, act)
        if event is not None:
            moves.append(catalog.alias_payload(event))
    new = _deployment(question, wanted, alias, by, entry_id, at)
    await store.end_deployments(
        tx, [one.id for one in ended], EndedAs.SUPERSEDED, at, by.actor, entry_id
    )
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
        "ended_as": EndedAs.SUPERSEDED.value,
        "alias_moves": moves,
    }
    done = questions.act_of(question, act, by, entry_id, at, wanted.reason)
    done = dataclasses.replace(done, version_ids=(new.version_id, *others), changes=changes)
    await questions.log(tx, question, done, payload, carried_out=True)
    return _promoted(question, new, entry_id, ended)


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
    )


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
    )
