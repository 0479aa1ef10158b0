"""Policies over HTTP: send a bundle, see what it would change, two people bring it into force."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from muniment.core.errors import Unavailable
from muniment.server import policy
from muniment.server.catalog.records import Version
from muniment.server.http.operation import Operation
from muniment.server.http.records import EVERYTHING, Grant, PrincipalKind, Role, Scope
from muniment.server.policy import routes
from muniment.server.policy.actions import simulating
from muniment.server.policy.records import Bundle
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from muniment.server.ports.queue_inline import InlineWorker
from muniment.server.wiring import HANDLERS, OPERATIONS
from tests.support.app import RegistrySimulator, app_client
from tests.support.catalog import Catalog
from tests.support.folded import agrees
from tests.support.policies import (
    BODY,
    DOCUMENT,
    FIXTURES,
    act,
    begin,
    bundle,
    rule,
    small_files,
    starter,
)

BUNDLES, ACTIVATIONS = "/api/v1/policy/bundles", "/api/v1/policy/activations"
SIMULATIONS, VERDICTS = "/api/v1/policy/simulations", "/api/v1/policy/verdicts"
#: The rule of the first bundle, and another under the same id that stops nothing.
STRICT = small_files()
NEVER = BODY.replace("input.subject.quarantined", 'input.subject.kind == "prompt"')
LAX = {
    "rules/1.rego": rule(NEVER, rule_class="critical_safety"),
    "fixtures/1.yaml": FIXTURES.replace(b"quarantined: false", b"kind: model").replace(
        b"name: bad,", b"name: bad, with: {subject: {kind: prompt}},"
    ),
}


@pytest.fixture
async def registry(
    db: PostgresDatabase, blobs: Blobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[RegistrySimulator]:
    async with app_client(db, blobs, keys, clock, OPERATIONS) as simulator:
        yield simulator


def made_of(files: dict[str, bytes]) -> Bundle:
    return policy.read_bundle(files)


async def push(client: httpx.AsyncClient, files: dict[str, bytes]) -> httpx.Response:
    return await client.post(BUNDLES, content=policy.pack(made_of(files)))


async def work(registry: RegistrySimulator, *, early: bool = False) -> list[str]:
    """Do the jobs that are due; how those of policy went (there are no files to scan)."""
    deps = registry.deps
    ran = await InlineWorker(deps.db, HANDLERS, context=deps).run_due(early=early)
    return [one.outcome for one in ran if one.job.name == simulating.JOB]


async def simulated(registry: RegistrySimulator, digest: str) -> dict[str, Any]:
    ada = registry.as_(Role.ADMIN)
    asked = (await ada.post(SIMULATIONS, json={"digest": digest})).raise_for_status().json()
    await work(registry)
    found: dict[str, Any] = (await ada.get(f"{SIMULATIONS}/{asked['id']}")).json()
    assert found["state"] == "done", found
    return found


async def judged(registry: RegistrySimulator, first: Bundle, *documents: Any) -> list[str]:
    """One version about which that was asked, in that order; ids of the verdicts."""
    by = Catalog(registry.deps.clock)  # type: ignore[arg-type]
    async with registry.deps.db.transaction() as tx:
        await by.asset(tx)
        version = await by.version(tx, "fraud", "1.0.0")
        said = [await act(tx, first, {**DOCUMENT, **one}, version, by.by()) for one in documents]
    return [str(one.id) for one in said]


async def test_a_bundle_is_sent_checked_listed_and_downloaded(
    registry: RegistrySimulator, db: PostgresDatabase, clock: FixedClock
) -> None:
    await begin(db, clock)
    ada, viewer = registry.as_(Role.ADMIN), registry.as_(Role.VIEWER, Scope("elsewhere"))
    sent = await push(ada, STRICT)
    assert (sent.status_code, sent.json()["created"]) == (201, True)
    digest = sent.json()["digest"]
    assert digest == made_of(STRICT).digest
    clock.advance(dt.timedelta(seconds=1))
    again = await push(ada, STRICT)
    assert (again.status_code, again.json()["entry_id"]) == (200, sent.json()["entry_id"])
    page = (await viewer.get(BUNDLES, params={"limit": 1})).json()
    rest = (await viewer.get(BUNDLES, params={"cursor": page["next_cursor"]})).json()
    found = [one["digest"] for one in (*page["items"], *rest["items"])]
    assert sorted(found) == sorted([digest, starter().digest])
    shown = (await viewer.get(f"{BUNDLES}/active")).json()
    assert (shown["digest"], shown["active"], len(shown["rules"])) == (starter().digest, True, 22)
    assert shown["criteria"].startswith("# Approval criteria")
    data = await viewer.get(f"{BUNDLES}/{digest}/content")
    assert data.headers["content-type"] == "application/gzip"
    assert policy.read_bundle(policy.unpack(data.content)).digest == digest
    assert data.headers["etag"] == f'"{digest}"'
    assert (await viewer.get(f"{BUNDLES}/{digest}/content")).content == data.content
    differ = (await viewer.get(f"{BUNDLES}/{digest}/differences")).json()
    changes = {(one["what"], one["change"]) for one in differ["differences"]}
    assert {("SEC-001", "changed"), ("SEC-002", "removed"), ("data.json", "removed")} <= changes
    for wrong in ("0" * 64, "nothing"):
        assert (await viewer.get(f"{BUNDLES}/{wrong}")).status_code == 404
    await agrees(db)


async def test_an_agent_that_polls_is_sent_what_is_in_force_once(
    registry: RegistrySimulator,
    db: PostgresDatabase,
    clock: FixedClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await begin(db, clock, made_of(STRICT))
    viewer = registry.as_(Role.VIEWER)
    url = f"{BUNDLES}/active/content"
    sent = await viewer.get(url)
    assert sent.headers["etag"] == f'"{made_of(STRICT).digest}"'

    def never(*_: object) -> bytes:
        raise AssertionError("it was packed again")

    monkeypatch.setattr("muniment.server.policy.rules.archives.pack", never)
    for kept in (sent.headers["etag"], f'"x", W/{sent.headers["etag"]}', "*"):
        same = await viewer.get(url, headers={"If-None-Match": kept})
        assert (same.status_code, same.content) == (304, b"")
        assert same.headers["etag"] == sent.headers["etag"]
    other = await viewer.get(url, headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.content) == (200, sent.content)
    missing = f"{BUNDLES}/{'0' * 64}/content"
    assert (await viewer.get(missing, headers={"If-None-Match": "*"})).status_code == 404


async def test_everything_that_is_wrong_with_a_bundle_is_said_and_nothing_kept(
    registry: RegistrySimulator, db: PostgresDatabase
) -> None:
    ada = registry.as_(Role.ADMIN)
    broken = {"rules/1.rego": rule("foo {{{"), "rules/2.rego": rule(BODY, "SEC-002")}
    refused = await push(ada, broken)
    assert refused.status_code == 422
    assert refused.json()["code"] == "bad_policy"
    fields = [one["field"] for one in refused.json()["problems"]]
    assert fields == ["fixtures/"] * 4 + ["rules/"]
    wrong = {**STRICT, "fixtures/1.yaml": FIXTURES.replace(b"outcome: failed", b"outcome: passed")}
    [problem] = (await push(ada, {**wrong, "fixtures/2.yaml": FIXTURES})).json()["problems"]
    assert problem["field"] == "fixtures/1.yaml: fixtures[1] (bad)"
    assert problem["message"].startswith("expected passed, found failed")
    for junk in (b"", b"junk", policy.pack(starter())[:-9]):
        assert (await ada.post(BUNDLES, content=junk)).status_code == 422
    assert (await ada.post(BUNDLES, content=b"0" * (3 << 20))).status_code == 413
    async with db.transaction(read_only=True) as tx:
        assert await tx.fetchval("SELECT count(*) FROM policy_bundle") == 0


async def test_a_simulation_says_what_would_change(
    registry: RegistrySimulator, db: PostgresDatabase, clock: FixedClock
) -> None:
    first = await begin(db, clock, made_of(STRICT))
    fine = {"subject": {**DOCUMENT["subject"], "quarantined": False}}
    prompt = {"step": "approve", "subject": {**fine["subject"], "kind": "prompt"}}
    ids = await judged(registry, first, {}, fine, prompt)
    async with db.transaction() as tx:
        await tx.execute(
            """
            INSERT INTO deployment (id, asset_id, version_id, environment, mode, since, actor_kind,
                                    actor_id, reason, entry_id)
            SELECT gen_random_uuid(), asset_id, id, 'production', 'full', now(), 'person', 'ada', '',
                   gen_random_uuid()
            FROM version
            """
        )
    digest = (await push(registry.as_(Role.ADMIN), LAX)).json()["digest"]
    found = await simulated(registry, digest)
    result = found["result"]
    assert (found["done_count"], found["total_count"], result["verdict_count"]) == (3, 3, 3)
    assert (result["blocked_count"], result["let_through_count"]) == (1, 1)
    assert (result["approval_count"], result["live_count"]) == (1, 1)
    assert result["safety"] == result["to_acknowledge"] == ["SEC-001"]
    ada = registry.as_(Role.ADMIN)
    url = f"{SIMULATIONS}/{found['id']}/differences"
    page = (await ada.get(url, params={"limit": 1})).json()
    rest = (await ada.get(url, params={"cursor": page["next_cursor"]})).json()
    listed = [*page["items"], *rest["items"]]
    assert [one["verdict_id"] for one in listed] == [ids[0], ids[2]]
    assert [one["kind"] for one in listed] == ["let_through", "blocked"]
    assert [one["loses_approval"] for one in listed] == [False, True]
    assert [one["live"] for one in listed] == [["production"]] * 2
    assert [one["newest"] for one in listed] == [False, True]
    assert listed[0]["safety"] == ["SEC-001"]
    assert listed[1]["newly_failed"][0]["id"] == "SEC-001"
    again = (await ada.post(SIMULATIONS, json={"digest": digest})).json()
    assert again["id"] == found["id"], "nothing was judged since"
    for missing in (url.replace(found["id"], ids[0]), f"{SIMULATIONS}/x"):
        assert (await ada.get(missing)).status_code == 404
    assert (await ada.post(SIMULATIONS, json={"digest": "0" * 64})).status_code == 404


async def test_a_simulation_that_is_killed_goes_on_where_it_was(
    registry: RegistrySimulator,
    db: PostgresDatabase,
    clock: FixedClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = await begin(db, clock, made_of(STRICT))
    await judged(registry, first, *({"at": at} for at in range(5)))
    digest = (await push(registry.as_(Role.ADMIN), LAX)).json()["digest"]
    asked = await registry.as_(Role.ADMIN).post(SIMULATIONS, json={"digest": digest})
    monkeypatch.setattr("muniment.server.policy.jobs._BATCH", 2)
    with monkeypatch.context() as patched:

        async def killed(*_: object) -> object:
            raise Unavailable

        patched.setattr(simulating, "sum_up", killed)
        assert await work(registry) == ["later"]
    assert await work(registry, early=True) == ["done"]
    found = (await registry.as_(Role.ADMIN).get(f"{SIMULATIONS}/{asked.json()['id']}")).json()
    assert (found["state"], found["result"]["let_through_count"]) == ("done", 5)


async def test_two_people_bring_a_policy_into_force(
    registry: RegistrySimulator, db: PostgresDatabase, clock: FixedClock
) -> None:
    first = await begin(db, clock, made_of(STRICT))
    await judged(registry, first, {})
    ada, governor = registry.as_(Role.ADMIN), registry.as_(Role.APPROVER_GOVERNANCE)
    sender = registry.with_grants(Grant(Role.ADMIN, EVERYTHING), Grant(Role.VIEWER, EVERYTHING))
    digest = (await push(sender, LAX)).json()["digest"]
    body = {"digest": digest, "reason": "too strict"}
    early = await ada.post(ACTIVATIONS, json=body)
    assert (early.status_code, "muniment policy simulate" in early.text) == (409, True)
    await simulated(registry, digest)
    clock.advance(dt.timedelta(minutes=1))
    later = clock.now() + dt.timedelta(days=2)
    proposed = await ada.post(ACTIVATIONS, json={**body, "effective_from": later.isoformat()})
    assert proposed.status_code == 200, proposed.text
    assert (await ada.post(ACTIVATIONS, json={**body, "effective_from": later.isoformat()})).json()[
        "id"
    ] == proposed.json()["id"], "the same again"
    assert proposed.json()["simulation"]["safety"] == ["SEC-001"]
    one = f"{ACTIVATIONS}/{proposed.json()['id']}"
    yes = {"reason": "we want that", "weakens": ["SEC-001"]}
    for who in (ada, sender):
        refused = await who.post(f"{one}/approve", json=yes)
        assert (refused.status_code, refused.json()["code"]) == (403, "refused")
    blind = await governor.post(f"{one}/approve", json={"reason": "ok"})
    assert (blind.status_code, "--weakens SEC-001" in blind.text) == (422, True)
    done = await governor.post(f"{one}/approve", json=yes)
    assert (done.status_code, done.json()["state"]) == (200, "scheduled")
    assert (await governor.post(f"{one}/approve", json=yes)).json() == done.json()
    assert (await ada.get(f"{BUNDLES}/active")).json()["digest"] == first.digest
    clock.at = later
    assert (await ada.get(f"{BUNDLES}/active")).json()["digest"] == digest
    listed = (await registry.as_(Role.VIEWER).get(ACTIVATIONS)).json()["items"]
    assert [(item["state"], item["active"]) for item in listed] == [
        ("effective", True),
        ("effective", False),
    ]
    gone = await ada.post(f"{one}/withdraw", json={"reason": "no"})
    assert (gone.status_code, "is to replace it" in gone.text) == (409, True)
    in_force = await ada.post(ACTIVATIONS, json=body)
    assert (in_force.status_code, "in force already" in in_force.text) == (422, True)
    async with db.transaction(read_only=True) as tx:
        rows = await tx.fetch("SELECT act FROM ledger_entry WHERE act LIKE 'policy.%' ORDER BY id")
    assert [row["act"] for row in rows] == [
        "policy.add", "policy.activate", "policy.add", "policy.propose", "policy.refuse",
        "policy.refuse", "policy.activate",
    ]  # fmt: skip
    await agrees(db)


async def test_a_proposal_may_be_withdrawn_and_is_void_when_its_ground_moved(
    registry: RegistrySimulator, db: PostgresDatabase, clock: FixedClock
) -> None:
    await begin(db, clock)
    ada, governor = registry.as_(Role.ADMIN), registry.as_(Role.APPROVER_GOVERNANCE)
    proposals = []
    weakened = sorted(one.id for one in starter().rules if one.rule_class == "critical_safety")
    weakened.append("profiles.high.own_key")
    for files in (STRICT, LAX):
        digest = (await push(ada, files)).json()["digest"]
        await simulated(registry, digest)
        made = await ada.post(ACTIVATIONS, json={"digest": digest, "reason": "why"})
        assert made.json()["simulation"]["weakened"] == weakened
        assert list(made.json()["simulation"]["fixtures"]) == ["SEC-001"]
        proposals.append(f"{ACTIVATIONS}/{made.json()['id']}")
    opened = (await ada.get(ACTIVATIONS, params={"open": True, "limit": 1})).json()
    assert f"{ACTIVATIONS}/{opened['items'][0]['id']}" == proposals[1]
    more = {"open": True, "cursor": opened["next_cursor"]}
    [next_] = (await ada.get(ACTIVATIONS, params=more)).json()["items"]
    assert f"{ACTIVATIONS}/{next_['id']}" == proposals[0]
    yes = {"reason": "yes", "weakens": weakened}
    other = registry.with_grants(
        Grant(Role.APPROVER_GOVERNANCE, EVERYTHING), Grant(Role.VIEWER, EVERYTHING)
    )
    both = await asyncio.gather(
        *(who.post(f"{proposals[0]}/approve", json=yes) for who in (governor, other))
    )
    assert sorted(one.status_code for one in both) == [200, 409]
    done = next(one for one in both if one.status_code == 200)
    assert (done.json()["state"], done.json()["active"]) == ("effective", True)
    void = await governor.post(f"{proposals[1]}/approve", json=yes)
    assert (void.status_code, "the policy in force changed" in void.text) == (409, True)
    gone = await ada.post(f"{proposals[1]}/withdraw", json={"reason": "anew"})
    assert gone.json()["withdrawn"]["reason"] == "anew"
    again = await ada.post(f"{proposals[1]}/withdraw", json={"reason": "anew"})
    assert again.json() == gone.json()
    assert (await governor.post(f"{proposals[1]}/approve", json=yes)).status_code == 409
    assert (await ada.get(proposals[1])).json() == gone.json()
    for wrong in ({"reason": " "}, {"reason": ""}, {}):
        assert (await ada.post(f"{proposals[1]}/withdraw", json=wrong)).status_code == 422
    assert (
        await ada.get(f"{ACTIVATIONS}/{opened['items'][0]['simulation_id']}")
    ).status_code == 404
    await agrees(db)


async def test_a_rule_that_finds_less_is_caught_by_the_fixtures_of_what_is_in_force(
    registry: RegistrySimulator, db: PostgresDatabase, clock: FixedClock
) -> None:
    """Nothing was ever judged: no verdict could show it."""
    await begin(db, clock, made_of(STRICT))
    ada = registry.as_(Role.ADMIN)
    digest = (await push(ada, LAX)).json()["digest"]
    result = (await simulated(registry, digest))["result"]
    assert (result["verdict_count"], result["safety"]) == (0, [])
    assert result["weakened"] == result["to_acknowledge"] == ["SEC-001"]
    assert result["fixtures"] == {"SEC-001": ["bad"]}
    same = {**STRICT, "README.md": b"the same rules"}
    digest = (await push(ada, same)).json()["digest"]
    assert (await simulated(registry, digest))["result"]["to_acknowledge"] == []
    # Another way to say the same, which fails still.
    other = {**STRICT, "rules/1.rego": STRICT["rules/1.rego"] + b"\nmore := 1\n"}
    digest = (await push(ada, other)).json()["digest"]
    assert (await simulated(registry, digest))["result"]["to_acknowledge"] == []


async def test_an_old_simulation_is_no_ground(
    registry: RegistrySimulator, db: PostgresDatabase, clock: FixedClock
) -> None:
    first = await begin(db, clock, made_of(STRICT))
    await judged(registry, first, {})
    ada, governor = registry.as_(Role.ADMIN), registry.as_(Role.APPROVER_GOVERNANCE)
    digest = (await push(ada, LAX)).json()["digest"]
    body = {"digest": digest, "reason": "too strict"}
    old = await simulated(registry, digest)
    version = await judged_again(registry, first)
    clock.advance(dt.timedelta(hours=23))
    clock.advance(dt.timedelta(hours=2))
    for more in ({}, {"simulation_id": old["id"]}):
        stale = await ada.post(ACTIVATIONS, json={**body, **more})
        assert (stale.status_code, stale.json()["code"]) == (409, "lifecycle_conflict")
        assert f"muniment policy simulate {digest}" in stale.json()["detail"]
    await simulated(registry, digest)
    one = f"{ACTIVATIONS}/{(await ada.post(ACTIVATIONS, json=body)).json()['id']}"
    # What was judged since the proposal counts too: who approves has it simulated again.
    await judged_again(registry, first, version)
    clock.advance(dt.timedelta(hours=25))
    yes = {"reason": "we want that", "weakens": ["SEC-001"]}
    stale = await governor.post(f"{one}/approve", json=yes)
    assert (stale.status_code, "simulate it again" in stale.text) == (409, True)
    newest = await simulated(registry, digest)
    blind = await governor.post(f"{one}/approve", json={"reason": "ok"})
    assert (blind.status_code, "--weakens SEC-001" in blind.text) == (422, True)
    done = (await governor.post(f"{one}/approve", json=yes)).json()
    assert done["state"] == "effective"
    entry = (await ada.get(f"/api/v1/log/entries/{done['approved']['entry_id']}")).json()
    assert entry["payload"]["simulation"]["id"] == newest["id"]
    assert entry["payload"]["simulation_digest"] == newest["result"]["digest"]
    await agrees(db)


async def test_what_a_newer_simulation_found_is_acknowledged_however_fresh_the_first_is(
    registry: RegistrySimulator, db: PostgresDatabase, clock: FixedClock
) -> None:
    first = await begin(db, clock, made_of(STRICT))
    ada, governor = registry.as_(Role.ADMIN), registry.as_(Role.APPROVER_GOVERNANCE)
    lately = BODY.replace("quarantined\n", "quarantined; input.at < 1790000000 }\n")
    lately = lately.replace("if input", "if { input")
    draft = {**STRICT, "rules/1.rego": rule(lately, rule_class="critical_safety")}
    digest = (await push(ada, draft)).json()["digest"]
    assert (await simulated(registry, digest))["result"]["to_acknowledge"] == []
    body = {"digest": digest, "reason": "too strict"}
    one = f"{ACTIVATIONS}/{(await ada.post(ACTIVATIONS, json=body)).json()['id']}"
    await judged(registry, first, {"at": 1790000000})
    clock.advance(dt.timedelta(seconds=1))
    newer = await simulated(registry, digest)
    assert newer["result"]["to_acknowledge"] == ["SEC-001"]
    blind = await governor.post(f"{one}/approve", json={"reason": "ok"})
    assert (blind.status_code, "--weakens SEC-001" in blind.text) == (422, True)
    yes = {"reason": "we want that", "weakens": ["SEC-001"]}
    done = (await governor.post(f"{one}/approve", json=yes)).json()
    entry = (await ada.get(f"/api/v1/log/entries/{done['approved']['entry_id']}")).json()
    assert entry["payload"]["simulation"]["id"] == newer["id"]
    await agrees(db)


async def judged_again(
    registry: RegistrySimulator, first: Bundle, version: Version | None = None
) -> Version:
    """One more verdict, on a version of another asset that is made if there is none yet."""
    by = Catalog(registry.deps.clock)  # type: ignore[arg-type]
    async with registry.deps.db.transaction() as tx:
        if version is None:
            await by.asset(tx, "other")
            version = await by.version(tx, "other", "1.0.0")
        await act(tx, first, DOCUMENT, version, by.by())
    return version


async def test_only_people_decide(
    registry: RegistrySimulator, db: PostgresDatabase, clock: FixedClock
) -> None:
    await begin(db, clock)
    ada = registry.as_(Role.ADMIN)
    digest = (await push(ada, STRICT)).json()["digest"]
    await simulated(registry, digest)
    issued = await registry.issue(
        Grant(Role.ADMIN, EVERYTHING), name="robot", kind=PrincipalKind.SERVICE
    )
    robot = registry.with_token(issued.text)
    body = {"digest": digest, "reason": "why"}
    refused = await robot.post(ACTIVATIONS, json=body)
    assert (refused.status_code, "a service does not propose" in refused.text) == (403, True)
    made = (await ada.post(ACTIVATIONS, json=body)).json()["id"]
    no = await robot.post(f"{ACTIVATIONS}/{made}/approve", json={"reason": "yes"})
    assert (no.status_code, "a service does not approve" in no.text) == (403, True)
    past = {**body, "effective_from": (clock.now() - dt.timedelta(days=1)).isoformat()}
    assert (await ada.post(ACTIVATIONS, json=past)).status_code == 422
    other = {**body, "simulation_id": made}
    assert (await ada.post(ACTIVATIONS, json={**other, "reason": "x"})).status_code == 404
    assert (await ada.post(ACTIVATIONS, json={**body, "digest": "0" * 64})).status_code == 404
    await agrees(db)


async def test_verdicts_are_listed_shown_and_replayed(
    registry: RegistrySimulator, db: PostgresDatabase, clock: FixedClock
) -> None:
    first = await begin(db, clock, bundle())
    ids = await judged(registry, first, {}, {"at": 1}, {"step": "approve"})
    viewer = registry.as_(Role.VIEWER, Scope("default"))
    page = (await viewer.get(VERDICTS, params={"limit": 2})).json()
    rest = (await viewer.get(VERDICTS, params={"cursor": page["next_cursor"]})).json()
    assert [one["id"] for one in (*page["items"], *rest["items"])] == ids[::-1]
    for query, count in (
        ({"name": "fraud"}, 3),
        ({"name": "fraud", "version": "1.0.0", "step": "approve"}, 1),
        ({"decision": "allow"}, 0),
    ):
        assert len((await viewer.get(VERDICTS, params=query)).json()["items"]) == count
    assert (await viewer.get(VERDICTS, params={"name": "other"})).status_code == 404
    shown = (await viewer.get(f"{VERDICTS}/{ids[0]}")).json()
    assert (shown["subject"], shown["decision"]) == ("fraud@1.0.0", "deny")
    assert (shown["document"], shown["results"][0]["message"]) == (DOCUMENT, "found a@1.0.0")
    told = (await viewer.post(f"{VERDICTS}/{ids[0]}/replay")).json()
    assert (told["same"], told["decision"], told["differences"]) == (True, "deny", [])
    elsewhere = registry.as_(Role.VIEWER, Scope("elsewhere"))
    assert (await elsewhere.get(VERDICTS)).json()["items"] == []
    assert (await elsewhere.get(VERDICTS, params={"name": "fraud"})).status_code == 404
    for call in (elsewhere.get(f"{VERDICTS}/{ids[0]}"), viewer.get(f"{VERDICTS}/x")):
        assert (await call).status_code == 404
    assert (await elsewhere.post(f"{VERDICTS}/{ids[0]}/replay")).status_code == 404


async def test_a_verdict_that_is_not_given_again_says_how_it_differs(
    registry: RegistrySimulator, db: PostgresDatabase, clock: FixedClock
) -> None:
    first = await begin(db, clock, bundle())
    by = Catalog(clock)
    async with db.transaction() as tx:
        await by.asset(tx)
        version = await by.version(tx, "fraud", "1.0.0")
        # As if the engine of then had said something else.
        forged = policy.read_bundle({**first.files, "rules/1.rego": rule(NEVER)})
        said = await act(tx, forged, DOCUMENT, version, by.by(), under=first.digest)
    told = (await registry.as_(Role.ADMIN).post(f"{VERDICTS}/{said.id}/replay")).json()
    assert (told["same"], told["decision"]) == (False, "deny")
    assert told["differences"] == [
        {"id": "SEC-001", "stored": "passed: it holds", "replayed": "failed: found a@1.0.0"}
    ]


CALLS = [(one.method, one.path, one) for one in routes.OPERATIONS]


@pytest.mark.parametrize(("method", "path", "operation"), CALLS, ids=[o.id for *_, o in CALLS])
async def test_who_may_not_is_refused(
    registry: RegistrySimulator, method: str, path: str, operation: Operation
) -> None:
    at = path.format(digest="active", simulation_id="x", activation_id="x", verdict_id="x")
    assert (await registry.anonymous.request(method, at)).status_code == 401
    assert (await registry.nobody.request(method, at)).status_code in {403, 404}
    if operation.needs.value == "govern":
        for client in (
            registry.as_(Role.PUBLISHER),
            registry.as_(Role.AUDITOR),
            registry.as_(Role.ADMIN, Scope("default")),
        ):
            assert (await client.request(method, at)).status_code == 403
