"""Move an alias, rename an asset, list its deployments; the environments there are."""

from __future__ import annotations

import uuid
from typing import Annotated, Final

import msgspec

from muniment.core.errors import (
    ApprovalPending,
    BadBody,
    BadCursor,
    BadName,
    BadRequest,
    BadVersion,
    EvidenceMissing,
    LifecycleConflict,
    NameReserved,
    NotFound,
    NotServed,
    Refused,
    StaleRevision,
)
from muniment.core.names import Alias, AssetName, AssetRef, SemVer, VersionRef, parse_version
from muniment.server import catalog
from muniment.server.catalog.records import AliasMove
from muniment.server.composites.records import Composite
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import Page
from muniment.server.http.preconditions import expected_revision
from muniment.server.http.records import Scope, Verb
from muniment.server.lifecycle.actions import going_back, naming, pointing
from muniment.server.lifecycle.records import Refusal, Stage
from muniment.server.lifecycle.routes import bodies, parts
from muniment.server.lifecycle.store import deployments as store
from muniment.server.ports.db import Tx

_TAG: Final = "lifecycle"
_ASSET: Final = "/api/v1/assets/{namespace}/{name}"
_ALIAS: Final = f"{_ASSET}/aliases/{{alias}}"
Unset = msgspec.UnsetType

VersionText = Annotated[str, msgspec.Meta(max_length=128, description="A SemVer or a number.")]


class AliasMoveBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the alias is to point; null is nowhere.

    `expected_version`, if sent, is where it must point now (null: nowhere); `If-Match` with the
    alias's revision says the same.
    """

    version: VersionText | None
    reason: Annotated[str, msgspec.Meta(description="Why; kept in the history.")] | None = None
    expected_version: VersionText | Unset | None = msgspec.UNSET


class RenameBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to call the asset. Its old name stays reserved for it."""

    name: str
    reason: parts.Reason = ""


class DeploymentsQuery(parts.PageQuery, frozen=True, kw_only=True):
    """Which deployments: in one environment, live ones only, as of when."""

    environment: Annotated[str, msgspec.Meta(max_length=63)] | None = None
    live: bool = False
    as_of: parts.AsOf | None = None


class RollbackBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which environment is to go back, why, and where to.

    `to`: the version, or a composite (`cvi1-…`), which is gone back to whole; if it is not sent, the
    last that was there and may be gone back to. `alias` says which, where several versions are found
    there. `dry_run` says what would be.
    """

    environment: Annotated[str, msgspec.Meta(max_length=63)]
    reason: parts.Reason = ""
    to: VersionText | None = None
    alias: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    dry_run: bool = False


class EnvironmentBody(msgspec.Struct, frozen=True, kw_only=True):
    """An environment, and the stage that a deployment there brings about."""

    name: str
    stage: Stage


async def put_alias(call: Call, tx: Tx) -> Reply:
    """Point an alias at a version, or nowhere; refuse to where the rules do, and record that."""
    body: AliasMoveBody = call.body
    move = AliasMove(
        asset=parts.asset_ref(call),
        alias=Alias.parse(call.path["alias"]),
        to=_version(body.version),
        reason=body.reason or "",
        expected_revision=expected_revision(call),
        expects=body.expected_version is not msgspec.UNSET,
        expected=None
        if isinstance(body.expected_version, Unset)
        else _version(body.expected_version),
    )
    answer = await pointing.point_alias(
        tx, move, parts.executor(call, move.asset), parts.by(call), parts.ports(call)
    )
    if isinstance(answer, Refusal):
        return bodies.refused(call, answer)
    shown = msgspec.to_builtins(catalog.alias_body(answer.pointer))
    body_now = msgspec.convert({**shown, "warnings": answer.warnings}, bodies.GovernedAliasBody)
    return Reply(body_now, headers={"ETag": f'"{answer.pointer.revision}"'})


def _version(text: str | None) -> SemVer | int | None:
    return None if text is None else parse_version(text)


async def rename(call: Call, tx: Tx) -> Reply:
    """Call an asset something else."""
    body: RenameBody = call.body
    ref, name = parts.asset_ref(call), AssetName.parse(body.name)
    call.require(Verb.CREATE, Scope(str(ref.namespace), str(name)))
    asset = await naming.rename(tx, ref, name, body.reason, parts.by(call))
    return Reply(catalog.asset_body(asset), headers={"ETag": f'"{asset.revision}"'})


async def roll_back(call: Call, tx: Tx) -> Reply:
    """Have an environment go back to a version it had before; refuse to where the rules do."""
    body: RollbackBody = call.body
    asset = parts.asset_ref(call)
    wanted = going_back.GoingBack(
        asset=asset,
        environment=body.environment,
        to=await _target(call, tx, asset, body.to),
        alias=None if body.alias is None else Alias.parse(body.alias),
        reason=body.reason,
    )
    answer = await going_back.roll_back(
        tx,
        wanted,
        parts.whose(call),
        parts.by(call),
        parts.ports(call),
        dry_run=body.dry_run,
    )
    if isinstance(answer, Refusal):
        return bodies.refused(call, answer)
    return Reply(bodies.promoted_body(answer, dry_run=body.dry_run, asset=asset))


async def _target(
    call: Call, tx: Tx, asset: AssetRef, to: str | None
) -> VersionRef | Composite | None:
    if to is None:
        return None
    if to.startswith("cvi1-"):
        return await parts.composite(call, tx, to)
    return VersionRef(asset, parse_version(to))


async def list_deployments(call: Call, tx: Tx) -> Reply:
    """List where an asset's versions are and were deployed, the latest first."""
    asset = await catalog.get_asset(tx, parts.asset_ref(call), parts.as_of(call.query.as_of))
    return await deployments_of(call, tx, asset.id)


