"""How long the elements of an array are, from what its pickle says of shape and type.

Source: joblib's numpy_pickle (NumpyArrayWrapper); NumPy's dtype.__reduce__.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Final

from muniment.scan.pickles.values import Dict, Made

_TYPE: Final = re.compile(r"[|<>=]?([a-zA-Z])(\d*)")
_HAS_OBJECTS: Final = 1  # a flag of NumPy's types
#: State of a type: version, order, subarray, names, fields, size in bytes, alignment, flags.
_SIZE, _FLAGS, _STATE = 5, 7, 8


@dataclass(frozen=True, slots=True)
class Elements:
    """The elements of an array: their bytes together; or `objects`, a pickle."""

    size_bytes: int
    objects: bool
    aligned: bool


def of_wrapper(state: Any) -> Elements | None:
    """Return the elements behind joblib's wrapper with this state; None if it does not say."""
    items = state.items if isinstance(state, Dict) else None
    if items is None:
        return None
    shape, element = items.get("shape"), _element(items.get("dtype"))
    if element is None or not isinstance(shape, tuple):
        return None
    sizes = [size for size in shape if isinstance(size, int) and size >= 0]
    if len(sizes) != len(shape):
        return None
    size_bytes, objects = element
    aligned = items.get("numpy_array_alignment_bytes") is not None
    return Elements(math.prod(sizes) * size_bytes, objects, aligned)


def _element(made: Any) -> tuple[int, bool] | None:
    """Return the bytes of one element, and whether it has objects in it."""
    if not isinstance(made, Made) or made.of is None or str(made.of) != "numpy.dtype":
        return None
    args, state = made.args, made.state
    if not isinstance(args, tuple) or not args or not isinstance(args[0], str):
        return None
    found = _TYPE.fullmatch(args[0])
    if found is None:
        return None
    kind, width = found[1], int(found[2] or 0)
    if kind == "O":
        return 0, True
    if kind in "biufcmM" and width:
        return width, False
    return _of_state(state) if kind in "SUV" else None


def _of_state(state: Any) -> tuple[int, bool] | None:
    """Return the same for a type whose size is in its state: texts, bytes, records."""
    if not isinstance(state, tuple) or len(state) < _STATE:
        return None
    size_bytes, flags = state[_SIZE], state[_FLAGS]
    if not isinstance(size_bytes, int) or not isinstance(flags, int) or size_bytes < 0:
        return None
    return size_bytes, bool(flags & _HAS_OBJECTS)
