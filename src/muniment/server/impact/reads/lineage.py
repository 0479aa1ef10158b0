"""Where versions come from and what came of them, level by level: a few statements each level.

Downwards, what may follow from a node is found by an index and then asked what it was made from: a
link down is exactly a link up, so the two ways are each other's inverse.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, LiteralString

import msgspec

from muniment.core.names import (
    NAMESPACE_DEFAULT,
    AssetRef,
)
from muniment.server.http.records import Scope
from muniment.server.impact.reads import named
from muniment.server.impact.records import (
    Dangling,
    Lineage,
    Link,
    LinkKind,
    Node,
    NodeKind,
    Said,
    Subject,
    Way,
)
from muniment.server.impact.rules import lineage as rules
from muniment.server.impact.rules.walking import Walk
from muniment.server.ports.db import Tx

#: The most nodes of one answer.
NODES_MAX: Final = 500
_TRACKING: Final = Scope(NAMESPACE_DEFAULT)


#: Says whether the caller may read in a scope.
Sees = Callable[[Scope], bool]
Found = list[tuple[Link, Node]]


@dataclass
class _Asking:
    """One question: who asks, and what was found wrong on the way."""

    tx: Tx
    sees: Sees
    dangling: dict[tuple[str, str, str], Dangling] = field(default_factory=dict)
    hidden: dict[uuid.UUID, Node] = field(default_factory=dict)
    cut: bool = False

    def note(self, *found: Dangling | None) -> None:
        for one in found:
            if one is not None:
                self.dangling[(one.node, one.rule, one.message)] = one

    def may_read(self, asset: AssetRef) -> bool:
        return self.sees(Scope(str(asset.namespace), str(asset.name)))

    def node(self, one: Subject) -> Node:
        """A version as the caller may see it."""
        if self.may_read(one.asset):
            return rules.version_node(one)
        return self.hidden.setdefault(one.id, rules.redacted(len(self.hidden) + 1))


async def lineage(tx: Tx, root: Subject | Node, way: Way, depth: int, sees: Sees) -> Lineage:
    """Return what `root` was made from (up) or what was made from it (down), within `depth` links.

    What the caller may not read is a redacted node and is not followed.
    """
    asking = _Asking(tx, sees)
    first = root if isinstance(root, Node) else asking.node(root)
    walk = Walk(first, way, depth, NODES_MAX)
    while not walk.over:
        follow = _up if way is Way.UP else _down
        walk.take(await follow(asking, walk.frontier, walk.room + 1))
    followed = {NodeKind.VERSION, NodeKind.RUN}
    deeper = any(node.kind in followed and not node.redacted for node in walk.frontier)
    kept = [one for one in asking.dangling.values() if one.node in walk.nodes]
    if way is Way.DOWN and len(walk.nodes) == 1 and first.kind is not NodeKind.VERSION:
        message = f"nothing you may see names {first.id}"
        kept = [Dangling("not_found", first.id, message, "write it as metadata does: NAME@VERSION")]
    return Lineage(
        first,
        way,
        depth,
        tuple(walk.nodes.values()),
        tuple(walk.links.values()),
        tuple(kept),
        deeper,
        walk.wider or asking.cut,
    )


async def _up(asking: _Asking, frontier: Sequence[Node], room: int) -> Found:  # noqa: ARG001 -- as `_down`
    """Return what the nodes of a level were made from."""
    ids = [uuid.UUID(one.key) for one in _open(frontier, NodeKind.VERSION)]
    subjects = await named.subjects_of(
        asking.tx, named.COLUMNS + " WHERE v.id = ANY($1::uuid[])", ids
    )
    runs = [one.key for one in _open(frontier, NodeKind.RUN)]
    return await _of_versions(asking, subjects) + await _of_runs(asking, runs)


def _open(nodes: Iterable[Node], kind: NodeKind) -> list[Node]:
    return [one for one in nodes if one.kind is kind and not one.redacted]


async def _of_versions(asking: _Asking, subjects: Sequence[Subject]) -> Found:
    """Return each version's links to what it was made from."""
    told = [(one, rules.said_by(one)) for one in subjects]
    every = [said for _, each in told for said in each]
    here = await named.versions_named(asking.tx, every)
    runs = await _runs(asking, [one.node.key for one in every if one.node.kind is NodeKind.RUN])
    found: Found = []
    for subject, each in told:
        lower = asking.node(subject)
        if not each:
            asking.note(rules.nothing_named(lower))
        for said in each:
            for upper in _uppers(asking, said, here, runs):
                if upper.id != lower.id:
                    found.append((_link(said, lower, upper), upper))
    return found


