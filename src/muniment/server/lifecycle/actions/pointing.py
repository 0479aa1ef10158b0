"""Point an alias: one that production resolves is a promotion."""

from __future__ import annotations

import dataclasses

from muniment.core.names import VersionRef
from muniment.server import catalog
from muniment.server.catalog.records import AliasMove, Mode, Pointer
from muniment.server.identity import By
from muniment.server.lifecycle.actions import entries, leaving
from muniment.server.lifecycle.actions import question as questions
from muniment.server.lifecycle.actions.promoting import promote
from muniment.server.lifecycle.records import (
    Executor,
    Moved,
    Ports,
    Promotion,
    Refusal,
    Stage,
)
from muniment.server.lifecycle.rules import stages
from muniment.server.lifecycle.rules import verdict as rules
from muniment.server.lifecycle.store import deployments as store
from muniment.server.ports.db import Tx


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
        entry_id = await entries.refuse(tx, question, by, move.reason)
        return entries.refusal(question, entry_id)
    through = tuple(one for one in question.lead.live if one.alias == str(move.alias))
    part = dataclasses.replace(question.lead, ends=through)
    await leaving.leave(tx, question, part, by, move.reason, aliases=(str(move.alias),))
    warnings = tuple(rules.words(question.verdict)) if question.mode is Mode.WARN else ()
    return Moved(await _pointer(tx, move), question.verdict, warnings)
