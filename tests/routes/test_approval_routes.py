"""Requests, approvals, decisions and exceptions through the application, on real PostgreSQL."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator
from typing import Any, LiteralString

import asyncpg
import pytest

from muniment.core.approvals import Condition, frozen_sha256
from muniment.core.decisions import check_decision, log_key_of
from muniment.core.receipt import Receipt, TrustedKeys
from muniment.server import policy
from muniment.server.approvals.jobs import warn_all
from muniment.server.http.paging import encode_cursor
from muniment.server.http.records import Grant, PrincipalKind, Role, Scope
from muniment.server.policy import jobs as policy_jobs
from muniment.server.policy.records import Bundle
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from muniment.server.ports.queue_inline import InlineWorker
from tests.support.approving import ASK, Council, council, me, open_council, quorum_alone
from tests.support.artifacts import fine
from tests.support.signing import p256

REQUESTS = "/api/v1/approval-requests"
DAY = dt.timedelta(days=1)


@pytest.fixture
async def room(
    db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[Council]:
    async with open_council(db, blobs, keys, clock) as opened:
        yield opened


@pytest.fixture
async def strict(
    db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[Council]:
    """Only people's own keys count."""
    async with open_council(db, blobs, keys, clock, council(own_key=True)) as opened:
        yield opened


def refused(answer: Any, bar: str) -> Any:
    assert (answer.status_code, answer.json()["code"]) == (403, "refused"), answer.text
    assert answer.json()["bar"] == bar
    return answer.json()


# --- requests ------------------------------------------------------------------------------------


async def test_asking_freezes_what_reviewers_see(room: Council) -> None:
    at = await room.version()
    request = await room.ask(at, reason="new data", reference="AI-1187")
    assert request["state"] == "open"
    shown = await room.show(request["id"])
    assert frozen_sha256(shown["frozen"]).hex == request["frozen_sha256"]
    version = fine(await room.asker.get(at))
    assert f"sha256:{shown['frozen']['version']['manifest_sha256']}" == version["manifest_digest"]
    assert shown["frozen"]["risk_tier"] == "limited"
    assert (shown["void"], shown["own_key"], shown["registry"]) == (
        False,
        False,
        "muniment.localhost",
    )
    assert shown["missing"] == [
        {"role": "platform", "have": 0, "need": 1},
        {"role": "product", "have": 0, "need": 1},
    ]
    again = await room.asker.post(
        f"{at}/approval-requests", json={**ASK, "reason": "new data", "reference": "AI-1187"}
    )
    assert (again.status_code, again.json()["id"]) == (200, request["id"])
    other = await room.asker.post(
        f"{at}/approval-requests", json={**ASK, "change_class": "routine"}
    )
    assert (other.status_code, other.json()["approval_request_id"]) == (409, request["id"])
    elsewhere = await room.ask(at, environment="staging")
    assert elsewhere["id"] != request["id"]
    listed = fine(await room.asker.get(REQUESTS, params={"version": "thing@1.0.0", "limit": 1}))
    assert [one["id"] for one in listed["items"]] == [elsewhere["id"]]
    more = fine(await room.asker.get(REQUESTS, params={"cursor": listed["next_cursor"]}))
    assert [one["id"] for one in more["items"]] == [request["id"]]
    params = {"state": "open", "environment": "production"}
    assert len(fine(await room.asker.get(REQUESTS, params=params))["items"]) == 1
    await room.house.check()


async def test_what_cannot_be_asked_for_is_said(room: Council) -> None:
    at = await room.version()
    for body, field in (
        ({"environment": "moon"}, "environment"),
        ({"reference": "two\nlines"}, "reference"),
        ({"reason": "bell \x07"}, "reason"),
    ):
        answer = await room.asker.post(f"{at}/approval-requests", json={**ASK, **body})
        assert (answer.status_code, answer.json()["problems"][0]["field"]) == (422, field)
    fine(await room.admin.post(f"{at}/quarantine", json={"reason": "odd"}))
    held = await room.asker.post(f"{at}/approval-requests", json=ASK)
    assert (held.status_code, held.json()["code"]) == (409, "not_served")


async def test_who_asked_takes_it_back_and_who_governs(room: Council) -> None:
    at = await room.version()
    request = await room.ask(at)
    url = f"{REQUESTS}/{request['id']}/withdraw"
    assert (await room.person("platform").post(url, json={})).status_code == 403
    for _ in range(2):  # repeatable
        done = fine(await room.asker.post(url, json={"reason": "not yet"}))
        assert (done["state"], done["ended_reason"]) == ("withdrawn", "not yet")
    second = await room.ask(at)
    assert second["id"] != request["id"]
    governs = room.person("governance")
    fine(await governs.post(f"{REQUESTS}/{second['id']}/withdraw", json={}))
    late = await room.say(room.person("platform"), second["id"], "platform")
    assert (late.status_code, late.json()["code"]) == (409, "lifecycle_conflict")
    again = await room.asker.post(f"{REQUESTS}/{request['id']}/withdraw", json={})
    assert again.status_code == 200
    await room.house.check()


