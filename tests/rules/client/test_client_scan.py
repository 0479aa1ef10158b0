"""`muniment scan` and the SDK's scans: on a disk, and of a version as the server tells of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from muniment import Client
from muniment.client.cli.app import build
from muniment.client.cli.screen import Session
from muniment.client.scans import scan_local
from muniment.core.errors import Unavailable
from tests.support.fake_registry import TOKEN, URL
from tests.support.gadgets import SYSTEM

VERSION = {
    "id": "v",
    "namespace": "default",
    "name": "thing",
    "version": "1.0.0",
    "number": 1,
    "manifest_digest": "sha256:" + "0" * 64,
}
SCAN = {
    "id": "s1",
    "version": "thing@1.0.0",
    "verdict": "findings",
    "executable": True,
    "current": True,
}


class Server:
    """Answers as a registry does that has one version, and a scan of it once it was asked thrice."""

    def __init__(self, report: dict[str, Any], version: dict[str, Any]) -> None:
        self.report, self.version, self.asked, self.stopped = report, version, 0, False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.endswith("/scan"):
            self.asked += 1
            if self.asked < 3 or self.stopped:
                return httpx.Response(202, json={"state": "due", "job_id": 7})
            return httpx.Response(200, json={"state": "done", "scan": SCAN})
        if path.endswith("/report"):
            return httpx.Response(200, json=self.report)
        if path.endswith("/scans"):
            stopped = [{**SCAN, "stopped_count": 1}] if self.stopped else []
            return httpx.Response(200, json={"items": stopped, "next_cursor": None})
        return httpx.Response(200, json=self.version)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    at = tmp_path / "hostile"
    at.mkdir()
    (at / "model.pkl").write_bytes(SYSTEM)
    (at / "README.md").write_text("hello")
    return at


@pytest.fixture
def server(hostile: Path) -> Server:
    return Server(scan_local(hostile), VERSION)


@pytest.fixture
def run(server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setattr("time.sleep", lambda seconds: None)

    def connect(url: str | None, token: str | None) -> Client:
        return Client(url or URL, token or TOKEN, transport=httpx.MockTransport(server))

    def call(*arguments: str) -> Any:
        return CliRunner().invoke(build(), list(arguments), obj=Session(connect=connect))

    return call


def test_a_folder_here(run: Callable[..., Any], hostile: Path) -> None:
    result = run("scan", "--local", str(hostile))
    assert result.exit_code == 3, result.output
    assert "pickle.runs-code" in result.output
    assert "`os.system` is imported" in result.output
    (hostile / "model.pkl").unlink()
    fine = run("scan", "--local", str(hostile), "--json")
    assert fine.exit_code == 0
    assert json.loads(fine.stdout)["verdict"] == "clean"


def test_notes_are_shown_when_asked_for(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "t.jinja").write_text("{{ a }}")
    args = ("scan", "--local", str(tmp_path / "t.jinja"))
    assert "jinja.template" not in run(*args).output
    assert "jinja.template" in run(*args, "--notes").output


def test_many_findings_are_cut(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for number in range(60):
        (tmp_path / "many" / f"{number}.py").write_text("x = 1\n")
    assert "and 10 more" in run("scan", "--local", str(tmp_path / "many")).output


def test_what_is_to_be_scanned_must_be_said(run: Callable[..., Any], hostile: Path) -> None:
    assert run("scan").exit_code == 2
    assert run("scan", "a@1.0.0", "--local", str(hostile)).exit_code == 2
    assert run("scan", "--local", str(hostile / "nothing")).exit_code == 2


def test_a_version_is_asked_for_and_waited_for(run: Callable[..., Any], server: Server) -> None:
    result = run("scan", "thing@1.0.0")
    assert result.exit_code == 3, result.output
    assert server.asked == 3
    assert "pickle.runs-code" in result.output
    told = json.loads(run("scan", "thing@1.0.0", "--json").stdout)
    assert told["scan"]["id"] == "s1"
    assert told["verdict"] == "findings"


def test_a_scan_that_does_not_come(run: Callable[..., Any], server: Server) -> None:
    server.asked = -1000
    result = run("scan", "thing@1.0.0", "--wait", "0")
    assert result.exit_code == 1
    assert "job 7" in result.output


def test_a_scan_that_is_always_stopped_is_not_waited_for(server: Server) -> None:
    server.stopped = True
    with Client(URL, TOKEN, transport=httpx.MockTransport(server)) as client:
        assert client.scans.run("thing@1.0.0").stopped_count == 1
        server.stopped, server.asked = False, -1000
        with pytest.raises(Unavailable):
            client.scans.run("thing@1.0.0", timeout=0)


def test_progress_is_told(hostile: Path) -> None:
    told: list[tuple[str, int, int]] = []
    scan_local(
        hostile,
        on_progress=lambda now: told.append((now.stage, now.files_done, now.files_total)),
    )
    assert told[-1] == ("scan", 2, 2)
