"""Making, changing and deleting webhooks: each an act in the log."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import uuid
from typing import Final

from muniment.core.errors import BadBody, NotFound, StaleRevision
from muniment.server import ledger
from muniment.server.federation.plugins.dialects import dialect_of
from muniment.server.federation.records import Webhook, WebhookWish
from muniment.server.federation.rules import sealing, webhooks
from muniment.server.federation.rules.events import NATIVE
from muniment.server.federation.store import webhooks as store
from muniment.server.identity.records import By
from muniment.server.ledger.records import Entry, Subject
from muniment.server.ports.db import Tx
from muniment.server.ports.outbound import Reach

#: How long a secret that was replaced still signs beside the new one, unless somebody says otherwise.
OVERLAP: Final = dt.timedelta(hours=24)


async def create_webhook(  # noqa: PLR0917 -- what it is, and whom the registry may call
    tx: Tx,
    dialect: str,
    wish: WebhookWish,
    reach: Reach,
    by: By,
    secret: str | None = None,
) -> tuple[Webhook, str | None]:
    """Make a webhook; return it, and the secret the registry made for it, if it made one.

    In our own format one is made where none is given; in others deliveries are not signed then.

    Raises:
        BadBody: it may not be that; `problems` has all that is wrong.
        DestinationRefused: its URL may not be called. Nothing is written in these cases.
    """
    state = webhooks.wished(None, wish, dialect_of(dialect))
    reach.check(state.url)
    made = sealing.secret_of(os.urandom(sealing.SECRET_BYTES)) if _makes(dialect, secret) else None
    webhook = Webhook(
        id=by.new_id(),
        dialect=dialect,
        state=state,
        secret_id=None,
        revision=1,
        created_at=by.at,
        created_by=by.actor,
        updated_at=by.at,
        updated_by=by.actor,
        entry_id=by.new_id(),
    )
    text = made or secret
    if text:
        _check_secret(dialect, text)
        webhook = dataclasses.replace(webhook, secret_id=by.new_id())
    await store.insert_webhook(tx, webhook)
    if text:
        await _keep(tx, webhook, text)
    await _log(tx, webhook, webhooks.CREATE, by)
    return webhook, made


def _makes(dialect: str, secret: str | None) -> bool:
    return dialect == NATIVE and secret is None


def _check_secret(dialect: str, secret: str) -> None:
    if dialect == NATIVE:
        sealing.key_of(secret)
    elif len(secret) > sealing.SECRET_MAX_CHARS or not secret.isprintable():
        message = f"expected at most {sealing.SECRET_MAX_CHARS} printable characters"
        problem = {"field": "secret", "message": message, "fix": "choose another"}
        raise BadBody(f"`secret`: {message}", problems=[problem])


async def _keep(tx: Tx, webhook: Webhook, secret: str) -> None:
    assert webhook.secret_id is not None
    key, nonce = tx.mac(sealing.KEY_CONTEXT), os.urandom(sealing.NONCE_BYTES)
    sealed = sealing.seal(key, secret, (webhook.id, webhook.secret_id), nonce)
    await store.insert_secret(tx, webhook.id, webhook.secret_id, sealed)


async def _log(tx: Tx, webhook: Webhook, act: str, by: By) -> None:
    subject = Subject("webhook", str(webhook.id), webhook.state.name)
    said = {} if act == webhooks.DELETE else webhooks.payload(webhook)
    entry = Entry(webhook.entry_id, webhook.updated_at, act, by.actor, subject, said)
    await ledger.append(tx, entry)


async def get_webhook(tx: Tx, webhook_id: uuid.UUID, *, lock: bool = False) -> Webhook:
    """Return a webhook.

    Raises:
        NotFound: there is none of that id.
    """
    found = await store.find_webhook(tx, webhook_id, lock=lock)
    if found is None:
        raise NotFound(f"there is no webhook {webhook_id}")
    return found


async def update_webhook(
    tx: Tx, webhook_id: uuid.UUID, wish: WebhookWish, reach: Reach, by: By
) -> Webhook:
    """Change a webhook; a change that changes nothing is no act.

    Raises:
        NotFound: there is none of that id.
        StaleRevision: it is not at `wish.revision` any more.
        BadBody, DestinationRefused: see `create_webhook`. Nothing is written in any of these cases.
    """
    now = await get_webhook(tx, webhook_id, lock=True)
    if wish.revision not in {None, now.revision}:
        raise StaleRevision(
            f"expected revision {wish.revision}, found {now.revision}: somebody changed it"
            " meanwhile; read it again and repeat",
            extra={"revision": now.revision},
        )
    state = webhooks.wished(now.state, wish, dialect_of(now.dialect))
    if state.url != now.state.url:
        reach.check(state.url)
    if state == now.state:
        return now
    return await _changed(tx, dataclasses.replace(now, state=state), by)


async def _changed(tx: Tx, webhook: Webhook, by: By) -> Webhook:
    changed = dataclasses.replace(
        webhook,
        revision=webhook.revision + 1,
        updated_at=max(by.at, webhook.updated_at + dt.timedelta(microseconds=1)),
        updated_by=by.actor,
        entry_id=by.new_id(),
    )
    await store.update_webhook(tx, changed)
    await _log(tx, changed, webhooks.UPDATE, by)
    return changed


async def set_secret(
    tx: Tx, webhook_id: uuid.UUID, secret: str | None, overlap: dt.timedelta, by: By
) -> tuple[Webhook, str | None]:
    """Give a webhook a new secret; return it, and the secret if the registry made it.

    The old one signs beside it for `overlap`. An empty `secret`, in formats that have unsigned
    deliveries, takes it away.

    Raises:
        NotFound: there is none of that id.
        BadBody: it is no secret of the webhook's format. Nothing is written in these cases.
    """
    now = await get_webhook(tx, webhook_id, lock=True)
    made = (
        sealing.secret_of(os.urandom(sealing.SECRET_BYTES)) if _makes(now.dialect, secret) else None
    )
    text = made or secret
    if text or now.dialect == NATIVE:
        _check_secret(now.dialect, text or "")
    ends_at = by.at + overlap if overlap > dt.timedelta(0) and text else None
    await store.end_secrets(tx, webhook_id, ends_at)
    webhook = dataclasses.replace(now, secret_id=by.new_id() if text else None)
    if text:
        await _keep(tx, webhook, text)
    return await _changed(tx, webhook, by), made


async def delete_webhook(tx: Tx, webhook_id: uuid.UUID, by: By) -> None:
    """Delete a webhook, its secrets and its delivery log; what is due is not delivered any more.

    Raises:
        NotFound: there is none of that id. Nothing is written.
    """
    now = await get_webhook(tx, webhook_id, lock=True)
    await store.delete_webhook(tx, webhook_id)
    at = max(by.at, now.updated_at)
    gone = dataclasses.replace(now, entry_id=by.new_id(), updated_at=at)
    await _log(tx, gone, webhooks.DELETE, by)
