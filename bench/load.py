"""A small closed-loop HTTP load: N connections, each sending its next request when the last is answered.

Written on asyncio streams so that the client costs little beside the servers measured on the same
two cores; the same load drives both sides.
"""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """One request: method, path with query, JSON body or None."""

    method: str
    path: str
    body: object = None


@dataclass(frozen=True, slots=True)
class Result:
    """What one run measured; latencies in milliseconds, CPU per request in milliseconds."""

    requests: int
    errors: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float

    @property
    def per_second(self) -> float:
        """Answered requests a second."""
        return self.requests / self.seconds


def _wire(request: Request, host: str, headers: dict[str, str]) -> bytes:
    body = b"" if request.body is None else json.dumps(request.body).encode()
    lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines += ["Content-Type: application/json"]
    if body or request.method != "GET":
        lines += [f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    lowered = head.lower()
    if b"transfer-encoding: chunked" in lowered:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
        await reader.readexactly(2)
    elif b"content-length: " in lowered:
        length = lowered.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0]
        await reader.readexactly(int(length))
    return int(head[9:12])


def _acknowledge_at_once(writer: asyncio.StreamWriter) -> None:
    """Have the head of the answer acknowledged when it comes.

    MLflow's server sends head and body apart and holds the body back until then, which a client
    left to itself lets take 40 ms: true, but not what is to be measured here.
    """
    if sys.platform == "linux":  # sending anything undoes it: ask again for each answer
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


async def drive(
    port: int,
    requests: Iterator[Request],
    *,
    clients: int,
    seconds: float,
    headers: dict[str, str],
    cpu_seconds: Callable[[], float],
) -> Result:
    """Send `requests` over `clients` connections for `seconds`; return what was measured.

    An answer of 400 or more counts as an error, and its first one is printed.
    """
    latencies: list[float] = []
    errors = 0
    deadline = 0.0

    async def connection() -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for request in requests:
                began = time.perf_counter()
                if began > deadline:
                    return
                writer.write(_wire(request, f"127.0.0.1:{port}", headers))
                _acknowledge_at_once(writer)
                status = await _answer(reader)
                latencies.append(time.perf_counter() - began)
                if status >= 400:
                    errors += 1
                    if errors == 1:
                        print(f"      first error: {status} for {request}")
        finally:
            writer.close()

    cpu, began = cpu_seconds(), time.perf_counter()
    deadline = began + seconds
    await asyncio.gather(*(connection() for _ in range(clients)))
    took, cpu = time.perf_counter() - began, cpu_seconds() - cpu
    ordered = sorted(latencies) or [0.0]
    return Result(
        requests=len(latencies),
        errors=errors,
        seconds=took,
        p50_ms=1000 * statistics.median(ordered),
        p99_ms=1000 * ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
        cpu_ms=1000 * cpu / max(1, len(latencies)),
    )
