"""Directories in memory: making files on a disk is most of what many tests would cost."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

_MEMORY = Path("/dev/shm")
#: How directories of test runs begin; the process id follows.
PREFIX = "muniment-tests-"
GIB = 1 << 30


def in_memory(room_bytes: int) -> Path | None:
    """Return a directory in memory with that much room, where the machine has one."""
    if not (_MEMORY.is_dir() and os.access(_MEMORY, os.W_OK)):
        return None
    return _MEMORY if shutil.disk_usage(_MEMORY).free > room_bytes else None


def directory_of_this_run(parent: Path) -> Path:
    """Return a directory for this process alone, not yet there; remove those of runs that died."""
    for left in parent.glob(f"{PREFIX}*"):
        if not Path("/proc", left.name.removeprefix(PREFIX)).exists():
            with contextlib.suppress(OSError):
                shutil.rmtree(left)
    return parent / f"{PREFIX}{os.getpid()}"
