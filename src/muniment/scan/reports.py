"""Reports as JSON: between processes, in files, and what `muniment scan --json` prints.

{"format": "https://muniment.dev/scan/v1", "tool": {"name", "version"},
"ruleset": {"id", "digest", "with": [{"name", "version"}]}, "subject", "started", "ended",
"verdict", "files": [{"path", "sha256"?, "size_bytes", "format", "executable", "verdict",
"findings": [{"rule", "severity", "member", "offset", "what", "why", "remedy"}],
"opinions": [{"tool", "tool_version", "says", "detail"}]}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from muniment.scan.records import (
    FileReport,
    Finding,
    Opinion,
    Place,
    Severity,
    VerdictClass,
)

FORMAT: Final = "https://muniment.dev/scan/v1"


def finding_json(one: Finding) -> dict[str, Any]:
    """Return a finding as JSON."""
    return {
        "rule": one.rule,
        "severity": one.severity.value,
        "member": one.place.member,
        "offset": one.place.offset,
        "what": one.what,
        "why": one.why,
        "remedy": one.remedy,
    }


def finding_from(told: Mapping[str, Any]) -> Finding:
    """Read a finding.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    offset = told["offset"]
    place = Place(str(told["member"]), None if offset is None else int(offset))
    return Finding(
        str(told["rule"]),
        Severity(told["severity"]),
        place,
        str(told["what"]),
        str(told["why"]),
        str(told["remedy"]),
    )


def report_json(report: FileReport) -> dict[str, Any]:
    """Return a file's report as JSON."""
    return {
        "format": report.format,
        "executable": report.executable,
        "verdict": report.verdict.value,
        "findings": [finding_json(one) for one in report.findings],
        "opinions": [
            {
                "tool": one.tool,
                "tool_version": one.tool_version,
                "says": one.says,
                "detail": one.detail,
            }
            for one in report.opinions
        ],
    }


def report_from(told: Mapping[str, Any]) -> FileReport:
    """Read a file's report.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    return FileReport(
        str(told["format"]),
        bool(told["executable"]),
        VerdictClass(told["verdict"]),
        tuple(finding_from(one) for one in told["findings"]),
        tuple(
            Opinion(
                str(one["tool"]), str(one["tool_version"]), str(one["says"]), str(one["detail"])
            )
            for one in told["opinions"]
        ),
    )
