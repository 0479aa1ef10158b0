"""Files into an upload session: hashed, declared, and sent where the registry lacks them.

Hashing, declaring and sending overlap. Files are hashed in a few threads; whatever is hashed is
declared in one batch; what the registry lacks is sent, several files and parts at a time, and sealed
when its last part is in. Memory stays constant: about 1 MiB per thread.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from muniment.client.files import LocalFile, changed, check_unchanged, digest_of_file
from muniment.client.progress import Meter, OnProgress
from muniment.client.records import Held, Page, PutUrl, UploadSession
from muniment.client.transport import Transport, api, decode
from muniment.client.wire import FileSlice
from muniment.core.digest import Digest
from muniment.core.errors import DigestMismatch, MunimentError, Unavailable

SENDERS = 6
_HASHERS = min(4, os.cpu_count() or 1)
_DECLARED_AT_ONCE = 500
_SLOW_BYTES_A_SECOND = 32 << 20


#: Files whose hashing is over, one way or the other.
_Hashed = queue.SimpleQueue[tuple[LocalFile, Future[Digest]]]


@dataclass(slots=True)
class _Sending:
    """One blob on its way: the file that has its bytes, and how many parts are still to go."""

    file: LocalFile
    digest: Digest
    parts_left: int
    lock: threading.Lock = field(default_factory=threading.Lock)


class Upload:
    """One run of sending an artifact into `session`."""

    def __init__(
        self, transport: Transport, session: UploadSession, on_progress: OnProgress | None = None
    ) -> None:
        self._transport = transport
        self._session = session
        self._on_progress = on_progress
        self._stop = threading.Event()
        self._jobs: queue.SimpleQueue[Future[None]] = queue.SimpleQueue()

    def run(self, files: Sequence[LocalFile]) -> dict[str, Digest]:
        """Send what is missing; return the digest of each path.

        Raises:
            DigestMismatch: a file changed meanwhile. Nothing is registered; the session stays.
            MunimentError: what the registry refused. What was sent stays in the session.
        """
        total = sum(file.size_bytes for file in files)
        self._hashing = Meter("hash", len(files), total, self._on_progress)
        self._sending = Meter("upload", len(files), total, self._on_progress)
        hashers = ThreadPoolExecutor(_HASHERS, "muniment-hash")
        senders = ThreadPoolExecutor(SENDERS, "muniment-send")
        try:
            digests = self._declare_all(files, hashers, senders)
            while not self._jobs.empty():  # a job puts those it starts before it ends
                self._jobs.get().result()
        finally:
            self._stop.set()
            hashers.shutdown(cancel_futures=True)
            senders.shutdown(cancel_futures=True)
        return digests

    def _declare_all(
        self, files: Sequence[LocalFile], hashers: ThreadPoolExecutor, senders: ThreadPoolExecutor
    ) -> dict[str, Digest]:
        hashed: _Hashed = queue.SimpleQueue()
        for file in files:
            hashers.submit(self._hash, file).add_done_callback(partial(_put_in, hashed, file))
        digests: dict[str, Digest] = {}
        known: set[Digest] = set()
        while len(digests) < len(files):
            fresh: dict[Digest, LocalFile] = {}
            for file, job in _drained(hashed):
                digest = job.result()
                digests[file.path] = digest
                if digest in known:
                    self._counted(file)
                else:
                    known.add(digest)
                    fresh[digest] = file
            self._send_missing(fresh, senders)
            self._raise_early()
        return digests

    def _hash(self, file: LocalFile) -> Digest:
        digest = digest_of_file(file, self._hashed_bytes)
        self._hashing.add_file()
        return digest

    def _hashed_bytes(self, count: int) -> None:
        if self._stop.is_set():
            raise Unavailable("stopped")
        self._hashing.add_bytes(count)

    def _send_missing(self, fresh: dict[Digest, LocalFile], senders: ThreadPoolExecutor) -> None:
        if not fresh:
            return
        body = {
            "blobs": [
                {"sha256": digest.hex, "size_bytes": file.size_bytes}
                for digest, file in fresh.items()
            ]
        }
        path = api("uploads", self._session.id, "blobs")
        for held in self._transport.send("POST", path, body, Page[Held]).items:
            digest = Digest.parse(held.sha256)
            self._plan(fresh[digest], digest, held, senders)

    def _plan(
        self, file: LocalFile, digest: Digest, held: Held, senders: ThreadPoolExecutor
    ) -> None:
        if held.state == "held":
            self._counted(file)
            return
        received = [] if held.put_urls else held.received
        missing = list(missing_parts(file.size_bytes, received, self._session.part_size_bytes))
        self._sending.add_bytes(file.size_bytes - sum(end - start for start, end in missing))
        sending = _Sending(file, digest, len(missing))
        direct = {put.offset: put for put in held.put_urls or []}
        if not missing:
            self._jobs.put(senders.submit(self._seal, sending))
        elif direct:
            self._send_beside(sending, [(*span, direct.get(span[0])) for span in missing], senders)
        else:
            self._jobs.put(senders.submit(self._send_in_order, sending, missing, senders))

    def _send_beside(
        self,
        sending: _Sending,
        parts: Sequence[tuple[int, int, PutUrl | None]],
        senders: ThreadPoolExecutor,
    ) -> None:
        for part in parts:
            self._jobs.put(senders.submit(self._send_part, sending, *part))

    def _send_in_order(
        self, sending: _Sending, parts: Sequence[tuple[int, int]], senders: ThreadPoolExecutor
    ) -> None:
        """Send one part after the other: so the registry hashes them as they come.

        Where a connection is slow several are faster, and reading the bytes again for the hash
        costs the registry little of that time: what is left is sent side by side.
        """
        for at, (start, end) in enumerate(parts):
            began = time.monotonic()
            self._send_part(sending, start, end, None)
            if end - start < _SLOW_BYTES_A_SECOND * (time.monotonic() - began):
                rest = [(start, end, None) for start, end in parts[at + 1 :]]
                self._send_beside(sending, rest, senders)
                return

    def _send_part(self, sending: _Sending, start: int, end: int, put: PutUrl | None) -> None:
        if self._stop.is_set():
            return
        try:
            if put is not None and self._put_direct(sending, put):
                whole = False
            else:
                whole = self._put(sending, start, end)
        except DigestMismatch as error:
            raise changed(sending.file) from error
        with sending.lock:
            sending.parts_left -= 1
            last = sending.parts_left == 0
        if whole:
            self._finished(sending)
        elif last:
            self._seal(sending)

    def _put(self, sending: _Sending, start: int, end: int) -> bool:
        """Put one part through the registry; True if the blob is held with that."""
        path = api("uploads", self._session.id, "blobs", sending.digest.hex)
        body = self._body(sending.file, start, end)
        answer = self._transport.put_file(path, body, params={"offset": start})
        return decode(answer, Held).state == "held"

    def _put_direct(self, sending: _Sending, put: PutUrl) -> bool:
        """Put one part straight into the object store; False if that did not work."""
        body = self._body(sending.file, put.offset, put.offset + put.size_bytes)
        try:
            self._transport.put_file(put.url, body)
        except DigestMismatch:
            raise
        except MunimentError:
            return False
        return True

    def _body(self, file: LocalFile, start: int, end: int) -> FileSlice:
        return FileSlice(file.source, start, end, self._sent_bytes, lambda: changed(file))

    def _sent_bytes(self, count: int) -> None:
        if count > 0 and self._stop.is_set():
            raise Unavailable("stopped")
        self._sending.add_bytes(count)

    def _seal(self, sending: _Sending) -> None:
        path = api("uploads", self._session.id, "blobs", sending.digest.hex, "seal")
        try:
            self._transport.send("POST", path, None)
        except DigestMismatch as error:
            raise changed(sending.file) from error
        self._finished(sending)

    def _finished(self, sending: _Sending) -> None:
        check_unchanged(sending.file)
        self._sending.add_file()

    def _counted(self, file: LocalFile) -> None:
        self._sending.add_bytes(file.size_bytes)
        self._sending.add_file()

    def _raise_early(self) -> None:
        for _ in range(self._jobs.qsize()):
            job = self._jobs.get()
            if job.done():
                job.result()
            else:
                self._jobs.put(job)


def hash_all(files: Sequence[LocalFile], on_progress: OnProgress | None) -> dict[str, Digest]:
    """Return the digest of each path, hashed in a few threads; nothing is sent.

    Raises:
        DigestMismatch: a file changed meanwhile.
    """
    meter = Meter("hash", len(files), sum(file.size_bytes for file in files), on_progress)

    def one(file: LocalFile) -> Digest:
        digest = digest_of_file(file, meter.add_bytes)
        meter.add_file()
        return digest

    with ThreadPoolExecutor(_HASHERS, "muniment-hash") as hashers:
        return dict(zip((file.path for file in files), hashers.map(one, files), strict=True))


def missing_parts(
    size_bytes: int, received: Sequence[tuple[int, int]], part_size_bytes: int
) -> Iterator[tuple[int, int]]:
    """Yield what is still to be sent as [start, end), in order, none longer than a part.

    A blob of no bytes at all is one empty part unless something says it was received.
    """
    if size_bytes == 0 and not received:
        yield (0, 0)
    at = 0
    for start, end in [*sorted(received), (size_bytes, size_bytes)]:
        while at < start:
            upto = min(at + part_size_bytes, start)
            yield (at, upto)
            at = upto
        at = max(at, end)


def _put_in(hashed: _Hashed, file: LocalFile, job: Future[Digest]) -> None:
    hashed.put((file, job))


def _drained(hashed: _Hashed) -> Iterator[tuple[LocalFile, Future[Digest]]]:
    """Yield what is there, at least one and at most a batch."""
    yield hashed.get()
    for _ in range(_DECLARED_AT_ONCE - 1):
        try:
            yield hashed.get_nowait()
        except queue.Empty:
            return
