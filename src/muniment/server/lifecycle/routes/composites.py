"""Promote a composite whole, take it out, say what is in its way."""

from __future__ import annotations

from typing import Final

import msgspec

from muniment.core.errors import (
    BadBody,
    BadComposite,
    BadCursor,
    BadRequest,
    LifecycleConflict,
    NotFound,
    StaleRevision,
)
from muniment.core.names import Alias
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import Page
from muniment.server.http.records import Verb
from muniment.server.lifecycle.actions import asking, leaving, promoting, wholes
from muniment.server.lifecycle.records import Promotion, Refusal, Whole
from muniment.server.lifecycle.routes import advice, assets, bodies, parts
from muniment.server.lifecycle.routes.versions import (
    PROMOTION_ERRORS,
    CompositePromotionBody,
    WithdrawalBody,
)
from muniment.server.ports.db import Tx

_TAG: Final = "lifecycle"
_ONE: Final = "/api/v1/composites/{cvi}"


class CompositeWithdrawnBody(msgspec.Struct, frozen=True, kw_only=True):
    """The deployments that ended, without those that another composite there has from now on."""

    composite: str
    ended: list[bodies.DeploymentBody]


async def _whole(call: Call, tx: Tx) -> Whole:
    return await wholes.whole_of(tx, await parts.composite(call, tx, call.path["cvi"]))


async def _seen(call: Call, tx: Tx) -> Whole:
    """Return the composite the path names, if the caller may read every version in it.

    Raises:
        NotAllowed: some it may not; all are named.
    """
    whole = await _whole(call, tx)
    refs = [one.ref.asset for one in whole.members]
    sees = lambda ref: call.may(Verb.READ, parts.scope_of(ref))  # noqa: E731 -- asked of each
    wholes.check_each(refs, sees, "read", f"{whole.composite.cvi} has in it")
    return whole


async def promote(call: Call, tx: Tx) -> Reply:
    """Deploy a composite whole, or refuse to and record that."""
    body: CompositePromotionBody = call.body
    whole = await _whole(call, tx)
    wanted = Promotion(
        version=whole.members[0].ref,
        whole=whole,
        environment=body.environment,
        alias=None if body.alias is None else Alias.parse(body.alias),
        mode=body.mode,
        reason=body.reason,
        decision=body.decision,
    )
    answer = await promoting.promote_whole(
        tx, wanted, parts.whose(call), parts.by(call), parts.ports(call), dry_run=body.dry_run
    )
    if isinstance(answer, Refusal):
        return bodies.refused(call, answer)
    return Reply(bodies.promoted_body(answer, dry_run=body.dry_run))


async def withdraw(call: Call, tx: Tx) -> Reply:
    """Take all that is deployed as part of a composite out of an environment."""
    body: WithdrawalBody = call.body
    whole = await _whole(call, tx)
    ended = await leaving.withdraw_whole(
        tx, whole, body.environment, body.reason, parts.whose(call), parts.by(call)
    )
    shown = [bodies.deployment_body(one) for one in ended]
    return Reply(CompositeWithdrawnBody(composite=whole.composite.cvi, ended=shown))


async def why_not(call: Call, tx: Tx) -> Reply:
    """Say what stands between a composite and an environment, and who can mend it."""
    asked: advice.WhyNotQuery = call.query
    whole = await _seen(call, tx)
    told = await asking.why_not_whole(
        tx, whole, asked.environment, parts.whose(call), parts.by(call), parts.ports(call)
    )
    return Reply(advice.body(told, call.now))


async def list_deployments(call: Call, tx: Tx) -> Reply:
    """List where a composite is and was deployed, a deployment for each version, the latest first."""
    whole = await _seen(call, tx)
    return await assets.deployments_of(call, tx, whole.composite.cvi)


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path=f"{_ONE}/promote",
        id="promote_composite",
        summary="Deploy a composite whole to an environment, if the rules allow",
        handler=promote,
        needs=Verb.PROMOTE,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.WRITE,
        body=CompositePromotionBody,
        returns=bodies.PromotedBody,
        errors=(*PROMOTION_ERRORS, BadComposite, LifecycleConflict),
        tag=_TAG,
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/withdraw",
        id="withdraw_composite",
        summary="Take a composite out of an environment, at once",
        handler=withdraw,
        needs=Verb.STOP,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.WRITE,
        body=WithdrawalBody,
        returns=CompositeWithdrawnBody,
        errors=(NotFound, BadBody, BadComposite, StaleRevision),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/why-not",
        id="why_not_composite",
        summary="What stands between a composite and an environment, and who can mend it",
        handler=why_not,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=advice.WhyNotQuery,
        returns=advice.WhyNotBody,
        errors=(NotFound, BadBody, BadComposite),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/deployments",
        id="list_composite_deployments",
        summary="Where a composite is and was deployed",
        handler=list_deployments,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=assets.DeploymentsQuery,
        returns=Page[bodies.DeploymentBody],
        errors=(NotFound, BadBody, BadComposite, BadRequest, BadCursor),
        tag=_TAG,
    ),
]
