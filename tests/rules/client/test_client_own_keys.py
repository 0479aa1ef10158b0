"""Which key of a person signs, where it is, and what it may be called."""

from __future__ import annotations

from pathlib import Path

import pytest

from muniment.client import keys
from muniment.core.errors import BadPath


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MUNIMENT_CONFIG_HOME", str(tmp_path))
    return tmp_path


def test_the_only_key_is_taken_whatever_it_is_called() -> None:
    assert keys.only_key() is None
    keys.make_key(keys.key_file("laptop"))
    assert keys.only_key() == keys.key_file("laptop")
    keys.make_key(keys.key_file("desk"))
    with pytest.raises(BadPath, match=r"\(desk, laptop\): say which"):
        keys.only_key()
    keys.make_key(keys.key_file())
    assert keys.only_key() == keys.key_file()


@pytest.mark.parametrize("name", ["", "../../x", "Laptop", "a/b", "/etc/x", "a" * 64, "a\0"])
def test_a_key_is_not_called_that(name: str) -> None:
    with pytest.raises(BadPath, match="expected a name"):
        keys.key_file(name)
