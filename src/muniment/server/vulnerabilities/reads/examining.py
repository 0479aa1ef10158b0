"""What is known of what subjects contain: components, advisories about them, findings, statements.

Everything is of the newest snapshots and of this moment; nothing here is kept.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from muniment.core.canon import loads_strict
from muniment.server.evidence import read_purl
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Row, Tx
from muniment.server.vulnerabilities.plugins.vex import statements_from
from muniment.server.vulnerabilities.reads.databases import current
from muniment.server.vulnerabilities.records import (
    KEV,
    Advisory,
    Contained,
    Database,
    Examined,
    Exploited,
    Finding,
    Given,
)
from muniment.server.vulnerabilities.rules import findings as rules
from muniment.server.vulnerabilities.rules.stored import advisory_from, exploited_from

#: Components that are no software: a model, a dataset.
_SOFTWARE: Final[LiteralString] = (
    "coalesce(c.body::json ->> 'type', '') NOT IN ('machine-learning-model', 'data')"
)
_ADVISORY: Final[LiteralString] = (
    "SELECT a.osv_id, a.names, a.withdrawn, a.body FROM advisory a"
    " WHERE a.until IS NULL AND NOT a.withdrawn"
)


_CONTAINED: Final[LiteralString] = (
    """
    SELECT e.subject_id, c.id, c.name, c.version, c.purl, c.package,
           array_agg(DISTINCT e.id) AS evidence_ids
    FROM evidence e
    JOIN evidence_component x ON x.evidence_id = e.id
    JOIN component c ON c.id = x.component_id
    WHERE e.kind = 'sbom' AND e.subject_kind = $1 AND e.subject_id = ANY($2::text[])
      AND ($3::timestamptz IS NULL OR e.recorded_at <= $3)
      AND """  # noqa: S608 -- ours
    + _SOFTWARE
    + """
    GROUP BY e.subject_id, c.id ORDER BY c.id"""
)


async def contained(
    tx: Tx, kind: str, ids: Sequence[str], as_of: dt.datetime | None = None
) -> dict[str, list[Contained]]:
    """Return the software that subjects contain, by subject: the union of all their SBOMs."""
    rows = await tx.fetch(_CONTAINED, kind, list(ids), as_of)
    found: dict[str, list[Contained]] = {each: [] for each in ids}
    for row in rows:
        found[row["subject_id"]].append(to_contained(row, tuple(row["evidence_ids"])))
    return found


def to_contained(row: Row, evidence_ids: tuple[object, ...] = ()) -> Contained:
    """Return the component in `row`; the version its purl names goes before its own."""
    told = None if row["purl"] is None else read_purl(row["purl"])
    return Contained(
        component_id=row["id"],
        name=row["name"],
        version=row["version"] if told is None or told.version is None else told.version,
        purl=row["purl"],
        package=row["package"],
        distro="" if told is None else told.distro,
        evidence_ids=evidence_ids,  # type: ignore[arg-type]  # of uuids
    )


async def advisories_about(tx: Tx, packages: Iterable[str]) -> dict[str, list[Advisory]]:
    """Return the advisories about packages, by package."""
    wanted = sorted(set(packages))
    found: dict[str, list[Advisory]] = {}
    for row in await _advisories(tx, wanted, _OF_PACKAGES, _OF_MANY_PACKAGES):
        one = _to_advisory(row)
        for package in {entry.package for entry in one.entries}:
            found.setdefault(package, []).append(one)
    return found


# An index finds few names; for thousands, every row is looked at once, by hash.
_FEW: Final = 200
_OF_PACKAGES: Final[LiteralString] = _ADVISORY + " AND a.packages && $1::text[]"
_OF_MANY_PACKAGES: Final[LiteralString] = _ADVISORY + (  # noqa: S608 -- ours
    " AND a.id IN (SELECT x.id FROM advisory x CROSS JOIN LATERAL unnest(x.packages) AS p (name)"
    " JOIN unnest($1::text[]) AS w (name) ON w.name = p.name WHERE x.until IS NULL)"
)
_OF_NAMES: Final[LiteralString] = _ADVISORY + " AND a.ecosystem <> 'KEV' AND a.names && $1::text[]"
_OF_MANY_NAMES: Final[LiteralString] = _ADVISORY + (  # noqa: S608 -- ours
    " AND a.ecosystem <> 'KEV'"
    " AND a.id IN (SELECT x.id FROM advisory x CROSS JOIN LATERAL unnest(x.names) AS p (name)"
    " JOIN unnest($1::text[]) AS w (name) ON w.name = p.name WHERE x.until IS NULL)"
)


async def _advisories(
    tx: Tx, wanted: Sequence[str], few: LiteralString, many: LiteralString
) -> Sequence[Row]:
    if not wanted:
        return []
    return await tx.fetch(few if len(wanted) <= _FEW else many, list(wanted))


def _to_advisory(row: Row) -> Advisory:
    return advisory_from(row["osv_id"], row["names"], row["withdrawn"], row["body"])


async def vulnerabilities_named(tx: Tx, names: Iterable[str]) -> dict[str, rules.Vulnerability]:
    """Return the vulnerabilities that names are names of, by every name they have."""
    wanted, asked = set(names), set[str]()
    advisories: dict[str, Advisory] = {}
    while wanted - asked:
        rows = await _advisories(tx, sorted(wanted - asked), _OF_NAMES, _OF_MANY_NAMES)
        asked |= wanted
        for row in rows:
            one = _to_advisory(row)
            advisories[f"{row['osv_id']} {row['body']}"] = one
            wanted |= set(one.names)
    return rules.together(advisories.values(), await _exploited(tx, wanted))


async def _exploited(tx: Tx, names: Iterable[str]) -> list[Exploited]:
    rows = await tx.fetch(
        "SELECT body FROM advisory"
        " WHERE ecosystem = $1 AND until IS NULL AND osv_id = ANY($2::text[])",
        KEV,
        list(names),
    )
    return [exploited_from(row["body"]) for row in rows]


async def found_in(tx: Tx, components: Iterable[Contained]) -> dict[int, list[Finding]]:
    """Return the findings of components that have any, by component. Each is matched once."""
    identified = {one.component_id: one for one in components if one.package is not None}
    about = await advisories_about(tx, (str(one.package) for one in identified.values()))
    hit = {}
    for one in identified.values():
        of_it = rules.hits(one, about.get(str(one.package), ()))
        if of_it:
            hit[one.component_id] = of_it
    names = {name for every in hit.values() for each in every for name in each.advisory.names}
    known = await vulnerabilities_named(tx, names)
    return {at: rules.findings(identified[at], every, known) for at, every in hit.items()}


@dataclass(frozen=True, slots=True)
class Known:
    """What was examined, with the databases it was held against."""

    subjects: Mapping[str, Examined]
    databases: Sequence[Database]


async def examine(tx: Tx, kind: str, ids: Sequence[str]) -> Known:
    """Return what is known of the components of subjects, now."""
    databases = await current(tx)
    inside = await contained(tx, kind, ids)
    every = {one.component_id: one for each in inside.values() for one in each}
    found = await found_in(tx, every.values())
    ecosystems = [one.ecosystem for one in databases if one.ecosystem != KEV]
    subjects = {
        each: rules.examined(components, found, ecosystems) for each, components in inside.items()
    }
    return Known(subjects, databases)


async def given(tx: Tx, kind: str, ids: Sequence[str]) -> dict[str, list[Given]]:
    """Return every VEX statement that was added of subjects, with until when it holds, by subject."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT ON (x.evidence_id) x.evidence_id, x.subject_id, x.expires_at, x.added_at,
               x.actor_kind, x.actor_id, e.parsed
        FROM vex x JOIN evidence e ON e.id = x.evidence_id
        WHERE x.subject_kind = $1 AND x.subject_id = ANY($2::text[])
        ORDER BY x.evidence_id, x.added_at DESC, x.id DESC
        """,
        kind,
        list(ids),
    )
    found: dict[str, list[Given]] = {each: [] for each in ids}
    for row in rows:
        details = loads_strict(row["parsed"])["details"]
        found[row["subject_id"]] += [
            Given(
                statement=statement,
                evidence_id=row["evidence_id"],
                position=position,
                author=details["author"],
                added_by=Actor(row["actor_kind"], row["actor_id"]),
                added_at=row["added_at"],
                expires_at=row["expires_at"],
            )
            for position, statement in enumerate(statements_from(details))
        ]
    return found
