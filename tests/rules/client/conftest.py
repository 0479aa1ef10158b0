"""A client of a fake registry, with its own config and state directories and no pauses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from muniment import Client
from tests.support.fake_registry import TOKEN, URL, FakeRegistry


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("MUNIMENT_URL", "MUNIMENT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MUNIMENT_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("MUNIMENT_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def client(registry: FakeRegistry, pauses: list[float]) -> Iterator[Client]:
    with Client(URL, TOKEN, transport=registry.transport()) as made:
        made.transport.sleep = pauses.append
        yield made


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A directory with a small file, a nested one, an empty one and one of several parts."""
    at = tmp_path / "model"
    (at / "deep" / "er").mkdir(parents=True)
    (at / "config.json").write_bytes(b'{"layers": 3}')
    (at / "deep" / "er" / "weights.bin").write_bytes(bytes(range(256)) * 14)
    (at / "deep" / "copy.json").write_bytes(b'{"layers": 3}')
    (at / "empty").write_bytes(b"")
    return at
