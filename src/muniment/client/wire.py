"""Bulk bytes over plain sockets: an httpx transport on the standard library's `http.client`.

httpx's own moves each byte through several Python objects, at a multiple of the CPU. This one hands
a slice of a file to the kernel (`sendfile`; not with TLS), and receives into buffers given to it:

    extensions={"file": FileSlice(…)}     the body of a request
    extensions={"buffers": (view, view)}  in turn filled, and yielded, by the response's stream

A yielded view is filled again when all others were yielded; without `buffers` pieces are new bytes.
Redirects, headers and errors are httpx's. Proxies are not known here: see `transport`.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import selectors
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import httpx

STEP_BYTES = 1 << 20
_IDLE_KEPT = 16
_Origin = tuple[str, str, int | None]


@dataclass(frozen=True, slots=True)
class FileSlice:
    """The bytes [start, end) of a file as the body of a request; may be sent several times.

    `sent` is told how many bytes went out, step by step, and takes them back (a negative count) if
    the slice did not get to its end; it may raise. `cut` makes the error for a file too short.
    """

    source: Path
    start: int
    end: int
    sent: Callable[[int], None]
    cut: Callable[[], Exception]

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes in steps."""
        with self._open() as file, self._counting() as count:
            file.seek(self.start)
            left = self.end - self.start
            while left:
                piece = file.read(min(STEP_BYTES, left))
                yield piece
                count(len(piece))
                left -= len(piece)

    def send(self, connection: http.client.HTTPConnection) -> None:
        """Send the bytes over an open connection."""
        if isinstance(connection.sock, ssl.SSLSocket):
            for piece in self:
                connection.sock.sendall(piece)
            return
        with self._open() as file, self._counting() as count:
            for at in range(self.start, self.end, STEP_BYTES):
                wanted = min(STEP_BYTES, self.end - at)
                if connection.sock.sendfile(file, at, wanted) < wanted:
                    raise self.cut()
                count(wanted)

    def _open(self) -> FileIO:
        try:
            return self.source.open("rb", buffering=0)
        except OSError as error:
            raise self.cut() from error

    @contextlib.contextmanager
    def _counting(self) -> Iterator[Callable[[int], None]]:
        total = 0

        def count(size_bytes: int) -> None:
            nonlocal total
            if size_bytes == 0:
                raise self.cut()
            self.sent(size_bytes)
            total += size_bytes

        try:
            yield count
        finally:
            if total < self.end - self.start:
                self.sent(-total)


class WireTransport(httpx.BaseTransport):
    """Keeps connections open and sends requests over them. Safe to use from several threads."""

    def __init__(self) -> None:
        """Connect to nothing yet."""
        self._idle: dict[_Origin, list[http.client.HTTPConnection]] = {}
        self._lock = threading.Lock()
        self._tls: ssl.SSLContext | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`; the answer's body is still to be read.

        Raises:
            httpx.TransportError: the connection cannot be made, or broke.
        """
        url = request.url
        origin = (url.scheme, url.raw_host.decode("ascii"), url.port)
        connection = self._take(origin, request)
        try:
            with _translated(request):
                answer = _exchange(connection, request)
        except BaseException:
            connection.close()
            raise
        body = _Body(self, origin, connection, answer, request)
        return httpx.Response(answer.status, headers=answer.getheaders(), stream=body)

    def _take(self, origin: _Origin, request: httpx.Request) -> http.client.HTTPConnection:
        while True:
            with self._lock:
                waiting = self._idle.get(origin)
                connection = waiting.pop() if waiting else None
            if connection is None:
                return self._open(origin, request)
            if not _hung_up(connection):
                return connection
            connection.close()

    def _open(self, origin: _Origin, request: httpx.Request) -> http.client.HTTPConnection:
        scheme, host, port = origin
        seconds = request.extensions.get("timeout", {}).get("read")
        if scheme == "https":
            with self._lock:
                self._tls = self._tls or httpx.create_ssl_context()
            return http.client.HTTPSConnection(host, port, timeout=seconds, context=self._tls)
        if scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=seconds)
        raise httpx.UnsupportedProtocol(f"expected http:// or https://, found {scheme!r}")

    def keep(self, origin: _Origin, connection: http.client.HTTPConnection) -> None:
        """Have `connection` used again."""
        with self._lock:
            waiting = self._idle.setdefault(origin, [])
            if len(waiting) < _IDLE_KEPT:
                waiting.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            connections = [one for waiting in self._idle.values() for one in waiting]
            self._idle.clear()
        for connection in connections:
            connection.close()


class _Body(httpx.SyncByteStream):
    """The body of an answer; its connection is kept once it was read to the end."""

    def __init__(
        self,
        wire: WireTransport,
        origin: _Origin,
        connection: http.client.HTTPConnection,
        answer: http.client.HTTPResponse,
        request: httpx.Request,
    ) -> None:
        self._wire, self._origin, self._connection = wire, origin, connection
        self._answer, self._request = answer, request

    def __iter__(self) -> Iterator[bytes]:
        with _translated(self._request):
            yield from self._pieces()
            if self._answer.length:
                raise http.client.IncompleteRead(b"", self._answer.length)

    def _pieces(self) -> Iterator[bytes]:
        buffers: Sequence[memoryview] = self._request.extensions.get("buffers", ())
        for buffer in itertools.cycle(buffers):
            size_bytes = self._answer.readinto(buffer)
            if not size_bytes:
                return
            yield buffer[:size_bytes]  # type: ignore[misc]
        while piece := self._answer.read(STEP_BYTES):
            yield piece

    def close(self) -> None:
        """Keep the connection if all was read, else close it."""
        whole = self._answer.isclosed() and not self._answer.length
        self._answer.close()
        if whole and self._connection.sock is not None:
            self._wire.keep(self._origin, self._connection)
        else:
            self._connection.close()


def _exchange(
    connection: http.client.HTTPConnection, request: httpx.Request
) -> http.client.HTTPResponse:
    target = request.url.raw_path.decode("ascii")
    connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in request.headers.raw:
        connection.putheader(name, value)
    file: FileSlice | None = request.extensions.get("file")
    if connection.sock is None:
        connection.connect()
    try:
        connection.endheaders()
        if file is not None:
            file.send(connection)
        else:
            for piece in request.stream:  # type: ignore[union-attr]
                connection.send(piece)
    except (BrokenPipeError, ConnectionResetError):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return connection.getresponse()  # refused before all of the body was read
        raise
    return connection.getresponse()


def _hung_up(connection: http.client.HTTPConnection) -> bool:
    """Whether an idle connection has something to read: its end, as nothing else is due."""
    if connection.sock is None:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(connection.sock, selectors.EVENT_READ)
        return bool(selector.select(0))


@contextlib.contextmanager
def _translated(request: httpx.Request) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise httpx.ReadTimeout(str(error) or "timed out", request=request) from error
    except (OSError, http.client.HTTPException) as error:
        raise httpx.NetworkError(str(error) or type(error).__name__, request=request) from error
