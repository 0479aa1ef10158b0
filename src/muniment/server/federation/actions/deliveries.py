"""What is to be delivered, and what became of it. Working state: nothing here is in the ledger."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from typing import Final

from muniment.core.errors import Conflict, IntegrityError, NotFound
from muniment.server import ledger
from muniment.server.federation.plugins.dialects import dialect_of
from muniment.server.federation.records import (
    Attempt,
    Delivery,
    DeliveryState,
    Envelope,
    Event,
    Judged,
    Message,
    Outcome,
    Told,
    Webhook,
    WebhookStatus,
)
from muniment.server.federation.rules import events, sealing, sending
from muniment.server.federation.store import deliveries as store
from muniment.server.federation.store import webhooks
from muniment.server.identity.records import By
from muniment.server.ledger.records import Recorded
from muniment.server.ports import queue
from muniment.server.ports.db import Tx

DELIVER: Final = "webhooks.deliver"


async def tell(tx: Tx, entry: Recorded) -> Told:
    """Return an entry with what webhooks say of it beside."""
    asset_id = entry.subject.asset_id
    found = None if asset_id is None else await store.asset_of(tx, asset_id)
    ids = events.version_ids(entry.payload, (entry.subject.kind, entry.subject.id))
    versions = await store.versions_of(tx, ids) if ids else {}
    asset, kind = found or (None, None)
    return Told(entry, asset, kind, versions)


def _is_in(told: Told, namespace: str | None) -> bool:
    if namespace is None:
        return True
    if told.entry.subject.kind == "namespace":
        return told.entry.subject.id == namespace
    return told.asset is not None and str(told.asset.namespace) == namespace


async def announce(tx: Tx, entry_id: uuid.UUID, by: By) -> list[uuid.UUID]:
    """Keep a delivery, and ask for its job, for each webhook that wants what an entry tells.

    Repeated it does nothing more. Returns the new deliveries.
    """
    entry = await ledger.entry(tx, entry_id)
    told = await tell(tx, entry)
    wanted = []
    for webhook in await webhooks.active_webhooks(tx, entry.act):
        dialect = dialect_of(webhook.dialect)
        if not _is_in(told, webhook.state.namespace):
            continue
        for part, event in enumerate(dialect.events_of(told)):
            if dialect.wants(webhook.state.events, event.name):
                wanted.append(_due(by, webhook, entry_id, part, event.name))
    new = await store.insert_deliveries(tx, wanted) if wanted else []
    slow = await store.troubled(tx, sorted({one.webhook_id for one in wanted})) if new else set()
    for one in wanted:
        if one.id in new:
            await _ask(tx, one.id, 1, yields=one.webhook_id in slow)
    return new


def _due(by: By, webhook: Webhook, entry_id: uuid.UUID | None, part: int, event: str) -> Delivery:
    return Delivery(
        id=by.new_id(),
        webhook_id=webhook.id,
        entry_id=entry_id,
        part=part,
        event=event,
        state=DeliveryState.DUE,
        attempts=0,
        tries=0,
        created_at=by.at,
        due_at=by.at,
    )


async def _ask(
    tx: Tx,
    delivery_id: uuid.UUID,
    number: int,
    after: dt.timedelta = dt.timedelta(0),
    *,
    yields: bool = False,
) -> None:
    """Ask for an attempt. Those to who does not answer yield: others are not kept waiting by it."""
    payload = {"delivery_id": str(delivery_id), "attempt": number}
    key = f"deliver {delivery_id} {number}"
    await queue.enqueue(tx, DELIVER, payload, after=after, key=key, yields=yields)


@dataclasses.dataclass(frozen=True, slots=True)
class Prepared:
    """A delivery as it is sent now; `message` None says, by `error`, that it cannot be."""

    delivery: Delivery
    webhook: Webhook
    message: Message | None
    error: str = ""


async def prepare(tx: Tx, delivery_id: uuid.UUID, number: int, at: dt.datetime) -> Prepared | None:
    """Return what attempt `number` of a delivery sends; None if it was made, or is not wanted now."""
    delivery = await store.find_delivery(tx, delivery_id)
    if (
        delivery is None
        or delivery.state is not DeliveryState.DUE
        or delivery.attempts != number - 1
    ):
        return None
    webhook = await webhooks.find_webhook(tx, delivery.webhook_id)
    if webhook is None:
        return None
    if webhook.state.status is WebhookStatus.DISABLED and delivery.entry_id is not None:
        return Prepared(delivery, webhook, None, "the webhook is disabled")
    try:
        return await _prepared(tx, webhook, delivery, at)
    except IntegrityError as error:
        return Prepared(delivery, webhook, None, error.message)


async def _prepared(tx: Tx, webhook: Webhook, delivery: Delivery, at: dt.datetime) -> Prepared:
    dialect = dialect_of(webhook.dialect)
    if delivery.entry_id is None:
        event, done_at = dialect.example((delivery.event,)), delivery.created_at
    else:
        entry = await ledger.entry(tx, delivery.entry_id)
        found = list(dialect.events_of(await tell(tx, entry)))[delivery.part : delivery.part + 1]
        if not found or found[0].name != delivery.event:
            return Prepared(delivery, webhook, None, "what the entry said was erased meanwhile")
        event, done_at = found[0], entry.at
    return Prepared(delivery, webhook, await _message(tx, webhook, delivery, event, done_at, at))


async def _message(  # noqa: PLR0917 -- the parts of one message
    tx: Tx,
    webhook: Webhook,
    delivery: Delivery,
    event: Event,
    done_at: dt.datetime,
    at: dt.datetime,
) -> Message:
    key = tx.mac(sealing.KEY_CONTEXT)
    secrets = [
        sealing.unseal(key, sealed, (webhook.id, secret_id))
        for secret_id, sealed in await webhooks.sealed_secrets(tx, webhook.id, at)
    ]
    envelope = Envelope(delivery.id, done_at, at, secrets)
    return dialect_of(webhook.dialect).message(event, envelope)


async def record(
    tx: Tx,
    delivery_id: uuid.UUID,
    number: int,
    outcome: Outcome,
    at: dt.datetime,
    *,
    last: bool = False,
) -> Judged | None:
    """Keep how attempt `number` went, and ask for the next one if there is to be one (never: `last`).

    None, and nothing is written, where it was kept already or the webhook is gone.
    """
    delivery = await store.find_delivery(tx, delivery_id, lock=True)
    if delivery is None or delivery.attempts != number - 1:
        return None
    judged = sending.judge(outcome, sending.TRIES_MAX if last else delivery.tries + 1)
    attempt = Attempt(
        number=number,
        at=at,
        duration_ms=outcome.duration_ms,
        status=outcome.status,
        error=judged.error,
        answer=outcome.answer,
    )
    await store.insert_attempt(tx, delivery_id, attempt)
    await store.put_judged(tx, dataclasses.replace(delivery, attempts=number), judged, at)
    if judged.after is not None:
        await _ask(tx, delivery_id, number + 1, judged.after, yields=True)
    return judged


async def give_up(tx: Tx, delivery_id: uuid.UUID, error: str, at: dt.datetime) -> None:
    """End a delivery that cannot be sent, without an attempt."""
    delivery = await store.find_delivery(tx, delivery_id, lock=True)
    if delivery is not None and delivery.state is DeliveryState.DUE:
        await store.put_judged(tx, delivery, Judged(DeliveryState.FAILED, error=error), at)


async def prepare_test(
    tx: Tx, webhook: Webhook, by: By, event: str | None = None
) -> tuple[Delivery, Message]:
    """Return a delivery that tries a webhook, with its message; nothing is written.

    `event` is one of its dialect's that it tries; without, the dialect chooses.
    """
    wanted = (event,) if event is not None else webhook.state.events
    example = dialect_of(webhook.dialect).example(wanted)
    delivery = _due(by, webhook, None, 0, example.name)
    return delivery, await _message(tx, webhook, delivery, example, by.at, by.at)


async def record_test(tx: Tx, delivery: Delivery, outcome: Outcome, at: dt.datetime) -> Judged:
    """Keep a test and how it went, and return what that comes to: it is tried once."""
    if await store.insert_deliveries(tx, [delivery]):
        await record(tx, delivery.id, 1, outcome, at, last=True)
    return sending.judge(outcome, sending.TRIES_MAX)


async def redeliver(tx: Tx, webhook_id: uuid.UUID, delivery_id: uuid.UUID, by: By) -> Delivery:
    """Have a delivery sent again now, under its own id, with all its tries.

    Raises:
        NotFound: the webhook has no such delivery.
        Conflict: the webhook is disabled. Nothing is written.
    """
    delivery = await get_delivery(tx, webhook_id, delivery_id, lock=True)
    webhook = await webhooks.find_webhook(tx, webhook_id)
    if webhook is not None and webhook.state.status is WebhookStatus.DISABLED:
        raise Conflict(
            "the webhook is disabled: enable it first (`muniment webhook update --enable`)"
        )
    await store.begin_round(tx, delivery_id, by.at)
    await _ask(tx, delivery_id, delivery.attempts + 1)
    # One that waits for its time goes now.
    await queue.hasten(tx, f"deliver {delivery_id} {delivery.attempts + 1}")
    return await get_delivery(tx, webhook_id, delivery_id)


async def get_delivery(
    tx: Tx, webhook_id: uuid.UUID, delivery_id: uuid.UUID, *, lock: bool = False
) -> Delivery:
    """Return a delivery of a webhook.

    Raises:
        NotFound: it has no such delivery.
    """
    found = await store.find_delivery(tx, delivery_id, lock=lock)
    if found is None or found.webhook_id != webhook_id:
        raise NotFound(
            f"the webhook has no delivery {delivery_id}: those that ended are kept for 30 days, the"
            " newest 1000"
        )
    return found
