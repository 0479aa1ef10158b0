"""What the server needs of a blob store: bytes by digest, and a few small named objects.

Two families. *Blobs* are content-addressed: staged in parts, then sealed under their SHA-256,
and never changed. *Objects* are small, named and whole (log tiles, checkpoints, the fork guard).

A staged blob is known by (`upload`, `digest`): several parts at byte offsets, in any order and at
the same time. Nothing staged is visible to `read`, `size` or `list_digests` until `seal` returned.

Adapters: `muniment.server.ports.blobs_local` (a directory), `blobs_s3` (S3 and what speaks it),
`blobs_fake` (memory). One conformance suite runs on all.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from muniment.core.digest import Digest


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes received for one staged blob: where they start and how many there are."""

    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """A stored object: its key, size and when it was last written."""

    key: str
    size_bytes: int
    modified_at: dt.datetime


class Blobs(Protocol):
    """A blob store.

    A sealed blob or a put object is durable when the call returns: file and directory are synced,
    or the store acknowledged it. A staged part survives the death of the process.

    Raises (every method): `BlobStoreDown` when the store does not answer, `DiskFull` when it has
    no room; a failed write leaves nothing visible.
    """

    async def stage(
        self, upload: UUID, digest: Digest, offset: int, chunks: AsyncIterable[bytes], *, limit: int
    ) -> Part:
        """Write a part at byte `offset`, at most `limit` bytes, in constant memory.

        A part that breaks off (the iterator raises) keeps what arrived, where the store can
        (local: yes; S3: no), and re-raises; `staged` then says how much is there.

        Raises:
            TooLarge: more than `limit` bytes came; the part is dropped.
        """
        ...

    async def staged(self, upload: UUID, digest: Digest) -> list[Part]:
        """The parts received so far, by offset, touching ones merged."""
        ...

    async def seal(self, upload: UUID, digest: Digest, size_bytes: int) -> None:
        """Verify SHA-256 and size of the staged parts and make them the blob `digest`.

        The hash that ran while the bytes streamed in is used when the parts came in order in one
        process; otherwise the staged bytes are read once. Idempotent; two uploads sealing the same
        blob both succeed and one copy is kept.

        Raises:
            DigestMismatch: the bytes are others; the staged parts are dropped. `extra` has
                `expected` and `found`.
            UploadConflict: parts are missing; `extra["missing"]` lists them as [offset, end).
        """
        ...

    async def keep(
        self, upload: UUID, chunks: AsyncIterable[bytes], *, limit: int
    ) -> tuple[Digest, int]:
        """Hold all of `chunks` as the blob that their SHA-256 names; return it and its size in bytes.

        For bytes nobody has announced: they are hashed as they come and, on a disk, written once.
        What is staged meanwhile is staged under `upload`. If the iterator raises, nothing is kept.

        Raises:
            TooLarge: more than `limit` bytes came.
        """
        ...

    async def keep_all(self, upload: UUID, contents: Sequence[bytes]) -> list[Digest]:
        """Hold small contents, each as the blob that its SHA-256 names; return these, in order.

        Cheaper than one `keep` after the other where the store writes many together. What is staged
        meanwhile is staged under `upload`. If it fails, some may be held.
        """
        ...

    def read_staged(self, upload: UUID, digest: Digest, size_bytes: int) -> AsyncIterator[bytes]:
        """The bytes staged for a blob, in chunks of about 1 MiB; they are not verified.

        Raises:
            UploadConflict: what is staged is not `size_bytes` without gaps, or went meanwhile.
        """
        ...

    async def discard(self, upload: UUID) -> None:
        """Drop everything staged under `upload`. Idempotent."""
        ...

    async def list_staged(self) -> list[tuple[UUID, dt.datetime]]:
        """Uploads that have anything staged, with when each was last written."""
        ...

    async def size(self, digest: Digest) -> int | None:
        """Bytes of the blob, or None when it is not held."""
        ...

    def read(self, digest: Digest, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes [start, end) in chunks of about 1 MiB.

        Raises:
            NotFound: the blob is not held (on the first chunk).
        """
        ...

    async def local_path(self, digest: Digest) -> str | None:
        """The blob's file for zero-copy sending, or None where there is no such file."""
        ...

    async def presign_part(
        self, upload: UUID, digest: Digest, offset: int, expires: dt.timedelta
    ) -> str | None:
        """A URL that takes one PUT of one part directly, or None where the store has no such thing."""
        ...

    async def presign_read(
        self, digest: Digest, expires: dt.timedelta, filename: str
    ) -> str | None:
        """A URL that gives the blob directly (as a download called `filename`), or None."""
        ...

    def list_digests(self) -> AsyncIterator[tuple[Digest, int]]:
        """Every sealed blob with its size, in digest order."""
        ...

    async def put_object(self, key: str, data: bytes) -> None:
        """Write a named object whole, replacing what was there, atomically."""
        ...

    async def get_object(self, key: str) -> bytes | None:
        """Read a named object, or None."""
        ...

    async def swap_object(self, key: str, data: bytes, *, expected: bytes | None) -> bool:
        """Write `data` only if the object now is `expected` (None: only if it is absent).

        Returns whether it was written. Atomic against other processes and machines.
        """
        ...

    def list_objects(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Named objects under `prefix`, in key order."""
        ...

    async def delete_blob(self, digest: Digest) -> None:
        """Remove a sealed blob. Idempotent.

        Only for bytes that nothing names any more (`artifacts.jobs.collect`), which sees to it that
        nobody is told meanwhile that they are held.
        """
        ...

    async def delete_object(self, key: str) -> None:
        """Remove a named object. Idempotent.

        For superseded partial tiles; never a blob.
        """
        ...
