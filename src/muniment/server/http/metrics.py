"""What Prometheus is told of requests: how many, how long, how many at this moment.

Counted in plain numbers on the one event loop, and turned into Prometheus' form when it asks: its
client's own counters take a lock each, five times a request.

One registry for each application, so that two in one process (tests) do not add up.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST as MEDIA_TYPE
from prometheus_client.registry import Collector

from muniment.server.ports.db import Tx

__all__ = ["MEDIA_TYPE", "Gauges", "Meter", "Metrics", "Number"]

#: Upper bounds of the buckets a request's time is counted in.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)


class Meter:
    """The numbers of one operation: answers by status, answers by time (not cumulative), seconds."""

    __slots__ = ("by_status", "by_time", "operation", "seconds")

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self.by_status: dict[int, int] = {}
        self.by_time = [0] * (len(_SECONDS) + 1)
        self.seconds = 0.0

    def count(self, status: int, seconds: float) -> None:
        """Count one answer."""
        self.by_status[status] = self.by_status.get(status, 0) + 1
        self.by_time[bisect_left(_SECONDS, seconds)] += 1
        self.seconds += seconds


@dataclass(frozen=True, slots=True)
class Number:
    """One number about the registry as it is now: its Prometheus name, what it says, its value."""

    name: str
    says: str
    value: float


#: Reads numbers from the database, whenever metrics are asked for.
Gauges = Callable[[Tx], Awaitable[Sequence[Number]]]


class Metrics(Collector):
    """All metrics of one application. `in_flight` is how many requests are being answered."""

    def __init__(self) -> None:
        """Start at zero."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.in_flight = 0
        self._meters: list[Meter] = []
        self._numbers: dict[str, Number] = {}
        self.registry.register(self)
        self._jobs = Gauge(
            "muniment_jobs", "Jobs that are not done.", ("name", "state"), registry=self.registry
        )
        self._job_seconds = Histogram(
            "muniment_job_seconds",
            "Time of a run of a job in this process, waiting for requests included, by how it ended.",
            ("name", "outcome"),
            buckets=_SECONDS,
            registry=self.registry,
        )

    def job_ran(self, name: str, outcome: str, seconds: float) -> None:
        """Count one run of a job: `done`, `later` (it is tried again) or `dead`."""
        self._job_seconds.labels(name, outcome).observe(seconds)

    def show_jobs(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Show how many jobs of each name are in each state."""
        self._jobs.clear()
        for (name, state), count in counts.items():
            self._jobs.labels(name, state).set(count)

    def meter(self, operation: str) -> Meter:
        """Return the meter of one operation."""
        self._meters.append(Meter(operation))
        return self._meters[-1]

    def collect(self) -> Iterator[Metric]:
        """Yield what was counted, as Prometheus' client wants it."""
        requests = CounterMetricFamily(
            "muniment_http_requests", "Requests answered.", labels=("operation", "status")
        )
        seconds = HistogramMetricFamily(
            "muniment_http_request_seconds",
            "Time from the request's head to the last byte of its answer.",
            labels=("operation",),
        )
        for meter in self._meters:
            for status, count in sorted(meter.by_status.items()):
                requests.add_metric((meter.operation, str(status)), count)
            seconds.add_metric((meter.operation,), _buckets(meter.by_time), meter.seconds)
        yield requests
        yield seconds
        yield GaugeMetricFamily(
            "muniment_http_requests_in_flight", "Requests being answered.", value=self.in_flight
        )
        for one in self._numbers.values():
            yield GaugeMetricFamily(one.name, one.says, value=one.value)

    def show(self, numbers: Sequence[Number]) -> None:
        """Have `text` give these numbers, until told others."""
        self._numbers |= {one.name: one for one in numbers}

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


def _buckets(by_time: list[int]) -> list[tuple[str, float]]:
    """Return how many took at most as long as each bound; the last bound is infinite."""
    bounds = [*(str(float(bound)) for bound in _SECONDS), "+Inf"]
    below = 0
    found: list[tuple[str, float]] = []
    for bound, count in zip(bounds, by_time, strict=True):
        below += count
        found.append((bound, below))
    return found