async def deployments_of(call: Call, tx: Tx, of: uuid.UUID | str) -> Reply:
    """Return a page of the deployments of an asset, by its id, or of a composite."""
    asked: DeploymentsQuery = call.query
    if asked.environment is not None:
        await store.get_environment(tx, asked.environment)
    found = await store.deployments(
        tx,
        of,
        environment=asked.environment,
        live=asked.live,
        as_of=parts.as_of(asked.as_of),
        before=parts.position(asked.cursor),
        limit=asked.limit + 1,
    )
    shown = found[: asked.limit]
    more = len(found) > asked.limit
    cursor = parts.cursor_after(shown[-1].since, shown[-1].id) if more else None
    return Reply(Page([bodies.deployment_body(one) for one in shown], cursor))


async def list_environments(_call: Call, tx: Tx) -> Reply:
    """List the environments, in the order versions take."""
    found = await store.environments(tx)
    return Reply(Page([EnvironmentBody(name=one.name, stage=one.stage) for one in found], None))


OPERATIONS: list[Operation] = [
    Operation(
        method="PUT",
        path=_ALIAS,
        id="set_alias",
        summary="Point an alias at a version, or nowhere",
        handler=put_alias,
        needs=Verb.ALIAS,
        tx=TxMode.WRITE,
        body=AliasMoveBody,
        returns=bodies.GovernedAliasBody,
        errors=(
            NotFound,
            BadName,
            BadVersion,
            BadBody,
            StaleRevision,
            NotServed,
            Refused,
            EvidenceMissing,
            ApprovalPending,
        ),
        tag="aliases",
    ),
    Operation(
        method="POST",
        path=f"{_ASSET}/rename",
        id="rename_asset",
        summary="Call an asset something else; its old name stays reserved",
        handler=rename,
        needs=Verb.RETIRE,
        tx=TxMode.WRITE,
        body=RenameBody,
        returns=catalog.AssetBody,
        errors=(NotFound, BadName, BadBody, NameReserved, LifecycleConflict),
        tag="assets",
    ),
    Operation(
        method="POST",
        path=f"{_ASSET}/rollback",
        id="roll_back_asset",
        summary="Have an environment go back to a version, or composite, it had before",
        handler=roll_back,
        needs=Verb.STOP,
        tx=TxMode.WRITE,
        body=RollbackBody,
        returns=bodies.PromotedBody,
        errors=(
            NotFound,
            BadName,
            BadVersion,
            BadBody,
            LifecycleConflict,
            StaleRevision,
            NotServed,
            Refused,
            ApprovalPending,
        ),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=f"{_ASSET}/deployments",
        id="list_deployments",
        summary="Where an asset's versions are and were deployed",
        handler=list_deployments,
        needs=Verb.READ,
        query=DeploymentsQuery,
        returns=Page[bodies.DeploymentBody],
        errors=(NotFound, BadName, BadBody, BadRequest, BadCursor),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path="/api/v1/environments",
        id="list_environments",
        summary="The environments versions are deployed to",
        handler=list_environments,
        needs=Verb.NOTHING,
        scope=ScopeFrom.EVERYTHING,
        returns=Page[EnvironmentBody],
        tag=_TAG,
    ),
]
