"""An HTTP server in this loop that answers as a test says, and remembers who asked for what."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

Answer = Callable[["Asked"], bytes | Awaitable[bytes]]


@dataclass(frozen=True)
class Asked:
    """One request as it arrived; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class OtherServer:
    """Where it listens and what it was asked."""

    host: str
    port: int
    scheme: str = "http"
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def at(self) -> str:
        return f"{self.host}:{self.port}"


def reply(status: int = 200, body: bytes = b"", *, length: bool = True, **headers: str) -> bytes:
    """An answer; underscores in header names are hyphens."""
    lines = [f"HTTP/1.1 {status} X"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if length:
        lines.append(f"content-length: {len(body)}")
    lines.append("connection: close")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextlib.asynccontextmanager
async def other_server(
    answer: Answer, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[OtherServer]:
    """Serve `answer` on a free port."""
    server: OtherServer

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            asked = await _read(reader)
            server.asked.append(asked)
            answered: Any = answer(asked)
            writer.write(answered if isinstance(answered, bytes) else await answered)
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, host, port, ssl=tls)
    bound = listening.sockets[0].getsockname()[1]
    server = OtherServer(host, bound, "https" if tls else "http")
    try:
        yield server
    finally:
        listening.close()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    method, path, _ = first.split(" ")
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, body)
