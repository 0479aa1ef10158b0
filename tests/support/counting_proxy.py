"""A TCP proxy that counts what a client sends, and can stop passing it on at a given byte."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

_CHUNK_BYTES = 1 << 16


class CountingProxy:
    """Forwards connections on `port` to `to_port` on this machine; `sent` counts bytes up."""

    def __init__(self, to_port: int) -> None:
        self.sent = 0
        self.stopped = threading.Event()
        self._to_port = to_port
        self._most: int | None = None
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])

    def stop_after(self, more_bytes: int | None) -> None:
        """Pass on `more_bytes` from now on and then none, setting `stopped`; None: all again."""
        with self._lock:
            self._most = None if more_bytes is None else self.sent + more_bytes
            self.stopped.clear()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._to_port)) as server:
            down = threading.Thread(target=self._forward, args=(server, client), daemon=True)
            down.start()
            self._forward(client, server, up=True)
            down.join()

    def _forward(self, source: socket.socket, target: socket.socket, *, up: bool = False) -> None:
        passing = True  # what missed a byte gets none of those after it
        with contextlib.suppress(OSError):
            while chunk := source.recv(_CHUNK_BYTES):
                passing = passing and (not up or self._passes(len(chunk)))
                if passing:
                    target.sendall(chunk)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _passes(self, size_bytes: int) -> bool:
        with self._lock:
            if self._most is not None and self.sent + size_bytes > self._most:
                self.stopped.set()
            if self.stopped.is_set():
                return False
            self.sent += size_bytes
            return True
