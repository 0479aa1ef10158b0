"""Where versions come from and what came of them, level by level: a few statements each level.

Downwards, what may follow from a node is found by an index and then asked what it was made from: a
link down is exactly a link up, so the two ways are each other's inverse.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final, LiteralString

import msgspec

from muniment.server.impact.reads import named, told
from muniment.server.impact.reads.asking import (
    TRACKING,
    Asking,
    Found,
    Sees,
    link_of,
    open_of,
    uppers,
)
from muniment.server.impact.reads.consumers import consumers
from muniment.server.impact.records import (
    Dangling,
    Lineage,
    Link,
    LinkKind,
    Node,
    NodeKind,
    Subject,
    Way,
)
from muniment.server.impact.rules import lineage as rules
from muniment.server.impact.rules import told as telling
from muniment.server.impact.rules.walking import Walk
from muniment.server.ports.db import Tx

#: The most nodes of one answer.
NODES_MAX: Final = 500


async def lineage(tx: Tx, root: Subject | Node, way: Way, depth: int, sees: Sees) -> Lineage:
    """Return what `root` was made from (up) or what was made from it (down), within `depth` links.

    What the caller may not read is a redacted node and is not followed.
    """
    asking = Asking(tx, sees)
    first = root if isinstance(root, Node) else asking.node(root)
    walk = Walk(first, way, depth, NODES_MAX)
    while not walk.over:
        follow = _up if way is Way.UP else _down
        walk.take(await follow(asking, walk.frontier, walk.room + 1))
    followed = {NodeKind.VERSION, NodeKind.RUN, NodeKind.JOB}
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


async def _up(asking: Asking, frontier: Sequence[Node], room: int) -> Found:
    """Return what the nodes of a level were made from."""
    subjects = await _versions_of(asking, frontier)
    runs = [one.key for one in open_of(frontier, NodeKind.RUN)]
    made_by = await told.made_by(asking, subjects, frontier, room)
    explained = {link.lower for link, _ in made_by}
    return [
        *await _of_versions(asking, subjects, explained),
        *await _of_runs(asking, runs),
        *await told.made_from(asking, frontier),
        *made_by,
    ]


async def _versions_of(asking: Asking, frontier: Sequence[Node]) -> list[Subject]:
    """Return the versions of a level."""
    ids = [uuid.UUID(one.key) for one in open_of(frontier, NodeKind.VERSION)]
    if not ids:
        return []
    return await named.subjects_of(asking.tx, named.COLUMNS + " WHERE v.id = ANY($1::uuid[])", ids)


async def _of_versions(
    asking: Asking, subjects: Sequence[Subject], explained: Collection[str] = ()
) -> Found:
    """Return each version's links to what it was made from; of the `explained`, events tell that too."""
    said_by = [(one, rules.said_by(one)) for one in subjects]
    every = [said for _, each in said_by for said in each]
    here = await named.versions_named(asking.tx, every)
    runs = await _runs(asking, [one.node.key for one in every if one.node.kind is NodeKind.RUN])
    found: Found = []
    for subject, each in said_by:
        lower = asking.node(subject)
        if not each and lower.id not in explained:
            asking.note(rules.nothing_named(lower))
        for said in each:
            for upper in uppers(asking, said, here, runs):
                if upper.id != lower.id:
                    found.append((link_of(said, lower, upper), upper))
    return found


async def _runs(asking: Asking, ids: Sequence[str]) -> dict[str, Node]:
    """Return those runs that are tracked here or told of, if the caller may read runs."""
    if not ids or not asking.sees(TRACKING):
        return {}
    return await told.run_nodes(asking, ids) | await named.tracked_runs(asking.tx, ids)


async def _of_runs(asking: Asking, ids: Sequence[str]) -> Found:
    """Return each tracked run's links to the datasets it used."""
    if not ids or not asking.sees(TRACKING):
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


