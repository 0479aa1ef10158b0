"""Drops uploads that nobody goes on with."""

from __future__ import annotations

import datetime as dt

from muniment.server.artifacts import store
from muniment.server.http.operation import Deps

#: How long the rows of an upload that is over are kept, so that a late client is told why.
_REMEMBERED = dt.timedelta(days=7)


async def sweep_uploads(deps: Deps) -> int:
    """Close uploads whose time is over and drop their staged bytes; return how many. Repeatable.

    Bytes staged under no open upload (a crash between the two steps) go too, once they are older
    than an upload may be.
    """
    now = deps.clock.now()
    async with deps.db.transaction() as tx:
        expired = await store.abandon_expired(tx, now)
        await store.forget_abandoned(tx, now - _REMEMBERED)
    for upload_id in expired:
        await deps.blobs.discard(upload_id)
    old = [
        upload_id
        for upload_id, written_at in await deps.blobs.list_staged()
        if written_at <= now - deps.settings.upload_ttl
    ]
    async with deps.db.transaction(read_only=True) as tx:
        still_open = await store.open_uploads(tx, old)
    left = [upload_id for upload_id in old if upload_id not in still_open]
    for upload_id in left:
        await deps.blobs.discard(upload_id)
    return len({*expired, *left})
