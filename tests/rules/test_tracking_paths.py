"""Paths of artifacts, and how they list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.digest import digest_of
from muniment.core.errors import BadPath
from muniment.server.tracking.records import Artifact, Listed
from muniment.server.tracking.rules import (
    PATH_MAX_CHARS,
    check_artifact_path,
    listed,
    model_root,
    run_root,
)


@pytest.mark.parametrize(
    "path", ["a", "0/x/artifacts/m/MLmodel", "a b/ü.txt", "a/..b/c..", "a%20b"]
)
def test_plain_paths_pass(path: str) -> None:
    assert check_artifact_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a/..",
        "a/./b",
        "a//b",
        "a/",
        "..\\..\\x",
        "a\\b",
        "C:/x",
        "a\nb",
        "a\0b",
        "%2e%2e/x",
        "a/%2e%2e/b",
        "a%2f..%2fb",
        "%2fetc",
        "a%00b",
        "a%0ab",
        "%ff",
        "x" * (PATH_MAX_CHARS + 1),
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(BadPath, match="Invalid path"):
        check_artifact_path(path)


@given(st.text(max_size=60))
def test_what_passes_stays_below_the_root(path: str) -> None:
    try:
        passed = check_artifact_path(path)
    except BadPath:
        return
    assert not passed.startswith("/")
    assert not {"", ".", ".."} & set(passed.split("/"))


def test_directories_stand_for_what_is_below() -> None:
    paths = ["m/MLmodel", "m/data/a", "m/data/b/c", "other"]
    files = [Artifact(path, digest_of(path.encode()), len(path)) for path in paths]
    assert listed(files, "m") == [Listed("MLmodel", 9), Listed("data", None)]
    assert listed(files, "") == [Listed("m", None), Listed("other", 5)]
    assert listed(files, "m/MLmodel") == []


def test_roots_keep_runs_and_models_apart() -> None:
    assert run_root(0, "r") == "0/r/artifacts"
    assert model_root(3, "m-1") == "3/models/m-1/artifacts"
