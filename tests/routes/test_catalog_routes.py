"""The catalog over HTTP: what each caller gets, who is refused, and bad input of every kind."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from muniment.core.names import Namespace
from muniment.server import catalog
from muniment.server.catalog.records import Mode
from muniment.server.catalog.routes import OPERATIONS as CATALOG
from muniment.server.http.operation import Operation
from muniment.server.http.records import Grant, Role, Scope, Verb
from muniment.server.identity.rules.access import VERBS
from muniment.server.lifecycle.routes import OPERATIONS as LIFECYCLE
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.app import Client, RegistrySimulator, app_client
from tests.support.catalog import FULL_METADATA, Catalog
from tests.support.policies import bare

#: Aliases are read in the catalog and moved above it.
OPERATIONS = [*CATALOG, *(one for one in LIFECYCLE if one.id == "set_alias")]
API = "/api/v1"
FRAUD = f"{API}/assets/default/fraud"
ONE = f"{FRAUD}/versions/1.0.0"
CHAMPION = f"{FRAUD}/aliases/champion"
BODIES: dict[str, dict[str, Any]] = {
    "create_asset": {"name": "new", "kind": "model", "owner": "ops"},
    "annotate_asset": {"description": "x"},
    "annotate_version": {"description": "x"},
    "set_alias": {"version": "1.0.0"},
    "create_namespace": {"namespace": "new"},
    "govern_namespace": {"mode": "warn", "reason": "trying it"},
}


@pytest.fixture
async def registry(
    db: PostgresDatabase, blobs: Blobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[RegistrySimulator]:
    """A registry with `fraud` 1.0.0 and 2.0.0, where `champion` points at the first.

    Its rules are observed: what production's aliases take is `test_lifecycle_routes`'s.
    """
    made_by = Catalog(clock)
    async with db.transaction() as tx:
        await catalog.create_namespace(tx, Namespace("default"), Mode.OBSERVE, made_by.by())
        await made_by.asset(tx, tags={"team": "risk"})
        await made_by.version(tx, metadata=FULL_METADATA, tags={"stage": "a"})
        await made_by.version(tx, version="2.0.0")
        await made_by.point(tx, "champion", "1.0.0", reason="best")
        await made_by.asset(tx, "risk/secret")
        await made_by.version(tx, "risk/secret")
    async with app_client(db, blobs, keys, clock, OPERATIONS, first=bare()) as registry:
        yield registry


async def call(client: Client, operation: Operation, namespace: str = "default") -> httpx.Response:
    path = operation.path.format(
        namespace=namespace, name="fraud", version="1.0.0", alias="champion"
    )
    params = {"ref": f"{namespace}/fraud@1.0.0"} if operation.id == "resolve_reference" else {}
    body = BODIES.get(operation.id)
    if operation.id == "create_asset":
        body = {**(body or {}), "namespace": namespace}
    return await client.request(operation.method, path, json=body, params=params)


def ids(operation: Operation) -> str:
    return operation.id


# --- who is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS, ids=ids)
async def test_nobody_unknown_gets_anything(
    registry: RegistrySimulator, operation: Operation
) -> None:
    answer = await call(registry.anonymous, operation)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


LOCKED = [operation for operation in OPERATIONS if operation.needs is not Verb.NOTHING]


@pytest.mark.parametrize("operation", LOCKED, ids=ids)
async def test_a_role_without_the_verb_is_refused(
    registry: RegistrySimulator, operation: Operation
) -> None:
    for role in Role:
        if operation.needs in VERBS[role]:
            answer = await call(registry.as_(role), operation)
            # Two roles may make it; the second comes too late.
            assert answer.status_code in {200, 201, 409}, (role, answer.text)
        else:
            answer = await call(registry.as_(role), operation)
            assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed"), role
    answer = await call(registry.nobody, operation)
    assert answer.status_code in {403, 404}


SCOPED = [
    op for op in LOCKED if op.id not in {"search_assets", "search_versions", "list_namespaces"}
]


@pytest.mark.parametrize("operation", SCOPED, ids=ids)
async def test_a_role_elsewhere_does_not_even_learn_what_is_there(
    registry: RegistrySimulator, operation: Operation
) -> None:
    elsewhere = registry.with_grants(
        Grant(Role.ADMIN, Scope("team-a")), Grant(Role.ADMIN, Scope("default", "other"))
    )
    answer = await call(elsewhere, operation)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("what", ["assets", "versions"])
async def test_a_search_shows_what_the_caller_may_read(
    registry: RegistrySimulator, what: str
) -> None:
    async def names(client: Client) -> set[str]:
        answer = await client.get(f"{API}/{what}")
        assert answer.status_code == 200, answer.text
        return {item["name"] for item in answer.json()["items"]}

    assert await names(registry.as_(Role.VIEWER)) == {"fraud", "secret"}
    assert await names(registry.as_(Role.VIEWER, Scope("risk"))) == {"secret"}
    assert await names(registry.as_(Role.VIEWER, Scope("default", "fraud"))) == {"fraud"}
    assert await names(registry.as_(Role.VIEWER, Scope("default", "secret"))) == set()


# --- what each endpoint answers ----------------------------------------------------------------


async def test_an_asset_is_created_read_changed(registry: RegistrySimulator) -> None:
    ada = registry.as_(Role.CONTRIBUTOR)
    body = {
        "namespace": "risk",
        "name": "a b é",
        "kind": "adapter",
        "owner": "ops",
        "tags": {"k": "v"},
    }
    made = await ada.post(f"{API}/assets", json=body)
    assert made.status_code == 201, made.text
    assert made.json().items() >= body.items()
    where = made.headers["location"]
    assert where == f"{API}/assets/risk/a%20b%20%C3%A9"
    read = await ada.get(where)
    assert read.json() == made.json()
    assert read.headers["etag"] == made.headers["etag"] == '"1"'
    again = await ada.post(f"{API}/assets", json=body)
    assert (again.status_code, again.json()["code"]) == (409, "already_exists")
    unchanged = await ada.get(where, headers={"If-None-Match": '"1"'})
    assert unchanged.status_code == 304

    change = {"owner": "risk", "tags": {"k": None, "n": "1"}, "reason": "moved"}
    changed = await ada.patch(where, json=change, headers={"If-Match": '"1"'})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["owner"], changed.json()["tags"]) == ("risk", {"n": "1"})
    assert changed.headers["etag"] == '"2"'
    stale = await ada.patch(where, json={"owner": "x"}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale_revision")
    assert stale.json()["revision"] == 2
    anyway = await ada.patch(where, json={"owner": "x"}, headers={"If-Match": "*"})
    assert anyway.json()["revision"] == 3
    odd = await ada.patch(where, json={"owner": "y"}, headers={"If-Match": "two"})
    assert odd.status_code == 422
    history = (await ada.get(f"{where}/history")).json()["items"]
    assert [event["act"] for event in history] == [
        "asset.annotate",
        "asset.annotate",
        "asset.create",
    ]
    assert history[1]["changes"]["tags.k"] == ["v", None]


async def test_a_version_is_read_by_all_its_names(registry: RegistrySimulator) -> None:
    ada = registry.as_(Role.VIEWER)
    one = await ada.get(ONE)
    assert one.status_code == 200, one.text
    body = one.json()
    assert body["metadata"] == FULL_METADATA
    assert body["aliases"] == ["champion"]
    assert (body["version"], body["number"], body["lifecycle"]) == ("1.0.0", 1, "draft")
    assert body["manifest_digest"].startswith("sha256:")
    for path, params in (
        (f"{FRAUD}/versions/1", {}),
        (f"{FRAUD}/versions/{quote('1.0.0+any', safe='')}", {}),
        (CHAMPION, {}),
        (f"{API}/resolve", {"ref": "fraud@champion"}),
        (f"{API}/resolve", {"ref": "default/fraud@1.0.0"}),
        (f"{API}/resolve", {"ref": "fraud@1", "as_of": "2100-01-01"}),
        (CHAMPION, {"as_of": "2100-01-01T00:00:00+00:00"}),
    ):
        answer = await ada.get(path, params=params)
        assert answer.status_code == 200, (path, answer.text)
        assert answer.json() == body, path
    early = await ada.get(ONE, params={"as_of": "2020-01-01"})
    assert early.status_code == 404


async def test_what_is_said_of_a_version_changes(registry: RegistrySimulator) -> None:
    ada = registry.as_(Role.CONTRIBUTOR)
    etag = (await ada.get(ONE)).headers["etag"]
    change = {"description": "good", "tags": {"stage": None}, "reason": None}
    changed = await ada.patch(ONE, json=change, headers={"If-Match": etag})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["description"], changed.json()["tags"]) == ("good", {})
    stale = await ada.patch(ONE, json={"tags": {"a": "b"}}, headers={"If-Match": etag})
    assert stale.status_code == 412
    derived = await ada.patch(ONE, json={"tags": {"bias_tested": "yes"}})
    assert (derived.status_code, derived.json()["problems"][0]["field"]) == (
        422,
        "tags.bias_tested",
    )
    answer = await ada.get(f"{ONE}/history", params={"limit": 2})
    page = answer.json()
    assert [event["act"] for event in page["items"]] == ["version.annotate", "alias.set"]
    rest = await ada.get(f"{ONE}/history", params={"cursor": page["next_cursor"]})
    assert [event["act"] for event in rest.json()["items"]] == ["version.register"]


async def test_an_alias_moves_with_a_reason_and_a_condition(registry: RegistrySimulator) -> None:
    ada = registry.as_(Role.PUBLISHER)
    etag = (await ada.get(CHAMPION)).headers["etag"]
    moved = await ada.put(
        CHAMPION, json={"version": "2.0.0", "reason": "new"}, headers={"If-Match": etag}
    )
    assert moved.status_code == 200, moved.text
    assert (
        moved.json().items()
        >= {"alias": "champion", "version": "2.0.0", "number": 2, "revision": 2}.items()
    )
    refusals: tuple[tuple[dict[str, str], dict[str, Any]], ...] = (
        ({"If-Match": etag}, {}),
        ({}, {"expected_version": "1.0.0"}),
        ({}, {"expected_version": None}),
    )
    for headers, more in refusals:
        stale = await ada.put(CHAMPION, json={"version": "1", **more}, headers=headers)
        assert (stale.status_code, stale.json()["version"]) == (412, "2.0.0")
    listed = (await ada.get(f"{FRAUD}/aliases")).json()
    assert [(a["alias"], a["version"]) for a in listed["items"]] == [("champion", "2.0.0")]
    gone = await ada.put(CHAMPION, json={"version": None, "expected_version": "2"})
    assert (gone.json()["version"], gone.json()["revision"]) == (None, 3)
    assert (await ada.get(CHAMPION)).status_code == 404
    assert (await ada.get(f"{FRAUD}/aliases")).json() == {"items": [], "next_cursor": None}
    moves = (await ada.get(f"{CHAMPION}/history")).json()["items"]
    assert [(m["previous_version"], m["version"], m["reason"]) for m in moves] == [
        ("2.0.0", None, ""),
        ("1.0.0", "2.0.0", "new"),
        (None, "1.0.0", "best"),
    ]


async def test_an_alias_s_etag_changes_with_what_is_shown(registry: RegistrySimulator) -> None:
    ada = registry.as_(Role.PUBLISHER)
    seen = [(await ada.get(CHAMPION)).headers["etag"], (await ada.get(ONE)).headers["etag"]]
    await ada.put(f"{FRAUD}/aliases/challenger", json={"version": "1.0.0"})
    seen += [(await ada.get(CHAMPION)).headers["etag"], (await ada.get(ONE)).headers["etag"]]
    await ada.patch(ONE, json={"description": "new"})
    seen += [(await ada.get(CHAMPION)).headers["etag"], (await ada.get(ONE)).headers["etag"]]
    assert len(set(seen)) == 6


async def test_searches_page_filter_and_sort(registry: RegistrySimulator) -> None:
    ada = registry.as_(Role.VIEWER)

    async def versions(path: str = f"{API}/versions", **params: Any) -> list[str]:
        found, cursor = [], None
        while True:
            more: dict[str, Any] = {"cursor": cursor} if cursor else {}
            answer = await ada.get(path, params={"limit": 1, **params, **more})
            assert answer.status_code == 200, answer.text
            found += [f"{item['name']}@{item['version']}" for item in answer.json()["items"]]
            cursor = answer.json()["next_cursor"]
            if cursor is None:
                return found

    assert await versions() == ["secret@1.0.0", "fraud@2.0.0", "fraud@1.0.0"]
    assert await versions(order_by=["name", "version desc"]) == [
        "fraud@2.0.0",
        "fraud@1.0.0",
        "secret@1.0.0",
    ]
    assert await versions(filter="dataset = 'transactions' AND alias = 'champion'") == [
        "fraud@1.0.0"
    ]
    assert await versions(f"{FRAUD}/versions") == ["fraud@2.0.0", "fraud@1.0.0"]
    assert await versions(f"{FRAUD}/versions", filter="tags.stage = 'a'") == ["fraud@1.0.0"]
    assert await versions(as_of="2020-01-01") == []
    assets = await ada.get(f"{API}/assets", params={"filter": "tags.team = 'risk'"})
    assert [item["name"] for item in assets.json()["items"]] == ["fraud"]


async def test_completeness_says_what_is_missing(registry: RegistrySimulator) -> None:
    ada = registry.as_(Role.VIEWER)
    draft = (await ada.get(f"{ONE}/completeness", params={"step": "draft"})).json()
    assert (draft["present_percent"], draft["gaps"]) == (100.0, [])
    one = (await ada.get(f"{ONE}/completeness")).json()
    assert {gap["field"] for gap in one["gaps"]} == {
        "backup_owner",
        "escalation_contact",
        "risk_tier",
    }
    assert one["step"] == "candidate"
    two = (await ada.get(f"{FRAUD}/versions/2/completeness", params={"as_of": "2100-01-01"})).json()
    assert two["present_percent"] < one["present_percent"]
    assert all(gap["fix"] for gap in two["gaps"])


async def test_a_namespace_asks_for_fields_of_its_own(
    registry: RegistrySimulator, clock: FixedClock
) -> None:
    admin, then = registry.as_(Role.ADMIN), clock.now().isoformat()
    clock.advance(dt.timedelta(seconds=1))
    asked = {"field": "dpia", "why": "the law wants it", "risk_tiers": ["high"]}
    change = {"required_fields": [asked], "reason": "new law"}
    put = await admin.patch(f"{API}/namespaces/default", json=change)
    assert put.status_code == 200, put.text
    assert put.json()["required_fields"] == [{**asked, "step": "candidate", "kinds": []}]

    async def gaps(**query: str) -> set[str]:
        found = await registry.as_(Role.VIEWER).get(f"{ONE}/completeness", params=query)
        return {gap["field"] for gap in found.json()["gaps"]}

    assert "extra.dpia" in await gaps()
    assert "extra.dpia" not in await gaps(step="draft")
    assert "extra.dpia" not in await gaps(as_of=then)
    clock.advance(dt.timedelta(seconds=1))
    later = clock.now().isoformat()
    clock.advance(dt.timedelta(seconds=1))
    none = {"required_fields": [], "reason": "repealed"}
    assert (await admin.patch(f"{API}/namespaces/default", json=none)).status_code == 200
    assert "extra.dpia" not in await gaps()
    assert "extra.dpia" in await gaps(as_of=later)
    wrong = {"required_fields": [{**asked, "field": "Data Protection"}], "reason": "r"}
    refused = await admin.patch(f"{API}/namespaces/default", json=wrong)
    assert refused.status_code == 422


async def test_the_schema_is_for_everybody_known(registry: RegistrySimulator) -> None:
    answer = await registry.nobody.get(f"{API}/metadata-schema")
    assert answer.status_code == 200
    assert answer.json()["title"] == "muniment/version-metadata/v1"


async def test_the_same_key_creates_once(registry: RegistrySimulator) -> None:
    ada = registry.as_(Role.CONTRIBUTOR)
    headers = {"Idempotency-Key": "k1"}
    first = await ada.post(f"{API}/assets", json=BODIES["create_asset"], headers=headers)
    second = await ada.post(f"{API}/assets", json=BODIES["create_asset"], headers=headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        f"{API}/assets/default/none",
        f"{API}/assets/none/fraud",
        f"{API}/assets/none/fraud/history",
        f"{API}/assets/none/fraud/versions",
        f"{API}/assets/none/fraud/aliases",
        f"{FRAUD}/versions/9.9.9",
        f"{FRAUD}/versions/99",
        f"{FRAUD}/versions/99/history",
        f"{FRAUD}/versions/99/completeness",
        f"{FRAUD}/aliases/none",
        f"{API}/assets/default/none/aliases/x/history",
        f"{API}/resolve?ref=fraud@none",
    ],
)
async def test_what_is_not_there(registry: RegistrySimulator, path: str) -> None:
    answer = await registry.as_(Role.VIEWER).get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "path",
    [
        f"{API}/assets/DEFAULT/fraud",
        f"{API}/assets/default/{'x' * 300}",
        f"{API}/assets/default/a%00b",
        f"{API}/assets/default/e%CC%81",
        f"{API}/assets/default/%E2%80%AE",
        f"{FRAUD}/versions/1.0",
        f"{FRAUD}/versions/v1",
        f"{FRAUD}/versions/champion",
        f"{FRAUD}/versions/99999999999",
        f"{FRAUD}/aliases/latest",
        f"{FRAUD}/aliases/v7",
        f"{FRAUD}/aliases/a%20b",
        f"{FRAUD}/aliases/{'a' * 300}",
        f"{FRAUD}/history?cursor=abc",
        f"{FRAUD}/history?cursor=e30",
        f"{FRAUD}/history?cursor=eyJhdCI6MSwiZW50cnkiOjJ9",
        f"{FRAUD}/history?limit=0",
        f"{FRAUD}?as_of=soon",
        f"{FRAUD}?as_of=2026-02-30",
        f"{FRAUD}?asof=2026-02-20",
        f"{API}/resolve",
        f"{API}/resolve?ref=",
        f"{API}/resolve?ref=fraud",
        f"{API}/resolve?ref=fraud@@1",
        f"{API}/resolve?ref=%00@1",
        f"{API}/assets?filter=nme%20=%20'x'",
        f"{API}/assets?filter=name%20=%20'%00'",
        f"{API}/assets?order_by=nme",
        f"{API}/assets?order_by=name&order_by=name",
        f"{API}/assets?cursor=e30",
        f"{API}/assets?limit=501",
        f"{API}/assets?limit=x",
        f"{API}/versions?filter={'(' * 5000}",
        f"{API}/versions?filter={quote('NOT ' * 500 + 'executable = true')}",
        f"{API}/versions?cursor=bm90IGpzb24",
        f"{ONE}/completeness?step=live",
    ],
)
async def test_what_cannot_be_understood(registry: RegistrySimulator, path: str) -> None:
    answer = await registry.as_(Role.VIEWER).get(path)
    assert answer.status_code in {400, 404, 422}, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"name", "kind", "owner"}),
        (
            {"name": 1, "kind": "modl", "owner": None, "colour": "red"},
            {"name", "kind", "owner", "colour"},
        ),
        ({"name": "x", "kind": "model", "owner": ""}, {"owner"}),
        ({"name": "x", "kind": "model", "owner": "o", "risk_tier": "huge"}, {"risk_tier"}),
        ({"name": "x", "kind": "model", "owner": "o", "tags": {"a": 1}}, {"tags.a"}),
        ({"name": "x", "kind": "model", "owner": "o", "tags": {"aisdp.x": "1"}}, {"tags.aisdp.x"}),
        (
            {"name": "x", "kind": "model", "owner": "o" * 300, "description": "d" * 20_001},
            {"owner", "description"},
        ),
        ({"name": "x", "kind": "model", "owner": "a\0b"}, {"owner"}),
        ({"name": "x" * 300, "kind": "model", "owner": "o"}, set()),
        ({"name": "a/b", "kind": "model", "owner": "o"}, set()),
        ({"name": "e\u0301", "kind": "model", "owner": "o"}, set()),
        ({"name": "x", "namespace": "A B", "kind": "model", "owner": "o"}, set()),
    ],
)
async def test_an_asset_that_cannot_be(
    registry: RegistrySimulator, body: dict[str, Any], fields: set[str]
) -> None:
    answer = await registry.as_(Role.ADMIN).post(f"{API}/assets", json=body)
    assert answer.status_code == 422, answer.text
    assert {problem["field"] for problem in answer.json().get("problems", [])} == fields


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"version": 1},
        {"version": "latest"},
        {"version": "1.0.0", "why": "x"},
        {"version": "1.0.0", "reason": "x" * 2001},
        {"version": "1.0.0", "expected_version": "x"},
        [],
        "1.0.0",
    ],
)
async def test_an_alias_that_cannot_move(registry: RegistrySimulator, body: Any) -> None:
    answer = await registry.as_(Role.ADMIN).put(CHAMPION, json=body)
    assert answer.status_code == 422, answer.text
    assert (await registry.as_(Role.ADMIN).get(CHAMPION)).json()["version"] == "1.0.0"


async def test_nothing_can_be_deleted(registry: RegistrySimulator) -> None:
    for path in (FRAUD, ONE, CHAMPION):
        assert (await registry.as_(Role.ADMIN).delete(path)).status_code == 405
