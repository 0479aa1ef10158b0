"""What MLflow's webhooks are told of an entry, and how it looks on the wire."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import uuid
from typing import Any

import pytest

from muniment.core.errors import BadRequest
from muniment.core.names import AssetName, AssetRef, Namespace
from muniment.server.facades.mlflow.rules import prompts, webhooks
from muniment.server.facades.mlflow.rules.webhooks import ACTIONS, DIALECT
from muniment.server.federation.records import (
    Envelope,
    Told,
    ToldVersion,
    Webhook,
    WebhookState,
)
from muniment.server.ledger.records import Actor, Recorded, Subject

NOW = dt.datetime(2026, 4, 20, 9, tzinfo=dt.UTC)
ADA = Actor("person", "ada")
STATE = {"description": "", "tags": {"team": "risk"}}
EVENTS = [f"{entity}.{action}" for entity, actions in ACTIONS.items() for action in actions]


def told(
    act: str, payload: dict[str, Any] | None, kind: str = "model", namespace: str = "default"
) -> Told:
    subject = Subject("version", "v1", "m@1.0.0", uuid.UUID(int=5))
    entry = Recorded(uuid.UUID(int=1), NOW, act, ADA, subject, payload, None)
    asset = AssetRef(Namespace(namespace), AssetName("m"))
    return Told(entry, asset, kind, {"v1": ToldVersion(7, "7.0.0"), "v2": ToldVersion(8, "8.0.0")})


def said(one: Told) -> list[tuple[str, dict[str, Any]]]:
    return [(event.name, dict(event.data)) for event in DIALECT.events_of(one)]


def registered(**metadata: Any) -> dict[str, Any]:
    return {"version": {"id": "v1", "number": 7, "metadata": metadata}, "state": STATE}


@pytest.mark.parametrize(
    ("one", "wanted"),
    [
        (
            told("asset.create", {"state": STATE}),
            [
                (
                    "registered_model.created",
                    {"name": "m", "tags": {"team": "risk"}, "description": ""},
                )
            ],
        ),
        (
            told("asset.create", {"state": STATE}, "prompt"),
            [("prompt.created", {"name": "m", "tags": {"team": "risk"}, "description": ""})],
        ),
        (
            told(
                "version.register",
                registered(extra={"mlflow": {"source": "runs:/r/m"}}, run={"id": "r"}),
            ),
            [
                (
                    "model_version.created",
                    {
                        "name": "m",
                        "version": "7",
                        "source": "runs:/r/m",
                        "run_id": "r",
                        "tags": {"team": "risk"},
                        "description": None,
                    },
                )
            ],
        ),
        (
            told("version.register", registered(extra={"mlflow": "odd"}, run="odd")),
            [
                (
                    "model_version.created",
                    {
                        "name": "m",
                        "version": "7",
                        "source": "mlflow-artifacts:/versions/v1",
                        "run_id": None,
                        "tags": {"team": "risk"},
                        "description": None,
                    },
                )
            ],
        ),
        (
            told(
                "version.register",
                registered(prompt={"template": "Hi {{x}}", "settings": {"t": 1}}),
                "prompt",
            ),
            [
                (
                    "prompt_version.created",
                    {
                        "name": "m",
                        "version": "7",
                        "template": "Hi {{x}}",
                        "tags": {"team": "risk", prompts.CONFIG: '{"t": 1}'},
                        "description": None,
                    },
                )
            ],
        ),
        (
            told("version.register", registered(), "prompt"),
            [
                (
                    "prompt_version.created",
                    {
                        "name": "m",
                        "version": "7",
                        "template": "",
                        "tags": {"team": "risk"},
                        "description": None,
                    },
                )
            ],
        ),
        (
            told(
                "version.annotate",
                {
                    "changes": {
                        "tags.a": [None, "b"],
                        "tags.c": ["d", None],
                        "description": ["", "x"],
                    }
                },
            ),
            [
                (
                    "model_version_tag.set",
                    {"name": "m", "version": "7", "key": "a", "value": "b"},
                ),
                ("model_version_tag.deleted", {"name": "m", "version": "7", "key": "c"}),
            ],
        ),
        (
            told("version.annotate", {"changes": {"tags.a.b": [None, ""]}}, "prompt"),
            [
                (
                    "prompt_version_tag.set",
                    {"name": "m", "version": "7", "key": "a.b", "value": ""},
                )
            ],
        ),
        (
            told("asset.annotate", {"changes": {"tags.a": ["b", None]}}, "prompt"),
            [("prompt_tag.deleted", {"name": "m", "key": "a"})],
        ),
        (told("asset.annotate", {"changes": {"tags.a": ["b", None]}}), []),
        (
            told("alias.set", {"alias": "champion", "version_id": "v2"}),
            [("model_version_alias.created", {"name": "m", "alias": "champion", "version": "8"})],
        ),
        (
            told("alias.set", {"alias": "champion", "version_id": None}, "prompt"),
            [("prompt_alias.deleted", {"name": "m", "alias": "champion"})],
        ),
        (
            told(
                "version.promote",
                {"alias_moves": [{"alias": "live", "version_id": "v1"}]},
            ),
            [("model_version_alias.created", {"name": "m", "alias": "live", "version": "7"})],
        ),
        (told("version.retire", {"reason": "old"}), []),
        (told("asset.create", None), []),
        (told("asset.create", {"state": STATE}, namespace="risk"), []),
        (Told(told("scrub.finish", {}).entry), []),
    ],
)
def test_an_entry_tells_what_mlflow_would(one: Told, wanted: Any) -> None:
    assert said(one) == wanted
    for name, _ in wanted:
        acts = DIALECT.acts([name])
        assert {one.entry.act, one.entry.act.partition(".")[0] + ".*"} & set(acts)


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_has_an_example_and_is_read_from_the_wire(name: str) -> None:
    entity, _, action = name.upper().partition(".")
    assert webhooks.event_of(entity, action) == name
    event = DIALECT.example([name, "other"])
    assert event.name == name
    assert event.data
    assert DIALECT.wants([name], name)
    assert not DIALECT.wants([name], "model_version.other")


@pytest.mark.parametrize(
    ("entity", "action", "says"),
    [
        (
            "MODEL_VERSION",
            "DELETED",
            "Invalid action 'deleted' for entity 'model_version'. Valid actions are: ['created']",
        ),
        ("MODEL", "CREATED", "no entity 'MODEL'"),
        ("model_version", "CREATED", "no entity 'model_version'"),
        ("MODEL_VERSION", "EXPLODED", "no action 'EXPLODED'"),
        ("MODEL_VERSION", "created", "no action 'created'"),
        ("", "", "no entity ''"),
    ],
)
def test_what_is_no_event_is_said_in_mlflows_words(entity: str, action: str, says: str) -> None:
    with pytest.raises(BadRequest) as refused:
        webhooks.event_of(entity, action)
    assert says in refused.value.message


def test_a_message_carries_mlflows_headers_and_signature() -> None:
    delivery, sent = uuid.UUID(int=9), NOW + dt.timedelta(seconds=5)
    event = DIALECT.example(["prompt_tag.set"])
    message = DIALECT.message(event, Envelope(delivery, NOW, sent, ["s3cret", "older"]))
    assert json.loads(message.body) == {
        "entity": "prompt_tag",
        "action": "set",
        "timestamp": "2026-04-20T09:00:00+00:00",
        "data": {"name": "example", "key": "team", "value": "example"},
    }
    signed = f"{delivery}.{int(sent.timestamp())}.{message.body.decode()}".encode()
    wanted = base64.b64encode(hmac.digest(b"s3cret", signed, hashlib.sha256)).decode()
    assert dict(message.headers) == {
        "Content-Type": "application/json",
        "X-MLflow-Delivery-Id": str(delivery),
        "X-MLflow-Timestamp": str(int(sent.timestamp())),
        "X-MLflow-Signature": f"v1,{wanted}",
    }
    unsigned = DIALECT.message(event, Envelope(delivery, NOW, sent))
    assert "X-MLflow-Signature" not in unsigned.headers


def test_a_webhook_is_shown_as_mlflow_does_with_limits_of_its_columns() -> None:
    state = WebhookState("hook", "https://example.com/", ("prompt_tag.set",), (), "why")
    one = Webhook(uuid.UUID(int=3), "mlflow", state, None, 1, NOW, ADA, NOW, ADA, uuid.UUID(int=4))
    assert webhooks.webhook_json(one) == {
        "webhook_id": str(uuid.UUID(int=3)),
        "name": "hook",
        "description": "why",
        "url": "https://example.com/",
        "events": [{"entity": "PROMPT_TAG", "action": "SET"}],
        "status": "ACTIVE",
        "creation_timestamp": int(NOW.timestamp() * 1000),
        "last_updated_timestamp": int(NOW.timestamp() * 1000),
    }
    assert DIALECT.problems(state) == []
    long = WebhookState("hook", "https://example.com/" + "x" * 490, ("prompt_tag.set",), ())
    assert [one["field"] for one in DIALECT.problems(long)] == ["url"]
