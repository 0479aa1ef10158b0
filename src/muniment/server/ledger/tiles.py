"""What a batch of leaves changes in the tiles, and how tiles held as rows are read for proofs.

All pure: tiles come in and go out as bytes. Held tiles are known by (level, index) and may be wider
than a question needs: tiles only grow, so what a smaller tree had is their beginning.

Source: C2SP tlog-tiles; RFC 6962 §2.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from muniment.core import merkle
from muniment.core.errors import LogInconsistent
from muniment.core.merkle import HASH_BYTES, TILE_HEIGHT, TILE_WIDTH, Hash, Subtree, Tile

#: Tiles by (level, index).
Held = Mapping[tuple[int, int], bytes]

_FULL_BYTES = TILE_WIDTH * HASH_BYTES


@dataclass(frozen=True, slots=True)
class Edge:
    """The right edge of a tree: its size and the partial tile of each level, leaves first.

    `partial[level]` joins fewer than 256 hashes, possibly none. This is all one needs to append
    and to compute the root.
    """

    size: int
    partial: tuple[bytes, ...]

    def root(self) -> Hash:
        """Return the root hash of the tree, 32 raw bytes."""
        held = {
            (level, hashes_at(level, self.size) // TILE_WIDTH): hashes
            for level, hashes in enumerate(self.partial)
        }
        return subtree_of(self.size, held)(0, self.size)


EMPTY = Edge(0, ())


def hashes_at(level: int, size: int) -> int:
    """Return how many hashes `level` has in a tree of `size` leaves."""
    return size >> (TILE_HEIGHT * level)


def edge_tiles(size: int) -> list[Tile]:
    """Return the partial tiles of a tree of `size` leaves: those its root is computed from."""
    return merkle.tiles_for(size, lambda subtree: subtree(0, size))


def filled(old: int, new: int) -> set[Tile]:
    """Return the full tiles of a tree of `new` leaves that were the edge of one of `old`.

    With `old` 0: the last full tile of each level, which was the edge a moment before.
    """
    found = set()
    for level in range(new.bit_length() // TILE_HEIGHT + 1):
        full = hashes_at(level, new) // TILE_WIDTH
        index = hashes_at(level, old) // TILE_WIDTH if old else full - 1
        if 0 <= index < full:
            found.add(Tile(level, index))
    return found


def edge_of(size: int, held: Held) -> Edge:
    """Return the edge of the first `size` leaves; `held` has at least `edge_tiles(size)`.

    Raises:
        LogInconsistent: a tile is missing or too narrow.
    """
    found = {tile.level: prefix(held, tile) for tile in edge_tiles(size)}
    return Edge(size, tuple(found.get(level, b"") for level in range(max(found, default=-1) + 1)))


def grow(edge: Edge, leaf_hashes: Sequence[Hash]) -> tuple[Edge, dict[tuple[int, int], bytes]]:
    """Append leaves; return the new edge and every tile that changed, whole.

    Computes about one hash per leaf.
    """
    changed: dict[tuple[int, int], bytes] = {}
    partial: list[bytes] = []
    added = b"".join(leaf_hashes)
    while added or len(partial) < len(edge.partial):
        level = len(partial)
        tiles = _cut((edge.partial[level] if level < len(edge.partial) else b"") + added)
        if added:
            first = hashes_at(level, edge.size) // TILE_WIDTH
            changed.update({(level, first + at): tile for at, tile in enumerate(tiles)})
        full = [tile for tile in tiles if len(tile) == _FULL_BYTES]
        partial.append(b"".join(tiles[len(full) :]))
        added = b"".join(merkle.root_hash(split(tile)) for tile in full)
    return Edge(edge.size + len(leaf_hashes), tuple(partial)), changed


def subtree_of(size: int, held: Held) -> Subtree:
    """Return a reader over the first `size` leaves, from tiles that `tiles_for` asked for.

    Raises (the reader):
        LogInconsistent: a tile is missing or too narrow.
    """
    return merkle.subtree_from_tiles(size, lambda tile: prefix(held, tile))


def inclusion(index: int, size: int) -> Callable[[Subtree], list[Hash]]:
    """Return what proves leaf `index` in a tree of `size`, given a reader."""
    return lambda subtree: merkle.inclusion_proof_from(index, size, subtree)


def consistency(old: int, new: int) -> Callable[[Subtree], list[Hash]]:
    """Return what proves that the tree of `new` extends that of `old`, given a reader."""
    return lambda subtree: merkle.consistency_proof_from(old, new, subtree)


def split(hashes: bytes) -> list[Hash]:
    """Return the 32-byte hashes that `hashes` joins."""
    return [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]


def prefix(held: Held, tile: Tile) -> bytes:
    """Return the first `tile.width` hashes of a held tile.

    Raises:
        LogInconsistent: it is missing or too narrow.
    """
    hashes = held.get((tile.level, tile.index), b"")
    if len(hashes) < tile.width * HASH_BYTES:
        raise LogInconsistent(
            f"tile {tile.level}/{tile.index} should have at least {tile.width} hashes, "
            f"found {len(hashes) // HASH_BYTES}; run `muniment fsck`"
        )
    return hashes[: tile.width * HASH_BYTES]


def _cut(hashes: bytes) -> list[bytes]:
    return [hashes[at : at + _FULL_BYTES] for at in range(0, len(hashes), _FULL_BYTES)]


class GrowingTree:
    """Takes leaf hashes one by one; knows the root at any moment and every tile it passes."""

    def __init__(self) -> None:
        self.size = 0
        self.finished: list[tuple[int, int, bytes]] = []
        self._frontier: list[tuple[int, bytes]] = []
        self._open: list[bytearray] = []
        self._counts: list[int] = []

    def push(self, leaf_hash: bytes) -> None:
        """Append one leaf: one hash computed on average."""
        height, node = 0, leaf_hash
        self._emit(0, node)
        while self._frontier and self._frontier[-1][0] == height:
            node = merkle.node_hash(self._frontier.pop()[1], node)
            height += 1
            if height % TILE_HEIGHT == 0:
                self._emit(height // TILE_HEIGHT, node)
        self._frontier.append((height, node))
        self.size += 1

    def root(self) -> bytes:
        """Return the root of what was pushed."""
        if not self._frontier:
            return merkle.EMPTY_ROOT
        root = self._frontier[-1][1]
        for _, left in reversed(self._frontier[:-1]):
            root = merkle.node_hash(left, root)
        return root

    def close(self) -> None:
        """Finish the partial tiles."""
        for level, hashes in enumerate(self._open):
            if hashes:
                self.finished.append((level, self._counts[level], bytes(hashes)))

    def _emit(self, level: int, node: bytes) -> None:
        if level == len(self._open):
            self._open.append(bytearray())
            self._counts.append(0)
        self._open[level] += node
        if len(self._open[level]) == _FULL_BYTES:
            self.finished.append((level, self._counts[level], bytes(self._open[level])))
            self._counts[level] += 1
            self._open[level].clear()
