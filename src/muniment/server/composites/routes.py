"""Register composites, show and list them, prove that one component is in one."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Any, Final

import msgspec

from muniment.core.composite import component_proof
from muniment.core.errors import (
    AlreadyExists,
    BadComposite,
    BadCursor,
    BadName,
    BadReference,
    NotFound,
    TooLarge,
)
from muniment.core.names import Namespace, VersionRef
from muniment.server import catalog, ledger
from muniment.server.composites import actions, reads
from muniment.server.composites.records import Composite, Here
from muniment.server.composites.rules import pinning
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import LIMIT_DEFAULT, Cursor, Limit, Page, cut, read_cursor
from muniment.server.http.records import Scope, Verb
from muniment.server.identity import By, visible_scopes
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Tx

_ALL: Final = "/api/v1/composites"
_ONE: Final = f"{_ALL}/{{cvi}}"
_TAG: Final = "composites"
_System = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class NewCompositeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What runs together: records as a manifest has them, or `{"pin": "NAME@1.2.0"}`.

    Required are records of code, data, model, adapter, prompt, config and env; one that there is none
    of says so: `{"kind": "adapter", "name": "-", "status": "not-applicable", "reason": "…"}`.
    `dry_run` computes the identifier and records nothing.
    """

    system: _System
    components: Annotated[list[dict[str, Any]], msgspec.Meta(max_length=10_000)]
    namespace: Annotated[str, msgspec.Meta(max_length=100)] = "default"
    dry_run: bool = False


