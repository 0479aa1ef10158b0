"""Somebody who is told by webhook: a server that answers as a test says, and how a registry is run for it."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from muniment.server.http.records import Role
from muniment.server.ports.queue_inline import InlineWorker, Ran
from muniment.server.wiring import HANDLERS
from tests.support.app import Client, RegistrySimulator
from tests.support.other_server import Asked, OtherServer, other_server, reply

TOLD = [one for one in HANDLERS if one.name.startswith("webhooks.")]


@dataclass
class Receiver:
    """What it was told, and the status it answers with."""

    server: OtherServer
    status: int = 200
    body: bytes = b"thanks"
    headers: dict[str, str] | None = None

    @property
    def url(self) -> str:
        return f"{self.server.url}/hook"

    @property
    def asked(self) -> list[Asked]:
        return self.server.asked

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(one.body) for one in self.asked]


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Run a receiver on this machine; it answers 200 until told otherwise."""
    held: list[Receiver] = []

    def answer(_asked: Asked) -> bytes:
        one = held[0]
        more: Any = one.headers or {}
        return reply(one.status, one.body, **more)

    async with other_server(answer) as server:
        held.append(Receiver(server))
        yield held[0]


async def run_webhooks(registry: RegistrySimulator, *, early: bool = False) -> list[Ran]:
    """Run what webhooks' jobs are due; `early` those too whose time has not come."""
    return await InlineWorker(registry.deps.db, TOLD, context=registry.deps).run_due(early=early)


async def hooked(registry: RegistrySimulator, url: str, **more: Any) -> dict[str, Any]:
    """Make a webhook as an administrator; return the answer."""
    body = {"name": "hook", "url": url, "events": ["*"], **more}
    answer = await registry.as_(Role.ADMIN).post("/api/v1/webhooks", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def an_asset(client: Client, name: str = "m", namespace: str = "default") -> dict[str, Any]:
    """Create an asset; return the answer."""
    body = {"name": name, "kind": "model", "owner": "ada", "namespace": namespace}
    answer = await client.post("/api/v1/assets", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


class OutsideReceiver:
    """A receiver with threads of its own, for servers that are processes; answers `status`.

    While `gate` is clear, answers wait for it: a request that arrived is in `asked` already.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.status = 200
        self.gate = threading.Event()
        self.gate.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.asked.append(Asked("POST", self.path, headers, body))
                outer.gate.wait(60)
                with contextlib.suppress(OSError):
                    self.send_response(outer.status)
                    self.send_header("content-length", "6")
                    self.end_headers()
                    self.wfile.write(b"thanks")

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def wait_for(self, count: int, seconds: float = 60) -> None:
        """Return once `count` requests arrived."""
        deadline = time.monotonic() + seconds
        while len(self.asked) < count:
            assert time.monotonic() < deadline, f"{len(self.asked)} of {count} arrived"
            time.sleep(0.02)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
