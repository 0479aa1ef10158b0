"""From evidence through requests and signatures to production, and back: under the starter bundle."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import pytest

from muniment.server.http.records import Role
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.approving import Council
from tests.support.artifacts import House, fine, open_house
from tests.support.evidenced import ASSET, believe, evidenced
from tests.support.keys import MemoryKeys
from tests.support.policies import starter
from tests.support.vulnerabilities import imported, made, work

DAY = dt.timedelta(days=1)
FRAUD = "/api/v1/assets/default/fraud"
LIMITED = {**ASSET, "risk_tier": "limited"}
BARE_OF_ITS_OWN = frozenset({"sbom", "provenance", "evaluation", "gates", "scan"})


@pytest.fixture
async def room(
    db: PostgresDatabase, blobs: FakeBlobs, keys: MemoryKeys, clock: FixedClock, tmp_path: object
) -> AsyncIterator[Council]:
    trusted = (keys.record.public_key_der,)
    async with open_house(
        db, blobs, keys, clock, first=starter(), evidence_keys=trusted, data_dir=tmp_path
    ) as house:
        yield Council(house, clock)


async def promote(house: House, version: str, to: str = "production", **more: Any) -> Any:
    pipeline = house.registry.workload(Role.PUBLISHER)
    url = f"{FRAUD}/versions/{version}/promote"
    answer = await pipeline.post(url, json={"environment": to, **more})
    return answer.status_code, answer.json()


async def failing(house: House, version: str, to: str = "production") -> set[str]:
    """The rules in the way, other than that no publisher is trusted: pipelines here are vouched for."""
    viewer = house.registry.as_(Role.VIEWER)
    url = f"{FRAUD}/versions/{version}/why-not"
    found = fine(await viewer.get(url, params={"environment": to}))
    return {one["id"] for one in found["unmet"]} - {"TRUST-001", "PROM-001"}


async def lifecycle(house: House, version: str) -> tuple[str, set[str], dict[str, bool]]:
    """What a version may do now, what keeps it from more, and where it is approved."""
    told = fine(await house.registry.as_(Role.VIEWER).get(f"{FRAUD}/versions/{version}/lifecycle"))
    reasons = {one["code"] for one in told["reasons"]}
    return told["lifecycle"], reasons, {x["environment"]: x["holds"] for x in told["approvals"]}


async def test_a_version_goes_to_production_and_production_goes_back(room: Council) -> None:
    house = room.house
    await believe(house)
    await evidenced(house, asset=LIMITED)
    at = f"{FRAUD}/versions/1.0.0"
    status, refused = await promote(house, "1.0.0")
    assert (status, refused["code"]) == (403, "approval_pending")
    assert [one["field"] for one in refused["problems"]] == ["APPR-001", "APPR-002"]
    assert await lifecycle(house, "1.0.0") == ("candidate", set(), {})
    request = await room.ask(at)
    told = fine(await room.asker.get(f"{at}/why-not"))
    commands = [way["command"] for one in told["unmet"] for way in one["ways"]]
    assert f"muniment approve {request['id']} --as product" in commands
    await room.approve(request["id"], "product")
    assert (await promote(house, "1.0.0"))[0] == 403
    done = await room.approve(request["id"], "platform")
    decision = done["decision"]["id"]
    assert await failing(house, "1.0.0") == set()
    assert await lifecycle(house, "1.0.0") == ("approved", set(), {"production": True})
    # A person may not, whoever it is; the pipeline may, and it stands which decision it rested on.
    person = await room.admin.post(f"{at}/promote", json={"environment": "production"})
    assert (person.status_code, person.json()["code"]) == (403, "refused")
    status, first = await promote(house, "1.0.0", decision=decision)
    assert (status, first["deployment"]["decision_id"]) == (200, decision)
    entry = fine(await room.admin.get(f"/api/v1/log/entries/{first['entry_id']}"))
    said = entry["payload"]["promotion"]["decision"]
    assert (said["id"], len(said["approvals"])) == (decision, 2)
    # The next one has the same files, so that what is known of them is; it is scanned by itself.
    await evidenced(house, version="1.1.0", asset=LIMITED, without=BARE_OF_ITS_OWN)
    request = await room.ask(f"{FRAUD}/versions/1.1.0")
    assert "SEC-005" in await failing(house, "1.1.0")
    assert await lifecycle(house, "1.1.0") == ("draft", {"SEC-005"}, {})
    await room.approve(request["id"], "product", "platform")
    await work(house)
    await room.approve(request["id"], "product")
    # Production could go back to the first, which nobody has tried yet.
    assert await failing(house, "1.1.0") == {"PROM-002"}
    for version in ("1.0.0", "1.1.0"):
        assert (await promote(house, version, "staging"))[0] == 200
    drill = {"environment": "staging", "reason": "drill"}
    fine(await room.person("platform").post(f"{FRAUD}/rollback", json=drill))
    assert (await promote(house, "1.1.0"))[0] == 200
    back = {"environment": "production", "reason": "on fire"}
    gone = fine(await room.person("security").post(f"{FRAUD}/rollback", json=back))
    assert (gone["version"], gone["superseded"][0]["version"]) == ("1.0.0", "1.1.0")
    champion = fine(await room.asker.get(f"{FRAUD}/aliases/champion"))
    assert champion["version"] == "1.0.0"
    assert await failing(house, "1.0.0") == set()
    await house.check()


async def test_approval_ends_by_itself(room: Council) -> None:
    house = room.house
    await believe(house)
    await evidenced(house, asset=LIMITED)
    request = await room.ask(f"{FRAUD}/versions/1.0.0")
    done = await room.approve(request["id"], "product", "platform")
    assert await failing(house, "1.0.0") == set()
    # Who signed and does not hold the role any more does not count any more.
    me = fine(await room.person("product").get("/api/v1/whoami"))["id"]
    role = {"role": "approver_product", "namespace": "default"}
    fine(await room.admin.post(f"/api/v1/principals/{me}/roles/revoke", json=role))
    assert await failing(house, "1.0.0") == {"APPR-001"}
    fine(await room.admin.post(f"/api/v1/principals/{me}/roles", json=role))
    assert await failing(house, "1.0.0") == set()
    # What reviewers saw is not so any more.
    tier = {"risk_tier": "minimal", "reason": "looked again"}
    fine(await room.admin.patch(FRAUD, json=tier))
    assert "APPR-001" in await failing(house, "1.0.0")
    fine(await room.admin.patch(FRAUD, json={"risk_tier": "limited", "reason": "no"}))
    assert await failing(house, "1.0.0") == set()
    room.clock.advance(2 * DAY)
    assert await failing(house, "1.0.0") == {"SEC-003"}
    # That nobody looked today bars the way to production, and does not end what was approved…
    assert await lifecycle(house, "1.0.0") == ("approved", set(), {"production": True})
    critical = [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]
    flaw = made("PYSEC-2", "numpy", fixed="3.0", severity=critical)
    await imported(house, [flaw], dated_at=room.clock.now().isoformat())
    # … but a critical vulnerability that is known today does.
    assert await lifecycle(house, "1.0.0") == ("candidate", set(), {"production": False})
    shown = fine(await room.asker.get(f"/api/v1/decisions/{done['decision']['id']}"))
    assert (shown["holds"], [one["code"] for one in shown["reasons"]]) == (False, ["SEC-003"])
    end = {"reason": "nobody needs it", "sunset": "2027-01-31"}
    fine(await room.admin.post(f"{FRAUD}/versions/1.0.0/deprecate", json=end))
    assert (await lifecycle(house, "1.0.0"))[0] == "deprecated"
