"""MLflow's webhook endpoints: the webhooks of our own API in its format."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from muniment.server.http.records import Role
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import Clock
from muniment.server.ports.db import Database
from muniment.server.ports.keys import Keys
from muniment.server.wiring import DIALECTS, FACADES, OPERATIONS
from tests.support.app import RegistrySimulator, app_client
from tests.support.policies import bare
from tests.support.receiver import Receiver, hooked, receiving, run_webhooks

API = "/api/2.0/mlflow"
HOOKS = f"{API}/webhooks"
CREATED = {"entity": "REGISTERED_MODEL", "action": "CREATED"}
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def registry(
    db: Database, blobs: Blobs, keys: Keys, clock: Clock
) -> AsyncIterator[RegistrySimulator]:
    operations = [*OPERATIONS, *FACADES]
    async with app_client(
        db,
        blobs,
        keys,
        clock,
        operations,
        first=bare(),
        dialects=DIALECTS,
        outbound_private=("127.0.0.1",),
    ) as simulator:
        yield simulator


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


def ok(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_webhook_lives_as_in_mlflow(registry: RegistrySimulator) -> None:
    admin = registry.as_(Role.ADMIN)
    body = {
        "name": "Hook",
        "url": "https://example.com/hook",
        "events": [CREATED, {"entity": "BUDGET_POLICY", "action": "EXCEEDED"}],
        "secret": "s3cret",
        "unknown": 1,
    }
    made = ok(await admin.post(HOOKS, json=body))["webhook"]
    assert made == {
        "webhook_id": made["webhook_id"],
        "name": "Hook",
        "url": "https://example.com/hook",
        "events": body["events"],
        "status": "ACTIVE",
        "creation_timestamp": made["creation_timestamp"],
        "last_updated_timestamp": made["creation_timestamp"],
    }
    at = f"{HOOKS}/{made['webhook_id']}"
    assert ok(await admin.get(at)) == {"webhook": made}
    assert ok(await admin.get(at.replace("/api/", "/ajax-api/"))) == {"webhook": made}
    change = {"description": "why", "status": "DISABLED", "name": "", "events": []}
    changed = ok(await admin.patch(at, json=change))["webhook"]
    assert changed | {"last_updated_timestamp": 0} == made | {
        "description": "why",
        "status": "DISABLED",
        "last_updated_timestamp": 0,
    }
    ours = (await admin.get(f"/api/v1/webhooks/{made['webhook_id']}")).json()
    assert (ours["dialect"], ours["signed"], ours["events"][0]) == (
        "mlflow",
        True,
        "registered_model.created",
    )
    ok(await admin.patch(at, json={"secret": ""}))
    ours = (await admin.get(f"/api/v1/webhooks/{made['webhook_id']}")).json()
    assert not ours["signed"]
    assert ok(await admin.patch(at, json={"description": ""}))["webhook"].get("description") is None
    assert ok(await admin.delete(at)) == {}
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test")):
        gone = await admin.request(method, at + path, json={})
        assert gone.status_code == 404
        assert gone.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
        assert gone.json()["message"] == f"Webhook with ID {made['webhook_id']} not found."


async def test_webhooks_are_listed_in_pages_and_ours_are_not_among_them(
    registry: RegistrySimulator,
) -> None:
    admin = registry.as_(Role.ADMIN)
    assert ok(await admin.get(HOOKS)) == {}
    ours = await hooked(registry, "https://example.com/")
    for number in range(3):
        body = {"name": f"h{number}", "url": "https://example.com/", "events": [CREATED]}
        ok(await admin.post(HOOKS, json=body))
    first = ok(await admin.get(HOOKS, params={"max_results": 2}))
    rest = ok(
        await admin.get(HOOKS, params={"max_results": 2, "page_token": first["next_page_token"]})
    )
    names = [one["name"] for one in (*first["webhooks"], *rest["webhooks"])]
    assert names == ["h2", "h1", "h0"]
    assert "next_page_token" not in rest
    for wrong in ("-1", "1001"):
        answer = await admin.get(HOOKS, params={"max_results": wrong})
        assert answer.status_code == 400
        assert answer.json()["message"] == "max_results must be between 1 and 1000."
    for webhook_id in (ours["id"], NOBODY, "x"):
        assert (await admin.get(f"{HOOKS}/{webhook_id}")).status_code == 404


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "Missing value for required parameter 'name'."),
    ({"url": ""}, "Missing value for required parameter 'url'."),
    ({"events": []}, "Missing value for required parameter 'events'."),
    ({"name": "-x"}, "Webhook name '-x' is invalid."),
    ({"name": "x" * 64}, "is invalid."),
    ({"url": "http://example.com/"}, "https"),
    ({"url": "https://169.254.169.254/latest"}, "metadata"),
    ({"url": "https://example.com/" + "x" * 500}, "at most 500 characters"),
    ({"status": "SLEEPING"}, "'status'"),
    ({"description": "x" * 1001}, "at most 1000 characters"),
    (
        {"events": [{"entity": "MODEL_VERSION", "action": "DELETED"}]},
        "Invalid action 'deleted' for entity 'model_version'. Valid actions are: ['created']",
    ),
    ({"secret": "x" * 1001}, "`secret`"),
]


async def test_what_is_no_webhook_is_refused_in_mlflows_shape(registry: RegistrySimulator) -> None:
    admin = registry.as_(Role.ADMIN)
    good = {"name": "hook", "url": "https://example.com/", "events": [CREATED]}
    for wrong, says in WRONG:
        answer = await admin.post(HOOKS, json={**good, **wrong})
        assert answer.status_code == 400, wrong
        assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
        assert says in answer.json()["message"], wrong
    assert ok(await admin.get(HOOKS)) == {}
    for client, status in ((registry.anonymous, 401), (registry.as_(Role.PUBLISHER), 403)):
        for method, path in (
            ("POST", HOOKS),
            ("GET", HOOKS),
            ("GET", f"{HOOKS}/{NOBODY}"),
            ("PATCH", f"{HOOKS}/{NOBODY}"),
            ("DELETE", f"{HOOKS}/{NOBODY}"),
            ("POST", f"{HOOKS}/{NOBODY}/test"),
        ):
            answer = await client.request(method, path, json=None if method == "GET" else good)
            assert answer.status_code == status, (method, path)


def signed_with(secret: str, asked: Any) -> bool:
    content = (
        f"{asked.headers['x-mlflow-delivery-id']}.{asked.headers['x-mlflow-timestamp']}."
    ).encode() + asked.body
    wanted = base64.b64encode(hmac.digest(secret.encode(), content, hashlib.sha256)).decode()
    return bool(asked.headers["x-mlflow-signature"] == f"v1,{wanted}")


async def test_what_is_done_through_either_api_is_told_in_mlflows_format(
    registry: RegistrySimulator, receiver: Receiver
) -> None:
    admin = registry.as_(Role.ADMIN)
    events = [
        {"entity": entity, "action": action}
        for entity, action in (
            ("REGISTERED_MODEL", "CREATED"),
            ("PROMPT", "CREATED"),
            ("PROMPT_VERSION", "CREATED"),
            ("PROMPT_VERSION_TAG", "SET"),
            ("PROMPT_TAG", "SET"),
            ("PROMPT_ALIAS", "CREATED"),
            ("PROMPT_ALIAS", "DELETED"),
        )
    ]
    body = {"name": "h", "url": receiver.url, "events": events, "secret": "s3cret"}
    made = ok(await admin.post(HOOKS, json=body))["webhook"]
    is_prompt = {"key": "mlflow.prompt.is_prompt", "value": "true"}
    text = {"key": "mlflow.prompt.text", "value": "Hi {{x}}"}
    models, versions = f"{API}/registered-models", f"{API}/model-versions"
    ok(await admin.post(f"{models}/create", json={"name": "m", "description": "d"}))
    ok(await admin.post(f"{models}/create", json={"name": "p", "tags": [is_prompt]}))
    new = {"name": "p", "source": "dummy-source", "tags": [is_prompt, text]}
    ok(await admin.post(f"{versions}/create", json=new))
    tag = {"key": "a", "value": "b"}
    ok(await admin.post(f"{versions}/set-tag", json={"name": "p", "version": "1", **tag}))
    ok(await admin.post(f"{models}/set-tag", json={"name": "p", **tag}))
    alias = {"name": "p", "alias": "kept"}
    ok(await admin.post(f"{models}/alias", json={**alias, "version": "1"}))
    ok(await admin.request("DELETE", f"{models}/alias", json=alias))
    await run_webhooks(registry)
    told = {f"{one['entity']}.{one['action']}": one["data"] for one in receiver.told}
    assert told == {
        "registered_model.created": {"name": "m", "tags": {}, "description": "d"},
        "prompt.created": {"name": "p", "tags": {}, "description": ""},
        "prompt_version.created": {
            "name": "p",
            "version": "1",
            "template": "Hi {{x}}",
            "tags": {},
            "description": None,
        },
        "prompt_version_tag.set": {"name": "p", "version": "1", "key": "a", "value": "b"},
        "prompt_tag.set": {"name": "p", "key": "a", "value": "b"},
        "prompt_alias.created": {"name": "p", "alias": "kept", "version": "1"},
        "prompt_alias.deleted": {"name": "p", "alias": "kept"},
    }
    assert all(signed_with("s3cret", one) for one in receiver.asked)
    test = ok(await admin.post(f"{HOOKS}/{made['webhook_id']}/test", json={}))
    assert test == {"result": {"success": True, "response_status": 200, "response_body": "thanks"}}
    assert receiver.told[-1]["entity"] == "registered_model"
    receiver.status = 500
    event = {"entity": "PROMPT_ALIAS", "action": "DELETED"}
    test = ok(await admin.post(f"{HOOKS}/{made['webhook_id']}/test", json={"event": event}))
    assert not test["result"]["success"]
    assert test["result"]["error_message"] == "answered 500"
    assert receiver.told[-1]["entity"] == "prompt_alias"
    shown = (await admin.get(f"/api/v1/webhooks/{made['webhook_id']}/deliveries")).json()
    assert [one["state"] for one in shown["items"]][:2] == ["failed", "delivered"]
