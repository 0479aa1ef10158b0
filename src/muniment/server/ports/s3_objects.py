"""Objects in a bucket, in constant memory, with errors of ours: what `blobs_s3` is made of."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import hashlib
import itertools
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import obstore
from obstore import exceptions as theirs
from obstore.store import S3Store

from muniment.core.digest import Digest
from muniment.core.errors import BlobStoreDown, DiskFull, MunimentError, TooLarge

if TYPE_CHECKING:
    from obstore import Attributes, GetOptions, ObjectMeta, PutMode

_MIB = 1 << 20
_WHOLE_BYTES = 8 * _MIB  # up to this, one request
_PIECE_BYTES = 8 * _MIB
_PIECES_MAX = 9_000  # S3 takes 10 000
_PIECES_AT_ONCE = 3
_PAGE = 1000
_AT_ONCE = 16
T = TypeVar("T")
ABSENT = (theirs.NotFoundError, FileNotFoundError)  # the library raises either
_NO_ROOM = ("InsufficientStorage", "QuotaExceeded", "StorageFull", "507 ")
_AS_DOWNLOAD: Attributes = {
    "Content-Type": "application/octet-stream",
    "Content-Disposition": "attachment",  # a browser never shows what somebody uploaded
}


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn the library's errors into ours.

    Raises:
        DiskFull: the store says it has no room.
        BlobStoreDown: anything else.
    """
    try:
        yield
    except (theirs.BaseError, OSError, TimeoutError) as error:
        kind = DiskFull if any(word in str(error) for word in _NO_ROOM) else BlobStoreDown
        raise kind(context={"reason": str(error)[:2000]}) from error


class Counted:
    """A stream that counts, ends at a limit, and remembers why it broke off."""

    def __init__(self, chunks: AsyncIterable[bytes], limit: int) -> None:
        self.size_bytes = 0
        self.error: BaseException | None = None
        self._chunks, self._limit = chunks, limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._chunks:
                self.size_bytes += len(chunk)
                self._check()
                yield chunk
        except BaseException as error:
            self.error = error
            raise

    def _check(self) -> None:
        if self.size_bytes > self._limit:
            raise TooLarge(
                f"expected at most {self._limit} bytes in this part, found more: send it in parts"
            )


class Hashed:
    """A stream whose SHA-256 is known at its end."""

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        """Hash `chunks` as they are taken."""
        self._chunks, self._sha256 = chunks, hashlib.sha256()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            self._sha256.update(chunk)
            yield chunk

    @property
    def digest(self) -> Digest:
        """The SHA-256 of what was taken so far."""
        return Digest(self._sha256.digest())


async def joined(head: bytes, rest: AsyncIterator[bytes] | None) -> AsyncIterator[bytes]:
    """Yield `head`, then the rest if there is any."""
    yield head
    if rest is not None:
        async for chunk in rest:
            yield chunk


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Do all of `work`, sixteen at a time; return what came of it, in order."""
    done: list[T] = []
    waiting = iter(work)
    while some := list(itertools.islice(waiting, _AT_ONCE)):
        done += await asyncio.gather(*some)
    return done


class Bucket:
    """The objects of a bucket, each known by its whole key.

    Raises (every method): `DiskFull` and `BlobStoreDown`, as `translated` says.
    """

    def __init__(self, store: S3Store) -> None:
        """Use what `store` is connected to."""
        self._store = store

    async def put(self, key: str, data: bytes) -> None:
        """Write an object whole."""
        with translated():
            await obstore.put_async(self._store, key, data, use_multipart=False)

    async def put_if(self, key: str, data: bytes, e_tag: str | None) -> bool:
        """Write an object if it has this tag now (None: if there is none); return whether."""
        mode: PutMode = "create" if e_tag is None else {"e_tag": e_tag}
        with translated():
            try:
                await obstore.put_async(self._store, key, data, mode=mode, use_multipart=False)
            except (theirs.AlreadyExistsError, theirs.PreconditionError):
                return False
            except ABSENT:
                if e_tag is None:
                    raise  # there is no such bucket
                return False
        return True

    async def put_stream(self, key: str, source: Counted, size_bytes: int = 0) -> None:
        """Write an object from a stream of about `size_bytes`; it is there only when this returns.

        Raises:
            Exception: what `source` raised. There is no object then.
        """
        chunks = aiter(source)
        head = bytearray()
        async for chunk in chunks:
            head += chunk
            if len(head) > _WHOLE_BYTES:
                break
        else:
            with translated():
                await obstore.put_async(
                    self._store, key, bytes(head), attributes=_AS_DOWNLOAD, use_multipart=False
                )
            return
        try:
            with translated():
                await obstore.put_async(
                    self._store,
                    key,
                    joined(bytes(head), chunks),
                    attributes=_AS_DOWNLOAD,
                    use_multipart=True,
                    chunk_size=max(_PIECE_BYTES, -(-size_bytes // _PIECES_MAX)),
                    max_concurrency=_PIECES_AT_ONCE,
                )
        except MunimentError:
            if isinstance(source.error, Exception):
                raise source.error from None  # the library wraps what our stream raised
            raise

    async def get(self, key: str) -> tuple[bytes, str | None] | None:
        """Return the content of an object and its tag."""
        with translated():
            try:
                got = await obstore.get_async(self._store, key)
                return bytes(await got.bytes_async()), got.meta["e_tag"]
            except ABSENT:
                return None

    async def stream(self, key: str, options: GetOptions) -> AsyncIterator[bytes]:
        """Read an object, or what `options` choose of it, in chunks of about 1 MiB.

        Raises:
            FileNotFoundError: there is none, or it has another tag than `options` ask for.
        """
        with translated():
            try:
                got = await obstore.get_async(self._store, key, options=options)
            except (theirs.PreconditionError, *ABSENT):
                got = None
            if got is not None:
                async for chunk in got.stream(_MIB):
                    yield bytes(chunk)
        if got is None:
            raise FileNotFoundError(key)

    async def size(self, key: str) -> int | None:
        """Return the size of an object, or None."""
        with translated():
            try:
                return (await obstore.head_async(self._store, key))["size"]
            except ABSENT:
                return None

    async def sign(self, method: Literal["GET", "PUT"], key: str, expires: dt.timedelta) -> str:
        """Return a URL that does `method` with one object until it expires."""
        with translated():
            return await obstore.sign_async(self._store, method, key, expires)

    async def list_(self, folder: str) -> AsyncIterator[ObjectMeta]:
        """Give what is in a folder, in the store's order."""
        with translated():
            async for page in obstore.list(self._store, folder, chunk_size=_PAGE):
                for meta in page:
                    yield meta

    async def delete(self, keys: list[str]) -> None:
        """Remove objects; those that are not there are none."""
        with translated():
            for at in range(0, len(keys), _PAGE):
                with contextlib.suppress(*ABSENT):
                    await obstore.delete_async(self._store, keys[at : at + _PAGE])
