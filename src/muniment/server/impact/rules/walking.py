"""How far a lineage is followed: each node once, level by level, within a depth and a number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from muniment.server.impact.records import Link, Node, Way


@dataclass
class Walk:
    """A lineage being followed. `frontier` are the nodes to follow next; none left, it is over."""

    root: Node
    way: Way
    depth: int
    most: int
    nodes: dict[str, Node] = field(default_factory=dict)
    links: dict[tuple[str, str, str], Link] = field(default_factory=dict)
    frontier: list[Node] = field(default_factory=list)
    level: int = 0
    deeper: bool = False
    wider: bool = False

    def __post_init__(self) -> None:
        """Begin at the root."""
        self.nodes[self.root.id] = self.root
        self.frontier = [self.root]

    @property
    def over(self) -> bool:
        """Whether there is nothing left to follow, or not so far."""
        return not self.frontier or self.level >= self.depth

    @property
    def room(self) -> int:
        """How many more nodes are taken."""
        return self.most - len(self.nodes)

    def take(self, found: Iterable[tuple[Link, Node]]) -> None:
        """Take what the frontier leads to; what is new is the next frontier.

        A node beyond `most` is left out together with its link, and `wider` says so.
        """
        new: list[Node] = []
        for link, node in found:
            if node.id not in self.nodes:
                if self.room <= 0:
                    self.wider = True
                    continue
                self.nodes[node.id] = node
                new.append(node)
            self.links.setdefault((link.kind.value, link.lower, link.upper), link)
        self.frontier = new
        self.level += 1
