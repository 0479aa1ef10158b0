"""What the fake registry answers to each call of the client."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import httpx

from muniment.core.errors import (
    AlreadyExists,
    BadMetadata,
    DigestMismatch,
    NotFound,
    UploadConflict,
)
from tests.support.fake_log import AT
from tests.support.fake_state import FakeState, Staged

Handler = Callable[[FakeState, httpx.Request, dict[str, str]], Any]
ROUTES: list[tuple[str, re.Pattern[str], Handler]] = []


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    """Have `handler` answer `method path`; `{name}` takes one segment, `{name*}` the rest."""
    pattern = re.sub(r"\{(\w+)\*\}", r"(?P<\1>.+)", path)
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)

    def keep(handler: Handler) -> Handler:
        ROUTES.append((method, re.compile(pattern), handler))
        return handler

    return keep


def _ref(named: dict[str, str]) -> str:
    inside = named["namespace"]
    return named["name"] if inside == "default" else f"{inside}/{named['name']}"


def _known(registry: FakeState, named: dict[str, str]) -> str:
    ref = _ref(named)
    if ref not in registry.assets:
        raise NotFound(f"there is no {ref}")
    return ref


def _json(request: httpx.Request) -> Any:
    return json.loads(request.content)


def _page(items: list[Any], request: httpx.Request) -> dict[str, Any]:
    found = items
    start = int(request.url.params.get("cursor", "0"))
    limit = int(request.url.params.get("limit", "50"))
    more = str(start + limit) if start + limit < len(found) else None
    return {"items": found[start : start + limit], "next_cursor": more}


_A = "/api/v1/assets/{namespace}/{name}"


@route("GET", "/api/v1/whoami")
def _whoami(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    return {"id": "p1", "name": "ada", "kind": "person", "grants": [{"role": "admin"}]}


@route("GET", "/api/v1/principal-names")
def _names(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    return {"items": [], "next_cursor": None}


@route("POST", "/api/v1/assets")
def _create(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    body = _json(request)
    ref = _ref(body)
    if ref in registry.assets:
        raise AlreadyExists(f"{ref} exists")
    return registry.add_asset(
        ref, {k: v for k, v in body.items() if k not in ("namespace", "name")}
    )


@route("GET", "/api/v1/assets")
def _assets(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    return _page(list(registry.assets.values()), request)


@route("GET", _A)
def _asset(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    return registry.assets[_known(registry, named)]


@route("PATCH", _A)
def _edit(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    asset = registry.assets[_known(registry, named)]
    _apply(asset, _json(request))
    return asset


@route("PATCH", f"{_A}/versions/{{version}}")
def _edit_version(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    version = registry.version(f"{_ref(named)}@{named['version']}")
    _apply(version, _json(request))
    return version


def _apply(record: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in (changes.pop("tags", None) or {}).items():
        if value is None:
            record["tags"].pop(key, None)
        else:
            record["tags"][key] = value
    changes.pop("reason", None)
    record.update(changes, revision=record.get("revision", 1) + 1)


@route("GET", f"{_A}/history")
@route("GET", f"{_A}/versions/{{version}}/history")
def _history(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    name = _ref(named) + (f"@{named['version']}" if "version" in named else "")
    acts = [
        {
            "at": e["time"],
            "act": e["act"],
            "subject": e["subject"]["name"],
            "actor": e["actor"],
            "reason": "",
            "changes": {},
            "entry_id": e["id"],
        }
        for e in reversed(registry.log.entries)
        if e["subject"]["name"].startswith(name)
    ]
    return _page(acts, request)


@route("GET", f"{_A}/versions")
def _versions(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    return _page(registry.versions[_known(registry, named)][::-1], request)


@route("GET", "/api/v1/versions")
def _search(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    found = [version for all_ in registry.versions.values() for version in all_]
    return _page(found, request)


@route("GET", "/api/v1/resolve")
def _resolve(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    return registry.version(request.url.params["ref"])


@route("GET", f"{_A}/versions/{{version}}")
def _version(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    return registry.version(f"{_ref(named)}@{named['version']}")


@route("GET", f"{_A}/versions/{{version}}/completeness")
def _completeness(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    gaps = registry.missing_gaps
    return {"present_percent": 100.0 - 10 * len(gaps), "verified_percent": 10.0, "gaps": gaps}


@route("GET", f"{_A}/versions/{{version}}/manifest")
def _manifest(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    name = f"{_ref(named)}@{named['version']}"
    return registry.forged.get("manifest") or registry.manifests[name]


@route("GET", f"{_A}/versions/{{version}}/receipt")
def _receipt(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    version = registry.version(f"{_ref(named)}@{named['version']}")
    index = [e["id"] for e in registry.log.entries].index(version["entry_id"])
    return registry.forged.get("receipt") or registry.log.receipt(index)


@route("GET", f"{_A}/versions/{{version}}/files/{{path*}}")
def _file(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    listed = registry.manifests[f"{_ref(named)}@{named['version']}"]["files"]
    digest = next((f["sha256"] for f in listed if f["path"] == named["path"]), None)
    if digest is None or digest not in registry.blobs:
        raise NotFound(f"no file {named['path']}")
    data = registry.blobs[digest]
    wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    start = int(wanted[1]) if wanted else 0
    return httpx.Response(206 if wanted else 200, stream=httpx.ByteStream(data[start:]))


@route("POST", f"{_A}/versions")
def _register(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    body = _json(request)
    ref = _ref(named)
    if "create_asset" in body and ref not in registry.assets:
        registry.add_asset(ref, body["create_asset"])
    _known(registry, named)
    if body.get("require") and registry.missing_gaps:
        problems = [
            {"field": gap["field"], "message": gap["why"], "fix": gap["fix"]}
            for gap in registry.missing_gaps
        ]
        raise BadMetadata("the metadata is not complete for candidate", problems=problems)
    if body.get("dry_run"):
        size = sum(file["size_bytes"] for file in body["files"])
        return {
            "namespace": named["namespace"],
            "name": named["name"],
            "version": body["version"],
            "number": 0,
            "manifest_digest": "sha256:" + "0" * 64,
            "created": False,
            "size_bytes": size,
            "file_count": len(body["files"]),
        }
    absent = [f["path"] for f in body["files"] if f["sha256"] not in registry.blobs]
    if absent:
        raise UploadConflict(f"not uploaded: {absent}")
    made = registry.register(ref, body["version"], body["files"], body["metadata"])
    registry.uploads.pop(body["upload_id"], None)
    gaps = {"present_percent": 50.0, "verified_percent": 5.0, "gaps": registry.missing_gaps}
    return httpx.Response(201, json={"created": True, **made, "completeness": gaps})


@route("POST", "/api/v1/uploads")
def _open(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    upload_id = f"upload-{len(registry.uploads)}"
    registry.uploads[upload_id] = {}
    return _session(registry, upload_id)


@route("GET", "/api/v1/uploads/{upload_id}")
def _upload(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    if named["upload_id"] not in registry.uploads:
        raise NotFound("no such upload")
    return _session(registry, named["upload_id"])


def _session(registry: FakeState, upload_id: str) -> dict[str, Any]:
    return {"id": upload_id, "state": "open", "part_size_bytes": registry.part_size_bytes}


@route("POST", "/api/v1/uploads/{upload_id}/blobs")
def _declare(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    upload = registry.uploads[named["upload_id"]]
    items = []
    for blob in _json(request)["blobs"]:
        digest, size = blob["sha256"], blob["size_bytes"]
        if digest in registry.blobs:
            items.append({"sha256": digest, "state": "held"})
            continue
        staged = upload.setdefault(digest, Staged(size))
        item: dict[str, Any] = {
            "sha256": digest,
            "state": "partial" if staged.parts else "missing",
            "received": staged.received(),
        }
        if registry.direct:
            item["put_urls"] = [
                {
                    "offset": offset,
                    "size_bytes": min(registry.part_size_bytes, size - offset),
                    "url": f"https://store.example/{named['upload_id']}/{digest}/{offset}",
                }
                for offset in range(0, max(size, 1), registry.part_size_bytes)
            ]
        items.append(item)
    return {"items": items}


@route("PUT", "/api/v1/uploads/{upload_id}/blobs/{sha256}")
def _put(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    staged = registry.uploads[named["upload_id"]][named["sha256"]]
    offset = int(request.url.params["offset"])
    staged.parts[offset] = request.content
    if len(request.content) == staged.size_bytes:
        return _sealed(registry, named)
    received = staged.received()
    return {"sha256": named["sha256"], "state": "partial", "received": received}


@route("PUT", "/direct/{upload_id}/{sha256}/{offset}")
def _put_direct(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    assert "Authorization" not in request.headers
    staged = registry.uploads[named["upload_id"]][named["sha256"]]
    staged.parts[int(named["offset"])] = request.content
    return {}


@route("POST", "/api/v1/uploads/{upload_id}/blobs/{sha256}/seal")
def _seal(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    return _sealed(registry, named)


def _sealed(registry: FakeState, named: dict[str, str]) -> Any:
    staged = registry.uploads[named["upload_id"]][named["sha256"]]
    data = b"".join(part for _, part in sorted(staged.parts.items()))
    found = hashlib.sha256(data).hexdigest()
    if found != named["sha256"]:
        staged.parts.clear()
        raise DigestMismatch(extra={"expected": named["sha256"], "found": found})
    registry.blobs[found] = data
    return {"sha256": found, "state": "held"}


@route("GET", f"{_A}/aliases")
def _aliases(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    ref = _known(registry, named)
    found = [(alias, moves[-1]) for (at, alias), moves in registry.aliases.items() if at == ref]
    return _page([{"alias": alias, "version": version} for alias, version in found], request)


@route("PUT", f"{_A}/aliases/{{alias}}")
def _set_alias(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    ref = _known(registry, named)
    version = _json(request)["version"]
    registry.aliases.setdefault((ref, named["alias"]), []).append(version)
    return {"alias": named["alias"], "version": version}


@route("GET", f"{_A}/aliases/{{alias}}")
def _alias(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    return registry.version(f"{_ref(named)}@{named['alias']}")


@route("GET", f"{_A}/aliases/{{alias}}/history")
def _alias_history(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    moves = registry.aliases.get((_ref(named), named["alias"]), [])
    before = [None, *moves]
    events = [
        {
            "at": AT.isoformat(),
            "entry_id": str(at),
            "version": version,
            "previous_version": before[at],
            "reason": "",
        }
        for at, version in enumerate(moves)
    ]
    return _page(events[::-1], request)


@route("GET", "/api/v1/compare")
def _compare(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    params = request.url.params
    sides = [registry.version(params[side])["manifest_digest"] for side in ("left", "right")]
    changed = sides[0] != sides[1]
    files = {
        "added": [{"path": "new", "size_bytes": 3, "sha256": "0" * 64}],
        "removed": [],
        "changed": [
            {
                "path": "f",
                "left": {"path": "f", "size_bytes": 1, "sha256": "1" * 64},
                "right": {"path": "f", "size_bytes": 2048, "sha256": "2" * 64},
            }
        ],
        "moved": [{"sha256": "3" * 64, "size_bytes": 9, "left": ["a"], "right": ["b"]}],
        "same_count": 7,
    }
    none = {**files, "added": [], "changed": [], "moved": []}
    differences = [
        {
            "section": "metrics",
            "path": "/auc",
            "left": 0.9,
            "right": 0.95,
            "delta": 0.05,
            "better": True,
        },
    ]
    return {
        "left": params["left"],
        "right": params["right"],
        "same": not changed,
        "differences": differences if changed else [],
        "files": files if changed else none,
    }


@route("POST", "/api/v1/tokens")
def _token(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    body = _json(request)
    return httpx.Response(201, json={"id": "t1", "token": "mun_new_secret", **body})


@route("GET", "/api/v1/tokens")
def _tokens(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    return _page([{"id": "t1", "label": "ci", "created_at": AT.isoformat()}], request)


@route("POST", "/api/v1/tokens/{token_id}/revoke")
def _revoke(registry: FakeState, request: httpx.Request, named: dict[str, str]) -> Any:
    return {"id": named["token_id"]}
