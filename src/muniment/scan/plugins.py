"""Other people's scanners: entry points of the group `muniment.scanners`, each run in a process of its own.

    [project.entry-points."muniment.scanners"]
    house-rules = "acme_scanner:SCANNER"

`SCANNER` has `version` and `scan(path, name)`, which yields what it found. Its findings are added to
ours under `NAME:RULE`; it can make a verdict worse, never better. One that fails, is too slow or
takes too much memory makes the file unscannable.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from importlib import metadata
from typing import Any, Final, Protocol

from muniment.scan.records import Finding, Place, Severity

GROUP: Final = "muniment.scanners"
_TEXT: Final = 1000


class Scanner(Protocol):
    """What an entry point gives."""

    version: str

    def scan(self, path: str, name: str) -> Iterable[dict[str, Any]]:
        """Yield findings in the file at `path`, which is called `name` in its artifact.

        Each has `rule`, `severity` (critical, high, medium, low, info) and `what`; `why`, `remedy`,
        `member` and `offset` if it likes.
        """
        ...


@functools.cache
def installed() -> tuple[tuple[str, str], ...]:
    """Return name and version (of its distribution) of each installed scanner, sorted.

    Looked up once: that reads the metadata of every distribution, some 10 ms, and a process keeps
    what it was started with.
    """
    found = metadata.entry_points(group=GROUP)
    return tuple(sorted((one.name, one.dist.version if one.dist else "?") for one in found))


def load(name: str) -> Scanner:
    """Import a scanner. Only in a process that was made for it.

    Raises:
        LookupError: there is none of that name.
    """
    (entry,) = metadata.entry_points(group=GROUP, name=name) or (None,)
    if entry is None:
        raise LookupError(name)
    found: Scanner = entry.load()
    return found


def finding_of(plugin: str, told: Any) -> Finding:
    """Return what a plugin said as a finding; what it does not say is empty.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    offset = told.get("offset")
    return Finding(
        f"{plugin}:{str(told['rule'])[:100]}",
        Severity(told["severity"]),
        Place(str(told.get("member", ""))[:_TEXT], None if offset is None else int(offset)),
        str(told["what"])[:_TEXT],
        str(told.get("why", ""))[:_TEXT],
        str(told.get("remedy", ""))[:_TEXT],
    )
