"""What events tell of runs and jobs, both ways, and of versions and datasets as they name them.

Whoever may read runs may read what is told of them. Versions that events name are redacted for who
may not read those.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, LiteralString

from muniment.core.names import AssetRef
from muniment.server.http.records import Scope
from muniment.server.impact.reads import named
from muniment.server.impact.reads.asking import (
    TRACKING,
    Asking,
    Found,
    Sees,
    link_of,
    open_of,
    uppers,
)
from muniment.server.impact.records import (
    Link,
    LinkKind,
    Maker,
    Material,
    Node,
    NodeKind,
    Said,
    Subject,
)
from muniment.server.impact.rules import lineage, told
from muniment.server.impact.store import materials_of
from muniment.server.ports.db import Row, Tx

#: The most groups of events that name the same, in one level.
PARTS_MAX: Final = 300
_PARTS: Final[LiteralString] = """
    SELECT e.maker, e.job, e.inputs::text AS inputs, e.outputs::text AS outputs, e.code_commit,
           e.repository, e.producer, e.parent_run, e.actor_kind, e.actor_id,
           min(e.event_time) AS first, max(e.event_time) AS last,
           (array_agg(e.event_type ORDER BY e.event_time DESC, e.id DESC))[1] AS state,
           (array_agg(e.id ORDER BY e.event_time DESC, e.id DESC))[1] AS newest
    FROM lineage_event e WHERE e.maker = ANY($1::text[]) AND e.kind <> 'dataset'
    GROUP BY e.maker, e.job, e.inputs, e.outputs, e.code_commit, e.repository, e.producer,
             e.parent_run, e.actor_kind, e.actor_id
    ORDER BY last DESC, newest DESC LIMIT $2"""
_USERS: Final[LiteralString] = """
    SELECT DISTINCT e.maker FROM lineage_event e WHERE e.input_names && $1::text[]
    ORDER BY e.maker LIMIT $2"""
_MAKERS: Final[LiteralString] = """
    SELECT DISTINCT e.maker FROM lineage_event e WHERE e.output_names && $1::text[]
    ORDER BY e.maker LIMIT $2"""
_OF_JOBS: Final[LiteralString] = """
    SELECT DISTINCT e.maker FROM lineage_event e
    WHERE (e.job = ANY($1::text[]) AND e.kind = 'run') OR e.code_commit = ANY($2::text[])
    ORDER BY e.maker LIMIT $3"""


async def makers(asking: Asking, ids: Iterable[str]) -> dict[str, Maker]:
    """Return what is told of runs and jobs, by the id of their node; nothing of those unheard of."""
    wanted = sorted(set(ids))
    if not wanted or not asking.sees(TRACKING):
        return {}
    rows = await asking.tx.fetch(_PARTS, wanted, PARTS_MAX)
    asking.cut |= len(rows) == PARTS_MAX
    return told.makers_of(_part(row) for row in reversed(rows))


def _part(row: Row) -> told.Part:
    return told.Part(
        maker=row["maker"],
        job=row["job"],
        state=row["state"],
        first=row["first"],
        last=row["last"],
        producer=row["producer"],
        told_by=f"{row['actor_kind']}:{row['actor_id']}",
        parent_run=row["parent_run"],
        commit=row["code_commit"],
        repository=row["repository"],
        inputs=materials_of(row["inputs"]),
        outputs=materials_of(row["outputs"]),
    )


async def run_nodes(asking: Asking, ids: Sequence[str]) -> dict[str, Node]:
    """Return those runs that events tell of, by their id."""
    found = await makers(asking, [f"run:{one}" for one in ids])
    return {one.node.key: one.node for one in found.values()}


async def _naming(
    asking: Asking, sql: LiteralString, names: Iterable[str], room: int
) -> dict[str, Maker]:
    """Return the runs and jobs whose events name something by one of `names`."""
    wanted = sorted(set(names))
    if not wanted or not asking.sees(TRACKING):
        return {}
    rows = await asking.tx.fetch(sql, wanted, room)
    asking.cut |= len(rows) == room
    return await makers(asking, [row["maker"] for row in rows])


# --- up ------------------------------------------------------------------------------------------


async def made_from(asking: Asking, frontier: Sequence[Node]) -> Found:
    """Return what runs and jobs of a level used, and which code and job runs are of."""
    wanted = [one.id for one in open_of(frontier, NodeKind.RUN, NodeKind.JOB)]
    found: Found = []
    for maker in (await makers(asking, wanted)).values():
        more = [(LinkKind.EXECUTES, maker.job)] if maker.job is not None else []
        for kind, node in [*more, *((LinkKind.BUILT_FROM, one) for one in maker.commits)]:
            found.append((Link(kind, maker.node.id, node.id), node))
        found += await _ends(asking, maker, LinkKind.USED, maker.inputs)
    return found


async def _ends(
    asking: Asking, maker: Maker, kind: LinkKind, materials: Sequence[Material]
) -> Found:
    """Return a maker's links to what it used or, the other way round, from what it made."""
    every = [told.said_of(kind, one) for one in materials]
    here = await named.versions_named(asking.tx, every)
    found: Found = []
    for said in every:
        for node in _nodes(asking, said, here):
            used = kind is LinkKind.USED
            lower, upper = (maker.node, node) if used else (node, maker.node)
            found.append((link_of(said, lower, upper), node))
    return found


