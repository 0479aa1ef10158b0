"""In which order the versions of a package are, per ecosystem.

Where nobody here knows the order, nothing is guessed: only what an advisory lists is matched, and
a range is undecided. Source: OSV schema 1.7 (affected[].ranges); PEP 440; SemVer 2.0.0 §11.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, Final

from packaging.version import InvalidVersion, Version

from muniment.core.errors import BadVersion
from muniment.core.names import SemVer

#: A version's sort key; None: it is no version of this kind.
Key = Callable[[str], Any]

_SHORT: Final = re.compile(r"(\d+)(?:\.(\d+))?(?=$|[-+])")
_MAX_CHARS: Final = 200


@functools.lru_cache(maxsize=65_536)
def pep440(text: str) -> Any:
    """Return the key of a version of a Python package; None if it is none.

    What a builder adds (`2.1.0+cu118`) plays no part: it is the same code, with the same holes.
    """
    if len(text) > _MAX_CHARS:
        return None
    try:
        found = Version(text)
        return Version(found.public) if found.local else found
    except (InvalidVersion, ValueError):
        return None


@functools.lru_cache(maxsize=65_536)
def semver(text: str) -> Any:
    """Return the key of a semantic version; None if it is none.

    A leading `v`, as Go writes it, and missing minor and patch numbers are forgiven.
    """
    text = text.removeprefix("v")
    if short := _SHORT.match(text):
        text = f"{short[1]}.{short[2] or 0}.0{text[short.end() :]}"
    try:
        return SemVer.parse(text).precedence
    except (BadVersion, ValueError):
        return None


_ORDERS: Final[dict[str, Key]] = {
    "PyPI": pep440,
    "npm": semver,
    "Go": semver,
    "crates.io": semver,
    "Hex": semver,
    "SwiftURL": semver,
    "GitHub Actions": semver,
}


def order_of(ecosystem: str, range_type: str) -> Key | None:
    """Return how versions of a range are ordered; None where nobody here knows."""
    if range_type == "SEMVER":
        return semver
    return _ORDERS.get(ecosystem) if range_type == "ECOSYSTEM" else None


def same(ecosystem: str, one: str, other: str) -> bool:
    """Say whether two versions are the same, also where they are written differently (`1.0`, `1.0.0`)."""
    if one == other:
        return True
    key = _ORDERS.get(ecosystem)
    if key is None:
        return False
    mine = key(one)
    return mine is not None and mine == key(other)
