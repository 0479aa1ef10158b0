"""The verbs of a blob whose digest its sender does not say: sent in pieces, joined, then named.

A piece is staged like any blob of a session, under a name that its sender did not choose. It counts
towards the quota and is dropped with the session: nothing of it is held before all are joined.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections.abc import AsyncGenerator, Sequence

from muniment.server.artifacts import store
from muniment.server.artifacts.actions.registering import check_open, check_quota
from muniment.server.artifacts.records import Declared
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.db import Tx


async def expect_piece(
    tx: Tx, upload_id: uuid.UUID, piece: Declared, *, now: dt.datetime, quota_bytes: int
) -> None:
    """Note that a piece is on its way into a session, whoever brings it: the caller has seen a proof.

    Raises:
        NotFound: there is no such session.
        UploadConflict: it is over.
        QuotaExceeded: its owner would have more than `quota_bytes` on their way. Nothing is to be
            committed.
    """
    upload = check_open(await store.find_any_upload(tx, upload_id), now)
    await store.declare(tx, upload_id, [piece])
    await check_quota(tx, upload.principal_id, now, quota_bytes)


async def join_pieces(
    blobs: Blobs, upload_id: uuid.UUID, pieces: Sequence[Declared], *, limit: int
) -> Declared:
    """Hold the bytes of the pieces, one after the other, as one blob; return it.

    Its digest is of what was read while it was written. The pieces stay staged.

    Raises:
        UploadConflict: a piece is not there whole.
        TooLarge: they are more than `limit` bytes. Nothing is held in either case.
    """
    async with contextlib.aclosing(_joined(blobs, upload_id, pieces)) as chunks:
        digest, size_bytes = await blobs.keep(upload_id, chunks, limit=limit)
    return Declared(digest, size_bytes)


async def _joined(
    blobs: Blobs, upload_id: uuid.UUID, pieces: Sequence[Declared]
) -> AsyncGenerator[bytes]:
    for piece in pieces:
        async for chunk in blobs.read_staged(upload_id, piece.digest, piece.size_bytes):
            yield chunk
