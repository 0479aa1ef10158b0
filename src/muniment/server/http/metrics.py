"""What Prometheus is told of requests: how many, how long, how many at this moment.

One registry for each application, so that two in one process (tests) do not add up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST as MEDIA_TYPE

from muniment.server.ports.db import Tx

__all__ = ["MEDIA_TYPE", "Gauges", "Meter", "Metrics", "Number"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)


class Meter:
    """The metrics of one operation; label lookups are done once."""

    __slots__ = ("_counter", "_counts", "_operation", "_seconds")

    def __init__(self, operation: str, counter: Counter, seconds: Histogram) -> None:
        self._operation, self._counter = operation, counter
        self._seconds = seconds.labels(operation)
        self._counts: dict[int, Counter] = {}

    def count(self, status: int, seconds: float) -> None:
        """Count one answer."""
        counts = self._counts.get(status)
        if counts is None:
            counts = self._counts[status] = self._counter.labels(self._operation, str(status))
        counts.inc()
        self._seconds.observe(seconds)


@dataclass(frozen=True, slots=True)
class Number:
    """One number about the registry as it is now: its Prometheus name, what it says, its value."""

    name: str
    says: str
    value: float


#: Reads numbers from the database, whenever metrics are asked for.
Gauges = Callable[[Tx], Awaitable[Sequence[Number]]]


class Metrics:
    """All metrics of one application."""

    def __init__(self) -> None:
        """Start at zero."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._counter = Counter(
            "muniment_http_requests",
            "Requests answered.",
            ("operation", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "muniment_http_request_seconds",
            "Time from the request's head to the last byte of its answer.",
            ("operation",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._gauges: dict[str, Gauge] = {}
        self.in_flight = Gauge(
            "muniment_http_requests_in_flight", "Requests being answered.", registry=self.registry
        )

    def meter(self, operation: str) -> Meter:
        """Return the meter of one operation."""
        return Meter(operation, self._counter, self._seconds)

    def show(self, numbers: Sequence[Number]) -> None:
        """Have `text` give these numbers, until told others."""
        for one in numbers:
            gauge = self._gauges.get(one.name)
            if gauge is None:
                gauge = self._gauges[one.name] = Gauge(one.name, one.says, registry=self.registry)
            gauge.set(one.value)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)