async def test_any_change_makes_an_open_request_void(room: Council) -> None:
    at = await room.version()
    request = await room.ask(at)
    await room.approve(request["id"], "product")
    asset = at.rpartition("/versions")[0]
    fine(await room.admin.patch(asset, json={"risk_tier": "minimal"}))
    shown = await room.show(request["id"])
    assert (shown["state"], shown["void"]) == ("void", True)
    assert shown["changed"] == [{"what": "risk_tier", "was": "limited", "now": "minimal"}]
    assert {one["role"]: one["have"] for one in shown["missing"]} == {"platform": 0, "product": 0}
    late = await room.say(room.person("platform"), request["id"], "platform")
    assert late.status_code == 409
    assert "`risk_tier` was limited and is minimal" in late.json()["detail"]
    anew = await room.ask(at)
    assert anew["id"] != request["id"]
    ended = await room.show(request["id"])
    assert (ended["state"], ended["void"]) == ("void", False)
    assert "risk_tier" in ended["ended_reason"]
    await room.house.check()


async def test_evidence_that_somebody_adds_makes_it_void_too(room: Council) -> None:
    from tests.support.evidence import added  # noqa: PLC0415 -- here only

    at = await room.version()
    request = await room.ask(at)
    sender = room.house.sender()
    await added(sender, {"note.json": b"{}"}, kinds={"note.json": "other"})
    shown = await room.show(request["id"])
    assert [one["what"] for one in shown["changed"]] == ["evidence"]
    late = await room.say(room.person("platform"), request["id"], "platform")
    assert "evidence was added (other)" in late.json()["detail"]


# --- approvals -----------------------------------------------------------------------------------


async def test_a_quorum_of_people_is_a_decision(room: Council, keys: Keys) -> None:
    request, decision = await room.approved()
    assert decision["outcome"] == "approved"
    ends = dt.datetime.fromisoformat(decision["expires_at"])
    assert ends - dt.datetime.fromisoformat(decision["decided_at"]) == 60 * DAY
    shown = fine(await room.asker.get(f"/api/v1/decisions/{decision['id']}"))
    assert (shown["holds"], shown["reasons"]) == (True, [])
    assert {one["role"] for one in shown["record"]["approvals"]} == {"product", "platform"}
    assert shown["record"]["judged"]["verdict"]["decision"] == "allow"
    ended = await room.show(request["id"])
    assert (ended["state"], ended["decision"]["id"]) == ("approved", decision["id"])
    listed = fine(await room.asker.get("/api/v1/decisions", params={"version": "thing@1.0.0"}))
    assert [one["id"] for one in listed["items"]] == [decision["id"]]
    assert await room.acts("approval.") == ["approval.approve", "approval.approve"]
    history = fine(await room.asker.get("/api/v1/assets/default/thing/versions/1.0.0/history"))
    assert {"request.open", "approval.approve", "decision.approve"} <= {
        one["act"] for one in history["items"]
    }
    await room.house.check()


async def test_what_is_wanting_is_said(room: Council) -> None:
    request = await room.ask(await room.version(), change_class="substantial")
    answer = await room.approve(request["id"], "product")
    assert answer["decision"] is None
    assert answer["verdict"]["decision"] == "needs_approval"
    assert answer["missing"] == [
        {"role": "platform", "have": 0, "need": 1},
        {"role": "security", "have": 0, "need": 1},
    ]


async def test_who_may_not_sign_is_refused_and_that_is_recorded(room: Council) -> None:
    at = await room.version()
    both = room.house.registry.with_grants(
        Grant(Role.CONTRIBUTOR, Scope("default")), Grant(Role.APPROVER_PLATFORM, Scope("default"))
    )
    request = fine(await both.post(f"{at}/approval-requests", json=ASK))["id"]
    refused(await room.say(both, request, "platform"), "requester")
    author = room.house.sender().client
    registrar = await me(author)
    grant = {"role": "approver_platform", "namespace": "default"}
    fine(await room.admin.post(f"/api/v1/principals/{registrar}/roles", json=grant))
    refused(await room.say(author, request, "platform"), "author")
    answer = refused(await room.say(room.admin, request, "platform"), "no_role")
    assert "administrator is not enough" in answer["detail"]
    refused(await room.say(room.person("product"), request, "platform"), "no_role")
    elsewhere = room.person("platform", namespace="elsewhere")
    assert (await room.say(elsewhere, request, "platform")).status_code == 404
    narrow = room.house.registry.with_grants(
        Grant(Role.VIEWER, Scope("default")),
        Grant(Role.APPROVER_PLATFORM, Scope("default", "other")),
    )
    refused(await room.say(narrow, request, "platform"), "no_role")
    pipeline = room.house.registry.workload(Role.APPROVER_PLATFORM, Scope("default"))
    refused(await room.say(pipeline, request, "platform"), "not_a_person")
    service = await room.house.registry.issue(
        Grant(Role.APPROVER_PLATFORM, Scope("default")), name="bot", kind=PrincipalKind.SERVICE
    )
    bot = room.house.registry.with_token(service.text)
    refused(await room.say(bot, request, "platform"), "not_a_person")
    two = room.person("product", "platform")
    fine(await room.say(two, request, "product"))
    refused(await room.say(two, request, "platform"), "other_role")
    refusals = await room.acts("approval.refuse")
    assert len(refusals) == 8
    shown = await room.show(request)
    assert [one["role"] for one in shown["approvals"]] == ["product"]
    await room.house.check()


