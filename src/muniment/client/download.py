"""Files out of the registry: several at a time, resumed, every byte checked before it counts.

A file arrives under a hidden name beside its place (`.NAME.DIGEST.part`), goes on from there after
an interruption, is hashed whole, and gets its name only if the hash is the manifest's.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

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
        self._direct = True  # from the object store itself, where it can be reached

    def run(self, files: Sequence[ManifestFile], into: Path) -> list[Path]:
        """Have every file in `into`; identical ones already there are kept. Paths in order.

        Raises:
            BadPath: something in `into` is in the way; other files may have been written.
            DigestMismatch: bytes are not the manifest's, after one more try. The file is not there.
        """
        into.mkdir(parents=True, exist_ok=True)
        targets = [place(into, file.path) for file in files]
        total = sum(file.size_bytes for file in files)
        meter = Meter("download", len(files), total, self._on_progress)
        pool = ThreadPoolExecutor(RECEIVERS, "muniment-receive")
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
        hasher = hashlib.sha256()
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        counted = 0

        def take(chunk: bytes | memoryview) -> None:
            nonlocal counted
            hasher.update(chunk)
            counted += len(chunk)
            meter.add_bytes(len(chunk))

        try:
            with os.fdopen(os.open(part, flags, 0o644), "r+b", buffering=0) as out:
                out.truncate(min(os.fstat(out.fileno()).st_size, file.size_bytes))
                while chunk := out.read(CHUNK_BYTES):
                    take(chunk)
                if counted < file.size_bytes:
                    self._stream(file, counted, out, take)
        except MunimentError:
            meter.add_bytes(-counted)
            raise
        return Digest(hasher.digest())

    def _stream(self, file: ManifestFile, start: int, out: BinaryIO | Any, take: Any) -> None:
        path = file_path(self._version, file.path)
        headers = {"Range": f"bytes={start}-"} if start else {}
        query = "?direct=true" if self._direct else ""
        with self._transport.stream(path + query, headers) as response:
            skip = start if start and response.status_code != _PARTIAL else 0
            left = file.size_bytes - start
            for chunk in response.iter_raw():
                if self._stop.is_set():
                    raise Unavailable("stopped")
                piece = memoryview(chunk)[skip:]
                skip = max(0, skip - len(chunk))
                if len(piece) > left:
                    raise mismatch(file, None)
                out.write(piece)
                take(piece)
                left -= len(piece)
        if left:
            raise Unavailable(f"`{file.path}` broke off {left} bytes before its end")


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
