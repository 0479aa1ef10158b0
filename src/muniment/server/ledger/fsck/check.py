"""The whole check, step by step."""

from __future__ import annotations

from muniment.server.ledger.fsck.folding import Folding
from muniment.server.ledger.fsck.guards import check_guards
from muniment.server.ledger.fsck.log import LogCheck
from muniment.server.ledger.fsck.options import Options
from muniment.server.ledger.fsck.stored import check_blobs, check_published
from muniment.server.ledger.records import Report
from muniment.server.ledger.sequencer import GUARD_KEY
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.db import Database


async def fsck(db: Database, blobs: Blobs, options: Options) -> Report:
    """Check the whole registry against its log; change nothing.

    Memory grows with the rows of the tables that are folded (packed) and with the blobs needed.

    Raises:
        Unavailable: the database or the blob store does not answer.
    """
    report = Report()
    # Before the snapshot: the guard must not be newer than what it is compared with.
    guard = await blobs.get_object(GUARD_KEY)
    async with db.transaction(read_only=True, repeatable=True) as tx:
        await check_guards(tx, report)
        folding = Folding(options.folds, report)
        await LogCheck(tx, options, report, folding).run(guard)
        await check_published(tx, blobs, report, options)
        await folding.compare(tx, options)
        needed = {blob.digest.raw: blob async for blob in options.needed(tx)}
        suspects = {digest async for digest in options.suspects(tx)}
    await check_blobs(blobs, needed, suspects, report, options)
    return report
