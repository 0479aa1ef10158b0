"""What several requests of MLflow's have in common."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec

from muniment.core.errors import BadRequest
from muniment.core.names import MAX_NUMBER

_NUMBER: Final = re.compile(r"[0-9]{1,18}", re.ASCII)


#: What MLflow's messages and a column of ours have room for.
Int64 = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]


class Pair(msgspec.Struct):
    """A tag or a parameter."""

    key: str
    value: str = ""


def number_of(text: str) -> int:
    """Return a version's number.

    Raises:
        BadRequest: it is none; one no version can have comes back as 0.
    """
    if not _NUMBER.fullmatch(text):
        raise BadRequest(f"Parameter 'version' must be an integer, got {text[:80]!r}.")
    number = int(text)
    return number if number <= MAX_NUMBER else 0
