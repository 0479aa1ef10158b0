"""One connection pool to one registry: typed answers, errors as exceptions, patient repeats.

A call is repeated when the connection broke or the server said 429, 502, 503 or 504, after
`Retry-After` or else after a growing, jittered pause. Every call may be repeated safely: reads and
blob parts by their nature, all other writes because they carry an Idempotency-Key, the same on each try.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, overload
from urllib.parse import quote
from urllib.request import getproxies

import httpx
import msgspec

from muniment.client.wire import FileSlice, WireTransport
from muniment.core import errors

T = TypeVar("T")
Params = Mapping[str, str | int | None]

_REPEATED = frozenset({429, 502, 503, 504})
_LONGEST_PAUSE_SECONDS = 30.0
_CONNECTIONS = 16
_PLAIN = frozenset({"type", "title", "status", "detail", "code", "problems", "request_id"})
_BY_STATUS: dict[int, type[errors.MunimentError]] = {
    401: errors.NotAuthenticated,
    403: errors.NotAllowed,
    404: errors.NotFound,
    409: errors.Conflict,
    410: errors.Gone,
    413: errors.TooLarge,
    429: errors.TooManyRequests,
    502: errors.Unavailable,
    503: errors.Unavailable,
    504: errors.Unavailable,
}


def path_of(*parts: str | int) -> str:
    """Join `parts` into a path, each percent-encoded whole."""
    return "/" + "/".join(quote(str(part), safe="") for part in parts)


def api(*parts: str | int) -> str:
    """Return the path of a resource of the native API."""
    return "/api/v1" + path_of(*parts)


class Transport:
    """HTTP to one registry. Safe to use from several threads."""

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        timeout: float = 60.0,
        retries: int = 4,
        via: httpx.BaseTransport | None = None,
        auth: httpx.Auth | None = None,
    ) -> None:
        """Connect to nothing yet. `timeout` is in seconds; `via` replaces the network.

        `auth` says who we are where there is no `token`.
        """
        self.url = url
        self._retries = retries
        headers = {"User-Agent": "muniment-python", "Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        limits = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS)
        shared: dict[str, Any] = {"timeout": timeout, "limits": limits}
        ours = {"base_url": url, "headers": headers, "follow_redirects": True, **shared}
        ours |= {} if auth is None else {"auth": auth}
        self.http = httpx.Client(transport=via, **ours)
        wire = via if via is not None or _proxied() else WireTransport()
        #: For the bytes of files; the same registry.
        self.bulk = httpx.Client(transport=wire, **ours)
        #: For presigned addresses: never carries our token.
        self.bare = httpx.Client(transport=wire, **shared)
        self.sleep: Callable[[float], None] = time.sleep

    def close(self) -> None:
        """Close the pools."""
        self.http.close()
        self.bulk.close()
        self.bare.close()

    def get(self, path: str, returns: type[T], params: Params | None = None) -> T:
        """Read `path` as JSON of the shape `returns`."""
        return decode(self.request("GET", path, params=params), returns)

    @overload
    def send(self, method: str, path: str, body: object, returns: type[T], **more: Any) -> T: ...
    @overload
    def send(
        self, method: str, path: str, body: object, returns: None = None, **more: Any
    ) -> None: ...

    def send(
        self, method: str, path: str, body: object, returns: type[T] | None = None, **more: Any
    ) -> T | None:
        """Write JSON `body` (None: no body) and read the answer.

        `key` sets the Idempotency-Key, `if_match` the revision expected, `params` the query.
        """
        headers = {"Idempotency-Key": more.get("key") or str(uuid.uuid4())}
        if more.get("if_match") is not None:
            headers["If-Match"] = f'"{more["if_match"]}"'
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = msgspec.json.encode(body)
        answer = self.request(
            method, path, headers=headers, content=lambda: content, params=more.get("params")
        )
        return decode(answer, returns) if returns is not None else None

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        content: Callable[[], Any] = lambda: None,
    ) -> httpx.Response:
        """Call once or, while that may help, again; `content()` gives the body anew each time.

        Raises:
            MunimentError: what the server refused or reported, by its code.
            Unavailable: it cannot be reached.
        """
        query = {name: value for name, value in (params or {}).items() if value is not None}

        def attempt() -> httpx.Response:
            return self.http.request(
                method, path, params=query or None, headers=headers, content=content()
            )

        return self.patiently(attempt)

    def put_file(
        self, path: str, body: FileSlice, *, params: Params | None = None
    ) -> httpx.Response:
        """Put a slice of a file: at `path` of the registry, or bare at a whole address.

        Raises:
            MunimentError: as `request`, and what `body` raises.
        """
        client = self.bulk if path.startswith("/") else self.bare
        headers = {"Content-Length": str(body.end - body.start)}
        if client is self.bulk:
            headers["Content-Type"] = "application/octet-stream"
        more: dict[str, Any] = {"headers": headers, "extensions": {"file": body}}
        return self.patiently(lambda: client.put(path, params=params, content=body, **more))

    def patiently(self, attempt: Callable[[], httpx.Response]) -> httpx.Response:
        """Run `attempt` until it succeeds, fails for good or has been repeated often enough."""
        for tried in range(self._retries + 1):
            last = tried == self._retries
            try:
                response = attempt()
            except httpx.TransportError as error:
                if last or isinstance(error, httpx.UnsupportedProtocol):
                    raise unreachable(self.url, error) from error
                self.sleep(_pause(tried, None))
                continue
            if response.is_success:
                return response
            if last or response.status_code not in _REPEATED:
                raise error_of(response)
            self.sleep(_pause(tried, response.headers.get("Retry-After")))
        raise AssertionError  # the last try always returns or raises

    @contextmanager
    def stream(
        self, path: str, headers: Mapping[str, str], buffers: Sequence[memoryview] = ()
    ) -> Iterator[httpx.Response]:
        """Open `path` for reading piece by piece; opening is repeated, reading is the caller's.

        With `buffers`, a piece of `iter_raw` may be overwritten once all others were yielded.

        Raises:
            MunimentError: as `request`; `Unavailable` also when the stream breaks off.
        """
        plain = {**headers, "Accept-Encoding": "identity", "Accept": "*/*"}

        def attempt() -> httpx.Response:
            request = self.bulk.build_request("GET", path, headers=plain)
            request.extensions["buffers"] = buffers
            opened = self.bulk.send(request, stream=True)
            if not opened.is_success:
                opened.read()
            return opened

        response = self.patiently(attempt)
        try:
            yield response
        except httpx.TransportError as error:
            raise unreachable(self.url, error) from error
        finally:
            response.close()


def decode(response: httpx.Response, returns: type[T]) -> T:
    """Read a JSON answer as `returns`; members we do not know are ignored.

    Raises:
        Unavailable: it is something else, so this is not the registry we understand.
    """
    try:
        return msgspec.json.decode(response.content, type=returns)
    except msgspec.MsgspecError as error:
        msg = (
            f"`{response.request.url}` did not answer as a Muniment registry does ({error}); check"
            " the address, and that client and server are of the same release"
        )
        raise errors.Unavailable(msg) from error


def error_of(response: httpx.Response) -> errors.MunimentError:
    """Turn a problem-details answer (or any other failure) into the error it names.

    Source: RFC 9457.
    """
    try:
        body = msgspec.json.decode(response.content)
    except msgspec.MsgspecError:
        body = None
    if not isinstance(body, dict):
        body = {}
    kind = errors.CODES.get(str(body.get("code"))) or _BY_STATUS.get(
        response.status_code, errors.MunimentError
    )
    message = body.get("detail") or body.get("title")
    if not message and kind is errors.MunimentError:
        message = f"the server answered {response.status_code} to `{response.request.url.path}`"
    return kind(
        message,
        problems=body.get("problems") or [],
        extra={name: value for name, value in body.items() if name not in _PLAIN},
        context={"status": response.status_code, "request_id": body.get("request_id")},
    )


def unreachable(url: str, error: Exception) -> errors.Unavailable:
    """Say that the registry at `url` does not answer."""
    why = str(error) or type(error).__name__
    return errors.Unavailable(
        f"cannot reach `{url}` ({why}); check the address and that the server runs"
    )


def _pause(tried: int, retry_after: str | None) -> float:
    if retry_after and retry_after.isdecimal():
        return min(float(retry_after), _LONGEST_PAUSE_SECONDS)
    ceiling = min(0.2 * 2.0**tried, _LONGEST_PAUSE_SECONDS)
    return ceiling * (0.5 + random.random() / 2)  # noqa: S311 -- spreads load, guards nothing


def _proxied() -> bool:
    """Whether the environment names a proxy for any host; then httpx finds the way to each."""
    return not getproxies().keys().isdisjoint({"http", "https", "all"})
