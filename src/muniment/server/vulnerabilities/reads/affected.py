"""From a vulnerability, or a package, to whatever contains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from muniment.server.ports.db import Tx
from muniment.server.vulnerabilities.reads.examining import (
    found_in,
    to_contained,
    vulnerabilities_named,
)
from muniment.server.vulnerabilities.records import Contained, Finding, Holder
from muniment.server.vulnerabilities.rules.findings import Vulnerability


@dataclass(frozen=True, slots=True)
class Affected:
    """A vulnerability, and the components it is about, or may be, each with what is found of it."""

    vulnerability: Vulnerability
    found: dict[int, Finding]


async def affected_by(tx: Tx, name: str) -> Affected | None:
    """Return which components have a vulnerability, by any of its names; None if nobody knows it."""
    known = (await vulnerabilities_named(tx, [name])).get(name)
    if known is None:
        return None
    rows = await tx.fetch(
        """
        SELECT c.id, c.name, c.version, c.purl, c.package FROM component c
        WHERE c.package IN (SELECT unnest(a.packages) FROM advisory a
                            WHERE a.until IS NULL AND NOT a.withdrawn AND a.names && $1::text[])
        """,
        list(known.names),
    )
    found = await found_in(tx, [to_contained(row) for row in rows])
    return Affected(
        known,
        {
            component_id: one
            for component_id, every in found.items()
            for one in every
            if name in one.names
        },
    )


async def components_of(tx: Tx, package: str, version: str | None) -> list[Contained]:
    """Return the components of a package, in one version or in any."""
    rows = await tx.fetch(
        "SELECT c.id, c.name, c.version, c.purl, c.package FROM component c WHERE c.package = $1"
        " ORDER BY c.id",
        package,
    )
    found = [to_contained(row) for row in rows]
    return [one for one in found if version is None or one.version == version]


async def holders(tx: Tx, component_ids: Sequence[int], kind: str = "version") -> list[Holder]:
    """Return every subject of a kind that contains one of the components, each with each SBOM that says so."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT e.subject_id, e.id, e.file_name, x.component_id
        FROM evidence_component x JOIN evidence e ON e.id = x.evidence_id
        WHERE x.component_id = ANY($1::bigint[]) AND e.kind = 'sbom' AND e.subject_kind = $2
        ORDER BY 1, 2, 4
        """,
        list(component_ids),
        kind,
    )
    return [
        Holder(row["subject_id"], row["id"], row["file_name"], row["component_id"]) for row in rows
    ]
