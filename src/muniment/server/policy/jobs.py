"""Simulations are jobs: a bundle asked about all that was asked before, a few hundred at a time.

Killed at any point, a simulation goes on where it was: what was looked at is noted with what was
found, in one transaction.
"""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from typing import Final

from muniment.core.errors import MunimentError
from muniment.server.http.operation import Deps
from muniment.server.policy.actions import simulating as actions
from muniment.server.policy.actions.simulating import Bundles
from muniment.server.policy.reads import verdicts as reads
from muniment.server.policy.reads.bundles import get_bundle
from muniment.server.policy.records import Simulation
from muniment.server.policy.store import simulations as store
from muniment.server.ports.queue import GiveUp, Handler, Job, Periodic

_BATCH: Final = 200


async def simulate(deps: Deps, job: Job) -> None:
    """Do the simulation that `job` names, from where it was left.

    Raises:
        GiveUp: there is no such simulation.
    """
    simulation_id = uuid.UUID(str(job.payload["simulation_id"]))
    async with deps.db.transaction(read_only=True) as tx:
        simulation = await store.find(tx, simulation_id)
        if simulation is None:
            raise GiveUp(f"there is no simulation {simulation_id}")
        if simulation.result is not None:
            return
        both = Bundles(
            await get_bundle(tx, simulation.digest), await get_bundle(tx, simulation.against)
        )
    try:
        await _simulate(deps, simulation, both)
    except Exception as error:
        if job.is_last:
            problem = "it failed in the registry; see its log"
            if isinstance(error, MunimentError):
                problem = error.message
            async with deps.db.transaction() as tx:
                await store.end(tx, simulation_id, deps.clock.now(), problem=problem)
        raise


async def _simulate(deps: Deps, simulation: Simulation, both: Bundles) -> None:
    while True:
        async with deps.db.transaction(read_only=True) as tx:
            kept = await reads.batch(tx, simulation.after, simulation.until, _BATCH)
        if not kept:
            break
        found = await actions.compare(deps.engines.trial, both, kept)
        async with deps.db.transaction() as tx:
            if not await actions.keep_piece(tx, simulation, kept, found):
                return
        done_count = min(simulation.done_count + len(kept), simulation.total_count)
        simulation = dataclasses.replace(simulation, after=kept[-1][0].id, done_count=done_count)
        await asyncio.sleep(0)
    passing = await actions.tried_on_fixtures(deps.engines.trial, both)
    async with deps.db.transaction() as tx:
        unreadable = await reads.unreadable_count(tx, simulation.until)
        result = await actions.sum_up(tx, simulation, both, unreadable, passing)
        await store.end(tx, simulation.id, deps.clock.now(), result=result)


HANDLERS: list[Handler] = [Handler(actions.JOB, simulate, attempts=5, at_once=1)]
PERIODIC: list[Periodic] = []
