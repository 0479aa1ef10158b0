"""Compressed bytes as if they were not: read in pieces, never whole, never without an end.

A compression is run once to its end before anything in it is looked at: then its length is known,
its checksum was right, and it is no bomb. Reading backwards runs it again; every byte that comes
out counts against the limit of the file.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from muniment.scan.context import Context
from muniment.scan.reader import Reader

PIECE_BYTES: Final = 1 << 20
_IN_BYTES: Final = 1 << 18
_LZMA_MEMORY: Final = 128 << 20


class Decompression(Protocol):
    """One stream being decompressed."""

    @property
    def eof(self) -> bool:
        """Whether its end was met."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What was given to it from behind its end."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether it gives nothing more before it is given more."""
        ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Return at most `max_length` bytes."""
        ...


class _Zlib:
    """zlib's, which wants to be given again what it did not take."""

    def __init__(self, wbits: int) -> None:
        self._inner, self._tail = zlib.decompressobj(wbits), b""

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._tail and not self._full

    _full = False

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        found = self._inner.decompress(self._tail + data, max_length)
        self._tail = self._inner.unconsumed_tail
        self._full = len(found) >= max_length and not self._inner.eof
        return found


def _lzma(how: int) -> Callable[[], Decompression]:
    return lambda: lzma.LZMADecompressor(how, memlimit=_LZMA_MEMORY)


def _lz4() -> Decompression:
    import lz4.frame  # noqa: PLC0415 -- only where such a file is met, and it is installed

    found: Any = lz4.frame.LZ4FrameDecompressor()
    return found  # type: ignore[no-any-return]


MAKERS: Final[dict[str, Callable[[], Decompression]]] = {
    "gzip": lambda: _Zlib(31),
    "zlib": lambda: _Zlib(15),
    "deflate": lambda: _Zlib(-15),
    "bzip2": bz2.BZ2Decompressor,
    "xz": _lzma(lzma.FORMAT_XZ),
    "lzma": _lzma(lzma.FORMAT_ALONE),
    "lz4": _lz4,
}
DAMAGE: Final = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, RuntimeError)


def available(how: str) -> bool:
    """Say whether there is what decompresses `how`."""
    try:
        return how in MAKERS and MAKERS[how]() is not None
    except ImportError:
        return False


class Inflated:
    """What `how` compressed in `packed`: a reader, once `measure` has been to the end.

    Several streams in a row are one, as gzip and others have it.
    """

    def __init__(self, packed: Reader, how: str, context: Context, *, several: bool = True) -> None:
        self._packed, self._make, self._context = packed, MAKERS[how], context
        self._several = several
        self.size_bytes = 0
        #: Where in `packed` the last stream ended.
        self.packed_end = 0
        self.checksum = 0
        self._pieces: Iterator[bytes] = iter(())
        self._piece, self._piece_start = b"", 0

    def measure(self) -> None:
        """Decompress to the end, and know the size and CRC-32.

        Raises:
            StopScan: it is damaged, or unpacks to more than may be; noted.
        """
        context, packed_bytes = self._context, max(1, self._packed.size_bytes)
        most = max(context.limits.ratio_from_bytes, context.limits.ratio * packed_bytes)
        size_bytes, checksum = 0, 0
        try:
            for piece in self._run():
                size_bytes += len(piece)
                checksum = zlib.crc32(piece, checksum)
                if size_bytes > most:
                    what = f"more than {context.limits.ratio} times as large unpacked"
                    raise context.stop("archive.bomb", what)
        except DAMAGE as error:
            raise context.stop("unscannable.damaged", f"unpacking fails: {error}") from None
        self.size_bytes, self.checksum = size_bytes, checksum
        self._pieces = iter(())
        self._piece, self._piece_start = b"", size_bytes + 1

    def _run(self) -> Iterator[bytes]:
        at, stream, data = 0, self._make(), b""
        while True:
            piece = stream.decompress(data, PIECE_BYTES)
            data = b""
            if piece:
                self._context.inflated(len(piece))
                yield piece
            if stream.eof:
                at -= len(stream.unused_data or b"")  # LZ4 says None
                self.packed_end = at
                if not self._several or self._packed.read(at, 1) in {b"", b"\0"}:
                    return
                stream = self._make()
            elif stream.needs_input or not piece:
                data = self._packed.read(at, _IN_BYTES)
                if not data:
                    raise EOFError("it is cut off")
                at += len(data)

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`; going back begins anew."""
        wanted = min(length, self.size_bytes - offset)
        if wanted <= 0:
            return b""
        if offset < self._piece_start:
            self._pieces, self._piece, self._piece_start = self._run(), b"", 0
        parts = []
        while wanted > 0:
            start = offset - self._piece_start
            part = self._piece[start : start + wanted]
            if part:
                parts.append(part)
                offset, wanted = offset + len(part), wanted - len(part)
                continue
            self._piece_start += len(self._piece)
            self._piece = next(self._pieces, b"")
            if not self._piece:
                break
        return b"".join(parts)
