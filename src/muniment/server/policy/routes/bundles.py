"""Send bundles, list, show, compare and download them."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from typing import Annotated, Any, Final

import msgspec

from muniment.core.errors import BadCursor, BadPolicy, NotFound, TooLarge, Unavailable
from muniment.server.http import ranges
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import Page, cut, read_cursor
from muniment.server.http.records import Verb
from muniment.server.ledger.records import Actor
from muniment.server.policy.actions import adding
from muniment.server.policy.reads import bundles as reads
from muniment.server.policy.records import StoredBundle
from muniment.server.policy.routes import parts
from muniment.server.policy.rules import archives, rendering
from muniment.server.policy.store import activations
from muniment.server.policy.store import bundles as store
from muniment.server.ports.db import Tx

_ALL: Final = "/api/v1/policy/bundles"
_ONE: Final = f"{_ALL}/{{digest}}"


class BundleBody(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle: rules, tables and fixtures under one digest. `active`: it is in force now."""

    digest: str
    active: bool
    rule_count: int
    added_at: dt.datetime
    added_by: Actor
    entry_id: uuid.UUID


class AddedBundleBody(BundleBody, frozen=True, kw_only=True):
    """A bundle that was sent; `created` is false if the registry held it already."""

    created: bool


class BundleDetailBody(BundleBody, frozen=True, kw_only=True):
    """A bundle with what its rules are and, in `criteria`, the same for people, in Markdown."""

    rules: list[dict[str, Any]]
    data: dict[str, Any]
    criteria: str


class DifferenceBody(msgspec.Struct, frozen=True):
    """One thing in which two bundles differ: a rule by its id, or a file."""

    what: str
    change: str
    detail: str


class DifferencesBody(msgspec.Struct, frozen=True, kw_only=True):
    """How a bundle differs from another."""

    before: str
    after: str
    differences: list[DifferenceBody]


class FromQuery(msgspec.Struct, frozen=True, kw_only=True, rename={"before": "from"}):
    """What to compare with."""

    before: Annotated[
        str, msgspec.Meta(max_length=64, description="A digest, or `active`, which is in force.")
    ] = parts.ACTIVE


class _Position(msgspec.Struct):
    at: dt.datetime
    digest: str


async def add(call: Call) -> Reply:
    """Take a bundle, if nothing is wrong with it: a `.tar.gz`; the same again is there once."""
    data = await call.read(archives.MAX_PACKED_BYTES)
    files = await asyncio.to_thread(archives.unpack, data)
    bundle = await adding.check(call.deps.engines.trial, files)
    async with call.deps.db.transaction() as tx:
        stored, created = await adding.add(tx, bundle, parts.by(call))
        active = await activations.digest_in_force(tx, call.now)
    shown = msgspec.structs.asdict(_body(stored, active))
    return Reply(AddedBundleBody(**shown, created=created), status=201 if created else 200)


async def list_(call: Call, tx: Tx) -> Reply:
    """List the bundles, the latest first."""
    asked: parts.PageQuery = call.query
    at = read_cursor(asked.cursor, _Position) if asked.cursor else None
    found = await store.page(tx, (at.at, at.digest) if at else None, asked.limit + 1)
    active = await activations.digest_in_force(tx, call.now)
    more = len(found) > asked.limit
    last = found[asked.limit - 1] if more else None
    cursor = {"at": last.added_at.isoformat(), "digest": last.digest} if last else None
    return Reply(Page(*cut([_body(one, active) for one in found], asked.limit, cursor)))


async def get(call: Call, tx: Tx) -> Reply:
    """Show a bundle: its rules, its tables, and its criteria for people."""
    digest = await parts.digest_of(call, tx, call.path["digest"])
    bundle = await reads.get_bundle(tx, digest)
    stored = await store.find(tx, digest)
    assert stored is not None  # it was read
    shown = msgspec.structs.asdict(_body(stored, await activations.digest_in_force(tx, call.now)))
    known = rendering.criteria_json(bundle)
    return Reply(
        BundleDetailBody(
            **shown,
            rules=known["rules"],
            data=known["data"],
            criteria=rendering.criteria(bundle),
        )
    )


async def download(call: Call, tx: Tx) -> Reply:
    """Send a bundle as an agent takes it; its ETag is its digest, so that polling costs little."""
    digest = await parts.digest_of(call, tx, call.path["digest"])
    if await store.find(tx, digest) is None:
        raise reads.no_bundle(digest)
    etag = f'"{digest}"'
    # An agent polls every few seconds: who has it is told so before anything is read or packed.
    if ranges.matches(call.headers.get("if-none-match", ""), etag):
        return Reply(status=304, headers={"ETag": etag})
    return Reply(
        await reads.for_agent(tx, digest),
        headers={
            "ETag": etag,
            "Content-Disposition": f'attachment; filename="policy-{digest[:12]}.tar.gz"',
        },
    )


async def differences(call: Call, tx: Tx) -> Reply:
    """Say how a bundle differs from another: rules, tables, other files."""
    asked: FromQuery = call.query
    before = await reads.get_bundle(tx, await parts.digest_of(call, tx, asked.before))
    after = await reads.get_bundle(tx, await parts.digest_of(call, tx, call.path["digest"]))
    found = [DifferenceBody(**each) for each in rendering.differences(before, after)]
    return Reply(DifferencesBody(before=before.digest, after=after.digest, differences=found))


def _body(one: StoredBundle, active: str | None) -> BundleBody:
    return BundleBody(
        digest=one.digest,
        active=one.digest == active,
        rule_count=one.rule_count,
        added_at=one.added_at,
        added_by=one.actor,
        entry_id=one.entry_id,
    )


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path=_ALL,
        id="add_policy_bundle",
        summary="Send a policy bundle; it is checked, and in force only when somebody activates it",
        handler=add,
        needs=Verb.GOVERN,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.NONE,
        streams=True,
        returns=AddedBundleBody,
        status=201,
        also=(200,),
        errors=(BadPolicy, TooLarge),
        tag=parts.TAG,
    ),
    Operation(
        method="GET",
        path=_ALL,
        id="list_policy_bundles",
        summary="The policy bundles this registry holds",
        handler=list_,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=parts.PageQuery,
        returns=Page[BundleBody],
        errors=(BadCursor,),
        tag=parts.TAG,
    ),
    Operation(
        method="GET",
        path=_ONE,
        id="get_policy_bundle",
        summary="A policy bundle, or the one in force (`active`), with its criteria",
        handler=get,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        returns=BundleDetailBody,
        errors=(NotFound, Unavailable),
        tag=parts.TAG,
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/content",
        id="download_policy_bundle",
        summary="A policy bundle as an Open Policy Agent takes it",
        handler=download,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        returns=bytes,
        media_type="application/gzip",
        errors=(NotFound, Unavailable),
        tag=parts.TAG,
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/differences",
        id="compare_policy_bundles",
        summary="How a policy bundle differs from another, or from the one in force",
        handler=differences,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=FromQuery,
        returns=DifferencesBody,
        errors=(NotFound, Unavailable),
        tag=parts.TAG,
    ),
]
