"""Webhooks as MLflow has them: its events, what each says, and how a delivery looks.

1. An event is `entity.action`; on the wire both are upper-case names. There is nothing else to be told
   of: no deletion, stage, rename or description. `budget_policy.exceeded` may be asked for and never
   comes: there are no budgets here.
2. Only what lies in the default namespace is told, under the names MLflow's API shows.
3. A delivery is a POST of `{"entity", "action", "timestamp", "data"}` with `X-MLflow-Delivery-Id`,
   `X-MLflow-Timestamp` and, where there is a secret, `X-MLflow-Signature`: HMAC-SHA256 with the
   secret's text as the key. Id and body are the same in every attempt.

Source: MLflow's webhooks, as its server sends and its client reads them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from muniment.core.errors import BadRequest
from muniment.core.names import NAMESPACE_DEFAULT
from muniment.server import federation
from muniment.server.catalog.records import Kind
from muniment.server.facades.mlflow.rules import prompts
from muniment.server.facades.mlflow.rules.wire import given, milliseconds
from muniment.server.federation.records import (
    Envelope,
    Event,
    Message,
    Told,
    Webhook,
    WebhookState,
)

NAME: Final = "mlflow"
URL_MAX_CHARS: Final = 500
#: Which actions there are for each entity, sorted.
ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "registered_model": ("created",),
    "model_version": ("created",),
    "model_version_tag": ("deleted", "set"),
    "model_version_alias": ("created", "deleted"),
    "prompt": ("created",),
    "prompt_version": ("created",),
    "prompt_tag": ("deleted", "set"),
    "prompt_version_tag": ("deleted", "set"),
    "prompt_alias": ("created", "deleted"),
    "budget_policy": ("exceeded",),
}
_VERBS: Final = ("created", "updated", "deleted", "set", "exceeded")
_MOVING: Final = ("alias.set", "asset.*", "version.*")
_ACTS: Final[Mapping[str, tuple[str, ...]]] = {
    "registered_model": ("asset.create",),
    "model_version": ("version.register",),
    "model_version_tag": ("version.annotate",),
    "model_version_alias": _MOVING,
    "prompt": ("asset.create",),
    "prompt_version": ("version.register",),
    "prompt_tag": ("asset.annotate",),
    "prompt_version_tag": ("version.annotate",),
    "prompt_alias": _MOVING,
    "budget_policy": (),
}
#: Tags of a prompt version that its event says otherwise.
_SAID: Final = (prompts.TEXT, prompts.IS_PROMPT, prompts.TYPE)
_NAMED: Final = {"name": "example", "version": "1"}
_TAGGED: Final = {"tags": {"team": "example"}, "description": "an example"}
_EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "registered_model.created": {"name": "example", **_TAGGED},
    "model_version.created": {
        **_NAMED,
        "source": "models:/m-example",
        "run_id": "0" * 32,
        **_TAGGED,
    },
    "prompt.created": {"name": "example", **_TAGGED},
    "prompt_version.created": {**_NAMED, "template": "Hello {{name}}", **_TAGGED},
    "prompt_tag.set": {"name": "example", "key": "team", "value": "example"},
    "prompt_tag.deleted": {"name": "example", "key": "team"},
    "budget_policy.exceeded": {
        "budget_policy_id": "bp-example",
        "budget_unit": "USD",
        "budget_amount": 100.0,
        "current_spend": 101.5,
        "duration_unit": "MONTHS",
        "duration_value": 1,
        "target_scope": "GLOBAL",
        "workspace": "default",
        "target_value": None,
        "window_start": 0,
    },
}


def event_of(entity: str, action: str) -> str:
    """Return an event from its names on the wire.

    Raises:
        BadRequest: there is no such one; the message is MLflow's.
    """
    thing, verb = entity.lower(), action.lower()
    if entity != entity.upper() or thing not in ACTIONS:
        raise BadRequest(f"Invalid value for parameter 'events': no entity {entity[:80]!a}")
    if action != action.upper() or verb not in _VERBS:
        raise BadRequest(f"Invalid value for parameter 'events': no action {action[:80]!a}")
    if verb not in ACTIONS[thing]:
        raise BadRequest(
            f"Invalid action '{verb}' for entity '{thing}'. Valid actions are:"
            f" {list(ACTIONS[thing])}"
        )
    return f"{thing}.{verb}"


def webhook_json(webhook: Webhook) -> dict[str, Any]:
    """Return a webhook as MLflow writes it: never with its secret."""
    state = webhook.state
    parts = [one.upper().partition(".") for one in state.events]
    return given(
        webhook_id=str(webhook.id),
        name=state.name,
        description=state.description or None,
        url=state.url,
        events=[{"entity": entity, "action": action} for entity, _, action in parts],
        status=state.status.value.upper(),
        creation_timestamp=milliseconds(webhook.created_at),
        last_updated_timestamp=milliseconds(webhook.updated_at),
    )


class MlflowWebhooks:
    """MLflow's format."""

    name = NAME

    def problems(self, state: WebhookState) -> Sequence[Mapping[str, str]]:
        """Return what is wrong with a URL's length; events were read before."""
        if len(state.url) <= URL_MAX_CHARS:
            return []
        message = f"expected a URL of at most {URL_MAX_CHARS} characters, found {len(state.url)}"
        return [{"field": "url", "message": message, "fix": "use a shorter one"}]

    def acts(self, events: Sequence[str]) -> tuple[str, ...]:
        """Return the acts that events may follow from."""
        return tuple(sorted({act for one in events for act in _ACTS[one.partition(".")[0]]}))

    def events_of(self, told: Told) -> Sequence[Event]:
        """Return what MLflow has to say of an entry: often nothing."""
        if told.asset is None or str(told.asset.namespace) != NAMESPACE_DEFAULT:
            return []
        if told.entry.payload is None:
            return []
        return list(_events(told, told.entry.payload, str(told.asset.name)))

    def wants(self, events: Sequence[str], name: str) -> bool:
        """Say whether one of `events` is `name`."""
        return name in events

    def example(self, events: Sequence[str]) -> Event:
        """Return an example of the first of `events`."""
        name = events[0]
        if name in _EXAMPLES:
            return Event(name, _EXAMPLES[name])
        if name.endswith("_alias.deleted"):
            return Event(name, {"name": "example", "alias": "champion"})
        if name.endswith("_alias.created"):
            return Event(name, {"name": "example", "alias": "champion", "version": "1"})
        data = {**_NAMED, "key": "team"}
        return Event(name, data if name.endswith(".deleted") else {**data, "value": "example"})

    def message(self, event: Event, envelope: Envelope) -> Message:
        """Return what is sent."""
        entity, _, action = event.name.partition(".")
        body = json.dumps(
            {
                "entity": entity,
                "action": action,
                "timestamp": envelope.done_at.isoformat(),
                "data": dict(event.data),
            }
        ).encode()
        sent_at, delivery_id = int(envelope.sent_at.timestamp()), str(envelope.id)
        headers = {
            "Content-Type": "application/json",
            "X-MLflow-Delivery-Id": delivery_id,
            "X-MLflow-Timestamp": str(sent_at),
        }
        if envelope.secrets:
            headers["X-MLflow-Signature"] = federation.signature(
                envelope.secrets[0].encode(), delivery_id, sent_at, body
            )
        return Message(headers, body)


