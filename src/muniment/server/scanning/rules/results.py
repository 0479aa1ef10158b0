"""Files, results, and the report of them all.

1. A file's result depends on its bytes, the ruleset and its hint: what of its name matters.
2. An artifact's verdict is that of its worst file.
3. A result is kept for the next version with the same file, unless the scan was stopped.

Source: R-085, R-096.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import posixpath
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from muniment.core.canon import canonical
from muniment.core.digest import Digest
from muniment.scan.records import FileReport, Severity, VerdictClass, worst
from muniment.scan.reports import FORMAT, report_json
from muniment.scan.validators.texts import PROGRAMS, TEMPLATES
from muniment.server.artifacts.records import File
from muniment.server.scanning.records import Result, Target

_STOPPED: Final = "unscannable.stopped"


def hint_of(path: str, siblings: Sequence[str]) -> str:
    """Return what of a file's name, and of the others', its result depends on; mostly nothing.

    Endings of programs and templates, whatever compression follows them; of ONNX models, whose
    data may be in other files, where all files are.
    """
    base = posixpath.basename(path).lower()
    if base.endswith(".onnx"):
        told = "\0".join((posixpath.dirname(path), *siblings))
        return f"onnx {hashlib.sha256(told.encode()).hexdigest()[:32]}"
    matters = any(ending in base for ending in (*PROGRAMS, *TEMPLATES)) or "chat_template" in base
    return base if matters else ""


def targets(files: Sequence[File]) -> tuple[Target, ...]:
    """Return what to scan of an artifact's files, in their order."""
    paths = [file.path for file in files]
    return tuple(Target(file, hint_of(file.path, paths)) for file in files)


def was_stopped(report: FileReport) -> bool:
    """Say whether a scan was ended before it was through: another try may come further."""
    return any(one.rule == _STOPPED for one in report.findings)


def result_bytes(report: FileReport) -> bytes:
    """Return a file's report as it is kept: canonical JSON."""
    return canonical(report_json(report))


def severities(results: Sequence[Result]) -> dict[str, int]:
    """Count findings by severity, the worst first; those that there are."""
    found = Counter(one.severity for result in results for one in result.report.findings)
    return {severity.value: found[severity] for severity in Severity if found[severity]}


def verdict(results: Sequence[Result]) -> VerdictClass:
    """Return the verdict of all files together."""
    return worst([one.report.verdict for one in results])


def report(
    results: Sequence[Result],
    *,
    subject: str,
    manifest: Digest,
    tool: tuple[str, str],
    ruleset: tuple[str, Digest],
    others: Sequence[tuple[str, str]],
    times: tuple[dt.datetime, dt.datetime],
) -> dict[str, Any]:
    """Return the report of a version's scan, in the format of `muniment.scan.reports`."""
    return {
        "format": FORMAT,
        "tool": {"name": tool[0], "version": tool[1]},
        "ruleset": {
            "id": ruleset[0],
            "digest": ruleset[1].hex,
            "with": [{"name": name, "version": version} for name, version in others],
        },
        "subject": subject,
        "manifest_sha256": manifest.hex,
        "started": _time(times[0]),
        "ended": _time(times[1]),
        "verdict": verdict(results).value,
        "files": [_file(one) for one in results],
    }


def _file(result: Result) -> dict[str, Any]:
    file = result.target.file
    return {
        "path": file.path,
        "sha256": file.digest.hex,
        "size_bytes": file.size_bytes,
        "reused": result.reused,
        **report_json(result.report),
    }


def _time(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