def _nodes(asking: Asking, said: Said, here: named.Here) -> list[Node]:
    if said.must or said.node.kind is NodeKind.BASE_MODEL:
        return uppers(asking, said, here, {})
    asking.note(told.loose(said.node))
    return [said.node]


async def made_by(
    asking: Asking, subjects: Sequence[Subject], frontier: Sequence[Node], room: int
) -> Found:
    """Return the runs and jobs that made what is in a level: `subjects` are its versions."""
    naming = _named_by(asking, subjects, frontier)
    found: Found = []
    names = (name for _, names in naming for name in names)
    for maker in (await _naming(asking, _MAKERS, names, room)).values():
        for node, _ in naming:
            if any(_is(asking, one, node, subjects) for one in maker.outputs):
                found.append((Link(LinkKind.MADE_BY, node.id, maker.node.id), maker.node))
    return found


def _named_by(
    asking: Asking, subjects: Sequence[Subject], frontier: Sequence[Node]
) -> list[tuple[Node, set[str]]]:
    """Return the versions and datasets of a level with the names by which events name them."""
    versions = [
        (
            asking.node(one),
            set(lineage.names_of(one.assets, one.version, one.number)),
        )
        for one in subjects
    ]
    datasets = [(one, told.names_to_find(one)) for one in open_of(frontier, *told.MATERIALS)]
    return [*versions, *datasets]


def _is(asking: Asking, one: Material, node: Node, subjects: Sequence[Subject]) -> bool:
    """Say whether an event's material is a node of the level."""
    if one.kind is not NodeKind.VERSION:
        return told.same(told.node_of(one), node)
    for subject in subjects:
        if node.key == str(subject.id) and told.is_version(one, subject):
            asking.note(lineage.other_digest(node, told.node_of(one)))
            return True
    return False


# --- down ----------------------------------------------------------------------------------------


async def made_with(
    asking: Asking, subjects: Sequence[Subject], frontier: Sequence[Node], room: int
) -> Found:
    """Return the runs and jobs that used what is in a level, and what those of the level made."""
    naming = _named_by(asking, subjects, frontier)
    found: Found = []
    names = (name for _, names in naming for name in names)
    for maker in (await _naming(asking, _USERS, names, room)).values():
        for node, _ in naming:
            if any(_is(asking, one, node, subjects) for one in maker.inputs):
                found.append((Link(LinkKind.USED, maker.node.id, node.id), maker.node))
    found += await _executing(asking, frontier, room)
    wanted = [one.id for one in open_of(frontier, NodeKind.RUN, NodeKind.JOB)]
    for maker in (await makers(asking, wanted)).values():
        found += await _ends(asking, maker, LinkKind.MADE_BY, maker.outputs)
    return found


async def _executing(asking: Asking, frontier: Sequence[Node], room: int) -> Found:
    """Return the runs of jobs, and the runs and jobs of commits, of a level."""
    jobs = {one.key: one for one in open_of(frontier, NodeKind.JOB)}
    commits = {one.key: one for one in open_of(frontier, NodeKind.COMMIT)}
    if not (jobs or commits) or not asking.sees(TRACKING):
        return []
    rows = await asking.tx.fetch(_OF_JOBS, list(jobs), list(commits), room)
    asking.cut |= len(rows) == room
    found: Found = []
    for maker in (await makers(asking, [row["maker"] for row in rows])).values():
        if maker.job is not None and maker.job.key in jobs:
            found.append((Link(LinkKind.EXECUTES, maker.node.id, maker.job.id), maker.node))
        for one in maker.commits:
            if one.key in commits:
                found.append((Link(LinkKind.BUILT_FROM, maker.node.id, one.id), maker.node))
    return found


# --- events themselves ---------------------------------------------------------------------------

_BODIES: Final[LiteralString] = """
    SELECT e.body, e.inputs::text AS inputs, e.outputs::text AS outputs FROM lineage_event e
    WHERE e.maker = ANY($1::text[]) ORDER BY e.event_time, e.id LIMIT $2"""
#: The most events that are given out again in one answer, and the most bytes of them.
BODIES_MAX: Final = 500
BODIES_MAX_BYTES: Final = 8 << 20


async def bodies(tx: Tx, sees: Sees, nodes: Iterable[Node]) -> list[bytes]:
    """Return the events about the runs and jobs among `nodes`, as they were sent, by their time.

    Left out are those that name versions the caller may not read; and, where a version of the same
    id is among `nodes`, events about its registration: that is told anyway.
    """
    every = list(nodes)
    versions = {one.key for one in open_of(every, NodeKind.VERSION)}
    wanted = [
        one.id for one in open_of(every, NodeKind.RUN, NodeKind.JOB) if one.key not in versions
    ]
    if not wanted or not sees(TRACKING):
        return []
    found: list[bytes] = []
    size_bytes = 0
    for row in await tx.fetch(_BODIES, wanted, BODIES_MAX):
        named_here = (*materials_of(row["inputs"]), *materials_of(row["outputs"]))
        size_bytes += len(row["body"])
        if size_bytes > BODIES_MAX_BYTES:
            break
        if all(_may_read(sees, one) for one in named_here):
            found.append(bytes(row["body"]))
    return found


def _may_read(sees: Sees, one: Material) -> bool:
    if one.kind is not NodeKind.VERSION:
        return True
    asset = AssetRef.parse(one.name)
    return sees(Scope(str(asset.namespace), str(asset.name)))
