"""The verbs of keeping bytes: note that a blob is wrong, or right again, or that all were read."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from typing import Final

from muniment.core.digest import Digest
from muniment.core.entry import time_text
from muniment.core.errors import UploadConflict
from muniment.server import ledger
from muniment.server.artifacts import reads, store
from muniment.server.artifacts.actions.detecting import format_of
from muniment.server.artifacts.records import Declared, Format, Held, Problem, ScrubPass
from muniment.server.ledger.records import Actor, Entry, Subject
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.db import Tx

COLLECTOR: Final = Actor("system", "collector")
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


async def misdescribed(tx: Tx, blobs: Blobs, digest: Digest) -> tuple[str, str] | None:
    """Return what a held blob's bytes say it is and what its row says, if that is not the same.

    None also for a blob that has no row: nothing is said of it.
    """
    said = await store.find_format(tx, digest)
    if said is None:
        return None
    size_bytes, stored = said
    found = await format_of(blobs, digest, size_bytes)
    return None if found == stored else (_described(found), _described(stored))


def _described(format_: Format) -> str:
    return f"{format_.name}, {'may run code' if format_.executable else 'runs no code'}"


async def hold_blob(
    tx: Tx, blobs: Blobs, upload_id: uuid.UUID, blob: Declared, found: Format, *, now: dt.datetime
) -> bool:
    """Note that a sealed blob is held, what it is, and which session sent it.

    Returns False, and does not note who sent it, if the session was closed meanwhile.

    Raises:
        UploadConflict: the bytes were removed meanwhile, as nothing named them. Nothing is to be
            committed.
    """
    noted = await store.seal_blob(tx, upload_id, blob, found, now)
    if await blobs.size(blob.digest) != blob.size_bytes:
        raise UploadConflict(
            f"{blob.digest} was held, named by nothing, and removed this moment: send it again"
        )
    return noted


async def collect_blobs(
    tx: Tx,
    some: Sequence[Held],
    *,
    older_than: dt.timedelta,
    now: dt.datetime,
    new_id: Callable[[], uuid.UUID],
) -> None:
    """Forget blobs that nothing names, and say so in the log; the caller removes their bytes.

    What was found wrong with them needs no mending any more: those findings end.
    """
    digests = [one.digest for one in some]
    await store.remove_blobs(tx, digests)
    act_id = new_id()
    entry = Entry(
        id=act_id,
        at=now,
        act="blob.collect",
        actor=COLLECTOR,
        subject=Subject("collection", str(act_id), f"{len(some)} blobs that nothing names"),
        payload={
            "blobs": {one.digest.hex: one.size_bytes for one in some},
            "older_than_seconds": int(older_than.total_seconds()),
        },
    )
    await ledger.append(tx, entry)
    for digest in digests:
        await heal_blob(tx, digest, now, new_id())
