"""Turning a reply into ASGI messages.

Files go out by `http.response.pathsend` where the server offers it (the kernel copies them), else
in chunks of 1 MiB read in a thread. The first chunk of a stream is awaited before the status is
sent, so a stream that fails at once is still a proper error.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from muniment.core.errors import NotFound
from muniment.server.http import ranges
from muniment.server.http.operation import Reply

CHUNK_BYTES = 1 << 20
Send = Callable[[dict[str, Any]], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]

_encode = msgspec.json.Encoder().encode

#: On every answer: nothing sniffs a type, frames it, or runs anything in it.
_ALWAYS: RawHeaders = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
_SEALED = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox")
_NO_STORE = (b"cache-control", b"no-store")
_REVALIDATE = (b"cache-control", b"private, no-cache")
_BODILESS = frozenset({204, 304})


@dataclass(slots=True)
class Outgoing:
    """A reply ready to go: its status, its headers, and the one source of its bytes."""

    status: int
    headers: RawHeaders
    body: bytes | None
    reply: Reply


def encoded(body: object) -> bytes:
    """Return the bytes of a reply's body: JSON unless it is bytes or text already."""
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    return b"" if body is None else _encode(body)


def prepare(
    reply: Reply, *, status: int, media_type: str, request_id: str, if_none_match: str | None = None
) -> Outgoing:
    """Make the head of an answer.

    `status` and `media_type` are the operation's own. With `if_none_match` naming the reply's
    ETag the answer is 304 without a body.
    """
    given = {name.lower(): value for name, value in reply.headers.items()}
    status = reply.status or status
    etag = given.get("etag")
    if etag and if_none_match and status == 200 and ranges.matches(if_none_match, etag):  # noqa: PLR2004
        status = 304
        reply = Reply()
        for name in ("content-length", "content-type", "content-disposition"):
            given.pop(name, None)
    streamed = reply.chunks is not None or reply.file is not None
    body = None if streamed else encoded(reply.body)
    headers = [*_ALWAYS, (b"x-request-id", request_id.encode("latin-1"))]
    if "cache-control" not in given:
        headers.append(_REVALIDATE if etag else _NO_STORE)
    if "content-security-policy" not in given:
        headers.append(_SEALED)
    if status not in _BODILESS:
        if "content-type" not in given and (body or streamed):
            headers.append((b"content-type", media_type.encode("latin-1")))
        if body is not None:
            headers.append((b"content-length", b"%d" % len(body)))
    headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in given.items()]
    return Outgoing(status, headers, body, reply)


async def send(out: Outgoing, sender: Send, *, head: bool, pathsend: bool) -> None:
    """Send an answer; of a HEAD request only its head.

    Raises:
        NotFound: the file is not there (nothing is sent by then). Whatever a stream raises is
            raised here; if that was after its first chunk, the status has gone out.
    """
    if out.body is not None:
        await _start(out, sender)
        body = b"" if head or out.status in _BODILESS else out.body
        await sender({"type": "http.response.body", "body": body})
    elif out.reply.chunks is not None:
        await _send_chunks(out, out.reply.chunks, sender, head=head)
    else:
        await _send_file(out, sender, head=head, pathsend=pathsend)


async def _start(out: Outgoing, sender: Send) -> None:
    start = {"type": "http.response.start", "status": out.status, "headers": out.headers}
    await sender(start)


async def _send_chunks(
    out: Outgoing, chunks: AsyncIterator[bytes], sender: Send, *, head: bool
) -> None:
    async with contextlib.aclosing(_closable(chunks)) as closing:
        first = await anext(closing, b"")
        await _start(out, sender)
        if not head:
            await sender({"type": "http.response.body", "body": first, "more_body": True})
            async for chunk in closing:
                await sender({"type": "http.response.body", "body": chunk, "more_body": True})
    await sender({"type": "http.response.body", "body": b""})


async def _closable(chunks: AsyncIterator[bytes]) -> Any:
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()


async def _send_file(out: Outgoing, sender: Send, *, head: bool, pathsend: bool) -> None:
    assert out.reply.file is not None
    file = await asyncio.to_thread(_opened, out.reply.file)
    with file:
        size_bytes = os.fstat(file.fileno()).st_size
        start, end = out.reply.span or (0, size_bytes)
        if not any(name == b"content-length" for name, _ in out.headers):
            out.headers.append((b"content-length", b"%d" % (end - start)))
        await _start(out, sender)
        if head:
            await sender({"type": "http.response.body", "body": b""})
        elif pathsend and (start, end) == (0, size_bytes):
            await sender({"type": "http.response.pathsend", "path": out.reply.file})
        else:
            await _copy(file, start, end, sender)


async def _copy(file: BinaryIO, start: int, end: int, sender: Send) -> None:
    await asyncio.to_thread(file.seek, start)
    while start < end:
        chunk = await asyncio.to_thread(file.read, min(CHUNK_BYTES, end - start))
        if not chunk:
            raise NotFound("the file became shorter while it was sent")
        start += len(chunk)
        await sender({"type": "http.response.body", "body": chunk, "more_body": True})
    await sender({"type": "http.response.body", "body": b""})


def _opened(path: str) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except FileNotFoundError as error:
        raise NotFound("the file is not there") from error
