"""Promote: what is deployed where.

In a namespace that enforces, what the rules do not allow is refused, and the refusal recorded; in
one that observes or warns it is carried out, and recorded with what would have been refused. Rules
that hold always (`rules.verdict.barred`) refuse in every mode. The policy in force is asked too, of
everything beyond development.

A promotion is one transaction: the alias moved, the deployment begun, those it supersedes ended; of a
composite that for every version in it. Each asset has one signed entry of that. Promotions of one asset
take turns by its lock; the locks of several are taken in the order of their ids.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from dataclasses import dataclass

from muniment.core.digest import digest_of
from muniment.server import catalog, policy
from muniment.server.catalog.records import AliasMove, Mode
from muniment.server.identity import By
from muniment.server.lifecycle.actions import entries, judging, leaving, placing, wholes
from muniment.server.lifecycle.actions import question as questions
from muniment.server.lifecycle.actions.question import Part, Question
from muniment.server.lifecycle.records import (
    Deployment,
    EndedAs,
    Executor,
    Payload,
    Placed,
    Ports,
    Promoted,
    Promotion,
    Refusal,
    Whose,
)
from muniment.server.lifecycle.rules import folding, stages
from muniment.server.lifecycle.rules import verdict as rules
from muniment.server.lifecycle.store import deployments as store
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
    return await _answer(tx, placing.placed(question, wanted), wanted, by, ports, dry_run=dry_run)


async def promote_whole(
    tx: Tx,
    wanted: Promotion,
    whose: Whose,
    by: By,
    ports: Ports,
    *,
    dry_run: bool = False,
) -> Promoted | Refusal:
    """Deploy every version of the composite `wanted.whole`, or none of them; otherwise as `promote`.

    What the composite found there before had, and this one has not, is taken out with it if both are
    of one system.

    Raises:
        NotAllowed: who asks may not promote some of them; all are named.
        LifecycleConflict: two of its versions would be found through one alias.
        StaleRevision: what it takes the place of changed meanwhile.
        NotFound, BadBody: as `promote`. Nothing is written in any of these cases.
    """
    questions.check_reason(wanted.reason)
    environment = await store.get_environment(tx, wanted.environment)
    question = await wholes.ask(tx, wanted, environment, whose, locked=not dry_run)
    return await _answer(tx, question, wanted, by, ports, dry_run=dry_run)


async def _answer(
    tx: Tx, question: Question, wanted: Promotion, by: By, ports: Ports, *, dry_run: bool
) -> Promoted | Refusal:
    """Carry out what was asked, or refuse to."""
    there = placing.standing_so(question, wanted)
    if there is not None:
        pairs = zip(question.parts, there, strict=True)
        found = tuple(Placed(part.version, one, None) for part, one in pairs)
        return Promoted(found, question.verdict, question.mode, composite=question.cvi)
    question = await judging.judge(tx, question, ports, by, decision=wanted.decision)
    return await concluded(
        tx, question, wanted, by, Act("version.promote", EndedAs.SUPERSEDED), ports, dry_run=dry_run
    )


@dataclass(frozen=True, slots=True)
class Act:
    """What is done: its name in the log, and as what ends what ends with it."""

    name: str
    ended_as: EndedAs


async def concluded(  # noqa: PLR0917 -- the parts of one act
    tx: Tx, question: Question, wanted: Promotion, by: By, act: Act, ports: Ports, *, dry_run: bool
) -> Promoted | Refusal:
    """Refuse, carry out, or (`dry_run`) say what would be, as a judged question says."""
    if question.refused:
        entry_id = None if dry_run else await entries.refuse(tx, question, by, wanted.reason)
        return entries.refusal(question, entry_id)
    if not dry_run:
        return await _carry_out(tx, question, wanted, by, act, ports)
    deployed = [
        _deployment(question, part, wanted, by, by.new_id(), by.at) for part in question.parts
    ]
    pairs = zip(question.parts, deployed, strict=True)
    return _promoted(question, [Placed(part.version, new, None, part.ends) for part, new in pairs])


async def _carry_out(  # noqa: PLR0917 -- the parts of one act
    tx: Tx, question: Question, wanted: Promotion, by: By, act: Act, ports: Ports
) -> Promoted:
    """Move aliases, begin deployments, end others; an entry of that for each asset, all of one time."""
    at = await _moment(tx, question, by.at)
    by = dataclasses.replace(by, at=at)
    for part in question.left:
        await leaving.leave_or_hand_over(tx, question, part, by, wanted.reason, act.ended_as)
    found = [await _place(tx, question, part, wanted, by, act, ports) for part in question.parts]
    return _promoted(question, found)


async def _moment(tx: Tx, question: Question, at: dt.datetime) -> dt.datetime:
    """Return `at`, or a time later than all that changes began."""
    for part in (*question.parts, *question.left):
        at = questions.after(part.live, at)
        if part.alias is not None:
            to = part.version.version
            look = await catalog.alias_standing(tx, part.asset.ref, part.alias, to)
            at = catalog.moment_after(look.updated_at, at)
    return at


async def _place(  # noqa: PLR0917 -- the parts of one act
    tx: Tx, question: Question, part: Part, wanted: Promotion, by: By, act: Act, ports: Ports
) -> Placed:
    """Move a version's alias, begin its deployment, end others; record that as one signed statement."""
    entry_id, ended = by.new_id(), part.ends
    moves: list[Payload] = []
    if part.alias is not None:
        move = wanted.move or AliasMove(part.asset.ref, part.alias, None)
        move = dataclasses.replace(
            move, alias=part.alias, to=part.version.version, reason=wanted.reason
        )
        _, event = await catalog.move_alias(tx, move, by, entry_id, act.name)
        if event is not None:
            moves.append(catalog.alias_payload(event))
    new = _deployment(question, part, wanted, by, entry_id, by.at)
    ids = [one.id for one in ended]
    await store.end_deployments(tx, ids, act.ended_as, by.at, by.actor, entry_id)
    await store.insert_deployment(tx, new)
    others = tuple({one.version_id for one in ended} - {new.version_id})
    payload: Payload = {
        "deployment": folding.deployment_json(new),
        "ended": [str(one) for one in ids],
        "ended_as": act.ended_as.value,
        "alias_moves": moves,
        "promotion": await _statement(tx, question, part, act),
    }
    done = entries.act_of(part, act.name, by, entry_id, by.at, wanted.reason)
    done = dataclasses.replace(
        done, version_ids=(new.version_id, *others), changes=_changes(new, ended)
    )
    await entries.log(tx, question, part, done, payload, carried_out=True, signer=ports.record_key)
    return Placed(part.version, new, entry_id, ended)


