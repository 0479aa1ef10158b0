"""Bind a consumer; end a binding; acknowledge that what it uses comes to an end."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from muniment.core.errors import (
    ApprovalPending,
    BadBody,
    BadName,
    BadVersion,
    EvidenceMissing,
    LifecycleConflict,
    NotAllowed,
    NotFound,
    Refused,
)
from muniment.core.names import parse_version
from muniment.server import catalog, lifecycle
from muniment.server.catalog.records import Asset
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.records import PrincipalKind, Verb
from muniment.server.ports.db import Tx
from muniment.server.serving.actions import binding, ending
from muniment.server.serving.reads.judging import Asking
from muniment.server.serving.records import Binding, Found, Refusal, Wanted
from muniment.server.serving.routes import bodies, parts
from muniment.server.serving.rules.checks import RULES
from muniment.server.serving.rules.uses import read_use

ONE: Final = "/api/v1/consumers/{binding_id}"
_Text = Annotated[str, msgspec.Meta(max_length=2000)]


class NewBindingBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What uses the asset: which system, at which endpoint, for which use case; in which environment.

    `version` binds it to that one; without it, it uses what the environment finds, else the newest.
    The endpoint is kept as text and never called. `dry_run` says what would be, and changes nothing.
    """

    system: _Text
    endpoint: _Text
    use_case: _Text
    environment: parts.Environment | None = None
    version: Annotated[str, msgspec.Meta(max_length=128)] | None = None
    reason: parts.Reason = ""
    dry_run: bool = False


class EndBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why the binding ends."""

    reason: parts.Reason = ""


class AcknowledgementBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be said with it: when the consumer moves, and to what."""

    note: parts.Reason = ""


async def bind(call: Call, tx: Tx) -> Reply:
    """Bind a consumer, or refuse to and record that."""
    body: NewBindingBody = call.body
    wanted = Wanted(
        asset=parts.asset_ref(call),
        use=read_use(body.system, body.endpoint, body.use_case, body.environment),
        version=None if body.version is None else parse_version(body.version),
        reason=body.reason,
    )
    answer = await binding.bind(tx, wanted, parts.by(call), call.deps.engines, dry_run=body.dry_run)
    if isinstance(answer, Refusal):
        helped = await lifecycle.help_with(tx, answer.verdict, wanted.asset, own=RULES)
        return bodies.refused(call, answer, helped)
    shown = bodies.bound_body(answer, dry_run=body.dry_run)
    return Reply(shown, status=201 if shown.created else 200)


async def end(call: Call, tx: Tx) -> Reply:
    """End a binding: who made it, who owns its asset, or who governs there."""
    found = await parts.binding_of(call, tx)
    asset = await catalog.get_asset(tx, found.binding.asset)
    if not _may_end(call, found.binding, asset):
        raise NotAllowed(
            "who bound it, the asset's owner or backup owner, or who governs there ends a binding;"
            f" ask {asset.state.owner}"
        )
    body: EndBody = call.body
    done = await ending.end(tx, found.binding.id, body.reason, parts.by(call))
    return await _shown(call, tx, done)


def _may_end(call: Call, one: Binding, asset: Asset) -> bool:
    caller = call.caller
    if str(caller.id) == one.actor.id or call.may(Verb.GOVERN, parts.scope_of(asset.ref)):
        return True
    owners = {asset.state.owner, asset.state.backup_owner}
    return caller.kind is PrincipalKind.PERSON and caller.name in owners


async def acknowledge(call: Call, tx: Tx) -> Reply:
    """Acknowledge for a consumer that the version it uses comes to an end."""
    found = await parts.binding_of(call, tx)
    if str(call.caller.id) != found.binding.actor.id:
        call.require(Verb.USE, parts.scope_of(found.binding.asset))
    body: AcknowledgementBody = call.body
    done = await ending.acknowledge(tx, found.binding.id, body.note, parts.by(call))
    return await _shown(call, tx, done)


async def _shown(call: Call, tx: Tx, found: Found) -> Reply:
    [shown] = await Asking(tx, call.deps.engines, call.now).shown([found])
    return Reply(bodies.shown_body(shown))


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path="/api/v1/assets/{namespace}/{name}/consumers",
        id="bind_consumer",
        summary="Say what uses an asset and for what, if the rules allow",
        handler=bind,
        needs=Verb.USE,
        tx=TxMode.WRITE,
        body=NewBindingBody,
        returns=bodies.BoundBody,
        status=201,
        also=(200,),
        errors=(
            NotFound,
            BadName,
            BadVersion,
            BadBody,
            LifecycleConflict,
            Refused,
            EvidenceMissing,
            ApprovalPending,
        ),
        tag=parts.TAG,
    ),
    Operation(
        method="POST",
        path=f"{ONE}/end",
        id="end_consumer",
        summary="End a consumer's binding",
        handler=end,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.WRITE,
        body=EndBody,
        returns=bodies.ShownBody,
        errors=(NotFound, NotAllowed, BadBody),
        tag=parts.TAG,
    ),
    Operation(
        method="POST",
        path=f"{ONE}/acknowledge",
        id="acknowledge_consumer",
        summary="Acknowledge for a consumer that the version it uses comes to an end",
        handler=acknowledge,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.WRITE,
        body=AcknowledgementBody,
        returns=bodies.ShownBody,
        errors=(NotFound, NotAllowed, BadBody, LifecycleConflict),
        tag=parts.TAG,
    ),
]
