"""`/webhooks`: make, list, read, change, delete; a new secret. For administrators."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated

import msgspec

from muniment.core.errors import BadBody, DestinationRefused, NotFound, StaleRevision
from muniment.server import ledger
from muniment.server.federation.actions import webhooks as actions
from muniment.server.federation.records import Webhook, WebhookStatus, WebhookWish
from muniment.server.federation.rules.events import NATIVE
from muniment.server.federation.store import webhooks as store
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import Cursor, Limit, Page, cut, read_cursor
from muniment.server.http.preconditions import expected_revision
from muniment.server.http.records import Verb
from muniment.server.identity.records import By
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Tx
from muniment.server.ports.outbound import Reach

TAG = "webhooks"
_ALL = "/api/v1/webhooks"
ONE = _ALL + "/{webhook_id}"
_HOURS_MAX = 24 * 7

Events = Annotated[
    list[str],
    msgspec.Meta(
        max_length=100, description="Such as `version.promote`, `version.*`, or `*` for all."
    ),
]
Secret = Annotated[
    str,
    msgspec.Meta(description="`whsec_` and 24 to 64 bytes in base64; left out, one is made."),
]


class WebhookBody(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook. Its secret is never shown; `signed` says whether it has one.

    `dialect` is the format it is told in: `muniment`, or `mlflow` if it was made through MLflow's API.
    """

    id: uuid.UUID
    name: str
    url: str
    events: tuple[str, ...]
    description: str
    status: WebhookStatus
    namespace: str | None
    dialect: str
    signed: bool
    revision: int
    created_at: dt.datetime
    created_by: Actor
    updated_at: dt.datetime
    updated_by: Actor
    entry_id: uuid.UUID


class MadeWebhookBody(WebhookBody, frozen=True, kw_only=True):
    """A webhook with the secret the registry made for it, shown this once; null: you gave your own."""

    secret: str | None = None


class NewWebhookBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A webhook to be made."""

    name: str
    url: Annotated[str, msgspec.Meta(description="Where to POST. No place for secrets.")]
    events: Events
    description: str = ""
    status: WebhookStatus = WebhookStatus.ACTIVE
    namespace: (
        Annotated[str, msgspec.Meta(description="Only what is done in this namespace.")] | None
    ) = None
    secret: Secret | None = None


class WebhookChangeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a webhook; what is left out stays. An empty namespace is everywhere."""

    name: str | None = None
    url: str | None = None
    events: Events | None = None
    description: str | None = None
    status: WebhookStatus | None = None
    namespace: str | None = None


class NewSecretBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A secret to take the place of the one there is."""

    secret: Secret | None = None
    overlap_hours: Annotated[
        int,
        msgspec.Meta(ge=0, le=_HOURS_MAX, description="How long the old one signs as well."),
    ] = 24


class WebhooksQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which webhooks to list."""

    status: WebhookStatus | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class Before(msgspec.Struct, frozen=True):
    """Where a page begins."""

    id: uuid.UUID


def _fields(found: Webhook) -> dict[str, object]:
    state = found.state
    return {
        "id": found.id,
        "name": state.name,
        "url": state.url,
        "events": state.events,
        "description": state.description,
        "status": state.status,
        "namespace": state.namespace,
        "dialect": found.dialect,
        "signed": found.secret_id is not None,
        "revision": found.revision,
        "created_at": found.created_at,
        "created_by": found.created_by,
        "updated_at": found.updated_at,
        "updated_by": found.updated_by,
        "entry_id": found.entry_id,
    }


def _body(found: Webhook) -> WebhookBody:
    return msgspec.convert(_fields(found), WebhookBody)


def _reply(found: Webhook) -> Reply:
    return Reply(_body(found), headers={"ETag": f'"{found.revision}"'})


def _made(found: Webhook, secret: str | None) -> Reply:
    body = msgspec.convert({**_fields(found), "secret": secret}, MadeWebhookBody)
    headers = {"Location": f"{_ALL}/{found.id}", "ETag": f'"{found.revision}"'}
    return Reply(body, headers=headers)


def reach_of(call: Call) -> Reach:
    """Return whom webhooks may call."""
    return Reach(private=call.deps.settings.outbound_private)


def webhook_id(call: Call) -> uuid.UUID:
    """Return the id of the webhook the path names.

    Raises:
        NotFound: it is none.
    """
    return id_in(call, "webhook_id", "webhook")


