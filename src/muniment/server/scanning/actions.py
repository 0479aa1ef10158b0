"""The verbs of scanning: ask for a scan, record what it found.

Files are read before, and outside of, the transaction that records; killed in between, the job runs
again. A version that was scanned whole under a ruleset is not scanned under it again.
"""

from __future__ import annotations

import datetime as dt
import functools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from muniment.core.digest import Digest
from muniment.scan import process
from muniment.scan.ruleset import RULESET_ID, TOOL
from muniment.server import evidence, ledger
from muniment.server.catalog.records import Version
from muniment.server.evidence.records import Assurance, Kept, New, Parsed
from muniment.server.identity.records import By
from muniment.server.ledger.records import Entry, Subject
from muniment.server.ports import queue
from muniment.server.ports.db import Tx
from muniment.server.ports.keys import Signer
from muniment.server.scanning import reads, store
from muniment.server.scanning.records import Plan, Result, Scan
from muniment.server.scanning.rules import folding, results

#: Who vouches for a report that the registry made itself.
SIGNER: Final = "this registry"


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of asking: the scan that is there already, or the job that will make it."""

    scan: Scan | None
    job_id: int | None


@functools.cache
def ruleset_now() -> Digest:
    """Return the digest of the rules that this process scans by."""
    return Digest.parse(process.ruleset_digest())


async def ask(tx: Tx, version: Version, ruleset: Digest) -> Asked:
    """Have a version scanned, unless it was under `ruleset` or is going to be. Repeatable."""
    done = await reads.newest_scan(tx, version.id, ruleset)
    if done is not None and not done.stopped_count:
        return Asked(done, None)
    job_id = await queue.enqueue(
        tx, "scanning.scan", {"version_id": str(version.id)}, key=reads.job_key(version.id)
    )
    return Asked(None, job_id if job_id is not None else await reads.job_of(tx, version.id))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found, the report of it that is held as a blob, and what evidence read from that."""

    found: Sequence[Result]
    kept: Kept
    parsed: Parsed
    tool_version: str
    started_at: dt.datetime
    ended_at: dt.datetime


async def record(tx: Tx, plan: Plan, report: Report, by: By, signer: Signer) -> Scan:
    """Record a scan: its evidence, the files' results, and its entries in the ledger.

    Returns the scan that is there already, and writes nothing, if somebody else was first.
    """
    version = plan.version
    await store.lock_version(tx, version.id)
    done = await reads.newest_scan(tx, version.id, plan.ruleset)
    if done is not None and not done.stopped_count:
        return done
    files = (one.file.digest for one in plan.targets)
    new = New(
        about=evidence.about_version(version, files),
        file_name="muniment-scan.json",
        digest=report.kept.digest,
        size_bytes=report.kept.size_bytes,
        parsed=report.parsed,
        kept=report.kept,
        assurance=Assurance.VERIFIED,
        signer=SIGNER,
    )
    made, _ = await evidence.record(tx, new, by, signer)
    scan = _scan(plan, report, made.id, by)
    await store.insert_scan(tx, scan)
    kept = await _keep(tx, scan, report.found)
    await _log(tx, version, scan, kept, by)
    return scan


def _scan(plan: Plan, report: Report, evidence_id: uuid.UUID, by: By) -> Scan:
    found = report.found
    return Scan(
        id=by.new_id(),
        version_id=plan.version.id,
        version_name=plan.version.name,
        ruleset_id=RULESET_ID,
        ruleset=plan.ruleset,
        tool_name=TOOL,
        tool_version=report.tool_version,
        verdict=results.verdict(found),
        executable=any(one.report.executable for one in found),
        file_count=len(found),
        reused_count=sum(one.reused for one in found),
        stopped_count=sum(results.was_stopped(one.report) for one in found),
        severities=results.severities(found),
        started_at=report.started_at,
        ended_at=report.ended_at,
        report_digest=report.kept.digest,
        report_bytes=report.kept.size_bytes,
        evidence_id=evidence_id,
        recorded_at=by.at,
        actor=by.actor,
        entry_id=by.new_id(),
    )


async def _keep(tx: Tx, scan: Scan, found: Sequence[Result]) -> list[Result]:
    """Keep results for the next version with the same files; return those that were not there."""
    new = {one.key: one for one in found if not one.reused and not results.was_stopped(one.report)}
    kept = await store.insert_results(tx, scan, list(new.values())) if new else set()
    return [one for key, one in new.items() if key in kept]


async def _log(tx: Tx, version: Version, scan: Scan, kept: Sequence[Result], by: By) -> None:
    subject = Subject("scan", str(scan.id), version.name, version.asset_id)
    for payload in folding.files_payloads(scan.ruleset, kept):
        files = Entry(by.new_id(), by.at, folding.FILES, by.actor, subject, payload)
        await ledger.append(tx, files)
    entry = Entry(
        id=scan.entry_id,
        at=by.at,
        act=folding.RECORD,
        actor=by.actor,
        subject=subject,
        payload=folding.payload(scan),
        digests=(version.manifest_digest, scan.ruleset, scan.report_digest),
    )
    await ledger.append(tx, entry)
