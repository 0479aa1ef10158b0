"""What only S3 promises: bytes that pass the server by, and are trusted no more for it."""

from __future__ import annotations

import datetime as dt
import uuid

import httpx
import pytest

from muniment.core.digest import digest_of
from muniment.core.errors import BlobStoreDown, DigestMismatch, NotFound, UploadConflict
from muniment.server.ports.blobs import Part
from muniment.server.ports.blobs_s3 import S3Blobs, open_s3_blobs
from tests.support.bytes_sent import sent
from tests.support.s3 import S3Server

pytestmark = pytest.mark.slow

DATA = bytes(range(256)) * 4000
DIGEST = digest_of(DATA)
HALF = len(DATA) // 2
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def store(s3: S3Server) -> S3Blobs:
    return s3.open_blobs()


async def put(store: S3Blobs, upload: uuid.UUID, data: bytes, offset: int = 0) -> httpx.Response:
    """Put a part directly, as a client does."""
    url = await store.presign_part(upload, DIGEST, offset, HOUR)
    assert url is not None
    async with httpx.AsyncClient() as client:
        return await client.put(url, content=data)


async def get(url: str | None, headers: dict[str, str] | None = None) -> httpx.Response:
    assert url is not None
    async with httpx.AsyncClient() as client:
        return await client.get(url, headers=headers)


async def test_parts_put_directly_are_sealed_and_got_directly(store: S3Blobs) -> None:
    upload = uuid.uuid4()
    assert (await put(store, upload, DATA[HALF:], HALF)).status_code == 200
    assert await store.staged(upload, DIGEST) == [Part(HALF, len(DATA) - HALF)]
    await store.stage(
        upload, DIGEST, 0, sent(DATA[:HALF]), limit=HALF
    )  # and one through the server
    await store.seal(upload, DIGEST, len(DATA))
    got = await get(await store.presign_read(DIGEST, HOUR, "model.bin"))
    assert got.content == DATA
    assert got.headers["content-disposition"] == "attachment"
    assert got.headers["content-type"] == "application/octet-stream"


async def test_tampered_bytes_are_refused_at_seal(store: S3Blobs) -> None:
    upload = uuid.uuid4()
    await put(store, upload, DATA[:-1] + bytes([DATA[-1] ^ 1]))
    with pytest.raises(DigestMismatch) as refused:
        await store.seal(upload, DIGEST, len(DATA))
    assert refused.value.extra["expected"] == DIGEST.hex
    assert await store.size(DIGEST) is None
    assert await store.staged(upload, DIGEST) == []


async def test_many_tampered_bytes_are_refused_at_seal(store: S3Blobs) -> None:
    """More than one request's worth: the write that had begun is never completed."""
    upload, data = uuid.uuid4(), bytes(20 << 20)
    await put(store, upload, data)
    with pytest.raises(DigestMismatch):
        await store.seal(upload, DIGEST, len(data))
    assert await store.size(DIGEST) is None
    assert [found async for found in store.list_digests()] == []


async def test_a_part_put_larger_than_announced_is_refused(store: S3Blobs) -> None:
    upload = uuid.uuid4()
    await put(store, upload, DATA + b"?")
    with pytest.raises(DigestMismatch):
        await store.seal(upload, DIGEST, len(DATA))
    assert await store.staged(upload, DIGEST) == []


async def test_a_url_used_after_the_seal_changes_nothing(store: S3Blobs) -> None:
    upload = uuid.uuid4()
    await put(store, upload, DATA)
    await store.seal(upload, DIGEST, len(DATA))
    await put(store, upload, b"?" * len(DATA))
    assert b"".join([chunk async for chunk in store.read(DIGEST)]) == DATA
    with pytest.raises(DigestMismatch):
        await store.seal(upload, DIGEST, len(DATA))
    assert b"".join([chunk async for chunk in store.read(DIGEST)]) == DATA


async def test_a_part_replaced_while_it_is_sealed_is_never_held(store: S3Blobs) -> None:
    """The bytes were right when they were listed, and others when they were read."""
    upload = uuid.uuid4()
    await put(store, upload, DATA)
    pieces = await store._pieces(upload, DIGEST)
    await put(store, upload, b"?" * len(DATA))

    async def as_they_were(*_: object) -> object:
        return pieces

    store._pieces = as_they_were  # type: ignore[assignment,method-assign]
    with pytest.raises(UploadConflict, match="keep changing"):
        await store.seal(upload, DIGEST, len(DATA))
    assert await store.size(DIGEST) is None


