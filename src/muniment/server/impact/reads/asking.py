"""One question about lineage: who asks, what they may see, what was found wrong on the way."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from muniment.core.names import NAMESPACE_DEFAULT, AssetRef
from muniment.server.http.records import Scope
from muniment.server.impact.reads import named
from muniment.server.impact.records import Dangling, Link, Node, NodeKind, Said, Subject
from muniment.server.impact.rules import lineage as rules
from muniment.server.ports.db import Tx

#: Where runs, and what is told of them, belong.
TRACKING: Final = Scope(NAMESPACE_DEFAULT)

#: Says whether the caller may read in a scope.
Sees = Callable[[Scope], bool]
Found = list[tuple[Link, Node]]


@dataclass
class Asking:
    """One question: who asks, and what was found wrong on the way."""

    tx: Tx
    sees: Sees
    dangling: dict[tuple[str, str, str], Dangling] = field(default_factory=dict)
    hidden: dict[uuid.UUID, Node] = field(default_factory=dict)
    cut: bool = False

    def note(self, *found: Dangling | None) -> None:
        """Keep what dangles."""
        for one in found:
            if one is not None:
                self.dangling[(one.node, one.rule, one.message)] = one

    def may_read(self, asset: AssetRef) -> bool:
        """Say whether the caller may read an asset."""
        return self.sees(Scope(str(asset.namespace), str(asset.name)))

    def node(self, one: Subject) -> Node:
        """A version as the caller may see it."""
        if self.may_read(one.asset):
            return rules.version_node(one)
        return self.hidden.setdefault(one.id, rules.redacted(len(self.hidden) + 1))


def open_of(nodes: Iterable[Node], *kinds: NodeKind) -> list[Node]:
    """Return those nodes of some kinds that the caller may see."""
    return [one for one in nodes if one.kind in kinds and not one.redacted]


def link_of(said: Said, lower: Node, upper: Node) -> Link:
    """Return what was said as a link; of a redacted node not who vouches."""
    evidence = None if lower.redacted else said.evidence
    signer = None if lower.redacted else said.signer
    return Link(said.kind, lower.id, upper.id, said.verified, evidence, signer)


def uppers(asking: Asking, said: Said, here: named.Here, runs: Mapping[str, Node]) -> list[Node]:
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
