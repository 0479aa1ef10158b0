"""Requests to addresses that somebody else chose: webhooks, sources of models, discovery.

Whoever names an address may try to have the server call its own network for them. So:

1. only `https`, and only the hosts a purpose allows; `http` and private addresses only for hosts
   the operator named (`MUNIMENT_OUTBOUND_PRIVATE`);
2. a name is resolved once, every address it has is judged, and the connection goes to one of those
   same addresses: a name that changes its mind between check and use changes nothing;
3. a redirect is a new request, judged like the first; credentials stay with the origin they were
   given for;
4. answers have a size limit and a time limit, are not decompressed, and come as a stream.

No proxy, cookie jar or netrc of the environment is used. TLS verifies the name that was asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from typing import Final, Self

import httpcore
import httpx
from httpcore import SOCKET_OPTION, AnyIOBackend, AsyncNetworkBackend, AsyncNetworkStream

from muniment.core.errors import DestinationDown, DestinationRefused
from muniment.server.ports.addresses import why_refused

URL_MAX_CHARS: Final = 2000
_CONNECT_SECONDS: Final = 10.0
_QUIET_SECONDS: Final = 60.0
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MIB: Final = 1 << 20

#: Gives the addresses of a host, as text.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """Return the addresses the operating system has for `host`, IPv4 and IPv6."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom one purpose may call.

    `hosts` None: any host of the public Internet. Else these names; `*.example.com` means every
    name below. `private` are `HOST` or `HOST:PORT`, which may be private and speak plain http.
    """

    hosts: Sequence[str] | None = None
    private: Sequence[str] = ()

    def check(self, text: str) -> httpx.URL:
        """Return a URL that may be asked for, as far as can be told without resolving it.

        Raises:
            DestinationRefused: it may not; the message says why.
        """
        url = _parsed(text)
        named = self.is_private(url.host, _port(url))
        if url.scheme != "https" and not (url.scheme == "http" and named):
            raise DestinationRefused(
                f"expected an https:// URL, found {url.scheme}:// at {url.host}: plain http is only"
                " for hosts in MUNIMENT_OUTBOUND_PRIVATE"
            )
        if self.hosts is not None and not named and not _matches(url.host, self.hosts):
            raise DestinationRefused(
                f"{url.host} is not among the hosts this registry may fetch from: an administrator"
                " adds it to MUNIMENT_FETCH_HOSTS"
            )
        if not named and _is_address(url.host) and (why := why_refused(url.host)):
            raise _refused(url.host, url.host, why)
        return url

    def is_private(self, host: str, port: int) -> bool:
        """Say whether the operator named this host as one that may be private."""
        wanted = host.lower().rstrip(".")
        shown = f"[{wanted}]" if ":" in wanted else wanted
        names = {wanted, shown, f"{shown}:{port}"}
        return any(each.lower() in names for each in self.private)


def _parsed(text: str) -> httpx.URL:
    if len(text) > URL_MAX_CHARS:
        raise DestinationRefused(f"expected a URL of at most {URL_MAX_CHARS} characters")
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise DestinationRefused(f"that is not a URL: {error}") from None
    if not url.host or url.scheme not in {"http", "https"}:
        raise DestinationRefused("expected a URL such as https://example.com/path")
    if not 0 < _port(url) < 1 << 16:
        raise DestinationRefused(f"that is not a URL: there is no port {_port(url)}")
    if url.userinfo:
        raise DestinationRefused("a URL with a user name or password in it is not called")
    return url


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _matches(host: str, patterns: Iterable[str]) -> bool:
    host = host.lower().rstrip(".")
    for pattern in (each.lower() for each in patterns):
        if pattern.startswith("*."):
            if host.endswith(pattern[1:]):
                return True
        elif host == pattern:
            return True
    return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _refused(host: str, address: str, why: str) -> DestinationRefused:
    at = "" if host == address else f" is at {address}, which"
    return DestinationRefused(
        f"{host}{at} is not of the public Internet ({why}): it is not called unless an operator"
        " names it in MUNIMENT_OUTBOUND_PRIVATE"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request. `credentials` are headers for the origin of `url` alone.

    `max_bytes` bounds the answer's body, `seconds` the whole exchange. Redirects are followed only
    for GET, at most `redirects` of them.
    """

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    redirects: int = 0
    max_bytes: int = 10 * _MIB
    seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Incoming:
    """An answer whose body is still to come."""

    def __init__(self, response: httpx.Response, max_bytes: int) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._response, self._max_bytes = response, max_bytes

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it arrives, once.

        Raises:
            DestinationRefused: it has more bytes than asked for at most.
            DestinationDown: the connection broke.
        """
        size_bytes = 0
        with _translated():
            async for chunk in self._response.aiter_raw():
                size_bytes += len(chunk)
                if size_bytes > self._max_bytes:
                    raise DestinationRefused(
                        f"the answer has more than {self._max_bytes} bytes; reading stopped there"
                    )
                yield chunk

    async def read(self, limit_bytes: int | None = None) -> bytes:
        """Return the body; with `limit_bytes` no more than its beginning."""
        chunks, size_bytes = [], 0
        async with contextlib.aclosing(self.chunks()) as arriving:
            async for chunk in arriving:
                chunks.append(chunk)
                size_bytes += len(chunk)
                if limit_bytes is not None and size_bytes >= limit_bytes:
                    break
        return b"".join(chunks)[:limit_bytes]


class Outbound:
    """A client that reaches what `reach` allows. Close it."""

    def __init__(self, reach: Reach, *, resolve: Resolve = resolve_by_system) -> None:
        """Open nothing yet; `resolve` stands in for the system's resolver in tests."""
        self.reach = reach
        self._transport = _Transport(_Guard(reach, resolve))

    async def ask(self, ask: Ask) -> Answer:
        """Send a request and read its whole answer.

        Raises:
            DestinationRefused: it may not be called, or its answer is too large.
            DestinationDown: it does not answer, not in time, or breaks off.
        """
        async with self.open(ask) as incoming:
            return Answer(incoming.status, incoming.headers, await incoming.read())

    @contextlib.asynccontextmanager
    async def open(self, ask: Ask) -> AsyncIterator[Incoming]:
        """Send a request and give its answer, whose body is read in the block; errors as `ask`."""
        with _translated():
            async with asyncio.timeout(ask.seconds):
                response = await self._follow(ask)
                try:
                    yield Incoming(response, ask.max_bytes)
                finally:
                    await response.aclose()

    async def _follow(self, ask: Ask) -> httpx.Response:
        url = self.reach.check(ask.url)
        first = _origin(url)
        for left in range(ask.redirects if ask.method == "GET" else 0, -1, -1):
            response = await self._send(ask, url, secret=_origin(url) == first)
            if response.status_code not in _REDIRECTS or left == 0:
                return response
            await response.aclose()
            following = self.reach.check(str(url.join(response.headers.get("location", ""))))
            if url.scheme == "https" and following.scheme != "https":
                raise DestinationRefused(f"{url.host} redirects from https to http")
            url = following
        raise AssertionError("the last round returns")

    async def _send(self, ask: Ask, url: httpx.URL, *, secret: bool) -> httpx.Response:
        quiet = min(ask.seconds, _QUIET_SECONDS)
        timeout = {"connect": _CONNECT_SECONDS, "read": quiet, "write": quiet, "pool": quiet}
        request = httpx.Request(
            ask.method,
            url,
            headers={
                "user-agent": "muniment",
                "accept-encoding": "identity",
                **ask.headers,
                **(ask.credentials if secret else {}),
            },
            content=ask.body or None,
            extensions={"timeout": timeout},
        )
        response = await self._transport.handle_async_request(request)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            raise DestinationRefused(f"{url.host} answers compressed, which was not asked for")
        return response

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, _port(url)


