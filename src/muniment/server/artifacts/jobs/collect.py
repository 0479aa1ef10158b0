"""Removes stored bytes that nothing names: no manifest, no upload, nothing another slice holds.

1. Only blobs sealed longer ago than the bound are looked at, a batch at a time, in digest order.
2. A batch is one transaction: it keeps sealing out (`store.keep_sealing_out`), asks every keeper
   which of the batch it names, removes rows, says so in the log (`blob.collect`), removes bytes,
   commits. So nobody can be told that a blob is held while it goes.
3. Bytes go before the commit: a crash between leaves a row without bytes, which nothing names and
   the next run removes; never bytes that nobody will look for again.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from muniment.core.digest import Digest
from muniment.server.artifacts import actions, store
from muniment.server.artifacts.records import Collected, Held
from muniment.server.http.operation import Deps
from muniment.server.ports.db import Tx

#: Which of some blobs a slice still names.
Keeper = Callable[[Tx, Sequence[Digest]], Awaitable[set[Digest]]]

_AT_ONCE: Final = 100
_DELETES_AT_ONCE: Final = 8


async def collect(
    deps: Deps, keepers: Sequence[Keeper], *, older_than: dt.timedelta, dry_run: bool
) -> AsyncIterator[Collected]:
    """Remove what no keeper names and was sealed longer ago than `older_than`; yield each batch.

    With `dry_run` nothing is removed: what would be is yielded. May be repeated, and stopped.

    Raises:
        BlobStoreDown: bytes could not be removed; the batch stays as it was.
    """
    sealed_before = deps.clock.now() - older_than
    cursor = b""
    while True:
        async with deps.db.transaction(read_only=dry_run) as tx:
            some = await store.sealed_before(tx, sealed_before, cursor, _AT_ONCE)
            if not some:
                return
            unnamed = await _unnamed(tx, some, keepers)
            if unnamed and not dry_run:
                await store.keep_sealing_out(tx)
                # Again: what came to be named until the lock was had shows now.
                unnamed = await _unnamed(tx, unnamed, keepers)
                if unnamed:
                    await _remove(deps, tx, unnamed, older_than)
        cursor = some[-1].digest.raw
        if unnamed:
            yield Collected(tuple(unnamed))


async def _unnamed(tx: Tx, some: Sequence[Held], keepers: Sequence[Keeper]) -> list[Held]:
    named: set[Digest] = set()
    for keeper in keepers:
        named |= await keeper(tx, [one.digest for one in some])
    return [one for one in some if one.digest not in named]


async def _remove(deps: Deps, tx: Tx, some: Sequence[Held], older_than: dt.timedelta) -> None:
    now, new_id = deps.clock.now(), deps.clock.new_id
    await actions.collect_blobs(tx, some, older_than=older_than, now=now, new_id=new_id)
    for at in range(0, len(some), _DELETES_AT_ONCE):
        part = some[at : at + _DELETES_AT_ONCE]
        await asyncio.gather(*(deps.blobs.delete_blob(one.digest) for one in part))
