"""Binds consumers in processes of its own, which are there to be killed.

    python -m tests.support.binding DATABASE_URL AGENT_URL

For each line on stdin (a number) it forks a process that binds one use, now to one version and now to
another, until it is killed; what was committed is said on stdout.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import sys

from muniment.core.names import SemVer
from muniment.server import serving
from muniment.server.identity import By
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.engine_pool import EnginePool
from muniment.server.ports.opa import Opa
from muniment.server.ports.postgres import open_database
from muniment.server.serving.records import Bound, Use, Wanted
from tests.actions.test_lifecycle import FRAUD
from tests.support.catalog import ADA
from tests.support.keys import MemoryKeys

YEAR = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
USE = Use("checkout", "https://pay.example", "card-fraud-triage")


async def bind(url: str, agent: str, number: int) -> None:
    """Bind until killed."""
    keys = MemoryKeys()
    clock = FixedClock(YEAR + dt.timedelta(minutes=number))
    engines = EnginePool(lambda: Opa(agent))
    db = await open_database(url, mac=keys.entry.mac, min_size=0, max_size=1)
    for turn in range(1000):
        clock.advance(dt.timedelta(milliseconds=1))
        wanted = Wanted(asset=FRAUD, use=USE, version=SemVer(1 + turn % 2, 0, 0))
        async with db.transaction() as tx:
            done = await serving.bind(tx, wanted, By(ADA, clock.now(), clock.new_id), engines)
        assert isinstance(done, Bound), done
        if done.new:
            print("done", done.binding.entry_id, flush=True)


def main() -> None:
    """Fork for each line."""
    url, agent = sys.argv[1:]
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(bind(url, agent, int(line)))
            os._exit(0)
        print("began", child, flush=True)
        os.waitpid(child, 0)
        print("ended", flush=True)


if __name__ == "__main__":
    main()
