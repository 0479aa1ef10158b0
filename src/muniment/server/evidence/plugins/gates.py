"""Gate plans (`muniment/gate-plan/v1`), which people write, and gate records, which the registry does.

Source: requirements §1.6; R-075.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections import Counter
from typing import Any, Final

import jsonschema_rs

from muniment.server.evidence.plugins import evaluations, sboms
from muniment.server.evidence.records import EvidenceKind, Parsed, Run, Unreadable
from muniment.server.evidence.rules.gates import PLAN_SCHEMA, SCHEMA
from muniment.server.evidence.rules.reading import (
    Document,
    items_at,
    refusal,
    text_at,
    walk,
)

_RECORD_MEMBERS: Final = (
    "gate",
    "order",
    "result",
    "blocking",
    "checks",
    "evidence",
    "policy",
    "started",
    "ended",
)


@functools.cache
def validator() -> jsonschema_rs.Validator:
    """Return the validator of gate plans."""
    at = importlib.resources.files("muniment.server.evidence") / "schemas" / "gate_plan.v1.json"
    return jsonschema_rs.Draft202012Validator(sboms.load_schema(at), offline=True)


class GatePlan:
    """Reads a plan; all of it is kept in `details`."""

    name = "gate-plan"
    version = "1"
    kind = EvidenceKind.GATE
    takes_nonfinite = False

    def recognises(self, document: Document) -> bool:
        """It says so itself."""
        return text_at(document.value, "schema") == PLAN_SCHEMA

    def parse(self, document: Document) -> Parsed | Unreadable:
        """Check it against its schema; no gate twice."""
        plan = document.value
        problems = sboms.schema_problems(validator(), plan, document.name)
        if problems:
            return Unreadable(tuple(problems))
        names = Counter(gate["gate"] for gate in plan["gates"])
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            return refusal(
                f"{document.name} /gates", f"expected each gate once, found {twice[0]} again"
            )
        return Parsed(kind=self.kind, format=self.name, format_version=self.version, details=plan)


class GateRecord:
    """Reads what became of a gate."""

    name = "gate"
    version = "1"
    kind = EvidenceKind.GATE
    takes_nonfinite = False

    def recognises(self, document: Document) -> bool:
        """It says so itself."""
        return text_at(document.value, "schema") == SCHEMA

    def parse(self, document: Document) -> Parsed | Unreadable:
        """Take it as it is, if it is whole."""
        record: dict[str, Any] = document.value
        missing = [name for name in _RECORD_MEMBERS if name not in record]
        if missing or walk(record, "result") not in {"passed", "failed", "passed_with_exception"}:
            what = f"expected a gate record, found one without {', '.join(missing) or 'a result'}"
            return refusal(document.name, what)
        run = Run(
            tool_name=text_at(record, "tool", "name"),
            tool_version=text_at(record, "tool", "version"),
            started=evaluations.local_moment(walk(record, "started")),
            ended=evaluations.local_moment(walk(record, "ended")),
        )
        details = {name: record[name] for name in ("gate", "order", "result", "blocking", "policy")}
        failed = [
            check for check in items_at(record, "checks") if walk(check, "result") != "passed"
        ]
        details |= {"checks": len(items_at(record, "checks")), "failed": failed[:100]}
        return Parsed(
            kind=self.kind, format=self.name, format_version=self.version, run=run, details=details
        )


PLAN: Final = GatePlan()
RECORD: Final = GateRecord()
