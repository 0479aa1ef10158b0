"""GGUF: counts and lengths within the file, tensors within the data; chat templates looked at.

Source: ggml's docs/gguf.md; CVE-2024-25664 to 25668, CVE-2024-34359.
"""

from __future__ import annotations

import math
from typing import Any, Final

from muniment.scan.context import Context, StopScan
from muniment.scan.reader import Cursor, Reader
from muniment.scan.validators.jinja import check_template

_RULE: Final = "gguf.malformed"
_WIDTHS: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_TEXT, _ARRAY, _UINT32 = 8, 9, 4
_VERSIONS: Final = (2, 3)
_MOST_KEYS: Final = 1_000_000
_MOST_DIMENSIONS: Final = 8
_DEPTH: Final = 4
#: ggml's types: elements in a block, bytes of a block.
_BLOCKS: Final = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 36), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip


def check_gguf(reader: Reader, context: Context) -> None:
    """Check header, keys and tensors.

    Raises:
        StopScan: it cannot be read further; noted.
        OutOfBoundsError: it is cut off.
    """
    cursor = Cursor(reader)
    cursor.skip(4)
    version = cursor.uint(4)
    if version not in _VERSIONS:
        raise context.stop("unscannable.format", f"version {version} of GGUF is not known", 4)
    tensors, keys = cursor.uint(8), cursor.uint(8)
    if (
        tensors > _MOST_KEYS or keys > _MOST_KEYS or tensors * 24 + keys * 13 > cursor.left
    ):  # at least
        raise context.stop(_RULE, f"it would have {tensors} tensors and {keys} keys", 8)
    alignment = 32
    seen: set[str] = set()
    for _ in range(keys):
        offset = cursor.position
        key = _text(cursor, context, 1 << 16)
        if key in seen:
            context.found("json.duplicate-key", f"key `{key[:100]}` stands twice", offset)
        seen.add(key)
        value = _value(cursor, context, cursor.uint(4), key, 0)
        if key == "general.alignment" and isinstance(value, int):
            alignment = value
    if alignment <= 0 or alignment % 8:
        raise context.stop(_RULE, f"data would be aligned to {alignment} bytes")
    _check_tensors(cursor, context, tensors, alignment, reader.size_bytes)


def _text(cursor: Cursor, context: Context, most: int) -> str:
    length = cursor.uint(8)
    if length > most:
        raise context.stop(_RULE, f"a name of {length} bytes", cursor.position)
    return cursor.take(length).decode("utf-8", "replace")


def _value(cursor: Cursor, context: Context, kind: int, key: str, depth: int) -> Any:
    """Step over a value; return a number, nothing of others."""
    if kind in _WIDTHS:
        return cursor.uint(_WIDTHS[kind])
    if kind == _TEXT:
        _text_value(cursor, context, key)
        return None
    if kind != _ARRAY or depth >= _DEPTH:
        raise context.stop(_RULE, f"`{key[:100]}` has a value of kind {kind}", cursor.position)
    item, count = cursor.uint(4), cursor.uint(8)
    if item in _WIDTHS:
        cursor.skip(_WIDTHS[item] * count)
        return None
    if count * 8 > cursor.left:
        raise context.stop(_RULE, f"`{key[:100]}` would have {count} items", cursor.position)
    for _ in range(count):
        _value(cursor, context, item, key, depth + 1)
    return None


def _text_value(cursor: Cursor, context: Context, key: str) -> None:
    length, offset = cursor.uint(8), cursor.position
    if "chat_template" not in key:
        cursor.skip(length)
    elif length > context.limits.parsed_bytes:
        raise context.stop("unscannable.limit", f"a template of {length} bytes", offset)
    else:
        check_template(cursor.take(length).decode("utf-8", "replace"), context, offset)


def _check_tensors(
    cursor: Cursor, context: Context, count: int, alignment: int, size_bytes: int
) -> None:
    spans = [_tensor(cursor, context, alignment) for _ in range(count)]
    data = cursor.position + -cursor.position % alignment
    at = 0
    for start, length in sorted(spans):
        if start < at:
            raise context.stop(_RULE, "two tensors share bytes", data + start)
        at = start + length
    if spans and data + at > size_bytes:
        raise context.stop(_RULE, "a tensor goes on after the end", size_bytes)
    if data + at + alignment < size_bytes:
        left = size_bytes - data - at
        context.found("archive.trailing", f"{left} bytes that are of no tensor", data + at)


def _tensor(cursor: Cursor, context: Context, alignment: int) -> tuple[int, int]:
    """Return where a tensor is, from the beginning of the data, and its length."""
    name = _text(cursor, context, 1 << 16)
    dimensions = cursor.uint(4)
    if dimensions > _MOST_DIMENSIONS:
        raise _wrong(context, name, f"{dimensions} dimensions", cursor.position)
    shape = [cursor.uint(8) for _ in range(dimensions)]
    kind, start = cursor.uint(4), cursor.uint(8)
    if kind not in _BLOCKS:
        raise context.stop("unscannable.format", f"tensors of type {kind}", cursor.position)
    per_block, block_bytes = _BLOCKS[kind]
    elements = math.prod(shape)
    if elements % per_block or start % alignment or elements >= 1 << 60:
        raise _wrong(context, name, "a shape or place that cannot be", cursor.position)
    return start, elements // per_block * block_bytes


def _wrong(context: Context, name: str, what: str, offset: int) -> StopScan:
    return context.stop(_RULE, f"tensor `{name[:100]}` has {what}", offset)
