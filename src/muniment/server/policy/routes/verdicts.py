"""What was said of acts: list verdicts, show one with all its results, ask its question again."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Any, Final

import msgspec

from muniment.core.errors import BadCursor, BadName, BadVersion, NotFound, Unavailable
from muniment.core.names import AssetName, AssetRef, Namespace, VersionRef, parse_version
from muniment.server import catalog, composites
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import Page, cut
from muniment.server.http.records import Scope, Verb
from muniment.server.identity import visible_scopes
from muniment.server.policy.actions import simulating as actions
from muniment.server.policy.reads import bundles
from muniment.server.policy.reads import verdicts as reads
from muniment.server.policy.records import Decision, StoredVerdict
from muniment.server.policy.routes import parts
from muniment.server.policy.store import verdicts as store
from muniment.server.ports.db import Tx

_ALL: Final = "/api/v1/policy/verdicts"
_ONE: Final = f"{_ALL}/{{verdict_id}}"


class StoredVerdictBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle said of an act. `failed`: the rules that were in the way.

    `subject` is a version, an asset, or a composite (its CVI).

    `carried_out`: the act was done, also where a namespace does not enforce its rules.
    """

    id: uuid.UUID
    at: dt.datetime
    subject: str
    step: str
    environment: str | None
    decision: Decision
    failed: tuple[str, ...]
    carried_out: bool
    policy_digest: str
    input_digest: str
    engine: str
    engine_version: str
    duration_us: int
    entry_id: uuid.UUID


class VerdictDetailBody(StoredVerdictBody, frozen=True, kw_only=True):
    """The same with every result, and the document that was asked about."""

    results: list[dict[str, Any]]
    document: dict[str, Any]


class ReplayDifferenceBody(msgspec.Struct, frozen=True):
    """A rule that says something else now (null: it said nothing)."""

    id: str
    stored: str | None
    replayed: str | None


