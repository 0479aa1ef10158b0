"""What only a disk promises: who was killed goes on, no room leaves nothing, links are not followed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import mmap
import os
import signal
import stat
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from muniment.core.digest import Digest, digest_of
from muniment.core.errors import BlobStoreDown, DiskFull, NotFound, UploadConflict
from muniment.server.ports import local_files as files
from muniment.server.ports.blobs import Part
from muniment.server.ports.blobs_local import LocalBlobs, open_local_blobs
from tests.support.bytes_sent import chunked, sent

MIB = 1 << 20
DATA = os.urandom(MIB) * 3
DIGEST = digest_of(DATA)
UPLOAD = uuid.UUID(int=7)

_SENDER = """
import asyncio, resource, sys, uuid
from pathlib import Path
from muniment.core.digest import Digest
from muniment.core.errors import DiskFull
from muniment.server.ports.blobs_local import open_local_blobs

async def stalled(block):
    for _ in range(int(sys.argv[4])):
        yield block
    print("sent", flush=True)
    await asyncio.Event().wait()

async def main():
    root, upload, digest = Path(sys.argv[1]), uuid.UUID(sys.argv[2]), Digest.parse(sys.argv[3])
    block = sys.stdin.buffer.read()
    await open_local_blobs(root).stage(upload, digest, 0, stalled(block), limit=1 << 40)

asyncio.run(main())
"""

_CRAMPED = """
import asyncio, resource, sys, uuid
from pathlib import Path
from muniment.core.digest import digest_of
from muniment.core.errors import DiskFull
from muniment.server.ports.blobs_local import open_local_blobs

async def much(data):
    for at in range(0, len(data), 1 << 20):
        yield data[at : at + (1 << 20)]

async def main():
    store = open_local_blobs(Path(sys.argv[1]))
    data, upload = bytes(5 << 20), uuid.UUID(int=7)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(2.5 * (1 << 20)),) * 2)
    digest = digest_of(data)
    for attempt in (
        store.stage(upload, digest, 0, much(data), limit=len(data)),
        store.put_object("tile", data),
        store.swap_object("guard", data, expected=None),
    ):
        try:
            await attempt
        except DiskFull as error:
            print(error.code, flush=True)
    parts = await store.staged(upload, digest)
    print([(part.offset, part.size_bytes) for part in parts])

asyncio.run(main())
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def store(root: Path) -> LocalBlobs:
    return open_local_blobs(root)


async def content(store: LocalBlobs, digest: Digest) -> bytes:
    return b"".join([chunk async for chunk in store.read(digest)])


def plain_files(root: Path) -> list[str]:
    """Every file below `root`, but for locks."""
    found = [one for one in root.rglob("*") if one.is_file() and one.name != "lock"]
    return sorted(one.relative_to(root).as_posix() for one in found)


