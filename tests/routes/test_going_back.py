"""Going back, why not, and what a promotion says of itself, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from muniment.server.http.records import Grant, Role, Scope
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from muniment.server.wiring import OPERATIONS
from tests.actions.test_lifecycle import made
from tests.support.app import RegistrySimulator, app_client
from tests.support.catalog import Catalog
from tests.support.folded import agrees
from tests.support.policies import starter

FRAUD = "/api/v1/assets/default/fraud"
BACK = f"{FRAUD}/rollback"
WHY = {"reason": "on fire"}


@pytest.fixture
async def registry(
    db: PostgresDatabase, blobs: Blobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[RegistrySimulator]:
    """A registry that enforces little, with `fraud` 1.0.0 and 2.0.0."""
    async with db.transaction() as tx:
        await made(tx, Catalog(clock))
    async with app_client(db, blobs, keys, clock, OPERATIONS) as simulator:
        yield simulator
        await agrees(db)


async def promote(registry: RegistrySimulator, version: str, to: str = "staging") -> Any:
    pipeline = registry.workload(Role.PUBLISHER)
    url = f"{FRAUD}/versions/{version}/promote"
    return (await pipeline.post(url, json={"environment": to})).json()


async def back(registry: RegistrySimulator, environment: str, **more: Any) -> Any:
    person = registry.as_(Role.APPROVER_PLATFORM)
    answer = await person.post(BACK, json={"environment": environment, **WHY, **more})
    return answer.status_code, answer.json()


async def live(registry: RegistrySimulator, environment: str) -> list[str]:
    query = {"environment": environment, "live": "true"}
    answer = await registry.as_(Role.VIEWER).get(f"{FRAUD}/deployments", params=query)
    return [one["version"] for one in answer.json()["items"]]


async def test_one_person_takes_staging_back_and_that_is_a_drill(
    registry: RegistrySimulator,
) -> None:
    assert (await back(registry, "staging"))[0] == 409
    await promote(registry, "1.0.0")
    status, nowhere = await back(registry, "staging")
    assert (status, nowhere["code"]) == (409, "lifecycle_conflict")
    assert "muniment withdraw" in nowhere["detail"]
    await promote(registry, "2.0.0")
    status, would = await back(registry, "staging", dry_run=True)
    assert (status, would["version"], would["entry_id"]) == (200, "1.0.0", None)
    assert await live(registry, "staging") == ["2.0.0", "1.0.0"]
    status, done = await back(registry, "staging")
    assert (status, done["version"]) == (200, "1.0.0")
    assert {one["ended_as"] for one in done["superseded"]} == {None}
    assert await live(registry, "staging") == ["1.0.0"]
    listed = await registry.as_(Role.VIEWER).get(f"{FRAUD}/deployments")
    assert [one["ended_as"] for one in listed.json()["items"]].count("rolled_back") == 2
    assert (await back(registry, "staging", to="1.0.0"))[0] == 409
    status, forth = await back(registry, "staging", to="2.0.0")
    assert (status, forth["version"]) == (200, "2.0.0")
    assert (await back(registry, "staging", reason=" "))[0] == 422


async def test_production_goes_back_only_to_what_is_approved(registry: RegistrySimulator) -> None:
    await promote(registry, "1.0.0", "production")
    await promote(registry, "2.0.0", "production")
    status, refused = await back(registry, "production")
    assert (status, refused["code"]) == (403, "approval_pending")
    assert [one["field"] for one in refused["problems"]] == ["BACK-001"]
    assert refused["entry_id"]
    assert await live(registry, "production") == ["2.0.0"]
    admin = registry.as_(Role.ADMIN)
    govern = {"mode": "observe", "reason": "a quiet week"}
    assert (await admin.patch("/api/v1/namespaces/default", json=govern)).status_code == 200
    status, done = await back(registry, "production")
    assert (status, done["version"], done["would_have_been_refused"]) == (200, "1.0.0", True)
    champion = await admin.get(f"{FRAUD}/aliases/champion")
    assert champion.json()["version"] == "1.0.0"


async def test_a_promotion_is_a_signed_statement_about_the_files(
    registry: RegistrySimulator, db: PostgresDatabase
) -> None:
    first = await promote(registry, "1.0.0", "production")
    done = await promote(registry, "2.0.0", "production")
    entry = await registry.as_(Role.ADMIN).get(f"/api/v1/log/entries/{done['entry_id']}")
    payload = entry.json()["payload"]
    said = payload["promotion"]
    assert (said["action"], said["environment"]) == ("promote", "production")
    assert (said["from_stage"], said["to_stage"]) == ("None", "Production")
    assert said["decision"] is None
    was = await registry.as_(Role.VIEWER).get(f"{FRAUD}/versions/1.0.0")
    assert said["previous"] == [was.json()["manifest_digest"]]
    assert payload["judged"]["verdict"]["policy_digest"] == done["verdict"]["policy_digest"]
    assert payload["judged"]["document"]["rollback"]["approved"] is False
    assert first["verdict"]["policy_digest"]
    async with db.transaction(read_only=True) as tx:
        kept = await tx.fetch("SELECT carried_out, failed FROM policy_verdict")
    assert [(row["carried_out"], list(row["failed"])) for row in kept] == [(True, [])] * 2


async def test_a_decision_that_does_not_stand_is_a_mistake(registry: RegistrySimulator) -> None:
    pipeline = registry.workload(Role.PUBLISHER)
    body = {"environment": "production", "decision": "0198c0de-0000-7000-8000-000000000000"}
    answer = await pipeline.post(f"{FRAUD}/versions/1.0.0/promote", json=body)
    assert (answer.status_code, answer.json()["problems"][0]["field"]) == (422, "decision")
    assert await live(registry, "production") == []


# --- why not -------------------------------------------------------------------------------------


async def why_not(registry: RegistrySimulator, environment: str = "production") -> dict[str, Any]:
    viewer = registry.as_(Role.VIEWER)
    url = f"{FRAUD}/versions/1.0.0/why-not"
    answer = await viewer.get(url, params={"environment": environment})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_who_asks_why_not_asks_for_the_pipeline_that_is_trusted(
    registry: RegistrySimulator, db: PostgresDatabase
) -> None:
    found = await why_not(registry)
    assert [one["id"] for one in found["unmet"]] == ["TRUST-001"]
    assert (found["lacks"], found["decision"], found["enforcement"]) == (
        "nothing",
        "deny",
        "enforce",
    )
    [way] = found["unmet"][0]["ways"]
    assert way["command"].startswith("muniment trust add")
    assert way["roles"] == ["admin"]
    assert {"BARE-001", "PROM-001", "META-001"} <= {one["id"] for one in found["results"]}
    assert (await why_not(registry, "development"))["policy_digest"] is None
    wrong = await registry.as_(Role.VIEWER).get(
        f"{FRAUD}/versions/1.0.0/why-not", params={"environment": "mars"}
    )
    assert wrong.status_code == 422
    async with db.transaction(read_only=True) as tx:
        assert await tx.fetchval("SELECT count(*) FROM policy_verdict") == 0
        assert await tx.fetchval("SELECT count(*) FROM attempt") == 0


async def test_what_the_namespace_asks_for_of_its_own_is_due(registry: RegistrySimulator) -> None:
    asked = {"field": "dpia", "why": "the law wants it", "step": "approved"}
    change = {"required_fields": [asked], "reason": "new law"}
    admin = registry.as_(Role.ADMIN)
    assert (await admin.patch("/api/v1/namespaces/default", json=change)).status_code == 200
    unmet = {one["id"]: one["message"] for one in (await why_not(registry))["unmet"]}
    assert "extra.dpia" in unmet["META-001"]
    assert "META-001" not in {one["id"] for one in (await why_not(registry, "staging"))["unmet"]}


async def test_why_not_names_rules_commands_and_people(
    db: PostgresDatabase, blobs: Blobs, keys: Keys, clock: FixedClock
) -> None:
    async with db.transaction() as tx:
        await made(tx, Catalog(clock), policy_=starter())
    async with app_client(db, blobs, keys, clock, OPERATIONS) as registry:
        await registry.with_grants(Grant(Role.APPROVER_SECURITY, Scope("default"))).get(
            "/api/v1/whoami"
        )
        await registry.with_grants(Grant(Role.APPROVER_SECURITY, Scope("other"))).get(
            "/api/v1/whoami"
        )
        found = await why_not(registry)
        unmet = {one["id"]: one for one in found["unmet"]}
        assert {
            "SEC-001",
            "SEC-002",
            "SEC-003",
            "EVAL-001",
            "EVAL-002",
            "APPR-001",
            "APPR-002",
        } <= set(unmet)
        assert "PROM-002" not in unmet
        assert found["lacks"] == "nothing"  # no pipeline is trusted
        [sbom] = unmet["SEC-001"]["ways"]
        assert sbom["command"] == "muniment evidence add fraud@1.0.0 FILE --context CONTEXT"
        assert "attester" in sbom["roles"]
        assert unmet["SEC-001"]["source"].startswith("R-088")
        asked = {way["command"] for way in unmet["APPR-001"]["ways"]}
        assert "muniment request fraud@1.0.0 --to production" in asked
        staging = {one["id"] for one in (await why_not(registry, "staging"))["unmet"]}
        assert "SEC-001" in staging
        assert "APPR-001" not in staging
    await agrees(db)
