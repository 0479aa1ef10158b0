"""A blob store in memory, for tests. It passes the suite every adapter passes, and can be broken.

`faults` are raised by the next calls of a method; with `persist`, after the write happened, as when
an acknowledgement is lost.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from muniment.core.digest import Digest, digest_of
from muniment.core.errors import NotFound, TooLarge
from muniment.server.ports.blob_parts import (
    merged,
    mismatch,
    require_exactly,
    require_whole,
    too_long,
)
from muniment.server.ports.blobs import ObjectInfo, Part
from muniment.server.ports.object_keys import checked_key, checked_prefix

_CHUNK = 1 << 20
_LONG_AGO = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@dataclass(slots=True)
class Fault:
    """What the next call of one method meets."""

    error: Exception
    persist: bool = False


@dataclass(slots=True)
class FakeBlobs:
    """Everything a `Blobs` does, in dictionaries."""

    blobs: dict[Digest, bytes] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    staging: dict[tuple[UUID, Digest], list[tuple[int, bytes]]] = field(default_factory=dict)
    sealed: set[tuple[UUID, Digest]] = field(default_factory=set)
    faults: dict[str, list[Fault]] = field(default_factory=dict)

    def fail(self, method: str, error: Exception, *, persist: bool = False) -> None:
        """Have the next call of `method` raise `error`, after its write if `persist`."""
        self.faults.setdefault(method, []).append(Fault(error, persist))

    def _before(self, method: str) -> Fault | None:
        fault = self.faults[method].pop(0) if self.faults.get(method) else None
        if fault is not None and not fault.persist:
            raise fault.error
        return fault

    def _after(self, fault: Fault | None) -> None:
        if fault is not None:
            raise fault.error

    async def stage(
        self, upload: UUID, digest: Digest, offset: int, chunks: AsyncIterable[bytes], *, limit: int
    ) -> Part:
        """See `Blobs.stage`."""
        fault = self._before("stage")
        received = bytearray()
        try:
            async for chunk in chunks:
                if len(received) + len(chunk) > limit:
                    received.clear()
                    raise TooLarge(f"expected at most {limit} bytes in this part, found more")
                received += chunk
        finally:
            if received:
                parts = self.staging.setdefault((upload, digest), [])
                parts.append((offset, bytes(received)))
        self._after(fault)
        return Part(offset, len(received))

    async def staged(self, upload: UUID, digest: Digest) -> list[Part]:
        """See `Blobs.staged`."""
        self._before("staged")
        return self._parts(upload, digest)

    def _parts(self, upload: UUID, digest: Digest) -> list[Part]:
        parts = self.staging.get((upload, digest), [])
        return merged(Part(offset, len(data)) for offset, data in parts)

    async def seal(self, upload: UUID, digest: Digest, size_bytes: int) -> None:
        """See `Blobs.seal`."""
        fault = self._before("seal")
        key = (upload, digest)
        if digest in self.blobs and key not in self.staging and key in self.sealed:
            return
        require_whole(self._parts(upload, digest), size_bytes)
        content = bytearray()
        for offset, data in self.staging.pop(key, []):
            content[len(content) :] = bytes(max(0, offset - len(content)))
            content[offset : offset + len(data)] = data
        if len(content) > size_bytes:
            raise too_long(digest, size_bytes, len(content))
        found = Digest(hashlib.sha256(content).digest())
        if found != digest:
            raise mismatch(digest, found)
        self.blobs[digest] = bytes(content)
        self.sealed.add(key)
        self._after(fault)

    async def keep(
        self, upload: UUID, chunks: AsyncIterable[bytes], *, limit: int
    ) -> tuple[Digest, int]:
        """See `Blobs.keep`."""
        fault = self._before("keep")
        content = bytearray()
        async for chunk in chunks:
            content += chunk
            if len(content) > limit:
                raise TooLarge(f"expected at most {limit} bytes, found more")
        digest = Digest(hashlib.sha256(content).digest())
        self.blobs[digest] = bytes(content)
        self._after(fault)
        return digest, len(content)

    async def keep_all(self, upload: UUID, contents: Sequence[bytes]) -> list[Digest]:
        """See `Blobs.keep_all`."""
        del upload
        fault = self._before("keep_all")
        digests = [digest_of(content) for content in contents]
        self.blobs.update(zip(digests, map(bytes, contents), strict=True))
        self._after(fault)
        return digests

    async def read_staged(
        self, upload: UUID, digest: Digest, size_bytes: int
    ) -> AsyncIterator[bytes]:
        """See `Blobs.read_staged`."""
        self._before("read_staged")
        require_exactly(self._parts(upload, digest), size_bytes)
        content = bytearray(size_bytes)
        for offset, data in self.staging.get((upload, digest), []):
            content[offset : offset + len(data)] = data
        for at in range(0, size_bytes, _CHUNK):
            yield bytes(content[at : at + _CHUNK])

    async def discard(self, upload: UUID) -> None:
        """See `Blobs.discard`."""
        self._before("discard")
        for key in [key for key in self.staging if key[0] == upload]:
            del self.staging[key]
        self.sealed = {key for key in self.sealed if key[0] != upload}

    async def list_staged(self) -> list[tuple[UUID, dt.datetime]]:
        """See `Blobs.list_staged`; the fake's uploads are all old."""
        return sorted({(upload, _LONG_AGO) for upload, _ in [*self.staging, *self.sealed]})

    async def size(self, digest: Digest) -> int | None:
        """See `Blobs.size`."""
        self._before("size")
        content = self.blobs.get(digest)
        return None if content is None else len(content)

    async def read(
        self, digest: Digest, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """See `Blobs.read`."""
        self._before("read")
        content = self.blobs.get(digest)
        if content is None:
            raise NotFound(f"the store holds no blob {digest}")
        stop = len(content) if end is None else min(end, len(content))
        for at in range(start, stop, _CHUNK):
            yield content[at : min(at + _CHUNK, stop)]

    async def local_path(self, digest: Digest) -> str | None:
        """See `Blobs.local_path`."""
        return None

    async def presign_part(
        self,
        upload: UUID,
        digest: Digest,
        offset: int,
        expires: dt.timedelta,
    ) -> str | None:
        """See `Blobs.presign_part`."""
        return None

    async def presign_read(
        self,
        digest: Digest,
        expires: dt.timedelta,
        filename: str,
    ) -> str | None:
        """See `Blobs.presign_read`."""
        return None

    async def list_digests(self) -> AsyncIterator[tuple[Digest, int]]:
        """See `Blobs.list_digests`."""
        for digest in sorted(self.blobs):
            yield digest, len(self.blobs[digest])

    async def put_object(self, key: str, data: bytes) -> None:
        """See `Blobs.put_object`."""
        fault = self._before("put_object")
        self.objects[checked_key(key)] = bytes(data)
        self._after(fault)

    async def get_object(self, key: str) -> bytes | None:
        """See `Blobs.get_object`."""
        self._before("get_object")
        return self.objects.get(checked_key(key))

    async def swap_object(self, key: str, data: bytes, *, expected: bytes | None) -> bool:
        """See `Blobs.swap_object`."""
        fault = self._before("swap_object")
        if self.objects.get(checked_key(key)) != expected:
            return False
        self.objects[checked_key(key)] = bytes(data)
        self._after(fault)
        return True

    async def list_objects(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """See `Blobs.list_objects`."""
        checked_prefix(prefix)
        for key in sorted(self.objects):
            if key.startswith(prefix):
                yield ObjectInfo(key, len(self.objects[key]), _LONG_AGO)

    async def delete_blob(self, digest: Digest) -> None:
        """See `Blobs.delete_blob`."""
        fault = self._before("delete_blob")
        self.blobs.pop(digest, None)
        self._after(fault)

    async def delete_object(self, key: str) -> None:
        """See `Blobs.delete_object`."""
        self._before("delete_object")
        self.objects.pop(checked_key(key), None)