async def test_a_rejection_decides_and_a_deferral_waits(room: Council) -> None:
    at = await room.version()
    request = (await room.ask(at))["id"]
    platform = room.person("platform")
    silent = await room.say(platform, request, "platform", "defer", comment="")
    assert silent.json()["problems"][0]["field"] == "comment"
    deferred = fine(await room.say(platform, request, "platform", "defer"))
    assert deferred["decision"] is None
    await room.approve(request, "product")
    done = fine(await room.say(platform, request, "platform"))
    assert done["decision"]["outcome"] == "approved"
    second = (await room.ask(at, change_class="substantial"))["id"]
    rejected = fine(await room.say(room.person("security"), second, "security", "reject"))
    assert (rejected["decision"]["outcome"], rejected["decision"]["expires_at"]) == (
        "rejected",
        None,
    )
    before = fine(await room.asker.get(f"/api/v1/decisions/{done['decision']['id']}"))
    assert (before["holds"], before["reasons"][0]["code"]) == (False, "replaced")
    after = fine(await room.asker.get(f"/api/v1/decisions/{rejected['decision']['id']}"))
    assert (after["holds"], after["reasons"][0]["code"]) == (False, "rejected")
    only = {"outcome": "rejected"}
    listed = fine(await room.asker.get("/api/v1/decisions", params=only))["items"]
    assert [one["id"] for one in listed] == [rejected["decision"]["id"]]
    await room.house.check()


async def test_the_same_word_again_is_no_act(room: Council) -> None:
    request = (await room.ask(await room.version()))["id"]
    product = room.person("product")
    first = await room.say(product, request, "product", comment="fine")
    again = await room.say(product, request, "product", comment="fine")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["approval"]["id"] == again.json()["approval"]["id"]
    changed = await room.say(product, request, "product", comment="very fine")
    assert changed.status_code == 201
    done = await room.approve(request, "platform")
    last = fine(await room.say(room.person("platform"), request, "platform"))
    assert last["decision"]["id"] == done["decision"]["id"]
    assert len(await room.acts("decision.")) == 1


async def test_the_same_word_again_decides_once_nothing_else_is_in_the_way(room: Council) -> None:
    at = await room.version()
    request = (await room.ask(at))["id"]
    await room.approve(request, "product")
    fine(await room.admin.post(f"{at}/quarantine", json={"reason": "odd"}))
    stuck = await room.approve(request, "platform")
    assert (stuck["decision"], stuck["missing"]) == (None, [])
    fine(await room.admin.post(f"{at}/release", json={"reason": "looked at"}))
    done = await room.say(room.person("platform"), request, "platform")
    assert (done.status_code, done.json()["decision"]["outcome"]) == (200, "approved")
    assert len(await room.acts("approval.approve")) == 2
    await room.house.check()


async def test_an_open_comment_blocks_and_resolving_it_decides(room: Council) -> None:
    request = (await room.ask(await room.version()))["id"]
    product, platform = room.person("product"), room.person("platform")
    at = f"{REQUESTS}/{request}/comments"
    viewer = room.house.registry.as_(Role.VIEWER, Scope("default"))
    assert (await viewer.post(at, json={"text": "why?"})).status_code == 403
    assert (await product.post(at, json={"text": " "})).status_code == 422
    comment = fine(await product.post(at, json={"text": "why this threshold?"}))
    waiting = await room.approve(request, "product", "platform")
    assert waiting["decision"] is None
    assert "1 comments are open" in str(waiting["verdict"])
    resolve = f"{at}/{comment['id']}/resolve"
    assert (await room.asker.post(resolve, json={"resolution": "so"})).status_code == 403
    done = fine(await platform.post(resolve, json={"resolution": "told in the card"}))
    assert done["decision"]["outcome"] == "approved"
    assert done["comment"]["resolution"] == "told in the card"
    again = fine(await platform.post(resolve, json={"resolution": "other"}))
    assert (again["decision"], again["comment"]["resolution"]) == (None, "told in the card")
    gone = f"{at}/{uuid.UUID(int=1)}/resolve"
    assert (await platform.post(gone, json={"resolution": "x"})).status_code == 404
    assert (await product.post(at, json={"text": "late"})).status_code == 409
    await room.house.check()


