"""Serve a registry as it would be some days from now: the same server, with a clock that is ahead."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
import sys
from pathlib import Path

from muniment.server import wiring
from muniment.server.listening import listen
from muniment.server.ports.clock import SystemClock
from muniment.server.settings import Settings


class Ahead(SystemClock):
    """The machine's clock, so much later."""

    def __init__(self, by: dt.timedelta) -> None:
        """Be `by` ahead."""
        super().__init__()
        self._by = by

    def now(self) -> dt.datetime:
        """Return the time it will be then."""
        return super().now() + self._by


async def serve(settings: Settings, place: wiring.Place, by: dt.timedelta) -> None:
    """Serve until told to stop."""
    async with wiring.open_registry(settings, place, clock=Ahead(by)) as registry:
        await listen(registry.app, settings.host, settings.port, announce=print)


def main() -> None:
    """Take days, port and data directory from the command line."""
    days, port, data = sys.argv[1:]
    settings = Settings.from_env(os.environ, data_dir=Path(data), host="127.0.0.1", port=int(port))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    with wiring.database(settings) as place:
        asyncio.run(serve(settings, place, dt.timedelta(days=int(days))))


if __name__ == "__main__":
    main()
