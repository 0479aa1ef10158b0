"""Scans are jobs: asked for when a version is registered, and when the rules have changed.

Files are read in processes of their own, one after the other, with limits of memory and time; the
server itself only waits. Killed at any point, a scan is done again; what was recorded is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from muniment.core.canon import canonical
from muniment.core.digest import Digest
from muniment.core.errors import BadEvidence
from muniment.scan import process
from muniment.scan.process import Allowance, Processes
from muniment.scan.records import FileReport
from muniment.scan.ruleset import RULESET_ID, TOOL, tool_version
from muniment.server import evidence
from muniment.server.evidence.records import EvidenceKind, Unreadable
from muniment.server.http.operation import Deps
from muniment.server.identity.records import By
from muniment.server.ledger.records import Actor
from muniment.server.ports import queue
from muniment.server.ports.queue import GiveUp, Handler, Job, Periodic
from muniment.server.scanning import actions, reads
from muniment.server.scanning.records import Plan, Result, Scan, Target
from muniment.server.scanning.rules import results

_ACTOR: Final = Actor("system", "scanner")
_ASKED_AT_ONCE: Final = 200
_LEFT_AFTER: Final = dt.timedelta(days=1)


async def scan(deps: Deps, job: Job) -> Scan | None:
    """Scan the version that `job` names; None if it was scanned already.

    Raises:
        GiveUp: there is no such version.
        NotFound: its bytes are not held; `fsck` says more.
    """
    version_id = uuid.UUID(str(job.payload["version_id"]))
    ruleset = await asyncio.to_thread(actions.ruleset_now)
    async with deps.db.transaction(read_only=True) as tx:
        version = await reads.find_version(tx, version_id)
        if version is None:
            raise GiveUp(f"there is no version {version_id}")
        done = await reads.newest_scan(tx, version.id, ruleset)
        if done is not None and not done.stopped_count:
            return None
        plan = await reads.plan(tx, version, ruleset)
    started_at = deps.clock.now()
    found = await _scan_files(deps, plan)
    report = await _report(deps, plan, found, started_at)
    by = By(_ACTOR, deps.clock.now(), deps.clock.new_id)
    async with deps.db.transaction() as tx:
        return await actions.record(tx, plan, report, by, deps.keys.record)


async def _scan_files(deps: Deps, plan: Plan) -> list[Result]:
    """Return what each file of the version came to, in their order; same bytes are read once."""
    allowance = Allowance(deps.settings.scan_memory_bytes, deps.settings.scan_time.total_seconds())
    known: dict[tuple[Digest, str], FileReport] = dict(plan.known)
    siblings = [one.file.path for one in plan.targets]
    found = []
    with Processes(allowance) as processes:
        for target in plan.targets:
            key = (target.file.digest, target.hint)
            reused = key in plan.known
            if key not in known:
                known[key] = await _scan_file(deps, processes, target, siblings)
            found.append(Result(target, known[key], reused))
    return found


async def _scan_file(
    deps: Deps, processes: Processes, target: Target, siblings: list[str]
) -> FileReport:
    told = siblings if target.hint.startswith("onnx ") else None
    async with _on_disk(deps, target.file.digest) as path:
        return await asyncio.to_thread(processes.scan, path, target.file.path, siblings=told)


@contextlib.asynccontextmanager
async def _on_disk(deps: Deps, digest: Digest) -> AsyncIterator[str]:
    """Give the file of a blob; a copy of it where the store has none.

    Raises:
        NotFound: it is not held.
    """
    path = await deps.blobs.local_path(digest)
    if path is not None:
        yield path
        return
    folder = _folder(deps)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder) as copy:
        async for chunk in deps.blobs.read(digest):
            await asyncio.to_thread(copy.write, chunk)
        await asyncio.to_thread(copy.flush)
        yield copy.name


def _folder(deps: Deps) -> Path:
    return deps.settings.data_dir / "scanning"


async def _report(
    deps: Deps, plan: Plan, found: list[Result], started_at: dt.datetime
) -> actions.Report:
    """Return the report of `found`, held and read as any evidence is."""
    version, ended_at = tool_version(), deps.clock.now()
    told = results.report(
        found,
        subject=plan.version.name,
        manifest=plan.version.manifest_digest,
        tool=(TOOL, version),
        ruleset=(RULESET_ID, plan.ruleset),
        others=process.others(),
        times=(started_at, ended_at),
    )
    data = canonical(told)
    kept = await evidence.keep(deps.blobs, data, deps.clock.new_id())
    parsed = await evidence.parse_held(
        deps.blobs, kept.digest, len(data), "muniment-scan.json", kind=EvidenceKind.SCAN,
        limits=evidence.Limits(),
    )  # fmt: skip
    if isinstance(parsed, Unreadable):
        raise BadEvidence(f"the scan's own report cannot be read: {parsed.problems}")
    return actions.Report(
        found=found,
        kept=kept,
        parsed=parsed,
        tool_version=version,
        started_at=started_at,
        ended_at=ended_at,
    )


async def sweep(deps: Deps) -> int:
    """Ask for scans of versions that have none under the rules of now; return how many. Repeatable.

    Copies that a killed scan left are removed after a day.
    """
    ruleset = await asyncio.to_thread(actions.ruleset_now)
    async with deps.db.transaction() as tx:
        missing = await reads.unscanned(tx, ruleset, _ASKED_AT_ONCE)
        for version_id in missing:
            key = reads.job_key(version_id)
            await queue.enqueue(tx, "scanning.scan", {"version_id": str(version_id)}, key=key)
    await asyncio.to_thread(_remove_left, _folder(deps), deps.clock.now() - _LEFT_AFTER)
    return len(missing)


def _remove_left(folder: Path, before: dt.datetime) -> None:
    for file in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_mtime < before.timestamp():
                file.unlink()


HANDLERS: list[Handler] = [
    Handler("scanning.scan", scan, at_once=2, gives_way=True),
    Handler("scanning.sweep", lambda deps, _job: sweep(deps), attempts=3),
]
PERIODIC: list[Periodic] = [Periodic("scanning.sweep", "*/10 * * * *")]
