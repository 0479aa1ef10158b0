"""What the fake registry answers about its log. Imported for its routes."""

from __future__ import annotations

import re
from typing import Any

import httpx

from muniment.core import merkle
from muniment.core.errors import NotFound
from tests.support.fake_log import ORIGIN, b64
from tests.support.fake_routes import route
from tests.support.fake_state import FakeState


@route("GET", "/api/v1/log/checkpoint")
def _checkpoint(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    root = b64(merkle.root_hash(registry.log.hashes()))
    size = len(registry.log.leaves)
    return {"origin": ORIGIN, "size": size, "root": root, "note": registry.log.note()}


@route("GET", "/api/v1/log/keys")
def _keys(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    return {
        "vkey": registry.log.key.vkey,
        "record_key_pem": registry.log.record_key_pem,
        "trusted_root": {},
    }


@route("GET", "/api/v1/log/entries")
def _entries(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    after = int(request.url.params.get("after", "-1"))
    found = [
        {
            "id": e["id"],
            "act": e["act"],
            "at": e["time"],
            "actor": e["actor"],
            "subject": e["subject"],
            "index": index,
            "digests": e["digests"],
        }
        for index, e in enumerate(registry.log.entries)
        if index > after
    ]
    return {"items": found[:3], "next_cursor": None}


@route("GET", "/api/v1/log/entries/{entry_id}/receipt")
def _entry_receipt(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    ids = [e["id"] for e in registry.log.entries]
    if named["entry_id"] not in ids:
        raise NotFound(f"no entry {named['entry_id']}")
    return registry.log.receipt(ids.index(named["entry_id"]))


@route("GET", "/api/v1/log/consistency")
def _consistency(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    old, new = (int(request.url.params[name]) for name in ("old", "new"))
    hashes = merkle.consistency_proof(old, registry.log.hashes(new))
    return {"hashes": [b64(each) for each in hashes]}


@route("GET", "/log/checkpoint")
def _raw_checkpoint(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    return httpx.Response(200, text=registry.forged.get("note") or registry.log.note())


@route("GET", "/log/tile/{path*}")
def _tile(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    found = re.fullmatch(r"(entries|\d+)/((?:x\d{3}/)*)(\d{3})(?:\.p/(\d+))?", named["path"])
    assert found
    index = int(found[2].replace("x", "").replace("/", "") + found[3])
    width = int(found[4] or 256)
    if found[1] == "entries":
        entries = registry.log.leaves[index * 256 : index * 256 + width]
        return httpx.Response(200, content=merkle.entry_bundle(entries))
    span = 256 ** int(found[1])
    hashes = registry.log.hashes()
    starts = range(index * 256 * span, (index * 256 + width) * span, span)
    roots = [merkle.root_hash(hashes[start : start + span]) for start in starts]
    return httpx.Response(200, content=b"".join(roots))
