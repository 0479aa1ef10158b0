"""What is done by the clock: tell that approvals end soon."""

from __future__ import annotations

import datetime as dt
import uuid

from muniment.server.approvals.actions.warning import warn
from muniment.server.approvals.rules.decisions import WARNINGS, due_warnings
from muniment.server.approvals.store import decisions as store
from muniment.server.http.operation import Deps
from muniment.server.identity import By
from muniment.server.ledger.records import Actor
from muniment.server.ports.queue import Handler, Periodic

_AT_ONCE = 500
_SYSTEM = Actor("system", "approvals")


async def warn_all(deps: Deps) -> None:
    """Tell of every approval that ends soon and was not told of yet. May be repeated.

    Which are due is read first, for all of a page; each that is due is told in a transaction of its own.
    """
    now = deps.clock.now()
    until = now + dt.timedelta(days=max(WARNINGS))
    after: tuple[dt.datetime, uuid.UUID] | None = None
    while True:
        async with deps.db.transaction(read_only=True) as tx:
            found = await store.expiring(
                tx, scopes=None, now=now, until=until, after=after, limit=_AT_ONCE
            )
            told = await store.warned_of(tx, [one.id for one in found])
        for each, days in due_warnings(found, now, told):
            async with deps.db.transaction() as tx:
                await warn(tx, each, days, By(_SYSTEM, now, deps.clock.new_id))
        if len(found) < _AT_ONCE:
            return
        assert found[-1].expires_at is not None
        after = found[-1].expires_at, found[-1].id


HANDLERS: list[Handler] = [
    Handler("approvals.warn", lambda deps, _job: warn_all(deps), attempts=3, at_once=1)
]
PERIODIC: list[Periodic] = [Periodic("approvals.warn", "17 * * * *")]
