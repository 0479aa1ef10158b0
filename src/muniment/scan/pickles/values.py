"""What is on the stack of a pickle that is read and not run.

Strings, small numbers and short tuples are kept as they are, for names and sizes are made of them;
everything else is only known by its kind.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Final

#: Longer texts cannot be names of anything allow-listed.
TEXT_KEPT: Final = 256
TUPLE_KEPT: Final = 8
#: The keys of states that somebody reads: those of joblib's arrays.
KEYS_READ: Final = frozenset(
    {
        "subclass",
        "shape",
        "order",
        "dtype",
        "allow_mmap",
        "numpy_array_alignment_bytes",
    }
)


class Use(enum.StrEnum):
    """How an allow-listed name may be used: made an object of, called, or only mentioned."""

    CLASS = "class"
    CALL = "call"
    VALUE = "value"


class Kind(enum.Enum):
    """Of what is not kept, its kind."""

    UNSET = "nothing"
    TEXT = "a text"
    BYTES = "bytes"
    NUMBER = "a number"
    LIST = "a list"
    SET = "a set"
    FROZENSET = "a frozen set"
    DICT = "a dictionary"
    TUPLE = "a tuple"
    OBJECT = "an object"


@dataclass(frozen=True, slots=True)
class Global:
    """A module's attribute; `use` None: it is not allow-listed."""

    module: str
    name: str
    use: Use | None

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Made:
    """An object made of `of`; `args` are what it was made with, where they were kept."""

    __slots__ = ("args", "of", "state")

    def __init__(self, of: Global | None, args: Any = Kind.TUPLE) -> None:
        self.of, self.args, self.state = of, args, None


class Dict:
    """A dictionary: those of its items that somebody reads, and whether it rewrites objects."""

    __slots__ = ("items", "rewrites")

    def __init__(self) -> None:
        self.items: dict[str, Any] | None = None
        self.rewrites: str | None = None

    def put(self, key: Any, value: Any) -> None:
        """Note an item."""
        if type(key) is not str:
            return
        if key in KEYS_READ:
            if self.items is None:
                self.items = {}
            self.items[key] = value
        elif key.startswith("__") and key.endswith("__") and key != "__doc__":
            self.rewrites = key


def text(content: str) -> Any:
    """Return `content`, or that it was a text if it is too long to be a name."""
    return content if len(content) <= TEXT_KEPT else Kind.TEXT


def tuple_of(items: list[Any]) -> Any:
    """Return a tuple of `items`, or that it was one if it is long."""
    return tuple(items) if len(items) <= TUPLE_KEPT else Kind.TUPLE
