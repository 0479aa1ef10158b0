"""`/webhooks/{webhook_id}/deliveries`: what was sent and how that went; try one, send again."""

from __future__ import annotations

import datetime as dt
import uuid

import msgspec

from muniment.core.errors import Conflict, NotFound
from muniment.server.federation.actions import deliveries as actions
from muniment.server.federation.actions.webhooks import get_webhook
from muniment.server.federation.plugins.posting import post
from muniment.server.federation.records import Delivery, DeliveryState
from muniment.server.federation.routes.webhooks import (
    ONE,
    Before,
    by,
    id_in,
    operation,
    reach_of,
    webhook_id,
)
from muniment.server.federation.store import deliveries as store
from muniment.server.http.operation import Call, Operation, Reply, TxMode
from muniment.server.http.paging import Cursor, Limit, Page, cut, read_cursor
from muniment.server.ports.db import Tx

_ALL = ONE + "/deliveries"
_ONE = _ALL + "/{delivery_id}"


class DeliveryBody(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one webhook. Its id is what the receiver knows it by, in every attempt.

    `entry_id` is the act it tells of, null for a test; `error` is the last attempt's.
    """

    id: uuid.UUID
    webhook_id: uuid.UUID
    entry_id: uuid.UUID | None
    event: str
    state: DeliveryState
    attempts: int
    created_at: dt.datetime
    due_at: dt.datetime | None
    ended_at: dt.datetime | None
    error: str


class AttemptBody(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt. `status` is HTTP's, null where there was no answer; `answer` its beginning."""

    number: int
    at: dt.datetime
    duration_ms: int
    status: int | None
    error: str
    answer: str


class DeliveryWithAttemptsBody(DeliveryBody, frozen=True, kw_only=True):
    """A delivery with each of its attempts, oldest first."""

    log: list[AttemptBody]


class TestedBody(msgspec.Struct, frozen=True, kw_only=True):
    """How trying a webhook went."""

    delivery_id: uuid.UUID
    delivered: bool
    status: int | None
    duration_ms: int
    error: str
    answer: str


class DeliveriesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries to list."""

    state: DeliveryState | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


def _fields(delivery: Delivery) -> dict[str, object]:
    return {
        "id": delivery.id,
        "webhook_id": delivery.webhook_id,
        "entry_id": delivery.entry_id,
        "event": delivery.event,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "created_at": delivery.created_at,
        "due_at": delivery.due_at,
        "ended_at": delivery.ended_at,
        "error": delivery.error,
    }


def _body(delivery: Delivery) -> DeliveryBody:
    return msgspec.convert(_fields(delivery), DeliveryBody)


async def list_(call: Call, tx: Tx) -> Reply:
    """List what was and is to be delivered to a webhook, newest first."""
    query: DeliveriesQuery = call.query
    webhook = await get_webhook(tx, webhook_id(call))
    found = await store.list_deliveries(
        tx,
        webhook.id,
        state=query.state,
        before=read_cursor(query.cursor, Before).id if query.cursor else None,
        limit=query.limit + 1,
    )
    last = found[query.limit - 1].id if len(found) > query.limit else None
    items, cursor = cut(found, query.limit, {"id": last})
    return Reply(Page([_body(one) for one in items], cursor))


async def get(call: Call, tx: Tx) -> Reply:
    """Return one delivery with its attempts."""
    found = await actions.get_delivery(tx, webhook_id(call), _delivery_id(call))
    log = [
        AttemptBody(
            number=one.number,
            at=one.at,
            duration_ms=one.duration_ms,
            status=one.status,
            error=one.error,
            answer=one.answer,
        )
        for one in await store.attempts_of(tx, found.id)
    ]
    return Reply(msgspec.convert({**_fields(found), "log": log}, DeliveryWithAttemptsBody))


def _delivery_id(call: Call) -> uuid.UUID:
    return id_in(call, "delivery_id", "delivery")


async def redeliver(call: Call, tx: Tx) -> Reply:
    """Send a delivery again, under its own id."""
    found = await actions.redeliver(tx, webhook_id(call), _delivery_id(call), by(call))
    return Reply(_body(found))


async def test(call: Call) -> Reply:
    """Send an event that says it is a test, now, and tell how that went."""
    db = call.deps.db
    async with db.transaction(read_only=True) as tx:
        webhook = await get_webhook(tx, webhook_id(call))
        delivery, message = await actions.prepare_test(tx, webhook, by(call))
    outcome = await post(reach_of(call), webhook.state.url, message)
    async with db.transaction() as tx:
        judged = await actions.record_test(tx, delivery, outcome, call.deps.clock.now())
    body = TestedBody(
        delivery_id=delivery.id,
        delivered=judged.state is DeliveryState.DELIVERED,
        status=outcome.status,
        duration_ms=outcome.duration_ms,
        error=judged.error,
        answer=outcome.answer,
    )
    return Reply(body)


OPERATIONS: list[Operation] = [
    operation(
        "POST",
        ONE + "/test",
        "test_webhook",
        "Try a webhook now",
        handler=test,
        tx=TxMode.NONE,
        returns=TestedBody,
    ),
    operation(
        "GET",
        _ALL,
        "list_webhook_deliveries",
        "List what a webhook was sent",
        handler=list_,
        query=DeliveriesQuery,
        returns=Page[DeliveryBody],
    ),
    operation(
        "GET",
        _ONE,
        "get_webhook_delivery",
        "Read a delivery with its attempts",
        handler=get,
        returns=DeliveryWithAttemptsBody,
    ),
    operation(
        "POST",
        _ONE + "/redeliver",
        "redeliver",
        "Send a delivery again",
        handler=redeliver,
        returns=DeliveryBody,
        errors=(NotFound, Conflict),
    ),
]
