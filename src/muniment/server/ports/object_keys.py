"""Names of small objects; the same for every store, so that what one takes every other takes."""

from __future__ import annotations

import re

from muniment.core.errors import BadPath

_SEGMENT = r"[a-z0-9][a-z0-9._-]{0,199}"
_KEY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_PREFIX = re.compile(rf"(?:{_SEGMENT}/)*(?:{_SEGMENT})?")
_KEY_MAX = 400


def checked_key(key: str) -> str:
    """Return `key` if it names an object: plain segments, one `/` between them, none hidden.

    Raises:
        BadPath: it does not.
    """
    if len(key) > _KEY_MAX or not _KEY.fullmatch(key):
        raise BadPath(
            f"expected a key of at most {_KEY_MAX} characters, segments of a-z, 0-9, `.`, `_` and"
            f" `-` joined by `/`, found {key[:80]!r}"
        )
    return key


def checked_prefix(prefix: str) -> str:
    """Return `prefix` if a key can start with it; empty means every key.

    Raises:
        BadPath: no key can.
    """
    if len(prefix) > _KEY_MAX or not _PREFIX.fullmatch(prefix):
        raise BadPath(f"expected the beginning of a key, found {prefix[:80]!r}")
    return prefix
