"""A zip's directory, and every way in which it and the members may disagree.

Programs find members by the directory at the end or by the headers before each; what is in one and
not in the other, some see and some do not. Everything must agree, and every byte belong to one.

Source: APPNOTE.TXT 6.3.10 (zip), §4.3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from muniment.scan.containers.names import check_name
from muniment.scan.context import Context
from muniment.scan.reader import Cursor, Reader

_END: Final = b"PK\x05\x06"
_END64: Final = b"PK\x06\x06"
_LOCATOR64: Final = b"PK\x06\x07"
_CENTRAL: Final = b"PK\x01\x02"
_LOCAL: Final = b"PK\x03\x04"
_DESCRIPTOR: Final = b"PK\x07\x08"
_TAIL_BYTES: Final = (1 << 16) + 22
_MAX32, _MAX16 = 0xFFFFFFFF, 0xFFFF
_ENCRYPTED: Final = 0x0001 | 0x0040 | 0x2000
_DESCRIBED: Final = 0x0008
_UTF8: Final = 0x0800
_LINK, _PLAIN, _FOLDER = 0o120000, 0o100000, 0o040000
_UNIX: Final = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """A member as the directory has it; `data` is where its bytes begin in the file."""

    name: str
    method: int
    flags: int
    checksum: int
    packed_bytes: int
    size_bytes: int
    header: int
    data: int = 0

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, which has no bytes."""
        return self.name.endswith("/") and not self.size_bytes

    @property
    def encrypted(self) -> bool:
        """Whether its bytes are encrypted."""
        return bool(self.flags & _ENCRYPTED)


@dataclass(frozen=True, slots=True)
class Directory:
    """Where the directory is, how many it has, and by how much all places are shifted."""

    start: int
    end: int
    count: int
    shift: int


def find_directory(reader: Reader, context: Context) -> Directory:
    """Return where the directory is; note what stands before or behind the archive.

    Raises:
        StopScan: there is none; noted.
    """
    tail_start = max(0, reader.size_bytes - _TAIL_BYTES)
    tail = reader.read(tail_start, _TAIL_BYTES)
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < 22:  # noqa: PLR2004 -- the length of the record
        raise context.stop("unscannable.damaged", "the archive has no directory")
    record = struct.unpack("<4s4H2LH", tail[at : at + 22])
    count, size_bytes, start, comment = record[4], record[5], record[6], record[7]
    position = tail_start + at
    if position + 22 + comment != reader.size_bytes:
        context.found("zip.suffix", "bytes behind the archive", position + 22 + comment)
    if record[1] or record[2] or record[3] != count:
        context.found("zip.header-mismatch", "the archive says it is one part of several", position)
    end = position
    locator = reader.read(position - 20, 20) if position >= 20 else b""  # noqa: PLR2004
    if locator.startswith(_LOCATOR64):
        end, count, size_bytes, start = _zip64(reader, context, position, locator)
    shift = end - size_bytes - start
    if shift < 0:
        raise context.stop("unscannable.damaged", "the directory is not where it should be", end)
    return Directory(start + shift, end, count, shift)


def _zip64(
    reader: Reader, context: Context, position: int, locator: bytes
) -> tuple[int, int, int, int]:
    (told,) = struct.unpack("<Q", locator[8:16])
    at = position - 20 - 56
    record = reader.read(at, 56) if at >= 0 else b""
    if not record.startswith(_END64) or told > at:
        raise context.stop("unscannable.damaged", "the 64-bit directory is not there", position)
    fields = struct.unpack("<4sQ2H2L4Q", record)
    return at, fields[7], fields[8], fields[9]


def entries(reader: Reader, context: Context, directory: Directory) -> Iterator[Entry]:
    """Yield the members in the directory's order, each checked against its own header.

    Raises:
        StopScan: the directory is damaged; noted.
        OutOfBoundsError: it is cut off.
    """
    cursor = Cursor(reader, directory.start, directory.end)
    for _ in range(directory.count):
        offset = cursor.position
        if cursor.left < 46 or cursor.peek(4) != _CENTRAL:  # noqa: PLR2004 -- the record's length
            raise context.stop("unscannable.damaged", "the directory is damaged", offset)
        context.counted_member()
        yield _entry(reader, context, cursor, directory.shift)
    if cursor.left:
        context.found("zip.gap", "bytes behind the directory's last entry", cursor.position)


