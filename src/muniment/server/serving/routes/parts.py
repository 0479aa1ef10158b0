"""What this slice's routes share: what the path names, who acts, what may be seen."""

from __future__ import annotations

import uuid
from typing import Annotated

import msgspec

from muniment.core.errors import NotFound
from muniment.core.names import AssetName, AssetRef, Namespace
from muniment.server import ledger
from muniment.server.http.operation import Call
from muniment.server.http.records import Scope, Verb
from muniment.server.identity import By, visible_scopes
from muniment.server.ports.db import Tx
from muniment.server.serving import store
from muniment.server.serving.records import Found

TAG = "consumers"

Reason = Annotated[str, msgspec.Meta(max_length=2000, description="Why; kept in the history.")]
Environment = Annotated[str, msgspec.Meta(max_length=63)]
AsOf = Annotated[
    str,
    msgspec.Meta(
        max_length=40,
        description="Answer as of this time (RFC 3339), or the end of this day (2026-04-20).",
    ),
]


def by(call: Call) -> By:
    """Return who acts, when, and where new ids come from."""
    return By(ledger.actor_of(call.caller), call.now, call.new_id)


def asset_ref(call: Call) -> AssetRef:
    """Return the asset the path names."""
    return AssetRef(Namespace.parse(call.path["namespace"]), AssetName.parse(call.path["name"]))


def scope_of(asset: AssetRef) -> Scope:
    """Return where a verb on `asset` applies."""
    return Scope(str(asset.namespace), str(asset.name))


def visible(call: Call) -> list[tuple[str | None, str | None]] | None:
    """Return the (namespace, asset) pairs whose assets the caller may read; None: all."""
    scopes = visible_scopes(call.caller.grants)
    return None if scopes is None else [(one.namespace, one.asset) for one in scopes]


async def binding_of(call: Call, tx: Tx, verb: Verb = Verb.READ) -> Found:
    """Return the binding the path names, if the caller has `verb` for its asset.

    Raises:
        NotFound: there is none, or the caller may not know.
        NotAllowed: the caller may only read it.
    """
    text = call.path["binding_id"]
    try:
        found = await store.get(tx, uuid.UUID(text))
        call.require(verb, scope_of(found.binding.asset))
    except (NotFound, ValueError):
        raise NotFound(f"there is no binding {text[:100]}, or you may not see it") from None
    return found
