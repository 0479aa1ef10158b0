"""Pipelines come in with ID tokens: the good one gets in, the attacks mint nothing."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from muniment.core.entry import read_unsigned_leaf
from muniment.server.http.records import Grant, Role, Scope
from muniment.server.identity.jobs import sweep
from muniment.server.ledger.rules import entry_differences
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from muniment.server.wiring import OPERATIONS
from tests.support.app import RegistrySimulator, app_client
from tests.support.folded import agrees
from tests.support.issuer import (
    AUDIENCE,
    GITHUB_RULE,
    SHA,
    WORKFLOW,
    Issuer,
    b64,
    hs256,
    running_issuer,
)
from tests.support.policies import bare

EXCHANGE = "/api/v1/id-tokens/exchange"
PUBLISHERS = "/api/v1/assets/default/fraud/publishers"
HEADER = {"alg": "RS256", "kid": "rsa-1", "typ": "JWT"}


@pytest.fixture(scope="module")
def running() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(running: Issuer, clock: FixedClock) -> Iterator[Issuer]:
    """The issuer as it should be, in the time of the registry."""
    documents = dict(running.documents)
    running.now = lambda: clock.now().timestamp()
    running.asked.clear()
    yield running
    running.documents = documents


@pytest.fixture
async def registry(
    db: PostgresDatabase, blobs: Blobs, keys: Keys, clock: FixedClock, issuer: Issuer
) -> AsyncIterator[RegistrySimulator]:
    """A registry that believes the issuer and trusts one pipeline."""
    private = (issuer.host,)
    async with app_client(
        db, blobs, keys, clock, OPERATIONS, first=bare(), outbound_private=private
    ) as registry:
        await believe(registry, issuer)
        await trust(registry)
        yield registry


async def believe(registry: RegistrySimulator, issuer: Issuer, **more: Any) -> None:
    body = {"name": "ci", "url": issuer.url, "provider": "github", **more}
    answer = await registry.as_(Role.ADMIN).post("/api/v1/issuers", json=body)
    assert answer.status_code == 201, answer.text


async def trust(registry: RegistrySimulator, *permits: str, **rule: Any) -> dict[str, Any]:
    body = {
        "issuer": "ci",
        "rule": {**GITHUB_RULE, **rule},
        "permits": list(permits) or ["register", "promote:production"],
    }
    answer = await registry.as_(Role.ADMIN).post(PUBLISHERS, json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def exchange(registry: RegistrySimulator, token: str) -> Any:
    return await registry.anonymous.post(EXCHANGE, json={"id_token": token})


async def minted(registry: RegistrySimulator) -> tuple[int, int]:
    """How many tokens of pipelines there are, and acts that made them."""
    async with registry.deps.db.transaction(read_only=True) as tx:
        tokens = await tx.fetchval("SELECT count(*) FROM token WHERE workload IS NOT NULL")
        acts = await tx.fetchval("SELECT count(*) FROM ledger_entry WHERE actor_claims IS NOT NULL")
    return int(tokens), int(acts)


# --- who gets in -------------------------------------------------------------------------------


async def test_a_pipeline_gets_a_token_of_what_it_is_trusted_for(
    registry: RegistrySimulator, issuer: Issuer, clock: FixedClock
) -> None:
    answer = await exchange(registry, issuer.token())
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["token"].startswith("mun_")
    assert dt.datetime.fromisoformat(made["expires_at"]) == clock.now() + dt.timedelta(minutes=15)
    assert made["permits"] == ["default/fraud promote:production", "default/fraud register"]
    assert made["claims"]["run_id"] == "21561244697"
    assert "actor" not in made["claims"], "people are not named in what can never be erased"

    who = (await registry.with_token(made["token"]).get("/api/v1/whoami")).json()
    assert (who["kind"], who["name"]) == ("workload", "ci:632596897")
    roles = [(each["role"], each["namespace"], each["asset"]) for each in who["grants"]]
    assert roles == [("contributor", "default", "fraud"), ("promoter", "default", "fraud")]

    clock.advance(dt.timedelta(minutes=15))
    late = await registry.with_token(made["token"]).get("/api/v1/whoami")
    assert late.status_code == 401


async def test_what_was_vouched_for_stands_in_every_act_of_the_token(
    registry: RegistrySimulator, issuer: Issuer
) -> None:
    made = (await exchange(registry, issuer.token())).json()
    pipeline = registry.with_token(made["token"])
    body = {"name": "fraud", "kind": "model", "owner": "ada"}
    assert (await pipeline.post("/api/v1/assets", json=body)).status_code == 201
    async with registry.deps.db.transaction(read_only=True) as tx:
        rows = await tx.fetch(
            "SELECT * FROM ledger_entry WHERE actor_id = $1",
            made["principal_id"],
        )
    ids = {row["act"]: row["id"] for row in rows}
    assert set(ids) == {"token.create", "namespace.create", "asset.create"}
    for row in rows:
        claims = json.loads(row["actor_claims"])
        assert read_unsigned_leaf(row["leaf"])["actor"]["claims"] == claims == made["claims"]
        assert (claims["repository_id"], claims["repository_owner_id"]) == (
            "632596897",
            "131804563",
        )
        assert claims["job_workflow_ref"] == WORKFLOW
        assert claims["job_workflow_sha"] == SHA
        assert claims["environment"] == "production"
        assert not entry_differences(row, registry.deps.keys.record.public_key_der)
        forged = {**dict(row), "actor_claims": json.dumps({**claims, "run_id": "1"})}
        assert [column for column, _, _ in entry_differences(forged, b"")] == ["actor_claims"]
    seen = await registry.as_(Role.ADMIN).get(f"/api/v1/log/entries/{ids['asset.create']}")
    assert seen.json()["actor"]["claims"] == made["claims"]
    first = (
        await registry.as_(Role.ADMIN).get(f"/api/v1/log/entries/{ids['token.create']}")
    ).json()
    assert first["payload"]["id_token_claims"]["actor"] == "octocat"


async def test_es256_and_a_rotated_key_are_accepted(
    registry: RegistrySimulator, issuer: Issuer, clock: FixedClock
) -> None:
    token = jwt.encode(issuer.claims(), issuer.ec, "ES256", headers={"kid": "ec-1"})
    assert (await exchange(registry, token)).status_code == 201
    issuer.documents["/jwks"] = {"keys": [issuer.rsa_jwk("rsa-2")]}
    turned = {**HEADER, "kid": "rsa-2"}
    early = await exchange(registry, issuer.signed(turned, issuer.claims()))
    assert early.json()["reason"] == "unknown_key", "asked again at most once a minute"
    assert issuer.asked["/jwks"] == 1
    clock.advance(dt.timedelta(seconds=61))
    assert (await exchange(registry, issuer.signed(turned, issuer.claims()))).status_code == 201
    assert issuer.asked["/jwks"] == 2


async def test_keys_serve_on_while_their_issuer_is_away(
    registry: RegistrySimulator, issuer: Issuer, clock: FixedClock
) -> None:
    assert (await exchange(registry, issuer.token())).status_code == 201
    del issuer.documents["/jwks"]
    clock.advance(dt.timedelta(hours=2))
    assert (await exchange(registry, issuer.token())).status_code == 201
    clock.advance(dt.timedelta(days=1))
    gone = await exchange(registry, issuer.token())
    assert (gone.status_code, gone.json()["code"]) == (502, "destination_down")


async def test_several_publishers_add_up(registry: RegistrySimulator, issuer: Issuer) -> None:
    await trust(registry, "promote:staging", environment=None)
    await trust(registry, "promote:development", environment="another")
    made = (await exchange(registry, issuer.token())).json()
    assert [each.split()[1] for each in made["permits"]] == [
        "promote:production",
        "promote:staging",
        "register",
    ]


async def test_a_workflow_may_be_pinned_to_one_commit(
    registry: RegistrySimulator, issuer: Issuer
) -> None:
    path = WORKFLOW.partition("@")[0]
    await trust(registry, "evidence", workflow=f"{path}@{SHA}")
    at = issuer.token(job_workflow_ref=f"{path}@refs/tags/v3")
    assert (await exchange(registry, at)).json()["permits"] == ["default/fraud evidence"]
    other = issuer.token(job_workflow_ref=f"{path}@refs/tags/v3", job_workflow_sha="0" * 40)
    assert (await exchange(registry, other)).json()["code"] == "not_trusted"


# --- attacks -----------------------------------------------------------------------------------

Attack = Callable[[Issuer], str]
NOW = 1_000_000_000


def tampered(issuer: Issuer) -> str:
    head, _, signature = issuer.token().split(".")
    return f"{head}.{b64(json.dumps(issuer.claims(repository_id='1')).encode())}.{signature}"


def none(issuer: Issuer) -> str:
    parts = [b64(json.dumps({**HEADER, "alg": alg}).encode()) for alg in ("none",)]
    return f"{parts[0]}.{b64(json.dumps(issuer.claims()).encode())}.{b64(b'x')}"


def respelled(issuer: Issuer) -> str:
    """The same signature, its last character spelled another way."""
    head, claims, signature = issuer.token().split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet[alphabet.index(signature[-1]) ^ 1]
    respelt = signature[:-1] + last
    assert base64.urlsafe_b64decode(respelt + "==") == base64.urlsafe_b64decode(signature + "==")
    return f"{head}.{claims}.{respelt}"


def later(seconds: int, name: str) -> Attack:
    return lambda i: i.token(**{name: int(i.now()) + seconds})


def header(**over: Any) -> Attack:
    return lambda i: i.signed({**HEADER, **over}, i.claims())


def claims(**over: Any) -> Attack:
    return lambda i: i.token(**over)


def raw(head: bytes, body: bytes) -> Attack:
    return lambda i: i.signed_bytes(head, body.replace(b"ISS", i.url.encode()))


HEAD = json.dumps(HEADER).encode()
WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024)

#: What is sent, the code, and the reason where there is one.
ATTACKS: dict[str, tuple[Attack, str, str | None]] = {
    "wrong audience": (claims(aud="another.registry"), "id_token_refused", "audience"),
    "audience list": (claims(aud=[AUDIENCE, "another"]), "id_token_refused", "audience"),
    "audience list of one": (claims(aud=[AUDIENCE]), "id_token_refused", "audience"),
    "no audience": (claims(aud=None), "id_token_refused", "audience"),
    "audience with a slash": (claims(aud=AUDIENCE + "/"), "id_token_refused", "audience"),
    "expired": (later(-31, "exp"), "id_token_refused", "expired"),
    "no expiry": (claims(exp=None), "id_token_refused", "expired"),
    "expiry as text": (claims(exp="9999999999"), "id_token_refused", "expired"),
    "expiry true": (claims(exp=True), "id_token_refused", "expired"),
    "expiry without bounds": (claims(exp=1e300), "id_token_refused", "expired"),
    "lives for a year": (later(31_536_000, "exp"), "id_token_refused", "lifetime"),
    "issued a week ago": (later(-604_800, "iat"), "id_token_refused", "lifetime"),
    "expires before it is issued": (
        lambda i: i.token(iat=int(i.now()) + 20, exp=int(i.now()) + 10),
        "id_token_refused",
        "lifetime",
    ),
    "issued in the future": (later(60, "iat"), "id_token_refused", "issued_at"),
    "no time of issue": (claims(iat=None), "id_token_refused", "issued_at"),
    "not yet": (later(60, "nbf"), "id_token_refused", "not_yet_valid"),
    "no id": (claims(jti=None), "id_token_refused", "id"),
    "id of another type": (claims(jti=7), "id_token_refused", "id"),
    "huge id": (claims(jti="x" * 501), "id_token_refused", "id"),
    "another issuer": (claims(iss="https://evil.example"), "id_token_refused", "issuer"),
    "issuer with a slash": (lambda i: i.token(iss=i.url + "/"), "id_token_refused", "issuer"),
    "issuer in capitals": (lambda i: i.token(iss=i.url.upper()), "id_token_refused", "issuer"),
    "issuer list": (lambda i: i.token(iss=[i.url]), "id_token_refused", "issuer"),
    "no issuer": (claims(iss=None), "id_token_refused", "issuer"),
    "alg none": (none, "id_token_refused", "algorithm"),
    "alg none, no signature": (
        lambda i: none(i).rpartition(".")[0] + ".",
        "id_token_refused",
        "algorithm",
    ),
    "public key as HMAC key": (
        lambda i: hs256(i, {**HEADER, "alg": "HS256"}),
        "id_token_refused",
        "algorithm",
    ),
    "RS512": (header(alg="RS512"), "id_token_refused", "algorithm"),
    "PS256": (header(alg="PS256"), "id_token_refused", "algorithm"),
    "RSA key as ES256": (header(alg="ES256"), "id_token_refused", "algorithm"),
    "EC key as RS256": (header(kid="ec-1"), "id_token_refused", "algorithm"),
    "foreign key, same name": (
        lambda i: i.signed(HEADER, i.claims(), i.foreign),
        "id_token_refused",
        "signature",
    ),
    "foreign key in the header": (
        lambda i: i.signed({**HEADER, "jwk": i.rsa_jwk(key=i.foreign)}, i.claims(), i.foreign),
        "id_token_refused",
        "header",
    ),
    "address of a key in the header": (
        lambda i: i.signed({**HEADER, "jku": i.url + "/mine"}, i.claims(), i.foreign),
        "id_token_refused",
        "header",
    ),
    "address of a certificate": (header(x5u="http://x/"), "id_token_refused", "header"),
    "critical extension": (header(crit=["exp"]), "id_token_refused", "header"),
    "unencoded payload": (header(b64=False), "id_token_refused", "header"),
    "another type of token": (header(typ="logout+jwt"), "id_token_refused", "header"),
    "type of another type": (header(typ=["JWT"]), "id_token_refused", "header"),
    "key id as a path": (header(kid="../../dev/null"), "id_token_refused", "unknown_key"),
    "key id as SQL": (header(kid="x' OR '1'='1"), "id_token_refused", "unknown_key"),
    "key id with a line end": (header(kid="rsa-1\n"), "id_token_refused", "key_id"),
    "no key id": (header(kid=None), "id_token_refused", "key_id"),
    "weak key": (
        lambda i: i.signed({**HEADER, "kid": "weak"}, i.claims(), WEAK),
        "id_token_refused",
        "unknown_key",
    ),
    "key for encryption": (header(kid="enc"), "id_token_refused", "unknown_key"),
    "tampered payload": (tampered, "id_token_refused", "signature"),
    "signature of another token": (
        lambda i: i.token().rpartition(".")[0] + "." + i.token(sub="x").rpartition(".")[2],
        "id_token_refused",
        "signature",
    ),
    "signature spelled otherwise": (respelled, "id_token_refused", "malformed"),
    "padded": (lambda i: i.token() + "==", "id_token_refused", "malformed"),
    "four parts": (lambda i: i.token() + ".x", "id_token_refused", "malformed"),
    "encrypted token": (lambda i: i.token() + ".x.y", "id_token_refused", "malformed"),
    "no token": (lambda _: "nothing of the kind", "id_token_refused", "malformed"),
    "line ends": (lambda i: i.token() + "\n", "id_token_refused", "malformed"),
    "claim twice": (
        raw(HEAD, b'{"iss":"https://evil.example","iss":"ISS","aud":"muniment.localhost"}'),
        "id_token_refused",
        "bad_json",
    ),
    "algorithm twice": (
        raw(b'{"alg":"none","alg":"RS256","kid":"rsa-1"}', b'{"iss":"ISS"}'),
        "id_token_refused",
        "bad_json",
    ),
    "not a number": (raw(HEAD, b'{"iss":"ISS","exp":NaN}'), "id_token_refused", "bad_json"),
    "a list": (raw(HEAD, b'["ISS"]'), "id_token_refused", "bad_json"),
    "deep": (raw(HEAD, b"[" * 5000 + b"]" * 5000), "id_token_refused", "bad_json"),
    "not UTF-8": (raw(HEAD, b'{"iss":"\xff"}'), "id_token_refused", "bad_json"),
    "repository renamed away, name taken": (
        claims(repository_id="777", repository="acme/fraud"),
        "not_trusted",
        None,
    ),
    "owner's name taken": (claims(repository_owner_id="999"), "not_trusted", None),
    "fork": (claims(repository="mallory/fraud", repository_id="778"), "not_trusted", None),
    "no repository id": (claims(repository_id=None), "not_trusted", None),
    "repository id as a list": (claims(repository_id=["632596897"]), "not_trusted", None),
    "another environment": (claims(environment="staging"), "not_trusted", None),
    "environment in capitals": (claims(environment="Production"), "not_trusted", None),
    "no environment": (claims(environment=None), "not_trusted", None),
    "pull request": (claims(event_name="pull_request"), "not_trusted", None),
    "pull request target": (claims(event_name="pull_request_target"), "not_trusted", None),
    "an issue's comment": (claims(event_name="issue_comment"), "not_trusted", None),
    "no event": (claims(event_name=None), "not_trusted", None),
    "unprotected ref": (claims(ref_protected="false"), "not_trusted", None),
    "protected ref not said": (claims(ref_protected=None), "not_trusted", None),
    "ref of a fork's pull request": (
        claims(
            ref="refs/pull/7/merge",
            job_workflow_ref=WORKFLOW.replace("heads/main", "pull/7/merge"),
        ),
        "not_trusted",
        None,
    ),
    "another workflow": (
        claims(job_workflow_ref=WORKFLOW.replace("promote", "test")),
        "not_trusted",
        None,
    ),
    "another branch": (
        claims(job_workflow_ref=WORKFLOW.replace("main", "mine")),
        "not_trusted",
        None,
    ),
    "the workflow of another": (
        claims(job_workflow_ref="mallory" + WORKFLOW[4:]),
        "not_trusted",
        None,
    ),
    "workflow in the wrong claim": (
        claims(job_workflow_ref=None, workflow_ref=WORKFLOW),
        "not_trusted",
        None,
    ),
    "a claim that fills the log": (claims(ref="r" * 501), "id_token_refused", "claims"),
    "a claim with a control character": (claims(run_id="1\x1b[2J"), "id_token_refused", "claims"),
}


async def test_every_attack_is_refused_and_mints_nothing(
    registry: RegistrySimulator, issuer: Issuer, clock: FixedClock
) -> None:
    issuer.documents["/jwks"]["keys"] += [
        issuer.rsa_jwk("weak", WEAK),
        {**issuer.rsa_jwk("enc"), "use": "enc"},
        {"kty": "oct", "kid": "secret", "k": "AA"},
    ]
    wrong = []
    for name, (attack, code, reason) in ATTACKS.items():
        clock.advance(dt.timedelta(seconds=61))
        answer = await exchange(registry, attack(issuer))
        found = answer.json()
        if (found.get("code"), found.get("reason")) != (code, reason):
            wrong.append(f"{name}: {answer.status_code} {found}")
    assert not wrong, "\n".join(wrong)
    assert await minted(registry) == (0, 0)
    assert (await exchange(registry, issuer.token())).status_code == 201, "the good one, still"


async def test_a_token_is_good_once(
    registry: RegistrySimulator, issuer: Issuer, clock: FixedClock
) -> None:
    token = issuer.token()
    answers = await asyncio.gather(*(exchange(registry, token) for _ in range(5)))
    assert sorted(each.status_code for each in answers) == [201, 401, 401, 401, 401]
    assert {each.json().get("reason") for each in answers} == {None, "replayed"}
    renamed = issuer.token(jti=issuer.claims()["jti"], run_id="2")
    assert (await exchange(registry, renamed)).status_code == 201
    assert await minted(registry) == (2, 2)
    clock.advance(dt.timedelta(minutes=6))
    await sweep(registry.deps)
    assert (await exchange(registry, token)).json()["reason"] == "expired", "forgotten, not valid"


async def test_a_huge_token_is_refused_before_it_is_read(registry: RegistrySimulator) -> None:
    answer = await exchange(registry, "x" * 20_000)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_body")
    missing = await registry.anonymous.post(EXCHANGE, json={})
    assert missing.status_code == 422


async def test_an_address_that_only_guesses_is_slowed_down(registry: RegistrySimulator) -> None:
    codes = [(await exchange(registry, "a.b.c")).status_code for _ in range(31)]
    assert codes == [401] * 30 + [429]


DISCOVERY = "/.well-known/openid-configuration"
MISBEHAVIOUR: list[tuple[str, Callable[[Issuer], Any]]] = [
    ("/jwks", lambda _: b"x" * 300_000),
    ("/jwks", lambda _: {"keys": [{"kty": "oct", "kid": str(n)} for n in range(101)]}),
    ("/jwks", lambda _: {"keys": "none"}),
    ("/jwks", lambda _: b"[]"),
    ("/jwks", lambda _: b"{"),
    ("/jwks", lambda _: b'{"keys": [], "keys": []}'),
    ("/jwks", lambda i: {"keys": [i.rsa_jwk(), i.rsa_jwk(key=i.foreign)]}),
    (DISCOVERY, lambda _: b"x" * 70_000),
    (DISCOVERY, lambda i: {"issuer": "https://evil.example", "jwks_uri": i.url + "/jwks"}),
    (DISCOVERY, lambda _: {}),
    (DISCOVERY, lambda i: {"issuer": i.url}),
    (DISCOVERY, lambda i: {"issuer": i.url, "jwks_uri": "http://169.254.169.254/jwks"}),
    (DISCOVERY, lambda i: {"issuer": i.url, "jwks_uri": "http://10.0.0.1/jwks"}),
    (DISCOVERY, lambda i: {"issuer": i.url, "jwks_uri": "file:///etc/passwd"}),
]


async def test_an_issuer_that_misbehaves_lets_nobody_in(
    registry: RegistrySimulator, issuer: Issuer, clock: FixedClock
) -> None:
    good, wrong = dict(issuer.documents), []
    for number, (path, document) in enumerate(MISBEHAVIOUR):
        clock.advance(dt.timedelta(seconds=61))
        issuer.documents = {**good, path: document(issuer)}
        answer = await exchange(registry, issuer.token())
        if (answer.status_code, answer.json()["code"]) != (502, "destination_down"):
            wrong.append(f"{number} {path}: {answer.text}")
    assert not wrong, "\n".join(wrong)
    assert await minted(registry) == (0, 0)
    issuer.documents = good
    clock.advance(dt.timedelta(seconds=61))
    assert (await exchange(registry, issuer.token())).status_code == 201


async def test_a_private_issuer_is_not_called_unless_it_was_named(
    db: PostgresDatabase, blobs: Blobs, keys: Keys, clock: FixedClock, issuer: Issuer
) -> None:
    async with app_client(db, blobs, keys, clock, OPERATIONS, first=bare()) as registry:
        await believe(registry, issuer)
        await trust(registry)
        answer = await exchange(registry, issuer.token())
        assert (answer.status_code, answer.json()["code"]) == (502, "destination_down")
        assert "MUNIMENT_OUTBOUND_PRIVATE" in answer.json()["detail"]
        assert not issuer.asked


# --- what ends it ------------------------------------------------------------------------------


async def test_what_is_trusted_no_more_ends_at_once(
    registry: RegistrySimulator, issuer: Issuer
) -> None:
    admin = registry.as_(Role.ADMIN)
    publisher = (await admin.get(PUBLISHERS)).json()["items"][0]
    made = (await exchange(registry, issuer.token())).json()
    assert (await admin.get(PUBLISHERS)).json()["items"][0]["last_used_at"] is not None
    gone = await admin.post(f"{PUBLISHERS}/{publisher['id']}/remove")
    assert gone.json()["removed_at"] is not None
    assert (await registry.with_token(made["token"]).get("/api/v1/whoami")).status_code == 401
    assert (await exchange(registry, issuer.token())).json()["code"] == "not_trusted"


async def test_an_issuer_believed_no_more_takes_its_publishers_along(
    registry: RegistrySimulator, issuer: Issuer
) -> None:
    made = (await exchange(registry, issuer.token())).json()
    admin = registry.as_(Role.ADMIN)
    assert (await admin.post("/api/v1/issuers/ci/remove")).json()["removed_at"] is not None
    assert (await admin.post("/api/v1/issuers/ci/remove")).status_code == 404
    assert (await registry.with_token(made["token"]).get("/api/v1/whoami")).status_code == 401
    assert (await exchange(registry, issuer.token())).json()["reason"] == "issuer"
    assert (await admin.get(PUBLISHERS)).json()["items"][0]["removed_at"] is not None
    await believe(registry, issuer)
    assert (await exchange(registry, issuer.token())).json()["code"] == "not_trusted"
    await agrees(registry.deps.db)


async def test_a_disabled_workload_gets_no_token(
    registry: RegistrySimulator, issuer: Issuer
) -> None:
    made = (await exchange(registry, issuer.token())).json()
    admin = registry.as_(Role.ADMIN)
    await admin.post(f"/api/v1/principals/{made['principal_id']}/disable")
    answer = await exchange(registry, issuer.token())
    assert (answer.status_code, answer.json()["code"]) == (403, "not_trusted")


async def test_a_pipelines_token_reaches_its_asset_and_makes_no_others(
    registry: RegistrySimulator, issuer: Issuer
) -> None:
    await trust(registry, "evidence", environment="evaluation")
    made = (await exchange(registry, issuer.token(environment="evaluation"))).json()
    pipeline = registry.with_token(made["token"])
    assert made["permits"] == ["default/fraud evidence"]
    body = {"name": "fraud", "kind": "model", "owner": "ada"}
    assert (await pipeline.post("/api/v1/assets", json=body)).status_code in {403, 404}
    body = {"name": "other", "kind": "model", "owner": "ada"}
    assert (await pipeline.post("/api/v1/assets", json=body)).status_code in {403, 404}
    another = await pipeline.post("/api/v1/tokens", json={"label": "mine"})
    assert another.status_code == 403
    assert (await pipeline.get("/api/v1/tokens")).json()["items"][0]["id"] == made["token_id"]


# --- what is trusted ---------------------------------------------------------------------------


async def test_only_who_administers_the_asset_says_whom_it_trusts(
    registry: RegistrySimulator,
) -> None:
    body = {"issuer": "ci", "rule": GITHUB_RULE, "permits": ["register"]}
    for role in Role:
        if role is Role.ADMIN:
            continue
        answer = await registry.as_(role).post(PUBLISHERS, json=body)
        assert answer.status_code == 403, role
        answer = await registry.as_(role).post(
            "/api/v1/issuers", json={"name": "x", "url": "https://x"}
        )
        assert answer.status_code == 403, role
    own = registry.with_grants(Grant(Role.ADMIN, Scope("default", "fraud")))
    assert (await own.post(PUBLISHERS, json=body)).status_code == 201
    other = "/api/v1/assets/default/other/publishers"
    assert (await own.post(other, json=body)).status_code == 404
    answer = await own.post("/api/v1/issuers", json={"name": "x", "url": "https://x"})
    assert answer.status_code == 403


async def test_the_same_again_is_no_act(registry: RegistrySimulator, issuer: Issuer) -> None:
    async with registry.deps.db.transaction(read_only=True) as tx:
        before = await tx.fetchval("SELECT count(*) FROM ledger_entry WHERE act LIKE 'publisher.%'")
    first = await trust(registry)
    assert first["id"] == (await registry.as_(Role.VIEWER).get(PUBLISHERS)).json()["items"][0]["id"]
    await believe(registry, issuer)
    async with registry.deps.db.transaction(read_only=True) as tx:
        after = await tx.fetchval("SELECT count(*) FROM ledger_entry WHERE act LIKE 'publisher.%'")
    assert before == after == 1


async def test_what_pins_too_little_is_not_trusted(registry: RegistrySimulator) -> None:
    wrongs: list[tuple[dict[str, Any], str]] = [
        ({"owner_id": None}, "owner_id"),
        ({"workflow": "acme/fraud/.github/workflows/promote.yml"}, "workflow"),
        ({"events": ["pull_request_target"]}, "events"),
        ({"claims": {"x": "a\nb"}}, "claims/x"),
    ]
    for over, field in wrongs:
        rule = {name: value for name, value in {**GITHUB_RULE, **over}.items() if value is not None}
        body = {"issuer": "ci", "rule": rule, "permits": ["register"]}
        answer = await registry.as_(Role.ADMIN).post(PUBLISHERS, json=body)
        assert answer.status_code == 422
        assert [each["field"] for each in answer.json()["problems"]] == [field]


async def test_issuers_keep_their_names(registry: RegistrySimulator, issuer: Issuer) -> None:
    admin = registry.as_(Role.ADMIN)
    for body in (
        {"name": "ci", "url": "https://other.example", "provider": "github"},
        {"name": "again", "url": issuer.url, "provider": "github"},
    ):
        assert (await admin.post("/api/v1/issuers", json=body)).json()["code"] == "already_exists"
    bad = {"name": "X", "url": "https://u:p@x.example/?q", "provider": "github"}
    answer = await admin.post("/api/v1/issuers", json=bad)
    assert [each["field"] for each in answer.json()["problems"]] == ["name", "url"]


async def test_a_trial_says_line_by_line_and_uses_nothing_up(
    registry: RegistrySimulator, issuer: Issuer
) -> None:
    viewer = registry.as_(Role.VIEWER)
    token = issuer.token()
    good = (await viewer.post(f"{PUBLISHERS}/test", json={"id_token": token})).json()
    assert (good["verified"], good["refused"]) == (True, None)
    assert good["permits"] == ["default/fraud promote:production", "default/fraud register"]
    said = {"claims": issuer.claims(environment="staging")}
    tried = (await viewer.post(f"{PUBLISHERS}/test", json=said)).json()
    assert tried["verified"] is None
    assert tried["permits"] == []
    wrong = [line for line in tried["publishers"][0]["lines"] if not line["matches"]]
    assert wrong == [
        {
            "what": "environment",
            "claim": "environment",
            "expected": "production",
            "found": "staging",
            "matches": False,
        }
    ]
    forged = issuer.signed(HEADER, issuer.claims(), issuer.foreign)
    bad = (await viewer.post(f"{PUBLISHERS}/test", json={"id_token": forged})).json()
    assert (bad["verified"], bad["permits"]) == (False, [])
    assert "signature" in bad["refused"]
    assert bad["publishers"][0]["matches"], "its claims would do"
    neither = await viewer.post(f"{PUBLISHERS}/test", json={})
    assert neither.status_code == 422
    assert (await exchange(registry, token)).status_code == 201


async def test_the_audience_is_told_to_anybody(registry: RegistrySimulator) -> None:
    answer = await registry.anonymous.get("/api/v1/id-tokens/audience")
    assert answer.json() == {"audience": AUDIENCE}
