"""Tape archives, read block by block.

Source: POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar's long names.
"""

from __future__ import annotations

import re
from typing import Final

from muniment.scan.containers.names import check_name
from muniment.scan.context import Context
from muniment.scan.reader import Cursor, Reader

_BLOCK: Final = 512
_FILES: Final = frozenset({b"0", b"\0", b"7"})
_FOLDER: Final = b"5"
_LONG_NAME, _LONG_LINK = b"L", b"K"
_EXTENDED: Final = frozenset({b"x", b"g"})
_MOST_NAME: Final = 1 << 16
_PATH: Final = re.compile(rb"\d+ path=([^\n]*)\n")
_SIZE: Final = re.compile(rb"\d+ size=(\d+)\n")


def scan_tar(reader: Reader, context: Context) -> None:
    """Scan every member.

    Raises:
        StopScan: it is damaged; noted.
        OutOfBoundsError: it is cut off.
    """
    cursor = Cursor(reader)
    long_name: str | None = None
    long_size: int | None = None
    while cursor.left:
        offset = cursor.position
        block = cursor.take(_BLOCK)
        if block == bytes(_BLOCK):
            _check_end(cursor, context)
            return
        size_bytes, kind = _header(block, context, offset)
        if kind in _EXTENDED or kind in {_LONG_NAME, _LONG_LINK}:
            told = _told(cursor, context, size_bytes)
            if kind == _LONG_NAME:
                long_name = told.rstrip(b"\0").decode("utf-8", "replace")
            elif kind in _EXTENDED:
                path, size = _PATH.search(told), _SIZE.search(told)
                long_name = path[1].decode("utf-8", "replace") if path else long_name
                long_size = int(size[1]) if size else long_size
            continue
        name = long_name if long_name is not None else _name(block)
        size_bytes = size_bytes if long_size is None else long_size
        long_name = long_size = None
        _member(cursor, context, name, kind, size_bytes)
    context.found("unscannable.truncated", "it ends without an end", reader.size_bytes)


def _header(block: bytes, context: Context, offset: int) -> tuple[int, bytes]:
    """Return a member's size and kind.

    Raises:
        StopScan: the block is no header; noted.
    """
    stored = re.match(rb"[ \0]*([0-7]+)[ \0]", block[148:156])
    if stored is None or int(stored[1], 8) != sum(block[:148]) + 8 * 32 + sum(block[156:]):
        raise context.stop("unscannable.damaged", "a header's checksum is wrong", offset)
    field = block[124:136]
    if field[0] & 0x80:
        return int.from_bytes(field[4:], "big"), block[156:157]
    digits = field.strip(b" \0")
    if digits and not re.fullmatch(rb"[0-7]+", digits):
        raise context.stop("unscannable.damaged", "a size is no number", offset)
    return int(digits or b"0", 8), block[156:157]


def _name(block: bytes) -> str:
    name, prefix = block[:100].rstrip(b"\0"), block[345:500].rstrip(b"\0")
    whole = prefix + b"/" + name if block[257:262] == b"ustar" and prefix else name
    return whole.decode("utf-8", "replace")


def _told(cursor: Cursor, context: Context, size_bytes: int) -> bytes:
    if size_bytes > _MOST_NAME:
        raise context.stop("unscannable.limit", "a member's name is too long", cursor.position)
    told = cursor.take(size_bytes)
    cursor.skip(-size_bytes % _BLOCK)
    return told


def _member(cursor: Cursor, context: Context, name: str, kind: bytes, size_bytes: int) -> None:
    context.counted_member()
    offset = cursor.position
    check_name(name, context, offset)
    if kind == _FOLDER:
        return
    if kind not in _FILES:
        context.found("archive.link", f"`{name[:100]}` is no plain file", offset)
    content = cursor.rest(size_bytes)
    inner = context.into(name)
    with inner.ending():
        inner.scan(content, inner)
    cursor.skip(size_bytes)
    cursor.skip(min(-size_bytes % _BLOCK, cursor.left))


def _check_end(cursor: Cursor, context: Context) -> None:
    """Note what stands behind the end, which is of zeros."""
    while cursor.left:
        piece = cursor.take(min(cursor.left, 1 << 18))
        if piece.strip(b"\0"):
            what = "bytes behind the end"
            context.found("archive.trailing", what, cursor.position - len(piece))
            return