def _entry(reader: Reader, context: Context, cursor: Cursor, shift: int) -> Entry:
    offset = cursor.position
    fields = struct.unpack("<4s4B4HL2L5H2L", cursor.take(46))
    flags, method, checksum = fields[5], fields[6], fields[9]
    packed, size, name_len, extra_len, comment_len = fields[10:15]
    system, mode, header = fields[2], fields[17] >> 16, fields[18]
    raw, extra = cursor.take(name_len), cursor.take(extra_len)
    cursor.skip(comment_len)
    size, packed, header = _wide(extra, (size, packed, header), context, offset)
    name = raw.decode("utf-8" if flags & _UTF8 else "cp437", "replace")
    check_name(name, context, offset)
    kind = mode & 0o170000
    if system == _UNIX and kind not in {0, _PLAIN, _FOLDER}:
        what = "a link" if kind == _LINK else "no plain file"
        context.found("archive.link", f"`{name[:100]}` is {what}", offset)
    entry = Entry(name, method, flags, checksum, packed, size, header + shift)
    return _against_local(reader, context, entry, raw)


def _wide(
    extra: bytes, told: tuple[int, int, int], context: Context, offset: int
) -> tuple[int, int, int]:
    """Return size, packed size and place as `told`, or as the 64-bit extra field has them."""
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, at)
        if tag == 1:
            ends = range(at + 12, min(at + 4 + length, len(extra)) + 1, 8)
            wide = iter([int.from_bytes(extra[end - 8 : end], "little") for end in ends])
            size, packed, place = (
                next(wide, value) if value == _MAX32 else value for value in told
            )
            return size, packed, place
        at += 4 + length
    if _MAX32 in told:
        context.found("zip.header-mismatch", "a 64-bit size is missing", offset)
    return told


def _against_local(reader: Reader, context: Context, entry: Entry, raw: bytes) -> Entry:
    """Return `entry` with the place of its bytes; note where its own header says otherwise."""
    local = reader.read(entry.header, 30)
    if len(local) < 30 or not local.startswith(_LOCAL):  # noqa: PLR2004 -- the header's length
        raise context.stop(
            "zip.header-mismatch", f"`{entry.name[:100]}` has no header", entry.header
        )
    fields = struct.unpack("<4s5H3L2H", local)
    flags, method, checksum, packed, size = fields[2], fields[3], *fields[6:9]
    name_len, extra_len = fields[9], fields[10]
    name = reader.read(entry.header + 30, name_len)
    told = {"name": (name, raw), "flags": (flags, entry.flags), "method": (method, entry.method)}
    if not (flags & _DESCRIBED and not checksum and not size and not packed):
        told["checksum"] = (checksum, entry.checksum)
        extra = reader.read(entry.header + 30 + name_len, extra_len)
        size, packed, _ = _wide(extra, (size, packed, 0), context, entry.header)
        told["size"] = (size, entry.size_bytes)
        told["packed size"] = (packed, entry.packed_bytes)
    for what, (ours, theirs) in told.items():
        if ours != theirs:
            text = f"`{entry.name[:100]}`: {what} in its header and in the directory differ"
            context.found("zip.header-mismatch", text, entry.header)
    data = entry.header + 30 + name_len + extra_len
    return Entry(
        entry.name, entry.method, entry.flags, entry.checksum, entry.packed_bytes,
        entry.size_bytes, entry.header, data,
    )  # fmt: skip


def check_spans(
    reader: Reader, context: Context, found: list[tuple[int, int, bool]], directory: Directory
) -> None:
    """Note bytes of two members, and bytes of none.

    `found` are (first byte of the header, byte after the data, whether a descriptor follows).
    """
    at = 0
    for start, end, described in sorted(found):
        if start < at:
            raise context.stop("zip.overlap", "two members share bytes", start)
        if start > at:
            rule = "zip.prefix" if at == 0 else "zip.gap"
            context.found(rule, f"{start - at} bytes belong to no member", at)
        at = end + (_descriptor(reader, end) if described else 0)
    if at > directory.start:
        raise context.stop("zip.overlap", "a member reaches into the directory", at)
    if at < directory.start:
        rule = "zip.gap" if found else "zip.prefix"
        context.found(rule, f"{directory.start - at} bytes belong to no member", at)


def _descriptor(reader: Reader, at: int) -> int:
    """Return the length of the data descriptor at `at`: with or without mark, 32 or 64 bits."""
    ahead = reader.read(at, 28)
    mark = 4 if ahead.startswith(_DESCRIPTOR) else 0
    for length in (12 + mark, 20 + mark):
        if ahead[length : length + 4] in {_LOCAL, _CENTRAL, _END64}:
            return length
    return 12 + mark
