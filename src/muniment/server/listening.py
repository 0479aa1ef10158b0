"""The socket: uvicorn in this process, on this event loop."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from muniment.core.errors import Unavailable

_BACKLOG = 2048
_DRAIN_SECONDS = 10


async def listen(app: Starlette, host: str, port: int, *, announce: Callable[[str], None]) -> None:
    """Serve `app` until SIGTERM or SIGINT; open requests get ten seconds to finish.

    `announce` is given the address once connections are accepted.

    Raises:
        Unavailable: the address cannot be listened on.
    """
    listener = _bind(host, port)
    shown = f"[{host}]" if ":" in host else host
    config = uvicorn.Config(
        app,
        http="httptools",
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
