"""One suite for every blob store: what the port promises, the fake, the disk and S3 all keep."""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import hashlib
import itertools
import tracemalloc
import uuid
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.digest import Digest, digest_of
from muniment.core.errors import BadPath, DigestMismatch, NotFound, TooLarge, UploadConflict
from muniment.server.ports.blob_parts import gaps, merged
from muniment.server.ports.blobs import Blobs, Part
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.blobs_local import LocalBlobs, open_local_blobs
from tests.support.bytes_sent import Broken, broken, chunked, sent

MIB = 1 << 20
DATA = bytes(range(256)) * 40
DIGEST = digest_of(DATA)
EMPTY = digest_of(b"")


@pytest.fixture(params=["fake", "local", pytest.param("s3", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "fake":
        return FakeBlobs()
    if request.param == "local":
        return open_local_blobs(tmp_path / "blobs")
    opened: Blobs = request.getfixturevalue("s3").open_blobs()
    return opened


async def content(store: Blobs, digest: Digest, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in store.read(digest, start, end)])


async def staged_content(store: Blobs, upload: uuid.UUID, size_bytes: int) -> bytes:
    return b"".join([chunk async for chunk in store.read_staged(upload, DIGEST, size_bytes)])


async def stage(store: Blobs, upload: uuid.UUID, data: bytes, offset: int = 0) -> Part:
    """Send all of DATA's announced digest, or any other bytes in its name."""
    return await store.stage(upload, DIGEST, offset, sent(data), limit=len(data) or 1)


async def assert_nothing_held(store: Blobs, digest: Digest = DIGEST) -> None:
    assert await store.size(digest) is None
    assert digest not in [found async for found, _ in store.list_digests()]
    assert await store.local_path(digest) is None
    with pytest.raises(NotFound):
        await content(store, digest)


# -- staging and sealing ----------------------------------------------------------------------


async def test_a_blob_is_staged_sealed_and_read(store: Blobs) -> None:
    upload = uuid.uuid4()
    assert await stage(store, upload, DATA) == Part(0, len(DATA))
    assert await store.staged(upload, DIGEST) == [Part(0, len(DATA))]
    await assert_nothing_held(store)
    await store.seal(upload, DIGEST, len(DATA))
    assert await store.size(DIGEST) == len(DATA)
    assert await content(store, DIGEST) == DATA
    assert await store.staged(upload, DIGEST) == []
    assert [found async for found in store.list_digests()] == [(DIGEST, len(DATA))]


async def test_a_removed_blob_is_gone_and_can_be_sent_again(store: Blobs) -> None:
    upload, again = uuid.uuid4(), uuid.uuid4()
    await stage(store, upload, DATA)
    await store.seal(upload, DIGEST, len(DATA))
    for _ in range(2):
        await store.delete_blob(DIGEST)
    await assert_nothing_held(store)
    with pytest.raises(UploadConflict):
        await store.seal(again, DIGEST, len(DATA))
    await stage(store, again, DATA)
    await store.seal(again, DIGEST, len(DATA))
    assert await content(store, DIGEST) == DATA


async def test_parts_come_in_any_order(store: Blobs) -> None:
    upload = uuid.uuid4()
    for start, end in [(6000, len(DATA)), (0, 2000), (2000, 6000)]:
        await stage(store, upload, DATA[start:end], start)
    assert await store.staged(upload, DIGEST) == [Part(0, len(DATA))]
    await store.seal(upload, DIGEST, len(DATA))
    assert await content(store, DIGEST) == DATA


async def test_parts_come_at_the_same_time(store: Blobs) -> None:
    upload = uuid.uuid4()
    starts = range(0, len(DATA), 1000)
    async with asyncio.TaskGroup() as group:
        for start in starts:
            group.create_task(stage(store, upload, DATA[start : start + 1000], start))
    await store.seal(upload, DIGEST, len(DATA))
    assert await content(store, DIGEST) == DATA


async def test_parts_overlap(store: Blobs) -> None:
    upload = uuid.uuid4()
    for start, end in [(0, 5000), (3000, 8000), (7000, len(DATA)), (1000, 2000)]:
        await stage(store, upload, DATA[start:end], start)
    assert await store.staged(upload, DIGEST) == [Part(0, len(DATA))]
    await store.seal(upload, DIGEST, len(DATA))
    assert await content(store, DIGEST) == DATA


async def test_what_is_staged_is_read_back_whole_or_not_at_all(store: Blobs) -> None:
    upload = uuid.uuid4()
    for start, end in [(6000, len(DATA)), (0, 2000), (1500, 6500)]:
        with pytest.raises(UploadConflict):
            await staged_content(store, upload, len(DATA))
        await stage(store, upload, DATA[start:end], start)
    assert await staged_content(store, upload, len(DATA)) == DATA
    for wrong in (len(DATA) - 1, len(DATA) + 1):
        with pytest.raises(UploadConflict):
            await staged_content(store, upload, wrong)
    await store.discard(upload)
    with pytest.raises(UploadConflict):
        await staged_content(store, upload, len(DATA))
    assert await staged_content(store, upload, 0) == b""


async def test_what_is_staged_is_kept_under_the_digest_it_turns_out_to_have(store: Blobs) -> None:
    upload, pieces = uuid.uuid4(), [DATA[:4000], b"", DATA[4000:]]
    names = [digest_of(bytes([number])) for number in range(3)]
    for name, piece in zip(names, pieces, strict=True):
        await store.stage(upload, name, 0, sent(piece), limit=len(piece))

    async def one_after_the_other() -> AsyncIterator[bytes]:
        for name, piece in zip(names, pieces, strict=True):
            async for chunk in store.read_staged(upload, name, len(piece)):
                yield chunk

    assert await store.keep(upload, one_after_the_other(), limit=len(DATA)) == (DIGEST, len(DATA))
    assert await content(store, DIGEST) == DATA
    await store.discard(upload)
    assert await store.list_staged() == []


async def test_gaps_are_named(store: Blobs) -> None:
    upload = uuid.uuid4()
    await stage(store, upload, DATA[1000:2000], 1000)
    await stage(store, upload, DATA[5000:6000], 5000)
    with pytest.raises(UploadConflict) as refused:
        await store.seal(upload, DIGEST, len(DATA))
    expected = [[0, 1000], [2000, 5000], [6000, len(DATA)]]
    assert refused.value.extra["missing"] == expected
    await assert_nothing_held(store)
    for start, end in expected:
        await stage(store, upload, DATA[start:end], start)
    await store.seal(upload, DIGEST, len(DATA))
    assert await content(store, DIGEST) == DATA


async def test_other_bytes_are_refused_and_dropped(store: Blobs) -> None:
    upload = uuid.uuid4()
    other = DATA[:-1] + bytes([DATA[-1] ^ 1])
    await stage(store, upload, other)
    with pytest.raises(DigestMismatch) as refused:
        await store.seal(upload, DIGEST, len(DATA))
    assert refused.value.extra == {"expected": DIGEST.hex, "found": digest_of(other).hex}
    await assert_nothing_held(store)
    await assert_nothing_held(store, digest_of(other))
    assert await store.staged(upload, DIGEST) == []
    assert await store.list_staged() == []
    await stage(store, upload, DATA)
    await store.seal(upload, DIGEST, len(DATA))
    assert await content(store, DIGEST) == DATA


async def test_a_part_overwritten_with_other_bytes_is_found_out(store: Blobs) -> None:
    upload = uuid.uuid4()
    await stage(store, upload, DATA)
    await stage(store, upload, b"?" * 5000, 100)
    await stage(store, upload, DATA[:100])  # so that a hash that only follows the start looks right
    try:
        await store.seal(upload, DIGEST, len(DATA))
    except (DigestMismatch, UploadConflict):  # S3 replaced the first part by the shorter one
        await assert_nothing_held(store)
    else:
        pytest.fail("bytes were sealed that nobody had hashed")


async def test_more_bytes_than_announced_are_refused(store: Blobs) -> None:
    upload = uuid.uuid4()
    await stage(store, upload, DATA + b"more")
    with pytest.raises(DigestMismatch):
        await store.seal(upload, DIGEST, len(DATA))
    await assert_nothing_held(store)
    assert await store.staged(upload, DIGEST) == []


async def test_sealing_twice_is_sealing_once(store: Blobs) -> None:
    upload = uuid.uuid4()
    await stage(store, upload, DATA)
    await store.seal(upload, DIGEST, len(DATA))
    await store.seal(upload, DIGEST, len(DATA))
    assert await content(store, DIGEST) == DATA


async def test_sealing_at_the_same_time_is_sealing_once(store: Blobs) -> None:
    upload = uuid.uuid4()
    for start in (5000, 0):  # out of order, so that it is read again
        await stage(store, upload, DATA[start : start + 5000 if not start else len(DATA)], start)
    await asyncio.gather(*(store.seal(upload, DIGEST, len(DATA)) for _ in range(8)))
    assert await content(store, DIGEST) == DATA


async def test_two_uploads_send_the_same_blob(store: Blobs) -> None:
    first, second = uuid.uuid4(), uuid.uuid4()
    await asyncio.gather(stage(store, first, DATA), stage(store, second, DATA))
    await asyncio.gather(*(store.seal(one, DIGEST, len(DATA)) for one in (first, second)))
    assert [found async for found in store.list_digests()] == [(DIGEST, len(DATA))]
    assert await content(store, DIGEST) == DATA


async def test_who_has_not_sent_a_blob_cannot_seal_it(store: Blobs) -> None:
    """Else knowing a digest would be as good as having the bytes."""
    owner, stranger = uuid.uuid4(), uuid.uuid4()
    await stage(store, owner, DATA)
    await store.seal(owner, DIGEST, len(DATA))
    with pytest.raises(UploadConflict) as refused:
        await store.seal(stranger, DIGEST, len(DATA))
    assert refused.value.extra["missing"] == [[0, len(DATA)]]


async def test_other_bytes_do_not_seal_a_blob_that_is_held(store: Blobs) -> None:
    owner, stranger = uuid.uuid4(), uuid.uuid4()
    await stage(store, owner, DATA)
    await store.seal(owner, DIGEST, len(DATA))
    await stage(store, stranger, b"?" * len(DATA))
    with pytest.raises(DigestMismatch):
        await store.seal(stranger, DIGEST, len(DATA))
    assert await content(store, DIGEST) == DATA


async def test_an_empty_blob_needs_no_part(store: Blobs) -> None:
    upload = uuid.uuid4()
    await store.seal(upload, EMPTY, 0)
    assert await store.size(EMPTY) == 0
    assert await content(store, EMPTY) == b""


async def test_an_empty_blob_may_have_an_empty_part(store: Blobs) -> None:
    upload = uuid.uuid4()
    assert await store.stage(upload, EMPTY, 0, sent(b""), limit=0) == Part(0, 0)
    assert await store.staged(upload, EMPTY) == []
    await store.seal(upload, EMPTY, 0)
    await store.seal(upload, EMPTY, 0)
    assert await content(store, EMPTY) == b""


async def test_no_other_digest_is_empty(store: Blobs) -> None:
    with pytest.raises(DigestMismatch):
        await store.seal(uuid.uuid4(), DIGEST, 0)
    await assert_nothing_held(store)


@pytest.mark.parametrize("data", [b"", DATA, DATA * 900])
async def test_what_nobody_announced_is_kept_under_its_own_digest(
    store: Blobs, data: bytes
) -> None:
    upload = uuid.uuid4()
    for _ in range(2):  # the second time it is held already
        kept = await store.keep(upload, sent(data), limit=len(data))
        assert kept == (digest_of(data), len(data))
        assert await content(store, digest_of(data)) == data
        assert await store.list_staged() == []


async def test_many_that_are_small_are_kept_together(store: Blobs) -> None:
    upload = uuid.uuid4()
    contents = [b"", DATA, *(f"report {number}".encode() for number in range(60)), DATA]
    for _ in range(2):  # the second time they are held already
        digests = await store.keep_all(upload, contents)
        assert digests == [digest_of(each) for each in contents]
    for digest, each in zip(digests, contents, strict=True):
        assert await content(store, digest) == each
    assert await store.keep_all(upload, []) == []
    assert await store.list_staged() == []


@pytest.mark.parametrize("data", [DATA, DATA * 900])
async def test_what_breaks_off_or_is_too_large_is_not_kept(store: Blobs, data: bytes) -> None:
    upload = uuid.uuid4()
    with pytest.raises(TooLarge):
        await store.keep(upload, sent(data), limit=len(data) - 1)
    with pytest.raises(Broken):
        await store.keep(upload, broken(data), limit=len(data))
    await assert_nothing_held(store, digest_of(data))
    assert await store.list_staged() == []


async def test_a_part_over_the_limit_is_dropped(store: Blobs) -> None:
    upload = uuid.uuid4()
    chunks = chunked(DATA, 1000)
    with pytest.raises(TooLarge):
        await store.stage(upload, DIGEST, 0, chunks, limit=len(DATA) - 1)
    assert await store.staged(upload, DIGEST) == []
    with pytest.raises(UploadConflict):
        await store.seal(upload, DIGEST, len(DATA))
    await assert_nothing_held(store)
    await stage(store, upload, DATA)
    await store.seal(upload, DIGEST, len(DATA))


async def test_a_large_part_over_the_limit_is_dropped(store: Blobs) -> None:
    upload = uuid.uuid4()
    chunks = chunked(bytes(20 * MIB), MIB)
    with pytest.raises(TooLarge):
        await store.stage(upload, DIGEST, 0, chunks, limit=20 * MIB - 1)
    assert await store.staged(upload, DIGEST) == []


async def test_what_came_before_a_break_is_kept_or_nothing(store: Blobs) -> None:
    upload = uuid.uuid4()
    with pytest.raises(Broken):
        await store.stage(upload, DIGEST, 0, broken(DATA[:3000]), limit=len(DATA))
    came = await store.staged(upload, DIGEST)
    assert came in ([Part(0, 3000)], [])  # [] where a store has only whole objects
    if isinstance(store, FakeBlobs | LocalBlobs):
        assert came
    at = came[0].size_bytes if came else 0
    await stage(store, upload, DATA[at:], at)
    await store.seal(upload, DIGEST, len(DATA))
    assert await content(store, DIGEST) == DATA


async def test_a_cancelled_part_harms_nothing(store: Blobs) -> None:
    upload = uuid.uuid4()
    begun, never = asyncio.Event(), asyncio.Event()

    async def stalled() -> AsyncIterator[bytes]:
        yield DATA[:3000]
        begun.set()
        await never.wait()

    sending = asyncio.create_task(store.stage(upload, DIGEST, 0, stalled(), limit=len(DATA)))
    await begun.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert await store.staged(upload, DIGEST) in ([Part(0, 3000)], [])
    await stage(store, upload, DATA)
    await store.seal(upload, DIGEST, len(DATA))
    assert await content(store, DIGEST) == DATA


async def test_bytes_that_come_late_cannot_change_a_sealed_blob(store: Blobs) -> None:
    upload = uuid.uuid4()
    begun, sealed = asyncio.Event(), asyncio.Event()

    async def late() -> AsyncIterator[bytes]:
        yield b"?"
        begun.set()
        await sealed.wait()
        yield b"!" * 2 * MIB

    sending = asyncio.create_task(store.stage(upload, DIGEST, 0, late(), limit=3 * MIB))
    await begun.wait()
    await stage(store, upload, DATA)
    await store.seal(upload, DIGEST, len(DATA))
    sealed.set()
    await asyncio.gather(sending, return_exceptions=True)
    assert await content(store, DIGEST) == DATA


async def test_discard_drops_one_upload_and_no_other(store: Blobs) -> None:
    mine, other = uuid.uuid4(), uuid.uuid4()
    await stage(store, mine, DATA)
    await store.stage(mine, EMPTY, 0, sent(b"x"), limit=1)
    await stage(store, other, DATA)
    await store.discard(mine)
    await store.discard(mine)
    assert await store.staged(mine, DIGEST) == []
    assert [upload for upload, _ in await store.list_staged()] == [other]
    await store.seal(other, DIGEST, len(DATA))
    await store.discard(other)
    assert await content(store, DIGEST) == DATA
    assert await store.list_staged() == []


async def test_staged_uploads_are_listed_with_their_time(store: Blobs) -> None:
    assert await store.list_staged() == []
    uploads = {uuid.uuid4() for _ in range(3)}
    for upload in uploads:
        await stage(store, upload, DATA[:10])
    found = await store.list_staged()
    assert {upload for upload, _ in found} == uploads
    assert all(at.tzinfo is not None for _, at in found)
    assert all(at < dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1) for _, at in found)


# -- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end"),
    [
        *[(0, None), (0, 0), (0, 1), (5, 9), (9, 5), (len(DATA) - 1, None), (7, len(DATA) + 50)],
        *[(len(DATA), None), (len(DATA) + 5, None), (len(DATA) + 5, len(DATA) + 9)],
    ],
)
async def test_ranges(store: Blobs, start: int, end: int | None) -> None:
    upload = uuid.uuid4()
    await stage(store, upload, DATA)
    await store.seal(upload, DIGEST, len(DATA))
    assert await content(store, DIGEST, start, end) == DATA[start:end]


async def test_nothing_is_read_of_what_is_not_held(store: Blobs) -> None:
    await assert_nothing_held(store)
    for start, end in [(0, 0), (5, None), (5, 9)]:
        with pytest.raises(NotFound):
            await content(store, DIGEST, start, end)


async def test_digests_are_listed_in_order(store: Blobs) -> None:
    made = []
    for number in range(30):
        data = str(number).encode()
        digest, upload = digest_of(data), uuid.uuid4()
        await store.stage(upload, digest, 0, sent(data), limit=9)
        await store.seal(upload, digest, len(data))
        made.append((digest, len(data)))
    assert [found async for found in store.list_digests()] == sorted(made)


async def test_a_large_blob_takes_little_memory(store: Blobs) -> None:
    """96 MiB in two parts pass through; only a few pieces of them are ever held."""
    if isinstance(store, FakeBlobs):
        pytest.skip("memory is where the fake keeps them")
    block, blocks = bytes(MIB), 96
    hasher = hashlib.sha256()
    for _ in range(blocks):
        hasher.update(block)
    digest, upload = Digest(hasher.digest()), uuid.uuid4()

    async def many(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield bytes(bytearray(MIB))  # a new one each time

    gc.collect()
    tracemalloc.start()
    try:
        await store.stage(upload, digest, 64 * MIB, many(32), limit=64 * MIB)
        await store.stage(upload, digest, 0, many(64), limit=64 * MIB)
        await store.seal(upload, digest, blocks * MIB)
        size_bytes = 0
        async for chunk in store.read(digest):
            size_bytes += len(chunk)
        assert size_bytes == blocks * MIB
        at_most = 16 if isinstance(store, LocalBlobs) else 64  # S3: three pieces on their way
        assert tracemalloc.get_traced_memory()[1] < at_most * MIB
    finally:
        tracemalloc.stop()


# -- objects ----------------------------------------------------------------------------------


async def test_objects_are_written_replaced_and_removed(store: Blobs) -> None:
    assert await store.get_object("log/checkpoint") is None
    await store.put_object("log/checkpoint", b"one")
    await store.put_object("log/checkpoint", b"two, longer")
    assert await store.get_object("log/checkpoint") == b"two, longer"
    await store.put_object("log/checkpoint", b"")
    assert await store.get_object("log/checkpoint") == b""
    await store.delete_object("log/checkpoint")
    await store.delete_object("log/checkpoint")
    assert await store.get_object("log/checkpoint") is None


async def test_objects_are_not_blobs(store: Blobs) -> None:
    key = f"sha256/{DIGEST.hex[:2]}/{DIGEST.hex[2:4]}/{DIGEST.hex}"
    await store.put_object(key, DATA)
    await assert_nothing_held(store)


async def test_objects_are_listed_in_key_order(store: Blobs) -> None:
    keys = ["a.p/1", "a/1", "a/2", "a/b/3", "a-b", "ab", "b"]
    for key in keys:
        await store.put_object(key, key.encode())
    listed = [found async for found in store.list_objects("")]
    assert [found.key for found in listed] == sorted(keys)
    assert [found.size_bytes for found in listed] == [len(key) for key in sorted(keys)]
    assert all(found.modified_at.tzinfo is not None for found in listed)
    for prefix in ("a", "a/", "a/b", "a.p/", "b", "nothing", "a/b/3/4/"):
        found = [one.key async for one in store.list_objects(prefix)]
        assert found == sorted(key for key in keys if key.startswith(prefix)), prefix


async def test_an_object_is_not_a_folder(store: Blobs) -> None:
    await store.put_object("a/b", b"x")
    assert await store.get_object("a") is None
    assert await store.get_object("a/b/c") is None
    await store.delete_object("a")
    await store.delete_object("a/b/c")
    assert await store.get_object("a/b") == b"x"


BAD_KEYS = ["", "/", "a/", "/a", "a//b", "..", "../a", "a/../b", "a/..", "./a", "a/.", "a/./b"]
BAD_KEYS += [".hidden", "a/.hidden", "a\\b", "a\0b", "a\nb", "a\n", "A", "é", "a b", "a%2fb", "~"]
BAD_KEYS += ["x" * 201, "/".join(["x" * 100] * 5)]


@pytest.mark.parametrize("key", BAD_KEYS)
async def test_keys_cannot_leave_their_place(store: Blobs, key: str) -> None:
    for attempt in (
        store.put_object(key, b"x"),
        store.get_object(key),
        store.swap_object(key, b"x", expected=None),
        store.delete_object(key),
    ):
        with pytest.raises(BadPath):
            await attempt
    if key and not key.endswith("a/"):
        with pytest.raises(BadPath):
            assert [found async for found in store.list_objects(key)]


async def test_swap(store: Blobs) -> None:
    assert not await store.swap_object("guard", b"one", expected=b"zero")
    assert await store.get_object("guard") is None
    assert await store.swap_object("guard", b"one", expected=None)
    assert not await store.swap_object("guard", b"two", expected=None)
    assert not await store.swap_object("guard", b"two", expected=b"other")
    assert not await store.swap_object("guard", b"two", expected=b"")
    assert await store.get_object("guard") == b"one"
    assert await store.swap_object("guard", b"two", expected=b"one")
    assert await store.get_object("guard") == b"two"


@pytest.mark.parametrize("before", [None, b"before"])
async def test_of_sixteen_who_swap_one_wins(store: Blobs, before: bytes | None) -> None:
    if before is not None:
        await store.put_object("guard", before)
    offers = [f"from {number}".encode() for number in range(16)]
    won = await asyncio.gather(
        *(store.swap_object("guard", offer, expected=before) for offer in offers)
    )
    assert sum(won) == 1
    assert await store.get_object("guard") == offers[won.index(True)]


async def test_an_object_is_whole_at_all_times(store: Blobs) -> None:
    versions = [bytes([number]) * 50_000 * (number + 1) for number in range(8)]
    await store.put_object("tile", versions[0])
    writing = asyncio.gather(*(store.put_object("tile", data) for data in versions))
    while not writing.done():
        assert await store.get_object("tile") in versions
        await asyncio.sleep(0)  # the fake never waits
    await writing
    assert [found.key async for found in store.list_objects("")] == ["tile"]


# -- arithmetic -------------------------------------------------------------------------------

_parts = st.lists(st.builds(Part, st.integers(0, 40), st.integers(0, 12)), max_size=8)


def _covered(parts: Iterable[Part]) -> set[int]:
    return {at for part in parts for at in range(part.offset, part.offset + part.size_bytes)}


@given(_parts)
def test_merged_parts_hold_the_same_bytes_and_never_touch(parts: list[Part]) -> None:
    found = merged(parts)
    assert _covered(found) == _covered(parts)
    assert all(part.size_bytes for part in found)
    for one, next_one in itertools.pairwise(found):
        assert one.offset + one.size_bytes < next_one.offset


@given(_parts, st.integers(0, 60))
def test_gaps_are_what_is_not_there(parts: list[Part], size_bytes: int) -> None:
    found = gaps(merged(parts), size_bytes)
    open_ = {at for start, end in found for at in range(start, end)}
    assert open_ == set(range(size_bytes)) - _covered(parts)
    assert all(start < end for start, end in found)
