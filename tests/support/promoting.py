"""Promotes in processes of its own, which are there to be killed.

    python -m tests.support.promoting DATABASE_URL AGENT_URL [CVI…]

For each line on stdin (a number) it forks a process that promotes, one version (or composite) after the
other, until it is killed; what was committed is said on stdout.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import sys
from collections.abc import Sequence

from muniment.server import composites, lifecycle
from muniment.server.identity import By
from muniment.server.lifecycle.actions import promoting, wholes
from muniment.server.lifecycle.records import Ports, Promoted, Promotion, Refusal, Whose
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.db import Tx
from muniment.server.ports.engine_pool import EnginePool
from muniment.server.ports.opa import Opa
from muniment.server.ports.postgres import open_database
from tests.actions.test_lifecycle import CI, ONE, PIPELINE, TWO
from tests.support.keys import MemoryKeys

YEAR = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)


async def promote(url: str, agent: str, number: int, cvis: Sequence[str]) -> None:
    """Promote until killed."""
    keys = MemoryKeys()
    clock = FixedClock(YEAR + dt.timedelta(minutes=number))
    ports = Ports(EnginePool(lambda: Opa(agent)), keys.record)
    db = await open_database(url, mac=keys.entry.mac, min_size=0, max_size=1)
    for turn in range(1000):
        clock.advance(dt.timedelta(milliseconds=1))
        async with db.transaction() as tx:
            by = By(CI, clock.now(), clock.new_id)
            done = await (_whole if cvis else _alone)(tx, turn, by, ports, cvis)
        assert isinstance(done, Promoted), done
        if done.entry_id is not None:
            entries = [str(one.entry_id) for one in done.placed]
            print("done", *entries, flush=True)


async def _alone(
    tx: Tx, turn: int, by: By, ports: Ports, _cvis: Sequence[str]
) -> Promoted | Refusal:
    wanted = Promotion(version=(ONE, TWO)[turn % 2], environment="production")
    return await lifecycle.promote(tx, wanted, PIPELINE, by, ports)


async def _whole(
    tx: Tx, turn: int, by: By, ports: Ports, cvis: Sequence[str]
) -> Promoted | Refusal:
    whole = await wholes.whole_of(tx, await composites.get(tx, cvis[turn % len(cvis)]))
    wanted = Promotion(version=whole.members[0].ref, whole=whole, environment="production")
    whose = Whose(lambda _ref: PIPELINE, lambda _ref: True, lambda _verb, _scope: True)
    return await promoting.promote_whole(tx, wanted, whose, by, ports)


def main() -> None:
    """Fork for each line."""
    url, agent, *cvis = sys.argv[1:]
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(promote(url, agent, int(line), cvis))
            os._exit(0)
        print("began", child, flush=True)
        os.waitpid(child, 0)
        print("ended", flush=True)


if __name__ == "__main__":
    main()
