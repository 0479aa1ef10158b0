"""One blob that is being received on a disk: its bytes, the log of its parts, its running hash.

Several requests, and several server processes, may write parts of one blob while another seals it.
Two rules keep what was hashed and what is sealed the same bytes:

1. Every block is written under a shared lock on the file, and only while the file still has its
   staging name. `seal` holds the lock alone, from before it hashes until the file has its final name.
   A request that comes late or stalls cannot reach a sealed blob, and blocks nobody.
2. Who writes says so in the log first. The running hash of a writer counts only if the log holds
   that writer's lines and no other's; else the bytes are read again.

Lines of the log: boot id, writer, then `begin`, `drop` or offset and size of what arrived.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import mmap
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from muniment.core.digest import Digest
from muniment.core.errors import TooLarge, UploadConflict
from muniment.server.ports import local_files as files
from muniment.server.ports.blob_parts import end_of, merged, mismatch, require_whole, too_long
from muniment.server.ports.blobs import Part

_BLOCK = 1 << 20
_BLOCKS_KEPT = 32
_NOTE_EVERY = 8 << 20
_LINE = re.compile(r"(\S+) ([0-9a-f]{16}) (?:(begin|drop)|(\d{1,20}) (\d{1,20}))\n")


@dataclass(slots=True)
class RunningHash:
    """The SHA-256 of a staged blob's first `at` bytes, and the log lines of who wrote them."""

    sha256: Any = field(default_factory=hashlib.sha256)
    at: int = 0
    log: str = ""


@dataclass(frozen=True, slots=True)
class Staged:
    """A blob being received in `folder`; `boot` is this boot of the machine."""

    folder: Path
    digest: Digest
    boot: str

    @property
    def path(self) -> Path:
        """Where its bytes are, each at its own offset."""
        return self.folder / self.digest.hex

    @property
    def log(self) -> Path:
        """Where its parts are noted."""
        return self.folder / f"{self.digest.hex}.parts"

    @property
    def mark(self) -> Path:
        """What is there once this upload has sealed it: the right to be told so again."""
        return self.folder / f"{self.digest.hex}.sealed"

    @contextlib.contextmanager
    def locked(self, handle: int, how: int) -> Iterator[None]:
        """Hold the lock on the open file, if that still is the staged one.

        Raises:
            BlockingIOError: somebody seals it now, or (for a seal) writes it.
            FileNotFoundError: it was sealed or dropped since it was opened.
        """
        fcntl.flock(handle, how | fcntl.LOCK_NB)
        try:
            if not files.is_at(handle, self.path):
                raise FileNotFoundError(errno.ENOENT, "sealed or dropped", str(self.path))
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)

    def parts(self) -> list[Part]:
        """Return what was received in this boot of the machine, by offset."""
        if files.size_of(self.path) is None:
            return []
        noted: dict[str, list[Part]] = {}
        for line in files.lines(self.log):
            found = _LINE.fullmatch(line)
            if found is None or found[1] != self.boot:
                continue
            if found[3] == "drop":
                noted.pop(found[2], None)
            elif found[4]:
                noted.setdefault(found[2], []).append(Part(int(found[4]), int(found[5])))
        return merged(part for parts in noted.values() for part in parts)

    def seal(self, size_bytes: int, running: RunningHash | None, final: Path, root: Path) -> None:
        """Verify the bytes and give them their final name; see `Blobs.seal`.

        Raises:
            BlockingIOError: somebody writes or seals it this moment; repeat.
            FileNotFoundError: somebody sealed or dropped it this moment; repeat.
        """
        try:
            handle = files.open_staged(self.path, make=size_bytes == 0)
        except FileNotFoundError:
            if not self._was_sealed(size_bytes, final):
                require_whole([], size_bytes)
            return
        try:
            with self.locked(handle, fcntl.LOCK_EX):
                if self._was_sealed(size_bytes, final):
                    self.drop()  # somebody sends again what is held: they find the mark too
                    return
                self._seal_open(handle, size_bytes, running)
                files.append(self.mark, "")  # before the move: who finds no file finds this
                files.remove(self.log)  # before it too: afterwards it is the log of who sends again
                files.move_into_place(handle, self.path, final, root)
        finally:
            os.close(handle)

    def _was_sealed(self, size_bytes: int, final: Path) -> bool:
        return files.size_of(self.mark) is not None and files.size_of(final) == size_bytes

    def _seal_open(self, handle: int, size_bytes: int, running: RunningHash | None) -> None:
        parts = self.parts()
        require_whole(parts, size_bytes)
        if end_of(parts) > size_bytes:
            self.drop()
            raise too_long(self.digest, size_bytes, end_of(parts))
        os.ftruncate(handle, size_bytes)
        if running is not None and running.log == "".join(files.lines(self.log)):
            found = Digest(running.sha256.digest())
        else:
            found = files.digest_of(handle)
        if found != self.digest:
            self.drop()
            raise mismatch(self.digest, found)
        os.fsync(handle)

    def keep(self, final: Path, root: Path) -> None:
        """Give bytes their final name, which they were hashed for; nobody else knows them as staged."""
        handle = files.open_staged(self.path)
        try:
            os.fsync(handle)
            files.move_into_place(handle, self.path, final, root)
        finally:
            os.close(handle)
        self.drop()

    def drop(self) -> None:
        """Remove what was received."""
        self.path.unlink(missing_ok=True)
        self.log.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()  # nothing else is staged in its upload


