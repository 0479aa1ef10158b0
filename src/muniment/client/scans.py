"""Scans: what the registry found in a version's files, and the same rules on a disk."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from muniment.client.paging import all_items
from muniment.client.progress import Meter, OnProgress
from muniment.client.records import Page, Record, Version
from muniment.client.transport import Transport
from muniment.client.versions import Versions, version_path
from muniment.core.errors import Unavailable

_FIRST_WAIT_SECONDS = 0.2
_LONGEST_WAIT_SECONDS = 3.0


class Scan(Record, frozen=True, kw_only=True):
    """What a scan of a version found; `verdict` is that of its worst file.

    `clean`, `executable_allow_listed`, `unscannable` or `findings`. `severities` counts findings.
    `current`: the rules of now are those it was made by.
    """

    id: str
    version: str
    verdict: str
    executable: bool
    severities: dict[str, int] = msgspec.field(default_factory=dict)
    file_count: int = 0
    reused_count: int = 0
    stopped_count: int = 0
    tool: dict[str, str] = msgspec.field(default_factory=dict)
    ruleset_id: str = ""
    ruleset: str = ""
    current: bool = True
    started_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    report_digest: str = ""
    evidence_id: str | None = None
    recorded_at: dt.datetime | None = None
    entry_id: str | None = None


class Asked(Record, frozen=True, kw_only=True):
    """What became of asking for a scan: `done` with it, or `due` with the job that will make it."""

    state: str
    scan: Scan | None = None
    job_id: int | None = None


class Scans:
    """Calls about scans of versions."""

    def __init__(self, transport: Transport, versions: Versions) -> None:
        self._transport, self._versions = transport, versions

    def ask(self, ref: str | Version) -> Asked:
        """Have a version scanned, unless it was under the rules of now. Repeating it does no more."""
        return self._transport.send("POST", self._path(ref, "scan"), None, Asked)

    def of(self, ref: str | Version) -> list[Scan]:
        """Every scan of a version, newest first."""
        path = self._path(ref, "scans")
        return list(
            all_items(lambda cursor: self._transport.get(path, Page[Scan], {"cursor": cursor}))
        )

    def run(self, ref: str | Version, *, timeout: float = 600.0) -> Scan:
        """Have a version scanned and wait for it; return the scan under the rules of now.

        Raises:
            Unavailable: there is none after `timeout` seconds; it goes on.
        """
        version = self._versions.get(ref) if isinstance(ref, str) else ref
        until, wait = time.monotonic() + timeout, _FIRST_WAIT_SECONDS
        while True:
            asked = self.ask(version)
            if asked.scan is not None:
                return asked.scan
            newest = next(iter(self.of(version)), None)
            if newest is not None and newest.current and newest.stopped_count:
                return newest  # it would be stopped again
            if time.monotonic() + wait > until:
                job = "" if asked.job_id is None else f" (job {asked.job_id})"
                raise Unavailable(
                    f"{version.ref} is not scanned yet{job}: ask again later; without workers"
                    " (`muniment worker`, or `serve` with jobs) nothing scans it"
                )
            time.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT_SECONDS)

    def report(self, ref: str | Version, scan: Scan | str) -> dict[str, Any]:
        """The report of a scan: every file and every finding, as it was written."""
        scan_id = scan.id if isinstance(scan, Scan) else scan
        path = self._path(ref, "scans", scan_id, "report")
        found: dict[str, Any] = msgspec.json.decode(self._transport.request("GET", path).content)
        return found

    def _path(self, ref: str | Version, *more: str) -> str:
        version = self._versions.get(ref) if isinstance(ref, str) else ref
        return version_path(version, *more)


def scan_local(
    path: str | os.PathLike[str], *, on_progress: OnProgress | None = None
) -> dict[str, Any]:
    """Scan a file or folder here, by the same rules, sending nothing; return the report.

    Raises:
        FileNotFoundError: there is nothing at `path`.
    """
    # Only who scans needs it.
    from muniment.scan.trees import files_in, scan_tree  # noqa: PLC0415

    sizes = [at.lstat().st_size for _, at in files_in(Path(path))]
    meter = Meter("scan", len(sizes), sum(sizes), on_progress)

    def done(name: str, size_bytes: int) -> None:
        del name
        meter.add_bytes(size_bytes)
        meter.add_file()

    return scan_tree(Path(path), progress=done)


def worst_first(findings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return findings of a report, the most severe first."""
    order = ("critical", "high", "medium", "low", "info")
    return sorted(findings, key=lambda one: order.index(one["severity"]))
