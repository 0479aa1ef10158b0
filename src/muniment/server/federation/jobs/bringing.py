"""Bringing the files of a fetch here, one after the other, each hashed on its way.

What is here already is not asked for again: a worker that was killed, or a connection that broke,
costs at most the file it was at.
"""

from __future__ import annotations

import uuid

import structlog

from muniment.core.errors import DestinationDown
from muniment.server import artifacts
from muniment.server.artifacts.records import Declared, File
from muniment.server.federation.plugins.elsewhere import Files
from muniment.server.federation.records import Fetch, KeptFile, RemoteFile
from muniment.server.federation.rules.places import checked_listing
from muniment.server.federation.store import fetches
from muniment.server.http.operation import Deps

_log = structlog.get_logger("muniment.federation")


async def bring(deps: Deps, fetch: Fetch, place: Files) -> list[File]:
    """Have every file of `place` here; return them. May be stopped anywhere and called again.

    Raises:
        BadRequest, DestinationRefused: what is there cannot be taken.
        NotFound: it is not there, or not for us.
        DestinationDown: the other side does not answer, or what is there changed meanwhile.
    """
    settings = deps.settings
    listed = checked_listing(await place.list_files(), max_bytes=settings.max_fetch_bytes)
    async with deps.db.transaction(read_only=True) as tx:
        here = {file.path: file for file in await fetches.kept_files(tx, fetch.id)}
    left_bytes = settings.max_fetch_bytes
    files: list[File] = []
    for remote in listed:
        file = here.get(remote.path)
        if file is None or not file.is_of(remote):
            limit = min(left_bytes, settings.max_file_bytes)
            file = await _bring_one(deps, fetch, place, remote, limit)
        left_bytes -= file.size_bytes
        files.append(File(file.path, file.size_bytes, file.digest))
    if checked_listing(await place.list_files(), max_bytes=settings.max_fetch_bytes) != listed:
        raise DestinationDown("what lies at the source changed while it was fetched")
    _log.info("fetched", fetch=str(fetch.id), files=len(files))
    return files


async def _bring_one(
    deps: Deps, fetch: Fetch, place: Files, remote: RemoteFile, limit: int
) -> KeptFile:
    upload_id = deps.clock.new_id()
    chunks = place.read(remote, max_bytes=limit)
    digest, size_bytes = await deps.blobs.keep(upload_id, chunks, limit=limit)
    if remote.size_bytes is not None and size_bytes != remote.size_bytes:
        raise DestinationDown(
            f"expected {remote.size_bytes} bytes of {remote.path}, as listed, found {size_bytes}"
        )
    found = await artifacts.format_of(deps.blobs, digest, size_bytes)
    file = KeptFile(remote.path, remote.mark, size_bytes, digest)
    now = deps.clock.now()
    async with deps.db.transaction() as tx:
        await artifacts.open_upload(
            tx,
            uuid.UUID(fetch.asked_by.id),
            upload_id=upload_id,
            now=now,
            ttl=deps.settings.upload_ttl,
        )
        blob = Declared(digest, size_bytes)
        await artifacts.declare(tx, upload_id, [blob])
        await artifacts.hold_blob(tx, deps.blobs, upload_id, blob, found, now=now)
        await artifacts.abandon_upload(tx, upload_id)
        await fetches.keep_file(tx, fetch.id, file)
    return file