class _Blocks:
    """Page-aligned memory that is used again: new pages cost more than what is done with them."""

    def __init__(self) -> None:
        self._free: list[memoryview] = []

    def take(self) -> memoryview:
        """Return a block nobody else has."""
        try:
            return self._free.pop()
        except IndexError:
            return memoryview(mmap.mmap(-1, _BLOCK))

    def give_back(self, block: memoryview) -> None:
        """Have `block` used by others."""
        if len(self._free) < _BLOCKS_KEPT:
            self._free.append(block)


_BLOCKS = _Blocks()


class PartWriter:
    """Writes one part in blocks: one block goes to disk and hash while the next one arrives.

    Use: `write` for each chunk, then `finish` once, whatever happened; it also closes the file.
    """

    def __init__(
        self, staged: Staged, offset: int, limit: int, running: RunningHash | None
    ) -> None:
        """Write at most `limit` bytes at `offset`; `running` stands there, if anywhere."""
        self.size_bytes, self.running = 0, running
        self._staged, self._offset, self._limit = staged, offset, limit
        self._writer = secrets.token_hex(8)
        self._handle: int | None = None
        self._block = _BLOCKS.take()
        self._filled = self._received = self._noted = 0
        self._writing: asyncio.Task[None] | None = None

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            TooLarge: more than `limit` came; these are not written.
        """
        self._received += len(chunk)
        if self._received > self._limit:
            raise TooLarge(
                f"expected at most {self._limit} bytes in this part, found more: send it in parts"
            )
        left = memoryview(chunk)
        while left:
            taken = left[: _BLOCK - self._filled]
            self._block[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            left = left[len(taken) :]
            if self._filled == _BLOCK:
                await self._idle()
                full, self._block, self._filled = self._block, _BLOCKS.take(), 0
                self._writing = asyncio.ensure_future(files.run(self._store_full, full))

    async def _idle(self) -> None:
        """Wait for the block that is being written; cancelling this does not stop that."""
        if self._writing is not None:
            await asyncio.shield(self._writing)
            self._writing = None

    async def finish(self, *, keep: bool) -> None:
        """Write what is left and note the part, or have it forgotten."""
        try:
            await self._idle()
        except BaseException:
            self._filled = 0  # these come after a block that was not written
            raise
        finally:
            await files.run(self._close, self._block[: self._filled if keep else 0], keep=keep)

    def _close(self, rest: memoryview, *, keep: bool) -> None:
        try:
            if rest or keep:
                self._store(rest)
        finally:
            _BLOCKS.give_back(self._block)
            if self._handle is not None:
                try:
                    self._end(self._handle, keep=keep)
                finally:
                    os.close(self._handle)

    def _end(self, handle: int, *, keep: bool) -> None:
        with self._exclusion(handle):
            self._note(f"{self._offset} {self.size_bytes}" if keep else "drop")

    def _store_full(self, block: memoryview) -> None:
        try:
            self._store(block)
        finally:
            _BLOCKS.give_back(block)

    def _store(self, block: memoryview) -> None:
        """Write and hash one block (in a thread)."""
        if self._handle is None:
            self._handle = files.open_staged(self._staged.path)
            with self._exclusion(self._handle):
                self._note("begin")
        files.keep_reserve(self._handle, len(block))
        with self._exclusion(self._handle):
            files.write_block(self._handle, block, self._offset + self.size_bytes)
            if self.running is not None:
                self.running.sha256.update(block)
                self.running.at += len(block)
            self.size_bytes += len(block)
            if self.size_bytes - self._noted >= _NOTE_EVERY:
                self._note(f"{self._offset} {self.size_bytes}")
                self._noted = self.size_bytes

    @contextlib.contextmanager
    def _exclusion(self, handle: int) -> Iterator[None]:
        try:
            with self._staged.locked(handle, fcntl.LOCK_SH):
                yield
        except BlockingIOError:
            raise UploadConflict("this blob is being sealed: send no more of it") from None
        except FileNotFoundError:
            raise UploadConflict(
                "this blob was sealed or dropped while it was being sent"
            ) from None

    def _note(self, what: str) -> None:
        line = f"{self._staged.boot} {self._writer} {what}\n"
        files.append(self._staged.log, line)
        if self.running is not None:
            self.running.log += line
