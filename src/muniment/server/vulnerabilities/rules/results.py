"""What was found of a subject, as the file that becomes its evidence.

1. Two results are the same if the same components came to the same findings, whenever that was and
   against whichever snapshots: `results_sha256` is over that alone.
2. Statements (VEX) play no part: they end, and evidence does not change.

Source: R-093, R-096.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from muniment.core.digest import Digest, digest_of
from muniment.server.vulnerabilities.records import (
    Database,
    Examined,
    Finding,
    Outcome,
    Severity,
)
from muniment.server.vulnerabilities.rules.findings import RULESET_ID

FORMAT: Final = "muniment/vulnerabilities/v1"
_ENCODER: Final = msgspec.json.Encoder(order="deterministic")


def finding_json(one: Finding) -> dict[str, Any]:
    """Return a finding as JSON."""
    found: dict[str, Any] = msgspec.to_builtins(one)
    return found


def digest(examined: Examined) -> Digest:
    """Return the digest of what was found."""
    return digest_of(_ENCODER.encode(_found(examined)))


def _found(examined: Examined) -> dict[str, Any]:
    return {
        "ruleset": RULESET_ID,
        "sboms": [str(one) for one in examined.sboms],
        "components": {
            "total": examined.component_count,
            "unidentified": examined.unidentified_count,
            "uncovered": dict(examined.uncovered),
        },
        "findings": examined.findings,
    }


def report(
    examined: Examined,
    *,
    subject: str,
    databases: Sequence[Database],
    tool: tuple[str, str],
    times: tuple[dt.datetime, dt.datetime],
) -> bytes:
    """Return the report of a subject: JSON with sorted members."""
    return _ENCODER.encode(
        {
            "format": FORMAT,
            "tool": {"name": tool[0], "version": tool[1]},
            "subject": subject,
            "started": times[0],
            "ended": times[1],
            "databases": [database_json(one) for one in databases],
            "results_sha256": digest(examined).hex,
            **_found(examined),
        }
    )


def database_json(one: Database) -> dict[str, Any]:
    """Return what a result says of a database it was held against."""
    return {
        "ecosystem": one.ecosystem,
        "id": str(one.id),
        "sha256": one.digest.hex,
        "dated_at": one.dated_at,
        "records": one.record_count,
    }


def results_digest(found: Mapping[tuple[str, str], str]) -> Digest:
    """Return the digest over every subject and the digest of what was found of it."""
    lines = (f"{kind} {id_} {hexed}\n" for (kind, id_), hexed in sorted(found.items()))
    return digest_of("".join(lines).encode())


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """Count findings that are sure by severity, the worst first; those that there are."""
    found = Counter(one.severity for one in findings if one.outcome is Outcome.AFFECTED)
    return {severity.value: found[severity] for severity in Severity if found[severity]}
