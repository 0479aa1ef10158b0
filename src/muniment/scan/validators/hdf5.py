"""HDF5 files: the superblock, what lies in other files, and the Keras configuration in them.

Objects are walked for what leads out of the file (`hdf5_objects`). A configuration is an attribute,
which HDF5 keeps uncompressed, and JSON: it is found by its beginning and parsed, wherever it
stands. Text that looks like part of one and does not parse makes the file unscannable.

Source: HDF5 File Format Specification 3.0, II.A (superblock).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from muniment.scan.context import Context
from muniment.scan.reader import WINDOW_BYTES, Reader
from muniment.scan.validators.hdf5_objects import check_objects
from muniment.scan.validators.keras import check_config

_MARK: Final = b"\x89HDF\r\n\x1a\n"
_PLACES: Final = (0, *(512 << power for power in range(7)))
_OVERLAP: Final = 128
_PIECE: Final = WINDOW_BYTES * 4
#: The beginning of any object of a configuration, and what only code layers have.
_CONFIG: Final = re.compile(r'\{\s*"(?:class_name|module|name|layers|config)"\s*:')
_BEFORE: Final = 4096
_TELLTALE: Final = re.compile(rb'"class_name"|"__lambda__"|\\u00[4-7][0-9a-fA-F]')
_VERSIONS: Final = range(4)
_DECODER: Final = json.JSONDecoder()


def check_hdf5(reader: Reader, context: Context) -> None:
    """Check the superblock; find configurations and check them.

    Raises:
        StopScan: it cannot be read; noted.
    """
    base = _superblock(reader, context)
    if base:
        context.found("hdf5.malformed", f"{base} bytes stand before the file", 0)
    with context.ending():
        check_objects(reader, context, base, reader.read(base + 8, 1)[0])
    told_until = 0
    for offset in _telltales(reader):
        if offset < told_until:
            continue
        told_until = _config_around(reader, context, offset)


def _superblock(reader: Reader, context: Context) -> int:
    """Return where the superblock is."""
    base = next((at for at in _PLACES if reader.read(at, 8) == _MARK), None)
    if base is None:
        raise context.stop("hdf5.malformed", "it has no superblock", 0)
    head = reader.read(base, 64)
    version = head[8] if len(head) > 8 else 255  # noqa: PLR2004
    if version not in _VERSIONS:
        raise context.stop(
            "unscannable.format", f"version {version} of HDF5 is not known", base + 8
        )
    # Where the sizes of addresses stand, and the address of the file's end.
    widths, end_at = (13, 40) if version < 2 else (9, 28)  # noqa: PLR2004
    end_at += 4 if version == 1 else 0
    width = head[widths]
    if width != 8:  # noqa: PLR2004 -- what every writer of today uses
        raise context.stop("unscannable.format", f"addresses of {width} bytes", base + widths)
    end = int.from_bytes(head[end_at : end_at + 8], "little")
    if end > reader.size_bytes:
        raise context.stop("unscannable.truncated", "it is shorter than it says", base + end_at)
    if end < reader.size_bytes - base and reader.size_bytes - base - end > _PIECE:
        context.found("archive.trailing", "bytes behind the file's end", base + end)
    return base


def _telltales(reader: Reader) -> Iterator[int]:
    """Yield where something stands that only configurations have, in order."""
    at, last = 0, -1
    while at < reader.size_bytes:
        piece = reader.read(at, _PIECE)
        if not piece:
            return
        for found in _TELLTALE.finditer(piece):
            if found[0].startswith(b"\\") and not _in_config(piece, found.start()):
                continue
            if at + found.start() > last:
                last = at + found.start()
                yield last
        at += len(piece) - _OVERLAP if len(piece) > _OVERLAP else len(piece)


def _in_config(piece: bytes, at: int) -> bool:
    """Say whether an escaped letter stands where JSON could: after a quote, in printed text."""
    before = piece[max(0, at - 40) : at]
    return b'"' in before and all(32 <= byte < 127 for byte in before[before.rindex(b'"') :])  # noqa: PLR2004


def _config_around(reader: Reader, context: Context, offset: int) -> int:
    """Check the JSON that stands around `offset`; return where it ends.

    Raises:
        StopScan: it cannot be parsed; noted.
    """
    base = max(0, offset - _BEFORE)
    text = reader.read(base, context.limits.parsed_bytes).decode("latin-1")
    for candidate in _starts(text, offset - base):
        try:
            config, end = _DECODER.raw_decode(text, candidate)
        except (ValueError, RecursionError):
            continue
        if base + end > offset:
            check_config(config, context, base + candidate)
            return base + end
    raise context.stop("unscannable.damaged", "a configuration that cannot be parsed", offset)


def _starts(text: str, until: int) -> list[int]:
    """Return where an object that is around `until` may begin: the likely first, then the rest."""
    likely = [found.start() for found in _CONFIG.finditer(text, 0, until + 64)][:1]
    return likely + [found.start() for found in re.finditer(r"\{", text[:until])]
