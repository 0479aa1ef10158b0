"""Take OpenLineage events as its clients send them, and show what was told.

`POST /api/v1/lineage` is where OpenLineage's HTTP transport sends to; `/batch` is the one of its API
for many. A body may be compressed with gzip, as the transport can be told to.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
import zlib
from typing import Annotated, Any, Final

import msgspec

from muniment.core.errors import (
    BadBody,
    BadCursor,
    Conflict,
    NotFound,
    TooLarge,
    UnsupportedMedia,
)
from muniment.core.names import NAMESPACE_DEFAULT
from muniment.server import evidence, ledger
from muniment.server.evidence.records import Unreadable
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import LIMIT_DEFAULT, Cursor, Limit, Page, cut, read_cursor
from muniment.server.http.records import Scope, Verb
from muniment.server.identity import By
from muniment.server.impact import actions
from muniment.server.impact.reads import events as reads
from muniment.server.impact.records import Event, Material, RecordedEvent
from muniment.server.impact.rules.events import BadEvent, read_event
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Tx

#: Of one event, and of all events of a batch.
EVENT_MAX_BYTES: Final = 1 << 20
BATCH_MAX_BYTES: Final = 8 << 20
BATCH_MAX: Final = 500
_LIMITS: Final = {
    True: evidence.Limits(max_bytes=BATCH_MAX_BYTES, max_depth=66, max_values=500_000),
    False: evidence.Limits(max_bytes=EVENT_MAX_BYTES, max_depth=64, max_values=100_000),
}
_RUNS: Final = Scope(NAMESPACE_DEFAULT)
_PROBLEMS_MAX: Final = 100


class DatasetBody(msgspec.Struct, frozen=True, kw_only=True):
    """What an event names: a dataset, or something this registry knows; by what it is found."""

    kind: str
    name: str
    version: str | None
    digest: str | None
    also: list[str]


class LineageEventBody(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was told. `about` is the node it is of; `sha256` is of what was sent.

    `created` false: the same was told before.
    """

    id: uuid.UUID
    about: str
    job: str | None
    event_type: str | None
    event_time: dt.datetime
    producer: str
    inputs: list[DatasetBody]
    outputs: list[DatasetBody]
    sha256: str
    recorded_at: dt.datetime
    recorded_by: Actor
    entry_id: uuid.UUID
    created: bool | None = None


