"""Arithmetic on the parts of a staged blob; the same for every store."""

from __future__ import annotations

from collections.abc import Iterable

from muniment.core.digest import Digest
from muniment.core.errors import DigestMismatch, UploadConflict
from muniment.server.ports.blobs import Part


def merged(parts: Iterable[Part]) -> list[Part]:
    """Return the parts by offset, those that touch or overlap as one, empty ones left out."""
    found: list[Part] = []
    for part in sorted(parts, key=lambda one: (one.offset, one.size_bytes)):
        last = found[-1] if found else None
        if part.size_bytes == 0:
            continue
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


def require_exactly(parts: list[Part], size_bytes: int) -> None:
    """Go on only if `merged` parts are `size_bytes` from the start, and nothing beyond.

    Raises:
        UploadConflict: they are not.
    """
    require_whole(parts, size_bytes)
    if end_of(parts) > size_bytes:
        raise UploadConflict(f"expected {size_bytes} bytes, found {end_of(parts)}: send them again")


def end_of(parts: list[Part]) -> int:
    """Return where the last of `merged` parts ends."""
    return parts[-1].offset + parts[-1].size_bytes if parts else 0


def mismatch(digest: Digest, found: Digest) -> DigestMismatch:
    """Return the error that says the bytes are not those of `digest`."""
    return DigestMismatch(
        f"expected {digest}, found {found}: the file changed or was damaged on the way; send it again",
        extra={"expected": digest.hex, "found": found.hex},
    )


def too_long(digest: Digest, size_bytes: int, found: int) -> DigestMismatch:
    """Return the error that says more bytes came than the blob was announced with."""
    return DigestMismatch(
        f"expected {size_bytes} bytes of {digest}, found {found}: the file changed while it was sent,"
        " or was announced with another size; announce it again",
        extra={"expected": digest.hex, "found": None, "size_bytes": found},
    )