def _link(said: Said, lower: Node, upper: Node) -> Link:
    evidence = None if lower.redacted else said.evidence
    signer = None if lower.redacted else said.signer
    return Link(said.kind, lower.id, upper.id, said.verified, evidence, signer)


def _uppers(asking: _Asking, said: Said, here: named.Here, runs: dict[str, Node]) -> list[Node]:
    """Return what one thing named is here: versions, a run, or the thing as it was named."""
    node, ref = said.node, said.reference
    if node.kind is NodeKind.RUN:
        if node.key not in runs:
            asking.note(rules.not_found(node, None))
        return [runs.get(node.key, node)]
    found = here.named.get(named.key_of(ref)) if ref is not None else None
    if found is not None and asking.may_read(found.asset):
        upper = rules.version_node(found)
        asking.note(rules.other_digest(upper, node))
        return [upper]
    if said.must and ref is not None and not asking.may_read(ref.asset):
        # Whether it is there or not, and under two names or one: who may not read learns nothing.
        key = uuid.uuid5(uuid.NAMESPACE_OID, named.key_of(ref))
        return [asking.hidden.setdefault(key, rules.redacted(len(asking.hidden) + 1))]
    same = [
        rules.version_node(one)
        for one in here.digests.get(node.digest or "", ())
        if asking.may_read(one.asset)
    ]
    if not same:
        asking.note(rules.not_found(node, ref) if said.must else rules.dangling(node))
    return same or [node]


async def _runs(asking: _Asking, ids: Sequence[str]) -> dict[str, Node]:
    """Return those runs that are tracked here, if the caller may read runs."""
    return await named.tracked_runs(asking.tx, ids) if asking.sees(_TRACKING) else {}


async def _of_runs(asking: _Asking, ids: Sequence[str]) -> Found:
    """Return each tracked run's links to the datasets it used."""
    if not ids or not asking.sees(_TRACKING):
        return []
    rows = await asking.tx.fetch(
        "SELECT r.id, r.inputs::text AS inputs FROM tracking_run r WHERE r.id = ANY($1::text[])",
        list(ids),
    )
    found: Found = []
    for row in rows:
        for said in rules.said_by_run(msgspec.json.decode(row["inputs"])):
            asking.note(rules.dangling(said.node))
            found.append((Link(said.kind, f"run:{row['id']}", said.node.id), said.node))
    return found


async def _down(asking: _Asking, frontier: Sequence[Node], room: int) -> Found:
    """Return what was made from the nodes of a level, and where its versions are deployed."""
    seen = [one for one in frontier if not one.redacted]
    wanted = await _terms_of(asking, seen)
    subjects = await named.subjects_of(asking.tx, _CANDIDATES, *wanted, room) if any(wanted) else []
    runs = await _runs_using(asking, _open(seen, NodeKind.DATASET), room)
    asking.cut |= room in {len(subjects), len(runs)}
    quiet = replace(asking, dangling={})  # what else they were made from is not asked
    links = await _of_versions(quiet, subjects) + await _of_runs(quiet, list(runs))
    lower = {quiet.node(one).id: quiet.node(one) for one in subjects}
    lower |= {one.id: one for one in runs.values()}
    found: Found = []
    for link, upper in links:
        same = [one for one in seen if upper.is_also(one)]
        found += [(replace(link, upper=one.id), lower[link.lower]) for one in same]
    return found + await _deployed(asking, [one.key for one in _open(seen, NodeKind.VERSION)])


