"""Where versions come from, and what came of something."""

from __future__ import annotations

from typing import Any

import msgspec

from muniment.client.records import Record
from muniment.client.transport import Transport, api


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


class LineageCalls:
    """Calls about lineage.

    `of` is a version (`NAME@1.2.0`, `NAME@alias`), or `dataset:NAME@VERSION`, `base_model:…`,
    `feature:…`, `commit:…`, `run:…` or `pipeline:…`. `way` is `up` to what it was made from or
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
        """The same as OpenLineage RunEvents, one for each version."""
        path = api("lineage", "openlineage")
        return self._transport.get(path, list[dict[str, Any]], _query(of, way, depth))


def _query(of: str, way: str, depth: int | None) -> dict[str, str | int | None]:
    return {"of": of, "way": way, "depth": depth}
