"""Vulnerability records made in a line, the zips they come in, and their import."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from muniment.server.http.records import Role
from muniment.server.ports.queue_inline import InlineWorker, Ran
from muniment.server.wiring import HANDLERS
from tests.support.artifacts import House, Sender, fine, sha256

SAMPLES = Path(__file__).parents[1] / "samples" / "osv"
KEV = (SAMPLES / "kev.json").read_bytes()


def record(name: str) -> dict[str, Any]:
    """A record in the shape its database really publishes."""
    found: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_bytes())
    return found


def records(*names: str) -> list[dict[str, Any]]:
    return [record(name) for name in names]


def made(osv_id: str, name: str, *, fixed: str, ecosystem: str = "PyPI", **more: Any) -> Any:
    """A record about one package, every version below `fixed`."""
    events = [{"introduced": "0"}, {"fixed": fixed}]
    kind = "SEMVER" if ecosystem == "npm" else "ECOSYSTEM"
    ranges = [{"type": kind, "events": events}]
    affected = [{"package": {"ecosystem": ecosystem, "name": name}, "ranges": ranges}]
    return {"id": osv_id, "modified": "2026-01-01T00:00:00Z", "affected": affected, **more}


def zipped(members: Mapping[str, bytes] | list[dict[str, Any]], **options: Any) -> bytes:
    """A zip of files by name, or of records."""
    if isinstance(members, list):
        members = {f"{one['id']}.json": json.dumps(one).encode() for one in members}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def sbom(*purls: str, **more: Any) -> bytes:
    """A CycloneDX SBOM of packages by purl, or of names without one."""
    components = []
    for number, purl in enumerate(purls):
        told = {"purl": purl} if purl.startswith("pkg:") else {}
        name, _, version = purl.rpartition("/")[2].partition("?")[0].partition("@")
        components.append(
            {"type": "library", "bom-ref": f"c{number}", "name": name, **told}
            | ({"version": version} if version else {})
        )
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components}
    return json.dumps({**bom, **more}).encode()


async def work(house: House) -> list[Ran]:
    """Do the jobs that are due; none may fail."""
    ran = await InlineWorker(house.db, HANDLERS, context=house.registry.deps).run_due()
    assert all(one.error is None for one in ran), ran
    return ran


async def ask_import(
    house: House, data: bytes, ecosystem: str = "PyPI", **more: Any
) -> httpx.Response:
    """Send a file and ask for its import."""
    admin = Sender(house.registry.as_(Role.ADMIN))
    upload_id = await admin.send(data)
    body = {
        "ecosystem": ecosystem, "sha256": sha256(data), "name": "all.zip", "upload_id": upload_id,
        **more,
    }  # fmt: skip
    return await admin.client.post("/api/v1/vulnerability-databases", json=body)


async def imported(
    house: House, data: bytes | list[dict[str, Any]], ecosystem: str = "PyPI", **more: Any
) -> Any:
    """Import a file or records; how that ended."""
    file = zipped(data) if isinstance(data, list) else data
    asked = fine(await ask_import(house, file, ecosystem, **more))
    await work(house)
    admin = house.registry.as_(Role.ADMIN)
    return fine(await admin.get(f"/api/v1/vulnerability-imports/{asked['id']}"))


async def databases(house: House, **query: Any) -> list[dict[str, Any]]:
    viewer = house.registry.as_(Role.VIEWER)
    answer = await viewer.get("/api/v1/vulnerability-databases", params=query)
    items: list[dict[str, Any]] = fine(answer)["items"]
    return items