def _events(told: Told, payload: Mapping[str, Any], name: str) -> Iterator[Event]:
    is_prompt = told.kind == Kind.PROMPT.value
    act = told.entry.act
    if act == "asset.create":
        state = payload["state"]
        said = {"name": name, "tags": state["tags"], "description": state["description"]}
        yield Event("prompt.created" if is_prompt else "registered_model.created", said)
    elif act == "version.register":
        yield _registered(payload, name, is_prompt=is_prompt)
    elif act == "version.annotate":
        version = told.versions[told.entry.subject.id]
        at = {"name": name, "version": str(version.number)}
        entity = "prompt_version_tag" if is_prompt else "model_version_tag"
        yield from _tags(entity, payload["changes"], at)
    elif act == "asset.annotate" and is_prompt:
        yield from _tags("prompt_tag", payload["changes"], {"name": name})
    moves = [payload] if act == "alias.set" else payload.get("alias_moves", [])
    entity = "prompt_alias" if is_prompt else "model_version_alias"
    for move in moves:
        said = {"name": name, "alias": move["alias"]}
        if move["version_id"] is None:
            yield Event(f"{entity}.deleted", said)
        else:
            number = told.versions[move["version_id"]].number
            yield Event(f"{entity}.created", {**said, "version": str(number)})


def _registered(payload: Mapping[str, Any], name: str, *, is_prompt: bool) -> Event:
    version, state = payload["version"], payload["state"]
    metadata = version["metadata"]
    about = _object(_object(metadata.get("extra")).get("mlflow"))
    at = {"name": name, "version": str(version["number"])}
    description = state["description"] or None
    if is_prompt:
        prompt = _object(metadata.get("prompt"))  # a draft may say nothing yet
        shown = prompts.tags_of(prompt, about) if "template" in prompt else {prompts.TEXT: ""}
        tags = {**state["tags"], **{key: shown[key] for key in shown if key not in _SAID}}
        said = {"template": shown[prompts.TEXT], "tags": tags, "description": description}
        return Event("prompt_version.created", at | said)
    source = about.get("source") or f"mlflow-artifacts:/versions/{version['id']}"
    said = {
        "source": source,
        "run_id": _object(metadata.get("run")).get("id"),
        "tags": state["tags"],
        "description": description,
    }
    return Event("model_version.created", at | said)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _tags(entity: str, changes: Mapping[str, Any], at: Mapping[str, str]) -> Iterator[Event]:
    for field, (_, after) in changes.items():
        if not field.startswith("tags."):
            continue
        said = {**at, "key": field.removeprefix("tags.")}
        if after is None:
            yield Event(f"{entity}.deleted", said)
        else:
            yield Event(f"{entity}.set", {**said, "value": after})


DIALECT: Final = MlflowWebhooks()