class ReplayBody(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict's question asked again of the same bundle; `same`: the answer has the same bytes."""

    verdict_id: uuid.UUID
    same: bool
    decision: Decision
    differences: list[ReplayDifferenceBody]
    engine: str
    engine_version: str
    duration_us: int


class VerdictsQuery(parts.PageQuery, frozen=True, kw_only=True):
    """Which verdicts: of an asset (`namespace`, `name`), a version alone, a composite; at a step, with an answer."""

    namespace: Annotated[str, msgspec.Meta(max_length=63)] = "default"
    name: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    version: Annotated[str, msgspec.Meta(max_length=128)] | None = None
    composite: Annotated[str, msgspec.Meta(max_length=80)] | None = None
    step: Annotated[str, msgspec.Meta(max_length=20)] | None = None
    decision: Decision | None = None


async def list_(call: Call, tx: Tx) -> Reply:
    """List verdicts on what the caller may read, the latest first."""
    asked: VerdictsQuery = call.query
    if asked.name is not None:
        call.require(Verb.READ, Scope(asked.namespace, asked.name))
    asset_id, version_id = await _about(tx, asked)
    wanted = store.Wanted(
        scopes=visible_scopes(call.caller.grants),
        asset_id=asset_id,
        version_id=version_id,
        composite=asked.composite,
        step=asked.step,
        decision=None if asked.decision is None else asked.decision.value,
        before=parts.position(asked.cursor),
        limit=asked.limit + 1,
    )
    found = await reads.page(tx, wanted, lambda cvi: _sees(call, tx, cvi))
    more = len(found) > asked.limit
    cursor = {"id": str(found[asked.limit - 1].id)} if more else None
    return Reply(Page(*cut([_body(one) for one in found], asked.limit, cursor)))


async def _about(tx: Tx, asked: VerdictsQuery) -> tuple[uuid.UUID | None, uuid.UUID | None]:
    if asked.name is None:
        return None, None
    ref = AssetRef(Namespace.parse(asked.namespace), AssetName.parse(asked.name))
    if asked.version is None:
        return (await catalog.get_asset(tx, ref)).id, None
    found = await catalog.get_version(tx, VersionRef(ref, parse_version(asked.version)))
    return found.asset_id, found.id


async def get(call: Call, tx: Tx) -> Reply:
    """Show a verdict with every result and the document it was asked about."""
    found = await _get(call, tx)
    shown = msgspec.structs.asdict(_body(found.stored))
    return Reply(
        VerdictDetailBody(
            **shown,
            results=found.judged["verdict"]["results"],
            document=found.judged["document"],
        )
    )


async def replay(call: Call) -> Reply:
    """Ask a verdict's question again, of the same bundle; nothing is recorded."""
    async with call.deps.db.transaction(read_only=True) as tx:
        found = await _get(call, tx)
        bundle = await bundles.get_bundle(tx, found.stored.policy_digest)
    again = await actions.replay(call.deps.engines.trial, found, bundle)
    return Reply(
        ReplayBody(
            verdict_id=found.stored.id,
            same=again.same,
            decision=again.evaluation.verdict.decision,
            differences=[ReplayDifferenceBody(**each) for each in again.differences],
            engine=again.evaluation.engine,
            engine_version=again.evaluation.engine_version,
            duration_us=again.evaluation.duration_us,
        )
    )


async def _get(call: Call, tx: Tx) -> reads.Full:
    """Return the verdict the path names, if the caller may read what it is about."""
    verdict_id = parts.id_of(call, "verdict_id")
    stored = await store.find(tx, verdict_id)
    if stored is None:
        raise NotFound(f"there is no verdict {verdict_id}")
    call.require(Verb.READ, stored.scope)
    if stored.composite is not None:
        await _require_whole(call, tx, stored.composite)
    return await reads.get(tx, verdict_id)


async def _require_whole(call: Call, tx: Tx, cvi: str) -> None:
    """Go on only if the caller may read all of a composite: what was judged is of all of it."""
    for scope in await _parts_of(tx, cvi):
        call.require(Verb.READ, scope)


async def _sees(call: Call, tx: Tx, cvi: str) -> bool:
    if visible_scopes(call.caller.grants) is None:
        return True
    return all(call.may(Verb.READ, scope) for scope in await _parts_of(tx, cvi))


async def _parts_of(tx: Tx, cvi: str) -> list[Scope]:
    """Return what has to be read to see a composite: its namespace, and every member's asset."""
    composite = await composites.get(tx, cvi)
    assets = [one.ref.asset for one in await composites.members(tx, composite)]
    return [
        Scope(composite.namespace),
        *(Scope(str(one.namespace), str(one.name)) for one in assets),
    ]


def _body(one: StoredVerdict) -> StoredVerdictBody:
    return StoredVerdictBody(
        id=one.id,
        at=one.at,
        subject=one.subject,
        step=one.step,
        environment=one.environment,
        decision=one.decision,
        failed=one.failed,
        carried_out=one.carried_out,
        policy_digest=one.policy_digest,
        input_digest=one.input_digest,
        engine=one.engine,
        engine_version=one.engine_version,
        duration_us=one.duration_us,
        entry_id=one.entry_id,
    )


OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path=_ALL,
        id="list_policy_verdicts",
        summary="What policies said of acts",
        handler=list_,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=VerdictsQuery,
        returns=Page[StoredVerdictBody],
        errors=(NotFound, BadName, BadVersion, BadCursor),
        tag=parts.TAG,
    ),
    Operation(
        method="GET",
        path=_ONE,
        id="get_policy_verdict",
        summary="A verdict with every result, and the document it was asked about",
        handler=get,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        returns=VerdictDetailBody,
        errors=(NotFound,),
        tag=parts.TAG,
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/replay",
        id="replay_policy_verdict",
        summary="Ask a verdict's question again: the same bytes, or what differs",
        handler=replay,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.NONE,
        returns=ReplayBody,
        errors=(NotFound, Unavailable),
        tag=parts.TAG,
    ),
]
