"""`/namespaces`: create, list, read, and change how one is governed."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Any

import msgspec

from muniment.core.errors import AlreadyExists, BadBody, BadName, NotFound, StaleRevision
from muniment.core.names import Namespace
from muniment.server.catalog import actions
from muniment.server.catalog.records import (
    GovernedNamespace,
    Kind,
    Lifecycle,
    Mode,
    NamespaceChange,
    NamespaceEvent,
    OwnField,
    RiskTier,
)
from muniment.server.catalog.routes import parts
from muniment.server.catalog.rules.governing import MODE_DEFAULT
from muniment.server.catalog.store import namespaces
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import Page
from muniment.server.http.preconditions import expected_revision
from muniment.server.http.records import Scope, Verb
from muniment.server.identity import visible_scopes
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Tx

_TAG = "namespaces"
_ONE = "/api/v1/namespaces/{namespace}"


class RequiredFieldBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A member of `extra` that versions must have from `step` on (`draft`, `candidate`, `approved`).

    Of these kinds and risk tiers; without any, of all. An asset without a tier counts as of each.
    """

    field: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,62}$")]
    why: Annotated[str, msgspec.Meta(max_length=2000)]
    step: Lifecycle = Lifecycle.CANDIDATE
    kinds: list[Kind] = []
    risk_tiers: list[RiskTier] = []


class NamespaceBody(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace: its enforcement mode, and the aliases through which production finds versions."""

    namespace: str
    mode: Mode
    production_aliases: tuple[str, ...]
    required_fields: list[RequiredFieldBody]
    revision: int
    created_at: dt.datetime
    created_by: Actor
    updated_at: dt.datetime


class NewNamespaceBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A namespace to be made."""

    namespace: str
    mode: Mode = MODE_DEFAULT


class NamespaceChangeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to govern a namespace; what is left out stays."""

    reason: Annotated[str, msgspec.Meta(description="Why; kept in the history.")]
    mode: Mode | None = None
    production_aliases: list[str] | None = None
    required_fields: list[RequiredFieldBody] | None = None


class NamespaceEventBody(msgspec.Struct, frozen=True, kw_only=True):
    """One change of how a namespace is governed. `changes` maps fields to [before, after]."""

    at: dt.datetime
    revision: int
    actor: Actor
    reason: str
    changes: dict[str, Any]
    entry_id: uuid.UUID
    act: str = "namespace.govern"


def _body(found: GovernedNamespace) -> NamespaceBody:
    return NamespaceBody(
        namespace=str(found.name),
        mode=found.state.mode,
        production_aliases=found.state.production_aliases,
        required_fields=[
            RequiredFieldBody(
                field=one.field,
                why=one.why,
                step=one.step,
                kinds=list(one.kinds),
                risk_tiers=list(one.risk_tiers),
            )
            for one in found.state.required_fields
        ],
        revision=found.revision,
        created_at=found.created_at,
        created_by=found.created_by,
        updated_at=found.updated_at,
    )


def _required(given: list[RequiredFieldBody]) -> list[OwnField]:
    return [
        OwnField(
            one.field,
            one.step,
            one.why,
            tuple(dict.fromkeys(one.kinds)),
            tuple(dict.fromkeys(one.risk_tiers)),
        )
        for one in given
    ]


def _event_body(event: NamespaceEvent) -> NamespaceEventBody:
    return NamespaceEventBody(
        at=event.at,
        revision=event.revision,
        actor=event.actor,
        reason=event.reason,
        changes=dict(event.changes),
        entry_id=event.entry_id,
    )


def _name(call: Call) -> Namespace:
    return Namespace.parse(call.path["namespace"])


async def create(call: Call, tx: Tx) -> Reply:
    """Create a namespace; one that does not enforce needs somebody who may govern it."""
    body: NewNamespaceBody = call.body
    name = Namespace.parse(body.namespace)
    call.require(Verb.CREATE, Scope(str(name)))
    if body.mode is not MODE_DEFAULT:
        call.require(Verb.GOVERN, Scope(str(name)))
    made = await actions.create_namespace(tx, name, body.mode, parts.by(call))
    headers = {"Location": f"/api/v1/namespaces/{name}", **parts.etag(made.revision)}
    return Reply(_body(made), headers=headers)


async def list_(call: Call, tx: Tx) -> Reply:
    """List the namespaces the caller may read in."""
    scopes = visible_scopes(call.caller.grants)
    names = None if scopes is None else [one.namespace for one in scopes if one.namespace]
    found = await namespaces.list_namespaces(tx, names)
    return Reply(Page([_body(one) for one in found], None))


async def get(call: Call, tx: Tx) -> Reply:
    """Return one namespace."""
    found = await namespaces.get_namespace(tx, _name(call))
    return Reply(_body(found), headers=parts.etag(found.revision))


async def govern(call: Call, tx: Tx) -> Reply:
    """Change how a namespace is governed."""
    body: NamespaceChangeBody = call.body
    change = NamespaceChange(
        mode=body.mode,
        production_aliases=body.production_aliases,
        required_fields=None if body.required_fields is None else _required(body.required_fields),
        reason=body.reason,
        revision=expected_revision(call),
    )
    found = await actions.govern_namespace(tx, _name(call), change, parts.by(call))
    return Reply(_body(found), headers=parts.etag(found.revision))


async def namespace_history(call: Call, tx: Tx) -> Reply:
    """Return every change of how a namespace is governed, newest first."""
    name = _name(call)
    await namespaces.get_namespace(tx, name)
    events = await namespaces.namespace_events(tx, name)
    return Reply(Page([_event_body(event) for event in events], None))


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path="/api/v1/namespaces",
        id="create_namespace",
        summary="Create a namespace",
        handler=create,
        needs=Verb.CREATE,
        scope=ScopeFrom.HANDLER,
        tx=TxMode.WRITE,
        body=NewNamespaceBody,
        returns=NamespaceBody,
        status=201,
        errors=(AlreadyExists, BadName),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path="/api/v1/namespaces",
        id="list_namespaces",
        summary="The namespaces, and how each is governed",
        handler=list_,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        returns=Page[NamespaceBody],
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=_ONE,
        id="get_namespace",
        summary="Read a namespace",
        handler=get,
        needs=Verb.READ,
        returns=NamespaceBody,
        also=(304,),
        errors=(NotFound, BadName),
        tag=_TAG,
    ),
    Operation(
        method="PATCH",
        path=_ONE,
        id="govern_namespace",
        summary="Change how a namespace is governed",
        handler=govern,
        needs=Verb.GOVERN,
        tx=TxMode.WRITE,
        body=NamespaceChangeBody,
        returns=NamespaceBody,
        errors=(NotFound, BadName, BadBody, StaleRevision),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/history",
        id="namespace_history",
        summary="How a namespace was governed, change by change",
        handler=namespace_history,
        needs=Verb.READ,
        returns=Page[NamespaceEventBody],
        errors=(NotFound, BadName),
        tag=_TAG,
    ),
]
