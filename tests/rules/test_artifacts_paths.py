"""Which paths an artifact may have: each rule, and trees that would overwrite themselves."""

from __future__ import annotations

import random
import sys
import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.server.artifacts.rules.paths import FOLDERS_DEEP, path_problem, tree_problems


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "model.pkl",
        "data/train/x.csv",
        ".hidden/.gitignore",
        "a b/c d.txt",
        "...a",
        "a..b/...c",
        "%2e%2e",
        "~root/$HOME",
        "a*b?c",
        "modèle/été.bin",
        "模型/权重.bin",
        "😀.txt",
        "a" * 255,
        "/".join(["a" * 200] * 5),
        "/".join("a" * (FOLDERS_DEEP + 1)),
        "console",
        "com",
        "COM10",
        "nul1",
        "a.nul",
        "lpt/x",
        "auxiliary.bin",
    ],
)
def test_paths_that_are_fine(path: str) -> None:
    assert path_problem(path) is None


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("", "empty"),
        ("/etc/passwd", "absolute"),
        ("//host/share", "absolute"),
        ("..", "segment `..`"),
        ("../x", "segment `..`"),
        ("a/../../x", "segment `..`"),
        ("a/..", "segment `..`"),
        (".", "segment `.`"),
        ("./a", "segment `.`"),
        ("a//b", "empty segment"),
        ("a/", "empty segment"),
        ("a\\b", "backslash"),
        ("..\\x", "backslash"),
        ("C:/x", "colon"),
        ("file:stream", "colon"),
        ("a\0b", "control"),
        ("a\nb", "control"),
        ("a\x7f", "control"),
        ("a\x85", "control"),
        ("a\u2028b", "control"),
        ("a\ud800", "control"),
        ("photo\u202egnp.exe", "direction"),
        ("a\u2066b", "direction"),
        ("e\u0301", "normal form"),
        ("\u212b", "normal form"),
        ("a.", "ends with a dot"),
        ("a./b", "ends with a dot"),
        ("a ", "space"),
        (" a", "space"),
        ("a/ b", "space"),
        ("CON", "device"),
        ("nul", "device"),
        ("a/Aux.json", "device"),
        ("NUL.tar.gz", "device"),
        ("com1", "device"),
        ("COM0.txt/x", "device"),
        ("LPT9", "device"),
        ("com\u00b9", "device"),
        ("CONIN$", "device"),
        ("con .txt", "device"),
        ("x" * 256, "segment is longer"),
        ("é" * 128, "segment is longer"),
        ("/".join(["a" * 200] * 6), "longer than 1024"),
        ("/".join("a" * (FOLDERS_DEEP + 2)), "folders deep"),
    ],
)
def test_paths_that_are_not(path: str, problem: str) -> None:
    assert problem in str(path_problem(path))


SEGMENTS = st.text(st.sampled_from("aAbBßsSéÉ._- :\\\0"), min_size=1, max_size=4)
TEXTS = st.text(max_size=40) | st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join)


@given(TEXTS)
def test_a_path_that_is_fine_stays_below_where_it_is_put(path: str) -> None:
    if path_problem(path) is None:
        for kind in (PurePosixPath, PureWindowsPath):
            pure = kind(path)
            assert not pure.is_absolute()
            assert not pure.drive
            assert ".." not in pure.parts
            assert pure.parts == tuple(path.split("/"))
        assert unicodedata.is_normalized("NFC", path)
        path.encode()


def problems(*paths: str) -> dict[int, str]:
    return dict(tree_problems(paths))


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["a", "b", "c/a", "c/b"], {}),
        (["a", "a"], {1: "it is there twice"}),
        (["a/b/c", "a/b/c"], {1: "it is there twice"}),
        (["Model.bin", "model.bin"], {1: "it differs from `Model.bin` only in case"}),
        (["x/STRASSE", "x/straße"], {1: "it differs from `x/STRASSE` only in case"}),
        (["É", "é"], {1: "it differs from `É` only in case"}),
        (["a", "a/b"], {1: "its folder `a` is also a file"}),
        (["a", "A/b"], {1: "its folder `A` is also a file"}),
        (["x/y", "a/b", "a/b/c/d"], {2: "its folder `a/b` is also a file"}),
        (["a/b", "a"], {1: "it is also a folder (`a/`)"}),
        (["a/b", "A"], {1: "it is also a folder (`a/`)"}),
        (["a/b", "A/c"], {1: "its folder `A` differs from `a` only in case"}),
        (["x/a/b", "x/A/c"], {1: "its folder `x/A` differs from `x/a` only in case"}),
        (["a/b/c", "a/b/d", "a/b"], {2: "it is also a folder (`a/b/`)"}),
        (["../a", "../a"], {0: "it has the segment `..`", 1: "it has the segment `..`"}),
        (["a/", "a"], {0: "it has an empty segment"}),
        (["a/B/c", "a/b", "a/B/d"], {1: "it is also a folder (`a/B/`)"}),
    ],
)
def test_trees(paths: list[str], found: dict[int, str]) -> None:
    assert problems(*paths) == found


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
        if left.casefold() != right.casefold():
            return False
        if left != right or depth in {len(mine), len(theirs)}:
            return True
    raise AssertionError


NAMES = st.sampled_from(["a", "A", "b", "é", "É", "ß", "SS", ".", "c"])
TREES = st.lists(st.lists(NAMES, min_size=1, max_size=4).map("/".join), max_size=10)


@given(TREES)
def test_trees_are_judged_as_pairs_of_paths_are(paths: list[str]) -> None:
    assert list(problems(*paths)) == _by_the_book(paths)


@given(TREES, st.randoms(use_true_random=False))
def test_whether_a_tree_is_fine_does_not_depend_on_its_order(
    paths: list[str], order: random.Random
) -> None:
    shuffled = paths.copy()
    order.shuffle(shuffled)
    assert bool(problems(*paths)) == bool(problems(*shuffled))


def tree_of(count: int, depth: int) -> list[str]:
    """So many folders, each with one file so deep in it."""
    return [
        f"{number}/" + "/".join("a" * (depth - 1)) if depth > 1 else str(number)
        for number in range(count)
    ]


def calls_to_check(paths: list[str]) -> int:
    """How many functions are called while a tree is found to be fine."""
    calls = 0

    def count(_frame: object, event: str, _what: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        found = problems(*paths)
    finally:
        sys.setprofile(before)
    assert found == {}
    return calls


@pytest.mark.parametrize("depth", [1, FOLDERS_DEEP])
def test_a_tree_twice_as_large_takes_twice_the_work(depth: int) -> None:
    once, twice = (calls_to_check(tree_of(count, depth)) for count in (500, 1_000))
    assert twice < 2.2 * once


def test_ten_thousand_files_are_fine() -> None:
    assert problems(*tree_of(10_000, 1)) == {}
