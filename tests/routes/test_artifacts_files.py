"""A version's files over HTTP: whole, in ranges, not again; by names that mean harm."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import httpx
import pytest

from muniment.core.digest import Digest
from muniment.core.errors import BlobStoreDown
from muniment.core.statement import model_signing_statement
from muniment.server.http.records import Role
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.blobs_local import open_local_blobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.db import Database
from muniment.server.ports.keys import Keys
from tests.support.artifacts import House, Sender, fine, listed, open_house, sha256

WEIGHTS = bytes(range(256)) * 10
TREE = {"data/model.bin": WEIGHTS, "empty": b"", "page.html": b"<script>alert(1)</script>"}
ETAG = f'"sha256:{sha256(WEIGHTS)}"'


@pytest.fixture(params=["fake", "local"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    """Bytes in memory, sent as a stream; and on a disk, sent as a file."""
    return FakeBlobs() if request.param == "fake" else open_local_blobs(tmp_path / "blobs")


@pytest.fixture
async def house(
    db: Database, store: FakeBlobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[House]:
    async with open_house(db, store, keys, clock) as opened:
        yield opened


@pytest.fixture
async def plain(
    db: Database, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[House]:
    async with open_house(db, blobs, keys, clock) as opened:
        yield opened


@pytest.fixture
async def sender(house: House) -> Sender:
    await house.sender().registered(TREE)
    return house.sender()


async def get(sender: Sender, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    url = sender.url(version="1.0.0", rest=f"/files/{quote(path)}")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await sender.client.request(method, url, headers=named)


async def test_a_file_comes_whole_with_what_proves_it(sender: Sender) -> None:
    answer = await get(sender, "data/model.bin")
    assert (answer.status_code, answer.content) == (200, WEIGHTS)
    assert answer.headers["content-length"] == str(len(WEIGHTS))
    assert answer.headers["etag"] == ETAG
    digest = base64.b64encode(bytes.fromhex(sha256(WEIGHTS))).decode()
    assert answer.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert answer.headers["accept-ranges"] == "bytes"


async def test_an_empty_file_comes(sender: Sender) -> None:
    answer = await get(sender, "empty")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "0"


async def test_a_page_is_never_shown_as_one(sender: Sender) -> None:
    answer = await get(sender, "page.html")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=2550-", 2550, 2560),
        ("bytes=2550-99999", 2550, 2560),
        ("bytes=-10", 2550, 2560),
        ("bytes=-99999", 0, 2560),
    ],
)
async def test_a_range_of_a_file(sender: Sender, asked: str, start: int, end: int) -> None:
    answer = await get(sender, "data/model.bin", range=asked)
    assert (answer.status_code, answer.content) == (206, WEIGHTS[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(WEIGHTS)}"
    assert answer.headers["content-length"] == str(end - start)
    assert answer.headers["etag"] == ETAG


@pytest.mark.parametrize("asked", ["bytes=2560-", "bytes=9999-10000", "bytes=-0"])
async def test_a_range_beyond_the_end_is_refused(sender: Sender, asked: str) -> None:
    answer = await get(sender, "data/model.bin", range=asked)
    assert (answer.status_code, answer.json()["code"]) == (416, "bad_range")
    assert answer.headers["content-range"] == "bytes */2560"


@pytest.mark.parametrize(
    "asked", ["bytes=9-5", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "bytes="]
)
async def test_what_is_no_range_gets_everything(sender: Sender, asked: str) -> None:
    answer = await get(sender, "data/model.bin", range=asked)
    assert (answer.status_code, answer.content) == (200, WEIGHTS)


async def test_a_range_of_what_one_has_a_part_of(sender: Sender) -> None:
    same = await get(sender, "data/model.bin", range="bytes=5-9", if_range=ETAG)
    assert (same.status_code, same.content) == (206, WEIGHTS[5:10])
    other = await get(sender, "data/model.bin", range="bytes=5-9", if_range='"sha256:0"')
    assert (other.status_code, other.content) == (200, WEIGHTS)


@pytest.mark.parametrize("tag", [ETAG, f"W/{ETAG}", f'"x", {ETAG}', "*"])
@pytest.mark.parametrize("ranged", [{}, {"range": "bytes=5-9"}, {"range": "bytes=9999-"}])
async def test_what_one_has_is_not_sent_again(
    sender: Sender, tag: str, ranged: dict[str, str]
) -> None:
    answer = await get(sender, "data/model.bin", if_none_match=tag, **ranged)
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == ETAG
    assert "immutable" in answer.headers["cache-control"]
    assert "content-range" not in answer.headers


async def test_another_tag_gets_the_file(sender: Sender) -> None:
    answer = await get(sender, "data/model.bin", if_none_match='"sha256:0"', range="bytes=0-3")
    assert (answer.status_code, answer.content) == (206, WEIGHTS[:4])


@pytest.mark.parametrize("ranged", [{}, {"range": "bytes=5-9"}])
async def test_head_has_the_same_headers_and_no_body(
    sender: Sender, ranged: dict[str, str]
) -> None:
    head = await get(sender, "data/model.bin", "HEAD", **ranged)
    whole = await get(sender, "data/model.bin", **ranged)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    for name in ("content-length", "etag", "content-type", "repr-digest", "content-disposition"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize(
    "path",
    [
        "model.bin",
        "data",
        "data/",
        "DATA/MODEL.BIN",
        "data/model.bin/",
        "../thing",
        "..%2f..%2fetc%2fpasswd",
        "data/../data/model.bin",
        "data//model.bin",
        "/data/model.bin",
        "data\\model.bin",
        "nul\0byte",
        "x" * 5000,
    ],
)
async def test_there_are_no_other_files(sender: Sender, path: str) -> None:
    if ".." not in path:  # the client resolves those itself
        answer = await get(sender, path)
        assert answer.status_code in {404, 422}, answer.text
    encoded = sender.url(version="1.0.0", rest=f"/files/{quote(path, safe='')}")
    answer = await sender.client.get(encoded)
    assert answer.status_code in {404, 422}, answer.text


HOSTILE = [
    'a"b;filename=evil.exe.txt',
    "semi;colon=x.bin",
    "naïve résumé.bin",
    "模型.bin",
    "😀.bin",
    "per%cent%0d%0aSet-Cookie.bin",
    "a'b`c$(d).bin",
    "100%",
]


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_name_that_means_harm_is_only_a_name(plain: House, name: str) -> None:
    sender = plain.sender()
    await sender.registered({f"dir/{name}": b"x"})
    answer = await get(sender, f"dir/{name}")
    assert (answer.status_code, answer.content) == (200, b"x")
    said = answer.headers["content-disposition"]
    assert said.isascii()
    assert said.count('"') == 2
    plain_name = said.split('"')[1]
    assert all(char.isalnum() or char in "._- " for char in plain_name)
    assert unquote(said.rsplit("''", 1)[1]) == name
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("version", ["1.0.0", "1"])
async def test_a_version_by_number_or_semver(sender: Sender, version: str) -> None:
    url = sender.url(version=version, rest="/files/data/model.bin")
    assert (await sender.client.get(url)).content == WEIGHTS


@pytest.mark.parametrize("version", ["2.0.0", "2", "0", "champion", "1.0", "..", "99999999999"])
async def test_there_are_no_other_versions(sender: Sender, version: str) -> None:
    for rest in ("/files/empty", "/manifest", "/receipt", "/signing-statement"):
        answer = await sender.client.get(sender.url(version=version, rest=rest))
        assert answer.status_code in {404, 422}, answer.text


async def test_a_store_that_fails_is_said_before_anything_is_sent(
    plain: House, blobs: FakeBlobs
) -> None:
    sender = plain.sender()
    await sender.registered(TREE)
    blobs.fail("read", BlobStoreDown())
    answer = await get(sender, "data/model.bin")
    assert (answer.status_code, answer.json()["code"]) == (503, "blob_store_down")
    assert "immutable" not in answer.headers.get("cache-control", "")
    assert (await get(sender, "data/model.bin")).content == WEIGHTS


async def test_a_lost_blob_is_no_empty_file(plain: House, blobs: FakeBlobs) -> None:
    sender = plain.sender()
    await sender.registered(TREE)
    blobs.blobs.clear()
    assert (await get(sender, "data/model.bin")).status_code >= 400


@dataclass
class DirectBlobs(FakeBlobs):
    """Bytes that can be had directly."""

    async def presign_read(self, digest: Digest, expires: dt.timedelta, filename: str) -> str:
        return f"https://store.example/{digest.hex}?name={quote(filename)}&s={expires.seconds}"


async def test_a_file_can_be_had_directly_where_the_store_allows_it(
    db: Database, keys: Keys, clock: FixedClock
) -> None:
    async with open_house(db, DirectBlobs(), keys, clock) as house:
        sender = house.sender()
        await sender.registered(TREE)
        url = sender.url(version="1.0.0", rest="/files/data/model.bin")
        answer = await sender.client.get(url, params={"direct": "true"})
        assert answer.status_code == 307
        expected = f"https://store.example/{sha256(WEIGHTS)}?name=model.bin&s=600"
        assert answer.headers["location"] == expected
        assert answer.headers["cache-control"] == "no-store"
        assert (await sender.client.get(url)).content == WEIGHTS
        answer = await house.registry.nobody.get(url, params={"direct": "true"})
        assert answer.status_code == 404


async def test_direct_is_only_a_wish(sender: Sender) -> None:
    url = sender.url(version="1.0.0", rest="/files/data/model.bin")
    assert (await sender.client.get(url, params={"direct": "true"})).content == WEIGHTS
    assert (await sender.client.get(url, params={"direct": "perhaps"})).status_code == 422


# -- what goes with the files ---------------------------------------------------------------------


async def test_the_manifest_has_its_digest_as_tag(plain: House) -> None:
    sender = plain.sender()
    made = await sender.registered(TREE)
    url = sender.url(version="1.0.0", rest="/manifest")
    answer = await sender.client.get(url)
    assert answer.headers["etag"] == f'"{made["manifest_digest"]}"'
    assert answer.json()["files"] == sorted(listed(TREE), key=lambda file: str(file["path"]))
    again = await sender.client.get(url, headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_the_signing_statement_is_that_of_the_same_files(plain: House) -> None:
    sender = plain.sender()
    await sender.registered(TREE)
    answer = await sender.client.get(sender.url(version="1.0.0", rest="/signing-statement"))
    digests = {path: sha256(content) for path, content in TREE.items()}
    assert fine(answer) == model_signing_statement("thing@1.0.0", digests)


async def test_a_receipt_comes_once_the_log_has_it(plain: House) -> None:
    sender = plain.sender()
    made = await sender.registered(TREE)
    url = sender.url(version="1.0.0", rest="/receipt")
    early = await sender.client.get(url)
    assert (early.status_code, early.json()["code"]) == (503, "log_busy")
    assert "retry-after" in early.headers
    await plain.settle()
    for wait in (0, 10_000):
        receipt = fine(await sender.client.get(url, params={"wait_ms": wait}))
        assert receipt["schema"] == "muniment/receipt/v1"
        assert receipt["bundle"]
    assert (
        made["entry_id"] in base64.b64decode(receipt["bundle"]["dsseEnvelope"]["payload"]).decode()
    )
    for wrong in ("-1", "10001", "x"):
        assert (await sender.client.get(url, params={"wait_ms": wrong})).status_code == 422


async def test_comparing_two_versions(plain: House) -> None:
    sender = plain.sender()
    await sender.registered(TREE, metadata={"metrics": {"auc": 0.9}})
    changed = {"data/model.bin": b"other", "moved": b"", "new": b"n"}
    await sender.registered(changed, "2.0.0", metadata={"metrics": {"auc": 0.91}})
    both = {"left": "thing@1.0.0", "right": "thing@2"}
    found = fine(await sender.client.get("/api/v1/compare", params=both))
    assert found["same"] is False
    assert [file["path"] for file in found["files"]["added"]] == ["new"]
    assert [file["path"] for file in found["files"]["removed"]] == ["page.html"]
    assert [file["path"] for file in found["files"]["changed"]] == ["data/model.bin"]
    assert found["files"]["moved"][0]["left"] == ["empty"]
    assert found["files"]["moved"][0]["right"] == ["moved"]
    assert found["files"]["same_count"] == 0
    assert any("auc" in str(one) for one in found["differences"])
    itself = fine(
        await sender.client.get(
            "/api/v1/compare", params={"left": "thing@1", "right": "thing@1.0.0"}
        )
    )
    assert (itself["same"], itself["differences"], itself["files"]["same_count"]) == (True, [], 3)


async def test_comparing_needs_to_read_both_sides(plain: House) -> None:
    await plain.sender(namespace="team-a").registered(TREE)
    await plain.sender(namespace="team-b").registered(TREE)
    both = {"left": "team-a/thing@1.0.0", "right": "team-b/thing@1.0.0"}
    swapped = {"left": both["right"], "right": both["left"]}
    for params in (both, swapped):
        for namespace in ("team-a", "team-b"):
            viewer = plain.sender(Role.VIEWER, namespace)
            answer = await viewer.client.get("/api/v1/compare", params=params)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        everywhere = plain.registry.as_(Role.VIEWER)
        assert fine(await everywhere.get("/api/v1/compare", params=params))["files"]["same_count"]
        assert (await plain.registry.anonymous.get("/api/v1/compare", params=params)).is_error
    for side in ("thing", "thing@", "@1", "team-a/thing@nothing", "team-a/thing@9.9.9"):
        params = {"left": "team-a/thing@1.0.0", "right": side}
        everywhere = plain.registry.as_(Role.VIEWER)
        answer = await everywhere.get("/api/v1/compare", params=params)
        assert answer.status_code in {404, 422}, side


async def test_a_large_tree_is_registered_and_read_file_by_file(plain: House) -> None:
    sender = plain.sender()
    content = b"the same in each"
    tree = {f"part-{number // 100}/{number}.bin": content for number in range(10_000)}
    made = await sender.registered(tree)
    assert (made["file_count"], made["size_bytes"]) == (10_000, 160_000)
    await plain.quiet()
    assert (await get(sender, "part-0/0.bin")).content == content
    plain.watch.start()
    for number in range(1, 10_000, 999):
        assert (await get(sender, f"part-{number // 100}/{number}.bin")).content == content
    assert not [sql for sql in plain.watch.reads if "FROM manifest" in sql], "it was parsed once"