class _Transport(httpx.AsyncHTTPTransport):
    """httpx's own, whose connections are made by the guard."""

    def __init__(self, guard: AsyncNetworkBackend) -> None:
        super().__init__(trust_env=True)  # a CA bundle of SSL_CERT_FILE; proxies are the client's
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=True),
            max_connections=20,
            max_keepalive_connections=0,
            network_backend=guard,
        )


class _Guard(AsyncNetworkBackend):
    """Connects to judged addresses only."""

    def __init__(self, reach: Reach, resolve: Resolve) -> None:
        self._reach, self._resolve = reach, resolve
        self._plain = AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- httpcore's own
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,  # noqa: ARG002 -- none is used
    ) -> AsyncNetworkStream:
        """Connect to the first address of `host` that answers, if all of them may be called."""
        async with asyncio.timeout(timeout):
            addresses = await self._judged(host, port)
            for address in addresses[:-1]:
                with contextlib.suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                    each = None if timeout is None else timeout / 2
                    return await self._plain.connect_tcp(address, port, each, local_address)
            return await self._plain.connect_tcp(addresses[-1], port, timeout, local_address)

    async def _judged(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = await self._resolve(host, port)
        except OSError as error:
            raise DestinationDown(f"{host} cannot be resolved ({error.strerror})") from error
        if not addresses:
            raise DestinationDown(f"{host} has no address")
        if not self._reach.is_private(host, port):
            for address in addresses:
                if why := why_refused(address):
                    raise _refused(host, address, why)
        return addresses

    async def connect_unix_socket(
        self,
        path: str,  # noqa: ARG002 -- none is taken
        timeout: float | None = None,  # noqa: ARG002, ASYNC109
        socket_options: Iterable[SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> AsyncNetworkStream:
        """Refuse: a socket of this machine is no destination.

        Raises:
            DestinationRefused: always.
        """
        raise DestinationRefused("a socket of this machine is not called")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class _translated:  # noqa: N801 -- used as a statement
    """Turn what httpx and the clock raise into our errors."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
            raise DestinationRefused(f"that is not a URL: {error}") from error
        if isinstance(error, httpx.HTTPError):
            reason = str(error) or type(error).__name__
            raise DestinationDown(f"no answer: {reason}") from error
        if isinstance(error, TimeoutError):
            raise DestinationDown("no answer within the time it may take") from error
