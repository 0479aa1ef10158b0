"""Manifests: one tree, one digest; everything wrong said at once; what changed between two."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.digest import digest_of
from muniment.server.artifacts.records import Declared, File
from muniment.server.artifacts.rules import manifest
from muniment.server.catalog.records import Kind

MOST = 1000
HEX = hashlib.sha256(b"a").hexdigest()


def a_file(path: str, content: bytes = b"a") -> File:
    return File(path, len(content), digest_of(content))


def problems(*files: tuple[str, int, str], kind: Kind = Kind.MODEL) -> list[tuple[str, str]]:
    found = manifest.problems(kind, files, max_file_bytes=MOST)
    assert all(one["fix"] for one in found)
    return [(one["field"], one["message"]) for one in found]


def test_a_manifest_is_the_canonical_json_of_its_files_by_code_point() -> None:
    files = [a_file("b"), a_file("Z", b"zz"), a_file("😀"), a_file("\uffff"), a_file("a/b")]
    made = manifest.make(files)
    assert [file.path for file in made.files] == ["Z", "a/b", "b", "\uffff", "😀"]
    assert made.size_bytes == 6
    assert made.digest.hex == hashlib.sha256(made.body).hexdigest()
    assert made.body.startswith(b'{"files":[{"path":"Z","sha256":"')
    read = json.loads(made.body)
    assert read["schema"] == "muniment/manifest/v1"
    assert read["files"][0] == {
        "path": "Z",
        "sha256": hashlib.sha256(b"zz").hexdigest(),
        "size_bytes": 2,
    }
    assert " " not in made.body.decode().replace("\\u", "")


def test_the_manifest_of_no_files_is_always_the_same() -> None:
    assert manifest.make([]).body == b'{"files":[],"schema":"muniment/manifest/v1"}'
    assert manifest.make([]).size_bytes == 0


FILES = st.dictionaries(
    st.text(alphabet="aAbé/", min_size=1, max_size=4), st.binary(max_size=3), max_size=8
).map(lambda tree: [a_file(path, content) for path, content in tree.items()])


@given(FILES, st.randoms(use_true_random=False))
def test_the_order_they_come_in_does_not_matter(files: list[File], order: random.Random) -> None:
    shuffled = list(files)
    order.shuffle(shuffled)
    assert manifest.make(shuffled) == manifest.make(files)


@given(FILES, FILES)
def test_other_trees_have_other_digests(left: list[File], right: list[File]) -> None:
    same = sorted(left, key=str) == sorted(right, key=str)
    assert (manifest.make(left).digest == manifest.make(right).digest) == same


def test_all_problems_are_said_at_once() -> None:
    found = problems(
        ("../x", 1, HEX),
        ("big", MOST + 1, "0" * 64),
        ("less", -1, "1" * 64),
        ("short", 1, "abc"),
        ("other-size", 2, "sha256:" + HEX),
        ("SHORT", 1, "2" * 64),
    )
    assert [field for field, _ in found] == [
        "files[0].path",
        "files[5].path",
        "files[1].size_bytes",
        "files[2].size_bytes",
        "files[3].sha256",
        "files[4].size_bytes",
    ]
    assert "`big`: expected 0 to 1000 bytes, found 1001" in found[2][1]
    assert "the same digest is listed with another size" in found[5][1]


def test_what_is_fine_has_no_problems() -> None:
    assert problems(("a", 1, HEX), ("b/c", 1, HEX), ("empty", 0, "0" * 64)) == []
    assert problems(("a", MOST, HEX)) == []


def test_only_a_prompt_may_have_no_files() -> None:
    assert problems(kind=Kind.PROMPT) == []
    for kind in set(Kind) - {Kind.PROMPT}:
        assert [field for field, _ in problems(kind=kind)] == ["files"]


def test_too_many_files_are_refused_before_anything_else_is_looked_at() -> None:
    found = problems(*([("..", -1, "x")] * (manifest.FILES_MAX + 1)))
    assert [field for field, _ in found] == ["files"]


def test_bytes_that_are_not_there() -> None:
    files = [a_file("a"), a_file("b", b"bb"), a_file("c", b"ccc")]
    found = manifest.absent(files, {files[0].digest: 1, files[1].digest: 3})
    assert [(one["field"], one["message"]) for one in found] == [
        ("files[1].size_bytes", "`b`: expected 3 bytes, found 2"),
        ("files[2]", f"`c`: its bytes ({files[2].digest}) were not sent"),
    ]
    assert all(one["fix"] for one in found)


def test_blobs_somebody_wants_to_send() -> None:
    digest = digest_of(b"a")
    found = manifest.declared_problems(
        [Declared(digest, size) for size in (0, MOST, MOST + 1, -1)], max_file_bytes=MOST
    )
    assert [one["field"] for one in found] == ["blobs[2].size_bytes", "blobs[3].size_bytes"]


def test_what_changed_between_two() -> None:
    left = [a_file("same"), a_file("changed", b"1"), a_file("gone", b"g"), a_file("old", b"moved")]
    right = [a_file("same"), a_file("changed", b"2"), a_file("new", b"n"), a_file("to", b"moved")]
    found = manifest.compare(left, right)
    assert [file.path for file in found.added] == ["new"]
    assert [file.path for file in found.removed] == ["gone"]
    assert found.changed == ((left[1], right[1]),)
    assert [(one.left, one.right, one.size_bytes) for one in found.moved] == [
        (("old",), ("to",), 5)
    ]
    assert found.same_count == 1


def test_a_copy_is_no_move() -> None:
    found = manifest.compare([a_file("a")], [a_file("a"), a_file("b")])
    assert [file.path for file in found.added] == ["b"]
    assert found.moved == ()


@given(FILES, FILES)
def test_comparing_accounts_for_every_file(left: list[File], right: list[File]) -> None:
    found = manifest.compare(left, right)
    counted = Counter({"same": 2 * found.same_count, "changed": 2 * len(found.changed)})
    counted["added"], counted["removed"] = len(found.added), len(found.removed)
    counted["moved"] = sum(len(one.left) + len(one.right) for one in found.moved)
    assert counted.total() == len(left) + len(right)
    back = manifest.compare(right, left)
    assert (back.added, back.removed) == (found.removed, found.added)
    assert back.changed == tuple((after, before) for before, after in found.changed)
    assert not {file.digest for file in found.added} & {file.digest for file in found.removed}
    for paths in ([f.path for f in found.added], [f.path for f in found.removed]):
        assert paths == sorted(paths)


@pytest.mark.parametrize("count", [10_000])
def test_a_large_tree(count: int) -> None:
    files = [
        (f"data/{n}.bin", 1, hashlib.sha256(str(n).encode()).hexdigest()) for n in range(count)
    ]
    assert problems(*files) == []
