"""Composites asked for, approved and decided through the application, on real PostgreSQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import pytest

from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.approving import ASK, Council, open_council
from tests.support.artifacts import fine

URL = "/api/v1/composites"
REQUESTS = "/api/v1/approval-requests"
DAY = dt.timedelta(days=1)
REST = [
    {"kind": kind, "name": "-", "status": "not-applicable", "reason": "none"}
    for kind in ("code", "data", "adapter", "config", "env")
]


@pytest.fixture
async def room(
    db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[Council]:
    async with open_council(db, blobs, keys, clock) as opened:
        yield opened


async def pinned(room: Council, *pins: str, **more: Any) -> Any:
    """Register a composite of these versions; return it."""
    kinds = {} if len(pins) > 1 else {"prompt": REST[0] | {"kind": "prompt"}}
    body = {
        "system": "shop",
        "components": [*({"pin": one} for one in pins), *REST, *kinds.values()],
        **more,
    }
    return fine(await room.house.sender().client.post(URL, json=body))["cvi"]


async def prompt(room: Council, version: str = "1.0.0", tier: str = "limited") -> None:
    sender = room.house.sender()
    made = {"kind": "prompt", "owner": "ada", "risk_tier": tier}
    metadata = {"prompt": {"template": f"say {version}"}}
    tree = {"prompt.txt": version.encode()}
    await sender.registered(tree, version, name="words", create_asset=made, metadata=metadata)


async def both(room: Council) -> str:
    await room.version("thing")
    await prompt(room)
    return str(await pinned(room, "thing@1.0.0", "words@1.0.0"))


async def ask(room: Council, cvi: str, **more: Any) -> Any:
    return fine(await room.asker.post(f"{URL}/{cvi}/approval-requests", json={**ASK, **more}))


async def where(room: Council, cvi: str, environment: str = "production") -> Any:
    found = fine(await room.asker.get(f"{URL}/{cvi}/approvals"))
    return next(one for one in found["items"] if one["environment"] == environment)


async def test_a_quorum_approves_a_composite_and_neither_of_its_versions(room: Council) -> None:
    cvi = await both(room)
    request = await ask(room, cvi)
    assert (request["composite"], request["version"]) == (cvi, "thing@1.0.0")
    done = await room.approve(request["id"], "product", "platform")
    assert done["decision"]["outcome"] == "approved"
    assert done["decision"]["composite"] == cvi
    here = await where(room, cvi)
    assert (here["approved"], here["decision_id"]) == (True, done["decision"]["id"])
    await room.house.check()