def id_in(call: Call, name: str, what: str) -> uuid.UUID:
    """Return an id the path names.

    Raises:
        NotFound: it is none.
    """
    try:
        return uuid.UUID(call.path[name])
    except ValueError:
        raise NotFound(f"there is no {what} {call.path[name][:80]!a}") from None


def by(call: Call) -> By:
    """Return who acts, and when."""
    return By(ledger.actor_of(call.caller), call.now, call.new_id)


async def create(call: Call, tx: Tx) -> Reply:
    """Make a webhook. The secret it signs with is shown this once."""
    body: NewWebhookBody = call.body
    wish = WebhookWish(
        name=body.name,
        url=body.url,
        events=body.events,
        description=body.description,
        status=body.status,
        namespace=body.namespace,
    )
    made, secret = await actions.create_webhook(
        tx, NATIVE, wish, reach_of(call), by(call), body.secret
    )
    return _made(made, secret)


async def list_(call: Call, tx: Tx) -> Reply:
    """List webhooks, newest first."""
    query: WebhooksQuery = call.query
    before = read_cursor(query.cursor, Before).id if query.cursor else None
    found = await store.list_webhooks(tx, status=query.status, before=before, limit=query.limit + 1)
    last = found[query.limit - 1].id if len(found) > query.limit else None
    items, cursor = cut(found, query.limit, {"id": last})
    return Reply(Page([_body(one) for one in items], cursor))


async def get(call: Call, tx: Tx) -> Reply:
    """Return one webhook."""
    return _reply(await actions.get_webhook(tx, webhook_id(call)))


async def update(call: Call, tx: Tx) -> Reply:
    """Change a webhook."""
    body: WebhookChangeBody = call.body
    wish = WebhookWish(
        name=body.name,
        url=body.url,
        events=body.events,
        description=body.description,
        status=body.status,
        namespace=body.namespace,
        revision=expected_revision(call),
    )
    return _reply(
        await actions.update_webhook(tx, webhook_id(call), wish, reach_of(call), by(call))
    )


async def delete(call: Call, tx: Tx) -> Reply:
    """Delete a webhook with its delivery log."""
    await actions.delete_webhook(tx, webhook_id(call), by(call))
    return Reply()


async def new_secret(call: Call, tx: Tx) -> Reply:
    """Give a webhook a new secret; one the registry makes is shown this once."""
    body: NewSecretBody = call.body
    overlap = dt.timedelta(hours=body.overlap_hours)
    changed, made = await actions.set_secret(tx, webhook_id(call), body.secret, overlap, by(call))
    return _made(changed, made)


def operation(method: str, path: str, name: str, summary: str, **more: object) -> Operation:
    """Return an operation of webhooks: for administrators."""
    writes = method != "GET"
    shared = {"tx": TxMode.WRITE if writes else TxMode.READ, "errors": (NotFound,)}
    return Operation(
        method=method,
        path=path,
        id=name,
        summary=summary,
        needs=Verb.ADMINISTER,
        scope=ScopeFrom.EVERYTHING,
        tag=TAG,
        **{**shared, **more},  # type: ignore[arg-type]
    )


OPERATIONS: list[Operation] = [
    operation(
        "POST",
        _ALL,
        "create_webhook",
        "Have somebody told of what is done",
        handler=create,
        body=NewWebhookBody,
        returns=MadeWebhookBody,
        status=201,
        errors=(BadBody, DestinationRefused),
        secret=True,
    ),
    operation(
        "GET",
        _ALL,
        "list_webhooks",
        "List webhooks",
        handler=list_,
        query=WebhooksQuery,
        returns=Page[WebhookBody],
        errors=(),
    ),
    operation(
        "GET", ONE, "get_webhook", "Read a webhook", handler=get, returns=WebhookBody, also=(304,)
    ),
    operation(
        "PATCH",
        ONE,
        "update_webhook",
        "Change a webhook",
        handler=update,
        body=WebhookChangeBody,
        returns=WebhookBody,
        errors=(NotFound, BadBody, DestinationRefused, StaleRevision),
    ),
    operation("DELETE", ONE, "delete_webhook", "Delete a webhook", handler=delete, status=204),
    operation(
        "POST",
        ONE + "/secret",
        "new_webhook_secret",
        "Replace the secret of a webhook",
        handler=new_secret,
        body=NewSecretBody,
        returns=MadeWebhookBody,
        errors=(NotFound, BadBody),
        secret=True,
    ),
]
