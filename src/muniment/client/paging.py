"""Page after page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from muniment.client.records import Page

T = TypeVar("T")


def all_items(page_at: Callable[[str | None], Page[T]]) -> Iterator[T]:
    """Yield every item; `page_at(cursor)` fetches one page, asked for only when reached."""
    cursor: str | None = None
    while True:
        page = page_at(cursor)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return
