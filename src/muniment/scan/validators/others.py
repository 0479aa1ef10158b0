"""Formats without code in them, whose bounds are soon checked: XGBoost's, Parquet, Arrow, PNG."""

from __future__ import annotations

import struct
import zlib
from typing import Final

from muniment.scan.context import Context
from muniment.scan.reader import Cursor, Reader

_DEPTH: Final = 200
_WIDTHS: Final = {
    b"Z": 0, b"N": 0, b"T": 0, b"F": 0, b"i": 1, b"U": 1, b"C": 1, b"I": 2, b"l": 4, b"d": 4,
    b"L": 8, b"D": 8,
}  # fmt: skip
_LENGTHS: Final = frozenset({b"i", b"U", b"I", b"l", b"L"})
_PNG_MARK: Final = 8
_PNG_END: Final = b"IEND"


def check_ubjson(reader: Reader, context: Context) -> None:
    """Walk XGBoost's binary JSON to its end.

    Raises:
        StopScan: it is none; noted.
        OutOfBoundsError: it is cut off.
    Source: UBJSON specification, draft 12.
    """
    cursor = Cursor(reader)
    _Ubjson(cursor, context).value(cursor.take(1), 0)
    if cursor.left:
        context.found("archive.trailing", f"{cursor.left} bytes behind the end", cursor.position)


class _Ubjson:
    def __init__(self, cursor: Cursor, context: Context) -> None:
        self._cursor, self._context = cursor, context

    def value(self, kind: bytes, depth: int) -> None:
        if depth > _DEPTH:
            raise self._context.stop("unscannable.limit", "values in values", self._cursor.position)
        if kind in _WIDTHS:
            self._cursor.skip(_WIDTHS[kind])
        elif kind in {b"S", b"H"}:
            self._cursor.skip(self._length())
        elif kind in {b"[", b"{"}:
            self._container(kind, depth)
        else:
            what = f"a value of kind {kind!r}"
            raise self._context.stop("unscannable.damaged", what, self._cursor.position)

    def _length(self) -> int:
        kind = self._cursor.take(1)
        if kind not in _LENGTHS:
            raise self._context.stop("unscannable.damaged", "no length", self._cursor.position)
        length = int.from_bytes(self._cursor.take(_WIDTHS[kind]), "big", signed=kind != b"U")
        if length < 0:
            raise self._context.stop("unscannable.damaged", "no length", self._cursor.position)
        return length

    def _container(self, kind: bytes, depth: int) -> None:
        cursor, item, count = self._cursor, b"", -1
        if cursor.peek(1) == b"$":
            cursor.skip(1)
            item = cursor.take(1)
        if cursor.peek(1) == b"#":
            cursor.skip(1)
            count = self._length()
        if kind == b"[" and item in _WIDTHS and count >= 0:
            cursor.skip(_WIDTHS[item] * count)
            return
        end = b"]" if kind == b"[" else b"}"
        while count != 0:
            if count < 0 and cursor.peek(1) == end:
                cursor.skip(1)
                return
            if kind == b"{":
                cursor.skip(self._length())
            self.value(item or cursor.take(1), depth + 1)
            count -= 1


def check_parquet(reader: Reader, context: Context) -> None:
    """Check that the footer is within the file."""
    foot = reader.read(max(0, reader.size_bytes - 8), 8)
    length = int.from_bytes(foot[:4], "little")
    if foot[4:] != b"PAR1" or length > reader.size_bytes - 12:
        context.found("unscannable.damaged", "its footer is not where it should be")


def check_arrow(reader: Reader, context: Context) -> None:
    """Check that the footer is within the file."""
    foot = reader.read(max(0, reader.size_bytes - 10), 10)
    length = int.from_bytes(foot[:4], "little", signed=True)
    if foot[4:] != b"ARROW1" or not 0 <= length <= reader.size_bytes - 18:
        context.found("unscannable.damaged", "its footer is not where it should be")


def check_png(reader: Reader, context: Context) -> None:
    """Walk the chunks to the last; none may follow.

    Raises:
        OutOfBoundsError: it is cut off.
    """
    cursor = Cursor(reader, _PNG_MARK)
    while True:
        offset = cursor.position
        length, kind = struct.unpack(">I4s", cursor.take(8))
        if length > context.limits.parsed_bytes:
            raise context.stop("unscannable.limit", f"a chunk of {length} bytes", offset)
        content = cursor.take(length)
        if struct.unpack(">I", cursor.take(4))[0] != zlib.crc32(kind + content):
            raise context.stop("unscannable.damaged", "a checksum is wrong", offset)
        if kind == _PNG_END:
            break
    if cursor.left:
        context.found("archive.trailing", f"{cursor.left} bytes behind the end", cursor.position)
