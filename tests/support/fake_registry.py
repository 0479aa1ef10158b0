"""A registry in memory that speaks the REST faces the client uses: the client's own port double.

`FakeRegistry().transport()` goes where `Client(transport=…)` takes one. It keeps assets, versions,
aliases, uploads and a real Merkle log with a real key, so that proofs made here hold or fail for
the same reasons as the server's. It also misbehaves on request: see `fail_next`, `forged`.
"""

from __future__ import annotations

import re
import threading
from typing import Any

import httpx

from muniment.core.errors import MunimentError, NotAuthenticated, NotFound
from tests.support import fake_evidence_routes, fake_log_routes
from tests.support.fake_log import FakeLog
from tests.support.fake_routes import ROUTES
from tests.support.fake_state import FakeState

__all__ = [
    "TOKEN",
    "URL",
    "FakeLog",
    "FakeRegistry",
    "fake_evidence_routes",
    "fake_log_routes",
    "problem",
]

URL = "https://registry.example"
TOKEN = "mun_fake_token"


class FakeRegistry(FakeState):
    """A registry's state behind HTTP, with faults to order."""

    def __init__(self, *, part_size_bytes: int = 1024, direct: bool = False) -> None:
        super().__init__(part_size_bytes=part_size_bytes, direct=direct)
        self.calls: list[httpx.Request] = []
        self._failures: list[tuple[str, re.Pattern[str], Any]] = []
        self._keys: dict[str, httpx.Response] = {}
        self._lock = threading.RLock()

    def transport(self) -> httpx.MockTransport:
        """Return what `Client(transport=…)` takes."""
        return httpx.MockTransport(self._answer)

    def fail_next(self, method: str, path: str, fault: Any, *, times: int = 1) -> None:
        """Have the next `times` calls fail: a status, a response, an error, or an exception."""
        self._failures += [(method, re.compile(path), fault)] * times

    def count(self, method: str, path: str) -> int:
        """How many calls there were whose path matches."""
        found = re.compile(path)
        return sum(
            call.method == method and bool(found.search(call.url.path)) for call in self.calls
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        fault = self._fault(request)
        if isinstance(fault, Exception) and not isinstance(fault, MunimentError):
            with self._lock:
                self.calls.append(request)
            raise fault
        body = request.read()
        with self._lock:
            self.calls.append(request)
            if isinstance(fault, httpx.Response):
                return fault
            if isinstance(fault, int):
                return httpx.Response(fault, json={"status": fault, "title": "broken"})
            try:
                if isinstance(fault, MunimentError):
                    raise fault
                return self._once(request, body)
            except MunimentError as error:
                return problem(error)

    def _fault(self, request: httpx.Request) -> Any:
        with self._lock:
            for at, (method, path, fault) in enumerate(self._failures):
                if request.method == method and path.search(request.url.path):
                    del self._failures[at]
                    return fault
        return None

    def _once(self, request: httpx.Request, body: bytes) -> httpx.Response:
        key = request.headers.get("Idempotency-Key")
        if key and key in self._keys:
            return self._keys[key]
        answer = self._dispatch(request)
        if key:
            self._keys[key] = answer
        del body
        return answer

    def _dispatch(self, request: httpx.Request) -> httpx.Response:
        direct = request.url.host == "store.example"
        if not direct and request.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise NotAuthenticated
        path = request.url.raw_path.decode().partition("?")[0]
        path = f"/direct{path}" if direct else path
        for method, pattern, handler in ROUTES:
            found = pattern.fullmatch(path)
            if found and method == request.method:
                named = {name: _unquoted(text) for name, text in found.groupdict().items()}
                answer = handler(self, request, named)
                return (
                    answer
                    if isinstance(answer, httpx.Response)
                    else httpx.Response(200, json=answer)
                )
        raise NotFound(f"no such path: {path}")


def problem(error: MunimentError, headers: dict[str, str] | None = None) -> httpx.Response:
    """Answer with problem details, as the server does."""
    body = {
        **error.extra,
        "type": f"urn:muniment:error:{error.code}",
        "title": error.code,
        "status": error.status,
        "detail": error.message,
        "code": error.code,
        "request_id": "request-1",
        "problems": error.problems,
    }
    return httpx.Response(error.status, json=body, headers=headers)


def _unquoted(text: str) -> str:
    return str(httpx.URL(f"http://h/{text}").path[1:])
