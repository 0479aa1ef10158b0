"""MLflow's uploads in parts: joined as they were cut, and by whom; what is not whole is nothing."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from muniment.core.digest import digest_of
from muniment.server.artifacts.jobs import sweep_uploads
from muniment.server.http.records import Role, Scope
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.db import Database
from muniment.server.ports.keys import Keys
from muniment.server.wiring import DIALECTS, FACADES, OPERATIONS
from tests.support.app import Client, RegistrySimulator, app_client

PROXY = "/api/2.0/mlflow-artifacts"
AT = "0/r/artifacts/w"
FILE = f"{PROXY}/artifacts/{AT}/big.bin"
PARTS = [b"a" * 1000, b"b" * 1000, b"c" * 7]
WHOLE = b"".join(PARTS)


@pytest.fixture
async def registry(
    db: Database, blobs: Blobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[RegistrySimulator]:
    operations = [*OPERATIONS, *FACADES]
    async with app_client(
        db,
        blobs,
        keys,
        clock,
        operations,
        dialects=DIALECTS,
        max_file_bytes=3000,
        upload_quota_bytes=5000,
    ) as simulator:
        yield simulator


@pytest.fixture
def admin(registry: RegistrySimulator) -> Client:
    return registry.as_(Role.ADMIN)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error_code"]


async def created(client: Client, count: int = 3, at: str = AT) -> dict[str, Any]:
    body = {"path": "/home/ada/big.bin", "num_parts": count}
    answer = await client.post(f"{PROXY}/mpu/create/{at}", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def send(registry: RegistrySimulator, made: dict[str, Any]) -> list[dict[str, Any]]:
    """Send every part as the client does, last first and at the same time; return what it completes with."""

    async def one(credential: dict[str, Any], data: bytes) -> dict[str, Any]:
        answer = await registry.anonymous.put(
            credential["url"], content=data, headers=credential["headers"]
        )
        assert answer.status_code == 200, answer.text
        number, etag = credential["part_number"], answer.headers["etag"]
        return {"part_number": number, "etag": etag, "url": credential["url"]}

    pairs = list(zip(made["credentials"], PARTS, strict=True))
    sent = await asyncio.gather(*(one(*pair) for pair in reversed(pairs)))
    return list(reversed(sent))


async def complete(
    client: Client, made: dict[str, Any], parts: list[dict[str, Any]], at: str = AT
) -> httpx.Response:
    body = {"path": "/home/ada/big.bin", "upload_id": made["upload_id"], "parts": parts}
    return await client.post(f"{PROXY}/mpu/complete/{at}", json=body)


async def abort(client: Client, made: dict[str, Any]) -> httpx.Response:
    body = {"path": "big.bin", "upload_id": made["upload_id"]}
    return await client.post(f"{PROXY}/mpu/abort/{AT}", json=body)


async def test_parts_are_joined_and_completing_may_be_repeated(
    registry: RegistrySimulator, admin: Client, blobs: FakeBlobs
) -> None:
    made = await created(admin)
    assert [one["part_number"] for one in made["credentials"]] == [1, 2, 3]
    parts = await send(registry, made)
    assert (await admin.get(FILE)).status_code == 404
    assert blobs.blobs == {}
    for _ in range(3):
        answer = await complete(admin, made, parts)
        assert (answer.status_code, answer.json()) == (200, {})
    assert (await admin.get(FILE)).content == WHOLE
    assert list(blobs.blobs) == [digest_of(WHOLE)]
    assert blobs.staging == {}
    again = await registry.anonymous.put(made["credentials"][0]["url"], content=b"x")
    assert code(again) == (409, "RESOURCE_CONFLICT")
    assert (await abort(admin, made)).status_code == 200
    assert (await admin.get(FILE)).content == WHOLE


async def test_completing_at_the_same_time_makes_one(
    registry: RegistrySimulator, admin: Client
) -> None:
    made = await created(admin)
    parts = await send(registry, made)
    answers = await asyncio.gather(*(complete(admin, made, parts) for _ in range(4)))
    assert [one.status_code for one in answers] == [200] * 4
    assert (await admin.get(FILE)).content == WHOLE


async def test_a_part_sent_again_counts_by_its_etag(
    registry: RegistrySimulator, admin: Client
) -> None:
    made = await created(admin)
    parts = await send(registry, made)
    answer = await registry.anonymous.put(made["credentials"][2]["url"], content=b"other")
    assert answer.headers["etag"] != parts[2]["etag"]
    parts[2]["etag"] = answer.headers["etag"]
    assert (await complete(admin, made, parts)).status_code == 200
    assert (await admin.get(FILE)).content == PARTS[0] + PARTS[1] + b"other"


async def test_what_is_not_whole_is_refused_and_can_be_completed_then(
    registry: RegistrySimulator, admin: Client
) -> None:
    made = await created(admin)
    other = await created(admin, at=f"{AT}/x")
    parts = await send(registry, made)
    foreign = await send(registry, other)
    for wrong in (
        [],
        parts[:2],
        parts[1:],
        [parts[1], parts[0], parts[2]],
        [parts[0], parts[0], parts[2]],
        [*parts, parts[2]],
        [parts[0], parts[1] | {"etag": '"x"'}, parts[2]],
        [parts[0], parts[1] | {"part_number": 0}, parts[2]],
        [parts[0], parts[1] | {"part_number": 10_001}, parts[2]],
        [parts[0], parts[1] | {"part_number": "two"}, parts[2]],
        [parts[0], foreign[1], parts[2]],
    ):
        answer = await complete(admin, made, wrong)
        assert code(answer) == (400, "INVALID_PARAMETER_VALUE"), wrong
    elsewhere = await complete(admin, made, parts, at=f"{AT}/x")
    assert code(elsewhere) == (400, "INVALID_PARAMETER_VALUE")
    assert (await admin.get(FILE)).status_code == 404
    assert (await complete(admin, made, parts)).status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("part_number", "2"),
        ("part_number", "0"),
        ("part_number", "10001"),
        ("num_parts", "4"),
        ("expires", "99999999999"),
        ("upload_id", "01a1fc65-6121-7000-8bfb-3651fd695a46"),
        ("upload_id", "nobody"),
        ("signature", "0" * 64),
        ("signature", ""),
    ],
)
async def test_an_address_that_was_changed_permits_nothing(
    registry: RegistrySimulator, admin: Client, blobs: FakeBlobs, name: str, value: str
) -> None:
    url = httpx.URL((await created(admin))["credentials"][0]["url"])
    for client in (registry.anonymous, admin):  # a token adds nothing to it
        answer = await client.put(url.copy_set_param(name, value), content=b"x")
        assert code(answer) == (403, "PERMISSION_DENIED")
    assert blobs.staging == {}


async def test_an_address_is_of_one_path_one_day_and_one_method(
    registry: RegistrySimulator, admin: Client, clock: FixedClock, blobs: FakeBlobs
) -> None:
    made = await created(admin)
    url = httpx.URL(made["credentials"][0]["url"])
    other = url.copy_with(path=url.path.replace("big.bin", "other.bin"), query=url.query)
    assert code(await registry.anonymous.put(other, content=b"x"))[0] == 403
    assert (
        code(await registry.anonymous.put(f"{url.copy_with(query=None)}", content=b"x"))[0] == 403
    )
    assert (await registry.anonymous.get(url)).status_code == 404
    clock.advance(dt.timedelta(days=1))
    ended = await registry.anonymous.put(url, content=b"x")
    assert code(ended) == (403, "PERMISSION_DENIED")
    assert "has ended" in ended.json()["message"]
    assert blobs.staging == {}


async def test_limits_are_those_of_an_upload_in_one_piece(
    registry: RegistrySimulator, admin: Client, blobs: FakeBlobs
) -> None:
    made = await created(admin, 2)
    urls = [one["url"] for one in made["credentials"]]
    put = registry.anonymous.put
    assert code(await put(urls[0], content=b"x" * 3001)) == (400, "INVALID_PARAMETER_VALUE")

    async def unsaid() -> AsyncIterator[bytes]:
        yield b"x"

    assert code(await put(urls[0], content=unsaid())) == (400, "INVALID_PARAMETER_VALUE")
    for said in ("2", "4"):  # of 3 bytes
        answer = await put(urls[0], content=b"abc", headers={"content-length": said})
        assert code(answer) == (400, "INVALID_PARAMETER_VALUE"), said
    etags = [(await put(url, content=b"x" * 2000)).headers["etag"] for url in urls]
    parts = [{"part_number": n, "etag": etag} for n, etag in enumerate(etags, 1)]
    assert code(await complete(admin, made, parts)) == (400, "INVALID_PARAMETER_VALUE")
    assert blobs.blobs == {}
    full = await put(urls[0], content=b"x" * 2000)
    assert full.json()["code"] == "quota_exceeded"
    assert (await abort(admin, made)).status_code == 200
    fresh = await created(admin, 2)
    assert (await put(fresh["credentials"][0]["url"], content=b"x" * 2000)).status_code == 200


async def test_a_file_of_nothing_falls_back_and_one_of_too_many_parts_is_told(
    admin: Client,
) -> None:
    nothing: list[dict[str, Any]] = [{"path": "x", "num_parts": 0}, {"path": "x"}]
    for one in nothing:
        answer = await admin.post(f"{PROXY}/mpu/create/0/r", json=one)
        assert code(answer) == (501, "NOT_IMPLEMENTED")
        assert answer.json()["message"].startswith("Multipart upload is not supported")
    for count in (-1, 10_001, "many", 1.5):
        body = {"path": "x", "num_parts": count}
        answer = await admin.post(f"{PROXY}/mpu/create/0/r", json=body)
        assert code(answer) == (400, "INVALID_PARAMETER_VALUE"), count


async def test_only_its_owner_who_may_write_goes_on(registry: RegistrySimulator) -> None:
    owner, other = registry.as_(Role.CONTRIBUTOR, Scope("default")), registry.as_(Role.ADMIN)
    viewer = registry.as_(Role.VIEWER)
    made = await created(owner)
    parts = await send(registry, made)
    for client, expected in ((viewer, 403), (other, 404), (registry.nobody, 404)):
        assert (await complete(client, made, parts)).status_code == expected
        assert (await abort(client, made)).status_code == expected
    for client, expected in ((viewer, 403), (registry.nobody, 404), (registry.anonymous, 401)):
        body = {"path": "x", "num_parts": 1}
        assert (await client.post(f"{PROXY}/mpu/create/0/r", json=body)).status_code == expected
    assert (await complete(owner, made, parts)).status_code == 200


@pytest.mark.parametrize("step", ["create", "complete", "abort"])
async def test_registered_files_and_hostile_paths_are_refused(admin: Client, step: str) -> None:
    said = {"num_parts": 1, "upload_id": "x", "parts": []}
    for at, name, expected in (
        ("versions/01a1fc65-6121-7000-8bfb-3651fd695a46", "a", (403, "PERMISSION_DENIED")),
        ("0/%2e%2e/%2e%2e/etc", "a", (400, "INVALID_PARAMETER_VALUE")),
        ("0/r", "..", (400, "INVALID_PARAMETER_VALUE")),
        ("0/r", "%2e%2e", (400, "INVALID_PARAMETER_VALUE")),
        ("0/r", "a\\b", (400, "INVALID_PARAMETER_VALUE")),
        ("0/r", "a\n", (400, "INVALID_PARAMETER_VALUE")),
        ("0/r", "", (400, "INVALID_PARAMETER_VALUE")),
    ):
        answer = await admin.post(f"{PROXY}/mpu/{step}/{at}", json=said | {"path": name})
        assert code(answer) == expected, (at, name)


async def test_what_is_no_session_is_not_there(admin: Client) -> None:
    for upload_id in ("", "x", "01a1fc65-6121-7000-8bfb-3651fd695a46"):
        made = {"upload_id": upload_id}
        assert code(await complete(admin, made, [])) == (404, "RESOURCE_DOES_NOT_EXIST")
        assert code(await abort(admin, made)) == (404, "RESOURCE_DOES_NOT_EXIST")
    surrogate = b'{"path": "\\ud800", "upload_id": "\\ud800", "num_parts": 1}'
    answer = await admin.post(
        f"{PROXY}/mpu/create/0/r", content=surrogate, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400


async def test_what_is_aborted_or_left_is_dropped(
    registry: RegistrySimulator, admin: Client, clock: FixedClock, blobs: FakeBlobs
) -> None:
    made = await created(admin)
    parts = await send(registry, made)
    for _ in range(2):
        assert (await abort(admin, made)).json() == {}
    assert blobs.staging == {}
    assert code(await complete(admin, made, parts)) == (409, "RESOURCE_CONFLICT")
    left = await created(admin)
    parts = await send(registry, left)
    clock.advance(dt.timedelta(days=1))
    await sweep_uploads(registry.deps)
    assert blobs.staging == {}
    assert code(await complete(admin, left, parts)) == (409, "RESOURCE_CONFLICT")
    assert (await admin.get(FILE)).status_code == 404
