"""What a policy demands of those who sign, beside the quorum: sign-offs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.approving import Council, council, open_council
from tests.support.artifacts import fine

Open = Callable[..., AbstractAsyncContextManager[Council]]


@pytest.fixture
def under(db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock) -> Open:
    """A house in which a policy is in force with this in the profile of every tier."""

    def opened(**profile: Any) -> AbstractAsyncContextManager[Council]:
        return open_council(db, blobs, keys, clock, council(0, **{"own_key": False, **profile}))

    return opened


async def test_what_is_not_signed_off_is_named_with_the_command(under: Open) -> None:
    demanded = {
        "product": "metrics-reviewed",
        "platform": "entry-verified",
        "legal": "entry-verified",
    }
    async with under(sign_offs=demanded) as room:
        at = await room.version()
        request = await room.ask(at)
        product, platform = room.person("product"), room.person("platform")
        fine(await room.say(product, request["id"], "product", sign_off="metrics-reviewed"))
        given = fine(await room.say(platform, request["id"], "platform"))
        assert (given["decision"], given["missing"]) == (None, [])
        told = fine(await room.asker.get(f"{at}/why-not"))
        [unmet] = [one for one in told["unmet"] if one["id"] == "APPR-004"]
        assert unmet["message"] == "nobody signed off entry-verified as platform"
        assert [(way["command"], way["roles"]) for way in unmet["ways"]] == [(
            "muniment approve thing@1.0.0 --env production --as platform --sign-off entry-verified",
            ["approver_platform"],
        )]  # fmt: skip
        done = fine(await room.say(platform, request["id"], "platform", sign_off="entry-verified"))
        assert done["decision"]["outcome"] == "approved"
        await room.house.check()
