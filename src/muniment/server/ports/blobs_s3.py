"""A blob store in a bucket of S3, or of anything that speaks its protocol.

    sha256/ab/cd/<hex>                    sealed blobs
    staging/<upload>/<hex>/<offset>       parts, the offset in 20 digits; `sealed` once it was sealed
    objects/<key>                         small named objects

All under the prefix of the store's URL. What is promised, and how:

1. A part is an object: there whole or not at all, so one that breaks off is sent again. A part sent
   again at the same offset replaces the first.
2. Parts may be put directly with a presigned URL, which this server never sees. So `seal` always
   reads them: each byte goes through SHA-256 on its way into the blob, and the write is only
   completed after the digest was right. What was hashed is what is held, also while somebody still
   puts parts. (A copy inside the store would be cheaper, but names a key whose holder may change it.)
3. A presigned URL does not bound the size of what is put; `seal` refuses what is too long, and the
   sweep of old uploads drops it.
4. Writes that were never completed may leave invisible pieces in the bucket: give it a lifecycle
   rule that aborts incomplete multipart uploads.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import UUID

from obstore import exceptions as theirs
from obstore.store import S3Store

from muniment.core.digest import Digest
from muniment.core.errors import (
    BadDigest,
    BlobStoreDown,
    MunimentError,
    NotFound,
    UploadConflict,
)
from muniment.server.ports.blob_parts import (
    end_of,
    merged,
    mismatch,
    require_exactly,
    require_whole,
    too_long,
)
from muniment.server.ports.blobs import ObjectInfo, Part
from muniment.server.ports.object_keys import checked_key, checked_prefix
from muniment.server.ports.s3_objects import Bucket, Counted, Hashed, joined, together

if TYPE_CHECKING:
    from obstore import GetOptions

_SEAL_TRIES = 3
_MARK = "sealed"
_SMALL_BYTES = 8 << 20


class _Changed(Exception):
    """A part was replaced or dropped while it was being sealed."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part as it lies in the store: `e_tag` names these bytes and no others."""

    key: str
    part: Part
    e_tag: str | None


def _not_held(digest: Digest) -> NotFound:
    return NotFound(f"the store does not hold {digest}")