async def _down(asking: Asking, frontier: Sequence[Node], room: int) -> Found:
    """Return what was made from the nodes of a level, where its versions are deployed, and who uses them."""
    seen = [one for one in frontier if not one.redacted]
    wanted = await _terms_of(asking, seen)
    subjects = await named.subjects_of(asking.tx, _CANDIDATES, *wanted, room) if any(wanted) else []
    runs = await _runs_using(asking, open_of(seen, NodeKind.DATASET), room)
    asking.cut |= room in {len(subjects), len(runs)}
    quiet = replace(asking, dangling={})  # what else they were made from is not asked
    links = await _of_versions(quiet, subjects) + await _of_runs(quiet, list(runs))
    lower = {quiet.node(one).id: quiet.node(one) for one in subjects}
    lower |= {one.id: one for one in runs.values()}
    found: Found = []
    for link, upper in links:
        same = [one for one in seen if _is(upper, one)]
        found += [(replace(link, upper=one.id), lower[link.lower]) for one in same]
    found += await told.made_with(asking, await _versions_of(asking, seen), seen, room)
    ids = [one.key for one in open_of(seen, NodeKind.VERSION)]
    return found + await _deployed(asking, ids) + await consumers(asking, ids, room)


def _is(upper: Node, one: Node) -> bool:
    """Say whether something named is a node of the level; of what events name, as `telling.same` says."""
    return upper.is_also(one) or (bool(one.names) and telling.same(upper, one))


_CANDIDATES: Final[LiteralString] = (
    named.COLUMNS  # noqa: S608 -- columns only
    + """
    WHERE v.id IN (
        SELECT l.version_id FROM version_label l WHERE l.terms && $1::text[]
        UNION SELECT x.id FROM version x
              WHERE x.metadata ? 'derived_from' AND x.metadata->'derived_from' ?| $2::text[]
        UNION SELECT x.id FROM unnest($3::text[]::jsonb[]) AS w(wanted)
              JOIN version x ON x.metadata ? 'features' AND x.metadata->'features' @> w.wanted
        UNION SELECT x.id FROM unnest($4::text[]::jsonb[]) AS w(wanted)
              JOIN version x ON x.metadata @? '$.training_datasets[*].uri'
                            AND x.metadata->'training_datasets' @> w.wanted
        UNION SELECT x.id FROM unnest($4::text[]::jsonb[]) AS w(wanted)
              JOIN version x ON x.metadata @? '$.evaluation_datasets[*].uri'
                            AND x.metadata->'evaluation_datasets' @> w.wanted
    ) ORDER BY v.id DESC LIMIT $5"""
)


async def _terms_of(
    asking: Asking, seen: Sequence[Node]
) -> tuple[list[str], list[str], list[str], list[str]]:
    """Return the terms, references, features and places by which what follows from nodes is found."""
    ids = [uuid.UUID(one.key) for one in open_of(seen, NodeKind.VERSION)]
    terms, derived, features, kept_at = [], [], [], []
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
            parts |= node.names
            terms += [f"{node.kind.value}:{part}" for part in sorted(parts)]
            uris = sorted(node.names) if node.kind is NodeKind.DATASET else []
            kept_at += [_one("uri", uri) for each in uris for uri in (each, f"{each}/")]
        elif node.kind is NodeKind.FEATURE:
            called = {node.key, node.key.partition("@")[0], node.key.partition("#")[0]}
            features += [_one("name", name) for name in sorted(called | node.names)]
    return terms, derived, features, kept_at


def _one(member: str, text: str) -> str:
    return msgspec.json.encode([{member: text}]).decode()


_TERMS: Final = frozenset(
    {NodeKind.DATASET, NodeKind.BASE_MODEL, NodeKind.COMMIT, NodeKind.RUN, NodeKind.PIPELINE}
)


async def _runs_using(asking: Asking, datasets: Sequence[Node], room: int) -> dict[str, Node]:
    """Return the runs tracked here that used datasets, by their id."""
    if not datasets or not asking.sees(TRACKING):
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


async def _deployed(asking: Asking, ids: Sequence[str]) -> Found:
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
