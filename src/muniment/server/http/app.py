"""The ASGI application: what happens to every request, in order.

1. The path is matched; unknown paths and methods are problems like any other.
2. The caller is known and allowed (`gate`), before a byte of the body is read.
3. Query and body are decoded; everything wrong with both is said at once.
4. The handler runs in its transaction. A write that lost a race is run again, and one with an
   Idempotency-Key is run once (`idempotency`).
5. The answer goes out after the transaction is closed; a GET whose ETag the client has is 304.

An error nobody foresaw is logged here, once, and shown as a 500 with the request's id.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import structlog
from starlette.types import Message, Receive, Scope, Send

from muniment.core.errors import (
    Contended,
    MethodNotAllowed,
    MunimentError,
    NotFound,
    TooLarge,
    UnsupportedMedia,
)
from muniment.server.http import idempotency, problems, sending
from muniment.server.http.decode import Problem, QueryPlan, body_of, refuse
from muniment.server.http.dialects import Dialect, spoken_at
from muniment.server.http.gate import Authenticator, Gate, authorise
from muniment.server.http.health import built_in
from muniment.server.http.metrics import Gauges, Meter, Metrics
from muniment.server.http.operation import (
    Allows,
    Call,
    ClientGone,
    Deps,
    Operation,
    Reply,
    TxMode,
)
from muniment.server.http.records import Verb
from muniment.server.http.routing import Router, parameters, sent_path

ATTEMPTS = 3
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_log = structlog.get_logger("muniment.http")


@dataclass(frozen=True, slots=True)
class Served:
    """An operation with all that can be prepared before its first request."""

    operation: Operation
    names: tuple[str, ...]
    decoder: msgspec.json.Decoder[Any] | None
    query: QueryPlan | None
    meter: Meter


class Kit:
    """Answers the requests of all operations."""

    def __init__(
        self,
        operations: Sequence[Operation],
        deps: Deps,
        *,
        authenticator: Authenticator,
        allows: Allows,
        dialects: Sequence[Dialect] = (),
        gauges: Sequence[Gauges] = (),
        metrics: Metrics | None = None,
    ) -> None:
        """Prepare every operation.

        Raises:
            ValueError: two operations answer the same method and path.
        """
        self._deps, self._allows, self._dialects = deps, allows, dialects
        self._gate = Gate(authenticator)
        self.metrics = metrics or Metrics()
        self._unmatched = self.metrics.meter("unmatched")
        everything = [*operations, *built_in(operations, self.metrics, gauges)]
        self._router = Router((op.method, op.path, self._serve(op)) for op in everything)

    def _serve(self, operation: Operation) -> Served:
        if operation.open_when is not None and operation.open_when(self._deps.settings):
            operation = replace(operation, needs=Verb.ANONYMOUS)
        return Served(
            operation=operation,
            names=tuple(parameters(operation.path)),
            decoder=msgspec.json.Decoder(operation.body) if operation.body else None,
            query=QueryPlan(operation.query) if operation.query else None,
            meter=self.metrics.meter(operation.id),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close"})
            return
        started = time.perf_counter()
        exchange = _Exchange(scope, receive, send)
        exchange.dialect = spoken_at(exchange.path, self._dialects)
        self.metrics.in_flight += 1
        try:
            await self._exchange(exchange)
        finally:
            self.metrics.in_flight -= 1
            (exchange.meter or self._unmatched).count(
                exchange.status, time.perf_counter() - started
            )

    async def _exchange(self, exchange: _Exchange) -> None:
        try:
            await exchange.send(await self._outgoing(exchange))
        except ClientGone:
            exchange.status = 499
        except MunimentError as error:
            _note(error, exchange)
            await self._tell(exchange, error)
        except Exception:  # noqa: BLE001 -- the edge: logged once, shown as a 500
            _log.exception("request failed", request_id=exchange.request_id, path=exchange.path)
            await self._tell(exchange, _unforeseen())

    async def _tell(self, exchange: _Exchange, error: MunimentError) -> None:
        if exchange.started:  # the status is out: all that is left is to break off
            raise ConnectionAbortedError(error.message)
        gave_token = b"authorization" in exchange.headers
        if exchange.dialect is None:
            reply = problems.reply_for(error, exchange.request_id, gave_token=gave_token)
        else:
            reply = exchange.dialect.tell(error, exchange.path)
        await exchange.send(
            sending.prepare(
                reply,
                status=error.status,
                media_type=problems.MEDIA_TYPE,
                request_id=exchange.request_id,
            )
        )

    async def _outgoing(self, exchange: _Exchange) -> sending.Outgoing:
        served, path = self._find(exchange)
        operation = served.operation
        exchange.meter = served.meter
        call = Call(
            operation=operation,
            scope=exchange.scope,
            receive=exchange.receive,
            path=path,
            now=self._deps.clock.now(),
            deps=self._deps,
            allows=self._allows,
            request_id=exchange.request_id,
        )
        await self._admit(call, exchange)
        raw = await self._decode(served, call, exchange)
        reply = await self._run(call, exchange, raw)
        return sending.prepare(
            reply,
            status=operation.status,
            media_type=operation.media_type,
            request_id=exchange.request_id,
            if_none_match=exchange.header(b"if-none-match") if operation.method == "GET" else None,
        )

    def _find(self, exchange: _Exchange) -> tuple[Served, dict[str, str]]:
        found = self._router.find(exchange.path)
        if found is None:
            raise NotFound(
                f"there is nothing at {exchange.path[:200]}; see /api/v1/openapi.json",
                context={"no_operation": True},
            )
        served = found.methods.get(exchange.method)
        if served is None and exchange.head:
            served = found.methods.get("GET")
        if served is None:
            allowed = sorted(found.methods.keys() | ({"HEAD"} if "GET" in found.methods else set()))
            raise MethodNotAllowed(
                f"{exchange.method} is not taken here; expected {', '.join(allowed)}",
                extra={"allow": allowed},
            )
        return served, dict(zip(served.names, found.values, strict=True))

    async def _admit(self, call: Call, exchange: _Exchange) -> None:
        if call.operation.needs is not Verb.ANONYMOUS:
            authorization = exchange.header(b"authorization")
            call.known = await self._gate.caller(exchange.scope, authorization, call.now)
            authorise(call)
        if call.operation.guarded:
            self._gate.guard(exchange.scope, call.now)

    async def _decode(self, served: Served, call: Call, exchange: _Exchange) -> bytes:
        if exchange.dialect is not None:
            return await self._translate(exchange.dialect, call, exchange)
        query_problems: list[Problem] = []
        body_problems: list[Problem] = []
        query_string: bytes = exchange.scope["query_string"]
        raw = b""
        if served.query is not None:
            call.query, query_problems = served.query.read(query_string)
        elif query_string:
            query_problems = _NO_QUERY.read(query_string)[1]
        if served.decoder is not None:
            raw = await self._read_json(call, exchange)
            call.body, body_problems = body_of(raw, served.decoder)
        if query_problems or body_problems:
            refuse(query_problems, body_problems)
        return raw

    async def _translate(self, dialect: Dialect, call: Call, exchange: _Exchange) -> bytes:
        operation, raw = call.operation, b""
        if operation.query is not None:
            call.query = dialect.query(operation.query, exchange.scope["query_string"])
        if operation.body is not None:
            raw = await call.read(self._deps.settings.max_body_bytes)
            call.body = dialect.body(operation.body, raw, exchange.header(b"content-type") or "")
        return raw

    async def _read_json(self, call: Call, exchange: _Exchange) -> bytes:
        media = (exchange.header(b"content-type") or "").partition(";")[0].strip().lower()
        if media != "application/json":
            raise UnsupportedMedia(
                f"expected `Content-Type: application/json`, found {media[:100] or 'none'}"
            )
        announced = exchange.header(b"content-length") or "0"
        most = self._deps.settings.max_body_bytes
        if not announced.isdecimal() or int(announced) > most:
            raise TooLarge(f"expected a body of at most {most} bytes of JSON; send less at once")
        return await call.read(most)

    async def _run(self, call: Call, exchange: _Exchange, raw: bytes) -> Reply:
        operation, db = call.operation, self._deps.db
        if operation.tx is TxMode.NONE:
            return await operation.handler(call)
        if operation.tx is TxMode.READ:
            async with db.transaction(read_only=True) as tx:
                return await operation.handler(call, tx)
        claim = _claim(call, exchange, raw)
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._write(call, claim)
            except Contended:
                if operation.streams:  # its body was read and cannot be read again
                    raise
        return await self._write(call, claim)

    async def _write(self, call: Call, claim: idempotency.Claim | None) -> Reply:
        operation = call.operation
        async with self._deps.db.transaction() as tx:
            if claim is None:
                return await operation.handler(call, tx)
            answer = await idempotency.begin(tx, claim, call.now)
            if answer is not None:
                headers = answer.headers | {"idempotency-replayed": "true"}
                return Reply(body=answer.body, status=answer.status, headers=headers)
            reply = await operation.handler(call, tx)
            reply = replace(reply, body=sending.encoded(reply.body))
            if not operation.secret:
                await idempotency.keep(tx, claim, _answer_of(reply, operation))
            return reply


class _Exchange:
    """One request and its answer on the wire."""

    __slots__ = (
        "_send",
        "dialect",
        "head",
        "headers",
        "meter",
        "method",
        "path",
        "receive",
        "request_id",
        "scope",
        "started",
        "status",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self._send = scope, receive, send
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.method: str = scope["method"]
        self.head = self.method == "HEAD"
        self.path = sent_path(scope)
        self.request_id = _request_id(self.headers.get(b"x-request-id"))
        self.meter: Meter | None = None
        self.dialect: Dialect | None = None
        self.started = False
        self.status = 500

    def header(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    async def send(self, out: sending.Outgoing) -> None:
        pathsend = "http.response.pathsend" in self.scope.get("extensions", ())
        self.status = out.status
        await sending.send(out, self._tracked, head=self.head, pathsend=pathsend)

    async def _tracked(self, message: Message) -> None:
        self.started = True
        await self._send(message)


class _NoQuery(msgspec.Struct):
    """The query of an operation that takes none."""


_NO_QUERY = QueryPlan(_NoQuery)


def _request_id(sent: bytes | None) -> str:
    if sent is not None and _REQUEST_ID.fullmatch(sent):
        return sent.decode("ascii")
    return os.urandom(12).hex()


def _claim(call: Call, exchange: _Exchange, raw: bytes) -> idempotency.Claim | None:
    key = exchange.header(b"idempotency-key")
    if key is None or call.known is None or call.operation.streams:
        return None
    scope = exchange.scope
    parts = (exchange.method.encode(), exchange.path.encode(), scope["query_string"], raw)
    return idempotency.claim_of(call.known, key, parts)


def _answer_of(reply: Reply, operation: Operation) -> idempotency.Answer:
    headers = {"content-type": operation.media_type, **reply.headers}
    return idempotency.Answer(
        reply.status or operation.status, headers, sending.encoded(reply.body)
    )


def _note(error: MunimentError, exchange: _Exchange) -> None:
    if error.status >= 500:  # noqa: PLR2004 -- ours, not the client's
        _log.error(
            "request refused",
            request_id=exchange.request_id,
            path=exchange.path,
            code=error.code,
            reason=error.message,
            context=error.context,
        )


def _unforeseen() -> MunimentError:
    return MunimentError("something went wrong here; quote the request id when you report it")


def build(
    operations: Sequence[Operation],
    deps: Deps,
    *,
    authenticator: Authenticator,
    allows: Allows,
    dialects: Sequence[Dialect] = (),
    gauges: Sequence[Gauges] = (),
    metrics: Metrics | None = None,
) -> Kit:
    """Return the ASGI application that serves `operations`, health, metrics and the OpenAPI document.

    `dialects` are other APIs spoken at paths of their own, `gauges` what slices tell `/metrics` of
    the state of the registry. `metrics` are numbers others add to as well; without them they are
    the application's own.

    Raises:
        ValueError: two operations answer the same method and path.
    """
    return Kit(
        operations,
        deps,
        authenticator=authenticator,
        allows=allows,
        dialects=dialects,
        gauges=gauges,
        metrics=metrics,
    )
