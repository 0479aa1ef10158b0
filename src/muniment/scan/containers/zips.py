"""Zips: PyTorch's, Keras's and NumPy's files, and archives of anything.

First the directory is held against the members' headers, then every member's bytes are read to
their end, their checksum compared, and scanned by what they are. PyTorch's storages are raw bytes:
they are known by the keys that its pickle asks for, and any other member is scanned.
"""

from __future__ import annotations

import zlib
from typing import Final

from muniment.scan.containers.inflating import Inflated
from muniment.scan.containers.zip_entries import Entry, check_spans, entries, find_directory
from muniment.scan.context import Context
from muniment.scan.pickles.streams import Loader, scan_stream
from muniment.scan.reader import WINDOW_BYTES, Reader, Slice
from muniment.scan.validators import keras

_METHODS: Final = {8: "deflate", 12: "bzip2"}
_STORED: Final = 0


def scan_zip(reader: Reader, context: Context) -> None:
    """Scan every member.

    Raises:
        StopScan: the archive is damaged; noted.
        OutOfBoundsError: it is cut off.
    """
    directory = find_directory(reader, context)
    found = list(entries(reader, context, directory))
    _check_names(found, context)
    spans = [(one.header, one.data + one.packed_bytes, bool(one.flags & 8)) for one in found]
    check_spans(reader, context, spans, directory)
    names = {one.name for one in found}
    pickled = sorted(name for name in names if name.rsplit("/", 1)[-1] == "data.pkl")
    if len(pickled) == 1:
        _scan_torch(reader, context, found, pickled[0].removesuffix("data.pkl"))
        return
    in_keras = "config.json" in names and bool({"metadata.json", "model.weights.h5"} & names)
    for one in found:
        _scan_member(reader, context, one, in_keras=in_keras)


def _check_names(found: list[Entry], context: Context) -> None:
    seen: set[str] = set()
    for one in found:
        plain = one.name.rstrip("/")
        if plain in seen:
            context.found(
                "zip.duplicate-name", f"two members are called `{one.name[:100]}`", one.header
            )
        seen.add(plain)


def _opened(reader: Reader, context: Context, one: Entry) -> Reader | None:
    """Return a member's bytes, read to their end once; None if that cannot be; noted."""
    if one.encrypted:
        context.found("zip.encrypted", "it is encrypted", one.header)
        return None
    packed = Slice(reader, one.data, one.data + one.packed_bytes)
    if one.method == _STORED:
        opened: Reader = packed
        checksum = _checksum(packed)
    elif one.method in _METHODS:
        inflated = Inflated(packed, _METHODS[one.method], context, several=False)
        inflated.measure()
        if inflated.packed_end != packed.size_bytes:
            context.found(
                "zip.gap", "bytes behind the compressed ones", one.data + inflated.packed_end
            )
        opened, checksum = inflated, inflated.checksum
    else:
        context.found("unscannable.format", f"it is packed in way {one.method}", one.header)
        return None
    if (checksum, opened.size_bytes) != (one.checksum, one.size_bytes):
        context.found("zip.bad-checksum", "its bytes are not those the archive says", one.header)
    return opened


def _checksum(reader: Reader) -> int:
    checksum, at = 0, 0
    while at < reader.size_bytes:
        piece = reader.read(at, WINDOW_BYTES * 4)
        if not piece:
            break
        checksum, at = zlib.crc32(piece, checksum), at + len(piece)
    return checksum


def _scan_member(reader: Reader, context: Context, one: Entry, *, in_keras: bool = False) -> None:
    if one.is_folder:
        return
    inner = context.into(one.name)
    with inner.ending():
        opened = _opened(reader, inner, one)
        if opened is None:
            return
        if in_keras and one.name == "config.json":
            keras.check_config_file(opened, inner)
        else:
            inner.scan(opened, inner)


def _scan_torch(reader: Reader, context: Context, found: list[Entry], prefix: str) -> None:
    """Scan PyTorch's zip: the pickles first, for they say which members are storages."""
    script = any(
        one.name.startswith(f"{prefix}code/") or one.name == f"{prefix}constants.pkl"
        for one in found
    )
    if script:
        context.found("torchscript.code", "it holds a program of TorchScript")
    storages: dict[str, int] = {}
    for one in found:
        base = one.name.removeprefix(prefix)
        if base in {"data.pkl", "constants.pkl"}:
            loader = Loader(torch=True, script=script)
            inner = context.into(one.name)
            with inner.ending():
                opened = _opened(reader, inner, one)
                if opened is not None:
                    scan_stream(opened, inner, loader)
            folder = base.removesuffix(".pkl")
            storages |= {f"{prefix}{folder}/{key}": size for key, size in loader.storages.items()}
    for one in found:
        base = one.name.removeprefix(prefix)
        if base in {"data.pkl", "constants.pkl"} or (script and base.startswith("code/")):
            continue
        if one.name in storages:
            _scan_storage(reader, context, one, storages[one.name])
        elif base != ".storage_alignment" or one.size_bytes > 20:  # noqa: PLR2004 -- a number
            _scan_member(reader, context, one)


def _scan_storage(reader: Reader, context: Context, one: Entry, expected: int) -> None:
    """Note a storage that is compressed, damaged, or of another size than the pickle says."""
    inner = context.into(one.name)
    with inner.ending():
        opened = _opened(reader, inner, one)
        if opened is not None and opened.size_bytes != expected:
            what = f"{opened.size_bytes} bytes, but the pickle asks for {expected}"
            inner.found("zip.hidden", what, one.header)
