"""What follows from how sending went.

1. Any 2xx is delivered.
2. Tried again: no answer, 408, 429 and 5xx; after 5 s, 20 s, 80 s … at most 6 h, ten times in all
   (about 20 hours). Who answers with `Retry-After` is given that long if it is longer, at most 6 h.
3. Failed at once: what may not be called, redirects (they are not followed), and any other status.
4. A delivery that failed may be asked for again; then it is tried ten times again.

Source: R-153; Standard Webhooks 1.0 (retries).
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from muniment.server.federation.records import DeliveryState, Judged, Outcome

TRIES_MAX: Final = 10
_FIRST: Final = dt.timedelta(seconds=5)
_LONGEST: Final = dt.timedelta(hours=6)
_FACTOR: Final = 4
_AGAIN: Final = frozenset({408, 429})
_SECONDS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


def wait_after(tries: int) -> dt.timedelta:
    """Return how long to wait after `tries` attempts (from 1) failed."""
    factor: int = _FACTOR ** min(tries - 1, TRIES_MAX)
    return min(_FIRST * factor, _LONGEST)


def judge(outcome: Outcome, tries: int) -> Judged:
    """Return what follows from the outcome of attempt `tries` (from 1) since it was asked for."""
    status = outcome.status
    if status is not None and 200 <= status < 300:  # noqa: PLR2004 -- HTTP
        return Judged(DeliveryState.DELIVERED)
    error = outcome.error or f"answered {status}"
    if not (_may_mend(outcome) and tries < TRIES_MAX):
        return Judged(DeliveryState.FAILED, error=error)
    wait = max(wait_after(tries), min(outcome.wait or dt.timedelta(0), _LONGEST))
    return Judged(DeliveryState.DUE, after=wait, error=error)


def _may_mend(outcome: Outcome) -> bool:
    if outcome.status is None:
        return not outcome.refused
    return outcome.status in _AGAIN or outcome.status >= 500  # noqa: PLR2004 -- HTTP


def asked_wait(retry_after: str | None) -> dt.timedelta | None:
    """Read a `Retry-After` of seconds; dates are not read, and None comes back."""
    if retry_after is None or not _SECONDS.fullmatch(retry_after.strip()):
        return None
    return dt.timedelta(seconds=int(retry_after))


def printable(text: str) -> str:
    """Return text that can be kept and shown: others sent it."""
    return "".join(char if char.isprintable() else " " for char in text)
