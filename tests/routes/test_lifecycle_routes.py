"""The lifecycle over HTTP: who may do what, what is answered, and bad input."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from muniment.server.http.operation import Operation
from muniment.server.http.records import Grant, Role, Scope, Verb
from muniment.server.identity.rules.access import VERBS
from muniment.server.lifecycle.routes import OPERATIONS as LIFECYCLE
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from muniment.server.wiring import OPERATIONS
from tests.actions.test_lifecycle import made
from tests.support.app import Client, RegistrySimulator, app_client
from tests.support.catalog import Catalog
from tests.support.folded import agrees

API = "/api/v1"
FRAUD = f"{API}/assets/default/fraud"
ONE = f"{FRAUD}/versions/1.0.0"
TWO = f"{FRAUD}/versions/2.0.0"
CHAMPION = f"{FRAUD}/aliases/champion"
REASON = {"reason": "because"}
BODIES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(
        [f"{verb}_version" for verb in ("reinstate", "retire", "quarantine", "release")], REASON
    ),
    "deprecate_version": REASON,
    "promote_version": {"environment": "staging"},
    "withdraw_version": {"environment": "staging", **REASON},
    "set_alias": {"version": "1.0.0"},
    "rename_asset": {"name": "scam"},
    "roll_back_asset": {"environment": "staging", **REASON},
}


@pytest.fixture
async def registry(
    db: PostgresDatabase, blobs: Blobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[RegistrySimulator]:
    """A registry that enforces, with `fraud` 1.0.0 and 2.0.0, whose metadata is complete."""
    async with db.transaction() as tx:
        await made(tx, Catalog(clock))
    async with app_client(db, blobs, keys, clock, OPERATIONS) as simulator:
        yield simulator
        await agrees(db)


async def call(client: Client, operation: Operation) -> httpx.Response:
    path = operation.path.format(
        namespace="default", name="fraud", version="1.0.0", alias="challenger"
    )
    return await client.request(operation.method, path, json=BODIES.get(operation.id))


def ids(operation: Operation) -> str:
    return operation.id


VERSIONS = [one for one in LIFECYCLE if "{cvi}" not in one.path]  # composites: test_wholes.py


@pytest.mark.parametrize("operation", VERSIONS, ids=ids)
async def test_only_who_has_the_verb_gets_in(
    registry: RegistrySimulator, operation: Operation
) -> None:
    unknown = await call(registry.anonymous, operation)
    assert (unknown.status_code, unknown.json()["code"]) == (401, "not_authenticated")
    if operation.needs is Verb.NOTHING:
        return
    elsewhere = registry.with_grants(Grant(Role.ADMIN, Scope("team-a")))
    assert (await call(elsewhere, operation)).status_code == 404
    for role in Role:
        if operation.needs not in VERBS[role]:
            answer = await call(registry.as_(role), operation)
            assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed"), role
    if operation.id == "roll_back_asset":
        for version in (ONE, TWO):
            to = {"environment": "staging"}
            await registry.workload(Role.PUBLISHER).post(f"{version}/promote", json=to)
    role = next(role for role in Role if operation.needs in VERBS[role])
    answer = await call(registry.as_(role), operation)
    assert answer.status_code == 200, answer.text


async def test_a_pipeline_promotes_and_everything_shows_it(registry: RegistrySimulator) -> None:
    ci, ada = registry.workload(Role.PUBLISHER), registry.as_(Role.VIEWER)
    body = {"environment": "production", "reason": "release 7"}
    dry = await ci.post(f"{ONE}/promote", json=body | {"dry_run": True})
    assert (dry.status_code, dry.json()["entry_id"], dry.json()["dry_run"]) == (200, None, True)
    assert (await ada.get(f"{ONE}/stage")).json()["stage"] == "None"
    done = await ci.post(f"{ONE}/promote", json=body)
    assert done.status_code == 200, done.text
    found = done.json()
    assert (found["deployment"]["alias"], found["would_have_been_refused"]) == ("champion", False)
    assert found["verdict"]["decision"] == "allow"
    assert {"id": "PROM-001", "outcome": "passed", "class": "critical_safety"}.items() <= (
        found["verdict"]["results"][0].items()
    )
    shown = (await ada.get(f"{ONE}/stage")).json()
    assert (shown["stage"], shown["lifecycle"], shown["deprecated"]) == (
        "Production",
        "draft",
        False,
    )
    assert (await ada.get(CHAMPION)).json()["version"] == "1.0.0"
    await ci.post(f"{TWO}/promote", json=body | {"expected_version": "1.0.0"})
    stale = await ci.post(f"{ONE}/promote", json=body | {"expected_version": "1.0.0"})
    assert (stale.status_code, stale.json()["version"]) == (412, "2.0.0")
    listed = (await ada.get(f"{FRAUD}/deployments")).json()["items"]
    assert [(one["version"], one["ended_as"]) for one in listed] == [
        ("2.0.0", None),
        ("1.0.0", "superseded"),
    ]
    first = await ada.get(f"{FRAUD}/deployments", params={"limit": 1})
    rest = await ada.get(
        f"{FRAUD}/deployments", params={"limit": 1, "cursor": first.json()["next_cursor"]}
    )
    assert [first.json()["items"], rest.json()["items"]] == [listed[:1], listed[1:]]
    then = {"live": "true", "environment": "production", "as_of": listed[1]["since"]}
    was = (await ada.get(f"{FRAUD}/deployments", params=then)).json()["items"]
    assert [one["version"] for one in was] == ["1.0.0"]
    at = await ada.get(f"{ONE}/stage", params={"as_of": listed[1]["since"]})
    assert at.json()["stage"] == "Production"
    history = (await ada.get(f"{ONE}/history")).json()["items"]
    assert [one["act"] for one in history[:2]] == ["version.promote", "version.promote"]
    assert history[1]["reason"] == "release 7"


async def test_a_refusal_is_answered_logged_and_counted(registry: RegistrySimulator) -> None:
    admin = registry.as_(Role.ADMIN)
    dry = await admin.post(f"{ONE}/promote", json={"environment": "production", "dry_run": True})
    assert (dry.status_code, dry.json()["entry_id"]) == (403, None)
    for answer in (
        await admin.post(f"{ONE}/promote", json={"environment": "production"}),
        await admin.put(CHAMPION, json={"version": "1.0.0"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "refused")
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()["problems"][0]
        assert problem["field"] == "PROM-001"
        assert "muniment request fraud@1.0.0 --to production" in problem["fix"]
        entry = await admin.get(f"{API}/log/entries/{answer.json()['entry_id']}")
        assert entry.json()["act"] == "promotion.refuse"
        kept = entry.json()["payload"]["verdict"]
        assert kept == answer.json()["verdict"]
    counted = (await admin.get(f"{API}/namespaces/default/enforcement")).json()
    assert (counted["refused"], counted["by_rule"]) == (2, {"PROM-001": 2})
    page = (await admin.get(f"{API}/namespaces/default/attempts", params={"limit": 1})).json()
    rest = await admin.get(
        f"{API}/namespaces/default/attempts", params={"cursor": page["next_cursor"]}
    )
    assert [one["carried_out"] for one in (*page["items"], *rest.json()["items"])] == [False] * 2
    again = await admin.post(
        f"{ONE}/promote",
        json={"environment": "production"},
        headers={"Idempotency-Key": "once"},
    )
    replay = await admin.post(
        f"{ONE}/promote",
        json={"environment": "production"},
        headers={"Idempotency-Key": "once"},
    )
    assert (replay.status_code, replay.json()["entry_id"]) == (403, again.json()["entry_id"])


async def test_a_version_goes_its_way(registry: RegistrySimulator) -> None:
    ada, security = registry.as_(Role.PUBLISHER), registry.as_(Role.APPROVER_SECURITY)
    first = await ada.post(
        f"{ONE}/deprecate", json={"replacement": "fraud@2.0.0", "sunset": "2027-01-31"}
    )
    assert first.json()["standing"]["sunset"] == "2027-01-31"
    assert first.json()["lifecycle"] == "deprecated"
    back = await ada.post(f"{ONE}/reinstate", json={"reason": "too early"})
    assert back.json()["lifecycle"] == "draft"
    held = await security.post(f"{ONE}/quarantine", json={"reason": "odd"})
    assert held.json()["quarantined"] is True
    not_mine = await ada.post(f"{ONE}/release", json={"reason": "fine"})
    assert not_mine.status_code == 403
    assert (await security.post(f"{ONE}/release", json={"reason": "fine"})).status_code == 200
    bare = await ada.post(f"{ONE}/retire", json={})
    assert (bare.status_code, bare.json()["problems"][0]["field"]) == (422, "reason")
    gone = await ada.post(f"{ONE}/retire", json={"reason": "rejected"})
    assert gone.json()["lifecycle"] == "retired"
    assert gone.headers["etag"] != first.headers["etag"]
    for verb in ("deprecate", "reinstate", "quarantine"):
        stopped = await ada.post(f"{ONE}/{verb}", json=REASON)
        assert (stopped.status_code, stopped.json()["code"]) == (409, "lifecycle_conflict"), verb
    found = (await ada.get(f"{API}/versions", params={"filter": "lifecycle = 'retired'"})).json()
    assert [one["version"] for one in found["items"]] == ["1.0.0"]
    early = {"filter": "lifecycle = 'deprecated'", "as_of": first.json()["standing"]["at"]}
    then = (await ada.get(f"{API}/versions", params=early)).json()
    assert [one["lifecycle"] for one in then["items"]] == ["deprecated"]
    stage = (await ada.get(f"{ONE}/stage")).json()
    assert (stage["stage"], stage["deprecated"]) == ("Archived", True)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (f"{ONE}/promote", {"environment": "moon"}, "environment"),
        (f"{ONE}/promote", {"environment": "production", "alias": "mine"}, "alias"),
        (f"{ONE}/promote", {"environment": "staging", "alias": "champion"}, "alias"),
        (f"{ONE}/promote", {"environment": "staging", "mode": "half"}, "mode"),
        (f"{ONE}/promote", {"environment": "staging", "reason": "x" * 3000}, "reason"),
        (f"{ONE}/deprecate", {"reason": "r", "sunset": "2001-01-01"}, "sunset"),
        (f"{ONE}/deprecate", {"reason": "\x00"}, "reason"),
        (f"{ONE}/deprecate", {"replacement": "nonsense"}, "at"),
        (f"{ONE}/withdraw", {"environment": "staging"}, "reason"),
        (f"{ONE}/withdraw", {"environment": "moon", "reason": "r"}, "environment"),
        (f"{FRAUD}/rename", {"name": "a/b"}, ""),
    ],
)
async def test_what_cannot_be_understood(
    registry: RegistrySimulator, path: str, body: dict[str, Any], field: str
) -> None:
    answer = await registry.as_(Role.ADMIN).post(path, json=body)
    assert answer.status_code == 422, answer.text
    if field:
        assert field in {one["field"] for one in answer.json()["problems"]}


async def test_namespaces_are_made_and_governed(registry: RegistrySimulator) -> None:
    ada, admin = registry.as_(Role.CONTRIBUTOR), registry.as_(Role.ADMIN)
    governance = registry.as_(Role.APPROVER_GOVERNANCE, Scope("team"))
    made = await ada.post(f"{API}/namespaces", json={"namespace": "team"})
    assert (made.status_code, made.json()["mode"]) == (201, "enforce")
    loose = await ada.post(f"{API}/namespaces", json={"namespace": "loose", "mode": "observe"})
    assert loose.status_code == 403
    assert (await ada.post(f"{API}/namespaces", json={"namespace": "team"})).status_code == 409
    path = f"{API}/namespaces/team"
    assert (await ada.patch(path, json={"mode": "observe", "reason": "r"})).status_code == 403
    silent = await admin.patch(path, json={"mode": "observe"})
    assert silent.status_code == 422
    changed = await governance.patch(
        path,
        json={"mode": "warn", "production_aliases": ["Blue"], "reason": "step by step"},
        headers={"If-Match": made.headers["etag"]},
    )
    assert changed.status_code == 200, changed.text
    assert (changed.json()["mode"], changed.json()["production_aliases"]) == ("warn", ["blue"])
    stale = await governance.patch(
        path, json={"mode": "enforce", "reason": "r"}, headers={"If-Match": '"1"'}
    )
    assert stale.status_code == 412
    history = (await ada.get(f"{path}/history")).json()["items"]
    assert [(one["reason"], one["changes"]["mode"]) for one in history] == [
        ("step by step", ["enforce", "warn"])
    ]
    listed = (await ada.get(f"{API}/namespaces")).json()["items"]
    assert [one["namespace"] for one in listed] == ["default", "team"]
    here = registry.as_(Role.VIEWER, Scope("team"))
    assert [one["namespace"] for one in (await here.get(f"{API}/namespaces")).json()["items"]] == [
        "team"
    ]
    assert (await ada.get(f"{API}/namespaces/none")).status_code == 404


async def test_environments_are_listed(registry: RegistrySimulator) -> None:
    found = (await registry.nobody.get(f"{API}/environments")).json()["items"]
    assert [(one["name"], one["stage"]) for one in found] == [
        ("development", "None"),
        ("staging", "Staging"),
        ("production", "Production"),
    ]
