"""Which paths an artifact may have: each rule, and what two paths may not be to each other."""

from __future__ import annotations

import random
import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from muniment.server.artifacts.rules.paths import path_problem, tree_problems

GOOD = [
    "model.bin",
    "a/b/c.txt",
    ".hidden/.keep",
    "with space/in side.txt",
    "Größe/模型/model-00001-of-00002.safetensors",
    "a..b/...c",
    "~user/$HOME/%2e%2e",
    "x" * 255,
    "/".join(["y" * 127] * 8),
]


@pytest.mark.parametrize("path", GOOD)
def test_ordinary_paths_are_fine(path: str) -> None:
    assert path_problem(path) is None


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("", "empty"),
        ("../etc/passwd", "segment `..`"),
        ("a/../../b", "segment `..`"),
        ("a/..", "segment `..`"),
        ("./a", "segment `.`"),
        ("/etc/passwd", "absolute"),
        ("//host/share", "absolute"),
        ("a//b", "empty segment"),
        ("a/", "empty segment"),
        ("a\\b", "backslash"),
        ("..\\..\\windows", "backslash"),
        ("C:/windows", "colon"),
        ("file:stream", "colon"),
        ("a\0b", "control"),
        ("a\nb", "control"),
        ("a\x7fb", "control"),
        ("a\x85b", "control"),
        ("a\u2028b", "control"),
        ("a\ud800b", "control"),
        ("e\u0301", "normal form C"),
        ("\u212b", "normal form C"),
        ("trailing.", "dot"),
        ("trailing /x", "space"),
        (" leading", "space"),
        ("x" * 256, "255 bytes"),
        ("é" * 128, "255 bytes"),
        ("/".join(["y" * 127] * 9), "1024 bytes"),
    ],
)
def test_each_bad_path_is_called_what_it_is(path: str, says: str) -> None:
    assert says in (path_problem(path) or "nothing")


@pytest.mark.parametrize(
    ("paths", "index", "says"),
    [
        (["a", "a"], 1, "twice"),
        (["Model.bin", "model.BIN"], 1, "`Model.bin` only in case"),
        (["straße", "STRASSE"], 1, "in case"),
        (["a", "a/b"], 1, "`a` is also a file"),
        (["a/b", "a"], 1, "a folder (`a/`)"),
        (["A", "a/b"], 1, "`a` is also a file"),
        (["a/b", "A"], 1, "a folder (`a/`)"),
        (["a/b/c", "A/b/d"], 1, "`A` differs from `a` only in case"),
        (["a/b/c", "a/B/d"], 1, "`a/B` differs from `a/b` only in case"),
        (["a/b/c", "a/b/d", "a/b"], 2, "a folder (`a/b/`)"),
        (["x/y", "a/b", "a/b/c/d"], 2, "`a/b` is also a file"),
    ],
)
def test_two_paths_may_not_clash(paths: list[str], index: int, says: str) -> None:
    ((found, problem),) = tree_problems(paths)
    assert found == index
    assert says in problem


def test_every_wrong_path_is_told_and_the_right_ones_are_not() -> None:
    paths = ["ok", "../x", "OK", "dir/one", "dir/two", "dir", "ok2", ""]
    assert [index for index, _ in tree_problems(paths)] == [1, 2, 5, 7]


def test_only_paths_that_are_kept_stand_in_the_way() -> None:
    assert [index for index, _ in tree_problems(["a\\b", "a", "A/b", "A", "a/c"])] == [0, 2, 3, 4]


def test_a_tree_of_ten_thousand_files_is_fine() -> None:
    paths = [f"Part-{number // 100}/inner/File {number}.bin" for number in range(10_000)]
    assert not list(tree_problems(paths))


SEGMENTS = st.text(st.sampled_from("aAbBßsSéÉ._- "), min_size=1, max_size=4)
PATHS = st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join)


@given(st.text(max_size=40) | PATHS)
@example("a\U0001f600/b")
def test_a_path_without_problem_stays_below_its_directory(path: str) -> None:
    if path_problem(path) is not None:
        return
    parts = path.split("/")
    assert ".." not in parts
    assert "" not in parts
    assert "\0" not in path
    assert str(PurePosixPath(path)) == path
    assert not PurePosixPath(path).is_absolute()
    assert unicodedata.is_normalized("NFC", path)
    path.encode()


def _by_the_book(paths: list[str]) -> list[int]:
    """Which paths are wrong, told pair by pair."""
    kept: list[str] = []
    wrong = []
    for index, path in enumerate(paths):
        if path_problem(path) or any(_clash(path, other) for other in kept):
            wrong.append(index)
        else:
            kept.append(path)
    return wrong


def _clash(path: str, other: str) -> bool:
    mine, theirs = path.split("/"), other.split("/")
    for depth in range(1, min(len(mine), len(theirs)) + 1):
        left, right = "/".join(mine[:depth]), "/".join(theirs[:depth])
        if _folded(left) != _folded(right):
            return False
        if left != right or depth in {len(mine), len(theirs)}:
            return True
    raise AssertionError


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path.casefold())


@given(st.lists(PATHS, max_size=8))
def test_trees_are_judged_as_pairs_of_paths_are(paths: list[str]) -> None:
    assert [index for index, _ in tree_problems(paths)] == _by_the_book(paths)


@given(st.lists(PATHS, max_size=8), st.randoms(use_true_random=False))
def test_whether_a_tree_is_fine_does_not_depend_on_its_order(
    paths: list[str], order: random.Random
) -> None:
    shuffled = paths.copy()
    order.shuffle(shuffled)
    assert bool(list(tree_problems(paths))) == bool(list(tree_problems(shuffled)))
