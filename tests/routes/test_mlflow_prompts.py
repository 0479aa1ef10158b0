"""Prompts through MLflow's endpoints: assets of kind prompt, whose text never changes."""

from __future__ import annotations

import json
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
from tests.support.app import Client, app_client

API = "/api/2.0/mlflow"
IS_PROMPT = {"key": "mlflow.prompt.is_prompt", "value": "true"}


@pytest.fixture
async def admin(db: Database, blobs: Blobs, keys: Keys, clock: Clock) -> AsyncIterator[Client]:
    operations = [*OPERATIONS, *FACADES]
    async with app_client(db, blobs, keys, clock, operations, dialects=DIALECTS) as simulator:
        yield simulator.as_(Role.ADMIN)


async def ok(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def said(text: str, **more: str) -> list[dict[str, str]]:
    tags = {"mlflow.prompt.text": text, **more}
    return [IS_PROMPT, *({"key": key, "value": value} for key, value in tags.items())]


async def a_prompt(client: Client, name: str = "p", text: str = "Hi {{ who }}", **more: str) -> Any:
    """Register a version of the prompt `name`, making it if need be; return the version."""
    await client.post(f"{API}/registered-models/create", json={"name": name, "tags": [IS_PROMPT]})
    body = {"name": name, "source": "dummy-source", "tags": said(text, **more)}
    made = await ok(await client.post(f"{API}/model-versions/create", json=body))
    return made["model_version"]


def refused(answer: httpx.Response, says: str, code: str = "INVALID_PARAMETER_VALUE") -> None:
    assert answer.status_code == 400, answer.text
    assert answer.json()["error_code"] == code
    assert says in answer.json()["message"]


async def test_a_prompt_is_an_asset_with_its_text_and_variables(admin: Client) -> None:
    text = "Hi {{ who }}, {{x}}! ' \" é\n" + "long" * 20_000
    version = await a_prompt(admin, text=text, team="risk")
    assert {one["key"]: one["value"] for one in version["tags"]} == {
        "mlflow.prompt.is_prompt": "true",
        "mlflow.prompt.text": text,
        "team": "risk",
    }
    assert version["source"] == "dummy-source"
    asset = await ok(await admin.get("/api/v1/assets/default/p"))
    assert asset["kind"] == "prompt"
    assert asset["tags"] == {}
    ours = await ok(await admin.get("/api/v1/assets/default/p/versions/1.0.0"))
    assert ours["metadata"]["prompt"] == {"template": text, "variables": ["who", "x"]}
    model = await ok(await admin.get(f"{API}/registered-models/get?name=p"))
    assert model["registered_model"]["tags"] == [IS_PROMPT]


async def test_a_prompt_of_our_own_api_shows_in_mlflow(admin: Client) -> None:
    messages = [{"role": "user", "content": "Hi {{x}}"}]
    body = {
        "version": "2.0.0",
        "files": [],
        "metadata": {"prompt": {"template": messages, "variables": ["x"], "output_schema": {}}},
        "create_asset": {"kind": "prompt", "owner": "ada"},
    }
    made = await admin.post("/api/v1/assets/default/q/versions", json=body)
    assert made.status_code == 201, made.text
    shown = await ok(await admin.get(f"{API}/model-versions/get?name=q&version=1"))
    tags = {one["key"]: one["value"] for one in shown["model_version"]["tags"]}
    assert json.loads(tags["mlflow.prompt.text"]) == messages
    assert tags["_mlflow_prompt_type"] == "chat"
    assert tags["_mlflow_prompt_response_format"] == "{}"


async def test_what_a_prompt_says_cannot_be_rewritten(admin: Client) -> None:
    """MLflow itself rewrites the text of a registered prompt by set-tag."""
    await a_prompt(admin)
    at = {"name": "p", "version": "1"}
    for key, value in (
        ("mlflow.prompt.text", "other"),
        ("mlflow.prompt.is_prompt", "false"),
        ("_mlflow_prompt_type", "chat"),
    ):
        answer = await admin.post(
            f"{API}/model-versions/set-tag", json=at | {"key": key, "value": value}
        )
        refused(answer, "a version never changes")
    for key in ("mlflow.prompt.text", "mlflow.prompt.is_prompt"):
        answer = await admin.request(
            "DELETE", f"{API}/model-versions/delete-tag", json=at | {"key": key}
        )
        refused(answer, "a version never changes")
    same = at | {"key": "mlflow.prompt.text", "value": "Hi {{ who }}"}
    await ok(await admin.post(f"{API}/model-versions/set-tag", json=same))
    await ok(
        await admin.post(f"{API}/model-versions/set-tag", json=at | {"key": "k", "value": "v"})
    )
    shown = await ok(await admin.get(f"{API}/model-versions/get", params=at))
    tags = {one["key"]: one["value"] for one in shown["model_version"]["tags"]}
    assert tags == {
        "k": "v",
        "mlflow.prompt.is_prompt": "true",
        "mlflow.prompt.text": "Hi {{ who }}",
    }


async def test_a_prompt_stays_a_prompt_and_a_model_a_model(admin: Client) -> None:
    await a_prompt(admin)
    await admin.post(f"{API}/registered-models/create", json={"name": "m"})
    for name, value in (("p", "false"), ("m", "true")):
        body = {"name": name, "key": "mlflow.prompt.is_prompt", "value": value}
        refused(await admin.post(f"{API}/registered-models/set-tag", json=body), "stays one")
    body = {"name": "p", "key": "mlflow.prompt.is_prompt"}
    gone = await admin.request("DELETE", f"{API}/registered-models/delete-tag", json=body)
    refused(gone, "stays one")
    missing = {"name": "m", "key": "mlflow.prompt.is_prompt"}
    await ok(await admin.request("DELETE", f"{API}/registered-models/delete-tag", json=missing))
    as_model = {"name": "m", "source": "dummy-source", "tags": said("x")}
    refused(await admin.post(f"{API}/model-versions/create", json=as_model), "is of prompts")
    for source in ("models:/p/1", "runs:/" + "a" * 32 + "/x", "file:///etc/passwd", "s3://b/x"):
        bad = {"name": "p", "source": source, "tags": said("x")}
        refused(await admin.post(f"{API}/model-versions/create", json=bad), "Invalid prompt source")
    copied = {"name": "m", "source": "models:/p/1"}
    refused(await admin.post(f"{API}/model-versions/create", json=copied), "is a prompt")


async def test_a_name_is_of_a_prompt_or_a_model(admin: Client) -> None:
    await a_prompt(admin)
    await admin.post(f"{API}/registered-models/create", json={"name": "m"})
    for name, tags, says in (
        ("p", [IS_PROMPT], "Prompt (name=p) already exists."),
        ("p", [], "already taken by a prompt"),
        ("m", [IS_PROMPT], "already taken by a registered model"),
        ("m", [], "Registered Model (name=m) already exists."),
    ):
        answer = await admin.post(
            f"{API}/registered-models/create", json={"name": name, "tags": tags}
        )
        refused(answer, says, "RESOURCE_ALREADY_EXISTS")
    odd = {"name": "o", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "maybe"}]}
    refused(await admin.post(f"{API}/registered-models/create", json=odd), "'maybe'")


