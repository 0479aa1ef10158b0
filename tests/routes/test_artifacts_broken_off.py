"""A client that hangs up in the middle of a body: what arrived stays, and sending goes on there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.blobs_local import open_local_blobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.db import Database
from muniment.server.ports.keys import Keys
from tests.support.artifacts import House, Sender, fine, open_house, sha256

WHOLE = bytes(range(256)) * 40_000


@pytest.fixture(params=["fake", "local"])
async def house(
    request: pytest.FixtureRequest, tmp_path: Path, db: Database, keys: Keys, clock: FixedClock
) -> AsyncIterator[House]:
    store = FakeBlobs() if request.param == "fake" else open_local_blobs(tmp_path / "blobs")
    async with open_house(db, store, keys, clock, part_bytes=16 << 20) as opened:
        yield opened


async def hang_up(sender: Sender, upload_id: str, sent: bytes) -> list[dict[str, Any]]:
    """Send the beginning of a body, then close the connection; what the server still said."""
    pieces = [sent[at : at + 65_536] for at in range(0, len(sent), 65_536)]
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": piece, "more_body": True} for piece in pieces
    ]
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        said.append(message)

    path = sender.blob(upload_id, WHOLE)
    token = f"Bearer {sender.client.issued.text}".encode()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "PUT",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"offset=0",
        "root_path": "",
        "headers": [
            (b"host", b"muniment.test"),
            (b"authorization", token),
            (b"content-length", b"%d" % len(WHOLE)),
            (b"content-type", b"application/octet-stream"),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("muniment.test", 80),
    }
    app = sender.client._transport.app  # type: ignore[attr-defined]
    await app(scope, receive, send)
    return said


async def partial(sender: Sender, upload_id: str) -> Any:
    (item,) = fine(await sender.declare(upload_id, WHOLE))["items"]
    return item


async def test_what_arrived_is_kept_and_sending_goes_on_from_there(house: House) -> None:
    sender = house.sender()
    upload_id = await sender.open()
    assert (await partial(sender, upload_id))["state"] == "missing"
    sent = WHOLE[:3_000_000]
    said = await hang_up(sender, upload_id, sent)
    assert not [one for one in said if one.get("status", 500) < 400], "nobody was told of success"
    item = await partial(sender, upload_id)
    assert item["state"] == "partial"
    ((start, end),) = item["received"]
    assert (start, 0 < end <= len(sent)) == (0, True)
    refused = await sender.register({"model.bin": WHOLE}, upload_id=upload_id)
    assert refused.status_code == 422
    assert fine(await sender.put(upload_id, WHOLE, end))["received"] == [[0, len(WHOLE)]]
    assert fine(await sender.seal(upload_id, WHOLE))["state"] == "held"
    assert fine(await sender.register({"model.bin": WHOLE}, upload_id=upload_id))["created"]
    url = sender.url(version="1.0.0", rest="/files/model.bin")
    assert sha256((await sender.client.get(url)).content) == sha256(WHOLE)
    await house.check()


async def test_hanging_up_before_the_first_byte_leaves_nothing(house: House) -> None:
    sender = house.sender()
    upload_id = await sender.open()
    await partial(sender, upload_id)
    await hang_up(sender, upload_id, b"")
    assert (await partial(sender, upload_id))["state"] == "missing"
    assert fine(await sender.put(upload_id, WHOLE))["state"] == "held"


async def test_sending_all_again_after_hanging_up_is_fine(house: House) -> None:
    sender = house.sender()
    upload_id = await sender.open()
    await partial(sender, upload_id)
    forged = b"?" * 1_000_000
    await hang_up(sender, upload_id, forged)
    assert fine(await sender.put(upload_id, WHOLE))["state"] == "held"
    await house.check()
