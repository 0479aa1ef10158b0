"""A blob store in a directory of a local disk.

    sha256/ab/cd/<hex>             sealed blobs, read-only
    staging/<upload>/<hex>         bytes that came so far, each part written at its own offset
    staging/<upload>/<hex>.parts   the log of what was received; `.sealed` once it was sealed
    objects/<key>                  small named objects

What is promised, and how:

1. A sealed blob or a put object survives a power cut: its bytes are synced, then renamed into place,
   then the directory is synced. Nothing else has its final name, ever.
2. A staged part survives the death of this process, not a power cut: its line names the boot it was
   written in, and lines of another boot count for nothing. So an upload is resumed after a crash of
   the server, and sent again after a crash of the machine, at no fsync a part.
3. The hash runs while bytes stream in order; parts that came otherwise are read once at `seal`.
4. Several processes may use the directory at once; `local_staging` says how.
5. Uploads leave some room on the disk to objects and to the database: a full disk stops uploads, and
   not the log.
6. Symbolic links are not followed, nor are linked folders, and keys cannot leave the directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import fcntl
import itertools
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator, Sequence
from pathlib import Path
from uuid import UUID

from muniment.core.digest import Digest, digest_of
from muniment.core.errors import BadDigest, BlobStoreDown, NotFound, TooLarge, UploadConflict
from muniment.server.ports import local_files as files
from muniment.server.ports.blob_parts import require_exactly
from muniment.server.ports.blobs import ObjectInfo, Part
from muniment.server.ports.local_files import run
from muniment.server.ports.local_staging import PartWriter, RunningHash, Staged
from muniment.server.ports.object_keys import checked_key, checked_prefix

_BLOCK = 1 << 20
_HASHES_KEPT = 1000
_SYNCED_AT_ONCE = 50  # each is an open file meanwhile
_SEAL_AGAIN_SECONDS = 0.02


async def _between(handle: int, start: int, end: int | None) -> AsyncGenerator[bytes]:
    """Yield the bytes [start, end) of an open file, as far as there are any, then close it."""
    try:
        at, stop = start, os.fstat(handle).st_size
        stop = stop if end is None else min(end, stop)
        while at < stop:
            chunk = await run(os.pread, handle, min(_BLOCK, stop - at), at)
            if not chunk:
                return
            at += len(chunk)
            yield chunk
    finally:
        os.close(handle)


class LocalBlobs:
    """The blob store in `root`; see the module for what it promises."""

    def __init__(self, root: Path) -> None:
        """Use `root`, which `open_local_blobs` prepared."""
        self._root = root
        self._boot = files.boot_id()
        self._hashes: dict[Staged, RunningHash] = {}

    # -- blobs ------------------------------------------------------------------------------

    async def stage(
        self, upload: UUID, digest: Digest, offset: int, chunks: AsyncIterable[bytes], *, limit: int
    ) -> Part:
        """See `Blobs.stage`. A part that breaks off keeps what arrived."""
        staged = self._staged(upload, digest)
        writer = PartWriter(staged, offset, limit, self._take_hash(staged, offset))
        keep = True
        try:
            async for chunk in chunks:
                await writer.write(chunk)
        except TooLarge:
            keep = False
            raise
        finally:
            await asyncio.shield(self._finish(staged, writer, keep=keep))
        return Part(offset, writer.size_bytes)

    async def _finish(self, staged: Staged, writer: PartWriter, *, keep: bool) -> None:
        """End a part, and keep the hash so far for the part that follows it."""
        await writer.finish(keep=keep)
        if keep and writer.running is not None:
            self._hashes[staged] = writer.running
            while len(self._hashes) > _HASHES_KEPT:  # forgotten ones are read again at `seal`
                del self._hashes[next(iter(self._hashes))]

    def _take_hash(self, staged: Staged, offset: int) -> RunningHash | None:
        """Take the running hash if it stands at `offset`; a new one at the start of a blob."""
        running = self._hashes.get(staged)
        if running is not None and running.at == offset:
            return self._hashes.pop(staged)
        if offset == 0:
            self._hashes.pop(staged, None)
            return RunningHash()
        return None

    async def staged(self, upload: UUID, digest: Digest) -> list[Part]:
        """See `Blobs.staged`."""
        return await run(self._staged(upload, digest).parts)

    async def seal(self, upload: UUID, digest: Digest, size_bytes: int) -> None:
        """See `Blobs.seal`."""
        staged = self._staged(upload, digest)
        running = self._hashes.pop(staged, None)
        if running is not None and running.at != size_bytes:
            running = None
        while True:
            if await run(self._try_to_seal, staged, size_bytes, running):
                return
            await asyncio.sleep(_SEAL_AGAIN_SECONDS)  # here, not in a thread that others need

    def _try_to_seal(self, staged: Staged, size_bytes: int, running: RunningHash | None) -> bool:
        try:
            staged.seal(size_bytes, running, self._final(staged.digest), self._root)
        except (BlockingIOError, FileNotFoundError):
            return False
        return True

    async def keep(
        self, upload: UUID, chunks: AsyncIterable[bytes], *, limit: int
    ) -> tuple[Digest, int]:
        """See `Blobs.keep`."""
        scratch = self._staged(upload, Digest(secrets.token_bytes(32)))
        running = RunningHash()
        writer = PartWriter(scratch, 0, limit, running)
        whole = False
        try:
            async for chunk in chunks:
                await writer.write(chunk)
            whole = True
        finally:
            await asyncio.shield(self._finish_kept(scratch, writer, whole=whole))
        digest = Digest(running.sha256.digest())
        if await self.size(digest) == running.at:
            await run(scratch.drop)
        else:
            await run(scratch.keep, self._final(digest), self._root)
        return digest, running.at

    async def keep_all(self, upload: UUID, contents: Sequence[bytes]) -> list[Digest]:
        """See `Blobs.keep_all`. Fifty files are synced together."""
        digests = [digest_of(content) for content in contents]
        named = dict(zip(digests, contents, strict=True))
        waiting = iter(named.items())
        while some := list(itertools.islice(waiting, _SYNCED_AT_ONCE)):
            placed = {self._final(digest): content for digest, content in some}
            await run(files.hold_together, self._folder(upload), placed, self._root)
        return digests

    async def _finish_kept(self, scratch: Staged, writer: PartWriter, *, whole: bool) -> None:
        try:
            await writer.finish(keep=whole)
        except BaseException:
            whole = False
            raise
        finally:
            if not whole:
                await run(scratch.drop)

    async def read_staged(
        self, upload: UUID, digest: Digest, size_bytes: int
    ) -> AsyncIterator[bytes]:
        """See `Blobs.read_staged`."""
        staged = self._staged(upload, digest)
        require_exactly(await run(staged.parts), size_bytes)
        handle = await run(files.open_sealed, staged.path)
        at = 0
        if handle is not None:
            async with contextlib.aclosing(_between(handle, 0, size_bytes)) as chunks:
                async for chunk in chunks:
                    at += len(chunk)
                    yield chunk
        if at != size_bytes:
            raise UploadConflict("this blob was sealed or dropped while it was read")

    async def discard(self, upload: UUID) -> None:
        """See `Blobs.discard`."""
        folder = self._folder(upload)
        for key in [key for key in self._hashes if key.folder == folder]:
            del self._hashes[key]
        await run(files.remove_tree, folder)

    async def list_staged(self) -> list[tuple[UUID, dt.datetime]]:
        """See `Blobs.list_staged`."""
        return await run(self._list_staged)

    def _list_staged(self) -> list[tuple[UUID, dt.datetime]]:
        found = []
        files.check_way(self._root / "staging" / "any", self._root)
        for folder in files.folders(self._root / "staging"):
            with contextlib.suppress(ValueError, FileNotFoundError):
                upload = UUID(folder.name)
                times = [one.lstat().st_mtime for one in folder.iterdir()]
                if times:
                    found.append((upload, dt.datetime.fromtimestamp(max(times), dt.UTC)))
        return found

    async def size(self, digest: Digest) -> int | None:
        """See `Blobs.size`."""
        return await run(files.size_of, self._final(digest))

    async def read(
        self, digest: Digest, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """See `Blobs.read`."""
        handle = await run(files.open_sealed, self._final(digest))
        if handle is None:
            raise NotFound(f"the store does not hold {digest}")
        async with contextlib.aclosing(_between(handle, start, end)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def local_path(self, digest: Digest) -> str | None:
        """See `Blobs.local_path`."""
        final = self._final(digest)
        return str(final) if await run(files.size_of, final) is not None else None

    async def presign_part(
        self, upload: UUID, digest: Digest, offset: int, expires: dt.timedelta
    ) -> str | None:
        """Return None: a disk has no address of its own."""
        del upload, digest, offset, expires
        return None

    async def presign_read(
        self, digest: Digest, expires: dt.timedelta, filename: str
    ) -> str | None:
        """Return None: a disk has no address of its own."""
        del digest, expires, filename
        return None

    async def list_digests(self) -> AsyncIterator[tuple[Digest, int]]:
        """See `Blobs.list_digests`."""
        files.check_way(self._root / "sha256" / "any", self._root)
        for first in await run(files.folders, self._root / "sha256"):
            for second in await run(files.folders, first):
                for name, size_bytes in await run(files.sizes, second):
                    try:
                        digest = Digest.parse(name)
                    except BadDigest:
                        continue  # somebody's note is no blob
                    yield digest, size_bytes

    # -- objects ----------------------------------------------------------------------------

    async def put_object(self, key: str, data: bytes) -> None:
        """See `Blobs.put_object`."""
        await run(self._put, self._object(key), data)

    def _put(self, path: Path, data: bytes) -> None:
        with self._locked(fcntl.LOCK_SH):  # not between the look and the write of a swap
            files.write_whole(path, data, self._root)

    async def get_object(self, key: str) -> bytes | None:
        """See `Blobs.get_object`."""
        return await run(files.read_whole, self._object(key))

    async def swap_object(self, key: str, data: bytes, *, expected: bytes | None) -> bool:
        """See `Blobs.swap_object`."""
        return await run(self._swap, self._object(key), data, expected)

    def _swap(self, path: Path, data: bytes, expected: bytes | None) -> bool:
        with self._locked(fcntl.LOCK_EX):
            if files.read_whole(path) != expected:
                return False
            files.write_whole(path, data, self._root)
            return True

    @contextlib.contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        handle = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, how)
            yield
        finally:
            os.close(handle)

    async def list_objects(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """See `Blobs.list_objects`."""
        root = self._root / "objects"
        files.check_way(root / checked_prefix(prefix) / "any", self._root)
        for key, stat in await run(files.tree, root, prefix):
            modified_at = dt.datetime.fromtimestamp(stat.st_mtime, dt.UTC)
            yield ObjectInfo(key, stat.st_size, modified_at)

    async def delete_blob(self, digest: Digest) -> None:
        """See `Blobs.delete_blob`."""
        await run(files.remove, self._final(digest))

    async def delete_object(self, key: str) -> None:
        """See `Blobs.delete_object`."""
        await run(files.remove, self._object(key))

    # -- places -----------------------------------------------------------------------------

    def _final(self, digest: Digest) -> Path:
        folder = self._root / "sha256" / digest.hex[:2] / digest.hex[2:4]
        return files.check_way(folder / digest.hex, self._root)

    def _folder(self, upload: UUID) -> Path:
        return files.check_way(self._root / "staging" / str(upload), self._root)

    def _staged(self, upload: UUID, digest: Digest) -> Staged:
        return Staged(self._folder(upload), digest, self._boot)

    def _object(self, key: str) -> Path:
        return files.check_way(self._root / "objects" / checked_key(key), self._root)


def open_local_blobs(root: Path) -> LocalBlobs:
    """Open the store in `root`, made if it is not there, readable by its owner only.

    Raises:
        BlobStoreDown: the directory cannot be made or written to.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("sha256", "staging", "objects"):
            (root / name).mkdir(mode=0o700, exist_ok=True)
        probe = root / f"probe-{secrets.token_hex(4)}"
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as error:
        raise BlobStoreDown(
            f"cannot write to the blob directory {root}: {error.strerror}"
        ) from error
    return LocalBlobs(root)