def _changes(new: Deployment, ended: tuple[Deployment, ...]) -> dict[str, tuple[object, object]]:
    return {
        "environment": (None, new.environment),
        "version": ([one.version for one in ended], new.version),
        **({"alias": (None, new.alias)} if new.alias else {}),
        **(
            {"composite": ([one.composite for one in ended], new.composite)}
            if new.composite
            else {}
        ),
    }


async def _statement(tx: Tx, question: Question, part: Part, act: Act) -> Payload:
    """Return what is said of the promotion to whoever checks it without us."""
    places = {one.name: one.stage for one in await store.environments(tx)}
    version, judged, resting = part.version, question.judged, question.resting
    was = {places[one.environment] for one in part.live if one.version_id == version.id}
    will_be = was | {question.environment.stage}
    previous = [
        str((await catalog.version_by_id(tx, each)).manifest_digest)
        for each in dict.fromkeys(one.version_id for one in part.ends)
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
        **({} if question.cvi is None else {"composite": question.cvi}),
    }


def _deployment(  # noqa: PLR0917 -- the parts of one record
    question: Question,
    part: Part,
    wanted: Promotion,
    by: By,
    entry_id: uuid.UUID,
    at: dt.datetime,
) -> Deployment:
    return Deployment(
        id=by.new_id(),
        asset_id=part.asset.id,
        version_id=part.version.id,
        version=str(part.version.version),
        number=part.version.number,
        environment=question.environment.name,
        alias=None if part.alias is None else str(part.alias),
        mode=wanted.mode,
        since=at,
        actor=by.actor,
        reason=wanted.reason,
        entry_id=entry_id,
        decision_id=None if question.resting is None else question.resting.decision_id,
        composite=question.cvi,
        asset=part.asset.ref,
    )


def _promoted(question: Question, found: list[Placed]) -> Promoted:
    warnings = rules.words(question.verdict) if question.mode is Mode.WARN else []
    return Promoted(
        tuple(found),
        question.verdict,
        question.mode,
        warnings=tuple(warnings),
        judged=question.judged,
        composite=question.cvi,
        left=tuple(one for part in question.gone for one in part.ends),
    )
