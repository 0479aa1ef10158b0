"""The log over HTTP: tiles byte for byte, JSON, receipts; who may and who may not."""

from __future__ import annotations

import base64
import datetime as dt
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from muniment.core import merkle
from muniment.core.checkpoint import open_checkpoint
from muniment.core.errors import NotAuthenticated
from muniment.core.receipt import Receipt, TrustedKeys, verify
from muniment.server import http
from muniment.server.http.operation import Deps
from muniment.server.http.records import EVERYTHING, Caller, Grant, PrincipalKind, Role, Scope, Verb
from muniment.server.ledger import routes
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.db import Database
from muniment.server.ports.keys import Keys
from muniment.server.settings import Settings
from tests.support.ledger import ORIGIN, Log
from tests.support.policies import shared_engines

CALLERS = {
    role: Caller(uuid.UUID(int=number), PrincipalKind.PERSON, role, (Grant(role, EVERYTHING),))
    for number, role in enumerate((Role.AUDITOR, Role.CONTRIBUTOR))
}


class Tokens:
    """Knows a bearer token by the role it names."""

    def known(self, bearer: str, now: dt.datetime) -> Caller | None:
        return CALLERS.get(bearer)  # type: ignore[call-overload, no-any-return]

    async def authenticate(self, bearer: str, now: dt.datetime) -> Caller:
        raise NotAuthenticated


def allows(grants: tuple[Grant, ...], verb: Verb, _scope: Scope) -> bool:
    return any(grant.role is Role.AUDITOR or verb is Verb.READ for grant in grants)


@pytest.fixture
def log(db: Database, blobs: Blobs, keys: Keys, clock: FixedClock) -> Log:
    return Log(db, blobs, keys, clock)


def client_of(log: Log, *, role: str | None = "auditor", log_public: bool = False) -> Any:
    settings = Settings.from_env(
        {"MUNIMENT_DATA_DIR": "unused"}, origin=ORIGIN, log_public=log_public
    )
    deps = Deps(
        db=log.db,
        blobs=log.blobs,
        keys=log.keys,
        clock=log.clock,
        settings=settings,
        engines=shared_engines(),
    )
    app = http.build(routes.OPERATIONS, deps, authenticator=Tokens(), allows=allows)
    headers = {"Authorization": f"Bearer {role}"} if role else {}
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://registry.example", headers=headers
    )


@pytest.fixture
async def client(log: Log) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(log) as opened:
        yield opened


async def keys_of(client: httpx.AsyncClient) -> dict[str, Any]:
    body: dict[str, Any] = (await client.get("/api/v1/log/keys")).json()
    return body


async def test_an_outsider_can_follow_the_tiles(log: Log, client: httpx.AsyncClient) -> None:
    await log.append(300)
    await log.settle()
    sent = await client.get("/log/checkpoint")
    assert sent.headers["content-type"] == "text/plain; charset=utf-8"
    assert sent.headers["cache-control"] == "no-cache"
    head = open_checkpoint(sent.text, (await keys_of(client))["vkey"])
    assert head.size == 300
    leaves: list[bytes] = []
    for path in ("tile/entries/000", "tile/entries/001.p/44"):
        bundle = await client.get(f"/log/{path}")
        assert bundle.headers["content-type"] == "application/octet-stream"
        leaves += merkle.parse_entry_bundle(bundle.content)
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    assert merkle.root_hash(hashes) == head.root
    for tile in merkle.tiles_between(0, 300):
        sent = await client.get(f"/log/{tile.path}")
        assert sent.headers["cache-control"] == "private, max-age=31536000, immutable"
        if tile.level == 0:
            first = tile.index * 256
            assert sent.content == b"".join(hashes[first : first + tile.width])


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/002",
        "tile/0/001",
        "tile/0/001.p/45",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/000.p/7",
        "tile/0/1",
        "tile/0/0001",
        "tile/0/x000/000",
        "tile/00/000",
        "tile/1/000",
        "tile/64/000",
        "tile/entries/001.p/45",
        "tile/entries/../../guard/checkpoint",
        "tile/0/%2e%2e/000",
        "tile/0/\u0660\u0660\u0660",
    ],
)
async def test_there_are_no_other_tiles(log: Log, client: httpx.AsyncClient, path: str) -> None:
    await log.append(300)
    await log.settle()
    sent = await client.get(f"/log/{path}")
    assert sent.status_code == 404, sent.content
    assert sent.headers["content-type"] == "application/problem+json"


async def test_a_tile_is_not_shown_before_its_checkpoint(
    log: Log, client: httpx.AsyncClient
) -> None:
    await log.append(2)
    await log.settle()
    await log.append(1)
    log.faults.name = "swap guard/checkpoint"
    with pytest.raises(Exception, match="blob store"):
        await log.sequencer().step()
    assert await log.blobs.get_object("log/tile/0/000.p/3") is not None
    assert (await client.get("/log/tile/0/000.p/3")).status_code == 404
    assert (await client.get("/log/tile/0/000.p/2")).status_code == 200


