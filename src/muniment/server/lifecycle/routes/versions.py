"""Deprecate, reinstate, retire, quarantine, release, promote, withdraw a version; its stage."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import msgspec

from muniment.core.errors import (
    ApprovalPending,
    BadBody,
    BadName,
    BadReference,
    BadVersion,
    EvidenceMissing,
    LifecycleConflict,
    NotFound,
    NotServed,
    Refused,
    StaleRevision,
)
from muniment.core.names import Alias, VersionRef, parse_version
from muniment.server import catalog
from muniment.server.catalog.records import AliasMove, Lifecycle, Version
from muniment.server.http.operation import Call, Operation, Reply, TxMode
from muniment.server.http.records import Verb
from muniment.server.identity import By
from muniment.server.lifecycle import reads
from muniment.server.lifecycle.actions import leaving, promoting, standings
from muniment.server.lifecycle.records import DeployMode, Promotion, Refusal, StageOf
from muniment.server.lifecycle.routes import bodies, parts
from muniment.server.lifecycle.rules.stages import stage_of
from muniment.server.lifecycle.store import deployments as store
from muniment.server.ports.db import Tx

_TAG: Final = "lifecycle"
ONE: Final = "/api/v1/assets/{namespace}/{name}/versions/{version}"


class DeprecationBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a version's use ends, or what replaces it; and the day it ends, 90 days on if not said.

    `dry_run` says what would be, and who uses it; nothing is changed.
    """

    reason: parts.Reason = ""
    replacement: Annotated[str, msgspec.Meta(max_length=700)] | None = None
    sunset: dt.date | None = None
    dry_run: bool = False


class RetirementBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a version's use ends for good. `dry_run` says what would be, and who uses it."""

    reason: parts.Reason = ""
    dry_run: bool = False


class ReasonBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why."""

    reason: parts.Reason = ""


class CompositePromotionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to deploy a composite, and how its versions are found there.

    `alias`: one that production resolves; if it is not sent, that of the `mode`. `decision`: the one it
    is to rest on, which must be the one that stands. `dry_run` says what would be, and changes nothing.
    """

    environment: Annotated[str, msgspec.Meta(max_length=63)]
    alias: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    mode: DeployMode = DeployMode.FULL
    reason: parts.Reason = ""
    decision: uuid.UUID | None = None
    dry_run: bool = False