class S3Blobs:
    """The blob store in a bucket, below `prefix`; see the module for what it promises."""

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        """Use keys that start with `prefix` (empty, or ending in `/`)."""
        self._bucket = bucket
        self._prefix = prefix

    # -- blobs ------------------------------------------------------------------------------

    async def stage(
        self, upload: UUID, digest: Digest, offset: int, chunks: AsyncIterable[bytes], *, limit: int
    ) -> Part:
        """See `Blobs.stage`. A part that breaks off is not there."""
        source = Counted(chunks, limit)
        await self._bucket.put_stream(self._part(upload, digest, offset), source)
        return Part(offset, source.size_bytes)

    async def staged(self, upload: UUID, digest: Digest) -> list[Part]:
        """See `Blobs.staged`."""
        return merged(piece.part for piece in await self._pieces(upload, digest))

    async def _pieces(self, upload: UUID, digest: Digest) -> list[_Piece]:
        found = []
        async for meta in self._bucket.list_(self._staging(upload, digest)):
            name = meta["path"].rpartition("/")[2]
            if name.isascii() and name.isdecimal():
                part = Part(int(name), meta["size"])
                found.append(_Piece(meta["path"], part, meta["e_tag"]))
        return sorted(found, key=lambda piece: piece.part.offset)

    async def seal(self, upload: UUID, digest: Digest, size_bytes: int) -> None:
        """See `Blobs.seal`."""
        for _ in range(_SEAL_TRIES):
            with contextlib.suppress(_Changed):
                await self._seal(upload, digest, size_bytes)
                return
        raise UploadConflict("parts of this blob keep changing: stop sending it, then seal again")

    async def _seal(self, upload: UUID, digest: Digest, size_bytes: int) -> None:
        pieces = await self._pieces(upload, digest)
        if size_bytes and not pieces and await self._was_sealed(upload, digest, size_bytes):
            return
        parts = merged(piece.part for piece in pieces)
        require_whole(parts, size_bytes)
        if end_of(parts) > size_bytes:
            await self._bucket.delete([piece.key for piece in pieces])
            raise too_long(digest, size_bytes, end_of(parts))
        verified = Counted(self._verified(pieces, digest), size_bytes)
        try:
            await self._bucket.put_stream(self._blob(digest), verified, size_bytes)
        except MunimentError as error:
            if error.code == "digest_mismatch":
                await self._bucket.delete([piece.key for piece in pieces])
            raise
        await self._bucket.put(self._staging(upload, digest) + _MARK, b"")
        await self._bucket.delete([piece.key for piece in pieces])

    async def keep(
        self, upload: UUID, chunks: AsyncIterable[bytes], *, limit: int
    ) -> tuple[Digest, int]:
        """See `Blobs.keep`. What is small is written once; what is large is staged before it has a name."""
        hashed = Hashed(chunks)
        counted = Counted(hashed, limit)
        stream = aiter(counted)
        head = bytearray()
        async for chunk in stream:
            head += chunk
            if len(head) > _SMALL_BYTES:
                return await self._keep_large(upload, joined(bytes(head), stream), hashed, limit)
        digest = hashed.digest
        if await self.size(digest) != len(head):
            whole = Counted(joined(bytes(head), None), len(head))
            await self._bucket.put_stream(self._blob(digest), whole, len(head))
        return digest, len(head)

    async def keep_all(self, upload: UUID, contents: Sequence[bytes]) -> list[Digest]:
        """See `Blobs.keep_all`. Several are sent at a time."""
        keeping = (self.keep(upload, joined(one, None), limit=len(one)) for one in contents)
        return [digest for digest, _ in await together(keeping)]

    async def _keep_large(
        self, upload: UUID, chunks: AsyncIterable[bytes], hashed: Hashed, limit: int
    ) -> tuple[Digest, int]:
        scratch = Digest(secrets.token_bytes(32))  # nobody else knows its key, or has it signed
        part = await self.stage(upload, scratch, 0, chunks, limit=limit)
        digest, size_bytes = hashed.digest, part.size_bytes
        pieces = await self._pieces(upload, scratch)
        try:
            if await self.size(digest) != size_bytes:
                verified = Counted(self._verified(pieces, digest), size_bytes)
                await self._bucket.put_stream(self._blob(digest), verified, size_bytes)
        finally:
            await self._bucket.delete([piece.key for piece in pieces])
        return digest, size_bytes

    async def _was_sealed(self, upload: UUID, digest: Digest, size_bytes: int) -> bool:
        """Tell whether this upload sealed the blob: holding its digest is not holding its bytes."""
        if await self._bucket.size(self._staging(upload, digest) + _MARK) is None:
            return False
        return await self.size(digest) == size_bytes

    async def _verified(self, pieces: list[_Piece], digest: Digest) -> AsyncIterator[bytes]:
        """Give the bytes of `pieces` in order, and an error in place of the end if they are others.

        Raises:
            DigestMismatch: they have another digest.
            _Changed: one of them is not what it was when it was listed.
        """
        hashed = Hashed(self._in_order(pieces))
        async for chunk in hashed:
            yield chunk
        if hashed.digest != digest:
            raise mismatch(digest, hashed.digest)

    async def _in_order(self, pieces: list[_Piece]) -> AsyncIterator[bytes]:
        at = 0
        for piece in pieces:
            end = piece.part.offset + piece.part.size_bytes
            if end <= at:
                continue  # others hold all of it
            async for chunk in self._read_piece(piece, at - piece.part.offset):
                yield chunk
            at = end

    async def _read_piece(self, piece: _Piece, start: int) -> AsyncIterator[bytes]:
        options: GetOptions = {"if_match": piece.e_tag}
        if start:
            options["range"] = {"offset": start}
        size_bytes = 0
        try:
            async for chunk in self._bucket.stream(piece.key, options):
                size_bytes += len(chunk)
                yield chunk
        except FileNotFoundError as error:
            raise _Changed from error
        if size_bytes != piece.part.size_bytes - start:
            raise _Changed

    async def read_staged(
        self, upload: UUID, digest: Digest, size_bytes: int
    ) -> AsyncIterator[bytes]:
        """See `Blobs.read_staged`."""
        pieces = await self._pieces(upload, digest)
        require_exactly(merged(piece.part for piece in pieces), size_bytes)
        try:
            async for chunk in self._in_order(pieces):
                yield chunk
        except _Changed:
            raise UploadConflict("this blob was replaced or dropped while it was read") from None

    async def discard(self, upload: UUID) -> None:
        """See `Blobs.discard`."""
        folder = f"{self._prefix}staging/{upload}/"
        await self._bucket.delete([meta["path"] async for meta in self._bucket.list_(folder)])

    async def list_staged(self) -> list[tuple[UUID, dt.datetime]]:
        """See `Blobs.list_staged`."""
        latest: dict[UUID, dt.datetime] = {}
        folder = f"{self._prefix}staging/"
        async for meta in self._bucket.list_(folder):
            with contextlib.suppress(ValueError):
                upload = UUID(meta["path"].removeprefix(folder).partition("/")[0])
                at = meta["last_modified"]
                latest[upload] = max(at, latest.get(upload, at))
        return sorted(latest.items())

    async def size(self, digest: Digest) -> int | None:
        """See `Blobs.size`."""
        return await self._bucket.size(self._blob(digest))

    async def read(
        self, digest: Digest, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """See `Blobs.read`."""
        key = self._blob(digest)
        options: GetOptions = {}
        if start or end is not None:
            size_bytes = await self._bucket.size(key)
            if size_bytes is None:
                raise _not_held(digest)
            end = size_bytes if end is None else min(end, size_bytes)
            if start >= end:
                return  # the store refuses a range of nothing
            options["range"] = (start, end)
        try:
            async for chunk in self._bucket.stream(key, options):
                yield chunk
        except FileNotFoundError as error:
            raise _not_held(digest) from error

    async def local_path(self, digest: Digest) -> str | None:
        """Return None: there is no file."""
        del digest
        return None

    async def presign_part(
        self, upload: UUID, digest: Digest, offset: int, expires: dt.timedelta
    ) -> str | None:
        """See `Blobs.presign_part`."""
        return await self._bucket.sign("PUT", self._part(upload, digest, offset), expires)

    async def presign_read(
        self, digest: Digest, expires: dt.timedelta, filename: str
    ) -> str | None:
        """See `Blobs.presign_read`; the download is called as the digest: the library signs no names."""
        del filename
        return await self._bucket.sign("GET", self._blob(digest), expires)

    async def list_digests(self) -> AsyncIterator[tuple[Digest, int]]:
        """See `Blobs.list_digests`."""
        async for meta in self._bucket.list_(f"{self._prefix}sha256/"):
            try:
                digest = Digest.parse(meta["path"].rpartition("/")[2])
            except BadDigest:
                continue  # somebody's note is no blob
            yield digest, meta["size"]

    # -- objects ----------------------------------------------------------------------------

    async def put_object(self, key: str, data: bytes) -> None:
        """See `Blobs.put_object`."""
        await self._bucket.put(self._object(key), data)

    async def get_object(self, key: str) -> bytes | None:
        """See `Blobs.get_object`."""
        found = await self._bucket.get(self._object(key))
        return None if found is None else found[0]

    async def swap_object(self, key: str, data: bytes, *, expected: bytes | None) -> bool:
        """See `Blobs.swap_object`."""
        path = self._object(key)
        if expected is None:
            return await self._bucket.put_if(path, data, None)
        found = await self._bucket.get(path)
        if found is None or found[0] != expected:
            return False
        return await self._bucket.put_if(path, data, found[1])

    async def list_objects(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """See `Blobs.list_objects`. All of the prefix's folder is listed first."""
        root = f"{self._prefix}objects/"
        folder = root + checked_prefix(prefix).rpartition("/")[0]
        found = []
        async for meta in self._bucket.list_(folder):
            key = meta["path"].removeprefix(root)
            if key.startswith(prefix):
                found.append(ObjectInfo(key, meta["size"], meta["last_modified"]))
        for one in sorted(found, key=lambda info: info.key):  # stores differ in where `/` sorts
            yield one

    async def delete_blob(self, digest: Digest) -> None:
        """See `Blobs.delete_blob`."""
        await self._bucket.delete([self._blob(digest)])

    async def delete_object(self, key: str) -> None:
        """See `Blobs.delete_object`."""
        await self._bucket.delete([self._object(key)])

    # -- places -----------------------------------------------------------------------------

    def _blob(self, digest: Digest) -> str:
        return f"{self._prefix}sha256/{digest.hex[:2]}/{digest.hex[2:4]}/{digest.hex}"

    def _staging(self, upload: UUID, digest: Digest) -> str:
        return f"{self._prefix}staging/{upload}/{digest.hex}/"

    def _part(self, upload: UUID, digest: Digest, offset: int) -> str:
        return f"{self._staging(upload, digest)}{offset:020d}"

    def _object(self, key: str) -> str:
        return f"{self._prefix}objects/{checked_key(key)}"


def open_s3_blobs(
    url: str,
    *,
    endpoint: str | None = None,
    region: str = "us-east-1",
    access_key: str | None = None,
    secret_key: str | None = None,
    allow_http: bool = False,
) -> S3Blobs:
    """Open the store at `url` (`s3://BUCKET` or `s3://BUCKET/PREFIX`); nothing is sent yet.

    Without keys, those of the environment or the machine are used. `allow_http` sends keys' proofs
    and bytes unencrypted: for a store on this machine.

    Raises:
        BlobStoreDown: the settings cannot be a store's.
    """
    parts = urlsplit(url)
    if not parts.netloc:
        raise BlobStoreDown(
            f"expected s3://BUCKET or s3://BUCKET/PREFIX, found no bucket in {url!r}"
        )
    prefix = parts.path.strip("/")
    try:
        store = S3Store(
            parts.netloc,
            config={
                "region": region,
                **({"endpoint": endpoint} if endpoint else {}),
                **({"access_key_id": access_key} if access_key else {}),
                **({"secret_access_key": secret_key} if secret_key else {}),
            },
            client_options={
                "allow_http": allow_http,
                "connect_timeout": dt.timedelta(seconds=5),
                "read_timeout": dt.timedelta(seconds=60),
                "timeout": dt.timedelta(hours=1),
            },
            retry_config={"max_retries": 3, "retry_timeout": dt.timedelta(seconds=15)},
        )
    except (theirs.BaseError, ValueError, TypeError) as error:
        raise BlobStoreDown(
            f"expected the settings of an S3 store, found what cannot be one: {error}"
        ) from error
    return S3Blobs(Bucket(store), f"{prefix}/" if prefix else "")
