"""A version's files, byte for byte: whole, a range, or from where the store keeps them.

They are somebody's bytes: always sent as a download of no particular type, never as a page.
"""

from __future__ import annotations

import base64
import datetime as dt
from typing import Final
from urllib.parse import quote

import msgspec

from muniment.core.errors import BadName, BadRange, BadVersion, BlobStoreDown, NotFound
from muniment.server.artifacts import reads
from muniment.server.artifacts.records import File
from muniment.server.artifacts.routes.versions import ONE, version_of
from muniment.server.http import ranges
from muniment.server.http.operation import Call, Operation, Reply, TxMode
from muniment.server.http.records import Verb

_URL_EXPIRES: Final = dt.timedelta(minutes=10)


class FileQuery(msgspec.Struct, frozen=True):
    """`direct`: be sent to where the store keeps the bytes, if it can be reached directly."""

    direct: bool = False


async def get(call: Call) -> Reply:
    """Send one file, or a range of it."""
    file = await _file(call)
    blobs, query = call.deps.blobs, call.query
    filename = file.path.rsplit("/", 1)[-1]
    if query.direct:
        url = await blobs.presign_read(file.digest, _URL_EXPIRES, filename)
        if url is not None:
            return Reply(status=307, headers={"Location": url, "Cache-Control": "no-store"})
    etag = f'"{file.digest}"'
    # Who has it already is told so whatever range was asked for (RFC 9110 §13.2.2).
    has_it = ranges.matches(call.headers.get("if-none-match", ""), etag)
    selected = ranges.select(
        file.size_bytes,
        etag=etag,
        range_header=None if has_it else call.headers.get("range"),
        if_range=call.headers.get("if-range"),
    )
    headers = {**selected.headers, **_headers(file, filename)}
    path = await blobs.local_path(file.digest)
    if path is not None:
        span = (selected.start, selected.end)
        return Reply(file=path, span=span, status=selected.status, headers=headers)
    chunks = blobs.read(file.digest, selected.start, selected.end)
    return Reply(chunks=chunks, status=selected.status, headers=headers)


async def _file(call: Call) -> File:
    """Return the file the path names.

    Raises:
        NotFound: the version has no such file.
    """
    async with call.deps.db.transaction(read_only=True) as tx:
        version = await version_of(call, tx)
        file = await reads.find_file(tx, version.manifest_digest, call.path["path"])
    if file is None:
        raise NotFound(f"{version.name} has no file `{call.path['path'][:200]}`")
    return file


def _headers(file: File, filename: str) -> dict[str, str]:
    plain = "".join(
        char if (char.isascii() and char.isalnum()) or char in "._- " else "_" for char in filename
    )
    return {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}",
        "Repr-Digest": f"sha-256=:{base64.b64encode(file.digest.raw).decode()}:",
        "Cache-Control": "private, max-age=31536000, immutable",
    }


OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path=f"{ONE}/files/{{path:path}}",
        id="get_file",
        summary="One file of a version",
        handler=get,
        needs=Verb.READ,
        tx=TxMode.NONE,
        query=FileQuery,
        returns=bytes,
        also=(206, 304, 307),
        errors=(NotFound, BadName, BadVersion, BadRange, BlobStoreDown),
        tag="versions",
        media_type="application/octet-stream",
    ),
]
