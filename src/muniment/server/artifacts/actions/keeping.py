"""The verbs of keeping bytes: note that a blob is wrong, or right again, or that all were read."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Final

from muniment.core.digest import Digest
from muniment.core.entry import time_text
from muniment.server import ledger
from muniment.server.artifacts import reads, store
from muniment.server.artifacts.records import Problem, ScrubPass
from muniment.server.ledger.records import Actor, Entry, Subject
from muniment.server.ports.db import Tx

#: Who acts when stored bytes are read again.
SCRUB: Final = Actor("system", "scrub")


async def fail_blob(
    tx: Tx, digest: Digest, problem: Problem, now: dt.datetime, act_id: uuid.UUID
) -> str | None:
    """Note that a stored blob is missing or changed, and say so in the log.

    Returns what it is needed for; None, and writes nothing, if that was known already, or if no
    such blob should be held any more.
    """
    if not await store.insert_finding(tx, act_id, digest, problem, now):
        return None
    use = await reads.use_of(tx, digest)
    name = use.name if use else ""
    entry = Entry(
        id=act_id,
        at=now,
        act="blob.fail",
        actor=SCRUB,
        subject=Subject("blob", digest.hex, name, use.asset_id if use else None),
        payload={"problem": problem.value, "version_count": use.version_count if use else 0},
        digests=(digest,),
    )
    await ledger.append(tx, entry)
    return name or "no version"


async def heal_blob(tx: Tx, digest: Digest, now: dt.datetime, act_id: uuid.UUID) -> bool:
    """Note that a blob that was wrong is right again; False, and nothing written, if it was not."""
    healed = await store.heal_finding(tx, digest, now)
    if healed is None:
        return False
    use = await reads.use_of(tx, digest)
    entry = Entry(
        id=act_id,
        at=now,
        act="blob.heal",
        actor=SCRUB,
        subject=Subject("blob", digest.hex, use.name if use else "", use.asset_id if use else None),
        payload={"failed_by": str(healed.act_id)},
        digests=(digest,),
    )
    await ledger.append(tx, entry)
    return True


async def finish_scrub(tx: Tx, pass_id: uuid.UUID, now: dt.datetime) -> ScrubPass | None:
    """Note that all stored bytes were read, and say so in the log; None if it was noted before."""
    finished = await store.finish_scrub(tx, pass_id, now)
    if finished is None:
        return None
    payload = {
        "started_at": time_text(finished.started_at),
        "blob_count": finished.blob_count,
        "size_bytes": finished.size_bytes,
        "finding_count": finished.finding_count,
    }
    entry = Entry(
        id=finished.id,
        at=now,
        act="scrub.finish",
        actor=SCRUB,
        subject=Subject("scrub", str(finished.id), "every stored blob"),
        payload=payload,
    )
    await ledger.append(tx, entry)
    return finished
