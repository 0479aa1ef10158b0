"""The objects of an HDF5 file, walked from the root: does anything in it lie in other files?

1. From the root group along hard links: symbol tables of old groups, link messages of new ones.
   Each object once, whatever leads to it; soft links stay in the file, and lead to what is walked.
2. A link into another file, of a kind that only a plug-in knows, data kept in other files, and
   virtual datasets put together from them, are findings.
3. Links of a group that are kept in a heap (more than eight, of newer files) are not read: that is
   a finding too, as is whatever cannot be followed.

Source: HDF5 File Format Specification 3.0, II.A (superblock), III.A to III.C (B-trees, symbol
tables), IV.A (object headers).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from muniment.scan.context import Context
from muniment.scan.reader import Reader

_NOWHERE: Final = 0xFFFF_FFFF_FFFF_FFFF
_OBJECTS_MAX: Final = 200_000
_BLOCKS_MAX: Final = 1_000
_BLOCK_BYTES_MAX: Final = 1 << 22
_LINK_INFO, _LINK, _EXTERNAL, _LAYOUT, _CONTINUED, _TABLE = 0x02, 0x06, 0x07, 0x08, 0x10, 0x11
_DRIVER: Final = 0x14
_HARD, _SOFT, _ELSEWHERE = 0, 1, 64
_VIRTUAL: Final = 3
_LAYOUT_4: Final = 4
_SYMBOL_BYTES: Final = 40


class _DamagedError(Exception):
    """A structure is not what it must be. `at` is where."""

    def __init__(self, at: int) -> None:
        super().__init__(f"damaged at byte {at}")
        self.at = at


@dataclass(frozen=True, slots=True)
class _Message:
    """One message of an object header, and where its data begins in the file."""

    kind: int
    data: bytes
    at: int


class _File:
    """A file by addresses, which count from its base."""

    def __init__(self, reader: Reader, base: int) -> None:
        self._reader, self._base = reader, base

    def take(self, address: int, length: int) -> bytes:
        """Return `length` bytes at an address.

        Raises:
            _DamagedError: there are fewer.
        """
        at = self._base + address
        if address > self._reader.size_bytes or length > _BLOCK_BYTES_MAX:
            raise _DamagedError(self._base)
        found = self._reader.read(at, length)
        if len(found) != length:
            raise _DamagedError(at)
        return found

    def number(self, address: int, length: int) -> int:
        """Return a little-endian number at an address."""
        return _number(self.take(address, length))


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def check_objects(reader: Reader, context: Context, base: int, version: int) -> None:
    """Walk the objects of a file whose superblock, of `version`, is at `base`.

    Raises:
        StopScan: it cannot be walked; noted.
    """
    file = _File(reader, base)
    try:
        _walk(file, context, _root(file, context, version))
    except _DamagedError as error:
        raise context.stop(
            "unscannable.damaged", "its objects cannot be followed", error.at
        ) from None


def _root(file: _File, context: Context, version: int) -> int:
    """Return where the header of the root group is."""
    if version > 1:
        more = file.number(20, 8)
        if more != _NOWHERE and any(one.kind == _DRIVER for one in _messages(file, more)):
            context.found("hdf5.elsewhere", "a driver keeps parts of it in other files", more)
        return file.number(36, 8)
    at = 24 + 4 * version  # of the addresses: base, free space, end, driver; then the root's entry
    if file.number(at + 24, 8) != _NOWHERE:
        context.found("hdf5.elsewhere", "a driver keeps parts of it in other files", at + 24)
    return file.number(at + 40, 8)


def _walk(file: _File, context: Context, root: int) -> None:
    waiting, known = [root], {root}
    while waiting:
        for found in _linked(file, context, waiting.pop()):
            if found in known:
                continue
            if len(known) >= _OBJECTS_MAX:
                raise context.stop("unscannable.limit", f"more than {_OBJECTS_MAX} objects", found)
            known.add(found)
            waiting.append(found)


def _linked(file: _File, context: Context, address: int) -> Iterator[int]:
    """Yield where the objects are that one links to; note what lies elsewhere."""
    for message in _messages(file, address):
        data = message.data
        if message.kind == _TABLE:
            yield from _table(file, _number(data[:8]))
        elif message.kind == _LINK:
            found = _link(context, message)
            if found is not None:
                yield found
        elif message.kind == _LINK_INFO:
            _check_heap(context, message)
        elif message.kind == _EXTERNAL:
            context.found("hdf5.elsewhere", "a dataset keeps its data in other files", message.at)
        elif (
            message.kind == _LAYOUT
            and data[:1] >= bytes([_LAYOUT_4])
            and data[1:2] == bytes([_VIRTUAL])
        ):
            context.found("hdf5.elsewhere", "a dataset is put together from others", message.at)


def _check_heap(context: Context, message: _Message) -> None:
    """Note that links are kept in a heap, if they are."""
    data = message.data
    heap = 2 + (8 if data[1:2] and data[1] & 1 else 0)
    if len(data) < heap + 8:
        raise _DamagedError(message.at)
    if _number(data[heap : heap + 8]) != _NOWHERE:
        told = "links of a group that are kept in a heap are not read"
        context.found("unscannable.format", told, message.at)


def _link(context: Context, message: _Message) -> int | None:
    """Return where a hard link leads; note one into another file."""
    data = message.data
    if len(data) < 3 or data[0] != 1:  # noqa: PLR2004 -- version, flags, and something
        raise _DamagedError(message.at)
    flags, at, kind = data[1], 2, _HARD
    if flags & 8:
        kind, at = data[at], at + 1
    at += (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
    width = 1 << (flags & 3)
    value = at + width + _number(data[at : at + width])
    if kind == _HARD:
        if len(data) < value + 8:
            raise _DamagedError(message.at)
        return _number(data[value : value + 8])
    if kind == _ELSEWHERE:
        context.found("hdf5.elsewhere", "a link leads into another file", message.at)
    elif kind != _SOFT:
        context.found(
            "hdf5.elsewhere", f"a link of kind {kind}, which a plug-in follows", message.at
        )
    return None


# --- object headers --------------------------------------------------------------------------------


def _messages(file: _File, address: int) -> Iterator[_Message]:
    """Yield the messages of an object header, its continuations included."""
    mark = file.take(address, 4)
    if mark == b"OHDR":
        yield from _newer(file, address)
    elif mark[0] == 1:
        length = file.number(address + 8, 4)
        yield from _blocks(file, [(address + 16, length)], 8, tagged=False)
    else:
        raise _DamagedError(address)


def _newer(file: _File, address: int) -> Iterator[_Message]:
    version, flags = file.take(address + 4, 2)
    if version != 2:  # noqa: PLR2004 -- the only one
        raise _DamagedError(address)
    at = address + 6 + (16 if flags & 32 else 0) + (4 if flags & 16 else 0)
    width = 1 << (flags & 3)
    head = 4 + (2 if flags & 4 else 0)
    blocks = [(at + width, file.number(at, width))]
    yield from _blocks(file, blocks, head, tagged=True)


def _blocks(
    file: _File, blocks: list[tuple[int, int]], head: int, *, tagged: bool
) -> Iterator[_Message]:
    """Yield the messages of `blocks` and of those they continue in; `head` bytes stand before each.

    `tagged`: of version 2, where continuations begin with a mark and end with a checksum.
    """
    taken = 0
    while blocks:
        taken += 1
        if taken > _BLOCKS_MAX:
            raise _DamagedError(blocks[0][0])
        start, length = blocks.pop()
        data, at = file.take(start, length), 0
        while at + head <= length:
            kind = data[at] if tagged else _number(data[at : at + 2])
            size = _number(data[at + 1 : at + 3] if tagged else data[at + 2 : at + 4])
            body = data[at + head : at + head + size]
            if len(body) != size:
                raise _DamagedError(start + at)
            if kind == _CONTINUED:
                blocks.append(_continuation(body, start + at, tagged=tagged))
            else:
                yield _Message(kind, body, start + at + head)
            at += head + size


def _continuation(body: bytes, at: int, *, tagged: bool) -> tuple[int, int]:
    start, length = _number(body[:8]), _number(body[8:16])
    if len(body) < 16 or length < 8:  # noqa: PLR2004 -- an address and a length
        raise _DamagedError(at)
    return (start + 4, length - 8) if tagged else (start, length)


# --- symbol tables of old groups -------------------------------------------------------------------


def _table(file: _File, root: int) -> Iterator[int]:
    """Yield where the objects of a symbol table are: the leaves of its B-tree."""
    nodes, known = [root], {root}
    while nodes:
        address = nodes.pop()
        mark = file.take(address, 8)
        if mark[:4] == b"SNOD":
            yield from _symbols(file, address, _number(mark[6:8]))
            continue
        if mark[:5] != b"TREE\0":
            raise _DamagedError(address)
        entries = file.take(address + 24, 16 * _number(mark[6:8]) + 8)
        for at in range(8, len(entries) - 8, 16):
            child = _number(entries[at : at + 8])
            if child in known or len(known) > _OBJECTS_MAX:
                raise _DamagedError(address)
            known.add(child)
            nodes.append(child)


def _symbols(file: _File, address: int, count: int) -> Iterator[int]:
    data = file.take(address + 8, _SYMBOL_BYTES * count)
    for at in range(0, len(data), _SYMBOL_BYTES):
        header = _number(data[at + 8 : at + 16])
        if header != _NOWHERE:  # a soft link has none
            yield header
