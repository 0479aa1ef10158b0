"""How often one address may try something that guesses at a secret.

A token bucket each address, in this process: N processes let N times as much through, which is
still far from guessing 256 bits; the point is that guessing costs us nothing.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass

from muniment.core.errors import TooManyRequests

ADDRESSES_MAX = 10_000


@dataclass(slots=True)
class _Bucket:
    left: float
    at: dt.datetime


class Buckets:
    """For each address, `capacity` tries at once and one more every `refill`."""

    def __init__(self, capacity: int, refill: dt.timedelta) -> None:
        """Start with every bucket full."""
        self._capacity, self._refill = capacity, refill
        self._buckets: dict[str, _Bucket] = {}

    def check(self, address: str, now: dt.datetime) -> None:
        """Go on only if `address` has a try left.

        Raises:
            TooManyRequests: it has none; `extra["retry_after_s"]` says when.
        """
        if self._filled(address, now).left < 1:
            wait_s = math.ceil(self._refill.total_seconds())
            raise TooManyRequests(
                f"too many failed tries from your address; wait {wait_s} s and repeat",
                extra={"retry_after_s": wait_s},
            )

    def take(self, address: str, now: dt.datetime) -> None:
        """Use up one try of `address`."""
        bucket = self._filled(address, now)
        bucket.left = max(0.0, bucket.left - 1)
        self._buckets[address] = bucket
        if len(self._buckets) > ADDRESSES_MAX:
            self._forget_the_full(now)

    def _filled(self, address: str, now: dt.datetime) -> _Bucket:
        bucket = self._buckets.get(address)
        if bucket is None:
            return _Bucket(self._capacity, now)
        gained = max(dt.timedelta(0), now - bucket.at) / self._refill
        return _Bucket(min(self._capacity, bucket.left + gained), now)

    def _forget_the_full(self, now: dt.datetime) -> None:
        kept = {a: b for a in self._buckets if (b := self._filled(a, now)).left < self._capacity}
        # Still too many: an attack from everywhere. The oldest go, memory stays bounded.
        self._buckets = dict(list(kept.items())[-ADDRESSES_MAX // 2 :])
