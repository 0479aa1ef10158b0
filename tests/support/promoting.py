"""Promotes in processes of its own, which are there to be killed.

    python -m tests.support.promoting DATABASE_URL AGENT_URL

For each line on stdin (a number) it forks a process that promotes, one version after the other, until it
is killed; what was committed is said on stdout.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import sys

from muniment.server import lifecycle
from muniment.server.identity import By
from muniment.server.lifecycle.records import Ports, Promoted, Promotion
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.engine_pool import EnginePool
from muniment.server.ports.opa import Opa
from muniment.server.ports.postgres import open_database
from tests.actions.test_lifecycle import CI, ONE, PIPELINE, TWO
from tests.support.keys import MemoryKeys

YEAR = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)


async def promote(url: str, agent: str, number: int) -> None:
    """Promote until killed."""
    keys = MemoryKeys()
    clock = FixedClock(YEAR + dt.timedelta(minutes=number))
    ports = Ports(EnginePool(lambda: Opa(agent)), keys.record)
    db = await open_database(url, mac=keys.entry.mac, min_size=0, max_size=1)
    for turn in range(1000):
        clock.advance(dt.timedelta(milliseconds=1))
        wanted = Promotion(version=(ONE, TWO)[turn % 2], environment="production")
        async with db.transaction() as tx:
            by = By(CI, clock.now(), clock.new_id)
            done = await lifecycle.promote(tx, wanted, PIPELINE, by, ports)
        assert isinstance(done, Promoted), done
        if done.entry_id is not None:
            print("done", done.version.version, done.entry_id, flush=True)


def main() -> None:
    """Fork for each line."""
    url, agent = sys.argv[1:]
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(promote(url, agent, int(line)))
            os._exit(0)
        print("began", child, flush=True)
        os.waitpid(child, 0)
        print("ended", flush=True)


if __name__ == "__main__":
    main()
