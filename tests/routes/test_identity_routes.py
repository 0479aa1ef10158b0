"""Principals, roles and tokens over HTTP: what each caller gets, and who is refused."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from muniment.server.http.operation import Operation
from muniment.server.http.records import EVERYTHING, Grant, Role, Scope, Verb
from muniment.server.identity import create_local_admin_token, jobs
from muniment.server.identity.routes import names, principals, tokens, welcome
from muniment.server.identity.rules.access import VERBS
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.app import Client, RegistrySimulator, app_client

#: Trust in pipelines has tests of its own.
OPERATIONS = [
    *principals.OPERATIONS,
    *names.OPERATIONS,
    *tokens.OPERATIONS,
    *welcome.OPERATIONS,
]
P, T = "/api/v1/principals", "/api/v1/tokens"
NOBODYS = uuid.UUID(int=9)
DAY = dt.timedelta(days=1)
TEAM = Scope("team-a")

BODIES: dict[str, dict[str, Any]] = {
    "create_principal": {"name": "ben"},
    "grant_role": {"role": "viewer"},
    "revoke_role": {"role": "viewer"},
    "create_token": {"label": "laptop"},
}


@pytest.fixture
async def registry(
    db: PostgresDatabase, blobs: Blobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[RegistrySimulator]:
    async with app_client(db, blobs, keys, clock, OPERATIONS) as registry:
        yield registry


async def call(client: Client, operation: Operation, subject: object = NOBODYS) -> Any:
    path = operation.path.format(principal_id=subject, token_id=subject)
    return await client.request(operation.method, path, json=BODIES.get(operation.id))


async def made(registry: RegistrySimulator, **body: Any) -> dict[str, Any]:
    answer = await registry.as_(Role.ADMIN).post(P, json={"name": "ben", **body})
    assert answer.status_code == 201, answer.text
    principal: dict[str, Any] = answer.json()
    return principal


# --- who is refused ----------------------------------------------------------------------------

closed = [op for op in OPERATIONS if op.needs is not Verb.ANONYMOUS]


@pytest.mark.parametrize("operation", closed, ids=lambda op: op.id)
async def test_anonymous_is_refused(registry: RegistrySimulator, operation: Operation) -> None:
    answer = await call(registry.anonymous, operation)
    assert answer.status_code == 401
    assert answer.json()["code"] == "not_authenticated"
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
@pytest.mark.parametrize(
    "operation",
    [op for op in OPERATIONS if op.needs in (Verb.ADMINISTER, Verb.READ_PRINCIPALS)],
    ids=lambda op: op.id,
)
async def test_the_wrong_role_is_refused(
    registry: RegistrySimulator, operation: Operation, role: Role
) -> None:
    answer = await call(registry.as_(role), operation)
    if operation.needs in VERBS[role]:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.PUBLISHER, Role.APPROVER_SECURITY])
async def test_what_is_others_is_refused(registry: RegistrySimulator, role: Role) -> None:
    ben = await made(registry)
    theirs = await registry.as_(Role.ADMIN).post(T, json={"label": "x", "principal_id": ben["id"]})
    me = registry.as_(role)
    assert (await me.get(f"{P}/{ben['id']}")).status_code == 403
    assert (await me.get(T, params={"principal_id": ben["id"]})).status_code == 403
    denied = await me.post(T, json={"label": "mine", "principal_id": ben["id"]})
    assert denied.status_code == 403
    assert (await me.post(f"{T}/{theirs.json()['id']}/revoke")).status_code == 404
    still = await registry.with_token(theirs.json()["token"]).get("/api/v1/whoami")
    assert still.status_code == 200


async def test_an_administrator_of_a_part_stays_in_it(registry: RegistrySimulator) -> None:
    ben = await made(registry)
    part = registry.as_(Role.ADMIN, TEAM)
    roles = f"{P}/{ben['id']}/roles"
    inside = {"role": "viewer", "namespace": "team-a", "asset": "fraud"}
    assert (await part.post(roles, json=inside)).status_code == 200
    assert (await part.post(f"{roles}/revoke", json=inside)).status_code == 200
    assert (await part.post(roles, json={"role": "viewer"})).status_code == 403
    elsewhere = {"role": "viewer", "namespace": "team-b"}
    assert (await part.post(roles, json=elsewhere)).status_code == 404, "it may not even read there"
    assert (await part.post(P, json={"name": "cy"})).status_code == 403
    assert (await part.post(f"{P}/{ben['id']}/disable")).status_code == 403


# --- who am I ----------------------------------------------------------------------------------


async def test_whoami(registry: RegistrySimulator, clock: FixedClock) -> None:
    me = registry.as_(Role.PUBLISHER, TEAM)
    answer = (await me.get("/api/v1/whoami")).json()
    assert answer == {
        "id": str(me.principal_id),
        "kind": "person",
        "name": "publisher 0",
        "grants": [{"role": "publisher", "namespace": "team-a", "asset": None}],
        "token_id": str(me.issued.token.id),
        "token_expires_at": (clock.now() + 90 * DAY).isoformat().replace("+00:00", "Z"),
    }


async def test_who_has_no_role_may_still_ask(registry: RegistrySimulator) -> None:
    assert (await registry.nobody.get("/api/v1/whoami")).json()["grants"] == []


async def test_ids_have_names_for_whoever_may_call(registry: RegistrySimulator) -> None:
    ben = await made(registry)
    me = registry.as_(Role.VIEWER, TEAM)
    assert (await me.get("/api/v1/principal-names")).status_code == 422
    ids = [ben["id"], str(me.principal_id), str(uuid.uuid4())]
    named = await me.get("/api/v1/principal-names", params={"id": ids})
    me_too = (await me.get("/api/v1/whoami")).json()["name"]
    names = [(one["id"], one["name"]) for one in named.json()["items"]]
    assert names == [(ids[0], ben["name"]), (ids[1], me_too)]
    many = {"id": [str(uuid.uuid4()) for _ in range(201)]}
    assert (await me.get("/api/v1/principal-names", params=many)).status_code == 422
    assert (await me.get("/api/v1/principal-names", params={"id": "ben"})).status_code == 422


# --- principals --------------------------------------------------------------------------------


async def test_a_principal_is_made_shown_and_ended(registry: RegistrySimulator) -> None:
    admin = registry.as_(Role.ADMIN)
    grants = [{"role": "viewer", "namespace": "team-a", "asset": "fraud detector"}]
    made_ = await admin.post(
        P, json={"name": "ben", "kind": "service", "display_name": "Ben", "grants": grants}
    )
    assert made_.status_code == 201
    ben = made_.json()
    assert made_.headers["location"] == f"{P}/{ben['id']}"
    assert (ben["name"], ben["kind"], ben["grants"]) == ("ben", "service", grants)
    assert (await admin.get(f"{P}/{ben['id']}")).json() == ben
    token = (await admin.post(T, json={"label": "ci", "principal_id": ben["id"]})).json()["token"]
    theirs = registry.with_token(token)
    assert (await theirs.get(f"{P}/{ben['id']}")).json() == ben
    ended = await admin.post(f"{P}/{ben['id']}/disable")
    assert ended.json()["disabled_at"] is not None
    assert (await theirs.get("/api/v1/whoami")).status_code == 401
    refused = await admin.post(f"{P}/{ben['id']}/roles", json={"role": "viewer"})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


async def test_a_role_is_given_and_taken(registry: RegistrySimulator) -> None:
    admin, ben = registry.as_(Role.ADMIN), await made(registry)
    roles, role = f"{P}/{ben['id']}/roles", {"role": "auditor", "namespace": None, "asset": None}
    for _ in range(2):
        assert (await admin.post(roles, json={"role": "auditor"})).json()["grants"] == [role]
    for _ in range(2):
        gone = await admin.post(f"{roles}/revoke", json={"role": "auditor"})
        assert gone.json()["grants"] == []


async def test_the_last_administrator_is_kept(registry: RegistrySimulator) -> None:
    admin = registry.as_(Role.ADMIN)
    await admin.get("/api/v1/whoami")
    for path, body in (("disable", None), ("roles/revoke", {"role": "admin"})):
        answer = await admin.post(f"{P}/{admin.principal_id}/{path}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert "last administrator" in answer.json()["detail"]


async def test_principals_are_listed_in_pages(registry: RegistrySimulator) -> None:
    for name in ("cy", "ben", "Bea", "dora"):
        await made(registry, name=name)
    admin, seen, cursor = registry.as_(Role.ADMIN), list[str](), None
    while True:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await admin.get(P, params=params)).json()
        assert len(page["items"]) <= 2
        seen += [each["name"] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(["Bea", "admin 0", "ben", "cy", "dora"])
    found = (await admin.get(P, params={"name": "BE"})).json()
    assert {each["name"] for each in found["items"]} == {"ben", "Bea"}


@pytest.mark.parametrize(
    ("body", "code", "fields"),
    [
        ({}, "bad_body", ["name"]),
        ({"name": ""}, "bad_body", ["name"]),
        ({"name": " ben"}, "bad_body", ["name"]),
        ({"name": 1, "kind": "god", "colour": "red"}, "bad_body", ["colour", "name", "kind"]),
        ({"name": "ben", "kind": "system"}, "bad_body", []),
        ({"name": "b\0n"}, "bad_body", ["name"]),
        ({"name": "ben", "grants": [{"role": "viewer", "asset": "a"}]}, "bad_body", ["asset"]),
        ({"name": "ben", "grants": [{"role": "viewer", "namespace": "A b"}]}, "bad_name", []),
        ({"name": "ben", "grants": [{"role": "boss"}]}, "bad_body", ["grants[0].role"]),
    ],
)
async def test_a_bad_principal_is_refused_and_told_why(
    registry: RegistrySimulator, body: dict[str, Any], code: str, fields: list[str]
) -> None:
    answer = await registry.as_(Role.ADMIN).post(P, json=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, code)
    if fields:
        assert [each["field"] for each in problem["problems"]] == fields


async def test_a_name_is_taken_once(registry: RegistrySimulator) -> None:
    await made(registry)
    answer = await registry.as_(Role.ADMIN).post(P, json={"name": "ben"})
    assert (answer.status_code, answer.json()["code"]) == (409, "already_exists")


@pytest.mark.parametrize("subject", [NOBODYS, "not-an-id", "%00", "1" * 5000])
async def test_what_is_not_there_is_not_found(registry: RegistrySimulator, subject: str) -> None:
    admin = registry.as_(Role.ADMIN)
    assert (await admin.get(f"{P}/{subject}")).status_code == 404
    assert (await admin.post(f"{P}/{subject}/disable")).status_code == 404
    assert (await admin.post(f"{T}/{subject}/revoke")).status_code == 404


# --- tokens ------------------------------------------------------------------------------------


async def test_a_token_is_shown_once_and_ends_at_once(registry: RegistrySimulator) -> None:
    me = registry.as_(Role.VIEWER)
    made_ = await me.post(T, json={"label": "laptop"})
    assert made_.status_code == 201
    token = made_.json()
    assert token["token"].startswith("mun_")
    mine = registry.with_token(token["token"])
    assert (await mine.get("/api/v1/whoami")).status_code == 200
    listed = (await me.get(T)).json()["items"]
    assert [each["label"] for each in listed] == ["laptop", "tests"]
    assert not any("token" in each or "hash" in each for each in listed)
    for _ in range(2):
        gone = await me.post(f"{T}/{token['id']}/revoke")
        assert gone.json()["revoked_at"] is not None
    refused = await mine.get("/api/v1/whoami")
    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]


async def test_last_use_is_kept(registry: RegistrySimulator, clock: FixedClock) -> None:
    me = registry.as_(Role.VIEWER)
    await me.get("/api/v1/whoami")
    await registry.tokens.settle()
    (token,) = (await me.get(T)).json()["items"]
    assert dt.datetime.fromisoformat(token["last_used_at"]) == clock.now()


async def test_a_narrowed_token_hands_on_no_more_than_it_has(
    registry: RegistrySimulator, clock: FixedClock
) -> None:
    me = registry.as_(Role.PUBLISHER)
    limits = [{"role": "viewer", "namespace": "team-a", "asset": None}]
    soon = (clock.now() + DAY).isoformat()
    narrow = await me.post(T, json={"label": "n", "limits": limits, "expires_at": soon})
    narrowed = registry.with_token(narrow.json()["token"])
    assert (await narrowed.get("/api/v1/whoami")).json()["grants"] == limits
    next_ = (await narrowed.post(T, json={"label": "next"})).json()
    assert next_["limits"] == limits
    assert next_["expires_at"] == narrow.json()["expires_at"]
    more = [{"role": "publisher"}]
    assert (await narrowed.post(T, json={"label": "m", "limits": more})).status_code == 403
    later = (clock.now() + 2 * DAY).isoformat()
    too_late = await narrowed.post(T, json={"label": "l", "expires_at": later})
    assert too_late.status_code == 422
    assert too_late.json()["problems"][0]["field"] == "expires_at"


async def test_a_narrowed_token_knows_and_ends_only_itself(registry: RegistrySimulator) -> None:
    me = registry.as_(Role.PUBLISHER)
    limits = [{"role": "viewer", "namespace": "team-a", "asset": None}]
    narrow = (await me.post(T, json={"label": "n", "limits": limits})).json()
    other = (await me.post(T, json={"label": "other", "limits": limits})).json()
    narrowed = registry.with_token(narrow["token"])
    for params in ({}, {"principal_id": str(me.principal_id)}):
        page = (await narrowed.get(T, params=params)).json()
        assert [each["id"] for each in page["items"]] == [narrow["id"]]
        assert page["next_cursor"] is None
    for token_id in (other["id"], str(me.issued.token.id)):
        assert (await narrowed.post(f"{T}/{token_id}/revoke")).status_code == 404
    assert len((await me.get(T)).json()["items"]) == 3
    assert (await narrowed.post(f"{T}/{narrow['id']}/revoke")).status_code == 200
    assert (await narrowed.get(T)).status_code == 401
    assert (await me.post(f"{T}/{other['id']}/revoke")).status_code == 200


async def test_a_token_narrowed_to_administer_everything_still_does(
    registry: RegistrySimulator,
) -> None:
    me = registry.with_grants(Grant(Role.ADMIN, EVERYTHING), Grant(Role.VIEWER, EVERYTHING))
    limits = [{"role": "admin", "namespace": None, "asset": None}]
    narrow = (await me.post(T, json={"label": "n", "limits": limits})).json()
    narrowed = registry.with_token(narrow["token"])
    assert len((await narrowed.get(T)).json()["items"]) == 2
    assert (await narrowed.post(f"{T}/{me.issued.token.id}/revoke")).status_code == 200


async def test_who_was_disabled_is_let_in_again_with_new_tokens(
    registry: RegistrySimulator,
) -> None:
    admin, me = registry.as_(Role.ADMIN), registry.as_(Role.AUDITOR)
    assert (await me.get(P)).status_code == 200
    url = f"{P}/{me.principal_id}"
    assert (await admin.post(f"{url}/disable")).json()["disabled_at"]
    assert (await me.get(P)).status_code == 401
    for _ in range(2):
        answer = await admin.post(f"{url}/enable")
        assert (answer.status_code, answer.json()["disabled_at"]) == (200, None)
        assert answer.json()["grants"] == [{"role": "auditor", "namespace": None, "asset": None}]
    assert (await me.get(P)).status_code == 401, "its old token stays refused"
    body = {"label": "new", "principal_id": str(me.principal_id)}
    again = registry.with_token((await admin.post(T, json=body)).json()["token"])
    assert (await again.get(P)).status_code == 200
    assert (await again.post(f"{url}/enable")).status_code == 403
    assert (await admin.post(f"{P}/{uuid.uuid4()}/enable")).status_code == 404


async def test_an_administrator_makes_and_ends_anybodys(
    registry: RegistrySimulator, clock: FixedClock
) -> None:
    admin, ben = registry.as_(Role.ADMIN), await made(registry, grants=[{"role": "viewer"}])
    long = (clock.now() + 365 * DAY).isoformat()
    body = {"label": "ci", "principal_id": ben["id"], "expires_at": long}
    token = (await admin.post(T, json=body)).json()
    theirs = (await admin.get(T, params={"principal_id": ben["id"]})).json()["items"]
    assert [each["id"] for each in theirs] == [token["id"]]
    assert len((await admin.get(T)).json()["items"]) == 2, "everybody's"
    page = (await admin.get(T, params={"limit": 1})).json()
    rest = (await admin.get(T, params={"limit": 1, "cursor": page["next_cursor"]})).json()
    assert page["items"][0]["id"] != rest["items"][0]["id"]
    assert rest["next_cursor"] is None
    assert (await admin.post(f"{T}/{token['id']}/revoke")).status_code == 200
    assert (await registry.with_token(token["token"]).get(T)).status_code == 401


@pytest.mark.parametrize(
    "cursor", ["x", "e30", "eyJpZCI6MX0", "eyJuYW1lIjoxfQ", "\xff", "A" * 5000]
)
async def test_a_forged_cursor_is_refused(registry: RegistrySimulator, cursor: str) -> None:
    for path in (T, P):
        answer = await registry.as_(Role.ADMIN).get(path, params={"cursor": cursor})
        assert answer.status_code == 422


async def test_roles_taken_from_a_principal_are_taken_from_its_tokens(
    registry: RegistrySimulator,
) -> None:
    admin, me = registry.as_(Role.ADMIN), registry.as_(Role.AUDITOR)
    assert (await me.get(P)).status_code == 200
    await admin.post(f"{P}/{me.principal_id}/roles/revoke", json={"role": "auditor"})
    assert (await me.get(P)).status_code == 403


# --- the welcome page --------------------------------------------------------------------------


async def a_code(registry: RegistrySimulator) -> str:
    from muniment.server import identity  # noqa: PLC0415 -- only here

    async with registry.deps.db.transaction() as tx:
        first = await identity.ensure_first_admin(
            tx, settings=registry.deps.settings, clock=registry.deps.clock
        )
    assert first is not None
    assert first.code is not None
    return first.code


async def test_the_page_makes_the_first_administrator(registry: RegistrySimulator) -> None:
    code = await a_code(registry)
    for _ in range(3):
        form = await registry.anonymous.get("/welcome", params={"code": code})
        assert form.status_code == 200
        assert f'value="{code}"' in form.text, "looking uses nothing up"
    policy = form.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert "<script" not in form.text
    assert form.headers["cache-control"] == "no-store"
    assert form.headers["referrer-policy"] == "no-referrer"
    done = await registry.anonymous.post("/welcome", data={"code": code, "name": "Ada"})
    assert done.status_code == 200
    token = done.text.split('aria-label="Your token">')[1].split("<")[0]
    who = (await registry.with_token(token).get("/api/v1/whoami")).json()
    assert (who["name"], who["grants"][0]["role"]) == ("Ada", "admin")
    again = await registry.anonymous.post("/welcome", data={"code": code, "name": "Eve"})
    assert again.status_code == 403
    assert "mun_" not in again.text


async def test_the_page_says_what_is_wrong_and_keeps_what_was_typed(
    registry: RegistrySimulator,
) -> None:
    code = await a_code(registry)
    async with registry.deps.db.transaction() as tx:
        await create_local_admin_token(tx, clock=registry.deps.clock)
    for form, words in (
        ({"code": '"><b>', "name": "Ada"}, "wrong, used or expired"),
        ({}, "wrong, used or expired"),
        ({"code": code, "name": "local"}, "called &#x27;local&#x27; already"),
        ({"code": code, "name": "x" * 300}, "1 to 200 printable"),
        ({"code": "\udcff\0", "name": "Ada"}, "wrong, used or expired"),
    ):
        page = await registry.anonymous.post(
            "/welcome",
            content="&".join(f"{k}={v}" for k, v in form.items()).encode(
                "utf-8", "surrogateescape"
            ),
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        assert page.status_code == 403
        assert words in page.text
        assert 'role="alert"' in page.text
        assert "<b>" not in page.text
    done = await registry.anonymous.post("/welcome", data={"code": code, "name": "Ada"})
    assert done.status_code == 200, "a wrong name has not used the code up"


async def test_a_program_may_exchange_the_code_too(registry: RegistrySimulator) -> None:
    code = await a_code(registry)
    wrong = await registry.anonymous.post("/api/v1/bootstrap", json={"code": "x"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "not_authenticated")
    done = await registry.anonymous.post("/api/v1/bootstrap", json={"code": code})
    assert done.status_code == 201
    mine = registry.with_token(done.json()["token"])
    assert (await mine.get("/api/v1/whoami")).json()["name"] == "admin"


async def test_guessing_at_the_code_is_slow(registry: RegistrySimulator, clock: FixedClock) -> None:
    code = await a_code(registry)
    for _ in range(10):
        wrong = await registry.anonymous.post("/api/v1/bootstrap", json={"code": "x"})
        assert wrong.status_code == 401
    for path in ("/api/v1/bootstrap", "/welcome"):
        answer = await registry.anonymous.post(path, json={"code": code})
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
    clock.advance(dt.timedelta(seconds=int(answer.headers["retry-after"])))
    right = await registry.anonymous.post("/api/v1/bootstrap", json={"code": code})
    assert right.status_code == 201


async def test_an_expired_code_is_forgotten(registry: RegistrySimulator, clock: FixedClock) -> None:
    await a_code(registry)
    await jobs.sweep(registry.deps)
    count = "SELECT count(*) FROM bootstrap_code"
    async with registry.deps.db.transaction(read_only=True) as tx:
        assert await tx.fetchval(count) == 1
    clock.advance(DAY)
    await jobs.sweep(registry.deps)
    async with registry.deps.db.transaction(read_only=True) as tx:
        assert await tx.fetchval(count) == 0


async def test_a_token_of_a_part_shows_its_own_principal(registry: RegistrySimulator) -> None:
    me = registry.with_grants(Grant(Role.VIEWER, TEAM), Grant(Role.AUDITOR, EVERYTHING))
    assert (await me.get(P)).status_code == 200
