"""In which order results come, and where in it a page starts.

1. Several fields, each ascending or descending; the id settles what they leave open, so that pages
   neither repeat nor skip whatever is added meanwhile.
2. What is absent counts as the empty text, and of numbers comes last either way.
3. A cursor holds the sort key of the last item shown, and belongs to one query.

Source: R-012.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from muniment.core.errors import BadCursor, BadFilter
from muniment.server.catalog.rules.fields import Field, Type
from muniment.server.catalog.rules.parsing import parse_field

SORTS_MAX: Final = 4
SORT_TEXT_MAX_CHARS: Final = 200
_SORT = re.compile(r"\s*(?P<field>.+?)(?:\s+(?P<way>asc|desc))?\s*", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Sort:
    """One field to sort by."""

    field: Field
    descending: bool = False

    def __str__(self) -> str:
        return f"{self.field} {'desc' if self.descending else 'asc'}"


def parse_order(texts: Sequence[str], fields: Mapping[str, Field]) -> tuple[Sort, ...]:
    """Read `FIELD [asc|desc]`, several of them in one text with commas or in several texts.

    Raises:
        BadFilter: a field is unknown, cannot be sorted by, or comes twice; or there are more than 4.
    """
    parts = [part for text in texts for part in _split(text)]
    sorts = tuple(_sort(part, fields) for part in parts)
    if len(sorts) > SORTS_MAX:
        raise BadFilter(f"expected at most {SORTS_MAX} fields to sort by, found {len(sorts)}")
    names = [str(sort.field) for sort in sorts]
    if len(set(names)) < len(names):
        raise BadFilter(f"expected each field once in the order, found {', '.join(names)}")
    return sorts


def _split(text: str) -> list[str]:
    """Split at the commas outside quotes."""
    parts = re.findall(r"(?:[^,\"`]|\"(?:[^\"]|\"\")*\"|`[^`]*`|[\"`])+", text)
    return [part for part in parts if part.strip()]


def _sort(text: str, fields: Mapping[str, Field]) -> Sort:
    found = _SORT.fullmatch(text)
    assert found  # any text but an empty one
    field = parse_field(found["field"], fields)
    if not field.sortable:
        able = ", ".join(sorted(name for name, known in fields.items() if known.sortable))
        raise BadFilter(f"cannot sort by {field}; can by: {able}")
    return Sort(field, descending=(found["way"] or "").lower() == "desc")


def query_mark(*parts: object) -> str:
    """Return a short mark of a query, so that a cursor of another query is noticed."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def key_from_cursor(cursor: Mapping[str, Any], mark: str, sorts: Sequence[Sort]) -> list[Any]:
    """Return the values a cursor holds: those of `sorts`, then the id.

    Raises:
        BadCursor: it belongs to another query or was not given out at all.
    """
    values = cursor.get("key")
    types = [_KEY_TYPES[sort.field.type] for sort in sorts]
    if cursor.get("query") != mark or not isinstance(values, list):
        raise BadCursor("the cursor belongs to another query; start again without one")
    if len(values) != len(types) + 1 or not all(isinstance(value, str) for value in values):
        raise BadCursor
    try:
        return [read(value) for read, value in zip([*types, uuid.UUID], values, strict=True)]
    except (ValueError, OverflowError):
        raise BadCursor from None


def _read_text(text: str) -> str:
    text.encode()
    if "\0" in text:
        raise ValueError
    return text


def _read_number(text: str) -> float:
    number = float(text)
    if math.isnan(number):
        raise ValueError
    return number


def _read_moment(text: str) -> dt.datetime:
    at = dt.datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)


_KEY_TYPES: Final[Mapping[Type, Callable[[str], Any]]] = {
    Type.TEXT: _read_text,
    Type.SEMVER: _read_text,
    Type.NUMBER: _read_number,
    Type.MOMENT: _read_moment,
}