_CANDIDATES: Final[LiteralString] = (
    named.COLUMNS  # noqa: S608 -- columns only
    + """
    WHERE v.id IN (
        SELECT l.version_id FROM version_label l WHERE l.terms && $1::text[]
        UNION SELECT x.id FROM version x
              WHERE x.metadata ? 'derived_from' AND x.metadata->'derived_from' ?| $2::text[]
        UNION SELECT x.id FROM unnest($3::text[]::jsonb[]) AS w(wanted)
              JOIN version x ON x.metadata ? 'features' AND x.metadata->'features' @> w.wanted
    ) ORDER BY v.id DESC LIMIT $4"""
)


async def _terms_of(
    asking: _Asking, seen: Sequence[Node]
) -> tuple[list[str], list[str], list[str]]:
    """Return the terms, references and features by which what follows from nodes is found."""
    ids = [uuid.UUID(one.key) for one in _open(seen, NodeKind.VERSION)]
    terms, derived, features = [], [], []
    for one in (
        await asking.tx.fetch(named.COLUMNS + " WHERE v.id = ANY($1::uuid[])", ids) if ids else ()
    ):
        subject = named.subject_of(one)
        names = rules.names_of(subject.assets, subject.version, subject.number)
        derived += names
        terms += [f"base_model:{name}" for name in (*names, subject.manifest)]
    for node in seen:
        if node.kind in _TERMS:
            parts = {node.key, node.key.partition("#")[0], node.key.rpartition("#")[2]}
            terms += [f"{node.kind.value}:{part}" for part in sorted(parts)]
        elif node.kind is NodeKind.FEATURE:
            called = {node.key, node.key.partition("@")[0], node.key.partition("#")[0]}
            features += [_one_feature(name) for name in sorted(called)]
    return terms, derived, features


def _one_feature(name: str) -> str:
    return msgspec.json.encode([{"name": name}]).decode()


_TERMS: Final = frozenset(
    {NodeKind.DATASET, NodeKind.BASE_MODEL, NodeKind.COMMIT, NodeKind.RUN, NodeKind.PIPELINE}
)


async def _runs_using(asking: _Asking, datasets: Sequence[Node], room: int) -> dict[str, Node]:
    """Return the runs tracked here that used datasets, by their id."""
    if not datasets or not asking.sees(_TRACKING):
        return {}
    names = {name for one in datasets for name in (one.key, one.key.partition("#")[0])}
    wanted = [[{"dataset": {"name": name}}] for name in sorted(names)]
    rows = await asking.tx.fetch(
        """
        SELECT DISTINCT r.id FROM unnest($1::text[]::jsonb[]) AS w(wanted)
        JOIN tracking_run r ON r.inputs <> '[]' AND r.inputs @> w.wanted ORDER BY r.id LIMIT $2
        """,
        [msgspec.json.encode(each).decode() for each in wanted],
        room,
    )
    return await _runs(asking, [row["id"] for row in rows])


async def _deployed(asking: _Asking, ids: Sequence[str]) -> Found:
    """Return where versions are deployed now."""
    if not ids:
        return []
    rows = await asking.tx.fetch(
        """
        SELECT d.id, d.version_id, d.environment, d.alias, d.mode, d.since FROM deployment d
        WHERE d.version_id = ANY($1::uuid[]) AND d.ended_at IS NULL ORDER BY d.since, d.id
        """,
        [uuid.UUID(one) for one in ids],
    )
    found: Found = []
    for row in rows:
        about = {"mode": row["mode"], "since": row["since"].isoformat()}
        about |= {"alias": row["alias"]} if row["alias"] else {}
        node = Node(NodeKind.DEPLOYMENT, str(row["id"]), row["environment"], None, about)
        found.append((Link(LinkKind.DEPLOYS, node.id, f"version:{row['version_id']}"), node))
    return found
