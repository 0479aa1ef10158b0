"""What contains something, or was made of it: by vulnerability, package, digest, dataset."""

from __future__ import annotations

from typing import Any

import msgspec

from muniment.client.records import Record
from muniment.client.transport import Transport, api


class Reached(Record, frozen=True, kw_only=True):
    """A version, every path (steps with `kind`, `name`, `id`) to what was asked, and where it is.

    `consumers` (`id`, `system`, `endpoint`, `use_case`, `environment`) are the first of its users.
    Of a vulnerability `open` says whether it still matters there, VEX considered.
    """

    version: str
    version_id: str = ""
    aliases: list[str] = msgspec.field(default_factory=list)
    deployments: list[dict[str, Any]] = msgspec.field(default_factory=list)
    consumer_count: int = 0
    consumers: list[dict[str, Any]] = msgspec.field(default_factory=list)
    paths: list[list[dict[str, str]]] = msgspec.field(default_factory=list)
    open: bool | None = None


class Containing(Record, frozen=True, kw_only=True):
    """A composite that leads to what was asked about, by what it contains or its own evidence."""

    cvi: str
    system: str = ""
    namespace: str = "default"
    paths: list[list[dict[str, str]]] = msgspec.field(default_factory=list)


class Impact(Record, frozen=True, kw_only=True):
    """What a question leads to; `known` false: nobody there ever heard of it."""

    what: str
    about: str
    known: bool
    names: list[str] = msgspec.field(default_factory=list)
    version_count: int = 0
    deployment_count: int = 0
    consumer_count: int = 0
    items: list[Reached] = msgspec.field(default_factory=list)
    composites: list[Containing] = msgspec.field(default_factory=list)
    more_composites: bool = False
    next_cursor: str | None = None


def impact_of(transport: Transport, what: str, *, limit: int | None = None) -> Impact:
    """Return what `what` leads to: every version, or the newest `limit`."""
    found: Impact | None = None
    items: list[Reached] = []
    cursor: str | None = None
    while found is None or (cursor is not None and (limit is None or len(items) < limit)):
        size = 500 if limit is None else min(500, limit - len(items))
        query: dict[str, str | int | None] = {"what": what, "limit": size, "cursor": cursor}
        found = transport.get(api("impact"), Impact, query)
        items += found.items
        cursor = found.next_cursor
    return msgspec.structs.replace(found, items=items)
