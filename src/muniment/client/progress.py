"""How far a transfer is, told to whoever wants to draw it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Progress:
    """A transfer so far: `stage` is `hash`, `upload`, `download`, `verify` or `scan`."""

    stage: str
    bytes_done: int
    bytes_total: int
    files_done: int
    files_total: int


class OnProgress(Protocol):
    """Called often, from several threads, never at the same time."""

    def __call__(self, progress: Progress, /) -> None:
        """Look at `progress`; return fast."""
        ...


class Meter:
    """Counts bytes and files of one stage, from any thread, and tells `listener`."""

    def __init__(
        self, stage: str, files_total: int, bytes_total: int, listener: OnProgress | None
    ) -> None:
        self._stage = stage
        self._files = [0, files_total]
        self._bytes = [0, bytes_total]
        self._listener = listener
        self._lock = threading.Lock()

    def add_bytes(self, count: int) -> None:
        """Note `count` more bytes (fewer, if negative: they have to be sent again)."""
        with self._lock:
            self._bytes[0] += count
            self._tell()

    def add_file(self) -> None:
        """Note one more file finished."""
        with self._lock:
            self._files[0] += 1
            self._tell()

    def _tell(self) -> None:
        if self._listener:
            done, total = self._bytes
            self._listener(Progress(self._stage, done, total, *self._files))
