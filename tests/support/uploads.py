"""An upload session driven step by step over HTTP, for tests of what may go wrong in between."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from tests.support.app import Client


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def in_chunks(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


class Session:
    """An upload session of `client`."""

    def __init__(self, client: Client, upload_id: str) -> None:
        self.client, self.id = client, upload_id
        self.url = f"/api/v1/uploads/{upload_id}"

    @classmethod
    async def open(cls, client: Client, namespace: str = "default") -> Session:
        answer = await client.post(
            "/api/v1/uploads", json={"name": "thing", "namespace": namespace}
        )
        assert answer.status_code == 201, answer.text
        return cls(client, answer.json()["id"])

    async def declare(self, *blobs: bytes) -> list[dict[str, Any]]:
        offered = [{"sha256": sha256(data), "size_bytes": len(data)} for data in blobs]
        answer = await self.client.post(f"{self.url}/blobs", json={"blobs": offered})
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    async def put(self, of: bytes, data: Any = None, offset: int = 0) -> httpx.Response:
        """Send `data` (all of the blob `of` if None) at `offset`."""
        return await self.client.put(
            f"{self.url}/blobs/{sha256(of)}",
            params={"offset": offset},
            content=of if data is None else data,
        )

    async def seal(self, of: bytes) -> httpx.Response:
        return await self.client.post(f"{self.url}/blobs/{sha256(of)}/seal")

    async def send(self, *blobs: bytes) -> None:
        """Declare and send whole blobs."""
        for item, data in zip(await self.declare(*blobs), blobs, strict=True):
            if item["state"] != "held":
                answer = await self.put(data)
                assert answer.json()["state"] == "held", answer.text


async def register(
    client: Client,
    files: Mapping[str, bytes],
    *,
    at: str = "default/thing",
    version: str = "1.0.0",
    **more: Any,
) -> httpx.Response:
    """Register files that are held; the asset is made if there is none."""
    body = {
        "version": version,
        "files": [
            {"path": path, "sha256": sha256(data), "size_bytes": len(data)}
            for path, data in files.items()
        ],
        "create_asset": {"kind": "model", "owner": "ada"},
        **more,
    }
    return await client.post(f"/api/v1/assets/{at}/versions", json=body)
