"""Consumers over HTTP: who may bind, what is refused and recorded, how bindings stand, notices."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest

from muniment.server import catalog, ledger, policy, serving
from muniment.server.catalog.records import Mode, NamespaceChange, RiskTier
from muniment.server.federation.actions import deliveries
from muniment.server.federation.records import Event
from muniment.server.federation.rules.events import NATIVE_DIALECT
from muniment.server.http.operation import Operation
from muniment.server.http.records import Grant, Role, Scope, Verb
from muniment.server.identity import By
from muniment.server.identity.rules.access import VERBS
from muniment.server.ledger.records import Actor
from muniment.server.policy.records import Bundle
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from muniment.server.ports.queue_inline import InlineWorker
from muniment.server.serving.routes import OPERATIONS as CONSUMERS
from muniment.server.wiring import HANDLERS, OPERATIONS
from tests.actions.test_lifecycle import FRAUD, made
from tests.support.app import Client, RegistrySimulator, app_client
from tests.support.catalog import Catalog
from tests.support.folded import agrees
from tests.support.policies import starter

API = "/api/v1"
ASSET = f"{API}/assets/default/fraud"
BIND = f"{ASSET}/consumers"
ALL = f"{API}/consumers"
ONE, TWO = f"{ASSET}/versions/1.0.0", f"{ASSET}/versions/2.0.0"
#: What the metadata of tests allows and prohibits.
ALLOWED, PROHIBITED = "card-fraud-triage", "credit-decisions"
CHECKOUT = {
    "system": "checkout", "endpoint": "https://pay.example/score", "use_case": ALLOWED,
}  # fmt: skip
WHY = {"reason": "because"}
SECOND, MINUTE = dt.timedelta(seconds=1), dt.timedelta(minutes=1)


@pytest.fixture
async def registry(
    db: PostgresDatabase, blobs: Blobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[RegistrySimulator]:
    """A registry under the starter bundle that enforces, with `fraud` 1.0.0 and 2.0.0."""
    async with db.transaction() as tx:
        await made(tx, Catalog(clock), policy_=starter())
    async with app_client(db, blobs, keys, clock, OPERATIONS) as simulator:
        yield simulator
        await agrees(db)


async def bound(client: Client, **more: Any) -> dict[str, Any]:
    answer = await client.post(BIND, json={**CHECKOUT, **more})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()["binding"]
    return found


async def shown(client: Client, one: dict[str, Any], **params: Any) -> dict[str, Any]:
    answer = await client.get(f"{ALL}/{one['id']}", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def govern(registry: RegistrySimulator, mode: Mode) -> None:
    async with registry.deps.db.transaction() as tx:
        by = Catalog(registry.deps.clock).by()  # type: ignore[arg-type]
        await catalog.govern_namespace(tx, FRAUD.namespace, NamespaceChange(mode, reason="t"), by)


async def acts(registry: RegistrySimulator) -> list[str]:
    async with registry.deps.db.transaction(read_only=True) as tx:
        rows = await tx.fetch(
            "SELECT act FROM ledger_entry e JOIN ledger_pending p ON p.entry_id = e.id ORDER BY arrival"
        )
    return [row["act"] for row in rows if row["act"].startswith("consumer.")]


def prohibiting(use: str) -> Bundle:
    """The starter bundle, with one more use that nobody may make of anything."""
    files = dict(policy.read_files(policy.STARTER))
    tables = json.loads(files["data.json"])
    tables["uses"]["prohibited"].append(use)
    return policy.read_bundle({**files, "data.json": json.dumps(tables).encode()})


# --- who may -------------------------------------------------------------------------------------


async def test_only_who_has_the_verb_gets_in(registry: RegistrySimulator) -> None:
    one = await bound(registry.as_(Role.CONSUMER))
    for operation in CONSUMERS:
        await refuses(registry, operation, one)


async def refuses(registry: RegistrySimulator, operation: Operation, one: dict[str, Any]) -> None:
    path = operation.path.format(namespace="default", name="fraud", binding_id=one["id"])
    body = CHECKOUT if operation.id == "bind_consumer" else {}

    async def call(client: Client) -> httpx.Response:
        sent = body if operation.method == "POST" else None
        return await client.request(operation.method, path, json=sent)

    unknown = await call(registry.anonymous)
    assert (unknown.status_code, unknown.json()["code"]) == (401, "not_authenticated")
    elsewhere = await call(registry.with_grants(Grant(Role.ADMIN, Scope("team-a"))))
    if operation.id == "list_consumers":
        assert elsewhere.json()["items"] == []
    else:
        assert elsewhere.status_code == 404
    for role in Role:
        if operation.needs not in VERBS[role]:
            answer = await call(registry.as_(role))
            assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed"), role


async def test_reading_is_not_enough_to_bind(registry: RegistrySimulator) -> None:
    for role in Role:
        answer = await registry.as_(role).post(BIND, json={**CHECKOUT, "dry_run": True})
        assert answer.status_code == (200 if Verb.USE in VERBS[role] else 403), role
    ours = registry.as_(Role.CONSUMER, Scope("default", "fraud"))
    assert (await ours.post(BIND, json=CHECKOUT)).status_code == 201


async def test_who_made_it_owns_the_asset_or_governs_ends_it(
    registry: RegistrySimulator, clock: FixedClock
) -> None:
    consumer = registry.as_(Role.CONSUMER)
    one = await bound(consumer)
    end = f"{ALL}/{one['id']}/end"
    for role in Role:
        answer = await registry.as_(role, Scope("default")).post(end, json={})
        may = Verb.GOVERN in VERBS[role]
        assert answer.status_code == (422 if may else 403), role  # 422: no reason
    clock.advance(MINUTE)
    ended = (await consumer.post(end, json=WHY)).json()
    assert (ended["ended_as"], ended["ended_reason"]) == ("ended", "because")
    again = (await consumer.post(end, json={"reason": "other"})).json()
    assert again["ended_entry_id"] == ended["ended_entry_id"]
    assert await acts(registry) == ["consumer.bind", "consumer.end"]
    for as_of, many in ((None, 0), (one["bound_at"], 1), ("2026-01-01T00:00:00Z", None)):
        found = await consumer.get(f"{BIND}/count", params={"as_of": as_of} if as_of else {})
        assert found.json().get("consumers") == many
    # The asset's owner is whoever has that name.
    other = await bound(consumer)
    reader = registry.as_(Role.VIEWER)
    me = (await reader.get(f"{API}/whoami")).json()
    name = me.get("name") or me["principal"]["name"]
    admin = registry.as_(Role.ADMIN)
    await admin.patch(ASSET, json={"backup_owner": name})
    done = await reader.post(f"{ALL}/{other['id']}/end", json=WHY)
    assert done.status_code == 200, done.text


# --- binding -------------------------------------------------------------------------------------


async def test_of_a_time_to_come_nothing_else_is_known_than_of_now(
    registry: RegistrySimulator,
) -> None:
    consumer = registry.as_(Role.CONSUMER)
    await bound(consumer)
    for as_of in ("9999-12-31", "9999-12-31T23:59:59Z"):
        answer = await consumer.get(ALL, params={"as_of": as_of})
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["items"]) == 1


async def test_binding_anew_waits_for_the_end_of_the_binding(
    registry: RegistrySimulator, clock: FixedClock
) -> None:
    consumer = registry.as_(Role.CONSUMER)
    one = await bound(consumer, version="1.0.0")
    async with registry.deps.db.transaction() as tx:
        by = By(Actor("person", "ada"), clock.now(), clock.new_id)
        await serving.end(tx, uuid.UUID(one["id"]), "gone", by)
        anew = asyncio.create_task(consumer.post(BIND, json={**CHECKOUT, "version": "2.0.0"}))
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while not await tx.fetchval(waiting):
            assert not anew.done()
            await asyncio.sleep(0)
    answer = await anew
    assert (answer.status_code, answer.json()["replaced"]) == (201, None)
    assert await acts(registry) == ["consumer.bind", "consumer.end", "consumer.bind"]


async def test_new_use_is_bound_once(registry: RegistrySimulator) -> None:
    consumer = registry.as_(Role.CONSUMER)
    dry = (await consumer.post(BIND, json={**CHECKOUT, "dry_run": True})).json()
    assert (dry["dry_run"], dry["created"], dry["binding"]["entry_id"]) == (True, False, None)
    assert dry["verdict"]["decision"] == "allow"
    assert (await consumer.get(ALL)).json()["items"] == []
    first = await consumer.post(BIND, json=CHECKOUT)
    assert first.status_code == 201, first.text
    body = first.json()
    assert (body["binding"]["version"], body["binding"]["uses"]) == (None, "2.0.0")
    use = next(one for one in body["verdict"]["results"] if one["id"] == "USE-001")
    assert (use["outcome"], use["class"]) == ("passed", "critical_safety")
    again = await consumer.post(BIND, json=CHECKOUT)
    assert (again.status_code, again.json()["created"]) == (200, False)
    assert again.json()["binding"] == body["binding"]
    assert await acts(registry) == ["consumer.bind"]
    # Another environment is another use; another version is the same use, bound anew.
    await bound(consumer, environment="staging")
    moved = (await consumer.post(BIND, json={**CHECKOUT, "version": "1.0.0"})).json()
    assert (moved["replaced"], moved["binding"]["uses"]) == (body["binding"]["id"], "1.0.0")
    was = await shown(consumer, body["binding"])
    assert (was["ended_as"], was["notice"]) == ("replaced", None)
    current = (await consumer.get(ALL)).json()["items"]
    assert [(one["version"], one["environment"]) for one in current] == [
        ("1.0.0", None),
        (None, "staging"),
    ]
    count = (await consumer.get(f"{BIND}/count")).json()
    assert count == {
        "consumers": 2, "unacknowledged": 0, "by_version": {"1.0.0": 1, "2.0.0": 1},
    }  # fmt: skip


async def test_the_same_use_at_the_same_time_is_bound_once(registry: RegistrySimulator) -> None:
    consumer = registry.as_(Role.CONSUMER)
    await consumer.get(ALL)
    answers = await asyncio.gather(*(consumer.post(BIND, json=CHECKOUT) for _ in range(5)))
    assert sorted(one.status_code for one in answers) == [200, 200, 200, 200, 201]
    assert len({one.json()["binding"]["id"] for one in answers}) == 1
    assert await acts(registry) == ["consumer.bind"]


@pytest.mark.parametrize(
    ("use_case", "words"),
    [(PROHIBITED, "prohibited use"), ("hiring", "not among its allowed uses")],
)
async def test_a_refusal_is_recorded_judged_and_says_who_can_help(
    registry: RegistrySimulator, use_case: str, words: str
) -> None:
    consumer, admin = registry.as_(Role.CONSUMER), registry.as_(Role.ADMIN)
    await registry.as_(Role.PUBLISHER).get(ALL)  # there is somebody who registers
    wanted = {**CHECKOUT, "use_case": use_case, "reason": "we need it"}
    dry = await consumer.post(BIND, json={**wanted, "dry_run": True})
    assert (dry.status_code, dry.json()["entry_id"]) == (403, None)
    answer = await consumer.post(BIND, json=wanted)
    body = answer.json()
    assert (answer.status_code, body["code"]) == (403, "refused")
    assert words in body["detail"]
    assert [one["field"] for one in body["problems"]] == ["USE-001"]
    [way] = body["ways"]
    assert "publisher" in way["roles"]
    assert way["people"], "somebody is named"
    assert await acts(registry) == ["consumer.refuse"]
    attempts = (await admin.get(f"{API}/namespaces/default/attempts")).json()["items"]
    assert [(one["step"], one["environment"], one["carried_out"]) for one in attempts] == [
        ("bind", None, False)
    ]
    counted = (await admin.get(f"{API}/namespaces/default/enforcement")).json()
    assert counted["by_rule"] == {"USE-001": 1}
    [verdict] = (await admin.get(f"{API}/policy/verdicts?step=bind")).json()["items"]
    assert (verdict["failed"], verdict["carried_out"]) == (["USE-001"], False)
    found = (await admin.get(f"{API}/policy/verdicts/{verdict['id']}")).json()
    assert found["document"]["consumer"] == {"name": "checkout", "use": use_case}
    replayed = await admin.post(f"{API}/policy/verdicts/{verdict['id']}/replay", json={})
    assert replayed.json()["same"] is True
    history = (await admin.get(f"{ASSET}/history")).json()["items"]
    assert history[0]["act"] == "consumer.refuse"


@pytest.mark.parametrize(("mode", "warned"), [(Mode.OBSERVE, 0), (Mode.WARN, 1)])
async def test_a_namespace_that_does_not_enforce_records_and_counts(
    registry: RegistrySimulator, mode: Mode, warned: int
) -> None:
    await govern(registry, mode)
    consumer, admin = registry.as_(Role.CONSUMER), registry.as_(Role.ADMIN)
    answer = await consumer.post(BIND, json={**CHECKOUT, "use_case": PROHIBITED})
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert (body["would_have_been_refused"], len(body["warnings"])) == (True, warned)
    counted = (await admin.get(f"{API}/namespaces/default/enforcement")).json()
    assert (counted["refused"], counted["would_have_been_refused"]) == (0, 1)
    # What holds always is refused here too.
    await admin.post(f"{TWO}/quarantine", json=WHY)
    held = await consumer.post(BIND, json={**CHECKOUT, "system": "other"})
    assert (held.status_code, "STATE-002" in held.json()["detail"]) == (403, True)
    counted = (await admin.get(f"{API}/namespaces/default/enforcement")).json()
    assert (counted["refused"], counted["would_have_been_refused"]) == (1, 1)


async def test_the_version_that_would_be_used_is_judged(registry: RegistrySimulator) -> None:
    ci, consumer = registry.workload(Role.PUBLISHER), registry.as_(Role.CONSUMER)
    admin = registry.as_(Role.ADMIN)
    await govern(registry, Mode.OBSERVE)  # so that something is in staging
    done = await ci.post(f"{ONE}/promote", json={"environment": "staging"})
    assert done.status_code == 200, done.text
    await govern(registry, Mode.ENFORCE)
    assert (await bound(consumer, environment="staging"))["uses"] == "1.0.0"
    assert (await bound(consumer, environment="production"))["uses"] == "2.0.0"
    await admin.post(f"{TWO}/deprecate", json=WHY)
    refused = await consumer.post(BIND, json=CHECKOUT)
    assert {one["field"] for one in refused.json()["problems"]} == {"STATE-003", "USE-001"}
    assert (await bound(consumer, version="1.0.0"))["uses"] == "1.0.0"
    # Nothing that is retired is what a new consumer gets.
    await admin.post(f"{TWO}/retire", json=WHY)
    assert (await bound(consumer, system="late"))["uses"] == "1.0.0"
    gone = await consumer.post(BIND, json={**CHECKOUT, "version": "2.0.0", "system": "x"})
    assert "STATE-001" in gone.json()["detail"]


async def test_a_tier_that_is_unacceptable(
    registry: RegistrySimulator,
) -> None:
    consumer, admin = registry.as_(Role.CONSUMER), registry.as_(Role.ADMIN)
    one = await bound(consumer)
    await admin.patch(ASSET, json={"risk_tier": RiskTier.UNACCEPTABLE.value})
    refused = await consumer.post(BIND, json={**CHECKOUT, "system": "x"})
    assert [each["field"] for each in refused.json()["problems"]] == ["RISK-001"]
    assert (await shown(consumer, one))["standing"]["state"] == "prohibited"


BAD: list[tuple[dict[str, Any], int]] = [
    ({"system": "a\u0000b"}, 422),
    ({"system": "x" * 10_000}, 422),
    ({"system": "x" * 201}, 422),
    ({"endpoint": "x" * 10_000}, 422),
    ({"endpoint": "https://u:p@h/"}, 422),
    ({"use_case": "a\nb"}, 422),
    ({"use_case": "\u202eb"}, 422),
    ({"environment": "moon"}, 422),
    ({"version": "9.9.9"}, 404),
    ({"version": "latest!"}, 422),
    ({"reason": "x" * 3000}, 422),
    ({"more": 1}, 422),
]


async def test_bad_input_is_a_clear_refusal(registry: RegistrySimulator) -> None:
    for body, status in BAD:
        answer = await registry.as_(Role.CONSUMER).post(BIND, json={**CHECKOUT, **body})
        assert answer.status_code == status, answer.text
    assert await acts(registry) == []
    for bad in ("nonsense", "00000000-0000-0000-0000-000000000000"):
        gone = await registry.as_(Role.ADMIN).get(f"{ALL}/{bad}")
        assert gone.status_code == 404


async def test_an_asset_without_versions_has_nothing_to_use(registry: RegistrySimulator) -> None:
    admin = registry.as_(Role.ADMIN)
    empty = {"name": "empty", "kind": "model", "owner": "ada"}
    await admin.post(f"{API}/assets", json={**empty, "namespace": "default"})
    answer = await admin.post(f"{API}/assets/default/empty/consumers", json=CHECKOUT)
    assert (answer.status_code, answer.json()["code"]) == (409, "lifecycle_conflict"), answer.text


# --- after it was bound --------------------------------------------------------------------------


async def test_use_goes_on_after_a_deprecation_and_is_acknowledged(
    registry: RegistrySimulator, clock: FixedClock
) -> None:
    consumer, admin = registry.as_(Role.CONSUMER), registry.as_(Role.ADMIN)
    one = await bound(consumer, version="1.0.0")
    await bound(consumer, system="batch")
    early = await consumer.post(f"{ALL}/{one['id']}/acknowledge", json={})
    assert (early.status_code, early.json()["code"]) == (409, "lifecycle_conflict")
    clock.advance(MINUTE)
    why = {"reason": "drift", "replacement": "fraud@2.0.0", "sunset": "2027-06-30"}
    dry = (await admin.post(f"{ONE}/deprecate", json={**why, "dry_run": True})).json()
    assert (dry["dry_run"], dry["lifecycle"], dry["consumer_count"]) == (True, "deprecated", 1)
    assert [each["system"] for each in dry["consumers"]] == ["checkout"]
    assert (await shown(consumer, one))["standing"]["state"] == "allowed"
    done = (await admin.post(f"{ONE}/deprecate", json=why)).json()
    assert (done["consumer_count"], done["consumers"][0]["id"]) == (1, one["id"])
    now = await shown(consumer, one)
    assert now["standing"]["state"] == "deprecated"
    assert "use fraud@2.0.0" in now["standing"]["why"][0]
    assert now["notice"]["due"] is True
    # Binding the same again is no new use.
    again = await consumer.post(BIND, json={**CHECKOUT, "version": "1.0.0"})
    assert (again.status_code, again.json()["created"]) == (200, False)

    async def due() -> list[str]:
        found = (await consumer.get(ALL, params={"unacknowledged": True})).json()["items"]
        return [each["id"] for each in found]

    assert await due() == [one["id"]]
    assert (await consumer.get(f"{BIND}/count")).json()["unacknowledged"] == 1
    reader = await registry.as_(Role.VIEWER).post(f"{ALL}/{one['id']}/acknowledge", json={})
    assert (reader.status_code, reader.json()["code"]) == (403, "not_allowed")
    clock.advance(MINUTE)
    known = await consumer.post(f"{ALL}/{one['id']}/acknowledge", json={"note": "moving in May"})
    assert known.status_code == 200, known.text
    notice = known.json()["notice"]
    assert (notice["due"], notice["note"]) == (False, "moving in May")
    assert await due() == []
    same = await consumer.post(f"{ALL}/{one['id']}/acknowledge", json={"note": "again"})
    assert same.json()["notice"] == notice


async def test_what_is_said_anew_is_acknowledged_anew(
    registry: RegistrySimulator, clock: FixedClock
) -> None:
    consumer, admin = registry.as_(Role.CONSUMER), registry.as_(Role.ADMIN)
    one = await bound(consumer, version="1.0.0")
    two = await bound(consumer, system="batch")
    before = clock.now()
    clock.advance(MINUTE)
    await admin.post(f"{ONE}/deprecate", json=WHY)
    clock.advance(MINUTE)
    await consumer.post(f"{ALL}/{one['id']}/acknowledge", json={})

    async def due() -> list[str]:
        found = (await consumer.get(ALL, params={"unacknowledged": True})).json()["items"]
        return [each["id"] for each in found]

    # Quarantine is something else; what is said anew of its end is to be acknowledged anew.
    clock.advance(MINUTE)
    await admin.post(f"{ONE}/quarantine", json=WHY)
    assert (await shown(consumer, one))["standing"]["quarantined"] is True
    assert await due() == []
    clock.advance(MINUTE)
    retired = (await admin.post(f"{ONE}/retire", json={"dry_run": True, **WHY})).json()
    assert (retired["lifecycle"], retired["consumer_count"]) == ("retired", 1)
    await admin.post(f"{ONE}/retire", json=WHY)
    assert (await shown(consumer, one))["standing"]["state"] == "retired"
    assert await due() == [one["id"]]
    assert (await shown(consumer, two))["standing"]["state"] == "allowed"
    # As it was.
    then = await shown(consumer, one, as_of=before.isoformat())
    assert (then["standing"]["state"], then["notice"]) == ("allowed", None)
    assert await acts(registry) == ["consumer.bind", "consumer.bind", "consumer.acknowledge"]
    ended = await consumer.post(f"{ALL}/{one['id']}/end", json=WHY)
    assert ended.json()["notice"] is None
    over = await consumer.post(f"{ALL}/{one['id']}/acknowledge", json={})
    assert over.status_code == 409
    assert await due() == []


async def test_another_policy_prohibits_existing_use(
    registry: RegistrySimulator, clock: FixedClock
) -> None:
    """What was allowed is prohibited once the policy in force says so; nothing is written for that."""
    consumer = registry.as_(Role.CONSUMER)
    one = await bound(consumer)
    assert (await shown(consumer, one))["standing"] == {
        "state": "allowed", "why": [], "quarantined": False, "rules": [],
    }  # fmt: skip
    async with registry.deps.db.transaction() as tx:
        await policy.bring_first(tx, prohibiting(ALLOWED), Catalog(clock).by())
    clock.advance(MINUTE)
    found = (await shown(consumer, one))["standing"]
    assert (found["state"], found["rules"]) == ("prohibited", ["USE-001"])
    assert found["why"] == [f"USE-001: {ALLOWED} is a use that nobody may make of anything"]
    refused = await consumer.post(BIND, json={**CHECKOUT, "system": "other"})
    assert refused.status_code == 403
    then = await shown(consumer, one, as_of=one["bound_at"])
    assert then["standing"]["state"] == "allowed"


async def test_a_simulation_says_which_consumers_a_policy_would_hit(
    registry: RegistrySimulator,
) -> None:
    consumer, admin = registry.as_(Role.CONSUMER), registry.as_(Role.ADMIN)
    await bound(consumer, environment="staging")
    over = await bound(consumer, system="over")
    await consumer.post(f"{ALL}/{over['id']}/end", json=WHY)
    draft = policy.pack(prohibiting(ALLOWED))
    sent = await admin.post(f"{API}/policy/bundles", content=draft)
    assert sent.status_code == 201, sent.text
    asked = await admin.post(f"{API}/policy/simulations", json={"digest": sent.json()["digest"]})
    await InlineWorker(registry.deps.db, HANDLERS, context=registry.deps).run_due()
    url = f"{API}/policy/simulations/{asked.json()['id']}"
    result = (await admin.get(url)).json()["result"]
    assert (result["blocked_count"], result["live_count"]) == (2, 1)
    found = (await admin.get(f"{url}/differences")).json()["items"]
    assert [(one["step"], one["live"]) for one in found] == [("bind", ["checkout"]), ("bind", [])]


async def test_lists_are_cut_filtered_and_within_what_one_may_read(
    registry: RegistrySimulator, clock: FixedClock
) -> None:
    consumer = registry.as_(Role.CONSUMER)
    for number in range(5):
        await bound(consumer, system=f"s{number}", environment="staging" if number % 2 else None)
        clock.advance(SECOND)

    async def systems(**params: Any) -> list[str]:
        answer = await consumer.get(ALL, params=params)
        assert answer.status_code == 200, answer.text
        return [one["system"] for one in answer.json()["items"]]

    first = (await consumer.get(ALL, params={"limit": 2})).json()
    assert [one["system"] for one in first["items"]] == ["s4", "s3"]
    assert await systems(limit=2, cursor=first["next_cursor"]) == ["s2", "s1"]
    assert await systems(environment="staging") == ["s3", "s1"]
    assert await systems(system="s2", use_case=ALLOWED, asset="fraud") == ["s2"]
    assert await systems(version="fraud@1.0.0") == []
    assert len(await systems(version="fraud@2.0.0")) == 5
    assert await systems(use_case="other") == []
    nobody = registry.as_(Role.VIEWER, Scope("default", "other"))
    assert (await nobody.get(ALL)).json()["items"] == []
    assert (await nobody.get(ALL, params={"asset": "fraud"})).status_code == 404
    ours = registry.as_(Role.VIEWER, Scope("default", "fraud"))
    assert len((await ours.get(ALL)).json()["items"]) == 5
    bad = await consumer.get(ALL, params={"cursor": "eyJpZCI6MX0"})
    assert bad.json()["code"] == "bad_cursor"


async def test_rows_never_change(registry: RegistrySimulator, clock: FixedClock) -> None:
    consumer, admin = registry.as_(Role.CONSUMER), registry.as_(Role.ADMIN)
    one = await bound(consumer, version="1.0.0")
    clock.advance(MINUTE)
    await admin.post(f"{ONE}/deprecate", json=WHY)
    await consumer.post(f"{ALL}/{one['id']}/acknowledge", json={})
    await consumer.post(f"{ALL}/{one['id']}/end", json=WHY)
    for statement in (
        "UPDATE consumer_binding SET use_case = 'hiring'",
        (
            "UPDATE consumer_binding SET ended_at = NULL, ended_as = NULL, ended_reason = NULL,"
            " ended_actor_kind = NULL, ended_actor_id = NULL, ended_entry_id = NULL"
        ),
        "DELETE FROM consumer_binding",
        "UPDATE consumer_acknowledgement SET note = 'never'",
        "DELETE FROM consumer_acknowledgement",
    ):
        with pytest.raises(asyncpg.RestrictViolationError, match="never change"):
            async with registry.deps.db.transaction() as tx:
                await tx.execute(statement)


async def test_what_webhooks_are_told(registry: RegistrySimulator) -> None:
    consumer = registry.as_(Role.CONSUMER)
    one = await bound(consumer, version="1.0.0")
    ended = await consumer.post(f"{ALL}/{one['id']}/end", json=WHY)
    told: list[Event] = []
    async with registry.deps.db.transaction(read_only=True) as tx:
        for entry_id in (one["entry_id"], ended.json()["ended_entry_id"]):
            entry = await ledger.entry(tx, uuid.UUID(entry_id))
            told += NATIVE_DIALECT.events_of(await deliveries.tell(tx, entry))
    bind, end = told
    assert (bind.name, end.name) == ("consumer.bind", "consumer.end")
    for event in told:
        assert event.data["subject"] == {"kind": "consumer", "id": one["id"], "name": "checkout"}
        assert event.data["asset"]["name"] == "fraud"
        assert [each["version"] for each in event.data["versions"].values()] == ["1.0.0"]
    assert bind.data["payload"]["binding"]["use_case"] == ALLOWED
    assert end.data["payload"]["binding_ended"]["reason"] == "because"
    history = (await consumer.get(f"{ONE}/history")).json()["items"]
    assert [(each["act"], each["changes"].get("system")) for each in history[:2]] == [
        ("consumer.end", [None, "checkout"]),
        ("consumer.bind", [None, "checkout"]),
    ]
