"""People come in by an issuer: their groups give and take roles; what is wrong mints nothing."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from muniment.server.http.records import Role
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from muniment.server.wiring import OPERATIONS
from tests.support.app import RegistrySimulator, app_client
from tests.support.folded import agrees
from tests.support.issuer import (
    AUDIENCE,
    CLIENT_ID,
    GITHUB_RULE,
    Issuer,
    hs256,
    running_issuer,
)

LOGIN = "/api/v1/login"
ISSUERS = "/api/v1/login-issuers"
ROLES = [
    {"group": "platform", "role": "approver_platform"},
    {"group": "platform", "role": "viewer"},
    {"group": "fraud", "role": "publisher", "namespace": "default", "asset": "fraud"},
    {"group": "root", "role": "admin"},
]
HEADER = {"alg": "RS256", "kid": "rsa-1", "typ": "JWT"}


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Issuer, Issuer]]:
    with running_issuer() as people, running_issuer() as pipelines:
        yield people, pipelines


@pytest.fixture
def issuers(running: tuple[Issuer, Issuer], clock: FixedClock) -> tuple[Issuer, Issuer]:
    """Both in the time of the registry."""
    for each in running:
        each.now = lambda: clock.now().timestamp()
    return running


@pytest.fixture
def issuer(issuers: tuple[Issuer, Issuer]) -> Issuer:
    """The issuer of people."""
    return issuers[0]


@pytest.fixture
def pipelines(issuers: tuple[Issuer, Issuer]) -> Issuer:
    """The issuer of pipelines, which has the same keys under the same names."""
    return issuers[1]


@pytest.fixture
async def registry(
    db: PostgresDatabase,
    blobs: Blobs,
    keys: Keys,
    clock: FixedClock,
    issuers: tuple[Issuer, Issuer],
) -> AsyncIterator[RegistrySimulator]:
    """A registry that people come in to by one issuer, and a pipeline by another."""
    issuer, pipelines = issuers
    private = (issuer.host, pipelines.host)
    async with app_client(db, blobs, keys, clock, OPERATIONS, outbound_private=private) as registry:
        await let_in(registry, issuer)
        admin = registry.as_(Role.ADMIN)
        body = {"name": "ci", "url": pipelines.url, "provider": "github"}
        assert (await admin.post("/api/v1/issuers", json=body)).status_code == 201
        trusted = {"issuer": "ci", "rule": GITHUB_RULE, "permits": ["register"]}
        at = "/api/v1/assets/default/fraud/publishers"
        assert (await admin.post(at, json=trusted)).status_code == 201
        yield registry


async def let_in(registry: RegistrySimulator, issuer: Issuer, **over: Any) -> dict[str, Any]:
    body = {"name": "corp", "url": issuer.url, "client_id": CLIENT_ID, "roles": ROLES, **over}
    answer = await registry.as_(Role.ADMIN).post(ISSUERS, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def log_in(registry: RegistrySimulator, token: str) -> Any:
    return await registry.anonymous.post(LOGIN, json={"id_token": token})


def roles(principal: dict[str, Any]) -> list[str]:
    return [each["role"] for each in principal["grants"]]


async def acts(registry: RegistrySimulator, principal_id: str | None = None) -> list[str]:
    """What was done about a principal, or everybody, in order."""
    async with registry.deps.db.transaction(read_only=True) as tx:
        rows = await tx.fetch(
            "SELECT act FROM ledger_entry WHERE $1::text IS NULL OR subject_id = $1 ORDER BY id",
            principal_id,
        )
    return [row["act"] for row in rows]


# --- who gets in -------------------------------------------------------------------------------


async def test_a_person_gets_what_the_groups_give_for_twelve_hours(
    registry: RegistrySimulator, issuer: Issuer, clock: FixedClock
) -> None:
    answer = await log_in(registry, issuer.person(groups=["platform", "nobody's"]))
    assert answer.status_code == 201, answer.text
    made = answer.json()
    until = clock.now() + dt.timedelta(hours=12)
    assert dt.datetime.fromisoformat(made["expires_at"]) == until
    person = made["principal"]
    assert (person["kind"], person["name"]) == ("person", "corp:248289761001")
    assert (person["display_name"], roles(person)) == (
        "Ada Lovelace",
        ["approver_platform", "viewer"],
    )
    me = registry.with_token(made["token"])
    who = (await me.get("/api/v1/whoami")).json()
    assert (who["id"], dt.datetime.fromisoformat(who["token_expires_at"])) == (person["id"], until)
    own = await me.post("/api/v1/tokens", json={"label": "mine"})
    assert dt.datetime.fromisoformat(own.json()["expires_at"]) == until, "outlives no login"
    assert await acts(registry, person["id"]) == ["principal.create", "role.grant", "role.grant"]
    async with registry.deps.db.transaction(read_only=True) as tx:
        row = await tx.fetchrow(
            "SELECT actor_kind, actor_id, payload FROM ledger_entry"
            " WHERE act = 'token.create' AND subject_id = $1",
            made["token_id"],
        )
    assert row is not None
    assert (row["actor_kind"], row["actor_id"]) == ("system", "login")
    assert json.loads(row["payload"])["login"]["groups"] == ["platform"]
    clock.advance(dt.timedelta(hours=12))
    assert (await me.get("/api/v1/whoami")).status_code == 401
    await agrees(registry.deps.db)


async def test_a_login_may_hold_for_less(
    db: PostgresDatabase, blobs: Blobs, keys: Keys, clock: FixedClock, issuer: Issuer
) -> None:
    hour = dt.timedelta(hours=1)
    more: dict[str, Any] = {"outbound_private": (issuer.host,), "login_ttl": hour}
    async with app_client(db, blobs, keys, clock, OPERATIONS, **more) as registry:
        await let_in(registry, issuer)
        made = (await log_in(registry, issuer.person())).json()
    assert dt.datetime.fromisoformat(made["expires_at"]) == clock.now() + hour


async def test_roles_follow_the_groups_and_those_given_by_hand_stay(
    registry: RegistrySimulator, issuer: Issuer
) -> None:
    first = (await log_in(registry, issuer.person(groups=["platform", "fraud"]))).json()
    me, at = registry.with_token(first["token"]), f"/api/v1/principals/{first['principal']['id']}"
    admin = registry.as_(Role.ADMIN)
    for role in ("auditor", "viewer"):  # the one is new; the other was given by a group before
        assert (await admin.post(f"{at}/roles", json={"role": role})).status_code == 200
    second = (await log_in(registry, issuer.person(groups=["fraud"]))).json()
    assert second["principal"]["id"] == first["principal"]["id"]
    assert roles(second["principal"]) == ["auditor", "publisher", "viewer"]
    assert roles((await me.get("/api/v1/whoami")).json()) == ["auditor", "publisher", "viewer"]
    third = (await log_in(registry, issuer.person(groups=None))).json()
    assert roles(third["principal"]) == ["auditor", "viewer"], "let in by what was given by hand"
    before = len(await acts(registry, first["principal"]["id"]))
    await log_in(registry, issuer.person(groups=None))
    assert len(await acts(registry, first["principal"]["id"])) == before, "nothing changed"
    await agrees(registry.deps.db)


async def test_who_is_in_no_group_any_more_is_out_at_once(
    registry: RegistrySimulator, issuer: Issuer
) -> None:
    made = (await log_in(registry, issuer.person())).json()
    gone = await log_in(registry, issuer.person(groups=["nobody's"]))
    assert (gone.status_code, gone.json()["code"]) == (403, "not_trusted")
    assert "token" not in gone.json()
    who = (await registry.with_token(made["token"]).get("/api/v1/whoami")).json()
    assert who["grants"] == []
    assert (await acts(registry, made["principal"]["id"]))[-2:] == ["role.revoke", "role.revoke"]
    again = (await log_in(registry, issuer.person())).json()
    assert roles(again["principal"]) == ["approver_platform", "viewer"]
    await agrees(registry.deps.db)


async def test_what_groups_are_may_change(registry: RegistrySimulator, issuer: Issuer) -> None:
    made = (await log_in(registry, issuer.person())).json()
    admin, body = registry.as_(Role.ADMIN), {"roles": [{"group": "platform", "role": "auditor"}]}
    for _ in range(2):
        changed = await admin.post(f"{ISSUERS}/corp/roles", json=body)
        assert [each["role"] for each in changed.json()["roles"]] == ["auditor"]
    assert (await acts(registry)).count("login_issuer.roles") == 1
    again = (await log_in(registry, issuer.person())).json()
    assert again["principal"]["id"] == made["principal"]["id"]
    assert roles(again["principal"]) == ["auditor"]
    await agrees(registry.deps.db)


async def test_logins_at_once_are_one_person(registry: RegistrySimulator, issuer: Issuer) -> None:
    answers = await asyncio.gather(*(log_in(registry, issuer.person()) for _ in range(4)))
    assert [each.status_code for each in answers] == [201] * 4
    assert len({each.json()["principal"]["id"] for each in answers}) == 1


# --- who is who --------------------------------------------------------------------------------


async def test_a_person_is_issuer_and_subject_whatever_the_names(
    registry: RegistrySimulator, issuer: Issuer, pipelines: Issuer
) -> None:
    one = (await log_in(registry, issuer.person())).json()["principal"]
    renamed = issuer.person(name="Ada King", email="king@example.com")
    assert (await log_in(registry, renamed)).json()["principal"]["id"] == one["id"]
    moved = (await log_in(registry, issuer.person(sub="other"))).json()["principal"]
    assert moved["id"] != one["id"], "the same name and address, another subject"
    admin = registry.as_(Role.ADMIN)
    assert (await admin.post("/api/v1/issuers/ci/remove")).status_code == 200
    await let_in(registry, pipelines, name="partner")
    elsewhere = (await log_in(registry, pipelines.person())).json()["principal"]
    assert elsewhere["id"] != one["id"], "the same subject at another issuer"
    assert elsewhere["name"] == "partner:248289761001"
    await agrees(registry.deps.db)


async def test_a_principal_of_that_name_is_never_taken_over(
    registry: RegistrySimulator, issuer: Issuer
) -> None:
    body = {"name": "corp:248289761001", "grants": [{"role": "admin"}]}
    made = await registry.as_(Role.ADMIN).post("/api/v1/principals", json=body)
    assert made.status_code == 201
    answer = await log_in(registry, issuer.person())
    assert (answer.status_code, answer.json()["code"]) == (409, "already_exists")


async def test_a_disabled_person_stays_out(registry: RegistrySimulator, issuer: Issuer) -> None:
    made = (await log_in(registry, issuer.person())).json()
    at, admin = f"/api/v1/principals/{made['principal']['id']}", registry.as_(Role.ADMIN)
    await admin.post(f"{at}/disable")
    token = issuer.person(groups=["platform", "root"])
    answer = await log_in(registry, token)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_trusted")
    assert roles((await admin.get(at)).json()) == ["approver_platform", "viewer"]
    await admin.post(f"{at}/enable")
    assert (await log_in(registry, token)).status_code == 201, "nothing was used up"


async def test_the_last_administrator_stays_one(
    registry: RegistrySimulator, issuer: Issuer
) -> None:
    root = (await log_in(registry, issuer.person(groups=["root"]))).json()
    me = registry.with_token(root["token"])
    await me.post(f"/api/v1/principals/{registry.as_(Role.ADMIN).principal_id}/disable")
    for answer in (
        await log_in(registry, issuer.person()),
        await me.post(f"{ISSUERS}/corp/remove"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    who = (await me.get("/api/v1/whoami")).json()
    assert roles(who) == ["admin"]


# --- attacks -----------------------------------------------------------------------------------

Attack = Callable[[Issuer, Issuer], str]


def said(**over: Any) -> Attack:
    return lambda people, _: people.person(**over)


ATTACKS: dict[str, tuple[Attack, int, str]] = {
    "for another client": (said(aud="another-app"), 401, "audience"),
    "for another client too": (said(aud=[CLIENT_ID, "another-app"]), 401, "audience"),
    "for the registry's own audience": (said(aud=AUDIENCE), 401, "audience"),
    "given to another client": (said(azp="another-app"), 401, "azp"),
    "an access token": (said(typ="Bearer"), 401, "kind"),
    "a logout token": (said(events={"logout": {}}), 401, "kind"),
    "of a browser's login": (said(nonce="n"), 401, "nonce"),
    "expired": (lambda i, _: i.person(exp=int(i.now()) - 60), 401, "expired"),
    "lying about": (
        lambda i, _: i.person(iat=int(i.now()) - 900, exp=int(i.now()) + 900),
        401,
        "stale",
    ),
    "no subject": (said(sub=None), 401, "subject"),
    "empty subject": (said(sub=""), 401, "subject"),
    "groups that are none": (said(groups={"platform": True}), 401, "groups"),
    "signed by a stranger": (
        lambda i, _: i.signed(HEADER, {**i.claims(), "aud": CLIENT_ID}, i.foreign),
        401,
        "signature",
    ),
    "public key as HMAC key": (
        lambda i, _: hs256(i, {**HEADER, "alg": "HS256"}),
        401,
        "algorithm",
    ),
    "of the pipelines' issuer": (lambda _, ci: ci.person(), 401, "issuer"),
    "a pipeline's": (lambda _, ci: ci.token(), 401, "issuer"),
    "of the pipelines' issuer, says it is another's": (
        lambda i, ci: ci.signed(HEADER, {**ci.claims(), "iss": i.url}, ci.foreign),
        401,
        "signature",
    ),
    "of an issuer nobody knows": (said(iss="https://evil.example"), 401, "issuer"),
    "of the issuer with a slash": (lambda i, _: i.person(iss=i.url + "/"), 401, "issuer"),
    "in no group": (said(groups=[]), 403, ""),
    "in groups that give nothing": (said(groups=["Platform", "platform "]), 403, ""),
    "groups under another name": (said(groups=None, roles=["root"]), 403, ""),
}


async def test_what_is_wrong_mints_nothing(
    registry: RegistrySimulator, issuer: Issuer, pipelines: Issuer, clock: FixedClock
) -> None:
    before = await acts(registry)
    for name, (attack, status, reason) in ATTACKS.items():
        clock.advance(dt.timedelta(seconds=2))  # an address may be refused once a second
        answer = await log_in(registry, attack(issuer, pipelines))
        assert answer.status_code == status, (name, answer.text)
        assert answer.json().get("reason", "") == reason, (name, answer.text)
    assert await acts(registry) == before


async def test_a_login_is_good_once(registry: RegistrySimulator, issuer: Issuer) -> None:
    for token in (issuer.person(), issuer.person(jti="one")):
        both = await asyncio.gather(*(log_in(registry, token) for _ in range(2)))
        assert sorted(each.status_code for each in both) == [201, 401]
        assert (await log_in(registry, token)).json()["reason"] == "replayed"
    again = await log_in(registry, issuer.person(jti="one", sub="somebody else"))
    assert again.json()["reason"] == "replayed"


async def test_people_are_no_pipelines(
    registry: RegistrySimulator, issuer: Issuer, pipelines: Issuer
) -> None:
    exchange = "/api/v1/id-tokens/exchange"
    claims = pipelines.claims(iss=issuer.url)
    for token in (issuer.token(), issuer.person(aud=AUDIENCE), issuer.signed(HEADER, claims)):
        answer = await registry.anonymous.post(exchange, json={"id_token": token})
        assert (answer.status_code, answer.json()["reason"]) == (401, "issuer")
    both = await registry.anonymous.post(exchange, json={"id_token": pipelines.token()})
    assert both.status_code == 201


async def test_guessing_is_slowed_down(registry: RegistrySimulator, issuer: Issuer) -> None:
    codes = [(await log_in(registry, issuer.person(aud="x"))).status_code for _ in range(31)]
    assert codes == [401] * 30 + [429]


# --- issuers -----------------------------------------------------------------------------------


async def test_an_issuer_says_who_people_are_or_who_pipelines_are(
    registry: RegistrySimulator, issuer: Issuer, pipelines: Issuer
) -> None:
    admin = registry.as_(Role.ADMIN)
    made = await let_in(registry, issuer)
    assert made["scopes"] == ["openid", "profile"]
    assert (await acts(registry)).count("login_issuer.add") == 1, "the same again is no act"
    good = {"name": "new", "url": "https://login.example", "client_id": "x"}
    for over in (
        {"url": pipelines.url},
        {"url": issuer.url},
        {"name": "ci"},
        {"name": "corp"},
        {"name": "corp", "url": issuer.url, "client_id": "another"},
    ):
        answer = await admin.post(ISSUERS, json={**good, **over})
        assert (answer.status_code, answer.json()["code"]) == (409, "already_exists"), over
    for name, url in (("new", issuer.url), ("corp", "https://ci.example")):
        answer = await admin.post("/api/v1/issuers", json={"name": name, "url": url})
        assert (answer.status_code, answer.json()["code"]) == (409, "already_exists")
    bad = {"name": "X", "url": "https://x?y", "client_id": "\n", "scopes": ["a b"]}
    answer = await admin.post(ISSUERS, json=bad)
    fields = [each["field"] for each in answer.json()["problems"]]
    assert (answer.status_code, fields) == (422, ["name", "url", "client_id", "scopes"])
    nowhere = {**good, "roles": [{"group": "x", "role": "viewer", "asset": "m"}]}
    assert (await admin.post(ISSUERS, json=nowhere)).status_code == 422
    assert (await admin.post(f"{ISSUERS}/gone/remove")).status_code == 404
    assert (await admin.post(f"{ISSUERS}/gone/roles", json={"roles": []})).status_code == 404


async def test_anybody_learns_how_to_log_in_and_no_more(
    registry: RegistrySimulator, issuer: Issuer
) -> None:
    shown = (await registry.anonymous.get(LOGIN)).json()
    one = {"name": "corp", "url": issuer.url, "client_id": CLIENT_ID}
    assert shown == {"issuers": [{**one, "scopes": ["openid", "profile"]}]}
    for role in Role:
        seen = await registry.as_(role).get(ISSUERS)
        assert (seen.status_code == 200) == (role in {Role.ADMIN, Role.AUDITOR}), role
        if role is not Role.ADMIN:
            body = {"name": "new", "url": "https://login.example", "client_id": "x"}
            assert (await registry.as_(role).post(ISSUERS, json=body)).status_code == 403
            assert (await registry.as_(role).post(f"{ISSUERS}/corp/remove")).status_code == 403


async def test_who_came_in_by_an_issuer_goes_with_it(
    registry: RegistrySimulator, issuer: Issuer
) -> None:
    made = (await log_in(registry, issuer.person())).json()
    admin, at = registry.as_(Role.ADMIN), f"/api/v1/principals/{made['principal']['id']}"
    await admin.post(f"{at}/roles", json={"role": "auditor"})
    gone = await admin.post(f"{ISSUERS}/corp/remove")
    assert gone.json()["removed_at"] is not None
    me = registry.with_token(made["token"])
    assert (await me.get("/api/v1/whoami")).status_code == 401
    assert roles((await admin.get(at)).json()) == ["auditor"]
    assert (await log_in(registry, issuer.person())).json()["reason"] == "issuer"
    assert (await registry.anonymous.get(LOGIN)).json() == {"issuers": []}
    await let_in(registry, issuer)
    again = (await log_in(registry, issuer.person())).json()["principal"]
    assert (again["id"], roles(again)) == (
        made["principal"]["id"],
        ["approver_platform", "auditor", "viewer"],
    )
    await agrees(registry.deps.db)


async def test_rows_of_logins_are_guarded(registry: RegistrySimulator, issuer: Issuer) -> None:
    await log_in(registry, issuer.person())
    for change in (
        "UPDATE login_issuer SET client_id = 'x'",
        "DELETE FROM login_issuer",
        "TRUNCATE login_issuer CASCADE",
        "UPDATE person_identity SET subject = 'x'",
        "DELETE FROM person_identity",
        "TRUNCATE person_identity",
    ):
        with pytest.raises(Exception, match=r"muniment|permission denied"):
            async with registry.deps.db.transaction() as tx:
                await tx.execute(change)
