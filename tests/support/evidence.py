"""Evidence sent and added in a line, through the application."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from tests.support.artifacts import House, Sender, fine, sha256

SAMPLES = Path(__file__).parents[1] / "samples"


def sample(name: str) -> bytes:
    """A file that the tool itself wrote: see tests/samples/README.md."""
    return (SAMPLES / name).read_bytes()


def sample_json(name: str) -> Any:
    return json.loads(sample(name))


async def add(
    sender: Sender,
    files: dict[str, bytes],
    *,
    name: str = "thing",
    version: str = "1.0.0",
    kinds: dict[str, str] | None = None,
    **more: Any,
) -> httpx.Response:
    """Send files and add them as evidence of a version."""
    upload_id = await sender.send(*files.values())
    listed = [
        {"name": each, "sha256": sha256(data), "kind": (kinds or {}).get(each)}
        for each, data in files.items()
    ]
    url = sender.url(name, version, "/evidence")
    return await sender.client.post(url, json={"upload_id": upload_id, "files": listed, **more})


async def added(sender: Sender, files: dict[str, bytes], **more: Any) -> list[dict[str, Any]]:
    """Add files that must be taken; what the answer says of each."""
    items: list[dict[str, Any]] = fine(await add(sender, files, **more))["items"]
    return items


async def evidence_count(house: House) -> int:
    return await house.count("SELECT count(*) FROM evidence")
