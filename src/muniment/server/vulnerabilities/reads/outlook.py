"""What is known to be wrong with a version now, for who decides about it: in as few questions as can be."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from muniment.server.catalog.records import Version
from muniment.server.ports.db import Tx
from muniment.server.vulnerabilities.reads.databases import current
from muniment.server.vulnerabilities.reads.examining import contained, found_in, given
from muniment.server.vulnerabilities.reads.versions import called
from muniment.server.vulnerabilities.records import KEV, Outlook
from muniment.server.vulnerabilities.rules import findings as rules
from muniment.server.vulnerabilities.rules import vex


async def outlook(
    tx: Tx, version: Version, subject_ids: Sequence[str], at: dt.datetime
) -> Outlook | None:
    """Return what is wrong with what a version contains; None if that is not known.

    `subject_ids` are the versions whose SBOMs tell of it: itself, or others with the same files.
    """
    databases = [one for one in await current(tx) if one.ecosystem != KEV]
    inside = [
        one for each in (await contained(tx, "version", subject_ids)).values() for one in each
    ]
    found = await found_in(tx, inside)
    examined = rules.examined(
        sorted(inside, key=lambda one: one.component_id),
        found,
        [one.ecosystem for one in databases],
    )
    statements, names = [], frozenset[str]()
    if examined.findings:
        statements = (await given(tx, "version", [str(version.id)]))[str(version.id)]
    if statements:
        names = await called(tx, version)
    return rules.outlook(
        inside, databases, examined, vex.judge(examined.findings, statements, names, at), at
    )
