"""The Merkle tree of the log: hashes, proofs, and the tiles the tree is published as.

Hashes are 32 raw bytes. A *leaf hash* is `leaf_hash(entry)`, never the entry itself. Proofs are
lists of hashes, bottom-up. Whoever makes a proof reads the tree through a `Subtree`: a function
from `(lo, hi)` to the RFC 6962 hash of the leaves `lo` (included) to `hi` (excluded). There are
two: `subtree_of` over all leaf hashes, and `subtree_from_tiles`, which reads few tiles however
large the tree.

Source: RFC 6962 §2.1, RFC 9162 §2.1 (hashes and proofs), c2sp.org/tlog-tiles (tiles).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from muniment.core.errors import BadProof, LogInconsistent

Hash = bytes
Subtree = Callable[[int, int], Hash]

HASH_BYTES = 32
TILE_HEIGHT = 8
TILE_WIDTH = 256
MAX_ENTRY_BYTES = 65_535
MAX_SIZE = 2**63 - 1
EMPTY_ROOT = hashlib.sha256(b"").digest()

_MAX_PROOF = 2 * 64


def leaf_hash(entry: bytes) -> Hash:
    """Return the hash of one log entry. Source: RFC 6962 §2.1."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: Hash, right: Hash) -> Hash:
    """Return the hash of a node over its two children. Source: RFC 6962 §2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_hash(leaf_hashes: Sequence[Hash]) -> Hash:
    """Return the root over `leaf_hashes` in order; of none, SHA-256 of nothing.

    Source: RFC 6962 §2.1.
    """
    if not leaf_hashes:
        return EMPTY_ROOT
    level = list(leaf_hashes)
    while len(level) > 1:
        # An odd last node moves up unchanged, which is RFC 6962's split without the recursion.
        odd = level[-1:] if len(level) % 2 else []
        level = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)] + odd
    return level[0]


def subtree_of(leaf_hashes: Sequence[Hash]) -> Subtree:
    """Return a reader over all leaf hashes, held in memory."""
    return lambda lo, hi: root_hash(leaf_hashes[lo:hi])


def inclusion_proof(index: int, leaf_hashes: Sequence[Hash]) -> list[Hash]:
    """Prove that leaf `index` is under `root_hash(leaf_hashes)`.

    Raises:
        BadProof: there is no such leaf.
    """
    return inclusion_proof_from(index, len(leaf_hashes), subtree_of(leaf_hashes))


def inclusion_proof_from(index: int, size: int, subtree: Subtree) -> list[Hash]:
    """Prove that leaf `index` (from 0) is under the root of the first `size` leaves.

    Bottom-up; at most 63 hashes.

    Raises:
        BadProof: not 0 <= index < size.
    Source: RFC 6962 §2.1.1.
    """
    _check_index(index, size)
    proof = []
    lo, hi = 0, size
    while hi - lo > 1:
        middle = lo + _split(hi - lo)
        if index < middle:
            proof.append(subtree(middle, hi))
            hi = middle
        else:
            proof.append(subtree(lo, middle))
            lo = middle
    return proof[::-1]


def consistency_proof(old: int, leaf_hashes: Sequence[Hash]) -> list[Hash]:
    """Prove that the tree of all `leaf_hashes` extends the tree of the first `old`.

    Raises:
        BadProof: there are fewer than `old` leaves.
    """
    return consistency_proof_from(old, len(leaf_hashes), subtree_of(leaf_hashes))


def consistency_proof_from(old: int, new: int, subtree: Subtree) -> list[Hash]:
    """Prove that the tree of the first `new` leaves extends that of the first `old`.

    Bottom-up. Empty when `old` is 0 or equals `new`: there is nothing to prove.

    Raises:
        BadProof: not 0 <= old <= new.
    Source: RFC 6962 §2.1.2.
    """
    _check_sizes(old, new)
    if old in (0, new):
        return []
    proof = []
    lo, hi, whole = 0, new, True
    while hi != old:
        middle = lo + _split(hi - lo)
        if old <= middle:
            proof.append(subtree(middle, hi))
            hi = middle
        else:
            proof.append(subtree(lo, middle))
            lo, whole = middle, False
    if not whole:
        proof.append(subtree(lo, hi))
    return proof[::-1]


def verify_inclusion(leaf: Hash, index: int, size: int, proof: Sequence[Hash], root: Hash) -> None:
    """Check that the leaf whose hash is `leaf` is leaf `index` of the tree of `size` under `root`.

    Raises:
        BadProof: it is not, or an argument cannot be one.
    Source: RFC 9162 §2.1.3.2.
    """
    _check_index(index, size)
    _check_hashes([leaf, root, *_checked_proof(proof)])
    position, last, found = index, size - 1, leaf
    for step in proof:
        if last == 0:
            raise BadProof(f"expected fewer hashes for leaf {index} of {size}, found {len(proof)}")
        if position % 2 or position == last:
            found = node_hash(step, found)
            while position % 2 == 0 and position:
                position, last = position >> 1, last >> 1
        else:
            found = node_hash(found, step)
        position, last = position >> 1, last >> 1
    if last:
        raise BadProof(f"expected more hashes for leaf {index} of {size}, found {len(proof)}")
    if found != root:
        raise BadProof(f"leaf {index} of {size} is not under this root: the proof leads elsewhere")


def verify_consistency(
    old: int, new: int, old_root: Hash, new_root: Hash, proof: Sequence[Hash]
) -> None:
    """Check that the tree of `new` leaves under `new_root` extends that of `old` under `old_root`.

    Raises:
        BadProof: an argument cannot be one, or the proof has not the length it must have.
        LogInconsistent: the proof does not lead to both roots.
    Source: RFC 9162 §2.1.4.2.
    """
    _check_sizes(old, new)
    _check_hashes([old_root, new_root, *_checked_proof(proof)])
    if old in (0, new):
        _verify_trivial(old, new, old_root, new_root, proof)
        return
    steps = list(proof) if old & (old - 1) else [old_root, *proof]
    position, last = old - 1, new - 1
    while position % 2:
        position, last = position >> 1, last >> 1
    if not steps:
        _wrong_length(old, new, proof)
    found_old = found_new = steps[0]
    for step in steps[1:]:
        if last == 0:
            _wrong_length(old, new, proof)
        if position % 2 or position == last:
            found_old, found_new = node_hash(step, found_old), node_hash(step, found_new)
            while position % 2 == 0 and position:
                position, last = position >> 1, last >> 1
        else:
            found_new = node_hash(found_new, step)
        position, last = position >> 1, last >> 1
    if last:
        _wrong_length(old, new, proof)
    if (found_old, found_new) != (old_root, new_root):
        raise LogInconsistent(f"the tree of {new} leaves does not extend the tree of {old}")


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """Which tile: its level (0: leaf hashes), its index there, how many hashes it has (1 to 256)."""

    level: int
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """Its path below the log's prefix."""
        return tile_path(self.level, self.index, self.width)


