"""Metadata files and settings: plain data, one meaning, or a clear refusal."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from muniment.client import metadata
from muniment.client.strict_yaml import StrictLoader
from muniment.core.errors import BadMetadata


def test_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("a: 1\nb: {c: [x, 2.5, true, null]}\nat: 2026-11-21\n")
    (tmp_path / "m.json").write_text(
        '{"a": 1, "b": {"c": ["x", 2.5, true, null]}, "at": "2026-11-21"}'
    )
    assert metadata.load(tmp_path / "m.yaml") == metadata.load(str(tmp_path / "m.json"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: 1\na: 2\n", "there twice"),
        ("b: {c: 1, c: 2}\n", "there twice"),
        ("1: x\n", "text key"),
        ("a: &x [1]\nb: *x\n", "aliases"),
        ("a: !!python/object/apply:os.system ['true']\n", "not YAML"),
        ("a: [1\n", "not YAML"),
        ("- a\n", "found list"),
        ("", "found NoneType"),
        ("a: \x00\n", "not YAML"),
        ("[" * 3000, "not YAML"),
    ],
)
def test_what_is_not_plain_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(BadMetadata, match=why):
        metadata.load(tmp_path / "m.yaml")


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', "{", '{"a": NaN}', "[]"])
def test_json_is_as_strict(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(BadMetadata):
        metadata.load(tmp_path / "m.json")


def test_files_that_are_absent_or_huge_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadMetadata, match="cannot read"):
        metadata.load(tmp_path / "none.yaml")
    (tmp_path / "big.yaml").write_bytes(b"a: " + b"x" * metadata.MAX_BYTES)
    with pytest.raises(BadMetadata, match="more than"):
        metadata.load(tmp_path / "big.yaml")


def test_nothing_and_mappings_are_taken_as_they_are() -> None:
    assert metadata.load(None) == {}
    assert metadata.load({"a": 1}) == {"a": 1}


def test_settings_go_over_the_file() -> None:
    found = metadata.settings(["metrics.auc=0.93", "metrics.name=roc", "owner=ada", "x=[1]"])
    assert found == {"metrics": {"auc": 0.93, "name": "roc"}, "owner": "ada", "x": [1]}
    below = {"metrics": {"auc": 0.1, "f1": 0.2}, "owner": "bob", "kind": "model"}
    assert metadata.merged(below, found) == {
        "metrics": {"auc": 0.93, "f1": 0.2, "name": "roc"},
        "owner": "ada",
        "kind": "model",
        "x": [1],
    }
    assert below["owner"] == "bob"


@pytest.mark.parametrize("pairs", [["a"], ["=1"], ["a..b=1"], ["a=1", "a.b=2"]])
def test_settings_that_make_no_sense_are_refused(pairs: list[str]) -> None:
    with pytest.raises(BadMetadata):
        metadata.settings(pairs)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), _values, max_size=4))
def test_what_yaml_writes_is_read_back(value: dict[str, object]) -> None:
    class NoAliases(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:
            return True

    text = yaml.dump(value, Dumper=NoAliases, allow_unicode=False)
    assert yaml.load(text, StrictLoader) == value
