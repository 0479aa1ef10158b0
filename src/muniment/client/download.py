"""Files out of the registry: several at a time, resumed, every byte checked before it counts.

A file arrives under a hidden name beside its place (`.NAME.DIGEST.part`), goes on from there after
an interruption, is hashed whole, and gets its name only if the hash is the manifest's.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from muniment.client.files import CHUNK_BYTES
from muniment.client.manifests import ManifestFile
from muniment.client.paths import place
from muniment.client.progress import Meter, OnProgress
from muniment.client.records import Version
from muniment.client.transport import Transport, path_of
from muniment.client.versions import version_path
from muniment.core.digest import Digest
from muniment.core.errors import DigestMismatch, MunimentError, Unavailable

RECEIVERS = 6
_PARTIAL = 206
_TRIES = 4


class Download:
    """One run of fetching the files of `version` into a directory."""

    def __init__(
        self, transport: Transport, version: Version, on_progress: OnProgress | None = None
    ) -> None:
        self._transport = transport
        self._version = version
        self._on_progress = on_progress
        self._stop = threading.Event()
        self._buffers: list[tuple[memoryview, ...]] = []
        self._direct = True  # from the object store itself, where it can be reached

    def run(
        self, files: Sequence[ManifestFile], into: Path, *, names: Sequence[str] = ()
    ) -> list[Path]:
        """Have every file in `into`; identical ones already there are kept. Paths in order.

        Files go by their paths in the version or, with `names`, by those in the same order.

        Raises:
            BadPath: something in `into` is in the way; other files may have been written.
            DigestMismatch: bytes are not the manifest's, after one more try. The file is not there.
        """
        into.mkdir(parents=True, exist_ok=True)
        targets = [place(into, name) for name in names or [file.path for file in files]]
        total = sum(file.size_bytes for file in files)
        meter = Meter("download", len(files), total, self._on_progress)
        pool = ThreadPoolExecutor(RECEIVERS, "muniment-receive")
        self._takers = ThreadPoolExecutor(RECEIVERS, "muniment-take")
        try:
            jobs = [
                pool.submit(self._fetch, file, target, meter)
                for file, target in zip(files, targets, strict=True)
            ]
            for job in jobs:
                job.result()
        finally:
            self._stop.set()
            pool.shutdown(cancel_futures=True)
            self._takers.shutdown()
        return targets

    def _fetch(self, file: ManifestFile, target: Path, meter: Meter) -> None:
        if not _is_there(file, target):
            self._receive(file, target, meter)
        else:
            meter.add_bytes(file.size_bytes)
        meter.add_file()

    def _receive(self, file: ManifestFile, target: Path, meter: Meter) -> None:
        part = target.with_name(f".{target.name[:180]}.{file.digest.hex[:16]}.part")
        for tried in range(1, _TRIES + 1):
            try:
                found = self._append(file, part, meter)
            except Unavailable:
                if tried == _TRIES or self._stop.is_set():
                    raise
                self._direct = False
                continue  # what arrived is kept; the next try goes on from there
            if found == file.digest:
                part.replace(target)
                return
            part.unlink()
            meter.add_bytes(-file.size_bytes)
        raise mismatch(file, found)

    def _append(self, file: ManifestFile, part: Path, meter: Meter) -> Digest:
        """Bring `part` to its full size and return the hash of all of it."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(part, flags, 0o644), "r+b", buffering=0) as out:
            taking = _Taking(out, meter)
            try:
                out.truncate(min(os.fstat(out.fileno()).st_size, file.size_bytes))
                while chunk := out.read(CHUNK_BYTES):
                    taking.count(chunk)
                if taking.size_bytes < file.size_bytes:
                    self._stream(file, taking)
            except MunimentError:
                meter.add_bytes(-taking.size_bytes)
                raise
        return Digest(taking.sha256.digest())

    def _stream(self, file: ManifestFile, taking: _Taking) -> None:
        start = taking.size_bytes
        left = file.size_bytes - start
        headers = {"Range": f"bytes={start}-"} if start else {}
        path = file_path(self._version, file.path) + ("?direct=true" if self._direct else "")
        with self._lent() as buffers, self._transport.stream(path, headers, buffers) as response:
            skip = start if start and response.status_code != _PARTIAL else 0
            with self._beside(taking) as take:
                for chunk in response.iter_raw():
                    if self._stop.is_set():
                        raise Unavailable("stopped")
                    piece = memoryview(chunk)[skip:]
                    skip = max(0, skip - len(chunk))
                    if len(piece) > left:
                        raise mismatch(file, None)
                    left -= len(piece)
                    take(piece)
        if left:
            raise Unavailable(f"`{file.path}` broke off {left} bytes before its end")

    @contextmanager
    def _lent(self) -> Iterator[tuple[memoryview, ...]]:
        """Lend two buffers: one is filled while the other is hashed and written."""
        try:
            buffers = self._buffers.pop()
        except IndexError:
            buffers = (memoryview(bytearray(CHUNK_BYTES)), memoryview(bytearray(CHUNK_BYTES)))
        try:
            yield buffers
        finally:
            self._buffers.append(buffers)

    @contextmanager
    def _beside(self, taking: _Taking) -> Iterator[Callable[[memoryview], None]]:
        """Give what hashes and writes each piece in another thread, one piece at a time, in order.

        It returns when the piece before was taken; at the end all were, or the error is raised.
        """
        last: Future[None] | None = None

        def take(piece: memoryview) -> None:
            nonlocal last
            if last is not None:
                last.result()
            last = self._takers.submit(taking.take, piece)

        try:
            yield take
        finally:
            if last is not None:
                last.result()


class _Taking:
    """A file on its way in: its hash and size so far."""

    def __init__(self, out: FileIO, meter: Meter) -> None:
        self.sha256 = hashlib.sha256()
        self.size_bytes = 0
        self._out, self._meter = out, meter

    def take(self, piece: memoryview) -> None:
        """Write and count the next bytes."""
        left = piece
        while left:
            left = left[self._out.write(left) :]
        self.count(piece)

    def count(self, piece: bytes | memoryview) -> None:
        """Count bytes that are in the file."""
        self.sha256.update(piece)
        self.size_bytes += len(piece)
        self._meter.add_bytes(len(piece))


def file_path(version: Version, path: str) -> str:
    """Return where the bytes of one file of a version are."""
    return f"{version_path(version, 'files')}{path_of(*path.split('/'))}"


def _is_there(file: ManifestFile, target: Path) -> bool:
    try:
        with target.open("rb", buffering=0) as existing:
            if os.fstat(existing.fileno()).st_size != file.size_bytes:
                return False
            return Digest(hashlib.file_digest(existing, "sha256").digest()) == file.digest
    except FileNotFoundError:
        return False


def mismatch(file: ManifestFile, found: Digest | None) -> DigestMismatch:
    """Say that what arrived for `file` is not what was registered."""
    other = str(found) if found else f"more than {file.size_bytes} bytes"
    return DigestMismatch(
        f"`{file.path}` should be {file.digest}, found {other}; the registry holds other bytes than"
        " were registered: run `muniment fsck` there",
        extra={"path": file.path, "expected": str(file.digest), "found": other},
    )
