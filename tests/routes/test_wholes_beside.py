"""Composites beside other systems' and beside versions alone: what goes back, what stays, what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from muniment.server.http.records import Grant, Role, Scope
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.artifacts import fine
from tests.support.wholes import PRODUCTION, REASON, Fleet, approving, names, open_fleet

DEFAULT = "/api/v1/assets/default"
BOTH = ("fraud", "fraud-prompt")
DRILL = {**REASON, "environment": "staging"}


@pytest.fixture
async def fleet(
    db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[Fleet]:
    async with open_fleet(db, blobs, keys, clock) as opened:
        yield opened


@pytest.fixture
async def drilling(
    db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[Fleet]:
    """Where going back has to have been tried."""
    async with open_fleet(db, blobs, keys, clock, approving("PROM-002")) as opened:
        yield opened


async def versions(fleet: Fleet, *refs: str) -> None:
    for ref in refs:
        name, _, number = ref.partition("@")
        await fleet.version(name, f"{number}.0.0")


async def composite(fleet: Fleet, *pins: str, system: str = "fraud") -> str:
    """A composite that is approved."""
    cvi = await fleet.composite(*(f"{pin}.0.0" for pin in pins), system=system)
    await fleet.approve(cvi)
    return cvi


async def alone(fleet: Fleet, name: str, number: int) -> None:
    """Have a version approved alone."""
    asked = await fleet.room.ask(f"{DEFAULT}/{name}/versions/{number}.0.0")
    await fleet.room.approve(asked["id"], "product", "platform")


async def move(fleet: Fleet, name: str, number: int, **more: Any) -> httpx.Response:
    url = f"{DEFAULT}/{name}/versions/{number}.0.0/promote"
    return await fleet.pipeline.post(url, json={**PRODUCTION, **more})


async def back(fleet: Fleet, name: str, **more: Any) -> httpx.Response:
    return await fleet.room.person("security").post(
        f"{DEFAULT}/{name}/rollback", json={**REASON, **more}
    )


async def to_stage(fleet: Fleet, name: str, number: int) -> httpx.Response:
    """Promote through MLflow's stages, which move no alias."""
    body = {"name": name, "version": str(number), "stage": "Production"}
    url = "/api/2.0/mlflow/model-versions/transition-stage"
    return await fleet.pipeline.post(url, json=body)


async def rollback_fact(fleet: Fleet, done: Any) -> dict[str, Any]:
    entry = fine(await fleet.room.admin.get(f"/api/v1/log/entries/{done['entry_id']}"))
    found: dict[str, Any] = entry["payload"]["judged"]["document"]["rollback"]
    return found


async def test_one_member_more_that_leads_needs_the_drill_as_well(drilling: Fleet) -> None:
    fleet = drilling
    await versions(fleet, "fraud@1", "fraud@2", "fraud-prompt@1", "fraud-prompt@2", "churn@1")
    one = await composite(fleet, "fraud@1", "fraud-prompt@1")
    more = await composite(fleet, "churn@1", "fraud@2", "fraud-prompt@2")
    renamed = await composite(fleet, "fraud@2", "fraud-prompt@2", system="other")
    fine(await fleet.promote(one))
    assert await fleet.failing(more) == ["PROM-002"]
    refused = await fleet.promote(more)
    assert (refused.status_code, one in refused.text) == (403, True)
    # Nor does another system's name dodge it: nothing of that was there to go back to.
    assert await fleet.failing(renamed) == ["PROM-002"]
    for cvi in (one, more):
        fine(await fleet.promote(cvi, environment="staging"))
    nothing = await fleet.room.admin.post(f"{DEFAULT}/churn/rollback", json=DRILL)
    assert nothing.status_code == 409
    fine(await fleet.room.admin.post(f"{DEFAULT}/fraud/rollback", json=DRILL))
    assert await fleet.failing(more) == []
    said = await rollback_fact(fleet, fine(await fleet.promote(more)))
    assert (said["target"], said["approved"]) == (one, True)
    assert fine(await back(fleet, "fraud-prompt"))["composite"] == one
    assert await fleet.champions("churn", *BOTH) == [None, "1.0.0", "1.0.0"]