async def test_what_says_no_prompt_leaves_nothing(admin: Client) -> None:
    await a_prompt(admin)
    for tags in (
        [],
        said(""),
        said("x", _mlflow_prompt_response_format="{"),
        said("x" * 100_001),
        said("x", _mlflow_prompt_model_config=json.dumps({"x" * 300: 1})),
    ):
        body = {"name": "p", "source": "prompt-template", "tags": tags}
        answer = await admin.post(f"{API}/model-versions/create", json=body)
        assert (answer.status_code, answer.json()["error_code"]) == (
            400,
            "INVALID_PARAMETER_VALUE",
        ), answer.text
    both = "tags.`mlflow.prompt.is_prompt` = 'true'"
    found = await ok(await admin.get(f"{API}/model-versions/search", params={"filter": both}))
    assert len(found["model_versions"]) == 1


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", ["m"]),
        ("name LIKE '%'", ["m"]),
        ("tags.`mlflow.prompt.is_prompt` = 'true'", ["p", "q"]),
        ("tag.`mlflow.prompt.is_prompt` != 'false' AND name = 'q'", ["q"]),
        ("tag.`mlflow.prompt.is_prompt` != 'true'", ["m"]),
        ("tag.`mlflow.prompt.is_prompt` = 'false'", ["m"]),
        (
            "tag.`mlflow.prompt.is_prompt` = 'true' AND tag.`mlflow.prompt.is_prompt` != 'true'",
            [],
        ),
    ],
)
async def test_prompts_are_found_where_they_are_asked_for(
    admin: Client, asked: str, found: list[str]
) -> None:
    await a_prompt(admin)
    await a_prompt(admin, "q", text="needle {{a}}")
    await admin.post(f"{API}/registered-models/create", json={"name": "m"})
    answer = await ok(await admin.get(f"{API}/registered-models/search", params={"filter": asked}))
    assert [one["name"] for one in answer.get("registered_models", [])] == found
    needle = "tags.`mlflow.prompt.is_prompt` = 'true' AND tags.`mlflow.prompt.text` LIKE '%needle%'"
    answer = await ok(await admin.get(f"{API}/model-versions/search", params={"filter": needle}))
    assert [one["name"] for one in answer["model_versions"]] == ["q"]
