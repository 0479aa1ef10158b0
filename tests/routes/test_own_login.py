"""Who came in by an issuer, and who with a token that somebody made for them: what a policy may demand."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from muniment.server import policy
from muniment.server.http.records import Role
from muniment.server.policy import jobs as policy_jobs
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from muniment.server.ports.queue_inline import InlineWorker
from tests.support.app import Client
from tests.support.approving import Council, council, me, quorum_alone
from tests.support.artifacts import fine, open_house
from tests.support.issuer import CLIENT_ID, Issuer, running_issuer
from tests.support.own_keys import key_body
from tests.support.policies import begin
from tests.support.signing import p256

GROUPS = [
    {"group": role, "role": f"approver_{role}", "namespace": "default"}
    for role in ("product", "platform", "security")
] + [{"group": "govern", "role": "approver_governance"}]
KEYS = "/api/v1/signing-keys"


@pytest.fixture(scope="module")
def people() -> Iterator[Issuer]:
    with running_issuer() as running:
        yield running


@pytest.fixture
async def room(
    db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock, people: Issuer
) -> AsyncIterator[Council]:
    """The policy takes only who came in by an issuer."""
    people.now = lambda: clock.now().timestamp()
    first = council(0, own_key=False, own_login=True)
    async with open_house(
        db, blobs, keys, clock, first=first, outbound_private=(people.host,)
    ) as house:
        admin = house.registry.as_(Role.ADMIN)
        issuer = {"name": "corp", "url": people.url, "client_id": CLIENT_ID, "roles": GROUPS}
        fine(await admin.post("/api/v1/login-issuers", json=issuer))
        yield Council(house, clock)


async def logged_in(room: Council, people: Issuer, role: str) -> Client:
    said = people.person(sub=role, name=role.title(), groups=[role])
    made = fine(await room.house.registry.anonymous.post("/api/v1/login", json={"id_token": said}))
    return room.house.registry.with_token(made["token"])


async def handed(room: Council, principal_id: str) -> Client:
    """With a token that an administrator made for somebody."""
    body = {"label": "for you", "principal_id": principal_id}
    made = fine(await room.admin.post("/api/v1/tokens", json=body))
    return room.house.registry.with_token(made["token"])


def needed(answer: Any) -> str:
    assert (answer.status_code, answer.json()["bar"]) == (403, "own_login_needed"), answer.text
    return str(answer.json()["detail"])


async def test_nobody_signs_with_a_token_that_somebody_else_made(
    room: Council, people: Issuer
) -> None:
    admin_id = await me(room.admin)
    request = (await room.ask(await room.version()))["id"]
    product = await logged_in(room, people, "product")
    whose = await me(product)
    # An administrator makes a token for them, and with it a key: neither is them.
    as_them = await handed(room, whose)
    assert "you came in with a token" in needed(await room.say(as_them, request, "product"))
    planted = p256(1)
    known = fine(await as_them.post(KEYS, json=key_body(planted, whose, "planted")))
    assert known["came_in"] == {"by": "token", "made_by": admin_id}
    forged = await room.signed(as_them, request, "product", planted)
    assert "your key was made known with a token" in needed(
        await room.send(as_them, request, forged)
    )
    # Nor is a token made with that, nor the key where they send it themselves.
    again = fine(await as_them.post("/api/v1/tokens", json={"label": "more"}))
    assert again["came_in"] == {"by": "token", "made_by": admin_id}
    needed(await room.say(room.house.registry.with_token(again["token"]), request, "product"))
    needed(
        await room.send(product, request, await room.signed(product, request, "product", planted))
    )
    # Who logged in signs: for the session, with a token of their own, with a key made known so.
    said = fine(await room.say(product, request, "product"))
    assert said["approval"]["came_in"] == {"by": "issuer", "made_by": None}
    platform = await logged_in(room, people, "platform")
    own = fine(await platform.post("/api/v1/tokens", json={"label": "mine"}))
    assert own["came_in"] == {"by": "issuer", "made_by": None}
    mine = room.house.registry.with_token(own["token"])
    fine(await mine.post(KEYS, json=key_body(p256(2), await me(platform))))
    done = fine(
        await room.send(
            platform, request, await room.signed(platform, request, "platform", p256(2))
        )
    )
    assert done["decision"]["outcome"] == "approved"
    listed = fine(await room.asker.get(KEYS))["items"]
    assert {one["name"]: one["came_in"]["by"] for one in listed} == {
        "planted": "token", "default": "issuer",
    }  # fmt: skip
    assert (await room.show(request))["own_login"] is True
    await room.house.check()


async def test_nobody_waives_a_rule_so_either(
    room: Council, people: Issuer, clock: FixedClock
) -> None:
    at = await room.version()
    security = await logged_in(room, people, "security")
    as_them = await handed(room, await me(security))
    body = {
        "environment": "production", "role": "security", "rule": "WAIV-001", "reason": "late",
        "control": "none", "until": str(clock.now().date()),
    }  # fmt: skip
    needed(await as_them.post(f"{at}/exceptions", json=body))
    given = fine(await security.post(f"{at}/exceptions", json=body))
    assert given["exception"]["came_in"]["by"] == "issuer"
    await room.house.check()


async def test_where_the_policy_does_not_ask_it_is_shown(
    db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> None:
    async with open_house(db, blobs, keys, clock, first=council(0, own_key=False)) as house:
        room = Council(house, clock)
        request = (await room.ask(await room.version()))["id"]
        product = await handed(room, await me(room.person("product")))
        fine(await room.say(product, request, "product"))
        fine(await room.say(room.person("platform"), request, "platform"))
        shown = await room.show(request)
        assert [(one["role"], one["came_in"]) for one in shown["approvals"]] == [
            ("product", {"by": "token", "made_by": await me(room.admin)}),
            ("platform", {"by": "token", "made_by": None}),
        ]
        assert (shown["own_login"], shown["state"]) == (False, "approved")
        await house.check()


async def test_nobody_takes_the_demand_away_so(
    room: Council, people: Issuer, clock: FixedClock
) -> None:
    """An administrator with a token made for somebody else is not two people."""
    at = "/api/v1/policy"
    lax = quorum_alone(own_key=False)
    fine(await room.admin.post(f"{at}/bundles", content=policy.pack(lax)))
    fine(await room.admin.post(f"{at}/simulations", json={"digest": lax.digest}))
    deps = room.house.registry.deps
    await InlineWorker(deps.db, policy_jobs.HANDLERS, context=deps).run_due()
    asked = {"digest": lax.digest, "reason": "simpler"}
    refused = await room.admin.post(f"{at}/activations", json=asked)
    assert (refused.status_code, "came in with a token" in refused.text) == (403, True)
    said = people.person(sub="ida", name="Ida", groups=["govern"])
    ida = await room.house.registry.anonymous.post("/api/v1/login", json={"id_token": said})
    one = fine(
        await room.house.registry.with_token(fine(ida)["token"]).post(
            f"{at}/activations", json=asked
        )
    )
    said = people.person(sub="gail", name="Gail", groups=["govern"])
    gail = fine(await room.house.registry.anonymous.post("/api/v1/login", json={"id_token": said}))
    as_gail = await handed(room, gail["principal"]["id"])
    yes = {"reason": "yes", "weakens": one["simulation"]["to_acknowledge"]}
    url = f"{at}/activations/{one['id']}/approve"
    forged = await as_gail.post(url, json=yes)
    assert (forged.status_code, forged.json()["code"]) == (403, "refused")
    clock.advance(dt.timedelta(seconds=1))
    done = fine(await room.house.registry.with_token(gail["token"]).post(url, json=yes))
    assert done["state"] == "effective"
    await room.house.check()


async def test_nobody_says_so_that_a_condition_was_met(room: Council, people: Issuer) -> None:
    request = (await room.ask(await room.version()))["id"]
    product = await logged_in(room, people, "product")
    due = [{"text": "watch it", "due": "2099-01-01"}]
    given = fine(await room.say(product, request, "product", conditions=due))
    [condition] = given["approval"]["conditions"]
    met = f"/api/v1/approval-requests/{request}/conditions/{condition['id']}/meet"
    as_them = await handed(room, await me(product))
    assert (await as_them.post(met, json={"note": "done"})).status_code == 403
    assert fine(await product.post(met, json={"note": "done"}))["met_at"]


async def test_an_exception_that_lapsed_is_granted_again_in_the_same_words(
    db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock, people: Issuer
) -> None:
    people.now = lambda: clock.now().timestamp()
    first = council(0, own_key=False)
    async with open_house(
        db, blobs, keys, clock, first=first, outbound_private=(people.host,)
    ) as house:
        room = Council(house, clock)
        issuer = {"name": "corp", "url": people.url, "client_id": CLIENT_ID, "roles": GROUPS}
        fine(await room.admin.post("/api/v1/login-issuers", json=issuer))
        security = await logged_in(room, people, "security")
        at = await room.version()
        body = {
            "environment": "production", "role": "security", "rule": "WAIV-001", "reason": "late",
            "control": "none", "until": str(clock.now().date()),
        }  # fmt: skip
        handed_out = await handed(room, await me(security))
        ids = [
            fine(await one.post(f"{at}/exceptions", json=body))["exception"]["id"]
            for one in (handed_out, security)
        ]
        assert ids[0] == ids[1]
        # What it rests on is no more: the policy takes only who came in by an issuer now.
        clock.advance(dt.timedelta(seconds=1))
        await begin(db, clock, council(0, own_key=False, own_login=True))
        for _ in range(2):
            given = fine(await security.post(f"{at}/exceptions", json=body))["exception"]
            ids.append(given["id"])
        assert given["came_in"]["by"] == "issuer"
        assert len(set(ids)) == 2
        assert ids[2] == ids[3]
        await house.check()