async def test_production_goes_back_from_a_composite_to_the_version_that_was_there_alone(
    drilling: Fleet,
) -> None:
    fleet = drilling
    await versions(fleet, "fraud@1", "fraud@2", "fraud-prompt@1")
    await alone(fleet, "fraud", 1)
    fine(await move(fleet, "fraud", 1))
    whole = await composite(fleet, "fraud@2", "fraud-prompt@1")
    assert await fleet.failing(whole) == ["PROM-002"]
    assert "fraud@1.0.0" in (await fleet.promote(whole)).text
    fine(await move(fleet, "fraud", 1, environment="staging"))
    fine(await fleet.promote(whole, environment="staging"))
    fine(await fleet.room.admin.post(f"{DEFAULT}/fraud/rollback", json=DRILL))
    said = await rollback_fact(fleet, fine(await fleet.promote(whole)))
    assert (said["target"], said["approved"]) == ("fraud@1.0.0", True)
    model_only = fleet.room.house.registry.with_grants(
        Grant(Role.PUBLISHER, Scope("default", "fraud")),
        Grant(Role.VIEWER, Scope("default", "fraud-prompt")),
    )
    barred = await model_only.post(f"{DEFAULT}/fraud/rollback", json=REASON)
    assert (barred.status_code, names(barred.json()["problems"])) == (403, ["fraud-prompt"])
    for to in ({}, {"to": "1.0.0"}):
        would = fine(await back(fleet, "fraud", **to, dry_run=True))
        assert (would["version"], would["entry_id"]) == ("1.0.0", None)
        done = fine(await back(fleet, "fraud", **to))
        assert (done["version"], done["composite"]) == ("1.0.0", None)
        assert [one["asset"] for one in done["left"]] == ["fraud-prompt"]
        assert await fleet.live(*BOTH) == {"fraud": [("1.0.0", None)], "fraud-prompt": []}
        assert await fleet.champions(*BOTH) == ["1.0.0", None]
        fine(await fleet.promote(whole))
    # From the prompt's side there was nothing before.
    assert (await back(fleet, "fraud-prompt")).status_code == 409


async def test_production_goes_back_to_no_other_systems_composite(fleet: Fleet) -> None:
    await versions(fleet, "fraud@1", "fraud-prompt@1", "fraud-prompt@2", "churn@1")
    one = await composite(fleet, "fraud@1", "fraud-prompt@1")
    other = await composite(fleet, "churn@1", "fraud-prompt@2", system="churn")
    for cvi in (one, other):
        fine(await fleet.promote(cvi))
    for to in ({}, {"to": one}):
        answer = await back(fleet, "fraud-prompt", **to)
        assert (answer.status_code, answer.json()["code"]) == (409, "lifecycle_conflict")
        assert f"muniment withdraw {other}" in answer.json()["detail"]
    assert await fleet.live("fraud", "fraud-prompt", "churn") == {
        "fraud": [("1.0.0", one)],
        "fraud-prompt": [("2.0.0", other)],
        "churn": [("1.0.0", other)],
    }


async def test_a_version_alone_takes_no_place_in_a_composite_that_was_left_empty(
    fleet: Fleet,
) -> None:
    await versions(fleet, "fraud@1", "fraud@2", "fraud-prompt@1", "fraud-prompt@2")
    one = await composite(fleet, "fraud@1", "fraud-prompt@1")
    for name in BOTH:
        await alone(fleet, name, 2)
    fine(await fleet.promote(one))
    # MLflow's stages move no alias, and are refused all the same.
    answer = await to_stage(fleet, "fraud", 2)
    assert (answer.status_code, "COMP-001" in answer.text, one in answer.text) == (403, True, True)
    url = f"{DEFAULT}/fraud-prompt/aliases/champion"
    fine(await fleet.pipeline.post(f"{DEFAULT}/fraud-prompt/versions/1.0.0/withdraw", json=REASON))
    for _ in range(2):
        tried = (
            await move(fleet, "fraud-prompt", 2),
            await fleet.pipeline.put(url, json={"version": "2.0.0"}),
            await to_stage(fleet, "fraud-prompt", 2),
        )
        assert [(each.status_code, "COMP-001" in each.text) for each in tried] == [(403, True)] * 3
        assert await fleet.live(*BOTH) == {"fraud": [("1.0.0", one)], "fraud-prompt": []}
        fine(await fleet.promote(one))
        fine(await fleet.pipeline.put(url, json={"version": None}))
    # An endpoint that the composite is not found through is free; and so is what it has left.
    fine(await move(fleet, "fraud-prompt", 2, mode="canary"))
    fine(await fleet.room.admin.post(f"/api/v1/composites/{one}/withdraw", json=REASON))
    fine(await move(fleet, "fraud-prompt", 2))


