"""What every request goes through, whatever the operation: tried with operations of our own."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import structlog

from muniment.core.errors import BlobStoreDown, Contended, DatabaseDown, Gone, NotFound
from muniment.server.http import idempotency, ranges
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.records import EVERYTHING, Grant, PrincipalKind, Role, Scope, Verb
from muniment.server.identity import By, NewPrincipal
from muniment.server.identity.actions import access as identity
from muniment.server.identity.routes import OPERATIONS as IDENTITY
from muniment.server.ledger import Actor
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.db import Tx
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.app import RegistrySimulator, app_client
from tests.support.keys import MemoryKeys

SECONDS = dt.timedelta(seconds=1)


class Note(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    fail: str = ""


class Search(msgspec.Struct):
    limit: int = 5


class Notes:
    """Operations that write notes down, in the database and in memory."""

    def __init__(self, directory: Path) -> None:
        self.ran: list[str] = []
        self.file = directory / "file.bin"
        self.file.write_bytes(bytes(range(256)) * 8192)  # 2 MiB
        self.gate = asyncio.Event()
        self.gate.set()
        self.closed = False

    async def write(self, call: Call, tx: Tx) -> Reply:
        self.ran.append(call.body.text)
        await tx.execute("INSERT INTO note (text) VALUES ($1)", call.body.text)
        await self.gate.wait()
        if call.body.fail == "gone":
            raise Gone("it is gone", extra={"receipt": "r"}, context={"secret": "s3cret"})
        if call.body.fail == "bug":
            raise ZeroDivisionError("s3cret")
        if call.body.fail == "contended" and len(self.ran) < 3:
            raise Contended
        if call.body.fail == "contended for ever":
            raise Contended
        return Reply({"text": call.body.text}, headers={"etag": '"1"', "location": "/n/1"})

    async def read(self, call: Call, tx: Tx) -> Reply:
        count = await tx.fetchval("SELECT count(*) FROM note")
        body = {"path": call.path, "limit": call.query.limit, "count": count}
        return Reply(body, headers={"etag": f'"{count}"'})

    async def scribble(self, _call: Call, tx: Tx) -> Reply:
        await tx.execute("INSERT INTO note (text) VALUES ('in a read')")
        return Reply()

    async def upload(self, call: Call) -> Reply:
        size = 0
        async for chunk in call.stream():
            size += len(chunk)
        return Reply({"size": size, "base": call.base_url, "type": call.headers["Content-Type"]})

    async def download(self, call: Call) -> Reply:
        chosen = ranges.select(
            self.file.stat().st_size,
            etag='"f"',
            range_header=call.headers.get("range"),
            if_range=call.headers.get("if-range"),
        )
        return Reply(
            file=str(self.file),
            span=(chosen.start, chosen.end),
            status=chosen.status,
            headers=chosen.headers,
        )

    async def chunks(self, call: Call) -> Reply:
        return Reply(chunks=self._chunks(call.path["how"]))

    async def _chunks(self, how: str) -> AsyncIterator[bytes]:
        try:
            if how == "missing":
                raise NotFound("there is no such blob")
            if how != "empty":
                yield b"one"
                if how == "breaks":
                    raise BlobStoreDown
                yield b"two"
        finally:
            self.closed = True

    async def missing_file(self, _call: Call) -> Reply:
        return Reply(file=str(self.file) + ".gone")

    async def nothing(self, _call: Call) -> Reply:
        return Reply(status=204)

    async def who(self, call: Call) -> Reply:
        call.require(Verb.READ, Scope("n"))
        return Reply({"may": call.may(Verb.ALIAS, Scope("n"))})

    def operations(self) -> list[Operation]:
        def op(method: str, path: str, handler: Any, **more: Any) -> Operation:
            values = {"needs": Verb.READ, "scope": ScopeFrom.EVERYTHING, "tx": TxMode.NONE, **more}
            name = f"{method.lower()}_{path.split('/')[1]}"
            return Operation(
                method=method, path=path, id=name, summary=name, handler=handler, **values
            )

        write: dict[str, Any] = {"tx": TxMode.WRITE, "body": Note, "status": 201}
        path = {"tx": TxMode.READ, "query": Search, "scope": ScopeFrom.PATH}
        octets = {"media_type": "application/octet-stream"}
        return [
            op("POST", "/notes", self.write, **write),
            op("POST", "/secrets", self.write, secret=True, **write),
            op("POST", "/anybody", self.write, **(write | {"needs": Verb.ANONYMOUS})),
            op("GET", "/notes/{namespace}/{name}", self.read, **path),
            op("GET", "/scribble", self.scribble, tx=TxMode.READ),
            op("PUT", "/upload", self.upload, streams=True),
            op("GET", "/download", self.download, **octets),
            op("GET", "/chunks/{how}", self.chunks, **octets),
            op("GET", "/missing", self.missing_file),
            op("GET", "/nothing", self.nothing),
            op("GET", "/who", self.who, scope=ScopeFrom.HANDLER),
            op("GET", "/who-open", self.who, needs=Verb.ANONYMOUS, scope=ScopeFrom.HANDLER),
            op("GET", "/somewhere", self.nothing, scope=ScopeFrom.ANYWHERE),
            op("GET", "/public", self.nothing, open_when=lambda settings: settings.log_public),
        ]


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path)


@pytest.fixture
async def noted(owner_db: PostgresDatabase) -> None:
    """A table for what the operations here write."""
    async with owner_db.transaction() as tx:
        await tx.execute("CREATE TABLE note (text text)")
        await tx.execute("GRANT ALL ON note TO muniment")


@pytest.fixture
async def registry(
    noted: None, notes: Notes, db: PostgresDatabase, blobs: FakeBlobs, clock: FixedClock
) -> AsyncIterator[RegistrySimulator]:
    del noted
    keys = MemoryKeys()
    async with app_client(
        db, blobs, keys, clock, notes.operations(), max_body_bytes=1000
    ) as registry:
        yield registry


async def count(registry: RegistrySimulator) -> int:
    async with registry.deps.db.transaction(read_only=True) as tx:
        number: int = await tx.fetchval("SELECT count(*) FROM note")
        return number


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["type"] == f"urn:muniment:error:{body['code']}"
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["title"]
    assert body["detail"]
    return answer.status_code, body["code"]


# --- who gets in -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", "Bearer x", "Basic eDp5", "Bearer \xff\xfe", "mun_x"]
)
async def test_a_bad_token_is_refused(registry: RegistrySimulator, authorization: str) -> None:
    headers = {b"authorization": authorization.encode("latin-1")}
    answer = await registry.anonymous.get("/nothing", headers=headers)
    assert problem(answer) == (401, "not_authenticated")
    assert answer.headers["www-authenticate"] == 'Bearer realm="muniment", error="invalid_token"'


async def test_no_token_is_refused(registry: RegistrySimulator) -> None:
    answer = await registry.anonymous.get("/nothing")
    assert problem(answer) == (401, "not_authenticated")
    assert answer.headers["www-authenticate"] == 'Bearer realm="muniment"'


async def test_who_is_refused_is_refused_before_the_body_is_read(
    registry: RegistrySimulator, notes: Notes
) -> None:
    read = []

    async def body() -> AsyncIterator[bytes]:
        read.append(True)
        yield b"{"

    for client, status in ((registry.anonymous, 401), (registry.nobody, 403)):
        scope = {"type": "http", "method": "POST", "path": "/notes", "query_string": b""}
        headers = [(b"content-type", b"application/json")]
        if client is registry.nobody:
            await client.get("/who")
            headers.append((b"authorization", f"Bearer {client.issued.text}".encode()))
        sent: list[Any] = []

        async def receive() -> Any:
            read.append(True)
            raise AssertionError("the body was asked for")

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        await registry.app({**scope, "headers": headers}, receive, send)
        assert sent[0]["status"] == status
    assert not read
    assert notes.ran == []


async def test_the_scope_comes_from_the_path(registry: RegistrySimulator) -> None:
    team = registry.as_(Role.VIEWER, Scope("team-a"))
    one = registry.as_(Role.VIEWER, Scope("team-a", "fraud detector"))
    inside, beside = "/notes/team-a/fraud%20detector", "/notes/team-a/other"
    assert (await team.get(inside)).json()["path"] == {
        "namespace": "team-a",
        "name": "fraud detector",
    }
    assert (await team.get(beside)).status_code == 200
    assert (await one.get(inside)).status_code == 200
    assert problem(await one.get(beside)) == (404, "not_found")
    assert problem(await team.get("/notes/team-b/fraud")) == (404, "not_found")
    assert problem(await team.get("/nothing")) == (403, "not_allowed")
    assert (await team.get("/somewhere")).status_code == 204
    assert problem(await registry.nobody.get("/somewhere")) == (403, "not_allowed")


async def test_a_handler_may_decide_itself(registry: RegistrySimulator) -> None:
    publisher = registry.as_(Role.PUBLISHER, Scope("n"))
    assert (await publisher.get("/who")).json() == {"may": True}
    assert (await registry.as_(Role.VIEWER).get("/who")).json() == {"may": False}
    assert problem(await registry.nobody.get("/who")) == (404, "not_found")
    assert problem(await registry.anonymous.get("/who-open")) == (401, "not_authenticated")


async def test_settings_may_open_an_operation(
    notes: Notes, db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> None:
    for public, status in ((True, 204), (False, 401)):
        async with app_client(
            db, blobs, keys, clock, notes.operations(), log_public=public
        ) as registry:
            assert (await registry.anonymous.get("/public")).status_code == status


async def test_who_keeps_sending_bad_tokens_waits(
    registry: RegistrySimulator, clock: FixedClock
) -> None:
    good = registry.as_(Role.VIEWER)
    assert (await good.get("/nothing")).status_code == 204
    bad = {"authorization": "Bearer mun_bad"}
    for _ in range(20):
        assert (await registry.anonymous.get("/nothing", headers=bad)).status_code == 401
    limited = await registry.anonymous.get("/nothing", headers=bad)
    assert problem(limited) == (429, "too_many_requests")
    assert (await good.get("/nothing")).status_code == 204, "who is known goes on"
    fresh = registry.as_(Role.PUBLISHER)
    assert (await fresh.get("/nothing")).status_code == 204, "who is new gets in"
    assert (await registry.anonymous.get("/nothing")).status_code == 401, "no guess, no wait"
    clock.advance(int(limited.headers["retry-after"]) * SECONDS)
    assert (await registry.anonymous.get("/nothing", headers=bad)).status_code == 401


# --- paths, methods, headers -------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/none", "/notes/", "/notes/a/b/c", "/notes/a/%ff", "/%00", "//", "/%0A"]
)
async def test_an_unknown_path_is_a_problem(registry: RegistrySimulator, path: str) -> None:
    assert problem(await registry.anonymous.get(path)) == (404, "not_found")


async def test_an_unknown_method_is_told_the_known_ones(registry: RegistrySimulator) -> None:
    answer = await registry.as_(Role.ADMIN).request("DELETE", "/nothing")
    assert problem(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD"
    assert (await registry.anonymous.options("/notes")).headers["allow"] == "POST"


async def test_every_answer_is_safe_to_show(registry: RegistrySimulator) -> None:
    for path in ("/healthz", "/none", "/nothing"):
        headers = (await registry.anonymous.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]


async def test_a_request_id_is_kept_if_it_is_sane(registry: RegistrySimulator) -> None:
    for sent, kept in (("abc-1._", True), ("a b", False), ("x" * 129, False), ('"<b>', False)):
        answer = await registry.anonymous.get("/healthz", headers={"x-request-id": sent})
        assert (answer.headers["x-request-id"] == sent) is kept


async def test_head_is_get_without_the_bytes(registry: RegistrySimulator, notes: Notes) -> None:
    me = registry.as_(Role.VIEWER)
    for path in ("/notes/a/b", "/download", "/chunks/all", "/none"):
        got, head = await me.get(path), await me.head(path)
        assert head.content == b""
        assert head.status_code == got.status_code
        for name in ("content-length", "etag", "content-type"):
            assert head.headers.get(name) == got.headers.get(name)
    assert notes.closed


async def test_what_did_not_change_is_not_sent_again(registry: RegistrySimulator) -> None:
    me, path = registry.as_(Role.ADMIN), "/notes/a/b"
    first = await me.get(path)
    assert first.headers["cache-control"] == "private, no-cache"
    same = await me.get(path, headers={"if-none-match": first.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["etag"] == first.headers["etag"]
    assert "content-length" not in same.headers
    await me.post("/notes", json={"text": "new"})
    changed = await me.get(path, headers={"if-none-match": first.headers["etag"]})
    assert changed.status_code == 200


async def test_an_answer_without_content_has_none(registry: RegistrySimulator) -> None:
    answer = await registry.as_(Role.VIEWER).get("/nothing")
    assert (answer.status_code, answer.content) == (204, b"")
    assert not {"content-type", "content-length"} & set(answer.headers)


async def test_the_base_url_is_what_the_client_used_or_what_is_set(
    notes: Notes, db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> None:
    for public, expected in (
        (None, "http://muniment.test"),
        ("https://m.example/", "https://m.example"),
    ):
        async with app_client(
            db, blobs, keys, clock, notes.operations(), public_url=public
        ) as registry:
            answer = await registry.as_(Role.VIEWER).put(
                "/upload", content=b"x" * 5000, headers={"content-type": "a/b"}
            )
            assert answer.json() == {"size": 5000, "base": expected, "type": "a/b"}


# --- bodies and queries ------------------------------------------------------------------------


async def test_body_and_query_are_refused_together(registry: RegistrySimulator) -> None:
    answer = await registry.as_(Role.ADMIN).post("/notes?x=1", json={"txt": "a"})
    assert problem(answer) == (422, "bad_body")
    assert [(each["in"], each["field"]) for each in answer.json()["problems"]] == [
        ("query", "x"),
        ("body", "txt"),
        ("body", "text"),
    ]
    unknown = await registry.as_(Role.ADMIN).get("/notes/a/b?limits=1")
    assert problem(unknown) == (422, "bad_request")


async def test_only_json_is_taken(registry: RegistrySimulator) -> None:
    me = registry.as_(Role.ADMIN)
    for media in ("text/plain", "", "application/jsonx", "multipart/form-data"):
        answer = await me.post("/notes", content=b'{"text":"a"}', headers={"content-type": media})
        assert problem(answer) == (415, "unsupported_media")
    for media in ("application/json; charset=utf-8", "Application/JSON"):
        answer = await me.post("/notes", content=b'{"text":"a"}', headers={"content-type": media})
        assert answer.status_code == 201


async def test_a_body_has_a_size(registry: RegistrySimulator, notes: Notes) -> None:
    me, media = registry.as_(Role.ADMIN), {"content-type": "application/json"}

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 100

    for content in (b" " * 1001, endless()):
        answer = await me.post("/notes", content=content, headers=media)
        assert problem(answer) == (413, "too_large")
    lying = await me.post("/notes", content=b"{}", headers={**media, "content-length": "-1"})
    assert problem(lying) == (413, "too_large")
    deep = await me.post("/notes", content=b'{"text":' + b"[" * 900, headers=media)
    assert deep.status_code == 422
    assert notes.ran == []


# --- transactions ------------------------------------------------------------------------------


async def test_what_fails_leaves_nothing_and_leaks_nothing(
    registry: RegistrySimulator, notes: Notes
) -> None:
    me = registry.as_(Role.ADMIN)
    with structlog.testing.capture_logs() as logs:
        gone = await me.post("/notes", json={"text": "a", "fail": "gone"})
        assert problem(gone) == (410, "gone")
        assert gone.json()["receipt"] == "r"
        assert logs == []
        bug = await me.post("/notes", json={"text": "a", "fail": "bug"})
    assert problem(bug) == (500, "error")
    assert "s3cret" not in gone.text + bug.text
    assert [(each["event"], each["request_id"]) for each in logs] == [
        ("request failed", bug.headers["x-request-id"])
    ]
    assert await count(registry) == 0


async def test_a_write_that_lost_a_race_is_run_again(
    registry: RegistrySimulator, notes: Notes
) -> None:
    me = registry.as_(Role.ADMIN)
    won = await me.post("/notes", json={"text": "a", "fail": "contended"})
    assert won.status_code == 201
    assert (len(notes.ran), await count(registry)) == (3, 1)
    notes.ran.clear()
    with structlog.testing.capture_logs():
        lost = await me.post("/notes", json={"text": "a", "fail": "contended for ever"})
    assert problem(lost) == (503, "contended")
    assert lost.headers["retry-after"] == "1"
    assert (len(notes.ran), await count(registry)) == (3, 1)


async def test_a_read_cannot_write(registry: RegistrySimulator) -> None:
    with structlog.testing.capture_logs():
        assert (await registry.as_(Role.ADMIN).get("/scribble")).status_code == 500
    assert await count(registry) == 0


# --- idempotency -------------------------------------------------------------------------------


async def test_the_same_request_again_is_the_same_answer(
    registry: RegistrySimulator, notes: Notes
) -> None:
    me, key = registry.as_(Role.ADMIN), {"idempotency-key": "k1"}
    first = await me.post("/notes", json={"text": "a"}, headers=key)
    again = await me.post("/notes", json={"text": "a"}, headers=key)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    for one, other in ((first, again),):
        assert (one.status_code, one.content) == (other.status_code, other.content)
        for name in ("location", "etag", "content-type"):
            assert one.headers[name] == other.headers[name]
    assert (notes.ran, await count(registry)) == (["a"], 1)


async def test_an_answer_is_not_given_again_to_who_may_do_less_now(
    registry: RegistrySimulator, notes: Notes
) -> None:
    """Also where only the handler knows in which scope the roles are needed."""
    team, other = Grant(Role.ADMIN, Scope("team-a")), Grant(Role.ADMIN, EVERYTHING)
    me, key = registry.with_grants(other, team), {"idempotency-key": "k1"}
    by = By(Actor("system", "tests"), registry.deps.clock.now(), registry.deps.clock.new_id)
    assert (await me.post("/notes", json={"text": "a"}, headers=key)).status_code == 201
    async with registry.deps.db.transaction() as tx:
        await identity.create_principal(
            tx, NewPrincipal(PrincipalKind.PERSON, "root", grants=(other,)), by
        )
        await identity.grant_role(tx, me.principal_id, Grant(Role.VIEWER, EVERYTHING), by)
    again = await me.post("/notes", json={"text": "a"}, headers=key)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    async with registry.deps.db.transaction() as tx:
        await identity.revoke_role(tx, me.principal_id, team, by)
    assert (await me.post("/notes", json={"text": "a"}, headers=key)).status_code == 201, (
        "a wider role covers the one that was taken"
    )
    async with registry.deps.db.transaction() as tx:
        await identity.grant_role(tx, me.principal_id, team, by)
        await identity.revoke_role(tx, me.principal_id, other, by)
    refused = await me.post("/notes", json={"text": "a"}, headers=key)
    assert problem(refused) == (403, "not_allowed")
    assert notes.ran == ["a"]


async def test_a_key_is_for_one_request_of_one_principal(
    registry: RegistrySimulator, notes: Notes
) -> None:
    me, key = registry.as_(Role.ADMIN), {"idempotency-key": "k1"}
    assert (await me.post("/notes", json={"text": "a"}, headers=key)).status_code == 201
    for path, text in (("/notes", "b"), ("/secrets", "a")):
        other = await me.post(path, json={"text": text}, headers=key)
        assert problem(other) == (409, "idempotency_conflict")
    assert (
        await registry.as_(Role.VIEWER).post("/notes", json={"text": "b"}, headers=key)
    ).is_success
    assert notes.ran == ["a", "b"]


async def test_a_failure_may_be_repeated(registry: RegistrySimulator, notes: Notes) -> None:
    me, key = registry.as_(Role.ADMIN), {"idempotency-key": "k1"}
    body = {"text": "a", "fail": "gone"}
    for _ in range(2):
        assert (await me.post("/notes", json=body, headers=key)).status_code == 410
    assert (await me.post("/notes", json={"text": "a"}, headers=key)).status_code == 201
    assert (len(notes.ran), await count(registry)) == (3, 1)


async def test_two_at_once_do_it_once(registry: RegistrySimulator, notes: Notes) -> None:
    me, key = registry.as_(Role.ADMIN), {"idempotency-key": "k1"}
    await me.get("/nothing")
    notes.gate.clear()

    async def send() -> httpx.Response:
        return await me.post("/notes", json={"text": "a"}, headers=key)

    pair = [asyncio.create_task(send()) for _ in range(2)]
    async with registry.deps.db.transaction(read_only=True) as tx:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while not await tx.fetchval(waiting):  # noqa: ASYNC110 -- the event is in PostgreSQL
            await asyncio.sleep(0.005)
    notes.gate.set()
    answers = await asyncio.gather(*pair)
    assert [answer.status_code for answer in answers] == [201, 201]
    assert sorted("idempotency-replayed" in answer.headers for answer in answers) == [False, True]
    assert (notes.ran, await count(registry)) == (["a"], 1)


async def test_a_secret_is_not_kept(registry: RegistrySimulator, notes: Notes) -> None:
    me, key = registry.as_(Role.ADMIN), {"idempotency-key": "k1"}
    assert (await me.post("/secrets", json={"text": "s3cret"}, headers=key)).status_code == 201
    again = await me.post("/secrets", json={"text": "s3cret"}, headers=key)
    assert problem(again) == (409, "idempotency_conflict")
    assert "shown only once" in again.json()["detail"]
    async with registry.deps.db.transaction(read_only=True) as tx:
        assert await tx.fetchval("SELECT body FROM idempotency") is None


async def test_a_key_must_be_sane(registry: RegistrySimulator, notes: Notes) -> None:
    for key in (b"", b"a b", b"\xff", b"x" * 256):
        answer = await registry.as_(Role.ADMIN).post(
            "/notes", json={"text": "a"}, headers={b"idempotency-key": key}
        )
        assert problem(answer) == (422, "bad_request")
    assert notes.ran == []


async def test_nobody_has_no_keys(registry: RegistrySimulator, notes: Notes) -> None:
    for _ in range(2):
        answer = await registry.anonymous.post(
            "/anybody", json={"text": "a"}, headers={"idempotency-key": "k"}
        )
        assert answer.status_code == 201
    assert notes.ran == ["a", "a"]


async def test_keys_are_forgotten_after_a_day(
    registry: RegistrySimulator, notes: Notes, clock: FixedClock
) -> None:
    key = {"idempotency-key": "k1"}
    await registry.as_(Role.ADMIN).post("/notes", json={"text": "a"}, headers=key)
    clock.advance(idempotency.KEPT_FOR)
    assert await idempotency.sweep(registry.deps) == 0
    clock.advance(SECONDS)
    assert await idempotency.sweep(registry.deps) == 1


# --- files and streams -------------------------------------------------------------------------


async def test_a_file_is_sent_whole_or_in_part(registry: RegistrySimulator, notes: Notes) -> None:
    me, data = registry.as_(Role.VIEWER), notes.file.read_bytes()
    whole = await me.get("/download")
    assert (whole.status_code, whole.content) == (200, data)
    assert whole.headers["content-type"] == "application/octet-stream"
    part = await me.get("/download", headers={"range": "bytes=1000000-1999999"})
    assert (part.status_code, part.content) == (206, data[1_000_000:2_000_000])
    other = await me.get("/download", headers={"range": "bytes=0-1", "if-range": '"old"'})
    assert (other.status_code, len(other.content)) == (200, len(data))
    past = await me.get("/download", headers={"range": "bytes=9999999-"})
    assert problem(past) == (416, "bad_range")
    assert past.headers["content-range"] == f"bytes */{len(data)}"
    same = await me.get("/download", headers={"if-none-match": '"f"'})
    assert (same.status_code, same.content) == (304, b"")
    assert problem(await me.get("/missing")) == (404, "not_found")


async def test_the_kernel_copies_where_the_server_can(
    registry: RegistrySimulator, notes: Notes
) -> None:
    me = registry.as_(Role.VIEWER)
    await me.get("/nothing")
    authorization = (b"authorization", f"Bearer {me.issued.text}".encode())
    for extra, expected in (
        ([], "http.response.pathsend"),
        ([(b"range", b"bytes=0-1")], "http.response.body"),
    ):
        sent: list[Any] = []

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/download",
            "query_string": b"",
            "headers": [authorization, *extra],
            "extensions": {"http.response.pathsend": {}},
        }
        await registry.app(scope, _no_body, send)
        assert sent[1]["type"] == expected
    assert sent[1]["body"] == b"\x00\x01"


async def _no_body() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def test_a_stream_is_sent_and_closed(registry: RegistrySimulator, notes: Notes) -> None:
    me = registry.as_(Role.VIEWER)
    for how, expected in (("all", b"onetwo"), ("empty", b"")):
        notes.closed = False
        answer = await me.get(f"/chunks/{how}")
        assert (answer.status_code, answer.content, notes.closed) == (200, expected, True)


async def test_a_stream_that_fails_at_once_is_a_problem(registry: RegistrySimulator) -> None:
    answer = await registry.as_(Role.VIEWER).get("/chunks/missing")
    assert problem(answer) == (404, "not_found")


async def test_a_stream_that_breaks_breaks_the_connection(registry: RegistrySimulator) -> None:
    with structlog.testing.capture_logs() as logs, pytest.raises(ConnectionAbortedError):
        await registry.as_(Role.VIEWER).get("/chunks/breaks")
    assert [each["code"] for each in logs] == ["blob_store_down"]


async def test_who_hangs_up_is_let_go(registry: RegistrySimulator) -> None:
    me = registry.as_(Role.VIEWER)
    await me.get("/nothing")
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    authorization = (b"authorization", f"Bearer {me.issued.text}".encode())
    scope = {"type": "http", "method": "PUT", "path": "/upload", "query_string": b""}
    await registry.app({**scope, "headers": [authorization]}, receive, send)
    assert sent == []
    await registry.app({**scope, "type": "websocket", "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


# --- health and metrics ------------------------------------------------------------------------


async def test_ready_is_when_all_parts_answer(
    registry: RegistrySimulator, blobs: FakeBlobs, db: PostgresDatabase
) -> None:
    ready = await registry.anonymous.get("/readyz")
    assert ready.json() == {"status": "ok", "parts": ["database", "blobs"]}
    blobs.fail("get_object", BlobStoreDown())
    with structlog.testing.capture_logs():
        assert problem(await registry.anonymous.get("/readyz")) == (503, "blob_store_down")
        await db.close()
        assert problem(await registry.anonymous.get("/readyz")) == (503, DatabaseDown.code)
    assert (await registry.anonymous.get("/healthz")).json()["status"] == "ok"


async def test_metrics_are_for_observers(registry: RegistrySimulator) -> None:
    assert problem(await registry.anonymous.get("/metrics")) == (401, "not_authenticated")
    assert problem(await registry.as_(Role.VIEWER).get("/metrics")) == (403, "not_allowed")
    await registry.as_(Role.VIEWER).get("/nothing")
    await registry.anonymous.get("/none")
    answer = await registry.as_(Role.AUDITOR).get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    assert 'muniment_http_requests_total{operation="get_nothing",status="204"} 1.0' in lines
    assert 'muniment_http_requests_total{operation="unmatched",status="404"} 1.0' in lines
    assert 'muniment_http_requests_total{operation="metrics",status="401"} 1.0' in lines
    assert 'muniment_http_request_seconds_count{operation="get_nothing"} 1.0' in lines
    assert "muniment_http_requests_in_flight 1.0" in lines
    assert "muniment_ledger_refused 0.0" in lines


# --- the document ------------------------------------------------------------------------------


async def test_the_document_describes_every_operation(
    db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> None:
    async with app_client(db, blobs, keys, clock, IDENTITY) as registry:
        assert (await registry.anonymous.get("/api/v1/openapi.json")).status_code == 401
        document = (await registry.nobody.get("/api/v1/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    described = {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for operation in path.values()
    }
    own = {"healthz", "readyz", "metrics", "get_openapi"}
    assert described.keys() == {operation.id for operation in IDENTITY} | own
    listing = described["list_principals"]
    assert [parameter["name"] for parameter in listing["parameters"]] == ["name", "limit", "cursor"]
    assert listing["parameters"][1]["schema"]["maximum"] == 500
    assert listing["responses"].keys() >= {"200", "401", "403", "422", "429", "500"}
    assert "security" not in listing
    assert described["bootstrap"]["security"] == []
    unauthorised = listing["responses"]["401"]["content"]["application/problem+json"]["schema"]
    assert unauthorised["allOf"][1]["properties"]["code"]["enum"] == ["not_authenticated"]
    key = described["create_principal"]["parameters"][-1]
    assert (key["name"], key["in"]) == ("Idempotency-Key", "header")
