"""A held blob as an answer: whole, a range, or from where the store keeps it.

It is somebody's bytes: always sent as a download of no particular type, never as a page.
"""

from __future__ import annotations

import base64
import datetime as dt
from typing import Final
from urllib.parse import quote

from muniment.core.digest import Digest
from muniment.server.http import ranges
from muniment.server.http.operation import Call, Reply

_URL_EXPIRES: Final = dt.timedelta(minutes=10)


async def held_file(
    call: Call, digest: Digest, size_bytes: int, filename: str, *, direct: bool = False
) -> Reply:
    """Send a blob as a file called `filename`; `direct` sends the client to the store if it can.

    Raises:
        BadRange: the range asked for lies outside it.
    """
    blobs = call.deps.blobs
    if direct:
        url = await blobs.presign_read(digest, _URL_EXPIRES, filename)
        if url is not None:
            return Reply(status=307, headers={"Location": url, "Cache-Control": "no-store"})
    etag = f'"{digest}"'
    # Who has it already is told so whatever range was asked for (RFC 9110 §13.2.2).
    has_it = ranges.matches(call.headers.get("if-none-match", ""), etag)
    selected = ranges.select(
        size_bytes,
        etag=etag,
        range_header=None if has_it else call.headers.get("range"),
        if_range=call.headers.get("if-range"),
    )
    headers = {**selected.headers, **_headers(digest, filename)}
    path = await blobs.local_path(digest)
    if path is not None:
        span = (selected.start, selected.end)
        return Reply(file=path, span=span, status=selected.status, headers=headers)
    chunks = blobs.read(digest, selected.start, selected.end)
    return Reply(chunks=chunks, status=selected.status, headers=headers)


def _headers(digest: Digest, filename: str) -> dict[str, str]:
    plain = "".join(
        char if (char.isascii() and char.isalnum()) or char in "._- " else "_" for char in filename
    )
    return {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}",
        "Repr-Digest": f"sha-256=:{base64.b64encode(digest.raw).decode()}:",
        "Cache-Control": "private, max-age=31536000, immutable",
    }
