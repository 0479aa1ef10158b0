"""Knowing a digest, or the id of somebody's upload, gives no access to bytes."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from muniment.server.http.records import Role, Scope
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import Clock
from muniment.server.ports.db import Database
from muniment.server.ports.keys import Keys
from muniment.server.wiring import OPERATIONS
from tests.support.app import Client, RegistrySimulator, app_client

SECRET = b"weights that team a paid for"
DIGEST = hashlib.sha256(SECRET).hexdigest()
FILE = {"path": "model.bin", "sha256": DIGEST, "size_bytes": len(SECRET)}


@pytest.fixture
async def registry(
    db: Database, blobs: Blobs, keys: Keys, clock: Clock
) -> AsyncIterator[RegistrySimulator]:
    async with app_client(db, blobs, keys, clock, OPERATIONS) as simulator:
        yield simulator


@pytest.fixture
def owner(registry: RegistrySimulator) -> Client:
    return registry.as_(Role.PUBLISHER, Scope("team-a"))


@pytest.fixture
def stranger(registry: RegistrySimulator) -> Client:
    return registry.as_(Role.PUBLISHER, Scope("team-b"))


async def open_upload(client: Client, namespace: str) -> str:
    body = {"name": "thing", "namespace": namespace}
    answer = await client.post("/api/v1/uploads", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def declare(client: Client, upload_id: str, size_bytes: int = len(SECRET)) -> str:
    body = {"blobs": [{"sha256": DIGEST, "size_bytes": size_bytes}]}
    answer = await client.post(f"/api/v1/uploads/{upload_id}/blobs", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["items"][0]["state"])


async def register(
    client: Client, namespace: str, upload_id: str | None, version: str = "1.0.0"
) -> Any:
    body = {
        "version": version,
        "files": [FILE],
        "upload_id": upload_id,
        "create_asset": {"kind": "model", "owner": "ada"},
    }
    return await client.post(f"/api/v1/assets/{namespace}/thing/versions", json=body)


async def owned(owner: Client) -> str:
    upload_id = await open_upload(owner, "team-a")
    assert await declare(owner, upload_id) == "missing"
    url = f"/api/v1/uploads/{upload_id}/blobs/{DIGEST}"
    answer = await owner.put(url, content=SECRET)
    assert answer.json()["state"] == "held", answer.text
    return upload_id


async def test_a_held_blob_is_missing_to_who_may_not_read_it(
    owner: Client, stranger: Client
) -> None:
    upload_id = await owned(owner)
    assert (await register(owner, "team-a", upload_id)).status_code == 201
    assert await declare(stranger, await open_upload(stranger, "team-b")) == "missing"


async def test_who_may_read_a_version_need_not_send_its_bytes(owner: Client) -> None:
    assert (await register(owner, "team-a", await owned(owner))).status_code == 201
    assert await declare(owner, await open_upload(owner, "team-a")) == "held"
    assert (await register(owner, "team-a", None, "2.0.0")).status_code == 201


async def test_a_digest_alone_cannot_be_registered(owner: Client, stranger: Client) -> None:
    assert (await register(owner, "team-a", await owned(owner))).status_code == 201
    upload_id = await open_upload(stranger, "team-b")
    await declare(stranger, upload_id)
    answer = await register(stranger, "team-b", upload_id)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_manifest")


async def test_sealing_needs_the_bytes_even_of_a_blob_that_is_held(
    owner: Client, stranger: Client
) -> None:
    assert (await register(owner, "team-a", await owned(owner))).status_code == 201
    upload_id = await open_upload(stranger, "team-b")
    await declare(stranger, upload_id)
    answer = await stranger.post(f"/api/v1/uploads/{upload_id}/blobs/{DIGEST}/seal")
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_conflict")
    assert answer.json()["missing"] == [[0, len(SECRET)]]
    assert (await register(stranger, "team-b", upload_id)).status_code == 422


async def test_some_of_the_bytes_are_not_enough(owner: Client, stranger: Client) -> None:
    assert (await register(owner, "team-a", await owned(owner))).status_code == 201
    upload_id = await open_upload(stranger, "team-b")
    await declare(stranger, upload_id)
    url = f"/api/v1/uploads/{upload_id}/blobs/{DIGEST}"
    assert (await stranger.put(url, content=SECRET[:4])).json()["state"] == "partial"
    answer = await stranger.post(f"{url}/seal")
    assert answer.json()["missing"] == [[4, len(SECRET)]]


@pytest.mark.parametrize("size_bytes", [0, 5])
async def test_another_size_opens_nothing_either(
    owner: Client, stranger: Client, size_bytes: int
) -> None:
    assert (await register(owner, "team-a", await owned(owner))).status_code == 201
    upload_id = await open_upload(stranger, "team-b")
    assert await declare(stranger, upload_id, size_bytes) == "missing"
    url = f"/api/v1/uploads/{upload_id}/blobs/{DIGEST}"
    assert (await stranger.put(url, content=b"x" * size_bytes)).status_code == 422
    assert (await stranger.post(f"{url}/seal")).status_code in {409, 422}
    assert (await register(stranger, "team-b", upload_id)).status_code == 422


async def test_the_session_of_another_lends_no_bytes(owner: Client, stranger: Client) -> None:
    upload_id = await owned(owner)
    answer = await register(stranger, "team-b", upload_id)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_the_session_of_another_is_not_there(owner: Client, stranger: Client) -> None:
    upload_id = await owned(owner)
    url = f"/api/v1/uploads/{upload_id}"
    blob = {"blobs": [{"sha256": DIGEST, "size_bytes": len(SECRET)}]}
    for answer in (
        await stranger.get(url),
        await stranger.delete(url),
        await stranger.post(f"{url}/blobs", json=blob),
        await stranger.put(f"{url}/blobs/{DIGEST}", content=SECRET),
        await stranger.post(f"{url}/blobs/{DIGEST}/seal"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await owner.get(url)).json()["state"] == "open"


async def test_a_session_that_is_over_lends_no_bytes(owner: Client) -> None:
    upload_id = await owned(owner)
    assert (await owner.delete(f"/api/v1/uploads/{upload_id}")).status_code == 204
    answer = await register(owner, "team-a", upload_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_conflict")
    assert await declare(owner, await open_upload(owner, "team-a")) == "missing"


async def test_a_session_that_never_was_lends_nothing(owner: Client) -> None:
    await owned(owner)
    answer = await register(owner, "team-a", str(uuid.UUID(int=7)))
    assert answer.status_code == 404


async def test_files_are_read_only_by_who_may_read_the_asset(
    owner: Client, stranger: Client, registry: RegistrySimulator
) -> None:
    assert (await register(owner, "team-a", await owned(owner))).status_code == 201
    version = "/api/v1/assets/team-a/thing/versions/1.0.0"
    for path in ("files/model.bin", "manifest", "receipt", "signing-statement"):
        assert (await stranger.get(f"{version}/{path}")).status_code == 404, path
        assert (await registry.anonymous.get(f"{version}/{path}")).status_code == 401, path
    assert (await owner.get(f"{version}/files/model.bin")).content == SECRET
    sides = {"left": "team-a/thing@1.0.0", "right": "team-a/thing@1.0.0"}
    assert (await stranger.get("/api/v1/compare", params=sides)).status_code == 404
