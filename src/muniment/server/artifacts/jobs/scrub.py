"""Reads stored bytes again on a schedule, and says in the log what is not as it was.

1. Blobs are read in the order of their digests, a few at a time, from a cursor in the database: what
   is held in memory does not grow with the store, and a restart goes on where it was.
2. A pass is spread over `scrub_period`; a small store is read at once when its time comes.
3. What is missing or changed is one finding, one act (`blob.fail`) and one log line, until a later
   look finds it right again (`blob.heal`). Open findings are looked at first, in every round.
4. One server reads at a time, by a lease; two that did would only read twice.

Source: design §1, promise 2.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
from collections.abc import Sequence
from typing import Final

import structlog

from muniment.core.errors import NotFound
from muniment.server.artifacts import actions, store
from muniment.server.artifacts.records import Held, Problem, ScrubPass
from muniment.server.artifacts.rules import pace
from muniment.server.http.operation import Deps

#: Blobs and bytes read between two commits of how far it got.
_BLOBS_AT_ONCE: Final = 256
_BYTES_AT_ONCE: Final = 256 << 20
#: Read in every round, whatever the schedule says.
ROUND_BYTES: Final = 256 << 20
_LEASE: Final = dt.timedelta(minutes=15)
_LOOKED_AT_FIRST: Final = 100

_log = structlog.get_logger("muniment.scrub")


async def scrub(
    deps: Deps, *, at_once: bool = False, round_bytes: int = ROUND_BYTES
) -> ScrubPass | None:
    """Look at open findings again, then read on where the last round ended, as far as is due.

    Returns the pass that was worked on, or None when none is due. At least `round_bytes` are read,
    whatever is due; `at_once` begins a pass that is not due yet, and reads to its end. Repeatable;
    stopped anywhere, the next call goes on.

    Raises:
        BlobStoreDown: the store does not answer. Nothing is found missing for that.
    """
    async with deps.db.transaction(read_only=True) as tx:
        suspects = await store.open_findings(tx, _LOOKED_AT_FIRST)
    for held in suspects:
        await _look(deps, held)
    one = await _lease(deps, at_once=at_once)
    if one is None:
        return None
    try:
        return await _read_on(deps, one, None if at_once else _goal(deps, one, round_bytes))
    finally:
        async with deps.db.transaction() as tx:
            await store.release_scrub(tx, one.id, deps.clock.now())


async def _read_on(deps: Deps, one: ScrubPass, goal: int | None) -> ScrubPass | None:
    """Read until the pass has read `goal` bytes (None: everything)."""
    while goal is None or one.size_bytes < goal:
        async with deps.db.transaction(read_only=True) as tx:
            some = await store.blobs_after(tx, one.cursor, _BLOBS_AT_ONCE)
        if not some:
            return await _finish(deps, one)
        one = await _read(deps, one, some, None if goal is None else goal - one.size_bytes)
    return one


def _goal(deps: Deps, one: ScrubPass, round_bytes: int) -> int:
    age = deps.clock.now() - one.started_at
    due = pace.bytes_due(one.held_bytes, age, deps.settings.scrub_period)
    return max(due, one.size_bytes + round_bytes)


async def _lease(deps: Deps, *, at_once: bool) -> ScrubPass | None:
    """Take the open pass, or begin one if it is time and there is anything to read."""
    now = deps.clock.now()
    due_before = now if at_once else now - deps.settings.scrub_period
    async with deps.db.transaction() as tx:
        return await store.lease_scrub(
            tx, deps.clock.new_id(), now=now, until=now + _LEASE, due_before=due_before
        )


async def _read(
    deps: Deps, one: ScrubPass, some: Sequence[Held], most_bytes: int | None
) -> ScrubPass:
    """Read some blobs, up to about `most_bytes`, and keep how far the pass got."""
    enough = _BYTES_AT_ONCE if most_bytes is None else min(most_bytes, _BYTES_AT_ONCE)
    read_bytes = blob_count = finding_count = 0
    last = one.cursor
    for held in some:
        finding_count += not await _look(deps, held)
        blob_count += 1
        read_bytes += held.size_bytes
        last = held.digest.raw
        if read_bytes >= enough:
            break
    async with deps.db.transaction() as tx:
        return await store.advance_scrub(
            tx,
            one.id,
            cursor=last,
            more=(blob_count, read_bytes, finding_count),
            until=deps.clock.now() + _LEASE,
        )


async def _look(deps: Deps, held: Held) -> bool:
    """Read one blob again and record what that says of it; return whether it is right."""
    problem = await _problem(deps, held)
    now = deps.clock.now()
    async with deps.db.transaction() as tx:
        if problem is None:
            healed = await actions.heal_blob(tx, held.digest, now, deps.clock.new_id())
            if healed:
                _log.info("blob_healed", digest=held.digest.hex)
            return True
        use = await actions.fail_blob(tx, held.digest, problem, now, deps.clock.new_id())
    if use is not None:
        _log.error("blob_damaged", digest=held.digest.hex, problem=problem.value, needed_for=use)
    return False


async def _problem(deps: Deps, held: Held) -> Problem | None:
    hasher = hashlib.sha256()
    size_bytes = 0
    try:
        async for chunk in deps.blobs.read(held.digest):
            size_bytes += len(chunk)
            await asyncio.to_thread(hasher.update, chunk)
    except NotFound:
        return Problem.MISSING
    same = size_bytes == held.size_bytes and hasher.digest() == held.digest.raw
    return None if same else Problem.CHANGED


async def _finish(deps: Deps, one: ScrubPass) -> ScrubPass | None:
    async with deps.db.transaction() as tx:
        finished = await actions.finish_scrub(tx, one.id, deps.clock.now())
    if finished is not None:
        _log.info(
            "scrub_finished",
            blobs=finished.blob_count,
            bytes=finished.size_bytes,
            findings=finished.finding_count,
        )
    return finished