async def test_a_condition_that_is_overdue_ends_the_approval(
    room: Council, clock: FixedClock
) -> None:
    request = (await room.ask(await room.version()))["id"]
    product = room.person("product")
    due = (clock.now() + 10 * DAY).date()
    wrong = [{"text": "", "due": "2020-01-01"}]
    answer = await room.say(product, request, "product", conditions=wrong)
    assert [one["field"] for one in answer.json()["problems"]] == [
        "conditions[0].text",
        "conditions[0].due",
    ]
    answer = await room.say(product, request, "product", conditions=[{"text": "a", "due": "soon"}])
    assert answer.status_code == 422
    on_reject = await room.say(
        product, request, "product", "reject", sign_off="entry-verified",
        conditions=[{"text": "a", "due": str(due)}],
    )  # fmt: skip
    assert len(on_reject.json()["problems"]) == 2
    conditions = [{"text": "watch drift", "due": str(due)}, {"text": "tell them", "due": str(due)}]
    given = fine(await room.say(product, request, "product", conditions=conditions))
    first, second = given["approval"]["conditions"]
    decision = (await room.approve(request, "platform"))["decision"]
    url = f"/api/v1/decisions/{decision['id']}"
    assert fine(await room.asker.get(url))["holds"] is True
    meet = f"{REQUESTS}/{request}/conditions/{first['id']}/meet"
    assert (await room.asker.post(meet, json={"note": "done"})).status_code == 403
    for _ in range(2):  # repeatable
        met = fine(await room.person("platform").post(meet, json={"note": "dashboard 7"}))
        assert met["met_note"] == "dashboard 7"
    clock.at = dt.datetime.combine(due, dt.time(23, 59), dt.UTC)
    assert fine(await room.asker.get(url))["holds"] is True
    clock.advance(dt.timedelta(minutes=1))
    late = fine(await room.asker.get(url))
    assert [one["code"] for one in late["reasons"]] == ["overdue_condition"]
    done = f"{REQUESTS}/{request}/conditions/{second['id']}/meet"
    fine(await room.person("platform").post(done, json={"note": "told"}))
    assert fine(await room.asker.get(url))["holds"] is True
    nothing = f"{REQUESTS}/{request}/conditions/{uuid.UUID(int=1)}/meet"
    assert (await product.post(nothing, json={"note": "x"})).status_code == 404
    await room.house.check()


# --- keys of people's own ------------------------------------------------------------------------


async def test_an_own_key_signs_what_is_frozen(strict: Council, keys: Keys) -> None:
    request = (await strict.ask(await strict.version()))["id"]
    product, platform = strict.person("product"), strict.person("platform")
    refused(await strict.say(product, request, "product"), "own_key_needed")
    one, two = await strict.key(product, 1), await strict.key(platform, 2)
    bundle = await strict.signed(
        product, request, "product", one, sign_off="metrics-reviewed",
        conditions=(Condition("watch", dt.date(2027, 1, 1)),),
    )  # fmt: skip
    given = await strict.send(product, request, bundle)
    again = await strict.send(product, request, bundle)
    assert (given.status_code, again.status_code) == (201, 200)
    assert given.json()["approval"]["signed_by"] == "key"
    assert given.json()["approval"]["sign_off"] == "metrics-reviewed"
    assert again.json()["approval"]["id"] == given.json()["approval"]["id"]
    last = await strict.signed(platform, request, "platform", two)
    done = fine(await strict.send(platform, request, last))
    assert done["decision"]["outcome"] == "approved"
    await _verifies_offline(strict, done["decision"]["id"], keys)
    await strict.house.check()


async def _verifies_offline(room: Council, decision_id: str, keys: Keys) -> None:
    """Export as the client does, and check with nothing but keys; then break what can be broken."""
    await room.house.settle()
    receipt = Receipt.parse(fine(await room.asker.get(f"/api/v1/decisions/{decision_id}/receipt")))
    shown = fine(await room.admin.get("/api/v1/log/keys"))
    trusted = TrustedKeys(shown["vkey"], keys.record.public_key_der)
    bundle = receipt.sigstore_bundle(trusted)
    log = log_key_of(shown["trusted_root"])
    found = check_decision(bundle, keys.record.public_key_der, log, room.clock.now())
    assert found.ok, found.steps
    assert found.approves
    assert [step.number for step in found.steps] == [1, 2, 3, 4, 5, 6]
    later = check_decision(bundle, keys.record.public_key_der, log, room.clock.now() + 61 * DAY)
    assert [step.number for step in later.steps if step.holds is False] == [6]


async def test_what_was_not_signed_for_this_is_not_taken(
    strict: Council, clock: FixedClock
) -> None:
    at = await strict.version()
    request = (await strict.ask(at))["id"]
    other = (await strict.ask(at, environment="staging"))["id"]
    product = strict.person("product")
    key = await strict.key(product, 1)

    async def fields(**more: Any) -> list[str]:
        bundle = await strict.signed(product, request, "product", more.pop("key", key), **more)
        answer = await strict.send(product, request, bundle)
        assert answer.status_code == 422, answer.text
        return [one["field"] for one in answer.json()["problems"]]

    assert await fields(key=p256(9)) == ["bundle"]
    assert await fields(person=uuid.UUID(int=1)) == ["approver"]
    assert await fields(registry="other.example") == ["approver"]
    assert await fields(request_id=uuid.UUID(other)) == ["requestId"]
    assert await fields(signed_by="registry") == ["signedBy"]
    assert await fields(at=clock.now() + DAY) == ["decidedAt"]
    assert await fields(at=clock.now() - DAY) == ["decidedAt"]
    assert await fields(decision="reject") == ["comment"]
    shown = await strict.show(request)
    assert await fields(frozen={**shown["frozen"], "change_class": "routine"}) == ["bundle"]
    fine(await product.post(f"/api/v1/signing-keys/{await _key_id(product)}/revoke"))
    assert await fields() == ["bundle"]
    junks: tuple[dict[str, Any], ...] = ({}, {"mediaType": "x"}, {"dsseEnvelope": {}})
    for junk in junks:
        assert (await strict.send(product, request, junk)).status_code == 422
    beside = {"bundle": {}, "role": "product"}
    answer = await product.post(f"{REQUESTS}/{request}/approvals", json=beside)
    assert answer.status_code == 422
    nothing = await product.post(f"{REQUESTS}/{request}/approvals", json={})
    assert nothing.status_code == 422
    assert await strict.acts("approval.") == []


