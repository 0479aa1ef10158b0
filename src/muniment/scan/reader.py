"""Bytes at places: all that validators know of a file.

A `Reader` gives any range; a `Cursor` reads one forward. Nothing here keeps more of a file than
was asked for.
"""

from __future__ import annotations

import os
from typing import Final, Protocol

#: How much is read at once where a file is read from end to end.
WINDOW_BYTES: Final = 1 << 18


class Reader(Protocol):
    """A file, or a part of one."""

    @property
    def size_bytes(self) -> int:
        """How many bytes there are."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`; fewer only where the end is before that."""
        ...


class BytesReader:
    """Bytes in memory."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.size_bytes = len(content)

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`."""
        return self._content[offset : offset + max(0, length)]


class FileReader:
    """An open file, read at places without moving its position."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size_bytes = os.fstat(descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`."""
        wanted = min(length, self.size_bytes - offset)
        parts = []
        while wanted > 0:
            part = os.pread(self._descriptor, wanted, offset)
            if not part:
                break  # the file was cut since
            parts.append(part)
            offset, wanted = offset + len(part), wanted - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


class Slice:
    """The bytes [start, end) of another reader."""

    def __init__(self, reader: Reader, start: int, end: int) -> None:
        self._reader, self._start = reader, start
        self.size_bytes = max(0, min(end, reader.size_bytes) - start)

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`."""
        wanted = min(length, self.size_bytes - offset)
        return self._reader.read(self._start + offset, wanted) if wanted > 0 else b""


class OutOfBoundsError(Exception):
    """Something says it goes on after the end of what holds it. `offset` is where it said so."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"cut off at byte {offset}")
        self.offset = offset


class Cursor:
    """Reads [start, end) of a reader forward; skipping does not read.

    `window` is what was read last, from `window_start` on; the next byte is at `at` in it. They are
    for loops over single bytes, which cannot afford a call for each.

    Raises (every method that takes bytes): `OutOfBoundsError`, when they end after `end`.
    """

    __slots__ = ("_end", "_reader", "at", "window", "window_start")

    def __init__(self, reader: Reader, start: int = 0, end: int | None = None) -> None:
        self._reader = reader
        self._end = reader.size_bytes if end is None else min(end, reader.size_bytes)
        self.window, self.window_start, self.at = b"", start, 0

    @property
    def position(self) -> int:
        """Where the next byte is taken from."""
        return self.window_start + self.at

    @property
    def left(self) -> int:
        """How many bytes there are before the end."""
        return self._end - self.position

    def take(self, length: int) -> bytes:
        """Return the next `length` bytes. What may be long is skipped or read in parts, not taken."""
        at = self.at
        found = self.window[at : at + length]
        if len(found) < length:
            self._fill(length)
            at = 0
            found = self.window[:length]
        self.at = at + length
        return found

    def peek(self, length: int) -> bytes:
        """Return up to `length` next bytes without taking them."""
        wanted = min(length, self.left)
        if wanted > 0 and len(self.window) - self.at < wanted:
            self._fill(wanted)
        return self.window[self.at : self.at + max(0, wanted)]

    def skip(self, length: int) -> None:
        """Go on `length` bytes."""
        if length > self.left:
            raise OutOfBoundsError(self.position)
        if self.at + length <= len(self.window):
            self.at += length
        else:
            self.window_start, self.window, self.at = self.position + length, b"", 0

    def rest(self, length: int) -> Slice:
        """Return the next `length` bytes as a reader of their own; nothing is taken.

        Raises:
            OutOfBoundsError: there are fewer.
        """
        if length > self.left:
            raise OutOfBoundsError(self.position)
        return Slice(self._reader, self.position, self.position + length)

    def _fill(self, length: int) -> None:
        start = self.position
        if length > self._end - start:
            raise OutOfBoundsError(start)
        wanted = min(max(length, WINDOW_BYTES), self._end - start)
        self.window, self.window_start, self.at = self._reader.read(start, wanted), start, 0
        if len(self.window) < length:
            raise OutOfBoundsError(start)

    def uint(self, width: int) -> int:
        """Return the next `width` bytes as a little-endian number."""
        return int.from_bytes(self.take(width), "little")

    def line(self, most_bytes: int) -> bytes | None:
        """Return the text up to the next newline, which is taken too; None if it is longer.

        Raises:
            OutOfBoundsError: there is no newline before the end.
        """
        start, parts, length = self.position, [], 0
        while True:
            if self.at >= len(self.window):
                if self.left <= 0:
                    raise OutOfBoundsError(start)
                self._fill(1)
            found = self.window.find(b"\n", self.at)
            end = len(self.window) if found < 0 else found
            length += end - self.at
            if length <= most_bytes:
                parts.append(self.window[self.at : end])
            self.at = end if found < 0 else found + 1
            if found >= 0:
                return b"".join(parts) if length <= most_bytes else None