async def test_what_staging_has_as_a_composite_goes_to_production_alone(fleet: Fleet) -> None:
    await versions(fleet, "fraud@1", "fraud-prompt@1")
    one = await composite(fleet, "fraud@1", "fraud-prompt@1")
    fine(await fleet.promote(one, environment="staging"))
    await alone(fleet, "fraud", 1)
    assert (await to_stage(fleet, "fraud", 1)).status_code == 200
    assert await fleet.live("fraud") == {"fraud": [("1.0.0", None)]}


async def test_what_another_systems_composite_has_as_well_stays_as_its_own(fleet: Fleet) -> None:
    await versions(fleet, "fraud@1", "fraud-prompt@1", "churn@1", "churn@2")
    one = await composite(fleet, "fraud@1", "fraud-prompt@1")
    shared = await composite(fleet, "churn@1", "fraud-prompt@1", system="churn")
    less = await composite(fleet, "churn@2", system="churn")
    every = ("churn", *BOTH)
    for cvi in (one, shared):
        fine(await fleet.promote(cvi))
    decision = fine(await fleet.viewer.get(f"{DEFAULT}/fraud/deployments"))["items"][0]
    assert (await fleet.live("fraud-prompt"))["fraud-prompt"] == [("1.0.0", shared)]
    assert fine(await fleet.promote(less, dry_run=True))["left"] == []
    assert fine(await fleet.promote(less))["left"] == []
    mine = {name: [("1.0.0", one)] for name in BOTH}
    assert await fleet.live(*every) == {"churn": [("2.0.0", less)], **mine}
    assert await fleet.champions(*every) == ["2.0.0", "1.0.0", "1.0.0"]
    assert await fleet.room.acts("version.hand_over") == ["version.hand_over"]
    shown = fine(await fleet.viewer.get(f"{DEFAULT}/fraud-prompt/deployments"))["items"]
    assert (shown[0]["decision_id"], shown[0]["ended_at"]) == (decision["decision_id"], None)
    assert shown[1]["ended_as"] == "superseded"
    # Going back takes the prompt along again; and so does no withdrawal.
    assert fine(await back(fleet, "churn"))["composite"] == shared
    url = f"/api/v1/composites/{shared}/withdraw"
    ended = fine(await fleet.room.person("security").post(url, json=REASON))["ended"]
    assert [each["asset"] for each in ended] == ["churn"]
    assert await fleet.live(*every) == {"churn": [], **mine}
    assert await fleet.champions(*every) == [None, "1.0.0", "1.0.0"]
    ended = fine(await fleet.room.admin.post(f"/api/v1/composites/{one}/withdraw", json=REASON))
    assert [each["asset"] for each in ended["ended"]] == ["fraud", "fraud-prompt"]
    assert await fleet.champions(*every) == [None] * 3


async def test_what_is_found_through_no_alias_goes_with_its_composite(fleet: Fleet) -> None:
    elsewhere = {"production_aliases": ["prod"]}
    for number in ("1.0.0", "2.0.0"):
        await fleet.version("fraud", number)
        await fleet.version("fraud-prompt", number, namespace="team-a")
    for namespace, more in (("default", {}), ("team-a", elsewhere)):
        body = {"mode": "observe", "reason": "trial", **more}
        fine(await fleet.room.admin.patch(f"/api/v1/namespaces/{namespace}", json=body))
    one, other = [
        await fleet.composite(f"fraud@{number}", f"team-a/fraud-prompt@{number}")
        for number in ("1.0.0", "2.0.0")
    ]
    listed = "/api/v1/assets/team-a/fraud-prompt"

    async def live() -> list[tuple[str, str | None]]:
        query = {**PRODUCTION, "live": "true"}
        answer = await fleet.room.admin.get(f"{listed}/deployments", params=query)
        assert {each["alias"] for each in fine(answer)["items"]} <= {None}
        return [(each["version"], each["composite"]) for each in fine(answer)["items"]]

    for cvi in (one, other):
        fine(await fleet.promote(cvi, fleet.room.admin))
    assert await live() == [("2.0.0", other)]
    url = f"{DEFAULT}/fraud/rollback"
    assert fine(await fleet.room.admin.post(url, json=REASON))["composite"] == one
    assert (await live(), await fleet.champions("fraud")) == ([("1.0.0", one)], ["1.0.0"])
    # From the side of what is found through none, too.
    fine(await fleet.promote(other, fleet.room.admin))
    assert fine(await fleet.room.admin.post(f"{listed}/rollback", json=REASON))["composite"] == one
    assert (await live(), await fleet.champions("fraud")) == ([("1.0.0", one)], ["1.0.0"])
