"""Protocol buffers, walked field by field without a schema; long fields are stepped over.

Source: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from muniment.scan.context import Context
from muniment.scan.reader import Cursor, OutOfBoundsError, Reader

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_VARINT_BYTES: Final = 10
_MOST_TEXT: Final = 4096
#: Messages in messages: real models have about ten.
DEPTH: Final = 64


@dataclass(frozen=True, slots=True)
class Field:
    """A field: its number, its value where it is a number, and its bytes where it is not."""

    number: int
    value: int
    start: int = 0
    end: int = 0

    @property
    def size_bytes(self) -> int:
        """Its length."""
        return self.end - self.start


class Message:
    """A message: a range of a file."""

    def __init__(self, reader: Reader, context: Context, start: int, end: int) -> None:
        self._reader, self._context = reader, context
        self.start, self.end = start, end

    def fields(self) -> Iterator[Field]:
        """Yield the fields in order.

        Raises:
            StopScan: they are no fields; noted.
        """
        cursor = Cursor(self._reader, self.start, self.end)
        while cursor.left > 0:
            offset = cursor.position
            try:
                yield self._field(cursor)
            except OutOfBoundsError:
                raise self.malformed("a field goes on after its message", offset) from None

    def _field(self, cursor: Cursor) -> Field:
        offset = cursor.position
        tag = self._varint(cursor)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise self.malformed("a field has no number", offset)
        if kind == _VARINT:
            return Field(number, self._varint(cursor))
        if kind in {_FIXED64, _FIXED32}:
            return Field(number, cursor.uint(8 if kind == _FIXED64 else 4))
        if kind != _BYTES:
            raise self.malformed(f"a field is of kind {kind}", offset)
        length = self._varint(cursor)
        start = cursor.position
        cursor.skip(length)
        return Field(number, 0, start, start + length)

    def _varint(self, cursor: Cursor) -> int:
        value = 0
        for at in range(_VARINT_BYTES):
            byte = cursor.take(1)[0]
            value |= (byte & 0x7F) << (7 * at)
            if byte < 0x80:  # noqa: PLR2004 -- the last one
                return value
        raise self.malformed("a number has no end", cursor.position)

    def inner(self, field: Field) -> Message:
        """Return the message that a field is."""
        return Message(self._reader, self._context, field.start, field.end)

    def text(self, field: Field) -> str:
        """Return the text that a field is, at most some thousand characters of it."""
        raw = self._reader.read(field.start, min(field.size_bytes, _MOST_TEXT))
        return raw.decode("utf-8", "replace")

    def malformed(self, what: str, offset: int) -> Exception:
        """Note that the message is none; raise what is returned."""
        return self._context.stop("protobuf.malformed", what, offset)