class ComponentBody(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the manifest, and the versions here that have its digest (those you may read)."""

    record: dict[str, Any]
    versions: list[str]


class CompositeItem(msgspec.Struct, frozen=True, kw_only=True):
    """A composite in a list."""

    cvi: str
    namespace: str
    system: str
    component_count: int
    registered_at: dt.datetime | None
    registered_by: Actor | None
    entry_id: uuid.UUID | None


class CompositeBody(CompositeItem, frozen=True, kw_only=True):
    """A composite: its manifest, from which its identifier follows, and what of it is here.

    `created` says whether this request registered it.
    """

    manifest: dict[str, Any]
    components: list[ComponentBody]
    created: bool | None = None


class CompositesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which composites: in a namespace, of a system, and containing a version or a digest."""

    namespace: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    system: _System | None = None
    contains: Annotated[str, msgspec.Meta(min_length=1, max_length=500)] | None = None
    cursor: Cursor | None = None
    limit: Limit = LIMIT_DEFAULT


class ProofQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which component."""

    kind: Annotated[str, msgspec.Meta(min_length=1, max_length=50)]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class _Position(msgspec.Struct):
    id: uuid.UUID


async def register(call: Call, tx: Tx) -> Reply:
    """Register a composite; the same again is the same."""
    body: NewCompositeBody = call.body
    namespace = str(Namespace.parse(body.namespace))
    pinned = pinning.pins(body.components)
    if all(str(one.asset.namespace) != namespace for one in pinned.values()):
        call.require(Verb.REGISTER, Scope(namespace))
    await catalog.get_namespace(tx, Namespace(namespace))
    by = By(ledger.actor_of(call.caller), call.now, call.new_id)
    sees = lambda asset: call.may(Verb.READ, Scope(str(asset.namespace), str(asset.name)))  # noqa: E731
    asked = actions.Asked(namespace, body.system, body.components, pinned, sees)
    new = await actions.prepare(tx, asked, by)
    if not await reads.allowed(tx, new, Verb.REGISTER, call.may):
        call.require(Verb.REGISTER, Scope(namespace))  # it says what is wanting
    if body.dry_run:
        return Reply(await _body(call, tx, new, recorded=False), status=200)
    made, created = await actions.register(tx, new)
    shown = await _body(call, tx, made, created=created)
    return Reply(shown, status=201 if created else 200)


async def get(call: Call, tx: Tx) -> Reply:
    """Show a composite."""
    return Reply(await _body(call, tx, await composite_of(call, tx)))


async def proof(call: Call, tx: Tx) -> Reply:
    """Prove that one component is in a composite, showing none of the others."""
    query: ProofQuery = call.query
    one = await composite_of(call, tx)
    return Reply(component_proof(one.manifest, query.kind, query.name))


async def composite_of(call: Call, tx: Tx) -> Composite:
    """Return the composite the path names.

    Raises:
        NotFound: there is none, or the caller may not read it.
    """
    return await reads.get_for(tx, call.path["cvi"], Verb.READ, call.may)


async def list_(call: Call, tx: Tx) -> Reply:
    """List composites, the newest first."""
    query: CompositesQuery = call.query
    wanted = reads.Wanted(
        scopes=visible_scopes(call.caller.grants),
        namespace=query.namespace,
        system=query.system,
        digests=None if query.contains is None else await _digests(call, tx, query.contains),
        before=read_cursor(query.cursor, _Position).id if query.cursor else None,
        limit=query.limit,
    )
    found = await reads.page(tx, wanted)
    last = {"id": str(found[query.limit - 1].id)} if len(found) > query.limit else None
    return Reply(Page(*cut([_item(one) for one in found], query.limit, last)))


async def _digests(call: Call, tx: Tx, text: str) -> list[str]:
    """Return the digests that a question names: those of a version, or one as it is written."""
    if "@" not in text:
        return [text if ":" in text else f"sha256:{text}"]
    ref = VersionRef.parse(text)
    call.require(Verb.READ, Scope(str(ref.asset.namespace), str(ref.asset.name)))
    return [str((await catalog.get_version(tx, ref)).manifest_digest)]


def _item(one: Composite) -> CompositeItem:
    return CompositeItem(**_shown(one, recorded=True))


def _shown(one: Composite, *, recorded: bool) -> dict[str, Any]:
    return {
        "cvi": one.cvi,
        "namespace": one.namespace,
        "system": one.system,
        "component_count": len(one.components),
        "registered_at": one.registered_at if recorded else None,
        "registered_by": one.actor if recorded else None,
        "entry_id": one.entry_id if recorded else None,
    }


async def _body(
    call: Call, tx: Tx, one: Composite, *, recorded: bool = True, created: bool | None = None
) -> CompositeBody:
    here: dict[str, list[str]] = {}
    for each in await reads.versions_in(tx, [one]):
        if call.may(Verb.READ, Scope(str(each.asset.namespace), str(each.asset.name))):
            here.setdefault(each.sha256, []).append(_name(each))
    return CompositeBody(
        **_shown(one, recorded=recorded),
        manifest=dict(one.manifest),
        components=[
            ComponentBody(
                record=record,
                versions=here.get((record.get("digest") or {}).get("sha256", ""), []),
            )
            for record in one.components
        ],
        created=created,
    )


def _name(one: Here) -> str:
    return f"{one.asset}@{one.version}"


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path=_ALL,
        id="register_composite",
        summary="Register what runs together",
        handler=register,
        needs=Verb.REGISTER,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.WRITE,
        body=NewCompositeBody,
        returns=CompositeBody,
        status=201,
        also=(200,),
        errors=(NotFound, BadName, BadComposite, AlreadyExists, TooLarge),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=_ALL,
        id="list_composites",
        summary="Composites",
        handler=list_,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=CompositesQuery,
        returns=Page[CompositeItem],
        errors=(BadCursor, BadReference, NotFound),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=_ONE,
        id="get_composite",
        summary="One composite",
        handler=get,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        returns=CompositeBody,
        errors=(NotFound,),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/proof",
        id="prove_component",
        summary="That a component is in a composite, without the others",
        handler=proof,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=ProofQuery,
        returns=dict[str, Any],
        errors=(NotFound, BadComposite),
        tag=_TAG,
    ),
]
