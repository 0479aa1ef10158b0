"""A blob store in a directory of a local disk.

    sha256/ab/cd/<hex>         sealed blobs, read-only
    staging/<upload>/<hex>     bytes that came so far, each part written at its own offset
    staging/<upload>/<hex>.parts   one line a part: boot id, offset, size
    objects/<key>              small named objects

What is promised, and how:

1. A sealed blob or a put object survives a power cut: its bytes are synced, then renamed into place,
   then the directory is synced. Nothing else has its final name, ever.
2. A staged part survives the death of this process, not a power cut: its line names the boot it was
   written in, and lines of another boot count for nothing. So an upload is resumed after a crash of
   the server, and sent again after a crash of the machine, at no fsync a part.
3. The hash runs while bytes stream in order; parts that came otherwise are read once at `seal`.
4. Symbolic links are not followed, and keys cannot leave the directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import fcntl
import functools
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from muniment.core.digest import Digest
from muniment.core.errors import (
    BadPath,
    BlobStoreDown,
    DigestMismatch,
    DiskFull,
    NotFound,
    TooLarge,
)
from muniment.server.ports import local_files as files
from muniment.server.ports.blob_parts import merged, require_whole
from muniment.server.ports.blobs import ObjectInfo, Part

_BLOCK = 1 << 20
_KEY = re.compile(r"(?!.*(?:^|/)\.{1,2}(?:/|$))[a-z0-9][a-z0-9._/-]{0,400}")
_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(slots=True)
class _Running:
    """The hash of a staged blob's first `at` bytes."""

    sha256: Any = field(default_factory=hashlib.sha256)
    at: int = 0


