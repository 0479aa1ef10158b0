"""Every subject that has an SBOM, and what all of them contain: for matching them all at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

import msgspec

from muniment.server.ports.db import Row, Tx
from muniment.server.vulnerabilities.reads.examining import to_contained
from muniment.server.vulnerabilities.records import Contained, Examined, Finding, Matching
from muniment.server.vulnerabilities.rules.findings import order
from muniment.server.vulnerabilities.store.results import MATCHING, Subject, to_matching


async def newest_matching(tx: Tx) -> Matching | None:
    """Return the newest matching of all SBOMs; None if there is none."""
    row = await tx.fetchrow(MATCHING + " ORDER BY m.id DESC LIMIT 1")
    return None if row is None else to_matching(row)


async def candidates(tx: Tx) -> list[Contained]:
    """Return the distinct components of packages that some advisory is about."""
    rows = await tx.fetch(
        """
        SELECT c.id, c.name, c.version, c.purl, c.package FROM component c
        WHERE c.package IN (SELECT unnest(a.packages) FROM advisory a
                            WHERE a.until IS NULL AND NOT a.withdrawn)
        """
    )
    return [to_contained(row) for row in rows]


_SUBJECTS: Final[LiteralString] = """
    SELECT DISTINCT ON (e.subject_kind, e.subject_id) e.subject_kind, e.subject_id, e.subject_name,
           e.asset_id, e.bound::text AS bound
    FROM evidence e
    WHERE e.kind = 'sbom'
      AND ($1::text[] IS NULL OR e.subject_kind = $2 AND e.subject_id = ANY($1))
    ORDER BY e.subject_kind, e.subject_id, e.recorded_at DESC, e.id DESC"""


async def subjects(
    tx: Tx, only: tuple[str, Sequence[str]] | None = None
) -> dict[tuple[str, str], Subject]:
    """Return every subject that has an SBOM, or some of one kind."""
    kind, ids = only or ("", None)
    rows = await tx.fetch(_SUBJECTS, None if ids is None else list(ids), kind)
    return {(row["subject_kind"], row["subject_id"]): _to_subject(row) for row in rows}


def _to_subject(row: Row) -> Subject:
    return Subject(
        kind=row["subject_kind"],
        id=row["subject_id"],
        name=row["subject_name"],
        asset_id=row["asset_id"],
        bound=msgspec.json.decode(row["bound"]),
    )


@dataclass(frozen=True, slots=True)
class _Sum:
    """What a subject contains, as the database adds it up."""

    sboms: list[object]
    total: int
    unidentified: int
    uncovered: dict[str, int]
    found: list[int]


# Components are looked at once; then their ids are added up for each subject.
_SUMS: Final[LiteralString] = """
    WITH of_kind AS MATERIALIZED (
        SELECT c.id, c.package IS NULL AS unidentified,
               CASE WHEN NOT starts.covered
                    THEN substr(split_part(c.package, '/', 1), 5) END AS uncovered,
               c.id = ANY($1::bigint[]) AS found
        FROM component c
        CROSS JOIN LATERAL (SELECT c.package IS NULL OR c.package LIKE ANY($2::text[]) AS covered) starts
        WHERE coalesce(c.body::json ->> 'type', '') NOT IN ('machine-learning-model', 'data')
    ), each AS (
        SELECT e.subject_kind, e.subject_id, x.component_id
        FROM evidence e JOIN evidence_component x ON x.evidence_id = e.id
        WHERE e.kind = 'sbom'
        GROUP BY e.subject_kind, e.subject_id, x.component_id
    )
    SELECT s.subject_kind, s.subject_id, k.uncovered, count(*) AS components,
           count(*) FILTER (WHERE k.unidentified) AS unidentified,
           coalesce(array_agg(k.id) FILTER (WHERE k.found), '{}') AS found
    FROM each s JOIN of_kind k ON k.id = s.component_id
    GROUP BY s.subject_kind, s.subject_id, k.uncovered"""
_SBOMS: Final[LiteralString] = """
    SELECT e.subject_kind, e.subject_id, array_agg(e.id ORDER BY e.id) AS sboms
    FROM evidence e
    WHERE e.kind = 'sbom' AND EXISTS (
        SELECT FROM evidence_component x JOIN component c ON c.id = x.component_id
        WHERE x.evidence_id = e.id
          AND coalesce(c.body::json ->> 'type', '') NOT IN ('machine-learning-model', 'data'))
    GROUP BY e.subject_kind, e.subject_id"""


async def examined_all(
    tx: Tx, found: Mapping[int, Sequence[Finding]], covered: Sequence[str]
) -> AsyncIterator[tuple[tuple[str, str], Examined]]:
    """Yield every subject with what is known of its components.

    `found` has the findings of components, `covered` what the keys of packages begin with that
    databases are about. It comes to what `rules.findings.examined` comes to for one subject.
    """
    sums: dict[tuple[str, str], _Sum] = {}
    for row in await tx.fetch(_SBOMS):
        sums[row["subject_kind"], row["subject_id"]] = _Sum(row["sboms"], 0, 0, {}, [])
    prefixes = [one.replace("_", r"\_") + "%" for one in covered]
    for row in await tx.fetch(_SUMS, list(found), prefixes):
        key = row["subject_kind"], row["subject_id"]
        before = sums[key]
        if row["uncovered"] is not None:
            before.uncovered[row["uncovered"]] = row["components"]
        before.found.extend(row["found"])
        sums[key] = _Sum(
            before.sboms, before.total + row["components"],
            before.unidentified + row["unidentified"], before.uncovered, before.found,
        )  # fmt: skip
    for key, one in sums.items():
        every = {
            (each.name, each.package, each.version): each
            for component_id in sorted(one.found)
            for each in found[component_id]
        }
        yield (
            key,
            Examined(
                sboms=tuple(one.sboms),  # type: ignore[arg-type]  # of uuids
                component_count=one.total,
                unidentified_count=one.unidentified,
                uncovered=dict(sorted(one.uncovered.items())),
                findings=tuple(sorted(every.values(), key=order)),
            ),
        )
