"""How the tables of scans follow from the log. Source: design §1 (promise 5), §5.6."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from muniment.core.digest import Digest, digest_of
from muniment.core.entry import time_text
from muniment.server.ledger.records import Fields, Key, Recorded
from muniment.server.scanning.records import Result, Scan
from muniment.server.scanning.rules.results import result_bytes

RECORD: Final = "scan.record"
FILES: Final = "scan.files"
#: So many files are named in one entry: what an entry may hold is bounded.
FILES_AT_ONCE: Final = 500


def payload(scan: Scan) -> Fields:
    """Return the payload of `scan.record`: all that its row holds but the entry's own."""
    return {
        "version_id": str(scan.version_id),
        "version_name": scan.version_name,
        "ruleset_id": scan.ruleset_id,
        "ruleset": scan.ruleset.hex,
        "tool_name": scan.tool_name,
        "tool_version": scan.tool_version,
        "verdict": scan.verdict.value,
        "executable": scan.executable,
        "file_count": scan.file_count,
        "reused_count": scan.reused_count,
        "stopped_count": scan.stopped_count,
        "severities": dict(scan.severities),
        "started_at": time_text(scan.started_at),
        "ended_at": time_text(scan.ended_at),
        "report_digest": scan.report_digest.hex,
        "report_bytes": scan.report_bytes,
        "evidence_id": str(scan.evidence_id),
    }


def files_payloads(ruleset: Digest, kept: Sequence[Result]) -> list[dict[str, Any]]:
    """Return the payloads of `scan.files`: which results were kept, and the digest of each."""
    named = [
        {
            "digest": one.target.file.digest.hex,
            "hint": one.target.hint,
            "verdict": one.report.verdict.value,
            "result_sha256": digest_of(result_bytes(one.report)).hex,
        }
        for one in kept
    ]
    return [
        {"ruleset": ruleset.hex, "files": named[at : at + FILES_AT_ONCE]}
        for at in range(0, len(named), FILES_AT_ONCE)
    ]


def fold_scan(rows: dict[Key, Fields], entry: Recorded) -> None:
    """Apply `scan.record`."""
    if entry.act != RECORD or entry.payload is None:
        return
    rows[entry.subject.id] = {
        **entry.payload,
        "recorded_at": time_text(entry.at),
        "actor_kind": entry.actor.kind,
        "actor_id": entry.actor.id,
        "entry_id": str(entry.id),
    }


def file_key(digest: str, ruleset: str, hint: str) -> str:
    """Return the key of a file's result."""
    return f"{digest} {ruleset} {hint}"


def fold_file_scan(rows: dict[Key, Fields], entry: Recorded) -> None:
    """Apply `scan.files`."""
    if entry.act != FILES or entry.payload is None:
        return
    ruleset = entry.payload["ruleset"]
    for one in entry.payload["files"]:
        rows[file_key(one["digest"], ruleset, one["hint"])] = {
            "verdict": one["verdict"],
            "result_sha256": one["result_sha256"],
            "scan_id": entry.subject.id,
        }