async def _key_id(client: Any) -> str:
    params = {"principal_id": await me(client)}
    [key] = fine(await client.get("/api/v1/signing-keys", params=params))["items"]
    return str(key["id"])


async def test_an_approval_stops_counting_with_its_key_its_role_its_person(strict: Council) -> None:
    request = (await strict.ask(await strict.version()))["id"]
    product, platform = strict.person("product"), strict.person("platform")
    for client, role, number in ((product, "product", 1), (platform, "platform", 2)):
        key = await strict.key(client, number)
        done = fine(
            await strict.send(client, request, await strict.signed(client, request, role, key))
        )
    url = f"/api/v1/decisions/{done['decision']['id']}"
    assert fine(await strict.asker.get(url))["holds"] is True
    grant = {"role": "approver_product", "namespace": "default"}
    roles = f"/api/v1/principals/{await me(product)}/roles"
    fine(await strict.admin.post(f"{roles}/revoke", json=grant))
    gone = fine(await strict.asker.get(url))
    assert [one["code"] for one in gone["reasons"]] == ["APPR-001"]
    shown = await strict.show(request)
    assert [one["why_not"] for one in shown["approvals"] if not one["counts"]] == [
        "the person does not hold the role approver_product any more"
    ]
    fine(await strict.admin.post(roles, json=grant))
    assert fine(await strict.asker.get(url))["holds"] is True
    fine(await platform.post(f"/api/v1/signing-keys/{await _key_id(platform)}/revoke"))
    assert fine(await strict.asker.get(url))["holds"] is False
    fine(await strict.admin.post(f"/api/v1/principals/{await me(product)}/disable"))
    late = fine(await strict.asker.get(url))
    assert [one["code"] for one in late["reasons"]] == ["no_approver", "APPR-001"][:1]
    await strict.house.check()


# --- what ends an approval -----------------------------------------------------------------------


async def test_an_approval_ends_by_itself_and_says_so_before(
    room: Council, clock: FixedClock
) -> None:
    _, decision = await room.approved()
    url = f"/api/v1/decisions/{decision['id']}"
    deps = room.house.registry.deps
    ends = dt.datetime.fromisoformat(decision["expires_at"])

    async def told() -> int:
        await warn_all(deps)
        await warn_all(deps)
        return len(await room.acts("approval.expiring"))

    assert await told() == 0
    assert fine(await room.asker.get("/api/v1/approvals/expiring"))["items"] == []
    for days, count in ((30, 1), (29, 1), (14, 2), (3, 3), (1, 3)):
        clock.at = ends - days * DAY
        assert await told() == count
    body = {"name": "hook", "url": "https://localhost:9/", "events": ["approval.expiring"]}
    assert (await room.admin.post("/api/v1/webhooks", json=body)).status_code == 201
    listed = fine(await room.asker.get("/api/v1/approvals/expiring", params={"days": 3}))["items"]
    assert [one["id"] for one in listed] == [decision["id"]]
    clock.at = ends - dt.timedelta(seconds=1)
    assert fine(await room.asker.get(url))["holds"] is True
    clock.at = ends
    over = fine(await room.asker.get(url))
    assert [one["code"] for one in over["reasons"]] == ["expired"]
    assert await told() == 3
    assert fine(await room.asker.get("/api/v1/approvals/expiring"))["items"] == []
    await room.house.check()


async def test_only_the_nearest_warning_is_told(room: Council, clock: FixedClock) -> None:
    request, first = await room.approved()
    clock.at = dt.datetime.fromisoformat(first["expires_at"]) - 2 * DAY
    await warn_all(room.house.registry.deps)
    assert await room.acts("approval.expiring") == ["approval.expiring"]
    again = await room.ask("/api/v1/assets/default/thing/versions/1.0.0")
    assert again["id"] != request["id"]
    second = (await room.approve(again["id"], "product", "platform"))["decision"]
    listed = fine(await room.asker.get("/api/v1/approvals/expiring", params={"days": 100}))["items"]
    assert [one["id"] for one in listed] == [second["id"]]
    page = {"days": 100, "limit": 1}
    assert (
        fine(await room.asker.get("/api/v1/approvals/expiring", params=page))["next_cursor"] is None
    )


async def test_later_evidence_leaves_a_decision_standing(room: Council) -> None:
    from tests.support.evidence import added  # noqa: PLC0415 -- here only

    _, decision = await room.approved()
    await added(room.house.sender(), {"note.json": b"{}"}, kinds={"note.json": "other"})
    url = f"/api/v1/decisions/{decision['id']}"
    assert fine(await room.asker.get(url))["holds"] is True
    fine(await room.admin.patch("/api/v1/assets/default/thing", json={"risk_tier": "high"}))
    changed = fine(await room.asker.get(url))
    assert [one["code"] for one in changed["reasons"]][:1] == ["changed"]


