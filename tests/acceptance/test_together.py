"""Many people at once: one history comes of it, and the log agrees with every table."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from muniment import Client
from muniment.client.records import Registered
from muniment.core.errors import MunimentError, VersionConflict
from tests.support.server_process import TOKEN, ServerProcess

pytestmark = pytest.mark.slow

THREADS = 16
T = TypeVar("T")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One registry for all; what its tables hold must follow from its log at the end."""
    with ServerProcess(tmp_path_factory.mktemp("crowd")) as running:
        yield running
        checked = running.cli("fsck", "--data", str(running.data), "--sample", "all")
        assert "everything agrees" in checked.stdout
        assert "Traceback" not in running.log.read_text()
        assert running.stop() == 0


def at_once(server: ServerProcess, act: Callable[[Client, int], T]) -> list[T | MunimentError]:
    """Let every thread, with a client of its own, act at the same moment; refusals are results."""
    start = threading.Barrier(THREADS)

    def run(number: int) -> T | MunimentError:
        with Client(server.url, TOKEN) as client:
            client.whoami()
            start.wait(timeout=30)
            try:
                return act(client, number)
            except MunimentError as error:
                return error

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(run, range(THREADS)))


def model(folder: Path, content: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model.bin").write_bytes(content)
    return folder


def registered(client: Client, name: str, version: str, folder: Path) -> Registered:
    return client.register(name, version=version, artifact=folder, kind="model", owner="ada")


def test_the_same_version_is_registered_once(server: ServerProcess, tmp_path: Path) -> None:
    folder = model(tmp_path / "same", b"the same bytes")
    got = at_once(server, lambda client, _: registered(client, "same", "1.0.0", folder))
    versions = [one for one in got if isinstance(one, Registered)]
    assert len(versions) == THREADS, got
    assert len({one.id for one in versions}) == 1
    with Client(server.url, TOKEN) as client:
        assert [one.number for one in client.versions.search("name = 'same'")] == [1]
        acts = Counter(change.act for change in client.versions.history("same@1.0.0"))
    assert acts == {"version.register": 1}


def test_of_different_bytes_under_one_version_one_wins(
    server: ServerProcess, tmp_path: Path
) -> None:
    folders = [model(tmp_path / str(n), b"bytes of %d" % n) for n in range(THREADS)]
    got = at_once(server, lambda client, n: registered(client, "torn", "1.0.0", folders[n]))
    won = [n for n, one in enumerate(got) if isinstance(one, Registered)]
    lost = [one for one in got if isinstance(one, VersionConflict)]
    assert (len(won), len(lost)) == (1, THREADS - 1), got
    assert all({"registered", "offered"} <= error.extra.keys() for error in lost)
    with Client(server.url, TOKEN) as client:
        client.download("torn@1.0.0", tmp_path / "out")
    assert (tmp_path / "out" / "model.bin").read_bytes() == b"bytes of %d" % won[0]


def test_different_versions_are_numbered_without_gaps(
    server: ServerProcess, tmp_path: Path
) -> None:
    folders = [model(tmp_path / str(n), b"%d" % (n % 4)) for n in range(THREADS)]
    got = at_once(server, lambda client, n: registered(client, "many", f"1.{n}.0", folders[n]))
    assert all(isinstance(one, Registered) for one in got), got
    with Client(server.url, TOKEN) as client:
        found = list(client.versions.search("name = 'many'"))
    assert sorted(one.number for one in found) == list(range(1, THREADS + 1))
    assert {str(one.version) for one in found} == {f"1.{n}.0" for n in range(THREADS)}


def test_one_alias_moved_by_all_has_one_history(server: ServerProcess, tmp_path: Path) -> None:
    with Client(server.url, TOKEN) as client:
        for n in range(THREADS):
            registered(client, "moved", f"1.{n}.0", model(tmp_path / "one", b"one"))
    moves = at_once(server, lambda client, n: client.aliases.set("moved", "challenger", f"1.{n}.0"))
    assert not [one for one in moves if isinstance(one, MunimentError)], moves
    with Client(server.url, TOKEN) as client:
        now = client.aliases.get("moved", "challenger")
        history = client.aliases.history("moved", "challenger")
        (shown,) = client.aliases.list_("moved")
    assert len(history) == THREADS, "each move is in the history"
    assert shown.revision == THREADS
    oldest_first = list(reversed(history))
    assert {change.version for change in history} == {f"1.{n}.0" for n in range(THREADS)}
    before = [None, *(change.version for change in oldest_first[:-1])]
    assert [change.previous_version for change in oldest_first] == before, "each follows the last"
    assert history[0].version == shown.version == str(now.version)
