"""Bytes as they arrive from a network: in chunks, and sometimes not to the end."""

from __future__ import annotations

from collections.abc import AsyncIterator


class Broken(Exception):
    """The connection went away."""


async def sent(data: bytes) -> AsyncIterator[bytes]:
    """Give `data` in one chunk; none when it is empty."""
    if data:
        yield data


async def chunked(data: bytes, chunk_bytes: int) -> AsyncIterator[bytes]:
    """Give `data` in chunks."""
    for at in range(0, len(data), chunk_bytes):
        yield data[at : at + chunk_bytes]


async def broken(data: bytes) -> AsyncIterator[bytes]:
    """Give `data`, then break off."""
    yield data
    raise Broken
