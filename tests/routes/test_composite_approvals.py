"""Composites asked for, approved and decided through the application, on real PostgreSQL."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator
from typing import Any, LiteralString

import asyncpg
import pytest

from muniment.core.approvals import read_statement
from muniment.core.decisions import check_decision, log_key_of
from muniment.core.receipt import Receipt, TrustedKeys
from muniment.server import policy
from muniment.server.approvals.jobs import warn_all
from muniment.server.http.records import Grant, Role, Scope
from muniment.server.policy.records import Bundle
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.approving import ASK, Council, me, open_council
from tests.support.artifacts import Sender, fine, open_house, sha256
from tests.support.evidence import added
from tests.support.evidenced import ASSET, METADATA, believe, evaluation, evidenced
from tests.support.keys import MemoryKeys
from tests.support.policies import begin

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


def body(*pins: str, **more: Any) -> dict[str, Any]:
    alone = [] if len(pins) > 1 else [REST[0] | {"kind": "prompt"}]
    records = [*({"pin": one} for one in pins), *REST, *alone]
    return {"system": "shop", "components": records, **more}


async def pinned(room: Council, *pins: str) -> str:
    """Register a composite of these versions; return its identifier."""
    return str(fine(await room.house.sender().client.post(URL, json=body(*pins)))["cvi"])


async def prompt(room: Council, version: str = "1.0.0", tier: str = "limited") -> None:
    sender = room.house.sender()
    made = {"kind": "prompt", "owner": "ada", "risk_tier": tier}
    metadata = {"prompt": {"template": f"say {version}"}}
    tree = {"prompt.txt": version.encode()}
    await sender.registered(tree, version, name="words", create_asset=made, metadata=metadata)


async def both(room: Council) -> str:
    await room.version("thing")
    await prompt(room)
    return await pinned(room, "thing@1.0.0", "words@1.0.0")


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


# --- one whole story under the starter's rules ----------------------------------------------------


def sooner() -> Bundle:
    """The starter, in which evaluations hold for 30 days and approvals for 60: less than tokens of tests."""
    files = policy.read_files(policy.STARTER)
    data = json.loads(files["data.json"])
    data["profiles"]["limited"] |= {"approval_days": 60, "evidence_days": 30}
    return policy.read_bundle({**files, "data.json": json.dumps(data).encode()})


@pytest.fixture
async def starting(
    db: PostgresDatabase, blobs: FakeBlobs, keys: MemoryKeys, clock: FixedClock
) -> AsyncIterator[Council]:
    await begin(db, clock, sooner())
    async with open_house(
        db, blobs, keys, clock, evidence_keys=(keys.record.public_key_der,)
    ) as house:
        yield Council(house, clock)


WORDS = {"kind": "prompt", "owner": "ada", "backup_owner": "bob", "escalation_contact": "on-call",
         "risk_tier": "limited"}  # fmt: skip
THREE = ("product", "platform", "security")


async def add(room: Council, cvi: str, name: str, data: bytes) -> Any:
    """Add a file as evidence of a composite."""
    sender = room.house.sender()
    upload_id = await sender.send(data)
    files = [{"name": name, "sha256": sha256(data)}]
    body = {"upload_id": upload_id, "files": files}
    return fine(await sender.client.post(f"{URL}/{cvi}/evidence", json=body))["items"][0]


async def evaluated(room: Council, cvi: str) -> None:
    """Evaluate a composite and have its gates judge that, by the plan of its lead."""
    room.clock.advance(dt.timedelta(minutes=1))
    await add(room, cvi, "evaluation.json", evaluation(room.clock.now()))
    room.clock.advance(dt.timedelta(minutes=2))
    done = fine(await room.house.sender().client.post(f"{URL}/{cvi}/gates", json={}))["items"]
    assert [one["parsed"]["details"]["result"] for one in done] == ["passed"] * 4


def failing(verdict: Any) -> set[str]:
    return {one["id"] for one in verdict["results"] if one["outcome"] == "failed"}


async def test_a_composite_is_evaluated_approved_by_three_and_another_prompt_is_not(
    starting: Council, keys: MemoryKeys
) -> None:
    room, clock = starting, starting.clock
    await believe(room.house)
    await evidenced(room.house, "fraud", asset={**ASSET, "risk_tier": "limited"})
    said = {**METADATA, "prompt": {"template": "say {{what}}", "variables": ["what"]}}
    await evidenced(
        room.house, "words", tree={"p.json": b"{}"}, metadata=said, asset=WORDS,
        without=frozenset({"evaluation", "gates"}),
    )  # fmt: skip
    cvi = await pinned(room, "fraud@1.0.0", "words@1.0.0")
    more = {"change_class": "substantial", "reason": "go"}
    request = (await ask(room, cvi, **more))["id"]
    shown = await room.show(request)
    assert failing(shown["verdict"]) == {"EVAL-001", "EVAL-002", "EVAL-003", "EVAL-004", "APPR-001"}
    covering = f"{URL}/{cvi}/coverage"
    assert not fine(await room.asker.get(covering))["complete"]
    await evaluated(room, cvi)
    assert fine(await room.asker.get(covering))["complete"]
    assert (await room.show(request))["void"], "it has evidence that nobody was shown"
    request = (await ask(room, cvi, **more))["id"]
    shown = await room.show(request)
    assert failing(shown["verdict"]) == {"APPR-001"}, shown["verdict"]
    done = await room.approve(request, *THREE)
    assert done["decision"]["outcome"] == "approved", done
    assert (await where(room, cvi))["approved"]
    # Every rule of the starter allows a pipeline that both assets trust to promote it.
    gone = await room.house.registry.workload(Role.PUBLISHER).post(
        f"{URL}/{cvi}/promote", json={"environment": "production"}
    )
    assert [one["ref"] for one in fine(gone)["members"]] == ["fraud@1.0.0", "words@1.0.0"]
    said["prompt"] = {"template": "shout {{what}}", "variables": ["what"]}
    await evidenced(
        room.house, "words", "2.0.0", tree={"p.json": b"[]"}, metadata=said, asset=WORDS,
        without=frozenset({"evaluation", "gates"}),
    )  # fmt: skip
    second = await pinned(room, "fraud@1.0.0", "words@2.0.0")
    assert second != cvi
    there = await where(room, second)
    assert (there["approved"], there["reasons"][0]["code"]) == (False, "not_decided")
    asked = (await ask(room, second, **more))["id"]
    assert {"EVAL-003", "APPR-001"} <= failing((await room.show(asked))["verdict"])
    waiting = await room.approve(asked, *THREE)
    assert (waiting["decision"], waiting["missing"]) == (None, [])
    assert "EVAL-003" in failing(waiting["verdict"])
    assert (await where(room, cvi))["approved"], "the first is still approved"
    await room.house.check()
    clock.advance(31 * DAY)
    stale = await where(room, cvi)
    assert (stale["approved"], {one["code"] for one in stale["reasons"]}) == (False, {"EVAL-004"})
    clock.advance(30 * DAY)
    ended = await where(room, cvi)
    assert (ended["approved"], ended["reasons"][0]["code"]) == (False, "expired")
    shown = fine(await room.asker.get(f"/api/v1/decisions/{done['decision']['id']}"))
    assert (shown["holds"], shown["composite"]) == (False, cvi)


# --- who may, and what voids ---------------------------------------------------------------------


def refused(answer: Any, bar: str) -> Any:
    assert (answer.status_code, answer.json().get("bar")) == (403, bar), answer.text
    return answer.json()


async def test_nobody_signs_who_made_a_member_or_the_composite_or_holds_the_role_for_a_part(
    room: Council,
) -> None:
    await room.version("thing")
    await prompt(room)
    registry = room.house.registry
    joiner = registry.with_grants(
        Grant(Role.PUBLISHER, Scope("default")), Grant(Role.APPROVER_PLATFORM, Scope("default")),
        Grant(Role.APPROVER_PRODUCT, Scope("default")),
    )  # fmt: skip
    maker = room.house.sender()
    tree = {"p.txt": b"2"}
    mine = Sender(joiner)
    metadata = {"prompt": {"template": "say 2"}}
    await mine.registered(tree, "2.0.0", name="words", metadata=metadata)
    cvi = await pinned(room, "thing@1.0.0", "words@2.0.0")
    request = (await ask(room, cvi))["id"]
    refused(await room.say(joiner, request, "platform"), "author")
    grant = {"role": "approver_platform", "namespace": "default"}
    registrar = await me(maker.client)
    fine(await room.admin.post(f"/api/v1/principals/{registrar}/roles", json=grant))
    refused(await room.say(maker.client, request, "platform"), "author")
    other = fine(await joiner.post(URL, json=body("thing@1.0.0", "words@1.0.0")))["cvi"]
    theirs = (await ask(room, other))["id"]
    assert refused(await room.say(joiner, theirs, "platform"), "author"), "who joined it"
    part = registry.with_grants(
        Grant(Role.VIEWER, Scope("default")),
        Grant(Role.APPROVER_PLATFORM, Scope("default", "thing")),
    )
    assert "every member" in refused(await room.say(part, request, "platform"), "no_role")["detail"]
    asking = registry.with_grants(
        Grant(Role.CONTRIBUTOR, Scope("default")), Grant(Role.APPROVER_PRODUCT, Scope("default"))
    )
    own = fine(
        await asking.post(f"{URL}/{cvi}/approval-requests", json={**ASK, "environment": "staging"})
    )
    refused(await room.say(asking, own["id"], "product"), "requester")
    whole = registry.with_grants(
        Grant(Role.VIEWER, Scope("default")),
        *(Grant(Role.APPROVER_PLATFORM, Scope("default", name)) for name in ("thing", "words")),
    )
    assert fine(await room.say(whole, request, "platform"))["missing"] == [
        {"role": "product", "have": 0, "need": 1}
    ]
    assert len(await room.acts("approval.refuse")) == 5
    await room.house.check()


@pytest.mark.parametrize("change", ["tier", "member", "own"])
async def test_any_change_of_a_member_or_of_its_evidence_voids_a_request(
    room: Council, change: str
) -> None:
    cvi = await both(room)
    request = (await ask(room, cvi))["id"]
    await room.approve(request, "product")
    if change == "tier":
        fine(await room.admin.patch("/api/v1/assets/default/words", json={"risk_tier": "high"}))
    elif change == "member":
        await added(room.house.sender(), {"n.json": b"{}"}, name="words", kinds={"n.json": "other"})
    else:
        await add(room, cvi, "evaluation.json", evaluation(room.clock.now()))
    shown = await room.show(request)
    assert (shown["state"], shown["void"]) == ("void", True)
    what = {"tier": "risk_tier of words@1.0.0", "member": "evidence", "own": "evidence"}[change]
    assert [one["what"] for one in shown["changed"]] == [what]
    late = await room.say(room.person("platform"), request, "platform")
    assert (late.status_code, f"muniment request {cvi}" in late.json()["detail"]) == (409, True)
    anew = await ask(room, cvi)
    assert anew["id"] != request
    again = await room.asker.post(f"{URL}/{cvi}/approval-requests", json=ASK)
    assert (again.status_code, again.json()["id"]) == (200, anew["id"])
    other = {**ASK, "change_class": "routine"}
    conflict = await room.asker.post(f"{URL}/{cvi}/approval-requests", json=other)
    assert (conflict.status_code, conflict.json()["approval_request_id"]) == (409, anew["id"])
    assert (await room.show(request))["state"] == "void"
    await room.house.check()


async def test_a_composite_and_its_versions_are_asked_for_and_approved_apart(room: Council) -> None:
    cvi = await both(room)
    at = "/api/v1/assets/default/thing/versions/1.0.0"
    alone, together = await room.ask(at), await ask(room, cvi)
    assert alone["id"] != together["id"]
    done = await room.approve(together["id"], "product", "platform")
    assert done["decision"]["outcome"] == "approved"

    async def listed(what: str, **query: str) -> list[str]:
        return [one["id"] for one in fine(await room.asker.get(what, params=query))["items"]]

    decisions = "/api/v1/decisions"
    assert await listed(decisions, composite=cvi) == [done["decision"]["id"]]
    assert await listed(decisions, version="thing@1.0.0") == []
    assert await listed(REQUESTS, version="thing@1.0.0", state="open") == [alone["id"]]
    assert await listed(REQUESTS, composite=cvi) == [together["id"]]
    assert len(await listed(REQUESTS)) == 2
    shown = await room.show(alone["id"])
    assert (shown["state"], shown["decision"]) == ("open", None)
    await room.approve(alone["id"], "product", "platform")
    rejected = (await ask(room, cvi, reason="again"))["id"]
    fine(await room.say(room.person("security"), rejected, "security", "reject"))
    assert (await where(room, cvi))["reasons"][0]["code"] == "rejected"
    [of_version] = await listed(decisions, version="thing@1.0.0")
    assert fine(await room.asker.get(f"{decisions}/{of_version}"))["holds"] is True
    await room.house.check()


async def test_a_changed_tier_of_a_member_or_a_lost_role_for_it_ends_the_approval(
    room: Council,
) -> None:
    cvi = await both(room)
    request = (await ask(room, cvi, change_class="routine"))["id"]
    person = room.house.registry.with_grants(
        Grant(Role.VIEWER, Scope("default")),
        *(Grant(Role.APPROVER_TECHNICAL, Scope("default", name)) for name in ("thing", "words")),
    )
    fine(await room.say(person, request, "technical"))
    assert (await where(room, cvi))["approved"]
    words = "/api/v1/assets/default/words"
    fine(await room.admin.patch(words, json={"risk_tier": "high"}))
    assert (await where(room, cvi))["reasons"][0]["message"] == (
        "`risk_tier of words@1.0.0` was limited and is high"
    )
    fine(await room.admin.patch(words, json={"risk_tier": "limited"}))
    assert (await where(room, cvi))["approved"]
    at = f"/api/v1/principals/{await me(person)}/roles"
    taken = {"role": "approver_technical", "namespace": "default", "asset": "words"}
    fine(await room.admin.post(f"{at}/revoke", json=taken))
    assert "no_approver" in [one["code"] for one in (await where(room, cvi))["reasons"]]
    await room.house.check()


async def test_own_keys_are_wanted_if_they_are_for_any_member_and_it_verifies_without_us(
    db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> None:
    files = policy.read_files(policy.STARTER)
    data = json.loads(files["data.json"])
    data["quorum"]["high"]["significant"] = {"product": 1, "platform": 1}
    rules = {name: files[name] for name in ("rules/APPR-001.rego", "lib/facts.rego")}
    bundle = policy.read_bundle({**rules, "data.json": json.dumps(data).encode()})
    async with open_council(db, blobs, keys, clock, bundle) as room:
        await room.version("thing")
        await prompt(room, tier="high")
        cvi = await pinned(room, "thing@1.0.0", "words@1.0.0")
        request = (await ask(room, cvi))["id"]
        shown = await room.show(request)
        assert shown["own_key"] is True
        refused(await room.say(room.person("product"), request, "product"), "own_key_needed")
        answer = None
        for number, role in enumerate(("product", "platform"), 1):
            person = room.person(role)
            key = await room.key(person, number)
            other = {**shown["frozen"], "members": shown["frozen"]["members"][:1]}
            forged = await room.signed(person, request, role, key, frozen=other)
            assert (await room.send(person, request, forged)).status_code == 422
            bundle_ = await room.signed(person, request, role, key)
            subjects = [one["name"] for one in read_statement(bundle_)["subject"]]
            assert subjects == [f"{cvi} for production", cvi, "thing@1.0.0", "words@1.0.0"]
            answer = fine(await room.send(person, request, bundle_))
        assert answer is not None
        decision = answer["decision"]["id"]
        await room.house.settle()
        receipt = fine(await room.asker.get(f"/api/v1/decisions/{decision}/receipt"))
        told = fine(await room.admin.get("/api/v1/log/keys"))
        trusted = TrustedKeys(told["vkey"], keys.record.public_key_der)
        exported = Receipt.parse(receipt).sigstore_bundle(trusted)
        log = log_key_of(told["trusted_root"])
        checked = check_decision(exported, keys.record.public_key_der, log, clock.now())
        assert [one.holds for one in checked.steps] == [True] * 6, checked.steps
        assert (checked.approves, cvi in checked.steps[3].detail) == (True, True)
        assert checked.payload["decision"]["composite"] == cvi
        await room.house.check()


async def test_exceptions_count_where_every_member_has_one(room: Council) -> None:
    await room.version("flawed")
    await prompt(room)
    cvi = fine(
        await room.house.sender().client.post(
            URL, json=body("flawed@1.0.0", "words@1.0.0", system="flawed")
        )
    )["cvi"]
    request = (await ask(room, cvi))["id"]
    stuck = await room.approve(request, "product", "platform")
    assert failing(stuck["verdict"]) == {"WAIV-001"}
    waiver = {
        "environment": "production", "role": "security", "rule": "WAIV-001", "reason": "no fix yet",
        "until": str((room.clock.now() + 7 * DAY).date()), "control": "not reachable",
    }  # fmt: skip
    security = room.person("security")
    for name in ("flawed", "words"):
        assert failing((await room.show(request))["verdict"]) == {"WAIV-001"}
        at = f"/api/v1/assets/default/{name}/versions/1.0.0/exceptions"
        granted = fine(await security.post(at, json=waiver))
    done = await room.say(room.person("platform"), request, "platform")
    assert (done.status_code, done.json()["decision"]["outcome"]) == (200, "approved")
    shown = fine(await room.asker.get(f"/api/v1/decisions/{done.json()['decision']['id']}"))
    assert (shown["holds"], len(shown["record"]["exceptions"])) == (True, 2)
    one = f"/api/v1/exceptions/{granted['exception']['id']}/revoke"
    fine(await security.post(one, json={"reason": "fixed"}))
    assert [each["code"] for each in (await where(room, cvi))["reasons"]] == ["WAIV-001"]
    await room.house.check()


async def test_the_end_of_a_composites_approval_is_told(room: Council) -> None:
    cvi = await both(room)
    request = await ask(room, cvi)
    done = await room.approve(request["id"], "product", "platform")
    room.clock.advance(31 * DAY)
    soon = fine(await room.asker.get("/api/v1/approvals/expiring"))["items"]
    assert [(one["id"], one["composite"]) for one in soon] == [(done["decision"]["id"], cvi)]
    await warn_all(room.house.registry.deps)
    room.house.watch.start()
    await warn_all(room.house.registry.deps)
    assert room.house.watch.writes == [], "what was told is read first, and nothing is written"
    assert await room.acts("approval.expiring") == ["approval.expiring"]
    anew = await ask(room, cvi, reason="again")
    await room.approve(anew["id"], "product", "platform")
    assert fine(await room.asker.get("/api/v1/approvals/expiring"))["items"] == []
    await room.house.check()


# --- who sees and asks ---------------------------------------------------------------------------


async def test_who_may_not_see_a_part_sees_nothing_of_it(room: Council) -> None:
    cvi = await both(room)
    request = await ask(room, cvi)
    done = await room.approve(request["id"], "product", "platform")
    decision = f"/api/v1/decisions/{done['decision']['id']}"
    verdicts = "/api/v1/policy/verdicts"
    judged = fine(await room.admin.get(verdicts, params={"composite": cvi}))["items"]
    assert [one["subject"] for one in judged] == [cvi, cvi]
    alone = {"name": "thing", "version": "1.0.0"}
    assert fine(await room.admin.get(verdicts, params=alone))["items"] == []
    verdict = f"{verdicts}/{judged[0]['id']}"
    assert fine(await room.admin.post(f"{verdict}/replay"))["same"] is True
    registry = room.house.registry
    part = registry.with_grants(Grant(Role.CONTRIBUTOR, Scope("default", "thing")))
    elsewhere = registry.with_grants(Grant(Role.CONTRIBUTOR, Scope("elsewhere")))
    for client in (part, elsewhere):
        for at in (f"{REQUESTS}/{request['id']}", decision, f"{URL}/{cvi}/approvals", verdict):
            assert (await client.get(at)).status_code == 404, at
        asked = await client.post(f"{URL}/{cvi}/approval-requests", json=ASK)
        assert asked.status_code == 404
        for what in (REQUESTS, "/api/v1/decisions", "/api/v1/approvals/expiring", verdicts):
            query = {"days": 90} if what.endswith("expiring") else {}
            assert fine(await client.get(what, params=query))["items"] == []
    viewer = registry.as_(Role.VIEWER, Scope("default"))
    assert (await viewer.post(f"{URL}/{cvi}/approval-requests", json=ASK)).status_code == 403
    assert (await viewer.post(f"{URL}/{cvi}/gates", json={})).status_code == 403
    assert fine(await viewer.get(decision))["composite"] == cvi
    assert fine(await viewer.get(verdict))["document"]["subject"]["ref"] == cvi
    assert len(fine(await viewer.get(verdicts))["items"]) == 2
    assert len(fine(await viewer.get(REQUESTS))["items"]) == 1
    assert (await room.asker.get(f"{URL}/cvi1-{'a' * 52}/approvals")).status_code == 404


async def test_what_pins_nothing_or_what_is_held_back_cannot_be_asked_for(room: Council) -> None:
    await room.version("thing")
    bare = {**REST[0], "kind": "model"}
    nothing = fine(
        await room.house.sender().client.post(
            URL, json={"system": "shop", "components": [bare, {**bare, "kind": "prompt"}, *REST]}
        )
    )["cvi"]
    answer = await room.asker.post(f"{URL}/{nothing}/approval-requests", json=ASK)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_composite")
    assert "pins no version" in answer.json()["detail"]
    assert fine(await room.asker.get(f"{URL}/{nothing}/approvals"))["items"] == []
    cvi = await pinned(room, "thing@1.0.0")
    elsewhere = await room.asker.post(
        f"{URL}/{cvi}/approval-requests", json={**ASK, "environment": "moon"}
    )
    assert elsewhere.status_code == 422
    at = "/api/v1/assets/default/thing/versions/1.0.0/quarantine"
    fine(await room.admin.post(at, json={"reason": "odd"}))
    held = await room.asker.post(f"{URL}/{cvi}/approval-requests", json=ASK)
    assert (held.status_code, held.json()["code"]) == (409, "not_served")


async def test_it_is_taken_back_remarked_on_and_decided_once(room: Council) -> None:
    cvi = await both(room)
    request = (await ask(room, cvi))["id"]
    fine(await room.asker.post(f"{REQUESTS}/{request}/withdraw", json={"reason": "not yet"}))
    request = (await ask(room, cvi))["id"]
    at = f"{REQUESTS}/{request}/comments"
    comment = fine(await room.person("product").post(at, json={"text": "why?"}))["id"]
    day = str((room.clock.now() + 5 * DAY).date())
    condition = [{"text": "watch", "due": day}]
    product, platform = room.person("product"), room.person("platform")
    word = fine(await room.say(product, request, "product", conditions=condition))
    await room.approve(request, "platform")
    done = fine(await platform.post(f"{at}/{comment}/resolve", json={"resolution": "so"}))
    assert done["decision"]["composite"] == cvi
    room.clock.advance(6 * DAY)
    assert (await where(room, cvi))["reasons"][0]["code"] == "overdue_condition"
    meet = f"{REQUESTS}/{request}/conditions/{word['approval']['conditions'][0]['id']}/meet"
    assert (await room.asker.post(meet, json={"note": "x"})).status_code == 403
    fine(await platform.post(meet, json={"note": "done"}))
    assert (await where(room, cvi))["approved"]
    await room.house.check()


async def test_members_follow_a_name_and_a_version_may_be_there_twice(room: Council) -> None:
    await room.version("thing")
    await room.version("thing", "2.0.0")
    fine(
        await room.admin.post(
            "/api/v1/assets/default/thing/rename", json={"name": "item", "reason": "clearer"}
        )
    )
    records = [
        {"pin": "item@2.0.0"}, {"pin": "item@1.0.0", "name": "arm"},
        {**REST[0], "kind": "prompt"}, *REST,
    ]  # fmt: skip
    client = room.house.sender().client
    cvi = fine(await client.post(URL, json={"system": "shop", "components": records}))["cvi"]
    fine(
        await room.admin.post(
            "/api/v1/assets/default/item/rename", json={"name": "piece", "reason": "clearer still"}
        )
    )
    found = fine(await room.asker.get(f"{URL}/{cvi}/approvals"))
    assert sorted(found["members"]) == ["piece@1.0.0", "piece@2.0.0"]
    request = await ask(room, cvi)
    assert request["version"] == found["members"][0]
    done = await room.approve(request["id"], "product", "platform")
    fine(
        await room.admin.post(
            "/api/v1/assets/default/piece/rename", json={"name": "part", "reason": "again"}
        )
    )
    assert (await where(room, cvi))["approved"], "what a member is called is judged anew"
    assert done["decision"]["composite"] == cvi
    await room.house.check()


async def test_many_ask_at_once_for_what_shares_members_and_nobody_waits_for_ever(
    room: Council,
) -> None:
    cvi = await both(room)
    await room.version("another")
    other = await pinned(room, "words@1.0.0", "another@1.0.0", "thing@1.0.0")
    await me(room.asker)
    answers = await asyncio.gather(
        *(
            room.asker.post(f"{URL}/{each}/approval-requests", json=ASK)
            for _ in range(4)
            for each in (cvi, other)
        )
    )
    assert sorted(one.status_code for one in answers) == [200] * 6 + [201] * 2
    assert len({one.json()["id"] for one in answers}) == 2
    await room.house.check()


async def test_whatever_fails_asking_and_deciding_are_whole_or_not_at_all(room: Council) -> None:
    watch = room.house.watch
    cvi = await both(room)
    product, platform = room.person("product"), room.person("platform")
    for client in (room.asker, product, platform):
        await me(client)
    at = f"{URL}/{cvi}/approval-requests"
    fine(
        await room.asker.post(at, json={**ASK, "environment": "development"})
    )  # warms what is kept
    watch.start()
    fine(await room.asker.post(at, json={**ASK, "environment": "staging"}))
    count = len(watch.writes)
    assert watch.writes[-1] == "COMMIT"
    for strike in [*range(1, count, 3), count]:
        watch.start(strike)
        assert (await room.asker.post(at, json=ASK)).status_code == 503
        query = {"composite": cvi, "environment": "production"}
        assert fine(await room.asker.get(REQUESTS, params=query))["items"] == []
    watch.start(count, persisted=True)
    assert (await room.asker.post(at, json=ASK)).status_code == 503, "and yet it is there"
    watch.start()
    asked = await room.asker.post(at, json=ASK)
    assert asked.status_code == 200
    request = asked.json()["id"]
    fine(await room.say(product, request, "product"))
    for strike in range(1, 100, 7):
        watch.start(strike)
        answer = await room.say(platform, request, "platform")
        if answer.status_code != 503:
            break
        assert await room.acts("decision.") == []
    assert answer.json()["decision"]["outcome"] == "approved"
    watch.start()
    assert await room.acts("decision.") == ["decision.approve"]
    await room.house.check()


async def test_nothing_of_it_can_be_changed(room: Council, owner_db: PostgresDatabase) -> None:
    cvi = await both(room)
    request = await ask(room, cvi)
    await room.approve(request["id"], "product", "platform")
    await ask(room, cvi, reason="again")
    changes: tuple[LiteralString, ...] = (
        "UPDATE approval_request SET composite = NULL, member_assets = NULL",
        "UPDATE approval_request SET member_assets = '{}' WHERE ended_at IS NULL",
        "UPDATE decision SET composite = NULL",
    )
    for change in changes:
        with pytest.raises(asyncpg.RestrictViolationError, match="never change"):
            async with owner_db.transaction() as tx:
                await tx.execute(change)
