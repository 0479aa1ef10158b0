"""Byte ranges of a file: one range at a time. Pure.

Several ranges in one request are answered with the whole file, as a server may.

Source: RFC 9110 §13.1.5 (If-Range), §14 (ranges).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from muniment.core.errors import BadRange

_ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Selected:
    """What to send: the bytes [start, end), with which status and headers."""

    start: int
    end: int
    status: int
    headers: Mapping[str, str]


def select(
    size_bytes: int, *, etag: str, range_header: str | None, if_range: str | None = None
) -> Selected:
    """Choose what of a file of `size_bytes` with strong `etag` (quoted) answers a request.

    206 for one satisfiable range; 200 with everything without one, for a malformed one, for
    several, and when `if_range` is not `etag` (the file the client has a part of is another).

    Raises:
        BadRange: the range starts after the end. `extra["content_range"]` is the header to send.
    """
    whole = Selected(0, size_bytes, 200, _headers(size_bytes, etag))
    if range_header is None or (if_range is not None and if_range.strip() != etag):
        return whole
    matched = _ONE_RANGE.fullmatch(range_header.strip())
    if matched is None or matched[0].endswith("=-"):
        return whole
    bounds = _bounds(matched[1], matched[2], size_bytes)
    if bounds is None:
        return whole
    start, end = bounds
    if start >= end:
        raise BadRange(
            f"expected a range within {size_bytes} bytes, found {range_header.strip()!r}",
            extra={"content_range": f"bytes */{size_bytes}", "size_bytes": size_bytes},
        )
    headers = _headers(end - start, etag) | {
        "content-range": f"bytes {start}-{end - 1}/{size_bytes}"
    }
    return Selected(start, end, 206, headers)


def _bounds(first: str, last: str, size_bytes: int) -> tuple[int, int] | None:
    """Return [start, end) of one range, empty when it cannot be satisfied, None when malformed."""
    if not first:
        return max(0, size_bytes - int(last)), size_bytes if int(last) else 0
    if not last:
        return int(first), size_bytes
    if int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, size_bytes)


def _headers(length_bytes: int, etag: str) -> dict[str, str]:
    return {"accept-ranges": "bytes", "content-length": str(length_bytes), "etag": etag}


def matches(if_none_match: str, etag: str) -> bool:
    """Say whether a client's `If-None-Match` names `etag` (weakly compared) or is `*`.

    Source: RFC 9110 §13.1.2.
    """
    if if_none_match.strip() == "*":
        return True
    ours = etag.removeprefix("W/")
    return any(tag.strip().removeprefix("W/") == ours for tag in if_none_match.split(","))
