"""What this slice's routes share: what the path names, who acts, what may be seen, refusals."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from muniment.core.approvals import TEXT_MAX_CHARS
from muniment.core.errors import BadBody, NotFound, Refused
from muniment.core.names import AssetName, AssetRef, Namespace, VersionRef, parse_version
from muniment.server import catalog, composites, ledger
from muniment.server.approvals.actions.recording import Barred, Tools
from muniment.server.approvals.records import Request
from muniment.server.approvals.store import requests as store
from muniment.server.composites.records import Composite
from muniment.server.http import problems
from muniment.server.http.operation import Call, Reply
from muniment.server.http.records import Scope, Verb
from muniment.server.identity import By, visible_scopes
from muniment.server.ports.db import Tx

TAG = "approvals"
ONE = "/api/v1/assets/{namespace}/{name}/versions/{version}"
WHOLE = "/api/v1/composites/{cvi}"
REQUEST = "/api/v1/approval-requests/{request_id}"

Text = Annotated[str, msgspec.Meta(max_length=TEXT_MAX_CHARS)]
Name = Annotated[str, msgspec.Meta(max_length=63)]
Line = Annotated[str, msgspec.Meta(max_length=300)]
Ref = Annotated[str, msgspec.Meta(max_length=700)]
Cvi = Annotated[str, msgspec.Meta(max_length=80)]


class AfterId(msgspec.Struct, frozen=True):
    """Where a list continues."""

    id: uuid.UUID


def by(call: Call) -> By:
    """Return who acts, when, and where new ids come from."""
    return By(ledger.actor_of(call.caller), call.now, call.new_id)


def tools(call: Call) -> Tools:
    """Return what actions use beside the transaction."""
    deps = call.deps
    return Tools(deps.engines, deps.keys.record, deps.settings.origin)


def ref_of(call: Call) -> VersionRef:
    """Return the version the path names."""
    asset = AssetRef(Namespace.parse(call.path["namespace"]), AssetName.parse(call.path["name"]))
    return VersionRef(asset, parse_version(call.path["version"]))


def id_of(call: Call, name: str) -> uuid.UUID:
    """Return an id from the path.

    Raises:
        NotFound: it is not one, so there is nothing of that id.
    """
    try:
        return uuid.UUID(call.path[name])
    except ValueError:
        what = name.removesuffix("_id")
        raise NotFound(f"there is no {what} {call.path[name][:100]}") from None


def scope_of(ref: AssetRef) -> Scope:
    """Return where a verb on an asset applies."""
    return Scope(str(ref.namespace), str(ref.name))


def scope_named(text: str) -> Scope:
    """Return where a verb on the asset of a version (`[namespace/]NAME@VERSION`) applies."""
    return scope_of(AssetRef.parse(text.rpartition("@")[0]))


async def composite_of(call: Call, tx: Tx, verb: Verb = Verb.READ) -> Composite:
    """Return the composite the path names, if the caller has `verb` for all of it.

    Raises:
        NotFound: there is none, or the caller may not see all of it.
        NotAllowed: the caller may only read it.
    """
    cvi = call.path["cvi"]
    try:
        found = await composites.get(tx, cvi)
        await require_whole(call, tx, found, verb)
    except NotFound:
        raise NotFound(f"there is no composite {cvi[:80]}, or you may not see all of it") from None
    return found


async def require_whole(call: Call, tx: Tx, composite: Composite, verb: Verb) -> None:
    """Go on only if the caller may read a composite, and has `verb` for the asset of every member.

    Raises:
        NotFound, NotAllowed: they may not.
    """
    if not await composites.allowed(tx, composite, Verb.READ, call.may):
        raise NotFound
    for one in await composites.members(tx, composite):
        call.require(verb, scope_of(one.ref.asset))


async def require_for(
    call: Call, tx: Tx, composite: str | None, asset: AssetRef, verb: Verb
) -> None:
    """Go on only if the caller has `verb` for what a row is about: an asset, or a composite.

    Raises:
        NotFound, NotAllowed: they have not.
    """
    if composite is None:
        call.require(verb, scope_of(asset))
    else:
        await require_whole(call, tx, await composites.get(tx, composite), verb)


async def version_id_of(call: Call, tx: Tx, version: str | None) -> uuid.UUID | None:
    """Return the id of the version a list is to be of (`NAME@1.2.0`), None if of none.

    Raises:
        NotFound: there is none, or the caller may not read it.
    """
    if version is None:
        return None
    ref = VersionRef.parse(version)
    call.require(Verb.READ, scope_of(ref.asset))
    return (await catalog.get_version(tx, ref)).id


async def request_of(call: Call, tx: Tx, verb: Verb = Verb.READ) -> Request:
    """Return the request the path names, if the caller has `verb` for what it is about.

    Raises:
        NotFound: there is none, or the caller may not know.
        NotAllowed: the caller may only read it.
    """
    request_id = id_of(call, "request_id")
    try:
        request = await store.get_request(tx, request_id)
        await require_for(call, tx, request.composite, request.asset, verb)
    except NotFound:
        raise NotFound(f"there is no request {request_id}, or you may not see it") from None
    return request


def visible(call: Call) -> list[tuple[str | None, str | None]] | None:
    """Return the (namespace, asset) pairs whose assets the caller may read; None: all."""
    scopes = visible_scopes(call.caller.grants)
    return None if scopes is None else [(one.namespace, one.asset) for one in scopes]


def barred(call: Call, answer: Barred) -> Reply:
    """Return the answer to who may not sign: what was recorded stays recorded."""
    extra = {"bar": answer.bar.value, "entry_id": str(answer.entry_id)}
    return problems.reply_for(Refused(answer.why, extra=extra), call.request_id)


def day(text: str, field: str) -> dt.date:
    """Return a day (2026-09-01).

    Raises:
        BadBody: it is none.
    """
    try:
        found = dt.date.fromisoformat(text)
    except ValueError:
        found = dt.date.max
    if found >= dt.date.max:
        raise BadBody(
            f"`{field}`: expected a day (2026-09-01), found {text[:40]!a}",
            problems=[{"field": field, "message": "expected a day (2026-09-01)"}],
        )
    return found


def last_id(found: Sequence[Any], limit: int) -> dict[str, Any]:
    """Return the position of the last item of a page."""
    return {"id": found[limit - 1].id if len(found) > limit else None}
