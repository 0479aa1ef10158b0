"""Time and identifiers: the real ones, and fixed ones for tests.

Rules and actions never ask for the time; they are given `now` and ids by their edge.
"""

from __future__ import annotations

import datetime as dt
import os
import time
import uuid
from typing import Protocol

_COUNTER_MAX = 0xFFF


class Clock(Protocol):
    """Where an edge gets the time and new identifiers."""

    def now(self) -> dt.datetime:
        """Return the time, aware, in UTC, with microseconds."""
        ...

    def new_id(self) -> uuid.UUID:
        """Return a UUIDv7: later ones sort later within a process, also within one millisecond."""
        ...


def uuid7(millis: int, counter: int, random: bytes) -> uuid.UUID:
    """Make a UUIDv7 from Unix milliseconds, a 12-bit `counter` and 8 `random` bytes.

    Source: RFC 9562 §5.7, §6.2 method 1.
    """
    head = (millis << 16) | 0x7000 | (counter & _COUNTER_MAX)
    tail = (int.from_bytes(random, "big") & ((1 << 62) - 1)) | (1 << 63)
    return uuid.UUID(int=(head << 64) | tail)


class _Sequence:
    """The millisecond and counter of the next identifier, always beyond the one before."""

    def __init__(self) -> None:
        self._millis = 0
        self._counter = 0

    def next(self, millis: int) -> tuple[int, int]:
        if millis > self._millis:
            self._millis, self._counter = millis, 0
        elif self._counter < _COUNTER_MAX:
            self._counter += 1
        else:  # more than a millisecond holds: borrow from the next
            self._millis, self._counter = self._millis + 1, 0
        return self._millis, self._counter


class SystemClock:
    """The machine's clock."""

    def __init__(self) -> None:
        """Start with no identifier given out."""
        self._sequence = _Sequence()

    def now(self) -> dt.datetime:
        """Return the time, aware, in UTC, with microseconds."""
        return dt.datetime.now(dt.UTC)

    def new_id(self) -> uuid.UUID:
        """Return a UUIDv7, greater than every one this clock gave before."""
        millis, counter = self._sequence.next(time.time_ns() // 1_000_000)
        return uuid7(millis, counter, os.urandom(8))


class FixedClock:
    """A clock that stands still until told; its identifiers count up and are the same each run."""

    def __init__(self, at: dt.datetime | None = None) -> None:
        """Stand at `at`, or at 2026-11-21 12:00 UTC."""
        self.at = at or dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
        self._sequence = _Sequence()
        self._count = 0

    def now(self) -> dt.datetime:
        """Return where the clock stands."""
        return self.at

    def advance(self, by: dt.timedelta) -> None:
        """Move on by `by`."""
        self.at += by

    def new_id(self) -> uuid.UUID:
        """Return the next identifier; its time is the clock's."""
        self._count += 1
        millis, counter = self._sequence.next(int(self.at.timestamp() * 1000))
        return uuid7(millis, counter, self._count.to_bytes(8, "big"))