class BatchBody(msgspec.Struct, frozen=True, kw_only=True):
    """The events of a batch, in the order they were sent."""

    items: list[LineageEventBody]


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which events: of a run or job, as lineage names it (`run:…`, `job:…`); else all."""

    about: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)] | None = None
    cursor: Cursor | None = None
    limit: Limit = LIMIT_DEFAULT


class _Position(msgspec.Struct):
    id: uuid.UUID


async def tell(call: Call) -> Reply:
    """Record one event."""
    call.require(Verb.REGISTER, _RUNS)
    data, value = await _read(call, many=False)
    told = [_event(value, data, "")]
    if isinstance(told[0], list):
        raise _refused(told[0])
    [(made, created)] = await _record(call, [told[0]])
    return Reply(_body(made, created=created), status=201 if created else 200)


async def tell_many(call: Call) -> Reply:
    """Record events, all or none."""
    call.require(Verb.REGISTER, _RUNS)
    data, value = await _read(call, many=True)
    if not isinstance(value, list) or len(value) > BATCH_MAX:
        found = f"{len(value)} of them" if isinstance(value, list) else "something else"
        raise BadBody(f"expected a list of at most {BATCH_MAX} events, found {found}")
    raw = _parts(data)
    read = [
        _event(one, part, f"[{number}].")
        for number, (one, part) in enumerate(zip(value, raw, strict=True))
    ]
    problems = [each for one in read if isinstance(one, list) for each in one]
    if problems:
        raise _refused(problems)
    done = await _record(call, [one for one in read if not isinstance(one, list)])
    return Reply(BatchBody(items=[_body(made, created=created) for made, created in done]))


async def _read(call: Call, *, many: bool) -> tuple[bytes, Any]:
    """Return the body, unpacked, and what it says.

    Raises:
        BadBody, TooLarge, UnsupportedMedia: it is not JSON that all readers understand alike, or too
            much of it.
    """
    media = (call.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise UnsupportedMedia(
            f"expected `Content-Type: application/json`, found {media[:100] or 'none'}"
        )
    limits = _LIMITS[many]
    data = _unpacked(call, await call.read(limits.max_bytes), limits.max_bytes)
    if data.lstrip()[:1] not in {b"{", b"["}:
        raise BadBody("expected a body of JSON, an OpenLineage event")
    read = await asyncio.to_thread(evidence.read, data, "body", limits)
    if isinstance(read, Unreadable):
        raise _refused([dict(each) for each in read.problems])
    if read.syntax != "json" or read.nonfinite:
        found = read.nonfinite[0] if read.nonfinite else "several values"
        raise BadBody(f"expected one JSON value of finite numbers, found {found}")
    return data, read.value


def _unpacked(call: Call, data: bytes, most: int) -> bytes:
    """Return a body as it was before it was compressed.

    Raises:
        BadBody: it is not what it says.
        TooLarge: it would have more than `most` bytes; no more than that is unpacked.
        UnsupportedMedia: it is compressed with something else than gzip.
    """
    coding = call.headers.get("content-encoding", "identity").strip().lower()
    if coding in {"identity", ""}:
        return data
    if coding not in {"gzip", "x-gzip"}:
        raise UnsupportedMedia(f"expected `Content-Encoding: gzip` or none, found {coding[:60]!r}")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        plain = unpacker.decompress(data, most + 1)
    except zlib.error as error:
        raise BadBody(
            f"expected gzip, as `Content-Encoding` says, found a mistake: {error}"
        ) from None
    if len(plain) > most:
        raise TooLarge(f"expected at most {most} bytes once unpacked; send less at once")
    if not unpacker.eof or unpacker.unused_data:
        raise BadBody("expected one whole gzip stream, found a part or more")
    return plain


def _parts(data: bytes) -> list[bytes]:
    """Return the events of a list, each as it was sent."""
    try:
        return [bytes(one) for one in msgspec.json.decode(data, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadBody(f"expected a body of JSON, found something else: {error}") from None


def _event(value: Any, data: bytes, at: str) -> tuple[Event, bytes] | list[dict[str, Any]]:
    """Return what an event says, or everything that is wrong with it."""
    if len(data) > EVENT_MAX_BYTES:
        message = f"expected at most {EVENT_MAX_BYTES} bytes, found {len(data)}"
        return [evidence.problem(at.rstrip(".") or "body", message)]
    try:
        return read_event(value, at), data
    except BadEvent as error:
        return error.problems


def _refused(problems: list[dict[str, Any]]) -> BadBody:
    first = problems[0]
    more = f" (and {len(problems) - 1} more, see `problems`)" if len(problems) > 1 else ""
    shown = [{"in": "body", **each} for each in problems[:_PROBLEMS_MAX]]
    return BadBody(f"`{first['field'] or 'body'}`: {first['message']}{more}", problems=shown)


async def _record(call: Call, told: list[tuple[Event, bytes]]) -> list[tuple[RecordedEvent, bool]]:
    by = By(ledger.actor_of(call.caller), call.now, call.new_id)
    async with call.deps.db.transaction() as tx:
        return await actions.tell(tx, told, by)


def _body(made: RecordedEvent, *, created: bool | None = None) -> LineageEventBody:
    event = made.event
    return LineageEventBody(
        id=made.id,
        about=event.maker,
        job=event.job,
        event_type=event.type,
        event_time=event.at,
        producer=event.producer,
        inputs=[_dataset(one) for one in event.inputs],
        outputs=[_dataset(one) for one in event.outputs],
        sha256=made.digest.hex,
        recorded_at=made.recorded_at,
        recorded_by=made.actor,
        entry_id=made.entry_id,
        created=created,
    )


def _dataset(one: Material) -> DatasetBody:
    return DatasetBody(
        kind=one.kind.value, name=one.name, version=one.version, digest=one.digest,
        also=list(one.also),
    )  # fmt: skip


async def list_(call: Call, tx: Tx) -> Reply:
    """List what was told, the newest first."""
    call.require(Verb.READ, _RUNS)
    query: EventsQuery = call.query
    before = read_cursor(query.cursor, _Position).id if query.cursor else None
    found = await reads.page(tx, about=query.about, before=before, limit=query.limit)
    last = {"id": str(found[query.limit - 1].id)} if len(found) > query.limit else None
    return Reply(Page(*cut([_body(one) for one in found], query.limit, last)))


async def get(call: Call, tx: Tx) -> Reply:
    """Give an event as it was sent."""
    call.require(Verb.READ, _RUNS)
    try:
        event_id = uuid.UUID(call.path["event_id"])
    except ValueError:
        raise NotFound(f"there is nothing called {call.path['event_id'][:80]!r}") from None
    return Reply(await reads.sent(tx, event_id))


def _telling(rest: str, name: str, summary: str, handler: Any, returns: Any) -> Operation:
    return Operation(
        method="POST",
        path=f"/api/v1/lineage{rest}",
        id=name,
        summary=summary,
        handler=handler,
        needs=Verb.REGISTER,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.NONE,
        returns=returns,
        errors=(BadBody, Conflict, TooLarge, UnsupportedMedia, NotFound),
        tag="lineage",
        streams=True,
        accepts="application/json",
        status=201 if not rest else 200,
        also=(200,) if not rest else (),
    )


OPERATIONS: list[Operation] = [
    _telling("", "tell_lineage", "Record an OpenLineage event", tell, LineageEventBody),
    _telling("/batch", "tell_lineage_batch", "Record OpenLineage events", tell_many, BatchBody),
    Operation(
        method="GET",
        path="/api/v1/lineage/events",
        id="list_lineage_events",
        summary="What jobs elsewhere told of their runs",
        handler=list_,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=EventsQuery,
        returns=Page[LineageEventBody],
        errors=(BadCursor, NotFound),
        tag="lineage",
    ),
    Operation(
        method="GET",
        path="/api/v1/lineage/events/{event_id}",
        id="get_lineage_event",
        summary="An OpenLineage event as it was sent",
        handler=get,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        returns=dict[str, Any],
        errors=(NotFound,),
        tag="lineage",
    ),
]
