"""The input document of policy, from what is held of a version: one function for each fact.

1. What is not known is left out: a rule that needs it fails.
2. Of several SBOMs, and of several statements of provenance, the one that proves most counts.
3. What evaluations and gates tell is `rules.evaluations`' to say.

Source: `muniment.server.policy.schemas.policy_input.v1.json`; R-080, R-082, R-098, R-111.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from muniment.scan.records import FileReport, Severity, VerdictClass
from muniment.server import catalog, evidence
from muniment.server.approvals.rules import evaluations
from muniment.server.approvals.rules.evaluations import components, hex_of, seconds
from muniment.server.approvals.rules.evaluations import name as name_of
from muniment.server.approvals.rules.evaluations import text as text_of
from muniment.server.catalog.records import Asset, Lifecycle, Version
from muniment.server.evidence.records import Assurance, Evidence, EvidenceKind
from muniment.server.scanning.records import Scan
from muniment.server.vulnerabilities.records import Finding, Outlook

SCHEMA: Final = "muniment.policy-input.v1"
_FINDINGS_MAX, _OPEN_MAX = 1000, 1000
_CLEAN: Final = frozenset({VerdictClass.CLEAN, VerdictClass.EXECUTABLE_ALLOW_LISTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the slices below hold of a version, at a moment.

    `evidence` is oldest first. `reports` are the results of the files of `scan`, by path, None where
    one was not kept; empty where nothing was found. `active` says of people by name whether they
    are. `vouched_for`: a pipeline registered the same files.
    """

    version: Version
    asset: Asset
    evidence: Sequence[Evidence] = ()
    scan: Scan | None = None
    reports: Sequence[tuple[str, FileReport | None]] = ()
    outlook: Outlook | None = None
    active: Mapping[str, bool] | None = None
    authors: Sequence[str] = ()
    vouched_for: bool = False


