"""Stages, aliases, renames and deletions through MLflow's endpoints: exact answers, and what is kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from muniment.server.http.records import Role
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import Clock, FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from muniment.server.wiring import DIALECTS, FACADES, OPERATIONS
from tests.routes.test_mlflow_routes import FILES, a_version, error_of, ok
from tests.support.app import Client, RegistrySimulator, app_client
from tests.support.folded import agrees
from tests.support.policies import bare

API = "/api/2.0/mlflow"
NATIVE = "/api/v1"
WHY = "through MLflow's API"


@pytest.fixture
async def registry(
    db: PostgresDatabase, blobs: Blobs, keys: Keys, clock: Clock
) -> AsyncIterator[RegistrySimulator]:
    operations = [*OPERATIONS, *FACADES]
    async with app_client(
        db, blobs, keys, clock, operations, first=bare(), dialects=DIALECTS
    ) as simulator:
        yield simulator
        await agrees(db)


@pytest.fixture
def ada(registry: RegistrySimulator) -> Client:
    """A person who may do all that a publisher may: what MLflow calls EDIT and MANAGE."""
    return registry.as_(Role.PUBLISHER)


async def stage(client: Client, number: int, to: str, **more: Any) -> httpx.Response:
    body = {"name": "m", "version": str(number), "stage": to, **more}
    return await client.post(f"{API}/model-versions/transition-stage", json=body)


async def staged(client: Client, number: int, to: str, **more: Any) -> str:
    shown = await ok(await stage(client, number, to, **more))
    return str(shown["model_version"]["current_stage"])


async def stages(client: Client) -> list[str]:
    found = await ok(
        await client.get(f"{API}/model-versions/search", params={"filter": "name='m'"})
    )
    by_number = sorted(found["model_versions"], key=lambda one: int(one["version"]))
    return [one["current_stage"] for one in by_number]


async def acts(client: Client, name: str = "m") -> list[str]:
    found = await ok(await client.get(f"{NATIVE}/assets/default/{name}/history"))
    return [one["act"] for one in found["items"]]


async def enforce(registry: RegistrySimulator, mode: str = "enforce") -> None:
    path = f"{NATIVE}/namespaces/default"
    body = {"mode": mode, "reason": "ready for it"}
    assert (await registry.as_(Role.ADMIN).patch(path, json=body)).status_code == 200


# --- stages ------------------------------------------------------------------------------------


async def test_a_fresh_user_moves_stages_as_in_mlflow(ada: Client) -> None:
    for _ in range(3):
        await a_version(ada)
    assert await staged(ada, 1, "staging") == "Staging"
    assert await staged(ada, 1, "PRODUCTION") == "Production"
    assert await staged(ada, 2, "Production") == "Production"
    assert await stages(ada) == ["Production", "Production", "None"]
    assert await staged(ada, 3, "Production", archive_existing_versions=True) == "Production"
    assert await stages(ada) == ["Archived", "Archived", "Production"]
    assert await staged(ada, 1, "Staging") == "Staging"
    assert await staged(ada, 2, "None") == "None"
    assert await staged(ada, 2, "Archived") == "Archived"
    assert await staged(ada, 2, "Production") == "Production"
    assert await staged(ada, 3, "None") == "None"
    assert await stages(ada) == ["Staging", "Production", "None"]
    assert {"version.promote", "version.withdraw", "version.deprecate", "version.reinstate"} <= set(
        await acts(ada)
    )


async def test_the_same_stage_again_changes_nothing(ada: Client) -> None:
    await a_version(ada)
    for to in ("None", "Staging", "Production", "Archived"):
        await staged(ada, 1, to)
        before = await acts(ada)
        assert await staged(ada, 1, to) == to
        assert await acts(ada) == before, to


async def test_the_latest_of_each_stage(ada: Client) -> None:
    for _ in range(4):
        await a_version(ada)
    for number, to in ((1, "Production"), (2, "Production"), (3, "Archived")):
        await staged(ada, number, to)

    async def latest(**asked: Any) -> dict[str, str]:
        path = f"{API}/registered-models/get-latest-versions"
        got = await ok(await ada.get(path, params={"name": "m", **asked}))
        posted = await ok(await ada.post(path, json={"name": "m", **asked}))
        assert got == posted
        return {one["current_stage"]: one["version"] for one in got.get("model_versions", [])}

    assert await latest() == {"None": "4", "Production": "2", "Archived": "3"}
    assert await latest(stages=["production", "staging"]) == {"Production": "2"}
    model = await ok(await ada.get(f"{API}/registered-models/get", params={"name": "m"}))
    shown = model["registered_model"]["latest_versions"]
    assert {one["current_stage"]: one["version"] for one in shown} == await latest()
    bad = await ada.get(
        f"{API}/registered-models/get-latest-versions", params={"name": "m", "stages": "Foo"}
    )
    assert error_of(bad) == (400, "INVALID_PARAMETER_VALUE")


async def test_stages_that_are_none_and_archiving_that_is_not_asked_so(ada: Client) -> None:
    await a_version(ada)
    odd = await stage(ada, 1, "Foo")
    assert error_of(odd) == (400, "INVALID_PARAMETER_VALUE")
    assert odd.json()["message"] == (
        "Invalid Model Version stage: Foo. Value must be one of None, Staging, Production, Archived."
    )
    for to in ("None", "Archived"):
        archive = await stage(ada, 1, to, archive_existing_versions=True)
        assert error_of(archive) == (400, "INVALID_PARAMETER_VALUE")
        assert f"'{to}' is not an Active stage" in archive.json()["message"]
    assert error_of(await stage(ada, 9, "Production")) == (404, "RESOURCE_DOES_NOT_EXIST")


async def test_an_alias_keeps_its_version_in_production(ada: Client) -> None:
    await a_version(ada)
    await a_version(ada)
    alias = {"name": "m", "alias": "champion", "version": "1"}
    await ok(await ada.post(f"{API}/registered-models/alias", json=alias))
    assert await stages(ada) == ["Production", "None"]
    for to in ("None", "Staging", "Archived"):
        kept = await stage(ada, 1, to)
        assert error_of(kept) == (409, "RESOURCE_CONFLICT")
        assert "champion" in kept.json()["message"]
    assert await staged(ada, 2, "Production", archive_existing_versions=True) == "Production"
    assert await stages(ada) == ["Production", "Production"]
    await ok(await ada.post(f"{API}/registered-models/alias", json=alias | {"version": "2"}))
    assert await stages(ada) == ["None", "Production"]
    gone = {"name": "m", "alias": "champion"}
    await ok(await ada.request("DELETE", f"{API}/registered-models/alias", json=gone))
    assert await stages(ada) == ["None", "Production"]  # a stage put it there as well
    await ok(await ada.request("DELETE", f"{API}/registered-models/alias", json=gone))


# --- where rules are enforced ------------------------------------------------------------------


async def test_a_person_is_refused_in_words_and_the_log_says_so(
    registry: RegistrySimulator, ada: Client
) -> None:
    await a_version(ada)
    await enforce(registry)
    admin = registry.as_(Role.ADMIN)
    for who in (ada, admin):
        refused = await stage(who, 1, "Production")
        assert error_of(refused) == (403, "PERMISSION_DENIED")
        assert "muniment request m@1.0.0 --to production" in refused.json()["message"]
        assert refused.json()["code"] == "refused"
    alias = {"name": "m", "alias": "champion", "version": "1"}
    moved = await admin.post(f"{API}/registered-models/alias", json=alias)
    assert error_of(moved) == (403, "PERMISSION_DENIED")
    await ok(await ada.post(f"{API}/registered-models/alias", json=alias | {"alias": "mine"}))
    assert await stages(ada) == ["None"]
    assert (await acts(ada)).count("promotion.refuse") == 3
    counted = await ok(await ada.get(f"{NATIVE}/namespaces/default/enforcement"))
    assert (counted["mode"], counted["refused"]) == ("enforce", 3)
    assert counted["by_rule"]["PROM-001"] == 3


async def test_a_pipeline_is_held_to_the_rest_of_the_rules(registry: RegistrySimulator) -> None:
    await a_version(registry.as_(Role.PUBLISHER))
    await enforce(registry)
    refused = await stage(registry.workload(Role.PUBLISHER), 1, "Production")
    assert error_of(refused) == (403, "PERMISSION_DENIED")
    assert refused.json()["code"] == "evidence_missing"
    assert "META-001" in refused.json()["message"]
    assert "PROM-001" not in refused.json()["message"]
    no_role = await stage(registry.workload(Role.CONTRIBUTOR), 1, "Production")
    assert no_role.json()["code"] == "not_allowed"


async def test_where_rules_warn_the_answer_says_so(
    registry: RegistrySimulator, ada: Client
) -> None:
    await a_version(ada)
    await enforce(registry, "warn")
    answer = await stage(ada, 1, "Production")
    assert answer.status_code == 200
    assert "PROM-001" in answer.headers["muniment-warning"]
    counted = await ok(await ada.get(f"{NATIVE}/namespaces/default/enforcement"))
    assert (counted["refused"], counted["would_have_been_refused"]) == (0, 1)
    listed = (await ok(await ada.get(f"{NATIVE}/namespaces/default/attempts")))["items"]
    assert [(one["subject"], one["carried_out"]) for one in listed] == [("m@1.0.0", True)]


async def test_the_mode_a_fresh_user_meets_is_a_setting(
    db: PostgresDatabase, blobs: Blobs, keys: Keys, clock: Clock
) -> None:
    operations = [*OPERATIONS, *FACADES]
    async with app_client(
        db, blobs, keys, clock, operations, first=bare(), dialects=DIALECTS, mlflow_mode="enforce"
    ) as strict:
        ada = strict.as_(Role.PUBLISHER)
        await a_version(ada)
        assert error_of(await stage(ada, 1, "Production"))[0] == 403


# --- retired, quarantined ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "who"), [("retire", Role.PUBLISHER), ("quarantine", Role.APPROVER_SECURITY)]
)
async def test_what_is_stopped_does_not_resolve(
    registry: RegistrySimulator, ada: Client, act: str, who: Role
) -> None:
    await a_version(ada)
    alias = {"name": "m", "alias": "mine", "version": "1"}
    await ok(await ada.post(f"{API}/registered-models/alias", json=alias))
    uri = f"{API}/model-versions/get-download-uri"
    v = {"name": "m", "version": "1"}
    held = (await ok(await ada.get(uri, params=v)))["artifact_uri"].partition("versions/")[2]
    file = f"{FILES}/versions/{held}/MLmodel"
    assert (await ada.get(file)).status_code == 200
    one = f"{NATIVE}/assets/default/m/versions/1"
    assert (await registry.as_(who).post(f"{one}/{act}", json={"reason": "bad"})).status_code == 200
    latest = {"name": "m", "alias": "latest"}
    for answer in (
        await ada.get(f"{API}/registered-models/alias", params={"name": "m", "alias": "mine"}),
        await ada.get(f"{API}/registered-models/alias", params=latest),
        await ada.get(uri, params=v),
        await ada.get(file),
        await ada.post(f"{API}/model-versions/create", json={"name": "m", "source": "models:/m/1"}),
    ):
        assert error_of(answer) == (409, "RESOURCE_CONFLICT"), answer.url
        assert answer.json()["code"] == "not_served"
    shown = (await ok(await ada.get(f"{API}/model-versions/get", params=v)))["model_version"]
    tags = {tag["key"]: tag["value"] for tag in shown["tags"]}
    assert tags.get("muniment.quarantined") == (None if act == "retire" else "true")
    assert tags.get("muniment.deprecated") == ("true" if act == "retire" else None)
    assert shown["current_stage"] == ("Archived" if act == "retire" else "None")


# --- derived tags ------------------------------------------------------------------------------


async def test_derived_tags_are_shown_and_never_typed(ada: Client) -> None:
    made = await a_version(ada, tags=[{"key": "team", "value": "risk"}])
    assert made["tags"] == [{"key": "team", "value": "risk"}]
    await staged(ada, 1, "Production")
    v = {"name": "m", "version": "1"}
    shown = (await ok(await ada.get(f"{API}/model-versions/get", params=v)))["model_version"]
    tags = {tag["key"]: tag["value"] for tag in shown["tags"]}
    assert tags["team"] == "risk"
    assert "muniment.lifecycle" not in tags  # a draft, as every version that nothing was said of
    native = await ok(await ada.get(f"{NATIVE}/assets/default/m/versions/1"))
    assert tags["aisdp.content_hash"] == native["manifest_digest"]
    assert "muniment.approved" not in tags
    for key in ("muniment.lifecycle", "aisdp.content_hash", "Muniment.Approved"):
        typed = await ada.post(f"{API}/model-versions/set-tag", json=v | {"key": key, "value": "x"})
        assert error_of(typed) == (400, "INVALID_PARAMETER_VALUE"), key
        off = await ada.request("DELETE", f"{API}/model-versions/delete-tag", json=v | {"key": key})
        assert error_of(off) == (400, "INVALID_PARAMETER_VALUE"), key
    body = {"name": "m", "source": "models:/m/1", "tags": shown["tags"]}
    copied = await ok(await ada.post(f"{API}/model-versions/create", json=body))
    assert copied["model_version"]["tags"] == [{"key": "team", "value": "risk"}]


# --- rename, delete ----------------------------------------------------------------------------


async def test_a_renamed_model_keeps_its_identity_and_its_old_name(ada: Client) -> None:
    await a_version(ada)
    before = await ok(await ada.get(f"{NATIVE}/assets/default/m"))
    body = {"name": "m", "new_name": "n"}
    renamed = await ok(await ada.post(f"{API}/registered-models/rename", json=body))
    assert renamed["registered_model"]["name"] == "n"
    after = await ok(await ada.get(f"{NATIVE}/assets/default/n"))
    assert (after["id"], after["former_names"]) == (before["id"], ["m"])
    gone = await ada.get(f"{API}/registered-models/get", params={"name": "m"})
    assert error_of(gone) == (404, "RESOURCE_DOES_NOT_EXIST")
    old = await ada.get(f"{NATIVE}/assets/default/m")
    assert (old.status_code, old.json()["renamed_to"]) == (404, "n")
    for path, again in (("create", {"name": "m"}), ("rename", {"name": "n", "new_name": "m"})):
        taken = await ada.post(f"{API}/registered-models/{path}", json=again)
        assert error_of(taken) == (400, "RESOURCE_ALREADY_EXISTS"), path
        assert taken.json()["message"].startswith("Registered Model (name=m) already exists.")
    native = await ada.post(f"{NATIVE}/assets", json={"name": "m", "kind": "model", "owner": "ada"})
    assert (native.status_code, native.json()["code"]) == (409, "name_reserved")
    assert (await acts(ada, "n"))[0] == "asset.rename"


async def test_a_deleted_version_is_hidden_and_kept(ada: Client) -> None:
    for _ in range(2):
        await a_version(ada)
    alias = {"name": "m", "alias": "mine", "version": "2"}
    await ok(await ada.post(f"{API}/registered-models/alias", json=alias))
    v = {"name": "m", "version": "2"}
    assert await ok(await ada.request("DELETE", f"{API}/model-versions/delete", json=v)) == {}
    for answer in (
        await ada.get(f"{API}/model-versions/get", params=v),
        await ada.get(f"{API}/model-versions/get-download-uri", params=v),
        await ada.request("DELETE", f"{API}/model-versions/delete", json=v),
    ):
        assert error_of(answer) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert await stages(ada) == ["None"]
    model = await ok(await ada.get(f"{API}/registered-models/get", params={"name": "m"}))
    assert [one["version"] for one in model["registered_model"]["latest_versions"]] == ["1"]
    assert "aliases" not in model["registered_model"]
    kept = await ok(await ada.get(f"{NATIVE}/assets/default/m/versions/2"))
    assert (kept["lifecycle"], kept["standing"]["tombstoned"]) == ("retired", True)
    assert (await a_version(ada))["version"] == "3"
    assert "version.tombstone" in await acts(ada)


async def test_a_deleted_model_never_comes_back(ada: Client) -> None:
    await a_version(ada)
    m = {"name": "m"}
    assert await ok(await ada.request("DELETE", f"{API}/registered-models/delete", json=m)) == {}
    for answer in (
        await ada.get(f"{API}/registered-models/get", params=m),
        await ada.request("DELETE", f"{API}/registered-models/delete", json=m),
        await ada.post(f"{API}/model-versions/create", json=m | {"source": "models:/m/1"}),
    ):
        assert error_of(answer) == (404, "RESOURCE_DOES_NOT_EXIST")
    found = await ok(await ada.get(f"{API}/registered-models/search"))
    assert found == {}
    again = await ada.post(f"{API}/registered-models/create", json=m)
    assert error_of(again) == (400, "RESOURCE_ALREADY_EXISTS")
    assert "deleted" in again.json()["message"]
    kept = await ok(await ada.get(f"{NATIVE}/assets/default/m/versions/1"))
    assert kept["lifecycle"] == "retired"
    native = await ada.post(
        f"{NATIVE}/assets/default/m/versions", json={"version": "9.0.0", "files": []}
    )
    assert (native.status_code, native.json()["code"]) == (409, "lifecycle_conflict")


async def test_what_is_deployed_is_not_deleted(ada: Client) -> None:
    await a_version(ada)
    await staged(ada, 1, "Staging")
    v = {"name": "m", "version": "1"}
    for path, body in (("model-versions", v), ("registered-models", {"name": "m"})):
        kept = await ada.request("DELETE", f"{API}/{path}/delete", json=body)
        assert error_of(kept) == (409, "RESOURCE_CONFLICT"), path
        assert "staging" in kept.json()["message"]


async def test_who_may_not_is_refused(registry: RegistrySimulator, ada: Client) -> None:
    await a_version(ada)
    v = {"name": "m", "version": "1"}
    for role in (Role.VIEWER, Role.CONTRIBUTOR):
        who = registry.as_(role)
        for answer in (
            await stage(who, 1, "Production"),
            await stage(who, 1, "None"),
            await who.request("DELETE", f"{API}/model-versions/delete", json=v),
            await who.request("DELETE", f"{API}/registered-models/delete", json={"name": "m"}),
            await who.post(f"{API}/registered-models/rename", json={"name": "m", "new_name": "n"}),
        ):
            assert error_of(answer) == (403, "PERMISSION_DENIED"), (role, answer.url)
        assert (await acts(ada)).count("promotion.refuse") == 0


# --- creates that are sent again ---------------------------------------------------------------


def over(registry: RegistrySimulator, ada: Client, port: int, agent: str = "") -> httpx.AsyncClient:
    """The same caller over another connection."""
    headers = {"authorization": f"Bearer {ada.issued.text}", "user-agent": agent or "curl/8"}
    transport = httpx.ASGITransport(registry.app, client=("127.0.0.1", port))
    return httpx.AsyncClient(transport=transport, base_url="http://muniment.test", headers=headers)


async def test_a_create_sent_again_makes_one_version(
    registry: RegistrySimulator, ada: Client, clock: FixedClock
) -> None:
    await a_version(ada)
    body = {"name": "m", "source": "models:/m/1", "description": "copy"}
    path = f"{API}/model-versions/create"

    async def number(client: httpx.AsyncClient, **more: Any) -> str:
        made = await ok(await client.post(path, json=body | more))
        return str(made["model_version"]["version"])

    one, two = over(registry, ada, 1001), over(registry, ada, 1002)
    new = over(registry, ada, 1003, "mlflow-python-client/3.18.0")
    assert await number(one) == "2"
    assert await number(two) == "2"  # the answer was lost: the client asks again
    assert await number(two) == "3"  # it has read that answer, and asks for another
    assert await number(one, description="other") == "4"
    assert await number(new, description="other") == "5"
    assert await number(registry.as_(Role.ADMIN), description="other") == "6"
    assert await number(one, description="last") == "7"
    tag = {"name": "m", "version": "7", "key": "k", "value": "v"}
    await ok(await ada.post(f"{API}/model-versions/set-tag", json=tag))
    assert await number(two, description="last") == "8"
    clock.advance(dt.timedelta(minutes=3))
    assert await number(one, description="last") == "9"
    for client in (one, two, new):
        await client.aclose()
