"""What VEX statements say of findings.

1. A statement is about a vulnerability if it names one of its names, and about a component if one of
   its targets is that package (and version, where it names one), or the version as a whole.
2. Of several that hold, the one added last decides; within a document the last.
3. One that is over does nothing: the finding is open again.
4. `not_affected` and `fixed` close a finding; the others do not.

Source: OpenVEX 0.2.0; CycloneDX 1.6 (vulnerability analysis); R-090.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from muniment.server.evidence import clean, problem, read_purl
from muniment.server.vulnerabilities.records import (
    Finding,
    Given,
    Judged,
    Statement,
    Status,
    Target,
)

LIFETIME_DEFAULT: Final = dt.timedelta(days=90)
LIFETIME_MAX: Final = dt.timedelta(days=366)
_MAX_STATEMENTS: Final = 5000

#: Source: OpenVEX 0.2.0 (status justifications).
JUSTIFICATIONS: Final = frozenset(
    {"component_not_present", "vulnerable_code_not_present", "vulnerable_code_not_in_execute_path",
     "vulnerable_code_cannot_be_controlled_by_adversary", "inline_mitigations_already_exist"}
)  # fmt: skip
#: Source: CycloneDX 1.6 (impactAnalysisJustification).
CYCLONEDX_JUSTIFICATIONS: Final = frozenset(
    {"code_not_present", "code_not_reachable", "requires_configuration", "requires_dependency",
     "requires_environment", "protected_by_compiler", "protected_at_runtime",
     "protected_at_perimeter", "protected_by_mitigating_control"}
)  # fmt: skip
#: What the states of CycloneDX are as statuses. Source: CycloneDX 1.6 (impactAnalysisState).
STATES: Final[Mapping[str, Status]] = {
    "resolved": Status.FIXED,
    "resolved_with_pedigree": Status.FIXED,
    "exploitable": Status.AFFECTED,
    "in_triage": Status.UNDER_INVESTIGATION,
    "false_positive": Status.NOT_AFFECTED,
    "not_affected": Status.NOT_AFFECTED,
}


# --- reading -------------------------------------------------------------------------------------


def read_openvex(value: Mapping[str, Any], name: str) -> list[Statement] | list[dict[str, Any]]:
    """Return the statements of an OpenVEX document, or all that is wrong with them."""
    return _read(value.get("statements"), f"{name} $.statements", _openvex)


def read_cyclonedx(value: Mapping[str, Any], name: str) -> list[Statement] | list[dict[str, Any]]:
    """Return the statements of a CycloneDX VEX document, or all that is wrong with them."""
    metadata = value.get("metadata")
    product = metadata.get("component") if isinstance(metadata, dict) else None
    own = product.get("bom-ref") if isinstance(product, dict) else None
    place = f"{name} $.vulnerabilities"
    return _read(value.get("vulnerabilities"), place, functools.partial(_cyclonedx, own))


def _read(listed: Any, place: str, one: Any) -> list[Statement] | list[dict[str, Any]]:
    if not isinstance(listed, list) or not 0 < len(listed) <= _MAX_STATEMENTS:
        return [problem(place, f"expected a list of 1 to {_MAX_STATEMENTS} statements")]
    problems: list[dict[str, Any]] = []
    found = []
    for at, each in enumerate(listed):
        where = f"{place}[{at}]"
        if isinstance(each, dict):
            found.append(one(each, where, problems))
        else:
            problems.append(problem(where, "expected an object"))
    return problems or found


def _openvex(value: Mapping[str, Any], place: str, problems: list[dict[str, Any]]) -> Statement:
    said = value.get("status")
    status = next((one for one in Status if one.value == said), None)
    if status is None:
        message = f"expected one of {', '.join(Status)}, found {clean(said, 40)!r}"
        problems.append(problem(f"{place}.status", message))
    names = _names_of(value.get("vulnerability"))
    if not names:
        problems.append(problem(f"{place}.vulnerability", "expected the name of a vulnerability"))
    justification = clean(value.get("justification"), 100)
    if status is Status.NOT_AFFECTED and justification not in JUSTIFICATIONS:
        message = f"expected one of {', '.join(sorted(JUSTIFICATIONS))}, found {justification!r}"
        problems.append(problem(f"{place}.justification", message, _WHY))
    said_more = (
        value.get("impact_statement"),
        value.get("action_statement"),
        value.get("status_notes"),
    )
    return Statement(
        names=names,
        status=status or Status.AFFECTED,
        justification=justification,
        detail=clean("; ".join(one for one in said_more if isinstance(one, str)), 500),
        targets=_products(value.get("products")),
    )


_WHY: Final = "say why it is not affected: a statement without its reason closes nothing"


def _names_of(value: Any) -> tuple[str, ...]:
    """Return the names of a vulnerability: text, or an object with `name`, `@id` and `aliases`."""
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, dict):
        return ()
    aliases = value.get("aliases")
    said = [value.get("name"), value.get("@id"), *(aliases if isinstance(aliases, list) else ())]
    names = {one.rstrip("/").rpartition("/")[2] for one in said if isinstance(one, str)}
    return tuple(sorted(clean(one, 130) for one in names if one))


def _products(value: Any) -> tuple[Target, ...]:
    """Return what products are about: their subcomponents, where they name any; else themselves."""
    if not isinstance(value, list) or not value:
        return (Target(whole=True),)
    found: list[Target] = []
    for one in value:
        below = one.get("subcomponents") if isinstance(one, dict) else None
        for each in below if isinstance(below, list) and below else [one]:
            found += _target(each)
    return tuple(found)


def _target(value: Any) -> list[Target]:
    if isinstance(value, str):
        value = {"@id": value}
    if not isinstance(value, dict):
        return []
    identifiers, hashes = value.get("identifiers"), value.get("hashes")
    said = [value.get("@id"), *(identifiers.values() if isinstance(identifiers, dict) else ())]
    texts = [one for one in said if isinstance(one, str)]
    digests = [
        one for one in (hashes.values() if isinstance(hashes, dict) else ()) if isinstance(one, str)
    ]
    for text in texts:
        told = read_purl(text)
        if told is not None:
            return [Target(told.key, told.version, ids=(*texts, *digests))]
    return [Target(whole=True, ids=(*texts, *digests))] if texts or digests else []


def _cyclonedx(
    product: Any, value: Mapping[str, Any], place: str, problems: list[dict[str, Any]]
) -> Statement:
    analysis = value.get("analysis")
    analysis = analysis if isinstance(analysis, dict) else {}
    said = analysis.get("state")
    status = STATES.get(said) if isinstance(said, str) else None
    if status is None:
        message = f"expected one of {', '.join(STATES)}, found {clean(said, 40)!r}"
        problems.append(problem(f"{place}.analysis.state", message))
    name = value.get("id")
    if not isinstance(name, str) or not name:
        problems.append(problem(f"{place}.id", "expected the name of a vulnerability"))
    justification, detail = clean(analysis.get("justification"), 100), clean(analysis.get("detail"))
    reasoned = justification in CYCLONEDX_JUSTIFICATIONS or (said == "false_positive" and detail)
    if status is Status.NOT_AFFECTED and not reasoned:
        expected = ", ".join(sorted(CYCLONEDX_JUSTIFICATIONS))
        message = f"expected one of {expected}, found {justification!r}"
        problems.append(problem(f"{place}.analysis.justification", message, _WHY))
    references = value.get("references")
    others = (
        [one.get("id") for one in references or () if isinstance(one, dict)]
        if isinstance(references, list)
        else []
    )
    names = {one for one in (name, *others) if isinstance(one, str) and one}
    return Statement(
        names=tuple(sorted(clean(one, 130) for one in names)),
        status=status or Status.AFFECTED,
        justification=justification or ("false_positive" if reasoned else ""),
        detail=detail,
        targets=_affects(value.get("affects"), product),
    )


def _affects(value: Any, product: Any) -> tuple[Target, ...]:
    if not isinstance(value, list) or not value:
        return (Target(whole=True),)
    refs = [one.get("ref") for one in value if isinstance(one, dict)]
    found: list[Target] = []
    for ref in refs:
        if not isinstance(ref, str):
            continue
        last = ref.partition("#")[2] if ref.startswith("urn:cdx:") else ref
        if product is not None and last == product:
            found.append(Target(whole=True))
        else:
            found += _target(last)
    return tuple(found)


# --- judging -------------------------------------------------------------------------------------


def about_component(statement: Statement, finding: Finding, called: Collection[str]) -> bool:
    """Say whether a statement is about the component of a finding in what is `called` so."""
    for one in statement.targets:
        if one.package == finding.package and one.version in (None, finding.version):
            return True
        if one.whole and (not one.ids or not set(one.ids).isdisjoint(called)):
            return True
    return False


def judge(
    findings: Iterable[Finding], given: Sequence[Given], called: Collection[str], at: dt.datetime
) -> list[Judged]:
    """Return each finding with the statement that decides about it at a moment.

    `called` are the names and digests of what the findings are of.
    """
    ordered = sorted(given, key=lambda one: (one.added_at, one.evidence_id, one.position))
    judged = []
    for finding in findings:
        names = set(finding.names)
        about = [
            one
            for one in ordered
            if not names.isdisjoint(one.statement.names)
            and about_component(one.statement, finding, called)
        ]
        holding = [one for one in about if one.expires_at > at]
        over = [one for one in about if one.expires_at <= at]
        judged.append(Judged(finding, holding[-1] if holding else None, over[-1] if over else None))
    return judged
