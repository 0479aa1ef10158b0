"""What blobs are, told from their beginning and end."""

from __future__ import annotations

from muniment.core.digest import Digest
from muniment.scan.formats import detection as formats
from muniment.scan.records import Format
from muniment.server.ports.blobs import Blobs


async def format_of(blobs: Blobs, digest: Digest, size_bytes: int) -> Format:
    """Tell what a held blob is, reading only its beginning and its end."""
    head = await _range(blobs, digest, 0, min(size_bytes, formats.HEAD_BYTES))
    tail_start = max(0, size_bytes - formats.TAIL_BYTES)
    small = size_bytes <= formats.HEAD_BYTES
    tail = head if small else await _range(blobs, digest, tail_start, size_bytes)
    return formats.detect(head, tail, size_bytes)


def format_of_content(content: bytes) -> Format:
    """Tell what a blob is whose content is at hand."""
    size_bytes = len(content)
    head = content[: formats.HEAD_BYTES]
    small = size_bytes <= formats.HEAD_BYTES
    return formats.detect(head, head if small else content[-formats.TAIL_BYTES :], size_bytes)


async def _range(blobs: Blobs, digest: Digest, start: int, end: int) -> bytes:
    if start >= end:
        return b""
    return b"".join([chunk async for chunk in blobs.read(digest, start, end)])
