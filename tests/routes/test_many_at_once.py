"""Two hundred acts at once on requests, versions and composites end in one story, which the log tells, too."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import httpx
import pytest

from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.postgres import open_database
from tests.support.approving import ASK, me
from tests.support.artifacts import fine
from tests.support.keys import MemoryKeys
from tests.support.wholes import PRODUCTION, REASON, Fleet, open_fleet

DEFAULT = "/api/v1/assets/default"
ROLES = ("product", "platform", "security", "legal", "technical")
ALONE = tuple(f"run-{number}" for number in range(4))
WHOLE = tuple(f"run-{number}" for number in range(4, 8))
ACTS = 200
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@pytest.fixture
async def fleet(
    db_url: str, blobs: FakeBlobs, keys: MemoryKeys, clock: FixedClock
) -> AsyncIterator[Fleet]:
    """A registry with as many connections as a server has, whose line nobody leaves on a slow machine."""
    db = await open_database(db_url, mac=keys.entry.mac, min_size=0, wait_seconds=60)
    try:
        async with open_fleet(db, blobs, keys, clock) as opened:
            yield opened
    finally:
        await db.close()


async def subjects(fleet: Fleet) -> dict[str, str]:
    """Versions alone, and composites that share two prompts between them: where each is, and its request."""
    for version in ("1.0.0", "2.0.0"):
        await fleet.version("fraud-prompt", version)
    places = []
    for name in ALONE:
        await fleet.version(name)
        places.append(f"{DEFAULT}/{name}/versions/1.0.0")
    for number, name in enumerate(WHOLE):
        await fleet.version(name)
        cvi = await fleet.composite(f"{name}@1", f"fraud-prompt@{number % 2 + 1}", system=name)
        places.append(f"/api/v1/composites/{cvi}")
    asked = {}
    for number, place in enumerate(places):
        request = fine(await fleet.room.asker.post(f"{place}/approval-requests", json=ASK))
        asked[place] = request["id"]
        if number % 4 < 2:  # the others are approved while these are promoted
            await fleet.room.approve(request["id"], "product", "platform")
    return asked


async def test_two_hundred_acts_at_once_end_in_one_story(fleet: Fleet) -> None:
    asked = await subjects(fleet)
    people = {role: fleet.room.person(role) for role in ROLES}
    for client in (*people.values(), fleet.pipeline, fleet.room.admin):
        await me(client)  # have it made
    acts: list[Awaitable[httpx.Response]] = []
    for place, request in asked.items():
        for role, client in people.items():
            acts += [fleet.room.say(client, request, role) for _ in range(2)]
        acts += [fleet.pipeline.post(f"{place}/promote", json=PRODUCTION) for _ in range(10)]
        acts += [
            people["security"].post(f"{place}/withdraw", json=REASON),
            fleet.room.asker.post(f"{place}/approval-requests", json=ASK),
        ]
    for name in (*ALONE, *WHOLE):
        acts += [
            people["platform"].post(f"{DEFAULT}/{name}/rollback", json=REASON),
            fleet.pipeline.put(f"{DEFAULT}/{name}/aliases/champion", json={"version": "1.0.0"}),
        ]
    acts += [
        fleet.pipeline.post(
            f"{DEFAULT}/fraud-prompt/versions/{version}.0.0/promote", json=PRODUCTION
        )
        for version in (1, 2)
        for _ in range(4)
    ]
    assert len(acts) == ACTS
    random.Random("muniment").shuffle(acts)
    answers = await asyncio.gather(*acts)
    odd = [one.text for one in answers if one.status_code not in {200, 201, 403, 409, 412}]
    assert odd == []
    carried_out = Counter(one.url.path.rpartition("/")[2] for one in answers if one.is_success)
    assert {"approvals", "promote", "withdraw"} <= carried_out.keys()
    assert await fleet.room.house.count(DEADLOCKS) == 0
    await one_story(fleet, asked)


async def one_story(fleet: Fleet, asked: dict[str, str]) -> None:
    """Every request was decided once; what is live is found, is whole, and rests on its decision."""
    decided = {}
    for place, request in asked.items():
        shown = await fleet.room.show(request)
        roles = [one["role"] for one in shown["approvals"]]
        assert shown["state"] == "approved"
        assert {"product", "platform"} <= set(roles)
        assert len(roles) == len(set(roles))
        decided[place] = shown["decision"]["id"]
    assert await fleet.room.acts("decision.") == ["decision.approve"] * len(asked)
    every: list[dict[str, Any]] = []
    for name in (*ALONE, *WHOLE, "fraud-prompt"):
        url = f"{DEFAULT}/{name}/deployments"
        found = fine(await fleet.viewer.get(url, params={"limit": 200}))["items"]
        live = [one["version"] for one in found if one["ended_at"] is None]
        champions = [one for one in await fleet.champions(name) if one is not None]
        assert live == champions
        every += found
    for one in every:
        place = f"{DEFAULT}/{one['asset']}/versions/{one['version']}"
        if one["composite"] is not None:
            place = f"/api/v1/composites/{one['composite']}"
        assert one["decision_id"] in {decided[place], None}
    by_entry = Counter(one["entry_id"] for one in every)
    assert set(by_entry.values()) == {1}
    begun = await fleet.room.acts("version.promote") + await fleet.room.acts("version.rollback")
    assert len(begun) == len(every)
    moments = Counter((one["composite"], one["since"]) for one in every if one["composite"])
    assert set(moments.values()) <= {2}, "a composite is deployed whole"
    # Afterwards everything that is approved can be had.
    for place in asked:
        fine(await fleet.pipeline.post(f"{place}/promote", json=PRODUCTION))