async def test_the_checkpoint_in_json(log: Log, client: httpx.AsyncClient) -> None:
    busy = await client.get("/api/v1/log/checkpoint")
    assert (busy.status_code, busy.json()["code"]) == (503, "log_busy")
    assert int(busy.headers["retry-after"]) >= 1
    await log.append(5)
    await log.settle()
    sent = await client.get("/api/v1/log/checkpoint")
    body = sent.json()
    assert (body["origin"], body["size"]) == (ORIGIN, 5)
    assert open_checkpoint(body["note"], (await keys_of(client))["vkey"]).root == base64.b64decode(
        body["root"]
    )
    again = await client.get(
        "/api/v1/log/checkpoint", headers={"If-None-Match": sent.headers["etag"]}
    )
    assert again.status_code == 304


async def test_entries_page_by_index_and_by_cursor(log: Log, client: httpx.AsyncClient) -> None:
    await log.append(5)
    await log.settle()
    first = (await client.get("/api/v1/log/entries", params={"limit": 2})).json()
    assert [each["index"] for each in first["items"]] == [0, 1]
    params = {"limit": 3, "cursor": first["next_cursor"]}
    rest = (await client.get("/api/v1/log/entries", params=params)).json()
    assert [each["index"] for each in rest["items"]] == [2, 3, 4]
    assert rest["next_cursor"] is None
    after = (await client.get("/api/v1/log/entries", params={"after": 3})).json()
    assert [each["id"] for each in after["items"]] == [str(log.appended[4])]
    past = {"as_of": "2020-01-01T00:00:00Z"}
    assert (await client.get("/api/v1/log/entries", params=past)).json()["items"] == []
    assert (await client.get("/api/v1/log/entries", params={"after": "x"})).status_code == 422


async def test_one_entry(log: Log, client: httpx.AsyncClient) -> None:
    (entry_id,) = await log.append(1)
    sent = await client.get(f"/api/v1/log/entries/{entry_id}")
    assert sent.json() == {
        "id": str(entry_id),
        "at": "2026-11-21T12:00:00Z",
        "act": "thing.make",
        "actor": {"kind": "person", "id": "ada", "claims": None},
        "subject": {"kind": "thing", "id": "t0", "name": "thing 0", "asset_id": None},
        "digests": [],
        "payload": {"number": 0},
        "index": None,
    }
    for unknown in (uuid.UUID(int=1), "x"):
        assert (await client.get(f"/api/v1/log/entries/{unknown}")).status_code == 404


@pytest.mark.parametrize("predicate", [None, "https://muniment.example/thing/v1"])
async def test_a_receipt_verifies_with_the_published_keys(
    log: Log, client: httpx.AsyncClient, predicate: str | None
) -> None:
    (entry_id,) = await log.append(1, predicate_type=predicate)
    path = f"/api/v1/log/entries/{entry_id}/receipt"
    assert (await client.get(path, params={"wait_ms": 50})).json()["code"] == "log_busy"
    await log.append(9)
    await log.settle()
    sent = await client.get(path)
    trusted = TrustedKeys((await keys_of(client))["vkey"], log.keys.record.public_key_der)
    receipt = Receipt.parse(sent.content)
    assert verify(receipt, trusted).entry["id"] == str(entry_id)
    unknown = f"/api/v1/log/entries/{uuid.UUID(int=1)}/receipt"
    assert (await client.get(unknown)).status_code == 404


async def test_proofs(log: Log, client: httpx.AsyncClient) -> None:
    for count in (100, 200):
        await log.append(count)
        await log.settle()
    hashes = []
    for path in ("tile/0/000", "tile/0/001.p/44"):
        data = (await client.get(f"/log/{path}")).content
        hashes += [data[at : at + 32] for at in range(0, len(data), 32)]
    roots = {size: merkle.root_hash(hashes[:size]) for size in (100, 300)}
    sent = (await client.get("/api/v1/log/inclusion", params={"index": 7, "size": 100})).json()
    proof = [base64.b64decode(each) for each in sent["hashes"]]
    merkle.verify_inclusion(hashes[7], 7, 100, proof, roots[100])
    sent = (await client.get("/api/v1/log/consistency", params={"old": 100, "new": 300})).json()
    proof = [base64.b64decode(each) for each in sent["hashes"]]
    merkle.verify_consistency(100, 300, roots[100], roots[300], proof)
    wrong = await client.get("/api/v1/log/inclusion", params={"index": 9, "size": 9})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "bad_proof")


PATHS = [operation.path for operation in routes.OPERATIONS]


def plain(path: str) -> str:
    return path.replace("{rest:path}", "0/000.p/1").replace("{entry_id}", str(uuid.UUID(int=1)))


@pytest.mark.parametrize("path", PATHS)
async def test_nobody_unknown_and_no_wrong_role(log: Log, path: str) -> None:
    for role, status in ((None, 401), ("contributor", 403)):
        async with client_of(log, role=role) as client:
            assert (await client.get(plain(path))).status_code == status


async def test_an_open_log_shows_the_tree_and_no_payload(log: Log) -> None:
    await log.append(1)
    await log.settle()
    opened: set[str] = set()
    closed: set[str] = set()
    async with client_of(log, role=None, log_public=True) as client:
        for path in PATHS:
            sent = await client.get(plain(path))
            (closed if sent.status_code == 401 else opened).add(path)
        tile = await client.get("/log/tile/0/000.p/1")
        assert tile.headers["cache-control"].startswith("public")
    assert closed == {
        "/api/v1/log/entries",
        "/api/v1/log/entries/{entry_id}",
        "/api/v1/log/entries/{entry_id}/receipt",
    }
