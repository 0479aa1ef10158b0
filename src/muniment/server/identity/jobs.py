"""What is done now and then: forget a one-time code that nobody used."""

from __future__ import annotations

from muniment.server.http.operation import Deps
from muniment.server.identity import store


async def sweep(deps: Deps) -> None:
    """Forget an expired one-time code. May be repeated."""
    async with deps.db.transaction() as tx:
        await store.drop_expired_code(tx, deps.clock.now())
