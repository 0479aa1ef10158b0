"""Safetensors: a JSON header whose tensors cover the rest of the file exactly.

Source: the safetensors format (header at most 100 MB, no holes, no overlaps, no duplicate keys).
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

from muniment.scan.context import Context
from muniment.scan.reader import Reader

_MOST_HEADER: Final = 100_000_000
_BITS: Final = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "C64": 64, "F64": 64, "I64": 64, "U64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
_RULE: Final = "safetensors.malformed"


def check_safetensors(reader: Reader, context: Context) -> None:
    """Check header and bounds.

    Raises:
        StopScan: the header cannot be read; noted.
    """
    length = int.from_bytes(reader.read(0, 8), "little")
    if not 2 <= length <= min(_MOST_HEADER, reader.size_bytes - 8):  # noqa: PLR2004 -- `{}`
        raise context.stop(_RULE, f"the header would be {length} bytes long", 0)
    if length > context.limits.parsed_bytes:
        raise context.stop("unscannable.limit", f"a header of {length} bytes", 0)
    header = _header(reader.read(8, length), context)
    spans = []
    for name, told in header.items():
        if name == "__metadata__":
            _check_metadata(told, context)
        elif (span := _span(name, told, context)) is not None:
            spans.append(span)
    _check_cover(spans, reader.size_bytes - 8 - length, context)


def _header(content: bytes, context: Context) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            context.found("json.duplicate-key", "a key stands twice in the header", 8)
        return found

    try:
        found = json.loads(content, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        raise context.stop(_RULE, "the header is no JSON", 8) from None
    if not isinstance(found, dict):
        raise context.stop(_RULE, "the header is no JSON object", 8)
    return found


def _check_metadata(told: Any, context: Context) -> None:
    if not isinstance(told, dict) or not all(isinstance(value, str) for value in told.values()):
        context.found(_RULE, "the metadata is not of texts", 8)


def _natural(value: Any) -> bool:
    return type(value) is int and value >= 0


def _span(name: str, told: Any, context: Context) -> tuple[int, int] | None:
    """Return where a tensor is, from the end of the header; None if that is not said; noted."""
    shown = "".join(char if char.isprintable() else "?" for char in name[:100])
    match told:
        case {"dtype": str() as kind, "shape": [*shape], "data_offsets": [start, end]} if (
            kind in _BITS and _natural(start) and _natural(end) and all(map(_natural, shape))
        ):
            bits = math.prod(shape) * _BITS[kind]
            if start > end or bits != (end - start) * 8:
                context.found(_RULE, f"`{shown}` is not as long as its shape and type say", 8)
            return start, end
    context.found(_RULE, f"`{shown}` is not described as a tensor", 8)
    return None


def _check_cover(spans: list[tuple[int, int]], size_bytes: int, context: Context) -> None:
    at = 0
    for start, end in sorted(spans):
        if start != at:
            what = "share bytes" if start < at else "leave bytes out"
            context.found(_RULE, f"tensors {what} at {start}", 8)
            return
        at = end
    if at != size_bytes:
        context.found(_RULE, f"the tensors take {at} bytes, the file has {size_bytes}", 8)