@contextlib.contextmanager
def sender(root: Path, block: bytes, count: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that has sent `block` `count` times and waits for more."""
    arguments = [str(root), str(UPLOAD), str(DIGEST), str(count)]
    with subprocess.Popen(
        [sys.executable, "-c", _SENDER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(block)
        child.stdin.close()
        try:
            assert child.stdout.readline() == b"sent\n"
            yield child
        finally:
            child.kill()


# -- crashes ----------------------------------------------------------------------------------


async def test_a_new_process_goes_on_where_the_old_one_stopped(
    store: LocalBlobs, root: Path
) -> None:
    await store.stage(UPLOAD, DIGEST, 0, sent(DATA[:MIB]), limit=MIB)
    again = open_local_blobs(root)
    assert await again.staged(UPLOAD, DIGEST) == [Part(0, MIB)]
    await again.stage(UPLOAD, DIGEST, MIB, sent(DATA[MIB:]), limit=2 * MIB)
    await again.seal(UPLOAD, DIGEST, len(DATA))
    assert await content(again, DIGEST) == DATA


@pytest.mark.slow
async def test_what_a_killed_process_had_written_counts(root: Path) -> None:
    """All but the last few MiB: it was noted on the way."""
    with sender(root, DATA, 10) as child:
        child.send_signal(signal.SIGKILL)
        child.wait()
    store = open_local_blobs(root)
    (came,) = await store.staged(UPLOAD, DIGEST)
    assert came.offset == 0
    assert 16 * MIB <= came.size_bytes <= 30 * MIB
    written = (root / "staging" / str(UPLOAD) / DIGEST.hex).read_bytes()
    assert written[: came.size_bytes] == (DATA * 10)[: came.size_bytes]
    whole = DATA * 10
    digest = digest_of(whole)
    folder = root / "staging" / str(UPLOAD)
    for name in ("", ".parts"):
        (folder / f"{DIGEST.hex}{name}").rename(folder / f"{digest.hex}{name}")
    rest = chunked(whole[came.size_bytes :], MIB)
    await store.stage(UPLOAD, digest, came.size_bytes, rest, limit=30 * MIB)
    await store.seal(UPLOAD, digest, len(whole))
    assert await content(store, digest) == whole


@pytest.mark.slow
async def test_another_process_cannot_write_a_sealed_blob(root: Path) -> None:
    """Its bytes are not trusted either: the hash that ran here did not see them."""
    store = open_local_blobs(root)
    await store.stage(UPLOAD, DIGEST, 0, sent(DATA), limit=len(DATA))
    with sender(root, b"?" * 2 * MIB, 1):
        try:
            await store.seal(UPLOAD, DIGEST, len(DATA))
        except Exception as error:  # noqa: BLE001 -- whichever came first
            assert getattr(error, "code", "") == "digest_mismatch"  # noqa: PT017
            with pytest.raises(NotFound):
                await content(store, DIGEST)
        else:
            assert await content(store, DIGEST) == DATA


async def test_after_a_power_cut_nothing_staged_counts(store: LocalBlobs, root: Path) -> None:
    await store.stage(UPLOAD, DIGEST, 0, sent(DATA), limit=len(DATA))
    again = open_local_blobs(root)
    again._boot = "another"
    assert await again.staged(UPLOAD, DIGEST) == []
    with pytest.raises(UploadConflict) as refused:
        await again.seal(UPLOAD, DIGEST, len(DATA))
    assert refused.value.extra["missing"] == [[0, len(DATA)]]
    await again.stage(UPLOAD, DIGEST, 0, sent(DATA), limit=len(DATA))
    await again.seal(UPLOAD, DIGEST, len(DATA))
    assert await content(again, DIGEST) == DATA
    third = open_local_blobs(root)
    third._boot = "a third"
    await third.seal(UPLOAD, DIGEST, len(DATA))  # what is sealed was synced


async def test_a_line_written_in_part_counts_for_nothing(store: LocalBlobs, root: Path) -> None:
    await store.stage(UPLOAD, DIGEST, 0, sent(DATA[:MIB]), limit=MIB)
    log = root / "staging" / str(UPLOAD) / f"{DIGEST.hex}.parts"
    for torn in (f"{files.boot_id()} 0123456789abcdef 0 31457", "\xff\x00\n", "x\n", "\n\n"):
        with log.open("ab") as file:
            file.write(torn.encode("latin-1"))
        assert await store.staged(UPLOAD, DIGEST) == [Part(0, MIB)]
    await store.stage(UPLOAD, DIGEST, MIB, sent(DATA[MIB:]), limit=2 * MIB)
    assert await store.staged(UPLOAD, DIGEST) == [Part(0, len(DATA))]
    await store.seal(UPLOAD, DIGEST, len(DATA))


async def test_no_boot_id_is_a_boot_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_BOOT_ID", tmp_path / "none")
    assert files.boot_id() != files.boot_id()


# -- no room ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_full_disk_says_so_and_leaves_nothing_visible(root: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", _CRAMPED, str(root)], capture_output=True, text=True, check=False
    )
    assert child.stderr == ""
    *codes, parts = child.stdout.splitlines()
    assert codes == ["disk_full"] * 3
    assert parts == f"[(0, {2 * MIB})]"
    staged = f"staging/{UPLOAD}/{digest_of(bytes(5 * MIB)).hex}"
    assert plain_files(root) == [staged, f"{staged}.parts"]


_FULL = """
import asyncio, sys, uuid
from pathlib import Path
from muniment.core.digest import digest_of
from muniment.core.errors import DiskFull
from muniment.server.ports.blobs_local import open_local_blobs

async def endless():
    while True:
        yield bytes(1 << 20)

async def once(data):
    yield data

async def main():
    store = open_local_blobs(Path(sys.argv[1]))
    small, upload = b"small", uuid.UUID(int=8)
    await store.stage(upload, digest_of(small), 0, once(small), limit=9)
    for n in range(3):
        try:
            await store.stage(uuid.UUID(int=n), digest_of(b"%d" % n), 0, endless(), limit=1 << 40)
        except DiskFull as error:
            print(error.code)
    await store.put_object("log/tile", bytes(2 << 20))
    print(await store.swap_object("guard", bytes(1 << 20), expected=None))
    await store.seal(upload, digest_of(small), len(small))
    print(await store.size(digest_of(small)))

asyncio.run(main())
"""


def test_uploads_that_fill_the_disk_leave_room_for_the_log(tmp_path: Path) -> None:
    """On a real file system of 64 MiB, in a mount namespace of its own."""
    mount = f"mount -t tmpfs -o size=64m tmpfs {tmp_path} && exec "
    child = [sys.executable, "-c", _FULL, str(tmp_path / "blobs")]
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount + '"$@"', "-"]
    try:
        tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if tried.returncode != 0:
        pytest.skip(f"no mount namespaces here: {tried.stderr}")
    done = subprocess.run([*command, *child], capture_output=True, text=True, check=False)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.split() == ["disk_full"] * 3 + ["True", "5"]


async def test_what_follows_a_block_that_was_not_written_is_not_written(
    store: LocalBlobs, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would lie where the lost block belongs."""
    write_block, full = files.write_block, [False, True, False, False]

    def failing(handle: int, block: memoryview, offset: int) -> None:
        if full.pop(0):
            raise OSError(errno.ENOSPC, "full")
        write_block(handle, block, offset)

    monkeypatch.setattr(files, "write_block", failing)
    with pytest.raises(DiskFull):
        await store.stage(UPLOAD, DIGEST, 0, chunked(DATA, MIB), limit=len(DATA))
    monkeypatch.undo()
    assert await store.staged(UPLOAD, DIGEST) == [Part(0, MIB)]
    await store.stage(UPLOAD, DIGEST, MIB, sent(DATA[MIB:]), limit=2 * MIB)
    await store.seal(UPLOAD, DIGEST, len(DATA))
    assert await content(store, DIGEST) == DATA


@pytest.mark.parametrize("offset", [0, 4096, 5000])
@pytest.mark.parametrize("size_bytes", [0, 100, 4096, 4097, 3 * 4096 + 5])
def test_a_block_is_written_past_the_cache_wherever_it_lies(
    tmp_path: Path, offset: int, size_bytes: int
) -> None:
    block = memoryview(mmap.mmap(-1, 1 << 16))
    block[:size_bytes] = DATA[:size_bytes]
    handle = files.open_staged(tmp_path / "staged")
    try:
        flags = fcntl.fcntl(handle, fcntl.F_GETFL)
        files.write_block(handle, block[:size_bytes], offset)
        assert fcntl.fcntl(handle, fcntl.F_GETFL) == flags
        assert os.pread(handle, 1 << 17, offset) == DATA[:size_bytes]
        assert os.fstat(handle).st_size == (offset + size_bytes if size_bytes else 0)
    finally:
        os.close(handle)


def test_a_disk_that_does_not_write_past_the_cache_is_written_through_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = bytearray(DATA[: 8192 + 1])  # nobody promised where this lies
    handle = files.open_staged(tmp_path / "staged")
    try:
        files.write_block(handle, memoryview(plain)[1:], 0)
        assert os.pread(handle, 1 << 17, 0) == plain[1:]
        monkeypatch.setattr(files, "_set_direct", lambda *_, **__: False)
        files.write_block(handle, memoryview(plain)[1:], 8192)
        assert os.pread(handle, 1 << 17, 0) == plain[1:] * 2
    finally:
        os.close(handle)


async def test_a_seal_that_fails_to_sync_can_be_repeated(
    store: LocalBlobs, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(errno.EIO, "broken")

    await store.stage(UPLOAD, DIGEST, 0, sent(DATA), limit=len(DATA))
    for name in ("fsync", "fchmod"):
        monkeypatch.setattr(os, name, failing)
        with pytest.raises(BlobStoreDown):
            await store.seal(UPLOAD, DIGEST, len(DATA))
        monkeypatch.undo()
        if name == "fsync":
            assert await store.size(DIGEST) is None
            assert await store.staged(UPLOAD, DIGEST) == [Part(0, len(DATA))]


# -- the directory ----------------------------------------------------------------------------


async def test_blobs_are_read_only_and_everything_is_the_owners(
    store: LocalBlobs, root: Path
) -> None:
    await store.stage(UPLOAD, DIGEST, 0, sent(DATA), limit=len(DATA))
    staged = root / "staging" / str(UPLOAD)
    assert stat.S_IMODE(staged.stat().st_mode) == 0o700
    assert {stat.S_IMODE(one.stat().st_mode) for one in staged.iterdir()} == {0o600}
    await store.seal(UPLOAD, DIGEST, len(DATA))
    final = root / "sha256" / DIGEST.hex[:2] / DIGEST.hex[2:4] / DIGEST.hex
    assert await store.local_path(DIGEST) == str(final)
    assert stat.S_IMODE(final.stat().st_mode) == 0o444
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in final.parents[:3]} == {0o700}
    await store.discard(UPLOAD)
    assert plain_files(root) == [final.relative_to(root).as_posix()]


async def test_links_in_staging_are_not_followed(
    store: LocalBlobs, root: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / DIGEST.hex).write_bytes(b"precious")
    folder = root / "staging" / str(UPLOAD)
    folder.symlink_to(victim)
    with pytest.raises(BlobStoreDown):
        await store.stage(UPLOAD, DIGEST, 0, sent(DATA), limit=len(DATA))
    assert await store.list_staged() == []
    await store.discard(UPLOAD)
    assert not folder.is_symlink()
    folder.mkdir()
    for name in (DIGEST.hex, f"{DIGEST.hex}.parts"):
        (folder / name).symlink_to(victim / DIGEST.hex)
        with pytest.raises(BlobStoreDown):
            await store.stage(UPLOAD, DIGEST, 0, sent(DATA), limit=len(DATA))
        (folder / name).unlink()
    assert (victim / DIGEST.hex).read_bytes() == b"precious"


async def test_links_among_blobs_and_objects_are_not_followed(
    store: LocalBlobs, root: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"precious")
    final = root / "sha256" / DIGEST.hex[:2] / DIGEST.hex[2:4] / DIGEST.hex
    final.parent.mkdir(parents=True)
    final.symlink_to(secret)
    with pytest.raises(BlobStoreDown):
        await content(store, DIGEST)
    assert await store.size(DIGEST) is None
    assert await store.local_path(DIGEST) is None
    assert [found async for found in store.list_digests()] == []
    (root / "objects" / "tile").symlink_to(secret)
    with pytest.raises(BlobStoreDown):
        await store.get_object("tile")
    await store.put_object("tile", b"new")
    assert await store.get_object("tile") == b"new"
    assert secret.read_bytes() == b"precious"


async def test_a_dropped_upload_takes_no_more(store: LocalBlobs) -> None:
    begun, dropped = asyncio.Event(), asyncio.Event()

    async def late() -> AsyncIterator[bytes]:
        yield DATA[: 2 * MIB]
        begun.set()
        await dropped.wait()
        yield DATA[2 * MIB :]

    sending = asyncio.create_task(store.stage(UPLOAD, DIGEST, 0, late(), limit=len(DATA)))
    await begun.wait()
    await store.discard(UPLOAD)
    dropped.set()
    with contextlib.suppress(UploadConflict):  # a discard before the first block is no discard
        await sending
    assert await store.staged(UPLOAD, DIGEST) in ([], [Part(0, len(DATA))])


async def test_the_hash_that_ran_is_only_used_when_it_saw_everything(
    store: LocalBlobs, root: Path
) -> None:
    """Bytes changed behind its back are sealed unseen; so every other writer must be seen."""
    await store.stage(UPLOAD, DIGEST, 0, sent(DATA), limit=len(DATA))
    other = open_local_blobs(root)  # as another process would
    await other.stage(UPLOAD, DIGEST, 5, sent(bytes([DATA[5] ^ 1])), limit=1)
    with pytest.raises(Exception, match="send it again"):
        await store.seal(UPLOAD, DIGEST, len(DATA))


async def test_bytes_are_not_read_again_when_they_came_in_order(
    store: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_: int) -> Digest:
        raise AssertionError

    monkeypatch.setattr(files, "digest_of", never)
    for start in range(0, len(DATA), MIB):
        await store.stage(UPLOAD, DIGEST, start, sent(DATA[start : start + MIB]), limit=MIB)
    await store.seal(UPLOAD, DIGEST, len(DATA))


async def test_hashes_of_forgotten_uploads_do_not_pile_up(store: LocalBlobs) -> None:
    for number in range(1100):
        store._hashes[store._staged(uuid.UUID(int=number), DIGEST)] = None  # type: ignore[assignment]
    await store.stage(UPLOAD, DIGEST, 0, sent(DATA), limit=len(DATA))
    assert len(store._hashes) <= 1000
    await store.seal(UPLOAD, DIGEST, len(DATA))


def test_a_directory_that_cannot_be_used_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BlobStoreDown, match="cannot write"):
        open_local_blobs(tmp_path / "file")