async def test_urls_end(store: S3Blobs, s3: S3Server) -> None:
    upload = uuid.uuid4()
    await put(store, upload, DATA)
    await store.seal(upload, DIGEST, len(DATA))
    url = await store.presign_read(DIGEST, HOUR, "model.bin")
    put_url = await store.presign_part(upload, DIGEST, 0, HOUR)
    assert url is not None
    assert put_url is not None
    for one in (url, put_url):
        changed = httpx.URL(one).copy_set_param("X-Amz-Date", "20200101T000000Z")
        assert (await get(str(changed))).status_code == 403
    other = url.replace(DIGEST.hex, digest_of(b"").hex)
    assert (await get(other)).status_code == 403
    assert (await get(put_url)).status_code == 403  # a PUT's is no GET's
    bare = str(httpx.URL(url).copy_with(query=None))
    assert (await get(bare)).status_code == 403


async def test_an_expired_url_is_refused(store: S3Blobs) -> None:
    """Waiting is the only honest way: the signature is right, its time is over."""
    upload = uuid.uuid4()
    await put(store, upload, DATA)
    await store.seal(upload, DIGEST, len(DATA))
    second = dt.timedelta(seconds=1)
    read_url = await store.presign_read(DIGEST, second, "model.bin")
    put_url = await store.presign_part(upload, DIGEST, 0, second)
    assert put_url is not None
    while (got := await get(read_url)).status_code == 200:
        assert got.content == DATA
    assert got.status_code == 403
    async with httpx.AsyncClient() as client:
        while (answer := await client.put(put_url, content=b"?")).status_code == 200:
            pass
    assert answer.status_code == 403


async def test_a_url_gives_ranges(store: S3Blobs) -> None:
    upload = uuid.uuid4()
    await put(store, upload, DATA)
    await store.seal(upload, DIGEST, len(DATA))
    got = await get(await store.presign_read(DIGEST, HOUR, "x"), {"Range": "bytes=10-19"})
    assert got.status_code == 206
    assert got.content == DATA[10:20]


async def test_stores_share_a_bucket_and_not_their_keys(s3: S3Server) -> None:
    one, other = s3.open_blobs("a/b"), s3.open_blobs("a/bc")
    upload = uuid.uuid4()
    await one.stage(upload, DIGEST, 0, sent(DATA), limit=len(DATA))
    await one.seal(upload, DIGEST, len(DATA))
    await one.put_object("tile", b"one")
    assert await other.size(DIGEST) is None
    assert await other.list_staged() == []
    assert [found async for found in other.list_objects("")] == []
    assert await s3.open_blobs("a/b").get_object("tile") == b"one"


async def test_a_store_that_is_not_there_is_down(s3: S3Server) -> None:
    nowhere = {"access_key": "a", "secret_key": "b", "allow_http": True}
    keys = {"access_key": s3.access_key, "secret_key": s3.secret_key, "allow_http": True}
    for store in (
        open_s3_blobs("s3://bucket", endpoint="http://127.0.0.1:9", **nowhere),  # type: ignore[arg-type]
        open_s3_blobs(f"s3://{s3.bucket}", endpoint=s3.endpoint, **nowhere),  # type: ignore[arg-type]
    ):
        for attempt in (
            store.get_object("ready"),
            store.put_object("tile", b"x"),
            store.swap_object("tile", b"x", expected=None),
            store.size(DIGEST),
            store.stage(uuid.uuid4(), DIGEST, 0, sent(DATA), limit=len(DATA)),
            store.staged(uuid.uuid4(), DIGEST),
        ):
            with pytest.raises(BlobStoreDown):
                await attempt
    no_bucket = open_s3_blobs("s3://no-such-bucket", endpoint=s3.endpoint, **keys)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        await anext(no_bucket.read(DIGEST))


def test_settings_that_cannot_be_a_store_are_refused() -> None:
    with pytest.raises(BlobStoreDown, match="bucket"):
        open_s3_blobs("s3://")
