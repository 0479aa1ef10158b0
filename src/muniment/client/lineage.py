"""Where versions come from, and what came of something."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from muniment.client.paging import all_items
from muniment.client.records import Page, Record
from muniment.client.transport import Transport, api

_AT_ONCE: Final = 100
_BYTES_AT_ONCE: Final = 4 << 20


class Node(Record, frozen=True, kw_only=True):
    """One thing: a version, dataset, base model, commit, run, …; redacted if not yours to read."""

    id: str
    kind: str
    label: str
    digest: str | None = None
    about: dict[str, str] = msgspec.field(default_factory=dict)
    redacted: bool = False


class Link(Record, frozen=True, kw_only=True):
    """The node `lower` follows from the node `upper`; `assurance` is `verified` or `asserted`."""

    kind: str
    lower: str
    upper: str
    assurance: str
    evidence: str | None = None
    signer: str | None = None


class Lineage(Record, frozen=True, kw_only=True):
    """What was found within `depth`, `root` first; `findings` are links that dangle.

    `deeper`: there may be more beyond `depth`. `wider`: there were more than `nodes_max` nodes.
    """

    of: str
    way: str
    depth: int
    root: str
    nodes_max: int = 0
    nodes: list[Node] = msgspec.field(default_factory=list)
    links: list[Link] = msgspec.field(default_factory=list)
    findings: list[dict[str, str]] = msgspec.field(default_factory=list)
    deeper: bool = False
    wider: bool = False


class LineageEvent(Record, frozen=True, kw_only=True):
    """An OpenLineage event that was told: what it is about, and what it names.

    `created` is False where the same was told before, None where it is listed.
    """

    id: str
    about: str
    job: str | None = None
    event_type: str | None = None
    event_time: dt.datetime | None = None
    producer: str = ""
    inputs: list[dict[str, Any]] = msgspec.field(default_factory=list)
    outputs: list[dict[str, Any]] = msgspec.field(default_factory=list)
    sha256: str = ""
    recorded_at: dt.datetime | None = None
    recorded_by: dict[str, str] = msgspec.field(default_factory=dict)
    entry_id: str = ""
    created: bool | None = None


class _Told(Record, frozen=True, kw_only=True):
    items: list[LineageEvent]


class LineageCalls:
    """Calls about lineage.

    `of` is a version (`NAME@1.2.0`, `NAME@alias`), or `dataset:NAME@VERSION`, `base_model:…`,
    `feature:…`, `commit:…`, `run:…`, `job:…` or `pipeline:…`. `way` is `up` to what it was made from or
    `down` to what was made from it.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, of: str, *, way: str = "up", depth: int | None = None) -> Lineage:
        """The nodes and links within `depth`, and what dangles among them.

        Raises:
            NotFound: there is no such version, or you may not see it.
        """
        return self._transport.get(api("lineage"), Lineage, _query(of, way, depth))

    def prov(self, of: str, *, way: str = "up", depth: int | None = None) -> dict[str, Any]:
        """The same as a W3C PROV-JSON document."""
        return self._transport.get(api("lineage", "prov"), dict[str, Any], _query(of, way, depth))

    def openlineage(
        self, of: str, *, way: str = "up", depth: int | None = None
    ) -> list[dict[str, Any]]:
        """The same as OpenLineage events: one for each version, and what was told of runs."""
        path = api("lineage", "openlineage")
        return self._transport.get(path, list[dict[str, Any]], _query(of, way, depth))

    def tell(self, events: Iterable[Mapping[str, Any] | msgspec.Raw]) -> list[LineageEvent]:
        """Record OpenLineage events, up to 100 at a time, each time all or none.

        What was told before is not recorded again, so all may be sent again after a failure.

        Raises:
            BadBody: one is no event; nothing of those sent with it is recorded.
            Conflict: you told otherwise of the same run, type and time before.
            TooLarge: one has more than 1 MiB.
        """
        return [one for some in _batches(events) for one in self._tell(some)]

    def _tell(self, some: list[msgspec.Raw]) -> list[LineageEvent]:
        return self._transport.send("POST", api("lineage", "batch"), some, _Told).items

    def events(self, about: str | None = None, *, limit: int | None = None) -> list[LineageEvent]:
        """What was told, the newest first: of a run or job (`run:…`, `job:…`), else of all."""
        size = None if limit is None else min(limit, 500)

        def page_at(cursor: str | None) -> Page[LineageEvent]:
            query = {"about": about, "cursor": cursor, "limit": size}
            return self._transport.get(api("lineage", "events"), Page[LineageEvent], query)

        return list(itertools.islice(all_items(page_at), limit))

    def event(self, event_id: str) -> dict[str, Any]:
        """An event as it was sent.

        Raises:
            NotFound: there is none, or you may not see it.
        """
        return self._transport.get(api("lineage", "events", event_id), dict[str, Any])


def _batches(events: Iterable[Mapping[str, Any] | msgspec.Raw]) -> Iterator[list[msgspec.Raw]]:
    """Yield events, encoded, as many at a time as one request takes."""
    some: list[msgspec.Raw] = []
    size_bytes = 0
    for event in events:
        one = msgspec.Raw(msgspec.json.encode(event))
        size_bytes += len(bytes(one))
        if some and (len(some) == _AT_ONCE or size_bytes > _BYTES_AT_ONCE):
            yield some
            some, size_bytes = [], len(bytes(one))
        some.append(one)
    if some:
        yield some


def _query(of: str, way: str, depth: int | None) -> dict[str, str | int | None]:
    return {"of": of, "way": way, "depth": depth}
