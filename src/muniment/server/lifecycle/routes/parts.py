"""What the lifecycle's routes share: references from paths, times, who acts, positions in lists."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated

import msgspec

from muniment.core.errors import BadCursor
from muniment.core.names import AssetName, AssetRef, Namespace
from muniment.server import catalog, composites, ledger
from muniment.server.composites.records import Composite
from muniment.server.http.operation import Call
from muniment.server.http.paging import (
    LIMIT_DEFAULT,
    Cursor,
    Limit,
    decode_cursor,
    encode_cursor,
    in_utc,
)
from muniment.server.http.records import Scope, Verb
from muniment.server.identity import By
from muniment.server.lifecycle.records import Executor, Ports, Whose
from muniment.server.ports.db import Tx

Reason = Annotated[str, msgspec.Meta(max_length=2000, description="Why; kept in the history.")]
AsOf = Annotated[
    str,
    msgspec.Meta(
        max_length=40,
        description="Answer as of this time (RFC 3339), or the end of this day (2026-04-20).",
    ),
]


class AsOfQuery(msgspec.Struct, frozen=True, kw_only=True):
    """When the answer is to hold."""

    as_of: AsOf | None = None


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which page."""

    cursor: Cursor | None = None
    limit: Limit = LIMIT_DEFAULT


def asset_ref(call: Call) -> AssetRef:
    """Return the asset the path names."""
    return AssetRef(Namespace.parse(call.path["namespace"]), AssetName.parse(call.path["name"]))


def scope_of(asset: AssetRef) -> Scope:
    """Return where a verb on `asset` applies."""
    return Scope(str(asset.namespace), str(asset.name))


def as_of(text: str | None) -> dt.datetime | None:
    """Return the time an answer is to hold; None is now.

    Raises:
        BadRequest: it is no time.
    """
    return None if text is None else catalog.parse_as_of(text)


def by(call: Call) -> By:
    """Return who acts, when, and where new ids come from."""
    return By(ledger.actor_of(call.caller), call.now, call.new_id)


def executor(call: Call, asset: AssetRef) -> Executor:
    """Return who would carry a promotion of `asset` out."""
    return Executor.of(call.caller, asset, may=call.may(Verb.PROMOTE, scope_of(asset)))


def whose(call: Call) -> Whose:
    """Return who acts, on whichever asset."""
    return Whose(
        executor=lambda ref: executor(call, ref),
        may_stop=lambda ref: call.may(Verb.STOP, scope_of(ref)),
        may=call.may,
    )


async def composite(call: Call, tx: Tx, cvi: str) -> Composite:
    """Return a composite, if the caller may read it.

    Raises:
        NotFound: there is none, or the caller may not read it.
    """
    return await composites.get_for(tx, cvi, Verb.READ, call.may)


def ports(call: Call) -> Ports:
    """Return what is asked about promotions, and what signs them."""
    return Ports(call.deps.engines, call.deps.keys.record)


def position(cursor: str | None) -> tuple[dt.datetime, uuid.UUID] | None:
    """Return where a list continues.

    Raises:
        BadCursor: the cursor was not given out by it.
    """
    if cursor is None:
        return None
    found = decode_cursor(cursor)
    try:
        return in_utc(dt.datetime.fromisoformat(found["at"])), uuid.UUID(found["id"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BadCursor from None


def cursor_after(at: dt.datetime, one: uuid.UUID) -> str:
    """Return the cursor of what comes after an item of that time and id."""
    return encode_cursor({"at": at.isoformat(), "id": str(one)})