async def test_what_is_not_a_blob_is_not_listed(store: LocalBlobs, root: Path) -> None:
    await store.stage(UPLOAD, DIGEST, 0, sent(DATA), limit=len(DATA))
    await store.seal(UPLOAD, DIGEST, len(DATA))
    (root / "sha256" / DIGEST.hex[:2] / "note.txt").write_bytes(b"")
    (root / "sha256" / DIGEST.hex[:2] / DIGEST.hex[2:4] / "note.txt").write_bytes(b"")
    (root / "staging" / "note.txt").write_bytes(b"")
    (root / "staging" / "folder").mkdir()
    assert [found async for found in store.list_digests()] == [(DIGEST, len(DATA))]
    assert [upload for upload, _ in await store.list_staged()] == [UPLOAD]
    assert hashlib.sha256(await content(store, DIGEST)).digest() == DIGEST.raw


@pytest.mark.parametrize("depth", [1, 2, 3])
async def test_a_linked_folder_is_not_followed_to_a_blob(
    store: LocalBlobs, root: Path, tmp_path: Path, depth: int
) -> None:
    linked = "/".join(["sha256", DIGEST.hex[:2], DIGEST.hex[2:4]][:depth])
    await store.stage(UPLOAD, DIGEST, 0, sent(DATA), limit=len(DATA))
    await store.seal(UPLOAD, DIGEST, len(DATA))
    assert await store.size(DIGEST) == len(DATA)
    elsewhere = tmp_path / "elsewhere"
    (root / linked).rename(elsewhere)
    (root / linked).symlink_to(elsewhere)
    for look in (
        lambda: store.size(DIGEST),
        lambda: store.local_path(DIGEST),
        lambda: anext(store.read(DIGEST)),
        lambda: store.delete_blob(DIGEST),
        lambda: store.seal(UPLOAD, DIGEST, len(DATA)),
    ):
        with pytest.raises(BlobStoreDown, match="symbolic link"):
            await look()
    with contextlib.suppress(BlobStoreDown):
        assert [one async for one in store.list_digests()] == []


@pytest.mark.parametrize("linked", ["objects", "objects/log", "objects/log/tile"])
async def test_a_linked_folder_is_not_followed_to_an_object(
    store: LocalBlobs, root: Path, tmp_path: Path, linked: str
) -> None:
    await store.put_object("log/tile/0", b"tile")
    elsewhere = tmp_path / "elsewhere"
    (root / linked).rename(elsewhere)
    (root / linked).symlink_to(elsewhere)
    for look in (
        lambda: store.get_object("log/tile/0"),
        lambda: store.put_object("log/tile/0", b"x"),
        lambda: store.swap_object("log/tile/0", b"x", expected=b"tile"),
        lambda: store.delete_object("log/tile/0"),
        lambda: anext(store.list_objects("log/tile/")),
    ):
        with pytest.raises(BlobStoreDown, match="symbolic link"):
            await look()


async def test_a_linked_staging_folder_takes_nothing(
    store: LocalBlobs, root: Path, tmp_path: Path
) -> None:
    (root / "staging").rmdir()
    (root / "staging").symlink_to(tmp_path)
    with pytest.raises(BlobStoreDown, match="symbolic link"):
        await store.stage(UPLOAD, DIGEST, 0, sent(DATA), limit=len(DATA))
