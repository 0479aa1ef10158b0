"""`model-versions/transition-stage` and `registered-models/get-latest-versions`.

A stage is derived, never set: a transition is the acts it would follow from, in one transaction.
"""

from __future__ import annotations

from typing import Final

import msgspec

from muniment.core.names import VersionRef
from muniment.server import lifecycle
from muniment.server.facades.mlflow.records import FoundVersion
from muniment.server.facades.mlflow.routes import governed
from muniment.server.facades.mlflow.routes.dialect import WHY, asset_of, by, endpoint
from muniment.server.facades.mlflow.routes.registered_models import found
from muniment.server.facades.mlflow.routes.versions import found_version
from muniment.server.facades.mlflow.rules import stages
from muniment.server.facades.mlflow.rules.render import version_json
from muniment.server.facades.mlflow.rules.wire import given
from muniment.server.http.operation import Call, Operation, Reply
from muniment.server.http.records import Verb
from muniment.server.lifecycle.records import Deployment, Promotion, Refusal, Stage
from muniment.server.ports.db import Tx

_LATEST: Final = "/mlflow/registered-models/get-latest-versions"


class Latest(msgspec.Struct):
    """Which registered model, and at which stages (empty: all)."""

    name: str
    stages: list[str] = []


class Staged(msgspec.Struct):
    """A version, and the stage somebody would like it to be at."""

    name: str
    version: str
    stage: str
    archive_existing_versions: bool = False


async def get_latest_versions(call: Call, tx: Tx) -> Reply:
    """Return the highest version of each stage."""
    asked: Latest = call.query or call.body
    asset_of(call, asked.name, Verb.READ)
    wanted = [stages.parse_stage(stage) for stage in asked.stages] or list(stages.ORDER)
    at = {one.stage: one for one in (await found(tx, asked.name)).latest_versions}
    shown = [version_json(at[stage]) for stage in dict.fromkeys(wanted) if stage in at]
    return Reply(given(model_versions=shown))


async def transition_model_version_stage(call: Call, tx: Tx) -> Reply:
    """Do what brings a version to a stage, if the rules allow."""
    body: Staged = call.body
    target = stages.parse_stage(body.stage)
    leaves = target in {Stage.NONE, Stage.ARCHIVED}
    asset_of(call, body.name, Verb.RETIRE if leaves else Verb.PROMOTE)
    stages.check_archive(target, archive=body.archive_existing_versions)
    await found(tx, body.name)
    version = await found_version(tx, body.name, body.version)
    live = await lifecycle.live_of_version(tx, version.id)
    answer: Refusal | tuple[str, ...]
    if leaves:
        answer = await _leave(call, tx, version, live, target)
    else:
        answer = await _enter(
            call, tx, version, live, target, archive=body.archive_existing_versions
        )
    if isinstance(answer, Refusal):
        return governed.refused(answer)
    shown = version_json(await found_version(tx, body.name, body.version))
    return governed.warned({"model_version": shown}, answer)


def _ref(call: Call, version: FoundVersion) -> VersionRef:
    return VersionRef(asset_of(call, version.name, Verb.READ), version.number)


async def _leave(
    call: Call, tx: Tx, version: FoundVersion, live: list[Deployment], target: Stage
) -> tuple[str, ...]:
    ref = _ref(call, version)
    stages.check_free(version.name, version.number, live)
    for place in sorted({one.environment for one in live}):
        await lifecycle.withdraw(tx, ref, place, WHY, by(call))
    archived = version.known is not None and version.known.lifecycle != "draft"
    if target is Stage.ARCHIVED and not archived:
        await lifecycle.deprecate(tx, ref, lifecycle.Deprecation(reason=WHY), by(call))
    if target is Stage.NONE and archived:
        await lifecycle.reinstate(tx, ref, WHY, by(call))
    return ()


async def _enter(
    call: Call,
    tx: Tx,
    version: FoundVersion,
    live: list[Deployment],
    target: Stage,
    *,
    archive: bool,
) -> Refusal | tuple[str, ...]:
    environment = await lifecycle.environment_at(tx, target)
    ref = _ref(call, version)
    elsewhere = [one for one in live if one.environment != environment.name]
    if target is Stage.STAGING:
        stages.check_free(version.name, version.number, elsewhere)
    others = await _others(tx, version, environment.name) if archive else []
    left = [one for one in elsewhere if one.alias is None]
    there = any(one.environment == environment.name for one in live)
    warnings: tuple[str, ...] = ()
    if not there or left or others:
        wanted = Promotion(
            version=ref,
            environment=environment.name,
            by_default=False,
            reason=WHY,
            ends=tuple(one.id for one in (*left, *others)),
        )
        answer = await lifecycle.promote(
            tx, wanted, governed.executor(call, ref.asset), by(call), governed.ports(call)
        )
        if isinstance(answer, Refusal):
            return answer
        warnings = answer.warnings
    await _archive(call, tx, ref, others)
    known = version.known
    if target is Stage.STAGING and known is not None and known.lifecycle == "deprecated":
        await lifecycle.reinstate(tx, ref, WHY, by(call))
    return warnings


async def _others(tx: Tx, version: FoundVersion, environment: str) -> list[Deployment]:
    """Return what else of the asset a stage put there."""
    return [
        one
        for one in await lifecycle.live_beside(tx, version.id)
        if one.environment == environment and one.alias is None
    ]


async def _archive(call: Call, tx: Tx, by_ref: VersionRef, others: list[Deployment]) -> None:
    """Deprecate what a stage put there, unless production still finds it through an alias."""
    for one in others:
        if not await lifecycle.live_of_version(tx, one.version_id):
            wanted = lifecycle.Deprecation(reason=WHY, replacement=by_ref)
            ref = VersionRef(by_ref.asset, one.number)
            await lifecycle.deprecate(tx, ref, wanted, by(call))


OPERATIONS: list[Operation] = [
    *endpoint("POST", _LATEST, get_latest_versions, Latest),
    *endpoint("GET", _LATEST, get_latest_versions, Latest),
    *endpoint(
        "POST",
        "/mlflow/model-versions/transition-stage",
        transition_model_version_stage,
        Staged,
        needs=Verb.PROMOTE,
    ),
]