async def test_another_policy_voids_what_is_open_and_judges_what_is_decided(
    room: Council, clock: FixedClock
) -> None:
    """The new one takes people's own keys only: what a session signed does not count under it."""
    _, decision = await room.approved()
    pending = await room.ask(await room.version("other"))
    await _bring(room, quorum_alone(own_key=True), clock)
    shown = await room.show(pending["id"])
    assert [one["what"] for one in shown["changed"]] == ["policy_sha256"]
    late = await room.say(room.person("legal"), pending["id"], "legal", "defer")
    assert "another policy is in force" in late.json()["detail"]
    over = fine(await room.asker.get(f"/api/v1/decisions/{decision['id']}"))
    assert "no_approver" in {one["code"] for one in over["reasons"]}
    assert "changed" not in {one["code"] for one in over["reasons"]}
    await room.house.check()


async def _bring(room: Council, made: Bundle, clock: FixedClock) -> None:
    """Have two people bring a bundle into force."""
    at = "/api/v1/policy"
    fine(await room.admin.post(f"{at}/bundles", content=policy.pack(made)))
    fine(await room.admin.post(f"{at}/simulations", json={"digest": made.digest}))
    deps = room.house.registry.deps
    await InlineWorker(deps.db, policy_jobs.HANDLERS, context=deps).run_due()
    asked = {"digest": made.digest, "reason": "own keys"}
    proposed = fine(await room.admin.post(f"{at}/activations", json=asked))
    url = f"{at}/activations/{proposed['id']}/approve"
    governor = room.house.registry.as_(Role.APPROVER_GOVERNANCE)
    yes = {"reason": "yes", "weakens": proposed["simulation"]["to_acknowledge"]}
    fine(await governor.post(url, json=yes))
    clock.advance(dt.timedelta(seconds=1))


async def test_nothing_is_called_approved_where_rules_are_only_observed(room: Council) -> None:
    _, decision = await room.approved()
    body = {"mode": "observe", "reason": "trial"}
    fine(await room.admin.patch("/api/v1/namespaces/default", json=body))
    shown = fine(await room.asker.get(f"/api/v1/decisions/{decision['id']}"))
    assert [one["code"] for one in shown["reasons"]] == ["not_enforced"]


# --- exceptions ----------------------------------------------------------------------------------


def exception(clock: FixedClock, **more: Any) -> dict[str, Any]:
    until = str((clock.now() + 7 * DAY).date())
    return {
        "environment": "production", "role": "security", "rule": "WAIV-001", "until": until,
        "reason": "no fix yet", "control": "not reachable", **more,
    }  # fmt: skip


async def test_an_exception_waives_a_rule_until_its_day_is_over(
    room: Council, clock: FixedClock
) -> None:
    at = await room.version("flawed")
    request = (await room.ask(at))["id"]
    stuck = await room.approve(request, "product", "platform")
    assert stuck["decision"] is None
    security = room.person("security")
    granted = await security.post(f"{at}/exceptions", json=exception(clock))
    assert granted.status_code == 201
    assert granted.json()["decision"]["outcome"] == "approved"
    again = await security.post(f"{at}/exceptions", json=exception(clock))
    assert (again.status_code, again.json()["decision"]) == (200, None)
    one = granted.json()["exception"]
    assert again.json()["exception"]["id"] == one["id"]
    listed = fine(await room.asker.get("/api/v1/exceptions", params={"version": "flawed@1.0.0"}))
    assert [each["state"] for each in listed["items"]] == ["holds"]
    url = f"/api/v1/decisions/{granted.json()['decision']['id']}"
    shown = fine(await room.asker.get(url))
    assert shown["holds"] is True
    waived = [
        r["outcome"]
        for r in shown["record"]["judged"]["verdict"]["results"]
        if r["id"] == "WAIV-001"
    ]
    assert waived == ["waived"]
    clock.advance(8 * DAY)
    assert [r["code"] for r in fine(await room.asker.get(url))["reasons"]] == ["WAIV-001"]
    assert fine(await room.asker.get("/api/v1/exceptions"))["items"] == []
    ended = fine(await room.asker.get("/api/v1/exceptions", params={"ended": "true"}))["items"]
    assert [each["state"] for each in ended] == ["ended"]
    await room.house.check()


async def test_an_exception_is_revoked_once(room: Council, clock: FixedClock) -> None:
    at = await room.version("flawed")
    security = room.person("security")
    one = fine(await security.post(f"{at}/exceptions", json=exception(clock)))["exception"]
    url = f"/api/v1/exceptions/{one['id']}/revoke"
    assert (await room.asker.post(url, json={"reason": "x"})).status_code == 403
    assert (await security.post(url, json={})).status_code == 422
    for _ in range(2):  # repeatable
        done = fine(await room.person("governance").post(url, json={"reason": "fixed"}))
        assert (done["state"], done["revoked_reason"]) == ("revoked", "fixed")
    unknown = f"/api/v1/exceptions/{uuid.UUID(int=1)}/revoke"
    assert (await security.post(unknown, json={"reason": "x"})).status_code == 404
    await room.house.check()


async def test_nobody_waives_a_critical_rule_nor_who_may_not(
    room: Council, clock: FixedClock
) -> None:
    at = await room.version("flawed")
    request = fine(await room.asker.post(f"{at}/approval-requests", json=ASK))
    assert request["state"] == "open"
    for who, role in ((room.person("security"), "security"), (room.admin, "governance")):
        body = exception(clock, rule="SAFE-001", role=role)
        refused(await who.post(f"{at}/exceptions", json=body), "critical_safety")
    product = room.person("product")
    refused(
        await product.post(f"{at}/exceptions", json=exception(clock, role="product")), "rule_class"
    )
    refused(await product.post(f"{at}/exceptions", json=exception(clock)), "no_role")
    pipeline = room.house.registry.workload(Role.APPROVER_SECURITY, Scope("default"))
    refused(await pipeline.post(f"{at}/exceptions", json=exception(clock)), "not_a_person")
    assert len(await room.acts("exception.refuse")) == 5
    assert await room.acts("exception.grant") == []
    await room.house.check()


