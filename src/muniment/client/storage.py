"""The bytes as a whole: whether they are read again on time, and what was found."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from muniment.client.records import Record
from muniment.client.transport import Transport, api


class ScrubPass(Record, frozen=True, kw_only=True):
    """One reading of all stored bytes; `finding_count` counts blobs that were wrong in it."""

    started_at: dt.datetime
    finished_at: dt.datetime | None = None
    held_bytes: int = 0
    blob_count: int = 0
    size_bytes: int = 0
    finding_count: int = 0


class BlobFinding(Record, frozen=True, kw_only=True):
    """Stored bytes that are `missing` or `changed`, and what needs them."""

    sha256: str
    problem: str
    found_at: dt.datetime
    needed_for: str | None = None
    version_count: int = 0
    entry_id: str = ""


class Scrub(Record, frozen=True, kw_only=True):
    """How the scheduled reading of stored bytes stands."""

    last_full_pass: ScrubPass | None = None
    under_way: ScrubPass | None = None
    period_seconds: int = 0
    findings: Sequence[BlobFinding] = ()
    more_findings: bool = False


class Storage:
    """Calls about stored bytes; they need the role `auditor` or `admin`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def scrub(self) -> Scrub:
        """When all stored bytes were last read again, and what is wrong now."""
        return self._transport.get(api("scrub"), Scrub)
