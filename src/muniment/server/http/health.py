"""What the kit itself answers: is it alive, is it ready, its metrics, its own description."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

from muniment.core.errors import DatabaseDown, MunimentError, Unavailable
from muniment.server.http import metrics, openapi
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.records import Verb
from muniment.server.ports import queue

READY_SECONDS = 3.0


class Health(msgspec.Struct, frozen=True):
    """`ok`, and which parts said so."""

    status: str
    parts: list[str]


async def healthz(_call: Call) -> Reply:
    """Answer that the process runs."""
    return Reply(Health("ok", ["process"]))


async def readyz(call: Call) -> Reply:
    """Answer that the database and the blob store do.

    Raises:
        DatabaseDown, BlobStoreDown, Unavailable: one of them does not, or not in 3 s.
    """
    try:
        async with asyncio.timeout(READY_SECONDS):
            async with call.deps.db.transaction(read_only=True) as tx:
                if await tx.fetchval("SELECT 1") != 1:
                    raise DatabaseDown
            await call.deps.blobs.get_object("ready")  # there or not: the store has answered
    except TimeoutError as error:
        raise Unavailable(f"not ready: no answer within {READY_SECONDS:g} s") from error
    return Reply(Health("ok", ["database", "blobs"]))


def built_in(
    operations: Sequence[Operation],
    numbers: metrics.Metrics,
    gauges: Sequence[metrics.Gauges] = (),
) -> list[Operation]:
    """Return the kit's own operations, beside `operations`."""

    async def read_metrics(call: Call) -> Reply:
        # Without the database the process still tells of itself, and keeps the numbers it had.
        with contextlib.suppress(MunimentError, TimeoutError):
            async with (
                asyncio.timeout(READY_SECONDS),
                call.deps.db.transaction(read_only=True) as tx,
            ):
                for read in gauges:
                    numbers.show(await read(tx))
                numbers.show_jobs(await queue.counts(tx))
        return Reply(numbers.text())

    @cache
    def document() -> bytes:
        return msgspec.json.encode(openapi.document([*operations, *own]))

    async def read_openapi(_call: Call) -> Reply:
        return Reply(document())

    own = [
        _own("/healthz", "healthz", "Is the process alive", healthz, returns=Health),
        _own(
            "/readyz",
            "readyz",
            "Are the database and the blob store reachable",
            readyz,
            returns=Health,
            errors=(Unavailable,),
        ),
        _own(
            "/metrics",
            "metrics",
            "Metrics in Prometheus' text format",
            read_metrics,
            needs=Verb.OBSERVE,
            media_type=metrics.MEDIA_TYPE,
        ),
        _own(
            "/api/v1/openapi.json",
            "get_openapi",
            "This description",
            read_openapi,
            needs=Verb.NOTHING,
            returns=dict[str, Any],
        ),
    ]
    return own


def _own(path: str, name: str, summary: str, handler: Any, **more: Any) -> Operation:
    return Operation(
        method="GET",
        path=path,
        id=name,
        summary=summary,
        handler=handler,
        needs=more.pop("needs", Verb.ANONYMOUS),
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.NONE,
        tag="server",
        **more,
    )
