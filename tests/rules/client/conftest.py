"""A client of a fake registry, with its own config and state directories and no pauses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from muniment import Client
from muniment.client.cli.app import build
from muniment.client.cli.screen import Session
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


@pytest.fixture
def run(registry: FakeRegistry) -> Callable[..., Result]:
    """Run a command line with a client of the fake registry."""

    def connect(url: str | None, token: str | None) -> Client:
        client = Client(url or URL, token or TOKEN, transport=registry.transport())
        client.transport.sleep = lambda _: None
        return client

    def run(*args: str, stdin: str | None = None) -> Result:
        session = Session(connect=connect)
        return CliRunner().invoke(build(), list(args), obj=session, input=stdin)

    return run
