"""Scan reports as evidence: those this registry made, and those of `muniment scan --json` elsewhere.

Only the registry's own are verified: another's is what somebody says they ran.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any, Final

from muniment.core.digest import Digest
from muniment.core.errors import BadDigest
from muniment.scan.records import FileReport, VerdictClass, worst
from muniment.scan.reports import FORMAT, report_from
from muniment.server.evidence import Document, clean, refusal, text_at
from muniment.server.evidence.records import EvidenceKind, Flag, Parsed, Run, Unreadable

_MOST_RULES: Final = 200


class ScanReport:
    """Reads a scan's report."""

    name = "muniment/scan/v1"
    version = "1"
    kind = EvidenceKind.SCAN
    takes_nonfinite = False

    def recognises(self, document: Document) -> bool:
        """A JSON object that says so itself."""
        return text_at(document.value, "format") == FORMAT

    def parse(self, document: Document) -> Parsed | Unreadable:
        """Read verdict, ruleset and findings; hold the verdict against those of the files."""
        told = document.value
        try:
            files = [report_from(one) for one in told["files"]]
            run, subjects = _run(told), _subjects(told)
            said = VerdictClass(told["verdict"])
        except (KeyError, TypeError, ValueError, AttributeError, BadDigest) as error:
            message = f"expected a report as `muniment scan --json` writes it: {clean(error, 200)}"
            return refusal(document.name, message, "send the report as it was written")
        found = worst([one.verdict for one in files])
        return Parsed(
            kind=self.kind,
            format=self.name,
            format_version=self.version,
            run=run,
            flags=frozenset() if said is found else frozenset({Flag.EDITED}),
            subjects=subjects,
            details=_details(told, files, found),
        )


def _run(told: Any) -> Run:
    return Run(
        tool_name=clean(told["tool"]["name"], 100),
        tool_version=clean(told["tool"]["version"], 100),
        started=_time(told["started"]),
        ended=_time(told["ended"]),
        config_digest=f"sha256:{Digest.parse(told['ruleset']['digest']).hex}",
    )


def _time(text: Any) -> dt.datetime:
    found = dt.datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a time without its zone")
    return found


def _subjects(told: Any) -> tuple[Digest, ...]:
    """The artifact, where it is named; what was scanned on a disk names none."""
    named = told.get("manifest_sha256")
    return () if named is None else (Digest.parse(named),)


def _details(told: Any, files: list[FileReport], verdict: VerdictClass) -> dict[str, Any]:
    findings = [one for file in files for one in file.findings]
    rules = Counter(one.rule for one in findings)
    return {
        "verdict": verdict.value,
        "executable": any(one.executable for one in files),
        "files": len(files),
        "ruleset": clean(told["ruleset"]["id"], 100),
        "severities": dict(sorted(Counter(one.severity.value for one in findings).items())),
        "rules": dict(sorted(rules.items())[:_MOST_RULES]),
        "formats": sorted({one.format for one in files}),
        "opinions": dict(
            sorted(
                Counter(
                    f"{one.tool}: {one.says}" for file in files for one in file.opinions
                ).items()
            )
        ),
    }


PARSER: Final = ScanReport()
