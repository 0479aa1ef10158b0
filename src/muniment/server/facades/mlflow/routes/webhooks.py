"""`webhooks…`: MLflow's webhooks, which are ours in its format. For administrators."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Sequence
from typing import Final

import msgspec

from muniment.core.errors import BadRequest, NotFound
from muniment.server import federation
from muniment.server.facades.mlflow.routes.dialect import by, endpoint, offset_of, token_for
from muniment.server.facades.mlflow.rules import webhooks as rules
from muniment.server.facades.mlflow.rules.wire import given
from muniment.server.federation.records import Webhook, WebhookStatus, WebhookWish
from muniment.server.http.operation import Call, Operation, Reply, TxMode
from muniment.server.http.records import EVERYTHING, Verb
from muniment.server.ports.db import Tx
from muniment.server.ports.outbound import Reach

_ALL: Final = "/mlflow/webhooks"
_ONE: Final = "/mlflow/webhooks/{webhook_id}"
_DEFAULT_RESULTS: Final = 100
_MAX_RESULTS: Final = 1000
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?", re.IGNORECASE | re.ASCII)


class Said(msgspec.Struct):
    """An event on the wire."""

    entity: str = ""
    action: str = ""


class CreatedWebhook(msgspec.Struct):
    """A webhook to make."""

    name: str
    url: str
    events: list[Said]
    description: str = ""
    secret: str = ""
    status: str = "ACTIVE"


class UpdatedWebhook(msgspec.Struct):
    """What to change of a webhook. An empty secret takes it away."""

    name: str = ""
    url: str = ""
    events: list[Said] = []
    description: str | None = None
    secret: str | None = None
    status: str | None = None


class ListedWebhooks(msgspec.Struct):
    """Which page of webhooks."""

    max_results: int = _DEFAULT_RESULTS
    page_token: str = ""


class TestedWebhook(msgspec.Struct):
    """Which event to try a webhook with; without, its first."""

    event: Said | None = None


def _reach(call: Call) -> Reach:
    return Reach(private=call.deps.settings.outbound_private)


def _events(said: Sequence[Said]) -> list[str]:
    return [rules.event_of(one.entity, one.action) for one in said]


def _status(text: str) -> WebhookStatus:
    try:
        return WebhookStatus[text]
    except KeyError:
        raise BadRequest(
            f"Invalid value for parameter 'status': expected ACTIVE or DISABLED, found {text[:80]!a}"
        ) from None


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadRequest(
            f"Webhook name {name[:200]!a} is invalid. It has 1 to 63 letters, digits, dots,"
            " underscores and hyphens, and begins and ends with a letter or digit."
        )


async def _found(call: Call, tx: Tx) -> Webhook:
    """Return the webhook the path names, if it is one of MLflow's.

    Raises:
        NotFound: it is not.
    """
    text = call.path["webhook_id"]
    missing = NotFound(f"Webhook with ID {text[:80]} not found.")
    try:
        webhook = await federation.get_webhook(tx, uuid.UUID(text))
    except (ValueError, NotFound):
        raise missing from None
    if webhook.dialect != rules.NAME:
        raise missing
    return webhook


async def create_webhook(call: Call, tx: Tx) -> Reply:
    """Make a webhook."""
    call.require(Verb.ADMINISTER, EVERYTHING)
    body: CreatedWebhook = call.body
    if not body.events:
        raise BadRequest("Missing value for required parameter 'events'.")
    _check_name(body.name)
    wish = WebhookWish(
        name=body.name,
        url=body.url,
        events=_events(body.events),
        description=body.description,
        status=_status(body.status),
    )
    made, _ = await federation.create_webhook(
        tx, rules.NAME, wish, _reach(call), by(call), body.secret or None
    )
    return Reply({"webhook": rules.webhook_json(made)})


async def list_webhooks(call: Call, tx: Tx) -> Reply:
    """List webhooks, newest first."""
    call.require(Verb.ADMINISTER, EVERYTHING)
    query: ListedWebhooks = call.query
    limit = query.max_results or _DEFAULT_RESULTS
    if not 1 <= limit <= _MAX_RESULTS:
        raise BadRequest(f"max_results must be between 1 and {_MAX_RESULTS}.")
    offset = offset_of(query.page_token)
    found = await federation.list_webhooks(tx, rules.NAME, offset=offset, limit=limit + 1)
    more = token_for(offset + limit) if len(found) > limit else None
    shown = [rules.webhook_json(one) for one in found[:limit]]
    return Reply(given(webhooks=shown, next_page_token=more))


async def get_webhook(call: Call, tx: Tx) -> Reply:
    """Return a webhook."""
    call.require(Verb.ADMINISTER, EVERYTHING)
    return Reply({"webhook": rules.webhook_json(await _found(call, tx))})


async def update_webhook(call: Call, tx: Tx) -> Reply:
    """Change a webhook."""
    call.require(Verb.ADMINISTER, EVERYTHING)
    body: UpdatedWebhook = call.body
    webhook = await _found(call, tx)
    if body.name:
        _check_name(body.name)
    wish = WebhookWish(
        name=body.name or None,
        url=body.url or None,
        events=_events(body.events) or None,
        description=body.description,
        status=None if body.status is None else _status(body.status),
    )
    changed = await federation.update_webhook(tx, webhook.id, wish, _reach(call), by(call))
    if body.secret is not None:
        changed, _ = await federation.set_secret(
            tx, webhook.id, body.secret, dt.timedelta(0), by(call)
        )
    return Reply({"webhook": rules.webhook_json(changed)})


async def delete_webhook(call: Call, tx: Tx) -> Reply:
    """Delete a webhook."""
    call.require(Verb.ADMINISTER, EVERYTHING)
    webhook = await _found(call, tx)
    await federation.delete_webhook(tx, webhook.id, by(call))
    return Reply({})


async def test_webhook(call: Call) -> Reply:
    """Send an example of an event, now, and tell how that went."""
    call.require(Verb.ADMINISTER, EVERYTHING)
    body: TestedWebhook = call.body
    event = None if body.event is None else rules.event_of(body.event.entity, body.event.action)
    db = call.deps.db
    async with db.transaction(read_only=True) as tx:
        webhook = await _found(call, tx)
        delivery, message = await federation.prepare_test(tx, webhook, by(call), event)
    outcome = await federation.post(_reach(call), webhook.state.url, message)
    async with db.transaction() as tx:
        judged = await federation.record_test(tx, delivery, outcome, call.deps.clock.now())
    result = given(
        response_status=outcome.status,
        response_body=outcome.answer or None,
        error_message=judged.error or None,
    )
    return Reply({"result": {"success": not judged.error, **result}})


OPERATIONS: list[Operation] = [
    *endpoint("POST", _ALL, create_webhook, CreatedWebhook, needs=Verb.ADMINISTER),
    *endpoint("GET", _ALL, list_webhooks, ListedWebhooks, needs=Verb.ADMINISTER, tx=TxMode.READ),
    *endpoint("GET", _ONE, get_webhook, needs=Verb.ADMINISTER, tx=TxMode.READ),
    *endpoint("PATCH", _ONE, update_webhook, UpdatedWebhook, needs=Verb.ADMINISTER),
    *endpoint("DELETE", _ONE, delete_webhook, needs=Verb.ADMINISTER),
    *endpoint(
        "POST",
        f"{_ONE}/test",
        test_webhook,
        TestedWebhook,
        needs=Verb.ADMINISTER,
        tx=TxMode.NONE,
    ),
]