class PromotionBody(CompositePromotionBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to deploy a version, and how it is found there.

    `alias`: one that production resolves; if it is not sent, that of the `mode`. `expected_version`:
    where that alias must point now (null: nowhere). `decision`: the one it is to rest on, which must
    be the one that stands. `dry_run` says what would be, and changes nothing.
    """

    expected_version: Annotated[str, msgspec.Meta(max_length=128)] | msgspec.UnsetType | None = (
        msgspec.UNSET
    )


#: Of promoting a version, and of promoting a composite.
PROMOTION_ERRORS: Final = (
    NotFound,
    BadName,
    BadBody,
    StaleRevision,
    NotServed,
    Refused,
    EvidenceMissing,
    ApprovalPending,
)


class WithdrawalBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which environment to take the version out of, and why."""

    environment: Annotated[str, msgspec.Meta(max_length=63)]
    reason: parts.Reason = ""


class WithdrawnBody(msgspec.Struct, frozen=True, kw_only=True):
    """The deployments that ended."""

    version: str
    ended: list[bodies.DeploymentBody]


def _ref(call: Call) -> VersionRef:
    return VersionRef(parts.asset_ref(call), parse_version(call.path["version"]))


def _shown(version: Version) -> Reply:
    headers = {"ETag": catalog.version_etag(version)}
    return Reply(catalog.version_body(version), headers=headers)


async def deprecate(call: Call, tx: Tx) -> Reply:
    """Announce the end of a version's use."""
    body: DeprecationBody = call.body
    wanted = standings.Deprecation(
        reason=body.reason,
        replacement=None if body.replacement is None else VersionRef.parse(body.replacement),
        sunset=body.sunset,
    )
    if wanted.replacement is not None:
        call.require(Verb.READ, parts.scope_of(wanted.replacement.asset))
    version = await standings.deprecate(
        tx, _ref(call), wanted, parts.by(call), dry_run=body.dry_run
    )
    return await _ending(tx, version, dry_run=body.dry_run)


async def retire(call: Call, tx: Tx) -> Reply:
    """End a version's use for good."""
    body: RetirementBody = call.body
    version = await standings.retire(
        tx, _ref(call), body.reason, parts.by(call), dry_run=body.dry_run
    )
    return await _ending(tx, version, dry_run=body.dry_run)


async def _ending(tx: Tx, version: Version, *, dry_run: bool) -> Reply:
    count, consumers = await reads.consumers_of(tx, version.id)
    return Reply(
        bodies.ending_body(version, count, consumers, dry_run=dry_run),
        headers={} if dry_run else {"ETag": catalog.version_etag(version)},
    )


_Verb = Callable[[Tx, VersionRef, str, By], Awaitable[Version]]


def _for_a_reason(verb: _Verb) -> Callable[[Call, Tx], Awaitable[Reply]]:
    async def handler(call: Call, tx: Tx) -> Reply:
        return _shown(await verb(tx, _ref(call), call.body.reason, parts.by(call)))

    handler.__name__, handler.__doc__ = f"{verb.__name__}_version", verb.__doc__
    return handler


async def promote(call: Call, tx: Tx) -> Reply:
    """Deploy a version, or refuse to and record that."""
    body: PromotionBody = call.body
    ref = _ref(call)
    alias = None if body.alias is None else Alias.parse(body.alias)
    move = None
    if not isinstance(body.expected_version, msgspec.UnsetType):
        expected = body.expected_version
        move = AliasMove(
            ref.asset,
            alias or Alias("champion"),
            None,
            expects=True,
            expected=None if expected is None else parse_version(expected),
        )
    wanted = Promotion(
        version=ref,
        environment=body.environment,
        alias=alias,
        mode=body.mode,
        reason=body.reason,
        move=move,
        decision=body.decision,
    )
    executor = parts.executor(call, ref.asset)
    answer = await promoting.promote(
        tx, wanted, executor, parts.by(call), parts.ports(call), dry_run=body.dry_run
    )
    if isinstance(answer, Refusal):
        return bodies.refused(call, answer)
    return Reply(bodies.promoted_body(answer, dry_run=body.dry_run))


async def withdraw(call: Call, tx: Tx) -> Reply:
    """Take a version out of an environment."""
    body: WithdrawalBody = call.body
    version, ended = await leaving.withdraw(
        tx, _ref(call), body.environment, body.reason, parts.by(call)
    )
    return Reply(
        WithdrawnBody(
            version=str(version.version), ended=[bodies.deployment_body(one) for one in ended]
        )
    )


async def get_stage(call: Call, tx: Tx) -> Reply:
    """Return the stage of a version, and what it follows from."""
    when = parts.as_of(call.query.as_of)
    version = await catalog.get_version(tx, _ref(call), when)
    live = await store.live_of_version(tx, version.id, when)
    stages = {one.name: one.stage for one in await store.environments(tx)}
    found = StageOf(
        stage=stage_of(version.lifecycle, {stages[one.environment] for one in live}),
        lifecycle=version.lifecycle.value,
        deprecated=version.lifecycle in {Lifecycle.DEPRECATED, Lifecycle.RETIRED},
        quarantined=version.standing.quarantined,
        deployments=tuple(live),
    )
    return Reply(bodies.stage_body(version, found))


def _standing_verb(name: str, summary: str, verb: _Verb, needs: Verb) -> Operation:
    return Operation(
        method="POST",
        path=f"{ONE}/{name}",
        id=f"{name}_version",
        summary=summary,
        handler=_for_a_reason(verb),
        needs=needs,
        tx=TxMode.WRITE,
        body=ReasonBody,
        returns=catalog.VersionBody,
        errors=(NotFound, BadName, BadVersion, BadBody, LifecycleConflict),
        tag=_TAG,
    )


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path=f"{ONE}/deprecate",
        id="deprecate_version",
        summary="Announce the end of a version's use",
        handler=deprecate,
        needs=Verb.RETIRE,
        tx=TxMode.WRITE,
        body=DeprecationBody,
        returns=bodies.EndingBody,
        errors=(NotFound, BadName, BadVersion, BadReference, BadBody, LifecycleConflict),
        tag=_TAG,
    ),
    _standing_verb("reinstate", "Take a deprecation back", standings.reinstate, Verb.RETIRE),
    Operation(
        method="POST",
        path=f"{ONE}/retire",
        id="retire_version",
        summary="End a version's use for good",
        handler=retire,
        needs=Verb.RETIRE,
        tx=TxMode.WRITE,
        body=RetirementBody,
        returns=bodies.EndingBody,
        errors=(NotFound, BadName, BadVersion, BadBody, LifecycleConflict),
        tag=_TAG,
    ),
    _standing_verb(
        "quarantine", "Stop handing a version out, at once", standings.quarantine, Verb.STOP
    ),
    _standing_verb("release", "End a version's quarantine", standings.release, Verb.RELEASE),
    Operation(
        method="POST",
        path=f"{ONE}/promote",
        id="promote_version",
        summary="Deploy a version to an environment, if the rules allow",
        handler=promote,
        needs=Verb.PROMOTE,
        tx=TxMode.WRITE,
        body=PromotionBody,
        returns=bodies.PromotedBody,
        errors=(*PROMOTION_ERRORS, BadVersion),
        tag=_TAG,
    ),
    Operation(
        method="POST",
        path=f"{ONE}/withdraw",
        id="withdraw_version",
        summary="Take a version out of an environment, at once",
        handler=withdraw,
        needs=Verb.STOP,
        tx=TxMode.WRITE,
        body=WithdrawalBody,
        returns=WithdrawnBody,
        errors=(NotFound, BadName, BadVersion, BadBody),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=f"{ONE}/stage",
        id="get_stage",
        summary="The stage of a version, derived from its lifecycle and deployments",
        handler=get_stage,
        needs=Verb.READ,
        query=parts.AsOfQuery,
        returns=bodies.StageBody,
        errors=(NotFound, BadName, BadVersion),
        tag=_TAG,
    ),
]
