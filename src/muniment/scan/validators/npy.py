"""NumPy's arrays: the header, and exactly as many bytes as it says; objects are a pickle.

Source: NEP 1 (the .npy format).
"""

from __future__ import annotations

import ast
import math
import re
from typing import Any, Final

from muniment.scan.context import Context
from muniment.scan.formats import archives
from muniment.scan.pickles.streams import scan_stream
from muniment.scan.reader import Reader, Slice

_RULE: Final = "npy.malformed"
_MOST_HEADER: Final = 1 << 16
_VERSIONS: Final = (b"\x01\x00", b"\x02\x00", b"\x03\x00")
_TYPE: Final = re.compile(r"[|<>=]?([?a-zA-Z])(\d*)(?:\[\w+\])?")
_WIDTHS: Final = {"?": 1, "b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "l": 8, "L": 8, "q": 8}


def check_npy(reader: Reader, context: Context) -> None:
    """Check header and length; follow the pickle of an array of objects.

    Raises:
        StopScan: it cannot be read; noted.
    """
    head = reader.read(0, 12)
    if head[6:8] not in _VERSIONS:
        raise context.stop("unscannable.format", "a version of the format that is not known", 6)
    width = 2 if head[6:7] == b"\x01" else 4
    length = int.from_bytes(head[8 : 8 + width], "little")
    start = 8 + width + length
    if length > _MOST_HEADER or start > reader.size_bytes:
        raise context.stop(_RULE, f"a header of {length} bytes", 8)
    said = _header(reader.read(8 + width, length), context)
    if archives.has_objects(reader.read(0, start)):
        context.found("npy.objects", "an array of objects", start)
        scan_stream(Slice(reader, start, reader.size_bytes), context)
        return
    item, shape = _item_bytes(said.get("descr")), said.get("shape", ())
    if item is None or not _is_shape(shape):
        raise context.stop(_RULE, "a type or shape that cannot be", 8)
    expected = math.prod(shape) * item
    if expected != reader.size_bytes - start:
        what = f"{reader.size_bytes - start} bytes of elements, expected {expected}"
        context.found(_RULE, what, start)


def _header(content: bytes, context: Context) -> dict[str, Any]:
    try:
        said = ast.literal_eval(content.decode("utf-8").strip())
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        said = None
    if not isinstance(said, dict):
        raise context.stop(_RULE, "the header is none", 8)
    return said


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, tuple) and all(type(one) is int and one >= 0 for one in shape)


def _item_bytes(element: Any) -> int | None:
    """Return the bytes of one element, or None if they are not known."""
    match element:
        case str():
            found = _TYPE.fullmatch(element)
            if found is None:
                return None
            kind, digits = found[1], found[2]
            width = int(digits) if digits else _WIDTHS.get(kind, 8)
            return width * 4 if kind == "U" else width
        case [*fields]:
            sizes = [_field_bytes(one) for one in fields]
            return None if None in sizes else sum(size for size in sizes if size is not None)
        case _:
            return None


def _field_bytes(field: Any) -> int | None:
    match field:
        case (_, element):
            return _item_bytes(element)
        case (_, element, int() as count):
            size = _item_bytes(element)
            return None if size is None else size * count
        case (_, element, tuple() as shape) if _is_shape(shape):
            size = _item_bytes(element)
            return None if size is None else size * math.prod(shape)
    return None
