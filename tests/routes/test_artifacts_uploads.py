"""`/uploads`: declare, send, resume, seal, abandon; and every way in which sending goes wrong."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from muniment.core.digest import Digest
from muniment.core.errors import BlobStoreDown, DiskFull
from muniment.server.artifacts import jobs
from muniment.server.http.records import Role
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.blobs_local import open_local_blobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.db import Database
from muniment.server.ports.keys import Keys
from muniment.server.wiring import OPERATIONS
from tests.support.app import Client, RegistrySimulator, app_client
from tests.support.uploads import Session, in_chunks, register, sha256

WHOLE = bytes(range(256)) * 8
PART = 5 << 20


@pytest.fixture
async def registry(
    db: Database, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[RegistrySimulator]:
    async with app_client(
        db, blobs, keys, clock, OPERATIONS, part_bytes=PART, max_file_bytes=4 * PART
    ) as simulator:
        yield simulator


@pytest.fixture
def client(registry: RegistrySimulator) -> Client:
    return registry.as_(Role.PUBLISHER)


@pytest.fixture
async def session(client: Client) -> Session:
    return await Session.open(client)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# -- sessions ------------------------------------------------------------------------------------


async def test_a_session_says_how_long_and_in_which_parts_it_takes_bytes(
    client: Client, session: Session, clock: FixedClock
) -> None:
    shown = (await client.get(session.url)).json()
    assert shown["state"] == "open"
    assert shown["part_size_bytes"] == PART
    assert dt.datetime.fromisoformat(shown["expires_at"]) == clock.now() + dt.timedelta(days=1)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.AUDITOR, Role.APPROVER_SECURITY])
async def test_who_may_not_register_may_not_upload(
    registry: RegistrySimulator, session: Session, role: Role
) -> None:
    other = registry.as_(role)
    body = {"blobs": [{"sha256": sha256(WHOLE), "size_bytes": len(WHOLE)}]}
    blob = f"{session.url}/blobs/{sha256(WHOLE)}"
    for answer in (
        await other.post("/api/v1/uploads", json={"name": "thing"}),
        await other.get(session.url),
        await other.delete(session.url),
        await other.post(f"{session.url}/blobs", json=body),
        await other.put(blob, content=WHOLE),
        await other.post(f"{blob}/seal"),
    ):
        assert answer.status_code == 403, answer.request.url


@pytest.mark.parametrize("upload_id", ["nonsense", str(uuid.UUID(int=1)), "%00"])
async def test_a_session_that_is_not_there(client: Client, upload_id: str) -> None:
    gone = Session(client, upload_id)
    for answer in (
        await client.get(gone.url),
        await client.delete(gone.url),
        await gone.put(WHOLE),
        await gone.seal(WHOLE),
        await client.post(f"{gone.url}/blobs", json={"blobs": []}),
    ):
        assert refusal(answer) == (404, "not_found")


async def test_an_abandoned_session_takes_nothing_and_keeps_nothing(
    client: Client, session: Session, blobs: FakeBlobs
) -> None:
    await session.declare(WHOLE)
    await session.put(WHOLE, WHOLE[:10])
    for _ in range(2):
        assert (await client.delete(session.url)).status_code == 204
    assert not blobs.staging
    assert (await client.get(session.url)).json()["state"] == "abandoned"
    assert refusal(await session.put(WHOLE)) == (409, "upload_conflict")
    assert refusal(await session.seal(WHOLE)) == (409, "upload_conflict")
    again = {"blobs": [{"sha256": sha256(WHOLE), "size_bytes": len(WHOLE)}]}
    answer = await client.post(f"{session.url}/blobs", json=again)
    assert refusal(answer) == (409, "upload_conflict")


async def test_an_expired_session_takes_nothing(session: Session, clock: FixedClock) -> None:
    await session.declare(WHOLE)
    clock.advance(dt.timedelta(days=1))
    assert refusal(await session.put(WHOLE)) == (409, "upload_conflict")


# -- declaring -----------------------------------------------------------------------------------


async def test_each_blob_is_missing_partial_or_held(session: Session) -> None:
    held, partial, missing = b"held", b"partial", b"missing"
    await session.declare(held, partial, missing)
    await session.put(held)
    await session.put(partial, partial[:3])
    assert await session.declare(held, partial, missing, held) == [
        {"sha256": sha256(held), "state": "held"},
        {"sha256": sha256(partial), "state": "partial", "received": [[0, 3]]},
        {"sha256": sha256(missing), "state": "missing"},
    ]


async def test_ten_thousand_blobs_are_declared_at_once(session: Session, blobs: FakeBlobs) -> None:
    blobs.fail("staged", BlobStoreDown())  # nothing of what is new needs to be asked for
    many = [str(number).encode() for number in range(10_000)]
    assert {item["state"] for item in await session.declare(*many)} == {"missing"}
    del blobs.faults["staged"]
    assert {item["state"] for item in await session.declare(*many)} == {"missing"}


async def test_more_than_ten_thousand_are_too_many(client: Client, session: Session) -> None:
    offered = [{"sha256": sha256(b""), "size_bytes": 0}] * 10_001
    answer = await client.post(f"{session.url}/blobs", json={"blobs": offered})
    assert refusal(answer) == (422, "bad_body")


async def test_everything_wrong_with_a_declaration_is_said_at_once(
    client: Client, session: Session
) -> None:
    offered = [
        {"sha256": "xyz", "size_bytes": 1},
        {"sha256": sha256(b"a"), "size_bytes": 1},
        {"sha256": sha256(b"a"), "size_bytes": 2},
        {"sha256": sha256(b"b"), "size_bytes": 4 * PART + 1},
    ]
    answer = await client.post(f"{session.url}/blobs", json={"blobs": offered})
    assert refusal(answer) == (422, "bad_manifest")
    assert len(answer.json()["problems"]) == 3
    assert "blobs[2].size_bytes" in {problem["field"] for problem in answer.json()["problems"]}
    assert await session.declare(b"a") == [{"sha256": sha256(b"a"), "state": "missing"}]


async def test_a_size_may_be_corrected_until_the_blob_is_held(
    client: Client, session: Session
) -> None:
    wrong = {"blobs": [{"sha256": sha256(WHOLE), "size_bytes": 7}]}
    assert (await client.post(f"{session.url}/blobs", json=wrong)).status_code == 200
    assert refusal(await session.put(WHOLE)) == (413, "too_large")
    await session.send(WHOLE)
    answer = await client.post(f"{session.url}/blobs", json=wrong)
    assert refusal(answer) == (422, "bad_manifest")
    assert str(len(WHOLE)) in answer.json()["problems"][0]["message"]


# -- sending -------------------------------------------------------------------------------------


async def test_a_blob_sent_whole_is_held_at_once(session: Session, blobs: FakeBlobs) -> None:
    await session.declare(WHOLE)
    answer = await session.put(WHOLE, in_chunks(WHOLE[:9], WHOLE[9:]))
    assert answer.json() == {"sha256": sha256(WHOLE), "state": "held"}
    assert list(blobs.blobs.values()) == [WHOLE]


async def test_an_empty_blob_is_one_empty_put(session: Session, blobs: FakeBlobs) -> None:
    await session.send(b"")
    assert list(blobs.blobs.values()) == [b""]


async def test_parts_come_in_any_order_and_are_sealed_when_asked(session: Session) -> None:
    await session.declare(WHOLE)
    for start, end in ((1000, 2048), (0, 500), (500, 1000)):
        answer = await session.put(WHOLE, WHOLE[start:end], start)
        assert answer.json()["state"] == "partial"
    assert answer.json()["received"] == [[0, 2048]]
    assert (await session.seal(WHOLE)).json()["state"] == "held"
    assert (await session.seal(WHOLE)).json()["state"] == "held"


async def test_what_is_held_is_not_taken_again(session: Session, blobs: FakeBlobs) -> None:
    await session.send(WHOLE)
    blobs.fail("stage", BlobStoreDown())
    assert (await session.put(WHOLE)).json()["state"] == "held"
    assert (await session.put(WHOLE, b"forged" * 10)).json()["state"] == "held"
    assert list(blobs.blobs.values()) == [WHOLE]


async def test_a_gap_is_named_when_sealing(session: Session) -> None:
    await session.declare(WHOLE)
    await session.put(WHOLE, WHOLE[:10])
    await session.put(WHOLE, WHOLE[20:30], 20)
    answer = await session.seal(WHOLE)
    assert refusal(answer) == (409, "upload_conflict")
    assert answer.json()["missing"] == [[10, 20], [30, len(WHOLE)]]


async def test_other_bytes_than_announced_are_refused_and_dropped(
    session: Session, blobs: FakeBlobs
) -> None:
    forged = WHOLE[:-1] + b"!"
    await session.declare(WHOLE)
    answer = await session.put(WHOLE, forged)
    assert refusal(answer) == (422, "digest_mismatch")
    assert answer.json()["expected"] == sha256(WHOLE)
    assert answer.json()["found"] == sha256(forged)
    assert not blobs.blobs
    assert await session.declare(WHOLE) == [{"sha256": sha256(WHOLE), "state": "missing"}]
    assert (await session.put(WHOLE)).json()["state"] == "held"


async def test_a_truncated_body_is_partial_and_resumed(session: Session) -> None:
    await session.declare(WHOLE)
    answer = await session.put(WHOLE, WHOLE[:1500])
    assert answer.json()["received"] == [[0, 1500]]
    (item,) = await session.declare(WHOLE)
    ((_, end),) = item["received"]
    await session.put(WHOLE, WHOLE[end:], end)
    assert (await session.seal(WHOLE)).json()["state"] == "held"


async def test_more_bytes_than_announced_are_refused(session: Session, blobs: FakeBlobs) -> None:
    await session.declare(WHOLE)
    assert refusal(await session.put(WHOLE, WHOLE + b"x")) == (413, "too_large")
    assert refusal(await session.put(WHOLE, WHOLE, 1)) == (413, "too_large")
    assert not blobs.blobs
    assert (await session.declare(WHOLE))[0]["state"] == "missing"


async def test_a_part_has_a_largest_size(client: Client, session: Session) -> None:
    large = bytes(PART + 1)
    await session.declare(large)
    assert refusal(await session.put(large)) == (413, "too_large")
    await session.put(large, large[:PART])
    await session.put(large, large[PART:], PART)
    assert (await session.seal(large)).json()["state"] == "held"


@pytest.mark.parametrize("offset", [len(WHOLE) + 1, 2**53 - 1])
async def test_an_offset_beyond_the_end_is_refused(session: Session, offset: int) -> None:
    await session.declare(WHOLE)
    assert refusal(await session.put(WHOLE, b"", offset)) == (422, "bad_request")


@pytest.mark.parametrize("offset", ["-1", "x", "", str(2**53), "9" * 40])
async def test_an_offset_is_a_number(client: Client, session: Session, offset: str) -> None:
    await session.declare(WHOLE)
    url = f"{session.url}/blobs/{sha256(WHOLE)}?offset={offset}"
    assert refusal(await client.put(url, content=WHOLE)) == (422, "bad_request")


async def test_what_was_not_declared_is_not_taken(session: Session, blobs: FakeBlobs) -> None:
    assert refusal(await session.put(WHOLE)) == (404, "not_found")
    assert refusal(await session.seal(WHOLE)) == (404, "not_found")
    assert not blobs.staging


@pytest.mark.parametrize("digest", ["abc", "A" * 64, "..%2F..%2Fetc", "0" * 65])
async def test_a_blob_is_named_by_its_digest(client: Client, session: Session, digest: str) -> None:
    answer = await client.put(f"{session.url}/blobs/{digest}", content=WHOLE)
    assert refusal(answer) == (422, "bad_digest")


async def test_two_sessions_send_the_same_blob_at_once(
    registry: RegistrySimulator, blobs: FakeBlobs
) -> None:
    clients = [registry.as_(Role.PUBLISHER), registry.as_(Role.CONTRIBUTOR)]
    sessions = [await Session.open(client) for client in clients]
    for one in sessions:
        await one.declare(WHOLE)
    answers = await asyncio.gather(*(one.put(WHOLE) for one in sessions))
    assert [answer.json()["state"] for answer in answers] == ["held", "held"]
    assert list(blobs.blobs.values()) == [WHOLE]


async def test_one_session_sends_the_same_blob_twice_at_once(session: Session) -> None:
    await session.declare(WHOLE)
    answers = await asyncio.gather(*(session.put(WHOLE) for _ in range(4)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert (await session.declare(WHOLE))[0]["state"] == "held"


async def test_two_declarations_at_once_do_not_block_each_other(session: Session) -> None:
    many = [str(number).encode() for number in range(500)]
    await asyncio.gather(session.declare(*many), session.declare(*reversed(many)))


# -- when a port fails ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [("stage", False), ("stage", True), ("seal", False), ("seal", True), ("read", False)],
)
@pytest.mark.parametrize("error", [BlobStoreDown(), DiskFull()])
async def test_a_failing_store_is_said_and_repeating_mends_it(
    session: Session,
    blobs: FakeBlobs,
    fault: tuple[str, bool],
    error: BlobStoreDown | DiskFull,
) -> None:
    (method, persist), client = fault, session.client
    await session.declare(WHOLE)
    first, rest = WHOLE[:100], WHOLE[100:]
    blobs.fail(method, error, persist=persist)
    answers = [
        await session.put(WHOLE, first),
        await session.put(WHOLE, rest, 100),
        await session.seal(WHOLE),
    ]
    failed = [answer for answer in answers if answer.status_code >= 500]
    assert [refusal(answer) for answer in failed] == [(error.status, error.code)]
    if error.status == 503:
        assert "retry-after" in failed[0].headers
    if answers[-1].status_code != 200:
        answer = await register(client, {"model.bin": WHOLE}, upload_id=session.id)
        assert refusal(answer) == (422, "bad_manifest")
    await session.send(WHOLE)
    answer = await register(client, {"model.bin": WHOLE}, upload_id=session.id)
    assert answer.status_code == 201


async def test_a_session_closed_while_it_sends_holds_nothing(
    client: Client, session: Session
) -> None:
    await session.declare(WHOLE)

    async def chunks() -> AsyncIterator[bytes]:
        yield WHOLE[:10]
        assert (await client.delete(session.url)).status_code == 204
        yield WHOLE[10:]

    assert refusal(await session.put(WHOLE, chunks())) == (409, "upload_conflict")
    other = await Session.open(client)
    assert (await other.declare(WHOLE))[0]["state"] == "missing"


# -- sweeping ------------------------------------------------------------------------------------


async def test_the_sweep_closes_what_expired_and_drops_its_bytes(
    client: Client, registry: RegistrySimulator, blobs: FakeBlobs, clock: FixedClock
) -> None:
    old = await Session.open(client)
    await old.declare(WHOLE)
    await old.put(WHOLE, WHOLE[:5])
    clock.advance(dt.timedelta(hours=20))
    young = await Session.open(client)
    await young.declare(WHOLE)
    await young.put(WHOLE, WHOLE[:6])
    clock.advance(dt.timedelta(hours=5))
    assert await jobs.sweep_uploads(registry.deps) == 1
    assert {str(upload) for upload, _ in blobs.staging} == {young.id}
    assert (await client.get(old.url)).json()["state"] == "abandoned"
    assert await jobs.sweep_uploads(registry.deps) == 0
    await young.send(WHOLE)


async def test_the_sweep_drops_bytes_of_sessions_nobody_knows(
    registry: RegistrySimulator, blobs: FakeBlobs, session: Session
) -> None:
    await session.declare(WHOLE)
    await session.put(WHOLE, WHOLE[:5])
    stray = uuid.UUID(int=5)
    (key,) = blobs.staging
    blobs.staging[stray, key[1]] = [(0, b"left by a crash")]
    await jobs.sweep_uploads(registry.deps)
    assert {str(upload) for upload, _ in blobs.staging} == {session.id}


async def test_a_sweep_that_fails_is_finished_by_the_next(
    session: Session,
    registry: RegistrySimulator,
    blobs: FakeBlobs,
    clock: FixedClock,
) -> None:
    await session.declare(WHOLE)
    await session.put(WHOLE, WHOLE[:5])
    clock.advance(dt.timedelta(days=2))
    blobs.fail("discard", BlobStoreDown())
    with pytest.raises(BlobStoreDown):
        await jobs.sweep_uploads(registry.deps)
    await jobs.sweep_uploads(registry.deps)
    assert not blobs.staging


async def test_a_session_is_forgotten_a_week_after_it_was_over(
    client: Client, session: Session, registry: RegistrySimulator, clock: FixedClock
) -> None:
    clock.advance(dt.timedelta(days=9))
    await jobs.sweep_uploads(registry.deps)
    assert refusal(await client.get(session.url)) == (404, "not_found")


# -- together ------------------------------------------------------------------------------------


async def test_many_send_the_same_blobs_into_one_session_at_once(
    db: Database, tmp_path: Path, keys: Keys, clock: FixedClock
) -> None:
    """As two runs of one registration do, which share the session that is remembered for it."""
    store = open_local_blobs(tmp_path / "blobs")
    async with app_client(db, store, keys, clock, OPERATIONS, part_bytes=PART) as simulator:
        session = await Session.open(simulator.as_(Role.PUBLISHER))
        for number in range(12):
            blob = b"the same bytes" * (1 + 40_000 * (number % 2)) + bytes([number])
            await session.declare(blob)
            answers = await asyncio.gather(*(session.put(blob) for _ in range(16)))
            assert {(one.status_code, one.json().get("state")) for one in answers} == {
                (200, "held")
            }, [one.text for one in answers]
            assert await store.size(Digest.parse(sha256(blob))) == len(blob)


# -- how much may be on its way ------------------------------------------------------------------


@pytest.fixture
async def tight(
    db: Database, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[RegistrySimulator]:
    """A registry where a principal may have 100 bytes on their way."""
    async with app_client(db, blobs, keys, clock, OPERATIONS, upload_quota_bytes=100) as simulator:
        yield simulator


async def offer(session: Session, *sizes: int) -> httpx.Response:
    offered = [{"sha256": sha256(b"x" * size), "size_bytes": size} for size in sizes]
    return await session.client.post(f"{session.url}/blobs", json={"blobs": offered})


async def test_what_is_on_its_way_has_a_bound_over_all_sessions(tight: RegistrySimulator) -> None:
    me = tight.as_(Role.PUBLISHER)
    first, second = await Session.open(me), await Session.open(me)
    assert (await offer(first, 60)).status_code == 200
    assert (await offer(first, 60)).status_code == 200, "the same again is not more"
    refused = await offer(second, 41)
    assert refusal(refused) == (413, "quota_exceeded")
    assert (refused.json()["quota_bytes"], refused.json()["declared_bytes"]) == (100, 101)
    assert (await offer(second, 40)).status_code == 200, "what was refused is not counted"
    other = await Session.open(tight.as_(Role.CONTRIBUTOR))
    assert (await offer(other, 100)).status_code == 200
    await me.delete(first.url)
    assert (await offer(second, 60)).status_code == 200
    assert (await second.put(b"x" * 60)).status_code == 200
    assert (await offer(second, 61)).status_code != 200
    assert (await offer(second, 59)).status_code == 200, "what is sent whole is not counted"


async def test_who_declares_much_at_once_gets_no_more(tight: RegistrySimulator) -> None:
    me = tight.as_(Role.PUBLISHER)
    sessions = [await Session.open(me) for _ in range(4)]
    answers = await asyncio.gather(*(offer(one, 60 + n) for n, one in enumerate(sessions)))
    assert sorted(answer.status_code for answer in answers) == [200, 413, 413, 413]
