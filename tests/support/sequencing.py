"""A sequencer in a process of its own: `python -m tests.support.sequencing URL DIRECTORY`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from muniment.server.ledger.sequencer import Sequencer
from muniment.server.ports.blobs_local import open_local_blobs
from muniment.server.ports.clock import SystemClock
from muniment.server.ports.postgres import open_database
from tests.support.keys import MemoryKeys
from tests.support.ledger import ORIGIN


async def main(url: str, directory: str) -> None:
    keys = MemoryKeys()
    db = await open_database(url, mac=keys.entry.mac, max_size=3)
    blobs = open_local_blobs(Path(directory))
    sequencer = Sequencer(db, blobs, log_key=keys.log, clock=SystemClock(), origin=ORIGIN)
    print("ready", flush=True)
    await sequencer.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
