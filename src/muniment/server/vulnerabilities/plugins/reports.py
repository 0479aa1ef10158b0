"""Results of matching as evidence: those this registry made are verified, another's is only said."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from typing import Any, Final

from muniment.core.digest import Digest
from muniment.core.errors import BadDigest
from muniment.server.evidence import Document, clean, refusal, text_at
from muniment.server.evidence.records import EvidenceKind, Parsed, Run, Unreadable
from muniment.server.vulnerabilities.records import Outcome, Severity
from muniment.server.vulnerabilities.rules.results import FORMAT

_MOST_NAMES: Final = 1000


class VulnerabilityReport:
    """Reads the result of a matching."""

    name = FORMAT
    version = "1"
    kind = EvidenceKind.VULNERABILITIES
    takes_nonfinite = False

    def recognises(self, document: Document) -> bool:
        """A JSON object that says so itself."""
        return text_at(document.value, "format") == FORMAT

    def parse(self, document: Document) -> Parsed | Unreadable:
        """Read what was found, and against which databases."""
        told = document.value
        try:
            return Parsed(
                kind=self.kind,
                format=self.name,
                format_version=self.version,
                run=Run(
                    tool_name=clean(told["tool"]["name"], 100),
                    tool_version=clean(told["tool"]["version"], 100),
                    started=_time(told["started"]),
                    ended=_time(told["ended"]),
                ),
                details=_details(told),
            )
        except (KeyError, TypeError, ValueError, AttributeError, BadDigest) as error:
            message = f"expected a result as this registry writes it: {clean(error, 200)}"
            return refusal(document.name, message, "send it as it was written")


def _time(text: Any) -> dt.datetime:
    found = dt.datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a time without its zone")
    return found


def _details(told: Any) -> dict[str, Any]:
    findings = told["findings"]
    sure = [one for one in findings if Outcome(one["outcome"]) is Outcome.AFFECTED]
    severities = Counter(Severity(one["severity"]).value for one in sure)
    return {
        "ruleset": clean(told["ruleset"], 100),
        "results_sha256": Digest.parse(told["results_sha256"]).hex,
        "components": json.loads(json.dumps(told["components"])),
        "databases": {
            clean(one["ecosystem"], 60): {
                "sha256": Digest.parse(one["sha256"]).hex,
                "dated_at": clean(one["dated_at"], 40),
            }
            for one in told["databases"]
        },
        "severities": dict(sorted(severities.items())),
        "undecided": len(findings) - len(sure),
        "exploited": sorted({clean(one["name"], 130) for one in sure if one["exploited"]}),
        "names": sorted({clean(one["name"], 130) for one in findings})[:_MOST_NAMES],
    }


PARSER: Final = VulnerabilityReport()
