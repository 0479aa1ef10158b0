"""Versions registered from uploads as MLflow would have: numbered here, described by their MLmodel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from muniment.server.http.records import Grant, Role, Scope
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import Clock
from muniment.server.ports.db import Database
from muniment.server.ports.keys import Keys
from muniment.server.wiring import DIALECTS, FACADES, OPERATIONS
from tests.support.app import Client, RegistrySimulator, app_client
from tests.support.uploads import Session, sha256

URL = "/api/v1/assets/default/m/mlflow-versions"
MLMODEL = b"""\
flavors:
  sklearn: {sklearn_version: 1.7.2}
signature:
  inputs: '[{"type": "double", "name": "x"}]'
  outputs: '[{"type": "long"}]'
"""
FILES = {"MLmodel": MLMODEL, "data/weights.bin": b"weights"}


@pytest.fixture
async def registry(
    db: Database, blobs: Blobs, keys: Keys, clock: Clock
) -> AsyncIterator[RegistrySimulator]:
    operations = [*OPERATIONS, *FACADES]
    async with app_client(db, blobs, keys, clock, operations, dialects=DIALECTS) as simulator:
        yield simulator


@pytest.fixture
async def admin(registry: RegistrySimulator) -> Client:
    client = registry.as_(Role.ADMIN)
    made = await client.post("/api/v1/assets", json={"name": "m", "kind": "model", "owner": "ada"})
    assert made.status_code == 201, made.text
    return client


def body_of(session: Session, files: dict[str, bytes] = FILES, **more: Any) -> dict[str, Any]:
    listed = [
        {"path": path, "sha256": sha256(data), "size_bytes": len(data)}
        for path, data in files.items()
    ]
    return {"upload_id": session.id, "files": listed, "source": "runs:/1/m", **more}


async def sent(client: Client, files: dict[str, bytes] = FILES, **more: Any) -> dict[str, Any]:
    session = await Session.open(client)
    await session.send(*files.values())
    return body_of(session, files, **more)


async def metadata_after(client: Client, body: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(URL, json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()["metadata"]
    return found


async def test_the_version_is_what_its_files_and_its_run_say(admin: Client) -> None:
    said: dict[str, Any] = {
        "run_id": "1", "model_id": "m-2", "run_link": "https://t/1", "tracking_uri": "https://t",
        "params": {"C": "1.0"}, "description": "d", "tags": {"k": "v"},
    }  # fmt: skip
    answer = await admin.post(URL, json=await sent(admin, **said))
    assert answer.status_code == 201, answer.text
    version = answer.json()
    assert (version["number"], version["version"], version["tags"]) == (1, "1.0.0", {"k": "v"})
    metadata = version["metadata"]
    assert metadata["signature"]["inputs"] == [{"type": "double", "name": "x"}]
    assert metadata["frameworks"] == [{"name": "sklearn", "version": "1.7.2"}]
    assert (metadata["run"], metadata["hyperparameters"]) == ({"id": "1"}, {"C": "1.0"})
    about = metadata["extra"]["mlflow"]
    assert about == {
        "source": "runs:/1/m", "model_id": "m-2", "run_link": "https://t/1",
        "tracking_uri": "https://t", "flavors": ["sklearn"],
    }  # fmt: skip
    seen = (await admin.get("/api/2.0/mlflow/model-versions/get?name=m&version=1")).json()
    assert (seen["model_version"]["source"], seen["model_version"]["status"]) == (
        "runs:/1/m",
        "READY",
    )


async def test_each_registration_is_a_version_and_a_repeated_request_is_one(admin: Client) -> None:
    body = await sent(admin)
    answers = [
        await admin.post(URL, json=body, headers={"idempotency-key": key})
        for key in ("a", "a", "b")
    ]
    assert [one.json()["number"] for one in answers] == [1, 1, 2]


async def test_what_cannot_be_recorded_of_a_run_is_left_out_and_the_rest_stays(
    admin: Client,
) -> None:
    metadata = await metadata_after(admin, await sent(admin, params={"": "x"}))
    assert "hyperparameters" not in metadata
    assert metadata["frameworks"]


async def test_an_mlmodel_nobody_can_read_leaves_a_version_without_it(admin: Client) -> None:
    metadata = await metadata_after(admin, await sent(admin, {"MLmodel": b"{"}))
    assert metadata == {"extra": {"mlflow": {"source": "runs:/1/m"}}}


async def test_a_digest_alone_shows_nothing_of_the_file(
    registry: RegistrySimulator, admin: Client
) -> None:
    """Neither registered nor read: the refusal says nothing of what the file holds."""
    await metadata_after(admin, await sent(admin))
    registrar = registry.with_grants(Grant(Role.CONTRIBUTOR, Scope("default", "other")))
    made = await admin.post(
        "/api/v1/assets", json={"name": "other", "kind": "model", "owner": "ada"}
    )
    assert made.status_code == 201
    opened = await registrar.post("/api/v1/uploads", json={"name": "other"})
    body = body_of(Session(registrar, opened.json()["id"]))
    answer = await registrar.post("/api/v1/assets/default/other/mlflow-versions", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_manifest")
    assert "sklearn" not in answer.text


async def test_a_size_that_was_only_said_is_not_believed(admin: Client) -> None:
    body = await sent(admin)
    body["files"][0]["size_bytes"] = 1
    answer = await admin.post(URL, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_manifest")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"files": []}, "bad_manifest"),
        ({"files": [{"path": "a", "sha256": "x", "size_bytes": 1}] * 2}, "bad_manifest"),
        ({"files": [{"path": "../a", "sha256": "a" * 64, "size_bytes": 1}]}, "bad_manifest"),
        ({"source": "x" * 2001}, "bad_body"),
        ({"source": "nul\0"}, "bad_body"),
        ({"run_id": "x" * 1999}, "bad_metadata"),
        ({"tags": {"k": "v" * 100_001}}, "bad_body"),
        ({"unknown": 1}, "bad_body"),
        ({"upload_id": "none"}, "bad_body"),
    ],
)
async def test_bad_input_is_refused_and_nothing_is_written(
    admin: Client, change: dict[str, Any], code: str
) -> None:
    answer = await admin.post(URL, json={**await sent(admin), **change})
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert (await admin.get("/api/v1/assets/default/m/versions")).json()["items"] == []


async def test_all_bad_digests_are_named_at_once(admin: Client) -> None:
    bad = [{"path": name, "sha256": "x", "size_bytes": 1} for name in ("a", "b")]
    answer = await admin.post(URL, json={**await sent(admin), "files": bad})
    assert [one["field"] for one in answer.json()["problems"]] == [
        "files[0].sha256",
        "files[1].sha256",
    ]


async def test_there_must_be_such_an_asset_and_one_must_be_allowed(
    registry: RegistrySimulator, admin: Client
) -> None:
    body = await sent(admin)
    missing = await admin.post(URL.replace("/m/", "/none/"), json=body)
    assert missing.status_code == 404

    async def status(client: httpx.AsyncClient) -> int:
        return (await client.post(URL, json=body)).status_code

    assert await status(registry.as_(Role.VIEWER)) == 403
    assert await status(registry.nobody) == 404
    assert await status(registry.anonymous) == 401
