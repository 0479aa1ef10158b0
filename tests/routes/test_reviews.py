"""What a policy demands of those who sign, beside the quorum: sign-offs and steps of a review."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from muniment.server import policy
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.embedded_rego import EmbeddedRego
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.approving import Council, council, open_council
from tests.support.artifacts import fine
from tests.support.policies import starter

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
        record = fine(await room.asker.get(f"/api/v1/decisions/{done['decision']['id']}"))["record"]
        assert {one["role"]: one["sign_off"] for one in record["approvals"]} == {
            "product": "metrics-reviewed", "platform": "entry-verified",
        }  # fmt: skip
        await room.house.check()


STEPS = [
    {"name": "self-review", "roles": ["author"]},
    {"name": "peer", "roles": ["platform"], "after": ["self-review"]},
    {"name": "legal", "roles": ["legal"], "after": ["self-review"], "optional": True},
    {"name": "final", "roles": ["product", "governance"], "after": ["peer", "legal"]},
]


def wrong(answer: httpx.Response) -> str:
    assert answer.status_code == 422, answer.text
    [problem] = answer.json()["problems"]
    assert problem["field"] == "review_step"
    return str(problem["message"])


async def test_a_review_goes_step_by_step(under: Open, clock: FixedClock) -> None:
    async with under(review_steps=STEPS) as room:
        at = await room.version()
        request = (await room.ask(at))["id"]
        product, platform, legal = (room.person(one) for one in ("product", "platform", "legal"))

        async def state() -> dict[str, str]:
            clock.advance(dt.timedelta(seconds=2))
            shown = await room.show(request)
            return {one["name"]: one["state"] for one in shown["review_steps"]}

        assert await state() == {
            "self-review": "next", "peer": "waiting", "legal": "waiting", "final": "waiting",
        }  # fmt: skip
        early = await room.say(platform, request, "platform")
        assert (early.status_code, early.json()["code"]) == (409, "lifecycle_conflict")
        assert "comes after self-review" in early.json()["detail"]
        assert "is for product" in wrong(
            await room.say(platform, request, "platform", review_step="final")
        )
        assert "is not optional" in wrong(
            await room.say(platform, request, "platform", "not_applicable", review_step="peer")
        )
        # Who asked reviews it as its author, nobody else, and in no other role.
        stranger = await room.say(platform, request, "author")
        assert (stranger.status_code, stranger.json()["bar"]) == (403, "no_role")
        own = fine(await room.say(room.asker, request, "author", comment="I read it again"))
        assert (own["approval"]["review_step"], own["decision"]) == ("self-review", None)
        assert {one["role"] for one in own["missing"]} == {"product", "platform"}
        assert await state() == {
            "self-review": "done", "peer": "next", "legal": "next", "final": "waiting",
        }  # fmt: skip
        shown = await room.show(request)
        by_name = {one["name"]: one for one in shown["review_steps"]}
        assert by_name["self-review"]["approvals"] == [own["approval"]["id"]]
        assert (len(by_name["peer"]["people"]), by_name["final"]["people"]) == (1, [])
        told = fine(await room.asker.get(f"{at}/why-not"))
        [unmet] = [one for one in told["unmet"] if one["id"] == "APPR-005"]
        commands = [way["command"] for way in unmet["ways"]]
        assert "muniment approve thing@1.0.0 --env production --as platform --step peer" in commands
        # The peer signs with a key; a step does not apply; what comes last is done last.
        key = await room.key(platform)
        unnamed = await room.signed(platform, request, "platform", key)
        assert "does peer" in wrong(await room.send(platform, request, unnamed))
        peer = await room.signed(platform, request, "platform", key, review_step="peer")
        fine(await room.send(platform, request, peer))
        off = fine(await room.say(legal, request, "legal", "not_applicable", review_step="legal"))
        assert off["approval"]["comment"] == "because"
        # The same person may still approve the whole.
        fine(await room.say(legal, request, "legal", review_step="legal"))
        assert await state() == {
            "self-review": "done", "peer": "done", "legal": "done", "final": "next",
        }  # fmt: skip
        done = fine(await room.say(product, request, "product"))
        assert done["decision"]["outcome"] == "approved", done["verdict"]
        record = fine(await room.asker.get(f"/api/v1/decisions/{done['decision']['id']}"))
        assert (record["holds"], len(record["record"]["approvals"])) == (True, 5)
        await room.house.check()


async def test_a_step_is_done_again_when_what_comes_first_was(
    under: Open, clock: FixedClock
) -> None:
    steps = [
        {"name": "peer", "roles": ["platform"]},
        {"name": "final", "roles": ["product"], "after": ["peer"]},
    ]
    async with under(review_steps=steps, sign_offs={"platform": "entry-verified"}) as room:
        request = (await room.ask(await room.version()))["id"]
        for role in ("platform", "product"):
            clock.advance(dt.timedelta(seconds=2))
            fine(await room.say(room.person(role), request, role))
        clock.advance(dt.timedelta(seconds=2))
        platform, product = room.person("platform"), room.person("product")
        fine(await room.say(platform, request, "platform", sign_off="entry-verified"))
        final = (await room.show(request))["review_steps"][1]
        assert (final["state"], final["wanting"], len(final["people"])) == ("early", ["peer"], 1)
        clock.advance(dt.timedelta(seconds=2))
        again = await room.say(product, request, "product")
        assert (again.status_code, again.json()["decision"]["outcome"]) == (201, "approved")
        repeated = await room.say(product, request, "product")
        assert repeated.status_code == 200
        assert repeated.json()["decision"]["id"] == again.json()["decision"]["id"]
        await room.house.check()


async def test_without_steps_nothing_of_one_is_taken(under: Open) -> None:
    async with under() as room:
        request = (await room.ask(await room.version()))["id"]
        assert (await room.show(request))["review_steps"] == []
        assert "there are: none" in wrong(
            await room.say(room.person("platform"), request, "platform", review_step="peer")
        )
        assert "no step for who asked" in wrong(await room.say(room.asker, request, "author"))
        done = await room.approve(request, "product", "platform")
        assert done["decision"]["outcome"] == "approved"


def test_the_example_is_the_starter_bundle_with_steps() -> None:
    folder = Path(__file__).parents[2] / "docs/examples/review-steps"
    over = {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*.*")}
    made = policy.read_bundle({**policy.read_files(policy.STARTER), **over})
    # Nothing else of the tables is other than in the starter bundle.
    plain = json.loads(over["data.json"])
    for profile in plain["profiles"].values():
        profile.pop("review_steps", None)
    assert plain == starter().data
    mine = [one for one in made.fixtures if one.place.startswith("fixtures/REVIEW.yaml")]
    engine = EmbeddedRego()
    try:
        tried = policy.run_fixtures(engine, dataclasses.replace(made, fixtures=tuple(mine)))
    finally:
        engine.close()
    assert [one.wrong for one in tried] == [""] * 5
    assert "| high | legal (optional) | legal | peer |" in policy.criteria(made)
