"""Webhooks: who is told of what is done, and how telling them went."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec

from muniment.client.paging import all_items
from muniment.client.records import Page, Record
from muniment.client.transport import Transport, api


class Webhook(Record, frozen=True, kw_only=True):
    """Somebody who is told of what is done. `secret` only comes when the registry made one just now."""

    id: str
    name: str
    url: str
    events: list[str]
    status: str
    description: str = ""
    namespace: str | None = None
    dialect: str = "muniment"
    signed: bool = True
    revision: int = 1
    created_at: dt.datetime | None = None
    created_by: dict[str, Any] = msgspec.field(default_factory=dict)
    updated_at: dt.datetime | None = None
    updated_by: dict[str, Any] = msgspec.field(default_factory=dict)
    entry_id: str | None = None
    secret: str | None = None


class Delivery(Record, frozen=True, kw_only=True):
    """One event for one webhook: `due`, `delivered` or `failed`; `log` has its attempts if asked for."""

    id: str
    webhook_id: str
    event: str
    state: str
    attempts: int = 0
    entry_id: str | None = None
    created_at: dt.datetime | None = None
    due_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    error: str = ""
    log: list[dict[str, Any]] = msgspec.field(default_factory=list)


class Tested(Record, frozen=True, kw_only=True):
    """How trying a webhook went."""

    delivery_id: str
    delivered: bool
    status: int | None = None
    duration_ms: int = 0
    error: str = ""
    answer: str = ""


class Webhooks:
    """Calls about webhooks, by id; they need the role `admin`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        name: str,
        url: str,
        events: Sequence[str],
        *,
        description: str = "",
        namespace: str | None = None,
        secret: str | None = None,
        enabled: bool = True,
    ) -> Webhook:
        """Have `url` told of `events` (`version.promote`, `version.*`, `*`).

        The `secret` that verifies deliveries is made by the registry unless given, and is in this
        answer and never again.

        Raises:
            BadBody: there is no such event, or the name is none.
            DestinationRefused: the registry may not call `url`. Nothing is written.
        """
        body: dict[str, Any] = {
            "name": name,
            "url": url,
            "events": list(events),
            "description": description,
            "status": "active" if enabled else "disabled",
        }
        if namespace is not None:
            body["namespace"] = namespace
        if secret is not None:
            body["secret"] = secret
        return self._transport.send("POST", api("webhooks"), body, Webhook)

    def list_(self, *, status: str | None = None) -> list[Webhook]:
        """Every webhook that is `active` or `disabled`, newest first."""

        def page_at(cursor: str | None) -> Page[Webhook]:
            query = {"status": status, "cursor": cursor}
            return self._transport.get(api("webhooks"), Page[Webhook], query)

        return list(all_items(page_at))

    def get(self, webhook_id: str) -> Webhook:
        """One webhook."""
        return self._transport.get(api("webhooks", webhook_id), Webhook)

    def update(
        self,
        webhook_id: str,
        *,
        name: str | None = None,
        url: str | None = None,
        events: Sequence[str] | None = None,
        description: str | None = None,
        namespace: str | None = None,
        enabled: bool | None = None,
        revision: int | None = None,
    ) -> Webhook:
        """Change a webhook; what is None stays. An empty `namespace` is everywhere.

        Raises:
            StaleRevision: `revision` is given and no longer its own. Nothing is written.
        """
        given: dict[str, Any] = {
            "name": name,
            "url": url,
            "events": None if events is None else list(events),
            "description": description,
            "namespace": namespace,
            "status": None if enabled is None else ("active" if enabled else "disabled"),
        }
        body = {key: value for key, value in given.items() if value is not None}
        path = api("webhooks", webhook_id)
        return self._transport.send("PATCH", path, body, Webhook, if_match=revision)

    def new_secret(
        self, webhook_id: str, *, secret: str | None = None, overlap_hours: int = 24
    ) -> Webhook:
        """Replace the secret; one that the registry makes is in this answer and never again.

        The old one signs beside it for `overlap_hours`.
        """
        body: dict[str, Any] = {"overlap_hours": overlap_hours}
        if secret is not None:
            body["secret"] = secret
        return self._transport.send("POST", api("webhooks", webhook_id, "secret"), body, Webhook)

    def delete(self, webhook_id: str) -> None:
        """Delete a webhook and its delivery log; what is due is not delivered any more."""
        self._transport.send("DELETE", api("webhooks", webhook_id), None)

    def test(self, webhook_id: str) -> Tested:
        """Send an event that says it is a test, now."""
        return self._transport.send("POST", api("webhooks", webhook_id, "test"), None, Tested)

    def deliveries(
        self, webhook_id: str, *, state: str | None = None, limit: int | None = None
    ) -> list[Delivery]:
        """What was and is to be delivered (`due`, `delivered`, `failed`), newest first; `limit` of it."""
        path = api("webhooks", webhook_id, "deliveries")

        def page_at(cursor: str | None) -> Page[Delivery]:
            return self._transport.get(path, Page[Delivery], {"state": state, "cursor": cursor})

        found: list[Delivery] = []
        for each in all_items(page_at):
            if limit is not None and len(found) >= limit:
                break
            found.append(each)
        return found

    def delivery(self, webhook_id: str, delivery_id: str) -> Delivery:
        """One delivery with each of its attempts."""
        path = api("webhooks", webhook_id, "deliveries", delivery_id)
        return self._transport.get(path, Delivery)

    def redeliver(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Send a delivery again, under its own id.

        Raises:
            Conflict: the webhook is disabled.
        """
        path = api("webhooks", webhook_id, "deliveries", delivery_id, "redeliver")
        return self._transport.send("POST", path, None, Delivery)
