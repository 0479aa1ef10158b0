"""Scans through the whole application: asked for, done once, recorded, shown."""

from __future__ import annotations

import json
import pickle
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from muniment.scan.process import Processes
from muniment.scan.records import FileReport, VerdictClass
from muniment.server import scanning
from muniment.server.http.records import Role, Scope
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.blobs_local import open_local_blobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from muniment.server.ports.queue_inline import InlineWorker, Ran
from muniment.server.scanning import actions
from muniment.server.wiring import HANDLERS
from tests.support.artifacts import House, Sender, fine, open_house, sha256
from tests.support.gadgets import SYSTEM

SAMPLES = Path(__file__).parents[1] / "samples" / "models"
FINE = pickle.dumps({"weights": [1, 2, 3]})
TREE = {"model.pkl": FINE, "weights.safetensors": (SAMPLES / "tiny.safetensors").read_bytes()}


@pytest.fixture(params=["local", "fake"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    """A store that has files, and one from which they are copied."""
    return open_local_blobs(tmp_path / "blobs") if request.param == "local" else FakeBlobs()


@pytest.fixture
async def house(
    db: PostgresDatabase, store: FakeBlobs, keys: Keys, clock: FixedClock, tmp_path: Path
) -> AsyncIterator[House]:
    async with open_house(db, store, keys, clock, data_dir=tmp_path / "data") as opened:
        yield opened


async def work(house: House) -> list[Ran]:
    """Do the jobs that are due; none may fail."""
    ran = await InlineWorker(house.db, HANDLERS, context=house.registry.deps).run_due()
    assert all(one.error is None for one in ran), ran
    return ran


async def scans(sender: Sender, version: str = "1.0.0") -> list[dict[str, Any]]:
    url = sender.url(version=version, rest="/scans")
    items: list[dict[str, Any]] = fine(await sender.client.get(url))["items"]
    return items


async def report(sender: Sender, scan: dict[str, Any], version: str = "1.0.0") -> dict[str, Any]:
    url = sender.url(version=version, rest=f"/scans/{scan['id']}/report")
    answer = await sender.client.get(url)
    assert answer.is_success
    assert f"sha256:{sha256(answer.content)}" == scan["report_digest"]
    found: dict[str, Any] = json.loads(answer.content)
    return found


async def test_what_is_registered_is_scanned(house: House) -> None:
    sender = house.sender()
    await sender.registered(TREE)
    assert [one.job.name for one in await work(house)] == ["scanning.scan"]
    [scan] = await scans(sender)
    assert scan["verdict"] == "executable_allow_listed"
    assert (scan["executable"], scan["file_count"], scan["reused_count"]) == (True, 2, 0)
    assert scan["current"] is True
    assert scan["recorded_by"] == {"kind": "system", "id": "scanner"}
    told = await report(sender, scan)
    assert [(one["path"], one["verdict"]) for one in told["files"]] == [
        ("model.pkl", "executable_allow_listed"),
        ("weights.safetensors", "clean"),
    ]
    assert told["files"][0]["opinions"][0]["tool"] == "picklescan"
    one = sender.url(version="1.0.0", rest=f"/scans/{scan['id']}")
    assert fine(await sender.client.get(one)) == scan
    found = await house.check()
    assert found.counts["rows of scan"] == 1
    assert found.counts["rows of file_scan"] == 2


async def test_a_scan_is_evidence(house: House) -> None:
    sender = house.sender()
    await sender.registered({**TREE, "bad.pkl": SYSTEM})
    await work(house)
    [scan] = await scans(sender)
    url = sender.url(version="1.0.0", rest=f"/evidence/{scan['evidence_id']}")
    evidence = fine(await sender.client.get(url))
    assert (evidence["kind"], evidence["format"]) == ("scan", "muniment/scan/v1")
    assert (evidence["assurance"], evidence["signer"]) == ("verified", "this registry")
    assert set(evidence["bound"]) == {"model"}
    details = evidence["parsed"]["details"]
    assert details["verdict"] == scan["verdict"] == "findings"
    assert details["rules"] == {"pickle.runs-code": 1}
    assert details["severities"] == scan["severities"] == {"critical": 1}


async def test_the_same_bytes_are_read_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    really = Processes.scan

    def noted(self: Processes, path: str, name: str, **more: Any) -> FileReport:
        asked.append(name)
        return really(self, path, name, **more)

    monkeypatch.setattr(Processes, "scan", noted)
    sender = house.sender()
    await sender.registered({**TREE, "copy.pkl": FINE})
    await work(house)
    assert asked == ["copy.pkl", "weights.safetensors"]
    await sender.registered({**TREE, "more.txt": b"hello", "FINE.py": b"1"}, "2.0.0")
    await work(house)
    assert sorted(asked[2:]) == ["FINE.py", "more.txt"]
    [scan] = await scans(sender, "2.0.0")
    assert (scan["file_count"], scan["reused_count"]) == (4, 2)
    files = {one["path"]: one for one in (await report(sender, scan, "2.0.0"))["files"]}
    assert files["model.pkl"]["reused"] is True
    await house.check()


async def test_a_name_that_matters_is_not_another_s(house: House) -> None:
    """The same bytes are a text under one name, and a program under the other."""
    sender = house.sender()
    await sender.registered({"notes.txt": b"import os\n", "run.py": b"import os\n"})
    await work(house)
    [scan] = await scans(sender)
    verdicts = {one["path"]: one["verdict"] for one in (await report(sender, scan))["files"]}
    assert verdicts == {"notes.txt": "clean", "run.py": "findings"}


async def test_asking_again_does_nothing_more(house: House) -> None:
    sender = house.sender()
    await sender.registered(TREE)
    url = sender.url(version="1.0.0", rest="/scan")
    first = await sender.client.post(url)
    assert (first.status_code, first.json()["state"]) == (202, "due")
    assert (await sender.client.post(url)).json()["job_id"] == first.json()["job_id"]
    assert len(await work(house)) == 1
    again = await sender.client.post(url)
    assert (again.status_code, again.json()["state"]) == (200, "done")
    assert again.json()["scan"] == (await scans(sender))[0]
    assert not await work(house)


async def test_a_version_without_files_is_clean_when_asked(house: House) -> None:
    sender = house.sender()
    body = {
        "version": "1.0.0",
        "files": [],
        "create_asset": {"kind": "prompt", "owner": "ada"},
        "metadata": {"prompt": {"template": "hello"}},
    }
    fine(await sender.client.post(sender.url("greeting"), json=body))
    assert not await work(house)
    fine(await sender.client.post(sender.url("greeting", "1.0.0", "/scan")))
    await work(house)
    items = fine(await sender.client.get(sender.url("greeting", "1.0.0", "/scans")))["items"]
    assert [(one["verdict"], one["file_count"]) for one in items] == [("clean", 0)]


async def test_new_rules_scan_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = house.sender()
    await sender.registered(TREE)
    await work(house)
    deps = house.registry.deps
    worker = InlineWorker(house.db, HANDLERS, context=deps)
    await worker.run("scanning.sweep")
    assert not await work(house), "all are scanned under the rules of now"
    other = actions.ruleset_now().__class__(b"\x01" * 32)
    monkeypatch.setattr(actions, "ruleset_now", lambda: other)
    await worker.run("scanning.sweep")
    await worker.run("scanning.sweep")
    assert len(await work(house)) == 1
    newest, oldest = await scans(sender)
    assert (newest["current"], oldest["current"]) == (True, False)
    assert newest["reused_count"] == 0
    limited = sender.url(version="1.0.0", rest="/scans?limit=1")
    first = fine(await sender.client.get(limited))
    rest = fine(await sender.client.get(f"{limited}&cursor={first['next_cursor']}"))
    assert [*first["items"], *rest["items"]] == [newest, oldest]
    await house.check()


async def test_a_scan_that_was_stopped_may_be_repeated(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = house.sender()
    with monkeypatch.context() as patched:
        original = Processes.__init__

        def hasty(self: Processes, allowance: Any = None) -> None:
            original(self, type(allowance)(allowance.memory_bytes, -1.0))

        patched.setattr(Processes, "__init__", hasty)
        await sender.registered(TREE)
        await work(house)
    [stopped] = await scans(sender)
    assert (stopped["verdict"], stopped["stopped_count"]) == ("unscannable", 2)
    fine(await sender.client.post(sender.url(version="1.0.0", rest="/scan")))
    await work(house)
    whole, _ = await scans(sender)
    assert (whole["verdict"], whole["stopped_count"]) == ("executable_allow_listed", 0)
    await house.check()


async def test_a_scan_killed_before_it_was_recorded_is_done_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = house.sender()
    await sender.registered(TREE)
    with monkeypatch.context() as patched:

        async def killed(*_: object, **__: object) -> None:
            raise RuntimeError("killed")

        patched.setattr(actions, "record", killed)
        worker = InlineWorker(house.db, HANDLERS, context=house.registry.deps)
        [ran] = await worker.run_due()
        assert ran.outcome == "later"
    assert not await scans(sender)
    again = InlineWorker(house.db, HANDLERS, context=house.registry.deps)
    assert [one.outcome for one in await again.run_due(early=True)] == ["done"]
    assert len(await scans(sender)) == 1
    await house.check()


async def test_what_was_recorded_never_changes(house: House, owner_db: PostgresDatabase) -> None:
    sender = house.sender()
    await sender.registered(TREE)
    await work(house)
    for sql in (
        "UPDATE scan SET verdict = 'clean'",
        "DELETE FROM scan",
        "UPDATE file_scan SET verdict = 'clean'",
        "DELETE FROM file_scan",
        "TRUNCATE file_scan",
    ):
        with pytest.raises(asyncpg.PostgresError):
            async with owner_db.transaction() as tx:
                await tx.execute(sql)


async def test_a_result_changed_in_the_tables_is_noticed(
    house: House, owner_db: PostgresDatabase
) -> None:
    sender = house.sender()
    await sender.registered(TREE)
    await work(house)
    async with owner_db.transaction() as tx:
        await tx.execute("ALTER TABLE file_scan DISABLE TRIGGER immutable")
        await tx.execute("UPDATE file_scan SET result = '{}' WHERE verdict = 'clean'")
    with pytest.raises(AssertionError, match="file_scan"):
        await house.check()


async def test_who_may(house: House) -> None:
    sender = house.sender()
    await sender.registered(TREE)
    await work(house)
    [scan] = await scans(sender)
    viewer = house.registry.as_(Role.VIEWER, Scope("default"))
    stranger = house.registry.as_(Role.PUBLISHER, Scope("elsewhere"))
    base = sender.url(version="1.0.0")
    assert (await viewer.post(f"{base}/scan")).status_code == 403
    for rest in ("/scans", f"/scans/{scan['id']}", f"/scans/{scan['id']}/report"):
        assert (await viewer.get(base + rest)).status_code == 200
        assert (await stranger.get(base + rest)).status_code == 404
    assert (await stranger.post(f"{base}/scan")).status_code == 404
    for wrong in ("x", "01a1fc65-6121-7000-8bfb-3651fd695a46"):
        assert (await viewer.get(f"{base}/scans/{wrong}")).status_code == 404


async def test_policy_may_ask_for_the_newest(house: House) -> None:
    sender = house.sender()
    registered = await sender.registered(TREE)
    await work(house)
    async with house.registry.deps.db.transaction(read_only=True) as tx:
        version_id = await tx.fetchval("SELECT id FROM version")
        found = await scanning.newest_scan(tx, version_id)
        assert found is not None
        assert found.verdict is VerdictClass.EXECUTABLE_ALLOW_LISTED
    assert registered
