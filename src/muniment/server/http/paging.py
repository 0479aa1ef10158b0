"""Pages: some items and a cursor that says where the next page starts.

A cursor is opaque to clients and unsigned: it holds only the sort key of the last item shown, and
a forged one selects nothing that the caller could not have asked for.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from muniment.core.errors import BadCursor

T = TypeVar("T")

LIMIT_DEFAULT = 50
LIMIT_MAX = 500
CURSOR_MAX_CHARS = 4096

#: The types of the query parameters `limit` and `cursor` of every operation that pages.
Limit = Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX, description="Items on a page.")]
Cursor = Annotated[
    str,
    msgspec.Meta(
        max_length=CURSOR_MAX_CHARS, description="`next_cursor` of the page before this one."
    ),
]


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some items in order; `next_cursor` is None on the last page."""

    items: list[T]
    next_cursor: str | None = None


def encode_cursor(position: Mapping[str, Any]) -> str:
    """Write a position (JSON values) as unpadded base64url JSON."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).rstrip(b"=").decode()


def decode_cursor(text: str) -> dict[str, Any]:
    """Read a position that `encode_cursor` wrote, its values unchecked.

    Raises:
        BadCursor: it is something else.
    """
    return read_cursor(text, dict[str, Any])


def read_cursor(text: str, kind: type[T]) -> T:
    """Read a position that `encode_cursor` wrote, as `kind` (a Struct: its types are checked).

    Raises:
        BadCursor: it is something else.
    """
    if len(text) > CURSOR_MAX_CHARS:
        raise BadCursor
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=kind)
    except (binascii.Error, ValueError, RecursionError, msgspec.DecodeError) as error:
        raise BadCursor from error


def cut(
    items: Sequence[T], limit: int, position: Mapping[str, Any] | None = None
) -> tuple[list[T], str | None]:
    """Cut `limit` + 1 fetched items to a page and the cursor of the next one.

    `position` is the sort key of the page's last item; the cursor is None when nothing follows.
    """
    if len(items) <= limit or position is None:
        return list(items[:limit]), None
    return list(items[:limit]), encode_cursor(position)


def in_utc(at: dt.datetime) -> dt.datetime:
    """Return a cursor's time in UTC.

    Raises:
        BadCursor: it has no zone, or is a time that UTC does not have.
    """
    if at.tzinfo is None:
        raise BadCursor
    try:
        return at.astimezone(dt.UTC)
    except OverflowError:
        raise BadCursor from None