async def test_what_is_wrong_with_an_exception_is_said_at_once(
    room: Council, clock: FixedClock
) -> None:
    at = await room.version("flawed")
    security = room.person("security")
    body = exception(clock, rule="NONE-001", until="2020-01-01", reason=" ", control="")
    answer = await security.post(f"{at}/exceptions", json=body)
    assert [one["field"] for one in answer.json()["problems"]] == [
        "rule",
        "until",
        "reason",
        "control",
    ]
    hint = await security.post(f"{at}/exceptions", json=exception(clock, rule="HINT-001"))
    assert "never in the way" in hint.json()["detail"]
    late = await security.post(f"{at}/exceptions", json=exception(clock, until="2099-01-01"))
    assert late.json()["problems"][0]["field"] == "until"
    for junk in (
        {"environment": "production"},
        {"environment": "production", "bundle": {}, "rule": "X"},
    ):
        assert (await security.post(f"{at}/exceptions", json=junk)).status_code == 422


async def test_an_exception_signed_with_an_own_key(strict: Council, clock: FixedClock) -> None:
    at = await strict.version("flawed")
    security = strict.person("security")
    refused(await security.post(f"{at}/exceptions", json=exception(clock)), "own_key_needed")
    key = await strict.key(security, 3)

    async def send(**more: Any) -> Any:
        bundle = await strict.waiver(security, at, key, **more)
        return await security.post(
            f"{at}/exceptions", json={"environment": "production", "bundle": bundle}
        )

    nonce = "cd" * 16
    first, again = await send(nonce=nonce), await send(nonce=nonce)
    assert (first.status_code, again.status_code) == (201, 200)
    for wrong in (
        {"environment": "staging"}, {"version_id": uuid.UUID(int=1)}, {"registry": "x"},
        {"person": uuid.UUID(int=1)}, {"at": clock.now() + DAY}, {"signed_by": "registry"},
    ):  # fmt: skip
        assert (await send(**wrong)).status_code == 422, wrong
    body = {"environment": "production", "bundle": {"mediaType": "x"}}
    assert (await security.post(f"{at}/exceptions", json=body)).status_code == 422
    params = {"principal_id": await me(security)}
    [mine] = fine(await security.get("/api/v1/signing-keys", params=params))["items"]
    fine(await security.post(f"/api/v1/signing-keys/{mine['id']}/revoke"))
    [held] = fine(await security.get("/api/v1/exceptions"))["items"]
    assert held["state"] == "key_revoked"
    await strict.house.check()


async def test_nobody_waives_a_rule_for_what_they_ask_for(room: Council, clock: FixedClock) -> None:
    at = await room.version("flawed")
    security = room.person("security")
    fine(await security.post(f"{at}/exceptions", json=exception(clock)))
    # The request comes after: the bar is the same.
    request = fine(await security.post(f"{at}/approval-requests", json=ASK))["id"]
    assert (await room.approve(request, "product", "platform"))["decision"] is None
    other = room.person("governance")
    granted = await other.post(f"{at}/exceptions", json=exception(clock, role="governance"))
    assert granted.json()["decision"]["outcome"] == "approved"
    carried = fine(await room.asker.get(f"/api/v1/decisions/{granted.json()['decision']['id']}"))
    assert [one["role"] for one in carried["record"]["exceptions"]] == ["governance"]
    await room.house.check()


async def test_an_exception_lapses_with_the_role_of_who_granted_it(
    room: Council, clock: FixedClock
) -> None:
    at = await room.version("flawed")
    request = (await room.ask(at))["id"]
    await room.approve(request, "product", "platform")
    security = room.person("security")
    made = fine(await security.post(f"{at}/exceptions", json=exception(clock)))
    role = {"role": "approver_security", "namespace": "default"}
    principal = f"/api/v1/principals/{await me(security)}/roles/revoke"
    fine(await room.admin.post(principal, json=role))
    [held] = fine(await room.asker.get("/api/v1/exceptions"))["items"]
    assert held["state"] == "not_eligible"
    shown = fine(await room.asker.get(f"/api/v1/decisions/{made['decision']['id']}"))
    assert [one["code"] for one in shown["reasons"]] == ["WAIV-001"]


async def test_a_nonce_says_one_thing(strict: Council, clock: FixedClock) -> None:
    at = await strict.version("flawed")
    security, request = strict.person("security"), (await strict.ask(at))["id"]
    key = await strict.key(security, 3)
    yes = await strict.signed(security, request, "security", key, nonce="ab" * 16)
    for status in (201, 200):
        assert (await strict.send(security, request, yes)).status_code == status
    no = await strict.signed(
        security, request, "security", key, nonce="ab" * 16, decision="defer", comment="wait"
    )
    assert (await strict.send(security, request, no)).status_code == 422
    later = await strict.signed(
        security, request, "security", key, decision="defer", comment="wait"
    )
    assert (await strict.send(security, request, later)).status_code == 201
    assert (await strict.send(security, request, yes)).status_code == 422  # not the last word
    for reason, status in (("one", 201), ("one", 200), ("another", 422)):
        bundle = await strict.waiver(security, at, key, nonce="cd" * 16, reason=reason)
        body = {"environment": "production", "bundle": bundle}
        assert (await security.post(f"{at}/exceptions", json=body)).status_code == status


