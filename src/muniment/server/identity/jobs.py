"""What is done now and then: forget a one-time code that nobody used, and spent ID tokens."""

from __future__ import annotations

from muniment.server.http.operation import Deps
from muniment.server.identity.store import codes, trust
from muniment.server.ports.queue import Handler, Periodic


async def sweep(deps: Deps) -> None:
    """Forget what has expired: one-time codes, used ID tokens. May be repeated."""
    async with deps.db.transaction() as tx:
        await codes.drop_expired_code(tx, deps.clock.now())
        await trust.forget_id_tokens(tx, deps.clock.now())


HANDLERS: list[Handler] = [Handler("identity.sweep", lambda deps, _job: sweep(deps), attempts=3)]
PERIODIC: list[Periodic] = [Periodic("identity.sweep", "*/10 * * * *")]
