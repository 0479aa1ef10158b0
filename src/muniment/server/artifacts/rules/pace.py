"""How much of the store a scrub should have read by now."""

from __future__ import annotations

import datetime as dt


def bytes_due(held_bytes: int, age: dt.timedelta, period: dt.timedelta) -> int:
    """Return how many of `held_bytes` a pass of that age should have read to end within `period`.

    Never more than all of them; at once, for a period of nothing.
    """
    if age >= period:
        return held_bytes
    return (
        held_bytes * max(0, age // dt.timedelta(seconds=1)) // (period // dt.timedelta(seconds=1))
    )
