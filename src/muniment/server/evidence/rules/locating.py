"""Where in a JSON text something stands that must not be there.

Only asked once a text is refused, so that reading what is right stays fast. The text is known to be
JSON up to the place that is looked for.
"""

from __future__ import annotations

import enum
import math
import re
from dataclasses import dataclass, field
from typing import Final

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_CONSTANTS: Final = frozenset({"NaN", "Infinity", "-Infinity"})


class Offence(enum.Enum):
    """What is looked for."""

    TWICE = "a member that was there before"
    NUMBER = "a number that a double cannot hold"
    CONSTANT = "NaN or an infinity"
    DEPTH = "a level too deep"


@dataclass(slots=True)
class _Level:
    """An open object (with the names seen in it) or list."""

    is_object: bool
    seen: set[str] = field(default_factory=set)
    name: str = ""
    index: int = 0
    wants_name: bool = True

    @property
    def step(self) -> str:
        return self.name if self.is_object else str(self.index)


def locate(text: str, offence: Offence, max_depth: int) -> str:
    """Return the place of the first `offence`: `line 3 column 5 (/results/0/score)`."""
    levels: list[_Level] = []
    for found in _TOKEN.finditer(text):
        if _offends(found[0], levels, offence, max_depth):
            return _place(text, found.start(), levels)
        _follow(found[0], levels)
    return ""


def _offends(piece: str, levels: list[_Level], offence: Offence, max_depth: int) -> bool:
    match offence:
        case Offence.TWICE:
            return bool(levels) and _is_name(piece, levels) and piece in levels[-1].seen
        case Offence.NUMBER:
            return _is_infinite(piece)
        case Offence.CONSTANT:
            return piece in _CONSTANTS
        case _:
            return piece in "{[" and len(levels) >= max_depth


def _is_name(piece: str, levels: list[_Level]) -> bool:
    return levels[-1].is_object and levels[-1].wants_name and piece.startswith('"')


def _is_infinite(piece: str) -> bool:
    try:
        return piece not in _CONSTANTS and math.isinf(float(piece))
    except ValueError:
        return False


def _follow(piece: str, levels: list[_Level]) -> None:
    """Note what one piece opens, closes or names."""
    if piece in "{[":
        levels.append(_Level(piece == "{"))
    elif piece in "}]":
        levels.pop()
    elif piece == ",":
        levels[-1].index += 1
        levels[-1].wants_name = True
    elif piece == ":":
        levels[-1].wants_name = False
    elif levels and _is_name(piece, levels):
        levels[-1].seen.add(piece)
        levels[-1].name = piece[1:-1]


def _place(text: str, offset: int, levels: list[_Level]) -> str:
    line = text.count("\n", 0, offset) + 1
    column = offset - text.rfind("\n", 0, offset)
    pointer = "".join(f"/{level.step[:80]}" for level in levels[:8])
    return f"line {line} column {column}" + (f" ({pointer})" if pointer else "")