class LocalBlobs:
    """The blob store in `root`; see the module for what it promises."""

    def __init__(self, root: Path) -> None:
        """Use `root`, which `open_local_blobs` prepared."""
        self._root = root
        self._boot = files.boot_id()
        self._hashes: dict[tuple[UUID, Digest], _Running] = {}

    # -- blobs ------------------------------------------------------------------------------

    async def stage(
        self, upload: UUID, digest: Digest, offset: int, chunks: AsyncIterable[bytes], *, limit: int
    ) -> Part:
        """See `Blobs.stage`. A part that breaks off keeps what arrived."""
        path = self._staging(upload) / digest.hex
        handle = await _run(files.open_staged, path)
        running = self._take_hash(upload, digest, offset)
        writer = _PartWriter(handle, offset, limit, running)
        try:
            async for chunk in chunks:
                await writer.write(chunk)
        except TooLarge:
            await writer.finish(keep=False)
            raise
        except BaseException:
            await asyncio.shield(self._keep(writer, path, upload, digest))
            raise
        else:
            await self._keep(writer, path, upload, digest)
        finally:
            os.close(handle)
        return Part(offset, writer.size_bytes)

    async def _keep(self, writer: _PartWriter, path: Path, upload: UUID, digest: Digest) -> None:
        """Note the part as received, and the hash so far for the part that follows it."""
        await writer.finish(keep=True)
        line = f"{self._boot} {writer.offset} {writer.size_bytes}\n"
        await _run(files.append_line, path.with_suffix(".parts"), line)
        if writer.running is not None:
            self._hashes[upload, digest] = writer.running

    def _take_hash(self, upload: UUID, digest: Digest, offset: int) -> _Running | None:
        """Take the running hash if it stands at `offset`; a new one at the start of a blob."""
        running = self._hashes.get((upload, digest))
        if running is not None and running.at == offset:
            return self._hashes.pop((upload, digest))
        if offset == 0:
            self._hashes.pop((upload, digest), None)
            return _Running()
        return None

    async def staged(self, upload: UUID, digest: Digest) -> list[Part]:
        """See `Blobs.staged`."""
        return merged(await _run(self._parts, upload, digest))

    def _parts(self, upload: UUID, digest: Digest) -> list[Part]:
        path = self._staging(upload) / f"{digest.hex}.parts"
        found = []
        for line in files.lines(path):
            boot, _, numbers = line.partition(" ")
            if boot == self._boot:
                offset, size_bytes = numbers.split()
                found.append(Part(int(offset), int(size_bytes)))
        return found

    async def seal(self, upload: UUID, digest: Digest, size_bytes: int) -> None:
        """See `Blobs.seal`."""
        running = self._hashes.pop((upload, digest), None)
        await _run(self._seal, upload, digest, size_bytes, running)

    def _seal(
        self, upload: UUID, digest: Digest, size_bytes: int, running: _Running | None
    ) -> None:
        path, final = self._staging(upload) / digest.hex, self._final(digest)
        if not path.exists():
            if files.size_of(final) == size_bytes:
                return
            if size_bytes == 0:
                os.close(files.open_staged(path))
        require_whole(merged(self._parts(upload, digest)), size_bytes)
        handle = files.open_staged(path)
        try:
            os.ftruncate(handle, size_bytes)
            found = (
                Digest(running.sha256.digest())
                if running is not None and running.at == size_bytes
                else files.digest_of(handle)
            )
            if found == digest:
                os.fchmod(handle, 0o444)
                os.fsync(handle)
        finally:
            os.close(handle)
        path.with_suffix(".parts").unlink(missing_ok=True)
        if found != digest:
            path.unlink(missing_ok=True)
            raise DigestMismatch(
                f"expected {digest}, found {found}: the file changed or was damaged on the way;"
                " send it again",
                extra={"expected": digest.hex, "found": found.hex},
            )
        files.move_into_place(path, final, self._root)
        with contextlib.suppress(OSError):
            path.parent.rmdir()  # the last blob of its upload

    async def discard(self, upload: UUID) -> None:
        """See `Blobs.discard`."""
        for key in [key for key in self._hashes if key[0] == upload]:
            del self._hashes[key]
        await _run(shutil.rmtree, self._staging(upload), ignore_errors=True)

    async def list_staged(self) -> list[tuple[UUID, dt.datetime]]:
        """See `Blobs.list_staged`."""
        return await _run(self._list_staged)

    def _list_staged(self) -> list[tuple[UUID, dt.datetime]]:
        found = []
        for folder in files.folders(self._root / "staging"):
            with contextlib.suppress(ValueError, FileNotFoundError):
                times = [folder.stat().st_mtime, *(one.stat().st_mtime for one in folder.iterdir())]
                found.append((UUID(folder.name), dt.datetime.fromtimestamp(max(times), dt.UTC)))
        return found

    async def size(self, digest: Digest) -> int | None:
        """See `Blobs.size`."""
        return await _run(files.size_of, self._final(digest))

    async def read(
        self, digest: Digest, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """See `Blobs.read`."""
        handle = await _run(files.open_sealed, self._final(digest))
        if handle is None:
            raise NotFound(f"the store does not hold {digest}")
        try:
            at, stop = start, os.fstat(handle).st_size
            stop = stop if end is None else min(end, stop)
            while at < stop:
                chunk = await _run(os.pread, handle, min(_BLOCK, stop - at), at)
                if not chunk:
                    return
                at += len(chunk)
                yield chunk
        finally:
            os.close(handle)

    async def local_path(self, digest: Digest) -> str | None:
        """See `Blobs.local_path`."""
        final = self._final(digest)
        return str(final) if await _run(files.size_of, final) is not None else None

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
        for first in await _run(files.folders, self._root / "sha256"):
            for second in await _run(files.folders, first):
                for name, size_bytes in await _run(files.sizes, second):
                    yield Digest.parse(name), size_bytes

    # -- objects ----------------------------------------------------------------------------

    async def put_object(self, key: str, data: bytes) -> None:
        """See `Blobs.put_object`."""
        await _run(files.write_whole, self._object(key), data, self._root)

    async def get_object(self, key: str) -> bytes | None:
        """See `Blobs.get_object`."""
        return await _run(files.read_whole, self._object(key))

    async def swap_object(self, key: str, data: bytes, *, expected: bytes | None) -> bool:
        """See `Blobs.swap_object`."""
        return await _run(self._swap, self._object(key), data, expected)

    def _swap(self, path: Path, data: bytes, expected: bytes | None) -> bool:
        with self._locked():
            if files.read_whole(path) != expected:
                return False
            files.write_whole(path, data, self._root)
            return True

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        handle = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    async def list_objects(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """See `Blobs.list_objects`."""
        for key, stat in await _run(files.tree, self._root / "objects", prefix):
            modified_at = dt.datetime.fromtimestamp(stat.st_mtime, dt.UTC)
            yield ObjectInfo(key, stat.st_size, modified_at)

    async def delete_object(self, key: str) -> None:
        """See `Blobs.delete_object`."""
        path = self._object(key)
        await _run(functools.partial(path.unlink, missing_ok=True))

    # -- places -----------------------------------------------------------------------------

    def _final(self, digest: Digest) -> Path:
        return self._root / "sha256" / digest.hex[:2] / digest.hex[2:4] / digest.hex

    def _staging(self, upload: UUID) -> Path:
        return self._root / "staging" / str(upload)

    def _object(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise BadPath(f"expected a key of a-z, 0-9, `.`, `_`, `-` and `/`, found {key[:80]!r}")
        return self._root / "objects" / key


class _PartWriter:
    """Writes one part in blocks: one block goes to disk and hash while the next one arrives."""

    def __init__(self, handle: int, offset: int, limit: int, running: _Running | None) -> None:
        self.offset, self.size_bytes, self.running = offset, 0, running
        self._handle, self._limit = handle, limit
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._received = 0
        self._writing: asyncio.Task[None] | None = None

    async def write(self, chunk: bytes) -> None:
        self._received += len(chunk)
        if self._received > self._limit:
            raise TooLarge(
                f"expected at most {self._limit} bytes in this part, found more: send it in parts"
            )
        self._buffer.append(chunk)
        self._buffered += len(chunk)
        if self._buffered >= _BLOCK:
            await self._flush()

    async def _flush(self) -> None:
        await self._wait()
        blocks, self._buffer, self._buffered = self._buffer, [], 0
        self._writing = asyncio.ensure_future(_run(self._store, blocks))

    async def _wait(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing

    def _store(self, blocks: list[bytes]) -> None:
        for block in blocks:
            files.write_at(self._handle, block, self.offset + self.size_bytes)
            if self.running is not None:
                self.running.sha256.update(block)
                self.running.at += len(block)
            self.size_bytes += len(block)

    async def finish(self, *, keep: bool) -> None:
        """Write what is buffered, or forget it."""
        await self._wait()
        if keep and self._buffer:
            await self._flush()
            await self._wait()


async def _run(work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run file work in a thread, and turn its errors into ours.

    Raises:
        DiskFull: there is no room, or the quota is used up.
        BlobStoreDown: any other error of the disk.
    """
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except OSError as error:
        if error.errno in files.NO_ROOM:
            raise DiskFull(context={"reason": str(error)}) from error
        raise BlobStoreDown(context={"reason": str(error)}) from error


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
