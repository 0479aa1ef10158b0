"""Telling webhooks: what an act asks for, one attempt of a delivery, and forgetting old ones.

Nothing is held while a message is on its way. Killed between sending and keeping how that went, an
attempt is made again, under the same id: receivers drop what they have.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Final

import structlog

from muniment.core.errors import NotFound
from muniment.server.federation.actions import deliveries
from muniment.server.federation.plugins.posting import post
from muniment.server.federation.store import deliveries as store
from muniment.server.http.operation import Deps
from muniment.server.identity.records import By
from muniment.server.ledger.records import Actor
from muniment.server.ports.outbound import Reach
from muniment.server.ports.queue import GiveUp, Handler, Job, Periodic

_BY: Final = Actor("system", "webhooks")
_KEPT: Final = dt.timedelta(days=30)
_KEPT_MOST: Final = 1000
#: Tries of ours, where the database or we fail: hours of them, and then the job stays to be seen.
_TRIES: Final = 20

_log = structlog.get_logger("muniment.webhooks")


async def announce(deps: Deps, job: Job) -> None:
    """Find out who is to be told of an entry.

    Raises:
        GiveUp: there is no such entry.
    """
    by = By(_BY, deps.clock.now(), deps.clock.new_id)
    async with deps.db.transaction() as tx:
        try:
            await deliveries.announce(tx, uuid.UUID(str(job.payload["entry_id"])), by)
        except NotFound as error:
            raise GiveUp(error.message) from None


async def deliver(deps: Deps, job: Job) -> None:
    """Make one attempt of a delivery."""
    delivery_id, number = uuid.UUID(str(job.payload["delivery_id"])), int(job.payload["attempt"])
    at = deps.clock.now()
    async with deps.db.transaction(read_only=True) as tx:
        prepared = await deliveries.prepare(tx, delivery_id, number, at)
    if prepared is None:
        return
    if prepared.message is None:
        async with deps.db.transaction() as tx:
            await deliveries.give_up(tx, delivery_id, prepared.error, at)
        return
    reach = Reach(private=deps.settings.outbound_private)
    outcome = await post(reach, prepared.webhook.state.url, prepared.message)
    async with deps.db.transaction() as tx:
        judged = await deliveries.record(tx, delivery_id, number, outcome, deps.clock.now())
    _log.info(
        "webhook_sent",
        webhook=str(prepared.webhook.id),
        delivery=str(delivery_id),
        attempt=number,
        status=outcome.status,
        state=judged.state.value if judged is not None else "gone",
    )


async def forget(deps: Deps) -> int:
    """Drop deliveries that ended long ago, and more than a webhook's newest thousand; say how many."""
    async with deps.db.transaction() as tx:
        return await store.forget(tx, deps.clock.now() - _KEPT, _KEPT_MOST)


HANDLERS: list[Handler] = [
    Handler("webhooks.announce", announce, attempts=_TRIES, at_once=2),
    Handler(deliveries.DELIVER, deliver, attempts=_TRIES, at_once=4),
    Handler("webhooks.forget", lambda deps, _job: forget(deps), attempts=3),
]
PERIODIC: list[Periodic] = [Periodic("webhooks.forget", "41 * * * *")]
