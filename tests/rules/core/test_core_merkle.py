"""Hashes, proofs and tiles are those of RFC 6962 and tlog-tiles, and proofs prove."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core import merkle
from muniment.core.errors import BadProof, LogInconsistent
from muniment.core.merkle import EMPTY_ROOT, Tile

# The entries, roots and proofs that certificate-transparency implementations are tested with.
CT_ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
N_2 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
N_4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
N_4_6 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
N_6_8 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
N_4_8 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
LEAF_1 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
CT_INCLUSION = [
    (0, 1, []),
    (0, 8, [LEAF_1, N_2, N_4_8]),
    (5, 8, [N_4, N_6_8, CT_ROOTS[4]]),
    (2, 3, [CT_ROOTS[2]]),
    (1, 5, [CT_ROOTS[1], N_2, N_4]),
]
CT_CONSISTENCY = [
    (1, 1, []),
    (1, 8, [LEAF_1, N_2, N_4_8]),
    (6, 8, [N_4_6, N_6_8, CT_ROOTS[4]]),
    (2, 5, [N_2, N_4]),
]
LARGE = [256, 257, 511, 512, 1000, 65_535, 65_536, 65_537, 70_000]


@cache
def leaves(size: int) -> list[bytes]:
    return [merkle.leaf_hash(b"%d" % index) for index in range(size)]


@cache
def root(size: int) -> bytes:
    return by_definition(leaves(size))


def by_definition(hashes: list[bytes]) -> bytes:
    """The root as RFC 6962 §2.1 defines it, by recursion."""
    if len(hashes) < 2:
        return hashes[0] if hashes else EMPTY_ROOT
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return merkle.node_hash(by_definition(hashes[:split]), by_definition(hashes[split:]))


@cache
def tile_tree(size: int) -> dict[str, bytes]:
    """Every tile of the first `size` leaves by path, made as tlog-tiles defines them."""
    tiles: dict[str, bytes] = {}
    level, hashes = 0, leaves(size)
    while hashes:
        parts = [hashes[at : at + 256] for at in range(0, len(hashes), 256)]
        for index, part in enumerate(parts):
            tiles[merkle.tile_path(level, index, len(part))] = b"".join(part)
        hashes = [by_definition(part) for part in parts if len(part) == 256]
        level += 1
    return tiles


def test_roots_are_the_published_ones() -> None:
    hashes = [merkle.leaf_hash(entry) for entry in CT_ENTRIES]
    assert [merkle.root_hash(hashes[:size]).hex() for size in range(9)] == CT_ROOTS


@pytest.mark.parametrize(("index", "size", "expected"), CT_INCLUSION)
def test_inclusion_proofs_are_the_published_ones(
    index: int, size: int, expected: list[str]
) -> None:
    hashes = [merkle.leaf_hash(entry) for entry in CT_ENTRIES[:size]]
    proof = merkle.inclusion_proof(index, hashes)
    assert [each.hex() for each in proof] == expected
    merkle.verify_inclusion(hashes[index], index, size, proof, bytes.fromhex(CT_ROOTS[size]))


@pytest.mark.parametrize(("old", "new", "expected"), CT_CONSISTENCY)
def test_consistency_proofs_are_the_published_ones(old: int, new: int, expected: list[str]) -> None:
    hashes = [merkle.leaf_hash(entry) for entry in CT_ENTRIES[:new]]
    proof = merkle.consistency_proof(old, hashes)
    assert [each.hex() for each in proof] == expected
    old_root, new_root = bytes.fromhex(CT_ROOTS[old]), bytes.fromhex(CT_ROOTS[new])
    merkle.verify_consistency(old, new, old_root, new_root, proof)


def test_every_leaf_of_every_small_tree_is_proved() -> None:
    for size in range(1, 131):
        hashes = leaves(size)
        assert merkle.root_hash(hashes) == root(size)
        for index in range(size):
            proof = merkle.inclusion_proof(index, hashes)
            assert len(proof) <= (size - 1).bit_length()
            merkle.verify_inclusion(hashes[index], index, size, proof, root(size))


def test_every_growth_of_every_small_tree_is_proved() -> None:
    for new in range(131):
        for old in range(new + 1):
            proof = merkle.consistency_proof(old, leaves(new))
            merkle.verify_consistency(old, new, root(old), root(new), proof)


def test_a_proof_proves_no_other_leaf_place_or_root() -> None:
    for size in range(1, 34):
        for index in range(size):
            proof = merkle.inclusion_proof(index, leaves(size))
            wrong = [(merkle.leaf_hash(b"other"), index, size, proof, root(size))]
            wrong += [
                (leaves(size)[index], other, size, proof, root(size))
                for other in range(size)
                if other != index
            ]
            wrong += [(leaves(size)[index], index, size, proof, root(size + 1))]
            for arguments in wrong:
                with pytest.raises(BadProof):
                    merkle.verify_inclusion(*arguments)


def test_a_proof_has_exactly_the_hashes_it_needs() -> None:
    extra = merkle.leaf_hash(b"one too many")
    for size in range(1, 34):
        for index in range(size):
            proof, leaf = merkle.inclusion_proof(index, leaves(size)), leaves(size)[index]
            with pytest.raises(BadProof, match="fewer hashes"):
                merkle.verify_inclusion(leaf, index, size, [*proof, extra], root(size))
            if proof:
                with pytest.raises(BadProof, match="more hashes"):
                    merkle.verify_inclusion(leaf, index, size, proof[:-1], root(size))
        for old in range(1, size):
            proof = merkle.consistency_proof(old, leaves(size))
            for wrong in ([*proof, extra], proof[:-1]):
                with pytest.raises(BadProof, match="cannot have"):
                    merkle.verify_consistency(old, size, root(old), root(size), wrong)


def test_no_growth_is_proved_that_did_not_happen() -> None:
    other = merkle.leaf_hash(b"other")
    for new in range(1, 34):
        for old in range(1, new + 1):
            proof = merkle.consistency_proof(old, leaves(new))
            with pytest.raises(LogInconsistent):
                merkle.verify_consistency(old, new, other, root(new), proof)
            with pytest.raises(LogInconsistent):
                merkle.verify_consistency(old, new, root(old), other, proof)


@given(st.data())
def test_any_flipped_bit_of_a_proof_shows(data: st.DataObject) -> None:
    size = data.draw(st.sampled_from([2, 3, 7, 64, 100, 130]))
    old = data.draw(st.integers(1, size - 1))
    inclusion = merkle.inclusion_proof(old, leaves(size))
    consistency = merkle.consistency_proof(old, leaves(size))
    flipped = flip(inclusion, data)
    with pytest.raises(BadProof):
        merkle.verify_inclusion(leaves(size)[old], old, size, flipped, root(size))
    with pytest.raises(LogInconsistent):
        merkle.verify_consistency(old, size, root(old), root(size), flip(consistency, data))


def flip(proof: list[bytes], data: st.DataObject) -> list[bytes]:
    at = data.draw(st.integers(0, len(proof) - 1))
    changed = bytearray(proof[at])
    changed[data.draw(st.integers(0, 31))] ^= 1 << data.draw(st.integers(0, 7))
    return [*proof[:at], bytes(changed), *proof[at + 1 :]]


@pytest.mark.parametrize("size", LARGE)
def test_large_trees_prove_from_their_tiles(size: int) -> None:
    tiles = tile_tree(size)
    subtree = merkle.subtree_from_tiles(size, lambda tile: tiles[tile.path])
    assert subtree(0, size) == root(size)
    for index in {0, 1, 255, size // 2, size - 2, size - 1}:
        proof = merkle.inclusion_proof_from(index, size, subtree)
        assert proof == merkle.inclusion_proof(index, leaves(size))
        merkle.verify_inclusion(leaves(size)[index], index, size, proof, root(size))
    for old in {1, 255, 256, size // 2, size - 1, size}:
        proof = merkle.consistency_proof_from(old, size, subtree)
        merkle.verify_consistency(old, size, root(old), root(size), proof)


@given(st.integers(1, 2000), st.data())
def test_tiles_are_told_before_they_are_read(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    asked: list[Tile] = []

    def read(tile: Tile) -> bytes:
        asked.append(tile)
        return tile_tree(size)[tile.path]

    planned = merkle.tiles_for(size, lambda sub: merkle.inclusion_proof_from(index, size, sub))
    subtree = merkle.subtree_from_tiles(size, read)
    proof = merkle.inclusion_proof_from(index, size, subtree)
    merkle.verify_inclusion(leaves(size)[index], index, size, proof, root(size))
    assert planned == asked
    assert len(set(asked)) == len(asked)


@pytest.mark.parametrize("size", [10_000_000, 10_000_019, 2**40 + 12_345])
def test_a_proof_in_a_huge_tree_reads_few_tiles(size: int) -> None:
    levels = (size.bit_length() + 7) // 8
    for index in (0, size // 3, size - 1):
        asked = merkle.tiles_for(
            size,
            lambda subtree, index=index: merkle.inclusion_proof_from(index, size, subtree),  # type: ignore[misc]
        )
        assert len(asked) <= 2 * levels


def test_an_empty_range_is_the_empty_tree() -> None:
    assert merkle.subtree_from_tiles(0, lambda _: b"")(0, 0) == EMPTY_ROOT
    assert merkle.subtree_of([])(0, 0) == EMPTY_ROOT


def test_a_tile_has_the_size_it_must_have() -> None:
    subtree = merkle.subtree_from_tiles(5, lambda _: bytes(4 * 32))
    with pytest.raises(BadProof, match=r"expected 160 bytes in tile/0/000\.p/5, found 128"):
        subtree(0, 4)


def test_growing_step_by_step_publishes_the_same_tiles_as_at_once() -> None:
    for steps in ([1, 2, 255, 256, 257, 600], [512], [70_000], [65_535, 65_536, 65_537]):
        old = 0
        for new in steps:
            published = {tile.path for tile in merkle.tiles_between(old, new)}
            before = tile_tree(old) if old else {}
            assert published == tile_tree(new).keys() - before.keys()
            old = new


def test_lower_tiles_come_first() -> None:
    tiles = list(merkle.tiles_between(0, 70_000))
    assert tiles == sorted(tiles)
    widths = [tile.width for tile in tiles if tile.level == 0]
    assert widths == [256] * 273 + [112]
    assert tiles[-3:] == [Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert list(merkle.tiles_between(7, 7)) == []


@pytest.mark.parametrize(
    ("level", "index", "width", "path"),
    [
        (0, 0, 256, "tile/0/000"),
        (0, 1, 1, "tile/0/001.p/1"),
        (0, 1_234_067, 256, "tile/0/x001/x234/067"),
        (0, 273, 112, "tile/0/273.p/112"),
        (1, 1000, 256, "tile/1/x001/000"),
        (2, 999, 255, "tile/2/999.p/255"),
        (63, 0, 5, "tile/63/000.p/5"),
    ],
)
def test_tile_paths(level: int, index: int, width: int, path: str) -> None:
    assert merkle.tile_path(level, index, width) == path
    assert Tile(level, index, width).path == path


def test_entry_bundle_paths() -> None:
    assert merkle.entries_path(1_234_067) == "tile/entries/x001/x234/067"
    assert merkle.entries_path(0, 17) == "tile/entries/000.p/17"


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_entry_bundles_are_read_as_written(entries: list[bytes]) -> None:
    assert merkle.parse_entry_bundle(merkle.entry_bundle(entries)) == entries


def test_entry_bundles_have_lengths_in_two_bytes() -> None:
    assert merkle.entry_bundle([b"", b"ab"]) == b"\0\0\0\x02ab"
    longest = bytes(65_535)
    assert merkle.parse_entry_bundle(merkle.entry_bundle([longest])) == [longest]
    with pytest.raises(BadProof, match="65535"):
        merkle.entry_bundle([bytes(65_536)])


@pytest.mark.parametrize("data", [b"\0", b"\0\x02a", b"\0\0\0\x01", b"\0\0" * 257])
def test_broken_entry_bundles(data: bytes) -> None:
    with pytest.raises(BadProof):
        merkle.parse_entry_bundle(data)


@given(st.binary())
def test_no_bytes_make_reading_a_bundle_fail_otherwise(data: bytes) -> None:
    try:
        entries = merkle.parse_entry_bundle(data)
    except BadProof:
        return
    assert merkle.entry_bundle(entries) == data


ANYTHING: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.binary(min_size=32, max_size=32),
    st.lists(st.none() | st.binary(min_size=32, max_size=32) | st.binary(), max_size=4),
)


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_nothing_makes_verifying_fail_otherwise(a: Any, b: Any, c: Any, d: Any, e: Any) -> None:
    for index, size in ((b, c), (0, 1), (1, 3)):
        try:
            merkle.verify_inclusion(a, index, size, d, e)
        except BadProof:
            continue
        assert a == e  # only a tree of one leaf can be met by chance
    for old, new in ((a, b), (0, 0), (2, 2), (1, 5)):
        try:
            merkle.verify_consistency(old, new, c, e, d)
        except (BadProof, LogInconsistent):
            continue
        assert old == 0 or c == e


@pytest.mark.parametrize(
    ("index", "size"), [(-1, 4), (4, 4), (0, 0), (True, 4), (0, 2**63), ("0", 4), (0, None)]
)
def test_there_is_no_such_leaf(index: Any, size: Any) -> None:
    with pytest.raises(BadProof, match="index < size"):
        merkle.inclusion_proof_from(index, size, merkle.subtree_of([]))


@pytest.mark.parametrize(("old", "new"), [(-1, 4), (5, 4), (0, 2**63), (None, 4), (1, 2.0)])
def test_there_is_no_such_growth(old: Any, new: Any) -> None:
    with pytest.raises(BadProof, match="old <= new"):
        merkle.consistency_proof_from(old, new, merkle.subtree_of([]))


def test_trees_that_did_not_grow_need_no_proof() -> None:
    merkle.verify_consistency(0, 5, EMPTY_ROOT, root(5), [])
    with pytest.raises(BadProof):
        merkle.verify_consistency(3, 3, root(3), root(3), [root(1)])
    with pytest.raises(LogInconsistent, match="two different roots"):
        merkle.verify_consistency(3, 3, root(3), root(2), [])
    with pytest.raises(LogInconsistent, match="empty tree"):
        merkle.verify_consistency(0, 5, root(1), root(5), [])
    with pytest.raises(BadProof):
        merkle.verify_consistency(3, 5, root(3), root(5), [])
