"""What a webhook may be, what changes of it, and how its table follows from the log.

1. A name has 1 to 63 letters, digits and `. _ -`, a letter or digit first and last. It need not be
   unique: MLflow's are not.
2. Events are of its dialect, at least one; a URL is one the registry may call, as far as its text says.
3. A URL is no place for secrets: it is in the log.

Source: R-153.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from muniment.core.entry import time_text
from muniment.core.errors import BadBody, BadName
from muniment.core.names import Namespace
from muniment.server.federation.records import (
    Dialect,
    Webhook,
    WebhookState,
    WebhookStatus,
    WebhookWish,
)
from muniment.server.ledger.records import Fields, Key, Recorded

CREATE: Final = "webhook.create"
UPDATE: Final = "webhook.update"
DELETE: Final = "webhook.delete"
EVENTS_MAX: Final = 100
URL_MAX_CHARS: Final = 2000
DESCRIPTION_MAX_CHARS: Final = 1000
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?", re.IGNORECASE | re.ASCII)

Rows = dict[Key, Fields]
Problem = Mapping[str, str]


def wished(now: WebhookState | None, wish: WebhookWish, dialect: Dialect) -> WebhookState:
    """Return what a webhook (`now`; None: a new one) is after `wish`.

    Raises:
        BadBody: it may not be that; `problems` has all that is wrong.
    """
    was = now or WebhookState("", "", (), ())
    given = {
        field.name: getattr(wish, field.name)
        for field in dataclasses.fields(wish)
        if field.name != "revision" and getattr(wish, field.name) is not None
    }
    if "events" in given:
        given["events"] = tuple(dict.fromkeys(given["events"]))
    if "namespace" in given:
        given["namespace"] = given["namespace"] or None
    state = dataclasses.replace(was, **given)
    problems = [*_problems(state), *dialect.problems(state)]
    if problems:
        first = problems[0]
        more = f" (and {len(problems) - 1} more, see `problems`)" if problems[1:] else ""
        listed = [dict(one) for one in problems]
        raise BadBody(f"`{first['field']}`: {first['message']}{more}", problems=listed)
    return dataclasses.replace(state, acts=dialect.acts(state.events))


def _problems(state: WebhookState) -> Iterator[Problem]:
    if not _NAME.fullmatch(state.name):
        message = "expected 1 to 63 letters, digits and . _ -, a letter or digit first and last"
        yield {"field": "name", "message": message, "fix": "choose another, such as `deploys`"}
    if not 1 <= len(state.url) <= URL_MAX_CHARS or not state.url.isprintable():
        message = f"expected a URL of 1 to {URL_MAX_CHARS} printable characters"
        yield {"field": "url", "message": message, "fix": "use https://HOST/PATH"}
    if not 1 <= len(state.events) <= EVENTS_MAX:
        message = f"expected 1 to {EVENTS_MAX} events, found {len(state.events)}"
        yield {"field": "events", "message": message, "fix": "name some, or `*` for all"}
    if len(state.description) > DESCRIPTION_MAX_CHARS or not _is_clean(state.description):
        message = (
            f"expected Unicode text of at most {DESCRIPTION_MAX_CHARS} characters, without NUL"
        )
        yield {"field": "description", "message": message, "fix": "shorten it"}
    if state.namespace is not None:
        try:
            Namespace.parse(state.namespace)
        except BadName as error:
            yield {"field": "namespace", "message": error.message, "fix": "choose another"}


def _is_clean(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def state_json(state: WebhookState) -> dict[str, Any]:
    """Return what may be changed of a webhook, under the columns' names."""
    return {
        "name": state.name,
        "url": state.url,
        "events": list(state.events),
        "acts": list(state.acts),
        "description": state.description,
        "status": state.status.value,
        "namespace": state.namespace,
    }


def state_from(fields: Mapping[str, Any]) -> WebhookState:
    """Read what `state_json` wrote."""
    return WebhookState(
        name=fields["name"],
        url=fields["url"],
        events=tuple(fields["events"]),
        acts=tuple(fields["acts"]),
        description=fields["description"],
        status=WebhookStatus(fields["status"]),
        namespace=fields["namespace"],
    )


def payload(webhook: Webhook) -> dict[str, Any]:
    """Return the payload of `webhook.create` and `webhook.update`: all that its row holds."""
    return {
        "dialect": webhook.dialect,
        "state": state_json(webhook.state),
        "secret_id": None if webhook.secret_id is None else str(webhook.secret_id),
        "revision": webhook.revision,
    }


def fold_webhook(rows: Rows, entry: Recorded) -> None:
    """Apply `webhook.create`, `webhook.update` and `webhook.delete`."""
    if entry.act == DELETE:
        rows.pop(entry.subject.id, None)
    if entry.payload is None or entry.act not in {CREATE, UPDATE}:
        return
    made = {
        "dialect": entry.payload["dialect"],
        "created_at": time_text(entry.at),
        "actor_kind": entry.actor.kind,
        "actor_id": entry.actor.id,
    }
    rows[entry.subject.id] = (
        {**(made if entry.act == CREATE else rows[entry.subject.id])}
        | entry.payload["state"]
        | {
            "secret_id": entry.payload["secret_id"],
            "revision": entry.payload["revision"],
            "updated_at": time_text(entry.at),
            "updated_by_kind": entry.actor.kind,
            "updated_by_id": entry.actor.id,
            "entry_id": str(entry.id),
        }
    )
