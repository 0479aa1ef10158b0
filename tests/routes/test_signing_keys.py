"""People's own keys over HTTP: made known by who has them, revoked by their owner or an administrator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, LiteralString

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from muniment.server.http.records import Grant, PrincipalKind, Role, Scope
from muniment.server.identity.routes import OPERATIONS
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import Clock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.app import Client, RegistrySimulator, app_client
from tests.support.folded import agrees
from tests.support.own_keys import key_body
from tests.support.signing import p256, pem_of

KEYS = "/api/v1/signing-keys"


@pytest.fixture
async def registry(
    db: PostgresDatabase, blobs: Blobs, keys: Keys, clock: Clock
) -> AsyncIterator[RegistrySimulator]:
    async with app_client(db, blobs, keys, clock, OPERATIONS) as simulator:
        yield simulator


async def me(client: Client) -> str:
    return str((await client.get("/api/v1/whoami")).json()["id"])


async def test_a_key_is_made_known_once_and_revoked_for_good(
    registry: RegistrySimulator, db: PostgresDatabase
) -> None:
    ada, admin = registry.as_(Role.APPROVER_LEGAL, Scope("risk")), registry.as_(Role.ADMIN)
    body = key_body(p256(1), await me(ada))
    made = await ada.post(KEYS, json=body)
    assert made.status_code == 201
    again = await ada.post(KEYS, json=body)
    assert (again.status_code, again.json()) == (200, made.json())
    key = made.json()
    assert key["public_key"] == pem_of(p256(1))
    assert key["revoked_at"] is None
    listed = (await admin.get(KEYS, params={"principal_id": await me(ada)})).json()["items"]
    assert listed == [key]
    other = registry.as_(Role.VIEWER)
    assert (await other.post(f"{KEYS}/{key['id']}/revoke")).status_code == 403
    for who in (ada, admin):  # repeating it changes nothing
        ended = await who.post(f"{KEYS}/{key['id']}/revoke")
        assert ended.json()["revoked_by"] == await me(ada)
    assert (await ada.get(KEYS)).json()["items"] == []
    assert len((await ada.get(KEYS, params={"revoked": "true"})).json()["items"]) == 1
    gone = await ada.post(KEYS, json=body)
    assert (gone.status_code, "revoked" in gone.json()["detail"]) == (409, True)
    assert (await ada.post(KEYS, json=key_body(p256(2), await me(ada)))).status_code == 201
    await agrees(db)


async def test_a_key_is_one_persons_and_a_name_one_keys(registry: RegistrySimulator) -> None:
    ada, bob = registry.as_(Role.VIEWER), registry.as_(Role.CONTRIBUTOR)
    fine = await ada.post(KEYS, json=key_body(p256(1), await me(ada)))
    assert fine.status_code == 201
    taken = await bob.post(KEYS, json=key_body(p256(1), await me(bob)))
    assert (taken.status_code, taken.json()["code"]) == (409, "conflict")
    named = await ada.post(KEYS, json=key_body(p256(2), await me(ada)))
    assert (named.status_code, named.json()["code"]) == (409, "already_exists")
    renamed = await ada.post(KEYS, json=key_body(p256(1), await me(ada), "other"))
    assert renamed.status_code == 409


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "A Key"}, "name"),
        ({"public_key": "nonsense"}, "public_key"),
        ({"public_key": pem_of(ec.generate_private_key(ec.SECP384R1()))}, "public_key"),
        ({"public_key": pem_of(p256(9))}, "proof"),
        ({"proof": "bm8="}, "proof"),
        ({"proof": "!"}, "proof"),
    ],
)
async def test_what_is_wrong_with_a_key_is_said(
    registry: RegistrySimulator, change: dict[str, Any], field: str
) -> None:
    ada = registry.as_(Role.VIEWER)
    answer = await ada.post(KEYS, json={**key_body(p256(1), await me(ada)), **change})
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["problems"]] == [field]


async def test_nobody_proves_anothers_key_to_be_theirs(registry: RegistrySimulator) -> None:
    ada, eve = registry.as_(Role.VIEWER), registry.as_(Role.CONTRIBUTOR)
    seen = key_body(p256(1), await me(ada))
    answer = await eve.post(KEYS, json=seen)
    assert (answer.status_code, answer.json()["problems"][0]["field"]) == (422, "proof")


async def test_only_people_with_their_whole_login_make_keys(registry: RegistrySimulator) -> None:
    ada = registry.as_(Role.CONTRIBUTOR)
    narrow = {"label": "ci", "limits": [{"role": "viewer"}]}
    token = (await ada.post("/api/v1/tokens", json=narrow)).json()["token"]
    handed = await registry.with_token(token).post(KEYS, json=key_body(p256(1), await me(ada)))
    assert (handed.status_code, "limits" in handed.json()["detail"]) == (403, True)
    service = await registry.issue(
        Grant(Role.VIEWER, Scope()), name="bot", kind=PrincipalKind.SERVICE
    )
    for client in (registry.with_token(service.text), registry.workload(Role.CONTRIBUTOR)):
        refused = await client.post(KEYS, json=key_body(p256(2), await me(client)))
        assert (refused.status_code, "only people" in refused.json()["detail"]) == (403, True)


async def test_there_are_not_too_many_keys(registry: RegistrySimulator) -> None:
    ada = registry.as_(Role.VIEWER)
    mine = await me(ada)
    for number in range(20):
        made = await ada.post(KEYS, json=key_body(p256(number), mine, f"k{number}"))
        assert made.status_code == 201
    assert (await ada.post(KEYS, json=key_body(p256(21), mine, "more"))).status_code == 409
    first = (await ada.get(KEYS, params={"limit": 7})).json()
    second = (await ada.get(KEYS, params={"limit": 13, "cursor": first["next_cursor"]})).json()
    assert [one["name"] for one in first["items"] + second["items"]][::19] == ["k19", "k0"]
    assert second["next_cursor"] is None


async def test_a_key_that_is_there_never_changes(
    registry: RegistrySimulator, owner_db: PostgresDatabase
) -> None:
    ada = registry.as_(Role.VIEWER)
    await ada.post(KEYS, json=key_body(p256(1), await me(ada)))
    changes: tuple[LiteralString, ...] = (
        "UPDATE signing_key SET name = 'x'",
        "DELETE FROM signing_key",
    )
    for change in changes:
        with pytest.raises(asyncpg.RestrictViolationError, match="never change"):
            async with owner_db.transaction() as tx:
                await tx.execute(change)
