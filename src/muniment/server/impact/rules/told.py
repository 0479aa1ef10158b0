"""What events tell, as nodes and links: which datasets are the same, what a run used and made.

1. All events about a run count together. Whoever told of it is named; nobody vouches for it.
2. Two datasets are the same if they have one digest; or one name (or where one is kept is the other's
   name), and neither digest nor version says otherwise.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from muniment.core.names import VersionRef
from muniment.server.impact.records import (
    Dangling,
    LinkKind,
    Maker,
    Material,
    Node,
    NodeKind,
    Said,
    Subject,
)
from muniment.server.impact.rules.lineage import names_of, reference_node

#: What events may name as a dataset.
MATERIALS: Final = frozenset({NodeKind.DATASET, NodeKind.BASE_MODEL, NodeKind.FEATURE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Events about one maker that name the same: `state` is the last one's type."""

    maker: str
    job: str | None
    state: str | None
    first: dt.datetime
    last: dt.datetime
    producer: str
    told_by: str
    parent_run: str | None
    commit: str | None
    repository: str | None
    inputs: Sequence[Material]
    outputs: Sequence[Material]


def makers_of(parts: Iterable[Part]) -> dict[str, Maker]:
    """Return what parts (in order of their last event) tell of each maker, by the id of its node."""
    by_maker: dict[str, list[Part]] = {}
    for part in parts:
        by_maker.setdefault(part.maker, []).append(part)
    return {maker: _maker(maker, told) for maker, told in by_maker.items()}


def _maker(maker: str, told: Sequence[Part]) -> Maker:
    kind, _, key = maker.partition(":")
    jobs = {part.job: None for part in told if part.job}
    commits = {part.commit: part.repository for part in told if part.commit}
    job = next(iter(jobs), None)
    about = _about(told) | ({"job": job} if job and kind == NodeKind.RUN.value else {})
    node = Node(NodeKind(kind), key, _label(kind, key, job), None, about, frozenset({key}))
    return Maker(
        node,
        job_node(job) if job and kind == NodeKind.RUN.value else None,
        tuple(_commit(commit, repository) for commit, repository in commits.items()),
        tuple({one: None for part in told for one in part.inputs}),
        tuple({one: None for part in told for one in part.outputs}),
    )


def _label(kind: str, key: str, job: str | None) -> str:
    return f"{job} {key}" if job and kind == NodeKind.RUN.value else key


def _about(told: Sequence[Part]) -> dict[str, str]:
    last = told[-1]
    said = {
        "status": last.state or "",
        "first_event_at": min(part.first for part in told).isoformat(),
        "last_event_at": last.last.isoformat(),
        "producer": ", ".join(sorted({part.producer for part in told})[:5]),
        "told_by": ", ".join(sorted({part.told_by for part in told})[:5]),
        "parent_run": last.parent_run or "",
    }
    return {name: text for name, text in said.items() if text}


def job_node(name: str) -> Node:
    """Return a job as a node."""
    return Node(NodeKind.JOB, name, name, None, {}, frozenset({name}))


def _commit(commit: str, repository: str | None) -> Node:
    about = {"repository": repository} if repository else {}
    return Node(NodeKind.COMMIT, commit, commit, f"git:{commit}", about, frozenset({commit}))


def node_of(one: Material) -> Node:
    """Return what an event names as a node; a version of this registry as it is named."""
    kind = NodeKind.BASE_MODEL if one.kind is NodeKind.VERSION else one.kind
    parts: Mapping[str, Any] = {"name": one.name, "version": one.version, "digest": one.digest}
    node = reference_node(kind, {name: text for name, text in parts.items() if text is not None})
    names = frozenset({one.name, *one.also})
    called = frozenset(one.called)
    return Node(
        kind, node.key, node.label, node.digest, {"told": "event"}, called, names=names,
        version=one.version,
    )  # fmt: skip


def said_of(kind: LinkKind, one: Material) -> Said:
    """Return what a run says of something it used or made; nobody vouches for it."""
    if one.kind is not NodeKind.VERSION:
        return Said(kind, node_of(one))
    return Said(kind, node_of(one), VersionRef.parse(f"{one.name}@{one.version}"), must=True)


def same(one: Node, other: Node) -> bool:
    """Say whether two nodes may be one thing, as far as their names, versions and digests tell."""
    if one.kind is not other.kind or one.redacted or other.redacted:
        return False
    if one.is_also(other) or other.is_also(one):
        return True
    if one.digest and other.digest:
        if one.digest == other.digest:
            return True
        if one.digest.partition(":")[0] == other.digest.partition(":")[0]:
            return False
    if one.version is not None and other.version is not None and one.version != other.version:
        return False
    return not one.names.isdisjoint(other.names)


def is_version(one: Material, subject: Subject) -> bool:
    """Say whether an event names a version."""
    names = names_of(subject.assets, subject.version, subject.number)
    return one.kind is NodeKind.VERSION and f"{one.name}@{one.version}" in names


def names_to_find(node: Node) -> set[str]:
    """Return the names by which events may name a node."""
    parts = {node.key, node.key.partition("#")[0], node.key.rpartition("#")[2]}
    return parts | node.called | node.names


def loose(node: Node) -> Dangling | None:
    """Return the finding of a dataset that an event names by nothing but its name."""
    if node.digest or node.version:
        return None
    return Dangling(
        "no_digest",
        node.id,
        f"a run names the {node.kind.value.replace('_', ' ')} {node.label} without version or digest",
        "have its producer send the facet `version`",
    )
