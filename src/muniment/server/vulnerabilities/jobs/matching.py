"""Every SBOM is matched when it is recorded, and all of them when a database has changed.

Only components are looked at, each distinct one once: no file of a version is read. Killed at any
point, the matching begins again; what was recorded is not recorded again.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Final

from muniment.scan.ruleset import tool_version
from muniment.server import evidence
from muniment.server.evidence.records import Kept
from muniment.server.http.operation import Deps
from muniment.server.identity.records import By
from muniment.server.ledger.records import Actor
from muniment.server.ports.queue import Job
from muniment.server.vulnerabilities.actions import results as actions
from muniment.server.vulnerabilities.actions.results import Ran, Result
from muniment.server.vulnerabilities.reads import examining, subjects
from muniment.server.vulnerabilities.reads.databases import current
from muniment.server.vulnerabilities.records import KEV, Database, Examined, Matching
from muniment.server.vulnerabilities.rules import results
from muniment.server.vulnerabilities.rules.advisories import covered_prefix
from muniment.server.vulnerabilities.rules.findings import RULESET_ID
from muniment.server.vulnerabilities.store.results import Subject, latest_results

_ACTOR: Final = Actor("system", "matcher")
_AT_ONCE: Final = 200


async def match(deps: Deps, job: Job) -> Matching | None:
    """Match all SBOMs against the newest snapshots; None if that was done, or there is none."""
    del job
    started_at = deps.clock.now()
    async with deps.db.transaction(read_only=True, repeatable=True) as tx:
        databases = await current(tx)
        ids = {one.ecosystem: str(one.id) for one in databases}
        newest = await subjects.newest_matching(tx)
        if not ids or (newest is not None and _same(newest, ids)):
            return None
        components = await subjects.candidates(tx)
        found = await examining.found_in(tx, components)
        prefixes = [covered_prefix(name) for name in ids if name != KEV]
        every = {key: one async for key, one in subjects.examined_all(tx, found, prefixes)}
        known = await latest_results(tx, results.FORMAT, None)
        about = await subjects.subjects(tx)
    now = {key: results.digest(one).hex for key, one in every.items()}
    differ = [(about[key], every[key]) for key in sorted(every) if known.get(key) != now[key]]
    changed = await _record_all(deps, differ, databases, started_at)
    by = By(_ACTOR, deps.clock.now(), deps.clock.new_id)
    ran = Ran(
        databases=ids,
        ruleset_id=RULESET_ID,
        component_count=len(components),
        found=now,
        changed_count=changed,
        started_at=started_at,
    )
    async with deps.db.transaction() as tx:
        return await actions.record_matching(tx, ran, by)


def _same(newest: Matching, ids: dict[str, str]) -> bool:
    return newest.ruleset_id == RULESET_ID and dict(newest.databases) == ids


async def _record_all(
    deps: Deps,
    differ: Sequence[tuple[Subject, Examined]],
    databases: Sequence[Database],
    started_at: dt.datetime,
) -> int:
    """Record what changed, some at a time; return how many did."""
    changed = 0
    holding: asyncio.Task[list[tuple[Result, Kept]]] | None = None
    try:
        for at in range(0, len(differ), _AT_ONCE):
            some = differ[at : at + _AT_ONCE]
            times = (started_at, deps.clock.now())
            made = [
                actions.result_of(*one, databases, ("muniment", tool_version()), times)
                for one in some
            ]
            next_ = asyncio.create_task(_hold(deps, made))
            if holding is not None:  # the disk takes the next ones while the database takes these
                changed += await _record(deps, await holding)
            holding = next_
        if holding is not None:
            changed += await _record(deps, await holding)
            holding = None
    finally:
        if holding is not None:
            holding.cancel()
    return changed


async def _hold(deps: Deps, made: Sequence[Result]) -> list[tuple[Result, Kept]]:
    contents = [one.data for one in made]
    kept = await evidence.keep_all(deps.blobs, contents, deps.clock.new_id())
    return list(zip(made, kept, strict=True))


async def _record(deps: Deps, held: Sequence[tuple[Result, Kept]]) -> int:
    by = By(_ACTOR, deps.clock.now(), deps.clock.new_id)
    async with deps.db.transaction() as tx:
        return await actions.record(tx, held, by, deps.keys.record)


async def match_subject(deps: Deps, job: Job) -> int:
    """Match what one subject contains; return 1 if something else was found than before, else 0."""
    kind, id_ = str(job.payload["kind"]), str(job.payload["id"])
    started_at = deps.clock.now()
    async with deps.db.transaction(read_only=True, repeatable=True) as tx:
        known = await examining.examine(tx, kind, [id_])
        about = await subjects.subjects(tx, (kind, [id_]))
    subject = about.get((kind, id_))
    if subject is None or not known.databases:
        return 0
    examined = known.subjects[id_]
    return await _record_all(deps, [(subject, examined)], known.databases, started_at)