ReadTile = Callable[[Tile], bytes]


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a tile: `tile/0/x001/x234/067`, partial `tile/0/000.p/5`.

    Source: c2sp.org/tlog-tiles, Merkle Tree.
    """
    return _path(str(level), index, width)


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of an entry bundle: `tile/entries/x001/067`, partial `…/067.p/5`.

    Source: c2sp.org/tlog-tiles, Log Entries.
    """
    return _path("entries", index, width)


def entry_bundle(entries: Iterable[bytes]) -> bytes:
    """Return entries one after the other, each after its length in 2 bytes, big-endian.

    Raises:
        BadProof: an entry is longer than 65 535 bytes.
    Source: c2sp.org/tlog-tiles, Log Entries.
    """
    parts = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise BadProof(
                f"expected entries of at most {MAX_ENTRY_BYTES} bytes, found {len(entry)}"
            )
        parts += [struct.pack(">H", len(entry)), entry]
    return b"".join(parts)


def parse_entry_bundle(data: bytes) -> list[bytes]:
    """Return the entries of a bundle in order.

    Raises:
        BadProof: it is cut short, or has more than 256.
    """
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if end > len(data) or at + 2 > len(data):
            raise BadProof(f"expected entry {len(entries)} to be whole, found the bundle cut short")
        entries.append(bytes(data[at + 2 : end]))
        at = end
    if len(entries) > TILE_WIDTH:
        raise BadProof(f"expected at most {TILE_WIDTH} entries in a bundle, found {len(entries)}")
    return entries


