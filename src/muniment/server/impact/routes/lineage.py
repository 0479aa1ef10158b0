"""Ask where a version comes from, or what came of something: as nodes and links, PROV, OpenLineage."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Final

import msgspec

from muniment.core.errors import BadReference, NotFound
from muniment.core.names import VersionRef
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom
from muniment.server.http.records import Scope, Verb
from muniment.server.impact.reads import lineage as reads
from muniment.server.impact.reads import named
from muniment.server.impact.reads import told as telling
from muniment.server.impact.reads.asking import Sees
from muniment.server.impact.records import Lineage, LinkKind, NodeKind, Way
from muniment.server.impact.rules import exporting
from muniment.server.impact.rules.lineage import read_root
from muniment.server.ports.db import Tx

_DEPTH_DEFAULT: Final = 5
_DEPTH_MAX: Final = 20


class LineageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Of what: a version, or `dataset:`, `base_model:`, `feature:`, `commit:`, `run:`, `job:`, `pipeline:` and a name.

    `way` up is what it was made from, down what was made from it; `depth` is how many links far.
    """

    of: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    way: Way = Way.UP
    depth: Annotated[int, msgspec.Meta(ge=1, le=_DEPTH_MAX)] = _DEPTH_DEFAULT


class NodeBody(msgspec.Struct, frozen=True, kw_only=True):
    """One thing. Of a redacted one the caller may know only that it is there."""

    id: str
    kind: NodeKind
    label: str
    digest: str | None
    about: dict[str, str]
    redacted: bool


class LinkBody(msgspec.Struct, frozen=True, kw_only=True):
    """The node `lower` follows from the node `upper`; `evidence` is provenance that names it."""

    kind: LinkKind
    lower: str
    upper: str
    assurance: str
    evidence: uuid.UUID | None
    signer: str | None


class DanglingBody(msgspec.Struct, frozen=True, kw_only=True):
    """A link that leads nowhere, or to what nobody could recognise again, and what to do."""

    rule: str
    node: str
    message: str
    fix: str


class LineageBody(msgspec.Struct, frozen=True, kw_only=True):
    """A lineage; `root` is a node's id, and nodes are in the order they were reached.

    `deeper`: there may be more beyond `depth`. `wider`: there were more than `nodes_max` nodes.
    """

    of: str
    way: Way
    depth: int
    nodes_max: int
    root: str
    nodes: list[NodeBody]
    links: list[LinkBody]
    findings: list[DanglingBody]
    deeper: bool
    wider: bool


async def _found(call: Call, tx: Tx) -> Lineage:
    query: LineageQuery = call.query
    wanted = read_root(query.of)
    if isinstance(wanted, VersionRef):
        asset = wanted.asset
        call.require(Verb.READ, Scope(str(asset.namespace), str(asset.name)))
        root = await named.find_subject(tx, wanted)
        return await reads.lineage(tx, root, query.way, query.depth, _sees(call))
    return await reads.lineage(tx, wanted, query.way, query.depth, _sees(call))


def _sees(call: Call) -> Sees:
    return lambda scope: call.may(Verb.READ, scope)


async def get_lineage(call: Call, tx: Tx) -> Reply:
    """Say what something was made from or what was made from it, and which links dangle."""
    query: LineageQuery = call.query
    found = await _found(call, tx)
    body = LineageBody(
        of=query.of,
        way=found.way,
        depth=found.depth,
        nodes_max=reads.NODES_MAX,
        root=found.root.id,
        nodes=[
            NodeBody(
                id=one.id, kind=one.kind, label=one.label, digest=one.digest,
                about=dict(one.about), redacted=one.redacted,
            )
            for one in found.nodes
        ],
        links=[
            LinkBody(
                kind=one.kind, lower=one.lower, upper=one.upper,
                assurance="verified" if one.verified else "asserted",
                evidence=one.evidence, signer=one.signer,
            )
            for one in found.links
        ],
        findings=[
            DanglingBody(rule=one.rule, node=one.node, message=one.message, fix=one.fix)
            for one in found.dangling
        ],
        deeper=found.deeper,
        wider=found.wider,
    )  # fmt: skip
    return Reply(body)


async def get_prov(call: Call, tx: Tx) -> Reply:
    """Give a lineage as a PROV-JSON document."""
    return Reply(exporting.prov_json(await _found(call, tx)))


async def get_openlineage(call: Call, tx: Tx) -> Reply:
    """Give a lineage as OpenLineage events: one for each version, and those that were told of runs."""
    found = await _found(call, tx)
    told = await telling.bodies(tx, _sees(call), found.nodes)
    ours = exporting.openlineage(found, call.base_url)
    return Reply([*ours, *(msgspec.Raw(one) for one in told)])


def _operation(rest: str, name: str, summary: str, handler: Any, returns: Any) -> Operation:
    return Operation(
        method="GET",
        path=f"/api/v1/lineage{rest}",
        id=name,
        summary=summary,
        handler=handler,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=LineageQuery,
        returns=returns,
        errors=(BadReference, NotFound),
        tag="lineage",
    )


OPERATIONS: list[Operation] = [
    _operation("", "get_lineage", "What something was made from, or what from it", get_lineage, LineageBody),
    _operation("/prov", "get_lineage_prov", "A lineage as W3C PROV-JSON", get_prov, dict[str, Any]),
    _operation(
        "/openlineage", "get_lineage_openlineage", "A lineage as OpenLineage RunEvents",
        get_openlineage, list[dict[str, Any]],
    ),
]  # fmt: skip
