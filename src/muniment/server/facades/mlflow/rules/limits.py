"""How long keys and values may be, and how many come at once, as MLflow has it.

1. A key has 1 to 250 letters, digits and `_ - . space : /`, and is no path that means another one.
2. A value has at most: of a run's parameter 6 000, of a run's or logged model's tag 8 000, of an
   experiment's tag 20 000 characters. Those of registered models and versions are the catalog's.
3. One request has at most 100 parameters, 100 tags, 1 000 metrics, and 1 000 of all together.

Source: MLflow's own validation; CVE-2024-6838.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Final

from muniment.core.errors import BadRequest

KEY_MAX_CHARS: Final = 250
PARAM_MAX_CHARS: Final = 6000
TAG_MAX_CHARS: Final = 8000
EXPERIMENT_TAG_MAX_CHARS: Final = 20_000
PAIRS_MAX: Final = 100
METRICS_MAX: Final = 1000
_KEY: Final = re.compile(r"[/\w.\- :]*")


def check_key(key: str) -> None:
    """Go on only if something may be called `key`.

    Raises:
        BadRequest: it may not.
    """
    if not 1 <= len(key) <= KEY_MAX_CHARS:
        raise BadRequest(f"'key' exceeds the maximum length of {KEY_MAX_CHARS} characters")
    if not _KEY.fullmatch(key) or not key.isprintable():
        raise BadRequest(
            f"Invalid value {key[:80]!a} for parameter 'key' supplied: Names may only contain"
            " alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and"
            " slashes (/)."
        )
    if posixpath.normpath(key) != key or key == "." or key.startswith(("..", "/")):
        raise BadRequest(
            f"Invalid value {key[:80]!a} for parameter 'key' supplied: Names may be treated as"
            " files in certain cases, and must not resolve to other names when treated as such."
        )


def check_keys(keys: Iterable[str]) -> None:
    """Go on only if each of `keys` may be a key; see `check_key`."""
    for key in keys:
        check_key(key)


def check_pairs(what: str, pairs: Mapping[str, str | None], most_chars: int) -> None:
    """Go on only if these are keys, and values of at most `most_chars` (None: taken off).

    Raises:
        BadRequest: one is not, or there are too many; the message says which, and of what.
    """
    check_count(what, len(pairs), PAIRS_MAX)
    for key, value in pairs.items():
        check_key(key)
        if value is not None and len(value) > most_chars:
            raise BadRequest(
                f"'{what}[{key}]' exceeds the maximum length of {most_chars} characters"
            )


def check_count(what: str, found: int, most: int) -> None:
    """Go on only if there are not too many at once.

    Raises:
        BadRequest: there are.
    """
    if found > most:
        raise BadRequest(
            f"A batch logging request can contain at most {most} {what}. Got {found} {what}. Please"
            f" split up {what} across multiple requests and try again."
        )