def tiles_between(old: int, new: int) -> Iterator[Tile]:
    """Yield every tile to publish when the tree grows from `old` to `new` leaves.

    Lowest level first, then by index: whoever computes them in this order has what the next level
    needs. A tile that only grew is yielded at its new width; unchanged ones are not.

    Source: c2sp.org/tlog-tiles, Merkle Tree.
    """
    _check_sizes(old, new)
    level = 0
    while new >> (TILE_HEIGHT * level):
        before, after = old >> (TILE_HEIGHT * level), new >> (TILE_HEIGHT * level)
        if after > before:
            for index in range(before // TILE_WIDTH, (after - 1) // TILE_WIDTH + 1):
                yield Tile(level, index, min(TILE_WIDTH, after - index * TILE_WIDTH))
        level += 1


def subtree_from_tiles(size: int, read: ReadTile) -> Subtree:
    """Return a reader over the tiles of a tree of `size` leaves.

    `read` gives a tile's bytes (32 per hash) and is called once per tile.

    Raises (the reader):
        BadProof: a tile has not as many bytes as it must.
    """
    held: dict[Tile, bytes] = {}

    def hashes(level: int, start: int, count: int) -> list[Hash]:
        tile = _tile_at(level, start, size)
        if tile not in held:
            held[tile] = _checked_tile(tile, read(tile))
        first = start % TILE_WIDTH
        return [
            held[tile][i * HASH_BYTES : (i + 1) * HASH_BYTES] for i in range(first, first + count)
        ]

    def subtree(lo: int, hi: int) -> Hash:
        count = hi - lo
        if count <= 0:
            return EMPTY_ROOT
        whole = 1 << (count.bit_length() - 1)
        if whole != count:
            return node_hash(subtree(lo, lo + whole), subtree(lo + whole, hi))
        level, rest = divmod(count.bit_length() - 1, TILE_HEIGHT)
        return root_hash(hashes(level, lo >> (TILE_HEIGHT * level), 1 << rest))

    return subtree


def tiles_for(size: int, make: Callable[[Subtree], object]) -> list[Tile]:
    """Return the tiles that `make` will read from a tree of `size`, so they can be fetched at once.

    `make` (say `lambda subtree: inclusion_proof_from(7, size, subtree)`) is run over hashes all alike.
    """
    asked: dict[Tile, None] = {}

    def subtree(lo: int, hi: int) -> Hash:
        if count := hi - lo:
            whole = 1 << (count.bit_length() - 1)
            if whole != count:
                subtree(lo, lo + whole)
                subtree(lo + whole, hi)
            else:
                level = (count.bit_length() - 1) // TILE_HEIGHT
                asked[_tile_at(level, lo >> (TILE_HEIGHT * level), size)] = None
        return EMPTY_ROOT

    make(subtree)
    return list(asked)


def _split(size: int) -> int:
    """Return the largest power of two below `size` (> 1)."""
    return 1 << ((size - 1).bit_length() - 1)


def _path(level: str, index: int, width: int) -> str:
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03d}")
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"


def _tile_at(level: int, start: int, size: int) -> Tile:
    index = start // TILE_WIDTH
    available = (size >> (TILE_HEIGHT * level)) - index * TILE_WIDTH
    return Tile(level, index, min(TILE_WIDTH, available))


def _checked_tile(tile: Tile, data: bytes) -> bytes:
    if len(data) != tile.width * HASH_BYTES:
        expected = f"expected {tile.width * HASH_BYTES} bytes in {tile.path}"
        raise BadProof(f"{expected}, found {len(data)}")
    return data


def _check_sizes(old: int, new: int) -> None:
    whole = type(old) is int and type(new) is int
    if not (whole and 0 <= old <= new <= MAX_SIZE):
        raise BadProof(f"expected sizes 0 <= old <= new, found {old!r:.40} and {new!r:.40}")


def _check_index(index: int, size: int) -> None:
    whole = type(index) is int and type(size) is int
    if not (whole and 0 <= index < size <= MAX_SIZE):
        raise BadProof(f"expected 0 <= index < size, found {index!r:.40} and {size!r:.40}")


def _checked_proof(proof: Sequence[Hash]) -> Sequence[Hash]:
    if not (isinstance(proof, (list, tuple)) and len(proof) <= _MAX_PROOF):
        raise BadProof(f"expected a list of at most {_MAX_PROOF} hashes as proof")
    return proof


def _check_hashes(hashes: Sequence[Hash]) -> None:
    if not all(isinstance(each, bytes) and len(each) == HASH_BYTES for each in hashes):
        raise BadProof(f"expected hashes of {HASH_BYTES} raw bytes")


def _verify_trivial(
    old: int, new: int, old_root: Hash, new_root: Hash, proof: Sequence[Hash]
) -> None:
    if proof:
        _wrong_length(old, new, proof)
    for size, root in ((old, old_root), (new, new_root)):
        if size == 0 and root != EMPTY_ROOT:
            raise LogInconsistent("an empty tree has one root, found another")
    if old == new and old_root != new_root:
        raise LogInconsistent(f"two different roots for the same {old} leaves")


def _wrong_length(old: int, new: int, proof: Sequence[Hash]) -> NoReturn:
    raise BadProof(f"a consistency proof from {old} to {new} cannot have {len(proof)} hashes")
