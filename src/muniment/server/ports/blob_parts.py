"""Arithmetic on the parts of a staged blob; the same for every store."""

from __future__ import annotations

from collections.abc import Iterable

from muniment.core.errors import UploadConflict
from muniment.server.ports.blobs import Part


def merged(parts: Iterable[Part]) -> list[Part]:
    """Return the parts by offset, those that touch or overlap as one."""
    found: list[Part] = []
    for part in sorted(parts, key=lambda one: (one.offset, one.size_bytes)):
        last = found[-1] if found else None
        if last is not None and part.offset <= last.offset + last.size_bytes:
            end = max(last.offset + last.size_bytes, part.offset + part.size_bytes)
            found[-1] = Part(last.offset, end - last.offset)
        else:
            found.append(part)
    return found


def gaps(parts: list[Part], size_bytes: int) -> list[list[int]]:
    """Return the ranges [start, end) of a blob of `size_bytes` that `merged` parts leave open."""
    open_ranges, at = [], 0
    for part in parts:
        if part.offset > at:
            open_ranges.append([at, min(part.offset, size_bytes)])
        at = max(at, part.offset + part.size_bytes)
    if at < size_bytes:
        open_ranges.append([at, size_bytes])
    return [found for found in open_ranges if found[0] < found[1]]


def require_whole(parts: list[Part], size_bytes: int) -> None:
    """Go on only if `merged` parts hold every byte of a blob of `size_bytes`.

    Raises:
        UploadConflict: some are missing; `extra["missing"]` lists them as [start, end).
    """
    missing = gaps(parts, size_bytes)
    if missing:
        raise UploadConflict(
            f"expected {size_bytes} bytes, found gaps at {missing[:5]}: send those, then seal again",
            extra={"missing": missing},
        )
