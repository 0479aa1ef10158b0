"""Advisories about components, as findings: one for each vulnerability, however many records it has.

1. Records that share a name (an id or an alias) are of one vulnerability, and so are those that share
   one with these, and so on.
2. A finding's severity is the worst that any of its records gives, also of one that is not about this
   component: databases copy each other's records without the score.
3. It is known to be exploited if the catalogue lists one of its names.

Source: OSV schema 1.7 (aliases); R-090.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from muniment.server.vulnerabilities.records import (
    Advisory,
    Contained,
    Database,
    Entry,
    Examined,
    Exploited,
    Finding,
    Judged,
    Outcome,
    Outlook,
    Severity,
)
from muniment.server.vulnerabilities.rules.advisories import ECOSYSTEMS, covered_prefix
from muniment.server.vulnerabilities.rules.matching import fixed_in, outcome
from muniment.server.vulnerabilities.rules.severities import Rated, worst

#: What judges: it grows when the same components and records would come to something else.
RULESET_ID: Final = "osv-match/1"
_BEST_KNOWN: Final = ("CVE-", "GHSA-")
_SEVERITIES: Final = list(Severity)


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """Everything known under a set of names that mean the same."""

    names: tuple[str, ...]
    rated: Rated
    exploited: Exploited | None
    summary: str

    @property
    def name(self) -> str:
        """What it is best known by."""
        return best_known(self.names)


def best_known(names: Iterable[str]) -> str:
    """Return the name people know best: a CVE, else of GitHub's, else the first by code point."""
    ordered = sorted(names)
    for prefix in _BEST_KNOWN:
        for one in ordered:
            if one.startswith(prefix):
                return one
    return ordered[0]


def together(
    advisories: Iterable[Advisory], exploited: Iterable[Exploited]
) -> dict[str, Vulnerability]:
    """Return for each name of any record the vulnerability it is a name of."""
    records = sorted(advisories, key=lambda one: one.id)
    root: dict[str, str] = {}

    def find(name: str) -> str:
        while root.setdefault(name, name) != name:
            root[name] = root[root[name]]
            name = root[name]
        return name

    for one in records:
        for name in one.names:
            root[find(name)] = find(one.id)
    listed = {one.name: one for one in exploited}
    named: dict[str, list[str]] = {}
    for name in sorted(root):
        named.setdefault(find(name), []).append(name)
    rated: dict[str, list[Rated]] = {}
    told: dict[str, str] = {}
    for one in records:
        at = find(one.id)
        rated.setdefault(at, []).append(Rated(one.severity, one.score, one.vector))
        told[at] = told.get(at) or one.summary
    found = {
        at: Vulnerability(
            tuple(names),
            worst(rated[at]),
            next((listed[name] for name in names if name in listed), None),
            told[at],
        )
        for at, names in named.items()
    }
    return {name: found[find(name)] for name in root}


@dataclass(frozen=True, slots=True)
class Hit:
    """An advisory that is about a component, or may be."""

    advisory: Advisory
    outcome: Outcome
    entries: tuple[Entry, ...]


def hits(component: Contained, advisories: Iterable[Advisory]) -> list[Hit]:
    """Return which advisories about a component's package are about its version, or may be."""
    found = []
    for one in advisories:
        entries = tuple(each for each in one.entries if each.package == component.package)
        said = outcome(entries, component.version, component.distro)
        if said is not Outcome.NOT_AFFECTED:
            found.append(Hit(one, said, entries))
    return found


def findings(
    component: Contained, hit: Sequence[Hit], vulnerabilities: Mapping[str, Vulnerability]
) -> list[Finding]:
    """Return what is found of a component: one for each vulnerability, sorted by its name."""
    by_name: dict[str, list[Hit]] = {}
    for one in hit:
        by_name.setdefault(vulnerabilities[one.advisory.id].name, []).append(one)
    return [
        _finding(component, same, vulnerabilities[name]) for name, same in sorted(by_name.items())
    ]


def _finding(component: Contained, same: Sequence[Hit], known: Vulnerability) -> Finding:
    assert component.package is not None, "only what is identified is matched"
    affected = any(one.outcome is Outcome.AFFECTED for one in same)
    return Finding(
        name=known.name,
        names=known.names,
        advisories=tuple(sorted(one.advisory.id for one in same)),
        component=component.name,
        package=component.package,
        version=component.version,
        purl=component.purl,
        outcome=Outcome.AFFECTED if affected else Outcome.UNDECIDED,
        severity=known.rated.severity,
        score=known.rated.score,
        vector=known.rated.vector,
        summary=known.summary,
        fixed_in=fixed_in((each for one in same for each in one.entries), component.version),
        exploited=known.exploited,
    )


def order(one: Finding) -> tuple[object, ...]:
    """Sort key: what is exploited first, then the worst, then by name."""
    worst_first = _SEVERITIES.index(one.severity)
    return (
        one.exploited is None, one.outcome is not Outcome.AFFECTED, worst_first, -(one.score or 0.0),
        one.name, one.package, one.version or "",
    )  # fmt: skip


def examined(
    contained: Sequence[Contained],
    found: Mapping[int, Sequence[Finding]],
    ecosystems: Iterable[str],
) -> Examined:
    """Return what is known of a subject that contains these components.

    `contained` is in the order of component ids. `found` has the findings of each component that has
    any; `ecosystems` are those there is a database of. The same package in the same version is found
    once.
    """
    covered = tuple(covered_prefix(one) for one in ecosystems)
    uncovered = Counter(
        one.package.partition("/")[0].removeprefix("pkg:")
        for one in contained
        if one.package is not None and not one.package.startswith(covered)
    )
    every = {
        (each.name, each.package, each.version): each
        for one in contained
        for each in found.get(one.component_id, ())
    }
    return Examined(
        sboms=tuple(sorted({each for one in contained for each in one.evidence_ids})),
        component_count=len(contained),
        unidentified_count=sum(one.package is None for one in contained),
        uncovered=dict(sorted(uncovered.items())),
        findings=tuple(sorted(every.values(), key=order)),
    )


def outlook(
    contained: Sequence[Contained],
    databases: Sequence[Database],
    examined_: Examined,
    judged: Sequence[Judged],
    at: dt.datetime,
) -> Outlook | None:
    """Return how a version stands that contains these; None if nothing could be looked up.

    The date is that of the oldest database about a package in it. Where it contains no package, no
    database had to be asked: then it is `at`.
    """
    packages = {one.package for one in contained if one.package is not None}
    if packages and not databases:
        return None
    asked = [
        one.dated_at
        for one in databases
        if any(package.startswith(covered_prefix(one.ecosystem)) for package in packages)
    ]
    told_of = {kind for kind, _ in ECOSYSTEMS.values()}
    return Outlook(
        judged=tuple(judged),
        dated_at=min(asked, default=at),
        uncovered=tuple(kind for kind in examined_.uncovered if kind in told_of),
    )