async def test_a_decision_carries_what_counted_alone(room: Council) -> None:
    request = (await room.ask(await room.version()))["id"]
    product, other = room.person("product"), room.person("product", "legal")
    fine(await room.say(product, request, "product"))
    role = {"role": "approver_product", "namespace": "default"}
    principal = f"/api/v1/principals/{await me(product)}/roles/revoke"
    fine(await room.admin.post(principal, json=role))
    fine(await room.say(other, request, "product"))
    done = await room.approve(request, "platform")
    shown = fine(await room.asker.get(f"/api/v1/decisions/{done['decision']['id']}"))
    signed = {one["person_id"] for one in shown["record"]["approvals"]}
    assert await me(other) in signed
    assert await me(product) not in signed
    assert len(signed) == 2


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-01:00", "2026-01-01T00:00:00"])
async def test_a_time_made_up_in_a_cursor_is_refused(room: Council, at: str) -> None:
    cursor = encode_cursor({"at": at, "id": str(uuid.UUID(int=1))})
    await room.version()
    for url in ("/api/v1/approvals/expiring", "/api/v1/assets/default/thing/deployments"):
        answer = await room.asker.get(url, params={"cursor": cursor})
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_cursor"), url


# --- many at once --------------------------------------------------------------------------------


async def test_many_ask_at_once_and_one_request_is_open(room: Council) -> None:
    at = await room.version()
    await me(room.asker)  # have it made
    answers = await asyncio.gather(
        *(room.asker.post(f"{at}/approval-requests", json=ASK) for _ in range(8))
    )
    assert {one.json()["id"] for one in answers} == {answers[0].json()["id"]}
    assert sorted(one.status_code for one in answers) == [200] * 7 + [201]


async def test_a_decision_is_whole_or_not_at_all(room: Council) -> None:
    """Whatever statement fails, and if only the answer is lost: the same request again ends it well."""
    watch = room.house.watch
    product, platform = room.person("product"), room.person("platform")
    for client in (product, platform):
        await me(client)

    async def fresh(number: int) -> str:
        request = (await room.ask(await room.version(f"f{number}")))["id"]
        fine(await room.say(product, request, "product"))
        return str(request)

    measured = await fresh(0)
    watch.start()
    fine(await room.say(platform, measured, "platform"))
    count = len(watch.writes)
    assert watch.writes[-1] == "COMMIT"
    strikes = [(at, False) for at in range(1, count + 1, 3)] + [(count, False), (count, True)]
    for number, (at, persisted) in enumerate(strikes, 1):
        request = await fresh(number)
        watch.start(at, persisted=persisted)
        assert (await room.say(platform, request, "platform")).status_code == 503
        watch.start()
        again = fine(await room.say(platform, request, "platform"))
        assert again["decision"]["outcome"] == "approved"
    assert len(await room.acts("decision.")) == len(strikes) + 1
    await room.house.check()


# --- tables --------------------------------------------------------------------------------------


async def test_nothing_of_it_can_be_changed(
    room: Council, owner_db: PostgresDatabase, clock: FixedClock
) -> None:
    await room.approved()
    at = await room.version("flawed")
    fine(await room.person("security").post(f"{at}/exceptions", json=exception(clock)))
    request = (await room.ask(at))["id"]
    fine(await room.person("product").post(f"{REQUESTS}/{request}/comments", json={"text": "?"}))
    changes: tuple[LiteralString, ...] = (
        "UPDATE approval_request SET reason = 'x'",
        "DELETE FROM approval_request WHERE ended_at IS NULL",
        "UPDATE approval SET role = 'legal'",
        "DELETE FROM approval",
        "UPDATE approval_comment SET text = 'x'",
        "UPDATE decision SET outcome = 'rejected'",
        "DELETE FROM decision",
        "UPDATE rule_exception SET until = '2099-01-01'",
        "TRUNCATE rule_exception",
    )
    for change in changes:
        with pytest.raises(asyncpg.RestrictViolationError, match=r"never change"):
            async with owner_db.transaction() as tx:
                await tx.execute(change)


async def test_who_sees_nothing_learns_nothing(room: Council) -> None:
    request, decision = await room.approved()
    stranger = room.person("platform", namespace="elsewhere")
    paths = (f"{REQUESTS}/{request['id']}", f"/api/v1/decisions/{decision['id']}",
             f"/api/v1/decisions/{decision['id']}/receipt", f"{REQUESTS}/x")  # fmt: skip
    for path in paths:
        assert (await stranger.get(path)).status_code == 404
    assert fine(await stranger.get(REQUESTS))["items"] == []
    assert fine(await stranger.get("/api/v1/decisions"))["items"] == []
    one = room.house.registry.as_(Role.VIEWER, Scope("default", "thing"))
    assert len(fine(await one.get(REQUESTS))["items"]) == 1
