"""Webhooks over HTTP: made, changed, deleted; told of acts, retried, logged, sent again."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from muniment.server import federation
from muniment.server.federation.actions import deliveries as deliveries_of
from muniment.server.federation.jobs import delivering
from muniment.server.http.records import Role
from muniment.server.ledger.records import Actor, Recorded, Subject
from muniment.server.ledger.rules import payload_of
from muniment.server.ports import queue
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.db import Database
from muniment.server.ports.keys import Keys
from muniment.server.wiring import OPERATIONS
from tests.support.app import RegistrySimulator, app_client
from tests.support.other_server import other_server, reply
from tests.support.policies import bare
from tests.support.receiver import TOLD, Receiver, an_asset, hooked, receiving, run_webhooks

HOOKS = "/api/v1/webhooks"
LOCAL = ("127.0.0.1",)


@pytest.fixture
async def registry(
    db: Database, blobs: Blobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[RegistrySimulator]:
    async with app_client(
        db, blobs, keys, clock, OPERATIONS, first=bare(), outbound_private=LOCAL
    ) as simulator:
        yield simulator


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


async def deliveries(registry: RegistrySimulator, hook: dict[str, Any], query: str = "") -> Any:
    answer = await registry.as_(Role.ADMIN).get(f"{HOOKS}/{hook['id']}/deliveries{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def agrees(db: Database) -> None:
    """The table of webhooks is what folding the log gives."""
    (fold,) = [one for one in federation.FOLDS if one.table == "webhook"]
    async with db.transaction(read_only=True) as tx:
        rows = await tx.fetch(
            "SELECT e.* FROM ledger_entry e JOIN ledger_pending p ON p.entry_id = e.id"
            " ORDER BY p.arrival"
        )
        folded: dict[str, Any] = {}
        for row in rows:
            subject = Subject(row["subject_kind"], row["subject_id"], row["subject_name"])
            actor = Actor(row["actor_kind"], row["actor_id"])
            payload = payload_of(row["payload"], row["bundle"])
            one = Recorded(row["id"], row["at"], row["act"], actor, subject, payload, None)
            fold.apply(folded, one)
        stored = {key: fields async for key, fields in fold.stored(tx)}
    assert folded == stored


async def test_a_webhook_is_made_read_changed_and_deleted(
    registry: RegistrySimulator, db: Database, clock: FixedClock
) -> None:
    admin = registry.as_(Role.ADMIN)
    made = await hooked(
        registry,
        "https://example.com/hook",
        name="deploys",
        events=["version.promote", "version.promote", "alias.*"],
        description="tells the deployer",
        namespace="risk",
    )
    secret = made.pop("secret")
    assert base64.b64decode(secret.removeprefix("whsec_"))
    assert made["events"] == ["version.promote", "alias.*"]
    assert (made["status"], made["signed"], made["dialect"]) == ("active", True, "muniment")
    got = await admin.get(f"{HOOKS}/{made['id']}")
    assert got.json() == made
    assert got.headers["etag"] == '"1"'
    await agrees(db)
    async with db.transaction(read_only=True) as tx:
        sealed = await tx.fetchval("SELECT sealed FROM webhook_secret")
        kept = str(dict(await tx.fetchrow("SELECT * FROM webhook") or {}))
    assert secret.encode() not in sealed
    assert secret not in kept
    clock.advance(dt.timedelta(seconds=1))
    body = {"status": "disabled", "namespace": "", "events": ["*"]}
    stale = await admin.patch(f"{HOOKS}/{made['id']}", json=body, headers={"if-match": '"7"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale_revision")
    changed = (await admin.patch(f"{HOOKS}/{made['id']}", json=body)).json()
    assert (changed["status"], changed["namespace"], changed["revision"]) == ("disabled", None, 2)
    same = (await admin.patch(f"{HOOKS}/{made['id']}", json=body)).json()
    assert same == changed
    await agrees(db)
    assert (await admin.delete(f"{HOOKS}/{made['id']}")).status_code == 204
    for method, path in (("GET", ""), ("DELETE", ""), ("PATCH", ""), ("POST", "/test")):
        gone = await admin.request(method, f"{HOOKS}/{made['id']}{path}", json={})
        assert gone.status_code == 404, path
    await agrees(db)
    entries = (await admin.get("/api/v1/log/entries?limit=500")).json()
    assert secret not in json.dumps(entries)


async def test_webhooks_are_listed_page_by_page_newest_first(registry: RegistrySimulator) -> None:
    names = [f"hook-{number}" for number in range(5)]
    for name in names:
        await hooked(registry, "https://example.com/", name=name)
    admin = registry.as_(Role.ADMIN)
    await hooked(registry, "https://example.com/", name="off", status="disabled")
    first = (await admin.get(f"{HOOKS}?limit=3&status=active")).json()
    rest = (await admin.get(f"{HOOKS}?cursor={first['next_cursor']}&status=active")).json()
    assert [one["name"] for one in (*first["items"], *rest["items"])] == names[::-1]
    assert rest["next_cursor"] is None
    assert all("secret" not in one for one in first["items"])


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"url": "http://example.com/"}, "destination_refused"),
    ({"url": "https://10.0.0.1/"}, "destination_refused"),
    ({"url": "https://[::ffff:169.254.169.254]/"}, "destination_refused"),
    ({"url": "https://user:pass@example.com/"}, "destination_refused"),
    ({"url": "file:///etc/passwd"}, "destination_refused"),
    ({"url": ""}, "bad_body"),
    ({"events": ["version.explode"]}, "bad_body"),
    ({"events": []}, "bad_body"),
    ({"name": "no spaces"}, "bad_body"),
    ({"secret": "short"}, "bad_body"),
    ({"more": 1}, "bad_body"),
]


async def test_what_cannot_be_a_webhook_is_refused_and_nothing_is_kept(
    registry: RegistrySimulator,
) -> None:
    admin = registry.as_(Role.ADMIN)
    for wrong, code in WRONG:
        body = {"name": "hook", "url": "https://example.com/", "events": ["*"], **wrong}
        answer = await admin.post(HOOKS, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, code), wrong
    assert (await admin.get(HOOKS)).json()["items"] == []


async def test_only_administrators_see_webhooks(registry: RegistrySimulator) -> None:
    made = await hooked(registry, "https://example.com/")
    for role, method, path in (
        (role, *call) for role in Role if role is not Role.ADMIN for call in _calls(made["id"])
    ):
        answer = await registry.as_(role).request(method, HOOKS + path)
        assert answer.status_code == 403, (role, path)


def _calls(webhook_id: str) -> list[tuple[str, str]]:
    return [
        ("GET", ""),
        ("POST", ""),
        ("GET", f"/{webhook_id}"),
        ("POST", f"/{webhook_id}/test"),
        ("POST", f"/{webhook_id}/secret"),
        ("GET", f"/{webhook_id}/deliveries"),
    ]


def verified(asked: Any, *secrets: str) -> None:
    """The request is signed with each of the secrets, in this order."""
    signed = f"{asked.headers['webhook-id']}.{asked.headers['webhook-timestamp']}.".encode()
    wanted = [
        "v1,"
        + base64.b64encode(
            hmac.digest(
                base64.b64decode(secret.removeprefix("whsec_")),
                signed + asked.body,
                hashlib.sha256,
            )
        ).decode()
        for secret in secrets
    ]
    assert asked.headers["webhook-signature"].split(" ") == wanted


async def test_an_act_is_told_to_who_asked_for_it_and_to_nobody_else(
    registry: RegistrySimulator, receiver: Receiver
) -> None:
    admin = registry.as_(Role.ADMIN)
    made = await hooked(registry, receiver.url, events=["asset.*"])
    await hooked(registry, receiver.url, name="others", events=["version.promote"])
    await hooked(registry, receiver.url, name="elsewhere", namespace="risk")
    await hooked(registry, receiver.url, name="off", status="disabled")
    asset = await an_asset(admin)
    await run_webhooks(registry)
    (told,) = receiver.told
    assert told["type"] == "asset.create"
    assert told["data"]["asset"]["name"] == "m"
    assert told["data"]["subject"]["id"] == asset["id"]
    assert told["data"]["payload"]["kind"] == "model"
    (asked,) = receiver.asked
    assert (asked.method, asked.path) == ("POST", "/hook")
    verified(asked, made["secret"])
    (delivery,) = (await deliveries(registry, made))["items"]
    assert (delivery["event"], delivery["state"]) == ("asset.create", "delivered")
    assert delivery["id"] == asked.headers["webhook-id"]
    assert delivery["entry_id"] == told["data"]["entry_id"]
    one = (await admin.get(f"{HOOKS}/{made['id']}/deliveries/{delivery['id']}")).json()
    (attempt,) = one["log"]
    assert (attempt["number"], attempt["status"], attempt["answer"]) == (1, 200, "thanks")


async def test_only_what_is_done_in_its_namespace_is_told(
    registry: RegistrySimulator, receiver: Receiver
) -> None:
    admin = registry.as_(Role.ADMIN)
    await hooked(registry, receiver.url, namespace="risk")
    await an_asset(admin, "here")
    await an_asset(admin, "there", "risk")
    await run_webhooks(registry)
    assert sorted(one["type"] for one in receiver.told) == ["asset.create", "namespace.create"]
    assert all("there" in str(one) or "risk" in str(one) for one in receiver.told)


async def test_without_a_webhook_an_act_asks_for_nothing(
    registry: RegistrySimulator, db: Database
) -> None:
    await hooked(registry, "https://example.com/", events=["version.promote"])
    await an_asset(registry.as_(Role.ADMIN))
    async with db.transaction(read_only=True) as tx:
        assert await tx.fetchval("SELECT count(*) FROM pgqueuer") == 0


async def test_a_receiver_that_is_busy_is_told_again_under_the_same_id(
    registry: RegistrySimulator, receiver: Receiver, clock: FixedClock
) -> None:
    made = await hooked(registry, receiver.url, events=["asset.create"])
    await an_asset(registry.as_(Role.ADMIN))
    receiver.status, receiver.headers = 503, {"retry_after": "30"}
    await run_webhooks(registry)
    (due,) = (await deliveries(registry, made, "?state=due"))["items"]
    assert (due["attempts"], due["error"]) == (1, "answered 503")
    wait = dt.datetime.fromisoformat(due["due_at"]) - clock.now()
    assert wait == dt.timedelta(seconds=30)
    assert await run_webhooks(registry) == []  # not before its time
    clock.advance(dt.timedelta(minutes=1))
    receiver.status, receiver.headers = 204, None
    await run_webhooks(registry, early=True)
    (done,) = (await deliveries(registry, made, "?state=delivered"))["items"]
    assert (done["attempts"], done["error"]) == (2, "")
    first, second = receiver.asked
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == done["id"]
    assert first.body == second.body
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]


async def test_who_does_not_answer_lets_others_go_first(
    registry: RegistrySimulator, receiver: Receiver, db: Database
) -> None:
    admin = registry.as_(Role.ADMIN)
    await hooked(registry, receiver.url, events=["asset.create"])
    receiver.status = 503
    await an_asset(admin)
    await run_webhooks(registry)
    receiver.status = 200
    await hooked(registry, receiver.url, name="well", events=["asset.create"])
    await an_asset(admin, "n")
    (announce,) = [one for one in TOLD if one.name == "webhooks.announce"]
    async with db.transaction() as tx:
        row = await tx.fetchrow(
            "DELETE FROM pgqueuer WHERE entrypoint = $1 RETURNING payload", announce.name
        )
    job = queue.Job(1, announce.name, json.loads(row["payload"] if row else b""), 1, 20)
    await announce.run(registry.deps, job)
    async with db.transaction(read_only=True) as tx:
        rows = await tx.fetch("SELECT priority FROM pgqueuer ORDER BY id")
    assert [one["priority"] for one in rows] == [-1, -1, 0]  # again, new for it, new for the other


async def test_who_never_answers_well_is_given_up_and_may_be_told_again(
    registry: RegistrySimulator, receiver: Receiver
) -> None:
    admin = registry.as_(Role.ADMIN)
    made = await hooked(registry, receiver.url, events=["asset.create"])
    await an_asset(admin)
    receiver.status = 500
    for _ in range(12):
        await run_webhooks(registry, early=True)
    assert len(receiver.asked) == 10
    (failed,) = (await deliveries(registry, made))["items"]
    assert (failed["state"], failed["attempts"]) == ("failed", 10)
    receiver.status = 200
    again = await admin.post(f"{HOOKS}/{made['id']}/deliveries/{failed['id']}/redeliver")
    assert again.json()["state"] == "due"
    await run_webhooks(registry)
    (done,) = (await deliveries(registry, made))["items"]
    assert (done["state"], done["attempts"]) == ("delivered", 11)
    assert len({one.headers["webhook-id"] for one in receiver.asked}) == 1


async def test_one_that_waits_is_sent_now_when_asked_for_and_not_twice(
    registry: RegistrySimulator, receiver: Receiver
) -> None:
    admin = registry.as_(Role.ADMIN)
    made = await hooked(registry, receiver.url, events=["asset.create"])
    await an_asset(admin)
    receiver.status = 503
    await run_webhooks(registry)
    (due,) = (await deliveries(registry, made))["items"]
    receiver.status = 200
    await admin.post(f"{HOOKS}/{made['id']}/deliveries/{due['id']}/redeliver")
    await run_webhooks(registry)
    await run_webhooks(registry, early=True)
    assert len(receiver.asked) == 2
    absent = await admin.post(f"{HOOKS}/{made['id']}/deliveries/{made['id']}/redeliver")
    assert absent.status_code == 404
    await admin.patch(f"{HOOKS}/{made['id']}", json={"status": "disabled"})
    refused = await admin.post(f"{HOOKS}/{made['id']}/deliveries/{due['id']}/redeliver")
    assert refused.status_code == 409


async def test_what_waiting_does_not_mend_is_not_tried_again(
    registry: RegistrySimulator, receiver: Receiver
) -> None:
    made = await hooked(registry, receiver.url, events=["asset.create"])
    await an_asset(registry.as_(Role.ADMIN))
    async with other_server(lambda _asked: reply(200)) as inside:
        receiver.status, receiver.headers = 307, {"location": inside.url}
        await run_webhooks(registry)
        assert inside.connections == 0  # a redirect is not followed
    (failed,) = (await deliveries(registry, made))["items"]
    assert (failed["state"], failed["error"]) == ("failed", "answered 307")
    assert len(receiver.asked) == 1


async def test_killed_between_sending_and_noting_it_is_sent_again_under_the_same_id(
    registry: RegistrySimulator, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await hooked(registry, receiver.url, events=["asset.create"])
    await an_asset(registry.as_(Role.ADMIN))

    async def killed(*_: object, **__: object) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(deliveries_of, "record", killed)
        ran = await run_webhooks(registry)
        assert ran[-1].outcome == "later"
    await run_webhooks(registry, early=True)
    first, second = receiver.asked
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    (done,) = (await deliveries(registry, made))["items"]
    assert (done["state"], done["attempts"]) == ("delivered", 1)


async def test_an_announcement_that_is_repeated_tells_once(
    registry: RegistrySimulator, receiver: Receiver, db: Database
) -> None:
    made = await hooked(registry, receiver.url, events=["asset.create"])
    asset = await an_asset(registry.as_(Role.ADMIN))
    (announce,) = [one for one in TOLD if one.name == "webhooks.announce"]
    for number in range(2):
        job = queue.Job(number, announce.name, {"entry_id": asset["entry_id"]}, 1, 20)
        await announce.run(registry.deps, job)
    await run_webhooks(registry)
    assert len(receiver.asked) == 1
    assert len((await deliveries(registry, made))["items"]) == 1


async def test_a_new_secret_signs_beside_the_old_one_for_as_long_as_was_said(
    registry: RegistrySimulator, receiver: Receiver, clock: FixedClock, db: Database
) -> None:
    admin = registry.as_(Role.ADMIN)
    made = await hooked(registry, receiver.url, events=["asset.create"])
    at = f"{HOOKS}/{made['id']}"
    changed = await admin.post(f"{at}/secret", json={"overlap_hours": 1})
    new = changed.json()["secret"]
    assert new != made["secret"]
    assert changed.json()["revision"] == 2
    await agrees(db)
    await admin.post(f"{at}/test")
    verified(receiver.asked[-1], new, made["secret"])
    clock.advance(dt.timedelta(hours=2))
    await admin.post(f"{at}/test")
    verified(receiver.asked[-1], new)
    own = "whsec_" + base64.b64encode(b"o" * 24).decode()
    given = await admin.post(f"{at}/secret", json={"secret": own, "overlap_hours": 0})
    assert given.json()["secret"] is None
    await admin.post(f"{at}/test")
    verified(receiver.asked[-1], own)
    refused = await admin.post(f"{at}/secret", json={"secret": ""})
    assert refused.status_code == 422


async def test_a_test_says_how_it_went_and_is_in_the_log(
    registry: RegistrySimulator, receiver: Receiver
) -> None:
    admin = registry.as_(Role.ADMIN)
    made = await hooked(registry, receiver.url, events=["version.promote"])
    told = (await admin.post(f"{HOOKS}/{made['id']}/test")).json()
    assert (told["delivered"], told["status"], told["answer"]) == (True, 200, "thanks")
    assert receiver.told[0]["type"] == "webhook.test"
    receiver.status, receiver.body = 503, b"x" * 5000
    told = (await admin.post(f"{HOOKS}/{made['id']}/test")).json()
    assert (told["delivered"], told["status"], len(told["answer"])) == (False, 503, 1024)
    states = [one["state"] for one in (await deliveries(registry, made))["items"]]
    assert states == ["failed", "delivered"]
    assert await run_webhooks(registry, early=True) == []  # a test is tried once
    failed = (await deliveries(registry, made))["items"][0]
    receiver.status = 200
    await admin.post(f"{HOOKS}/{made['id']}/deliveries/{failed['id']}/redeliver")
    await run_webhooks(registry)
    assert receiver.asked[-1].headers["webhook-id"] == failed["id"]


async def test_what_is_due_when_a_webhook_is_disabled_is_not_sent(
    registry: RegistrySimulator, receiver: Receiver
) -> None:
    admin = registry.as_(Role.ADMIN)
    made = await hooked(registry, receiver.url, events=["asset.create"])
    await an_asset(admin)
    receiver.status = 503
    await run_webhooks(registry)
    await admin.patch(f"{HOOKS}/{made['id']}", json={"status": "disabled"})
    await run_webhooks(registry, early=True)
    (failed,) = (await deliveries(registry, made))["items"]
    assert (failed["state"], failed["error"]) == ("failed", "the webhook is disabled")
    assert len(receiver.asked) == 1


async def test_a_secret_that_somebody_put_there_signs_nothing(
    registry: RegistrySimulator, receiver: Receiver, db: Database
) -> None:
    made = await hooked(registry, receiver.url, events=["asset.create"])
    await an_asset(registry.as_(Role.ADMIN))
    async with db.transaction() as tx:
        await tx.execute("UPDATE webhook_secret SET sealed = sealed || '\\x00'")
    await run_webhooks(registry)
    (failed,) = (await deliveries(registry, made))["items"]
    assert failed["state"] == "failed"
    assert "cannot be opened" in failed["error"]
    assert receiver.asked == []


async def test_deliveries_that_ended_long_ago_or_are_too_many_are_dropped(
    registry: RegistrySimulator,
    receiver: Receiver,
    clock: FixedClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    admin = registry.as_(Role.ADMIN)
    made = await hooked(registry, receiver.url, events=["asset.create"])
    for _ in range(4):
        await admin.post(f"{HOOKS}/{made['id']}/test")
    await an_asset(admin)  # due, and stays
    ran = await run_webhooks(registry)
    assert ran
    monkeypatch.setattr(delivering, "_KEPT_MOST", 3)
    assert await delivering.forget(registry.deps) == 2
    clock.advance(dt.timedelta(days=31))
    assert await delivering.forget(registry.deps) == 3
    assert (await deliveries(registry, made))["items"] == []


# Nobody makes the registry call its own network.


async def test_a_private_address_is_not_called_even_behind_a_public_name(
    db: Database, blobs: Blobs, keys: Keys, clock: FixedClock, receiver: Receiver
) -> None:
    async with app_client(db, blobs, keys, clock, OPERATIONS, first=bare()) as registry:
        made = await hooked(registry, "https://localhost.localdomain:9/hook", events=["asset.*"])
        async with db.transaction() as tx:  # allowed when it was made, no longer
            await tx.execute("UPDATE webhook SET url = $1", receiver.url)
        told = (await registry.as_(Role.ADMIN).post(f"{HOOKS}/{made['id']}/test")).json()
        assert not told["delivered"]
        await an_asset(registry.as_(Role.ADMIN))
        await run_webhooks(registry)
        states = {one["state"] for one in (await deliveries(registry, made))["items"]}
        assert states == {"failed"}
        assert receiver.server.connections == 0


async def test_a_name_that_is_at_a_private_address_is_refused_when_it_is_called(
    db: Database, blobs: Blobs, keys: Keys, clock: FixedClock
) -> None:
    async with (
        app_client(db, blobs, keys, clock, OPERATIONS, first=bare()) as registry,
        other_server(lambda _asked: reply(200)) as inside,
    ):
        made = await hooked(registry, f"https://localhost:{inside.port}/", events=["asset.*"])
        told = (await registry.as_(Role.ADMIN).post(f"{HOOKS}/{made['id']}/test")).json()
        assert not told["delivered"]
        assert "MUNIMENT_OUTBOUND_PRIVATE" in told["error"]
        assert inside.connections == 0
