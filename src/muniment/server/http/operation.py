"""What a route declares, what its handler is given, and what it gives back.

A slice's `routes.py` is a list of `Operation`s. The kit matches the path, knows the caller, checks
the verb, decodes query and body, opens the transaction, and only then calls the handler:

    async def handler(call: Call, tx: Tx) -> Reply        # TxMode.READ and TxMode.WRITE
    async def handler(call: Call) -> Reply                # TxMode.NONE

A path parameter is one segment, decoded once: `/assets/{namespace}/{name}`. The last one may take
the rest of the path, slashes included: `/files/{path:path}`.
"""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.datastructures import Headers

from muniment.core.errors import MunimentError, NotAllowed, NotAuthenticated, NotFound, TooLarge
from muniment.server.http.records import EVERYTHING, Caller, Grant, Scope, Verb
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import Clock
from muniment.server.ports.db import Database
from muniment.server.ports.engine_pool import EnginePool
from muniment.server.ports.keys import Keys
from muniment.server.settings import Settings

#: Says whether grants hold a verb in a scope: `identity.rules.allows`.
Allows = Callable[[tuple[Grant, ...], Verb, Scope], bool]


class ScopeFrom(enum.Enum):
    """Where the scope of an operation's verb comes from."""

    PATH = "path"  # Scope(path["namespace"], path.get("name")); everything without a namespace
    EVERYTHING = "everything"
    ANYWHERE = "anywhere"  # the caller holds the verb somewhere; the read filters
    HANDLER = "handler"  # the handler calls `call.require` itself


class TxMode(enum.Enum):
    """What transaction a handler is given."""

    WRITE = "write"
    READ = "read"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer.

    `body` is what msgspec can encode, or `bytes`/`str` sent as they are. Instead of it, `chunks`
    streams bytes (nothing of the transaction is open any more by then), or `file` sends a local
    file, of which `span` selects the bytes [start, end). `status` None is the operation's own.
    An `ETag` header makes a GET answer If-None-Match.
    """

    body: object = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: AsyncIterator[bytes] | None = None
    file: str | None = None
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Deps:
    """The ports and settings every handler may use. `engines` evaluate policies."""

    db: Database
    blobs: Blobs
    keys: Keys
    clock: Clock
    settings: Settings
    engines: EnginePool


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One endpoint: everything the kit and the OpenAPI document need to know of it.

    `body` and `query` are msgspec Structs; unknown members are refused when the Struct says
    `forbid_unknown_fields`, unknown query parameters always. `returns` is the type of `Reply.body`.
    `errors` are those the handler itself raises; the kit adds its own.

    `also` lists statuses other than `status` that come in the same media type (206 of a file).

    `streams` leaves the request body unread: the handler uses `call.stream()`; `accepts` is its
    type, for the document only. `secret` marks an
    answer that is shown once: it is never stored for Idempotency-Key. `guarded` counts calls
    against the sender's address, for what anybody may call. `open_when` lifts the need for a
    caller where the settings say so. `documented` False leaves it out of the OpenAPI document:
    somebody else's API is described by them.
    """

    method: str
    path: str
    id: str
    summary: str
    handler: Callable[..., Awaitable[Reply]]
    needs: Verb
    scope: ScopeFrom = ScopeFrom.PATH
    tx: TxMode = TxMode.READ
    body: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] | None = None
    returns: object = None
    status: int = 200
    errors: tuple[type[MunimentError], ...] = ()
    tag: str = ""
    also: tuple[int, ...] = ()
    streams: bool = False
    accepts: str = "application/octet-stream"
    media_type: str = "application/json"
    secret: bool = False
    guarded: bool = False
    open_when: Callable[[Settings], bool] | None = None
    documented: bool = True


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


@dataclass(slots=True, kw_only=True)
class Call:
    """One request, known and decoded.

    `path` holds the decoded path parameters; `now` is the same throughout the request.
    """

    operation: Operation
    scope: MutableMapping[str, Any]
    receive: Callable[[], Awaitable[Any]]
    path: dict[str, str]
    now: dt.datetime
    deps: Deps
    allows: Allows
    request_id: str
    known: Caller | None = None
    body: Any = None
    query: Any = None

    @property
    def caller(self) -> Caller:
        """Who calls.

        Raises:
            NotAuthenticated: the operation is open to anybody and nobody was named.
        """
        if self.known is None:
            raise NotAuthenticated
        return self.known

    @property
    def headers(self) -> Headers:
        """The request's headers, by name in any case."""
        return Headers(scope=self.scope)

    @property
    def base_url(self) -> str:
        """Where users reach this server, without a slash at the end: as set, else as asked for."""
        if self.deps.settings.public_url:
            return self.deps.settings.public_url.rstrip("/")
        host = self.headers.get("host") or "{}:{}".format(*(self.scope.get("server") or ("", 0)))
        return f"{self.scope.get('scheme', 'http')}://{host}{self.scope.get('root_path', '')}"

    def new_id(self) -> uuid.UUID:
        """Return a new UUIDv7."""
        return self.deps.clock.new_id()

    def may(self, verb: Verb, scope: Scope) -> bool:
        """Say whether the caller has `verb` in `scope`."""
        return self.known is not None and self.allows(self.known.grants, verb, scope)

    def require(self, verb: Verb, scope: Scope) -> None:
        """Go on only if the caller has `verb` in `scope`.

        Raises:
            NotAllowed: it has not, but it may read there.
            NotFound: it may not even read there, so it must not learn what is.
        """
        if self.allows(self.caller.grants, verb, scope):
            return
        if scope == EVERYTHING or self.allows(self.caller.grants, Verb.READ, scope):
            raise NotAllowed(f"your roles do not let you {verb.value} here; ask an administrator")
        raise NotFound

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the request body as it arrives. Once only.

        Raises:
            ClientGone: the client hung up before the end.
        """
        more = True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            if chunk := message.get("body"):
                yield chunk
            more = message.get("more_body", False)

    async def read(self, limit_bytes: int) -> bytes:
        """Return the whole request body.

        Raises:
            TooLarge: it has more than `limit_bytes`; reading stops there.
            ClientGone: the client hung up before the end.
        """
        chunks: list[bytes] = []
        size_bytes = 0
        async for chunk in self.stream():
            size_bytes += len(chunk)
            if size_bytes > limit_bytes:
                raise TooLarge(f"expected a body of at most {limit_bytes} bytes; send less at once")
            chunks.append(chunk)
        return b"".join(chunks)
