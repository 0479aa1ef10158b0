"""What scans are made of."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from muniment.core.digest import Digest
from muniment.scan.records import FileReport, VerdictClass
from muniment.server.artifacts.records import File
from muniment.server.catalog.records import Version
from muniment.server.ledger.records import Actor


@dataclass(frozen=True, slots=True)
class Target:
    """A file to be scanned: `hint` is what of its name, and the others', its result depends on."""

    file: File
    hint: str


@dataclass(frozen=True, slots=True)
class Result:
    """What the scan of a file came to; `reused`: it was there, under the same ruleset."""

    target: Target
    report: FileReport
    reused: bool

    @property
    def key(self) -> tuple[Digest, str]:
        """What its result is kept under."""
        return self.target.file.digest, self.target.hint


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done for a version under a ruleset: all its files, and the results there are."""

    version: Version
    ruleset: Digest
    targets: tuple[Target, ...]
    known: Mapping[tuple[Digest, str], FileReport]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """A scan of all files of a version; it never changes.

    `severities` counts findings. `reused_count` files were scanned before under the same ruleset; of
    `stopped_count` the scan was ended for want of time or memory.
    """

    id: uuid.UUID
    version_id: uuid.UUID
    version_name: str
    ruleset_id: str
    ruleset: Digest
    tool_name: str
    tool_version: str
    verdict: VerdictClass
    executable: bool
    file_count: int
    reused_count: int
    stopped_count: int
    severities: Mapping[str, int]
    started_at: dt.datetime
    ended_at: dt.datetime
    report_digest: Digest
    report_bytes: int
    evidence_id: uuid.UUID
    recorded_at: dt.datetime
    actor: Actor
    entry_id: uuid.UUID