def document(
    held: Held,
    *,
    step: str,
    at: dt.datetime,
    environment: str | None,
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the input document. `extra` is put over it: members of `subject` and `asset` one by one."""
    tested = [
        (one, evidence.of_version(one, held.version, at))
        for one in held.evidence
        if one.kind in {EvidenceKind.EVALUATION, EvidenceKind.GATE}
    ]
    known: dict[str, Any] = {
        "schema": SCHEMA,
        "step": step,
        "at": seconds(at),
        "environment": environment,
        "subject": _subject(held),
        "asset": _asset(held),
        "sbom": _sbom(held),
        "provenance": _provenance(held),
        "scan": _scan(held),
        "vulnerabilities": _vulnerabilities(held.outlook),
        "evaluation": evaluations.evaluation(tested),
        "gates": evaluations.gates(tested),
        "documentation": {"missing": _undocumented(held)},
    }
    return overlaid({name: value for name, value in known.items() if value is not None}, extra)


def overlaid(known: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with `extra` put over it: members of `subject` and `asset` one by one."""
    found = dict(known)
    for name, value in extra.items():
        found[name] = {**found[name], **value} if name in {"subject", "asset"} else value
    return found


def _subject(held: Held) -> dict[str, Any]:
    version = held.version
    now = evidence.bound(EvidenceKind.EVALUATION, evidence.components_of(version))
    found: dict[str, Any] = {
        "ref": name_of(version.name),
        "kind": version.kind.value,
        "lifecycle": _lifecycle(held),
        "quarantined": version.standing.quarantined,
        "artifact_sha256": version.manifest_digest.hex,
        "components": components(now),
        "authors": [name_of(one) for one in held.authors],
    }
    if "generative" in version.metadata:
        found["generative"] = version.metadata["generative"]
    return found


def _lifecycle(held: Held) -> str:
    """What was said of it; else what follows from who registered it."""
    if held.version.standing.mark is not None:
        return held.version.standing.mark.value
    return (Lifecycle.CANDIDATE if held.vouched_for else Lifecycle.DRAFT).value


def _asset(held: Held) -> dict[str, Any]:
    state, metadata, active = held.asset.state, held.version.metadata, held.active or {}
    found: dict[str, Any] = {
        "name": name_of(held.asset.ref),
        "risk_tier": None if state.risk_tier is None else state.risk_tier.value,
        "allowed_uses": [name_of(one) for one in metadata.get("allowed_use_cases", ())],
        "prohibited_uses": [name_of(one) for one in metadata.get("prohibited_use_cases", ())],
    }
    for member, name in (
        ("owner_active", state.owner),
        ("backup_owner_active", state.backup_owner),
    ):
        if name is not None and name in active:
            found[member] = active[name]
    return found


def _undocumented(held: Held) -> list[str]:
    gaps = catalog.missing(
        held.asset.kind, Lifecycle.APPROVED, held.asset.state, held.version.metadata
    )
    return [gap.field for gap in gaps if gap.field in catalog.DOCUMENTATION]


# --- evidence ------------------------------------------------------------------------------------


def _of(held: Held, kind: EvidenceKind) -> list[Evidence]:
    return [one for one in held.evidence if one.kind is kind]


def _manifest_of(one: Evidence, held: Held) -> str:
    """The digest of the files a piece of evidence is about."""
    return hex_of(one.bound.get(held.version.kind.value, ""))


def _sbom(held: Held) -> dict[str, Any] | None:
    found = [
        {
            "subject_sha256": _manifest_of(one, held),
            "signed": one.assurance is Assurance.VERIFIED,
            "missing_elements": [
                name_of(each) for each in one.parsed["details"].get("missing_elements", [_UNKNOWN])
            ],
        }
        for one in _of(held, EvidenceKind.SBOM)
    ]
    return max(enumerate(found), key=_proves_most(held), default=(0, None))[1]


_UNKNOWN: Final = "not looked for"


def _proves_most(held: Held) -> Any:
    """Sort key of SBOMs and provenance: about these files, believed, whole; then the newest."""
    here = held.version.manifest_digest.hex

    def key(pair: tuple[int, Mapping[str, Any]]) -> tuple[bool, bool, bool, int]:
        at, one = pair
        believed = one.get("signed") or one.get("signer_allowed") or False
        return one["subject_sha256"] == here, believed, not one.get("missing_elements"), at

    return key


def _provenance(held: Held) -> dict[str, Any] | None:
    found = [
        {
            "subject_sha256": _manifest_of(one, held),
            "signer_allowed": one.assurance is Assurance.VERIFIED,
            **({} if one.signer is None else {"signer": text_of(one.signer)}),
        }
        for one in _of(held, EvidenceKind.PROVENANCE)
    ]
    return max(enumerate(found), key=_proves_most(held), default=(0, None))[1]


# --- scans and vulnerabilities -------------------------------------------------------------------


def _scan(held: Held) -> dict[str, Any] | None:
    version, scan = held.version, held.scan
    formats = [name_of(one) for one in version.formats]
    if version.file_count == 0:
        return {"complete": True, "executable": False, "formats": formats, "findings": []}
    if scan is None:
        return None
    told = [
        (path, one.rule)
        for path, report in held.reports
        if report is not None
        for one in report.findings
        if one.severity is not Severity.INFO
    ]
    unread = any(rule.startswith("unscannable.") for _, rule in told)
    kept = all(report is not None for _, report in held.reports)
    whole = scan.verdict in _CLEAN or (bool(held.reports) and kept and not unread)
    found = sorted({(rule, path) for path, rule in told if not rule.startswith("unscannable.")})
    return {
        "complete": whole and not scan.stopped_count,
        "executable": scan.executable,
        "formats": formats,
        "findings": [
            {"rule": name_of(rule), "path": text_of(path)} for rule, path in found[:_FINDINGS_MAX]
        ],
    }


#: The order in which what is open is told, should it be too much to tell all.
_GRAVITY: Final = ("critical", "unknown", "high", "medium", "low", "none")


def _gravity(one: Finding) -> tuple[bool, int]:
    return one.exploited is None, _GRAVITY.index(one.severity.value)


def _vulnerabilities(outlook: Outlook | None) -> dict[str, Any] | None:
    if outlook is None:
        return None
    still = sorted((one.finding for one in outlook.judged if one.open), key=_gravity)
    found: dict[str, Any] = {
        "snapshot_at": seconds(outlook.dated_at),
        "open": [
            {
                "id": name_of(one.name),
                "severity": one.severity.value,
                "component": text_of(one.purl or f"{one.component} {one.version or ''}".strip()),
                "exploited": one.exploited is not None,
            }
            for one in still[:_OPEN_MAX]
        ],
    }
    return found | ({"uncovered": list(outlook.uncovered)} if outlook.uncovered else {})
