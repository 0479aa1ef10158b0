"""The socket: uvicorn in this process, on this event loop."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from muniment.core.errors import Unavailable

_BACKLOG = 2048
_DRAIN_SECONDS = 10
#: The head of a request, and what may come between two pieces of a body, or after it.
HEAD_BYTES_MAX = 64 << 10
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with an end to a request's head: by itself it keeps whatever is sent.

    Counted are bytes since the request began or a piece of its body came, whole reads at a time;
    so trailers and chunk extensions end too.
    """

    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Take what came; over the limit, answer 431 if no answer is under way, and hang up."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(_TOO_LONG)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Begin to count."""
        self._head_bytes = 0
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """Begin again."""
        self._head_bytes = 0
        super().on_body(body)


async def listen(app: ASGIApp, host: str, port: int, *, announce: Callable[[str], None]) -> None:
    """Serve `app` until SIGTERM or SIGINT; open requests get ten seconds to finish.

    `announce` is given the address once connections are accepted.

    Raises:
        Unavailable: the address cannot be listened on.
    """
    listener = _bind(host, port)
    shown = f"[{host}]" if ":" in host else host
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    server = uvicorn.Server(config)
    announce(f"http://{shown}:{listener.getsockname()[1]}")
    await server.serve(sockets=[listener])


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Unavailable(
            f"cannot listen on {host}:{port} ({error.strerror}): choose another with --port"
        ) from error
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener
