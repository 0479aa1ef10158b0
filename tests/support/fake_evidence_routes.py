"""What the fake registry answers about evidence and signers: what a test put there, and no checks."""

from __future__ import annotations

from typing import Any

import httpx

from muniment.core.digest import digest_of
from tests.support.fake_log import AT
from tests.support.fake_routes import route
from tests.support.fake_state import FakeState

_V = "/api/v1/assets/{namespace}/{name}/versions/{version}"


def evidence_of(registry: FakeState, kind: str, name: str, data: bytes) -> dict[str, Any]:
    """Have a piece of evidence recorded, of whatever version is asked about."""
    item = {
        "id": f"e{len(registry.evidence)}", "kind": kind, "format": kind, "file_name": name,
        "digest": str(digest_of(data)), "size_bytes": len(data), "recorded_at": AT.isoformat(),
    }  # fmt: skip
    registry.evidence.append((item, data))
    return item


@route("GET", f"{_V}/evidence")
def _list(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    kind = request.url.params.get("kind")
    items = [item for item, _ in registry.evidence if kind in {None, item["kind"]}]
    return {"items": items, "next_cursor": None}


@route("GET", f"{_V}/evidence/{{evidence_id}}/file")
def _file(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    found = next(data for item, data in registry.evidence if item["id"] == named["evidence_id"])
    return httpx.Response(200, content=found)


@route("GET", "/api/v1/signers")
def _signers(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    return {"items": registry.signers}


@route("GET", f"{_V.partition('/versions')[0]}/consumers/count")
def _consumers(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    return {"consumers": 0, "unacknowledged": 0, "by_version": {}, **registry.consumers}


@route("GET", f"{_V}/lifecycle")
def _lifecycle(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    ref = f"{named['name']}@{named['version']}"
    return {"version": ref, "at": AT.isoformat(), "lifecycle": "draft", **registry.lifecycle}
