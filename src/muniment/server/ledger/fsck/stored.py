"""Steps 3 and 5: what the blob store must hold, and whether it does."""

from __future__ import annotations

import hashlib
import random

from muniment.core import merkle
from muniment.core.digest import Digest
from muniment.core.errors import LogInconsistent, NotFound
from muniment.server.ledger import store
from muniment.server.ledger.fsck.options import (
    NOTHING,
    REPUBLISH,
    RESTORE,
    TILES_AT_ONCE,
    Options,
)
from muniment.server.ledger.records import Finding, NeededBlob, Report
from muniment.server.ledger.sequencer import OBJECT_PREFIX, objects_of
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.db import Tx


async def check_published(tx: Tx, blobs: Blobs, report: Report, options: Options) -> None:
    """Step 3: what is served must be what the database says."""
    shown = await store.last_checkpoint(tx, published=True)
    wanted = list(merkle.tiles_between(0, shown.size)) if shown else []
    for at in range(0, len(wanted), TILES_AT_ONCE):
        options.progress("published tiles", at)
        try:
            objects = await objects_of(tx, wanted[at : at + TILES_AT_ONCE])
        except LogInconsistent:
            continue  # the tile was named in step 2
        for path, data in objects:
            report.count("published objects")
            found = await blobs.get_object(OBJECT_PREFIX + path)
            if found is None and ".p/" in path:
                # The log went on meanwhile, and the full tile took its place.
                whole = await blobs.get_object(OBJECT_PREFIX + path.partition(".p/")[0])
                found = whole[: len(data)] if whole is not None else None
            if found != data:
                what = NOTHING if found is None else "other bytes"
                report.add(
                    Finding("object", OBJECT_PREFIX + path, f"{len(data)} bytes", what, REPUBLISH)
                )


async def check_blobs(
    blobs: Blobs,
    needed: dict[bytes, NeededBlob],
    suspects: set[Digest],
    report: Report,
    options: Options,
) -> None:
    """Step 5: presence of all that is needed, then the bytes of suspects and of all or some others."""
    chosen: list[Digest] = []
    suspected: list[Digest] = []
    dice = random.Random(options.seed)  # noqa: S311 -- a sample, not a secret
    missing = dict(needed)
    async for digest, size_bytes in blobs.list_digests():
        held = report.count("blobs held")
        blob = missing.pop(digest.raw, None)
        if blob is not None and blob.size_bytes != size_bytes:
            what = f"{size_bytes} bytes"
            report.add(_lost(blob, f"{blob.size_bytes} bytes", what))
        if digest in suspects:
            suspected.append(digest)
        elif options.sample is None or len(chosen) < options.sample:
            chosen.append(digest)
        elif (place := dice.randrange(held)) < options.sample:
            chosen[place] = digest
    for blob in missing.values():
        report.add(_lost(blob, "a blob that is held", NOTHING))
    for digest in [*suspected, *chosen]:
        options.progress("blobs hashed", report.count("blobs hashed"))
        found = await _hash_blob(blobs, digest)
        if found != digest:
            blob = needed.get(digest.raw) or NeededBlob(digest, 0, "no version")
            report.add(_lost(blob, str(digest), str(found) if found else NOTHING))
        elif (told := await options.misdescribed(digest)) is not None:
            what_for = needed[digest.raw].what_for if digest.raw in needed else "no version"
            where = f"blob, row {digest.hex} ({what_for}), columns format and executable"
            report.add(Finding("blob", where, *told, RESTORE))


def _lost(blob: NeededBlob, expected: str, found: str) -> Finding:
    remedy = "put the file back from its origin or a backup: its digest says which one"
    return Finding("blob", f"{blob.digest} ({blob.what_for})", expected, found, remedy)


async def _hash_blob(blobs: Blobs, digest: Digest) -> Digest | None:
    hasher = hashlib.sha256()
    try:
        async for chunk in blobs.read(digest):
            hasher.update(chunk)
    except NotFound:
        return None
    return Digest(hasher.digest())
