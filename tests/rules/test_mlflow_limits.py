"""MLflow's lengths and counts."""

from __future__ import annotations

import pytest

from muniment.core.errors import BadRequest
from muniment.server.facades.mlflow.rules import limits


@pytest.mark.parametrize(
    "key", ["a", "a" * 250, "mlflow.log-model.history", "a/b c:d_e", "é", ".a"]
)
def test_keys(key: str) -> None:
    limits.check_keys([key])


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("", "maximum length"),
        ("a" * 251, "maximum length"),
        ("<script>", "may only contain"),
        ("a\n", "may only contain"),
        ("a'b", "may only contain"),
        ("..", "must not resolve"),
        (".", "must not resolve"),
        ("../a", "must not resolve"),
        ("a/../b", "must not resolve"),
        ("/a", "must not resolve"),
        ("a//b", "must not resolve"),
        ("a/", "must not resolve"),
    ],
)
def test_other_keys(key: str, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        limits.check_key(key)


def test_values_and_counts() -> None:
    limits.check_pairs("tags", {"a": "x" * 10, "b": None}, 10)
    with pytest.raises(BadRequest, match="exceeds the maximum length of 10"):
        limits.check_pairs("tags", {"a": "x" * 11}, 10)
    limits.check_pairs("tags", {f"k{n}": "" for n in range(100)}, 10)
    with pytest.raises(BadRequest, match="at most 100 tags"):
        limits.check_pairs("tags", {f"k{n}": "" for n in range(101)}, 10)
