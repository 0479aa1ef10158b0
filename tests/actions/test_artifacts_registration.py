"""A registration is whole or not there, whatever fails, however often and by whom it is repeated."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator

import httpx
import pytest

from muniment.core.errors import BlobStoreDown, DiskFull
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.artifacts import MODEL, House, fine, listed, open_house, sha256

TREE = {"model.bin": b"weights", "data/vocab.txt": b"a\nb\n", "copy.bin": b"weights", "none": b""}


@pytest.fixture
async def house(
    db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[House]:
    async with open_house(db, blobs, keys, clock) as opened:
        yield opened


async def test_a_version_says_what_was_registered(house: House) -> None:
    made = await house.sender().registered(
        TREE, metadata={"metrics": {"auc": 0.9}}, description="first", tags={"a": "b"}
    )
    assert made["created"] is True
    assert (made["size_bytes"], made["file_count"]) == (18, 4)
    assert made["formats"] == ["empty", "text"]
    assert made["executable"] is False
    assert made["metrics_at_registration"] == {"auc": 0.9}
    assert (made["description"], made["tags"]) == ("first", {"a": "b"})
    manifest = await house.sender().client.get(
        house.sender().url(version="1.0.0", rest="/manifest")
    )
    assert made["manifest_digest"].removeprefix("sha256:") == sha256(manifest.content)
    assert [file["path"] for file in manifest.json()["files"]] == sorted(TREE)
    report = await house.check()
    assert report.counts["blobs hashed"] == 3


async def test_the_same_again_is_the_same_answer_at_any_time(
    house: House, clock: FixedClock
) -> None:
    sender = house.sender()
    upload_id = await sender.send(*TREE.values())
    metadata = {"metrics": {"auc": 0.9}}
    first = await sender.register(TREE, upload_id=upload_id, metadata=metadata)
    assert first.status_code == 201
    backwards = dict(reversed(TREE.items()))
    for wait, upload in ((0, upload_id), (2, upload_id), (20, None), (0, None)):
        clock.advance(dt.timedelta(days=wait))
        again = await sender.register(backwards, upload_id=upload, metadata=metadata)
        assert again.status_code == 200, again.text
        assert again.json() == {**first.json(), "created": False}
    assert await house.count("SELECT count(*) FROM version") == 1
    assert (
        await house.count("SELECT count(*) FROM ledger_entry WHERE act = 'version.register'") == 1
    )


async def test_the_same_again_asks_nothing_that_was_not_asked_then(house: House) -> None:
    sender = house.sender()
    first = await sender.registered(TREE)
    answer = await sender.register(TREE, require="candidate")
    assert (answer.status_code, answer.json()["entry_id"]) == (200, first["entry_id"])
    answer = await sender.register(TREE, dry_run=True)
    assert (answer.status_code, answer.json()["entry_id"]) == (200, first["entry_id"])
    answer = await sender.register(TREE, description="other words", tags={"x": "y"})
    assert (answer.status_code, answer.json()["description"]) == (200, "")


@pytest.mark.parametrize(
    ("tree", "metadata", "differs"),
    [
        ({**TREE, "model.bin": b"other"}, {}, "manifest"),
        ({"renamed.bin": b"weights"}, {}, "manifest"),
        (TREE, {"metrics": {"auc": 0.9}}, "metadata"),
    ],
)
async def test_another_under_the_same_version_is_refused_with_both_digests(
    house: House, tree: dict[str, bytes], metadata: dict[str, object], differs: str
) -> None:
    sender = house.sender()
    first = await sender.registered(TREE)
    upload_id = await sender.send(*tree.values())
    answer = await sender.register(tree, upload_id=upload_id, metadata=metadata)
    body = answer.json()
    assert (answer.status_code, body["code"]) == (409, "version_conflict")
    assert body["registered"]["manifest"] == first["manifest_digest"]
    assert body["registered"]["metadata"] == first["metadata_digest"]
    other = {"manifest": "metadata", "metadata": "manifest"}[differs]
    assert body["offered"][differs] != body["registered"][differs]
    assert body["offered"][other] == body["registered"][other]
    assert await house.count("SELECT count(*) FROM version") == 1
    assert await house.count("SELECT count(*) FROM manifest") == 1
    await house.check()


async def test_conflicting_bytes_need_not_be_sent_to_be_told(house: House) -> None:
    sender = house.sender()
    await sender.registered(TREE)
    answer = await sender.register({"model.bin": b"never sent"})
    assert (answer.status_code, answer.json()["code"]) == (409, "version_conflict")


async def test_two_versions_may_have_the_same_files(house: House) -> None:
    sender = house.sender()
    first = await sender.registered(TREE)
    second = fine(await sender.register(TREE, "2.0.0"))
    assert second["manifest_digest"] == first["manifest_digest"]
    other = fine(await sender.register(TREE, name="other"))
    assert other["manifest_digest"] == first["manifest_digest"]
    assert await house.count("SELECT count(*) FROM manifest") == 1
    await house.check()


async def test_a_prompt_needs_no_files_and_others_do(house: House) -> None:
    sender = house.sender()
    prompt = {"prompt": {"template": "Say {{x}}.", "variables": [{"name": "x"}]}}
    made = fine(
        await sender.register({}, create_asset={"kind": "prompt", "owner": "ada"}, metadata=prompt)
    )
    assert (made["file_count"], made["size_bytes"], made["formats"]) == (0, 0, [])
    answer = await sender.register({}, name="other")
    assert (answer.status_code, answer.json()["problems"][0]["field"]) == (422, "files")
    await house.check()


async def test_all_that_is_wrong_is_said_at_once_and_nothing_is_written(house: House) -> None:
    sender = house.sender()
    files = [
        {"path": "../x", "sha256": sha256(b"a"), "size_bytes": 1},
        {"path": "ok", "sha256": "short", "size_bytes": -1},
    ]
    body = {
        "version": "1.0.0",
        "files": files,
        "create_asset": MODEL,
        "metadata": {"license": 7},
        "require": "candidate",
    }
    answer = await sender.client.post(sender.url(), json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_manifest")
    fields = [one["field"] for one in answer.json()["problems"]]
    assert fields[:3] == ["files[0].path", "files[1].size_bytes", "files[1].sha256"]
    assert any("license" in field for field in fields)
    assert all(one["message"] for one in answer.json()["problems"])
    for table in ("asset", "version", "manifest"):
        assert await house.count(f"SELECT count(*) FROM {table}") == 0


async def test_files_that_were_not_sent_are_named_by_their_place_in_the_request(
    house: House,
) -> None:
    sender = house.sender()
    upload_id = await sender.send(b"sent")
    tree = {"z-not-sent": b"not sent", "a-sent": b"sent", "b-not-sent": b"nor this"}
    answer = await sender.register(tree, upload_id=upload_id)
    assert answer.status_code == 422
    fields = [one["field"] for one in answer.json()["problems"]]
    assert fields == ["files[0]", "files[2]"]


async def test_an_asset_must_be_there_or_be_described(house: House) -> None:
    sender = house.sender()
    upload_id = await sender.send(b"weights")
    body = {"version": "1.0.0", "files": listed({"a": b"weights"}), "upload_id": upload_id}
    answer = await sender.client.post(sender.url(), json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "create_asset" in answer.json()["detail"]
    answer = await sender.client.post(
        sender.url(), json=body | {"create_asset": {"kind": "model", "owner": ""}}
    )
    assert (answer.status_code, answer.json()["problems"][0]["field"]) == (422, "owner")
    assert await house.count("SELECT count(*) FROM asset") == 0


async def test_a_dry_run_answers_and_writes_nothing(house: House) -> None:
    sender = house.sender()
    answer = await sender.register(TREE, dry_run=True)
    assert answer.status_code == 200, answer.text
    assert answer.json()["created"] is False
    assert answer.json()["number"] == 0
    real = await sender.registered(TREE)
    for key in ("manifest_digest", "metadata_digest", "size_bytes", "file_count"):
        assert answer.json()[key] == real[key]
    assert await house.count("SELECT count(*) FROM version") == 1


async def test_registering_one_version_at_once_makes_one(house: House) -> None:
    sender = house.sender()
    upload_id = await sender.send(*TREE.values())
    answers = await asyncio.gather(*(sender.register(TREE, upload_id=upload_id) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    await house.check()


async def test_registering_other_bytes_at_once_lets_one_win(house: House) -> None:
    sender = house.sender()
    contents = [b"weights %d" % number for number in range(8)]
    upload_id = await sender.send(*contents)
    answers = await asyncio.gather(
        *(sender.register({"model.bin": one}, upload_id=upload_id) for one in contents)
    )
    won = [answer for answer in answers if answer.status_code == 201]
    lost = [answer for answer in answers if answer.status_code != 201]
    assert len(won) == 1
    for answer in lost:
        assert (answer.status_code, answer.json()["code"]) == (409, "version_conflict")
        assert answer.json()["registered"]["manifest"] == won[0].json()["manifest_digest"]
        assert answer.json()["offered"]["manifest"] != won[0].json()["manifest_digest"]
    assert await house.count("SELECT count(*) FROM manifest") == 1
    await house.check()


async def test_registering_versions_at_once_tells_one_story(house: House) -> None:
    sender = house.sender()
    upload_id = await sender.send(*TREE.values())
    answers = await asyncio.gather(
        *(
            sender.register(TREE, f"1.0.{number}", upload_id=upload_id, name=f"thing-{number % 2}")
            for number in range(12)
        )
    )
    assert [answer.status_code for answer in answers] == [201] * 12, answers[0].text
    for name in ("thing-0", "thing-1"):
        numbers = [a.json()["number"] for a in answers if a.json()["name"] == name]
        assert sorted(numbers) == [1, 2, 3, 4, 5, 6]
    assert await house.count("SELECT count(*) FROM manifest") == 1
    assert await house.count("SELECT count(*) FROM asset") == 2
    await house.check()


async def _untouched(house: House, versions: int) -> None:
    """Nothing is half there: as many manifests, entries and assets as versions say."""
    assert await house.count("SELECT count(*) FROM version") == versions
    for table in ("manifest", "asset"):
        assert await house.count(f"SELECT count(*) FROM {table}") == versions
    sql = "SELECT count(*) FROM ledger_entry WHERE act IN ('version.register', 'asset.create')"
    assert await house.count(sql) == 2 * versions


@pytest.mark.parametrize("persisted", [False, True])
async def test_a_registration_that_fails_anywhere_can_be_repeated(
    house: House, persisted: bool
) -> None:
    sender = house.sender()
    upload_id = await sender.send(*TREE.values())
    await house.quiet()
    failures = 0
    while True:
        house.watch.start(failures + 1, persisted=persisted)
        answer = await sender.register(TREE, upload_id=upload_id)
        if answer.status_code < 300:
            break
        assert (answer.status_code, answer.json()["code"]) == (503, "database_down")
        failures += 1
        is_commit = house.watch.writes[-1] == "COMMIT"
        await _untouched(house, 1 if persisted and is_commit else 0)
    house.watch.start()
    assert failures == 5, "asset and two entries; manifest, version and entry; commit"
    assert answer.status_code == (200 if persisted else 201)
    await _untouched(house, 1)
    await house.check()


@pytest.mark.parametrize("persisted", [False, True])
async def test_a_version_of_a_known_asset_is_one_statement(house: House, persisted: bool) -> None:
    sender = house.sender()
    upload_id = await sender.send(*TREE.values())
    fine(await sender.register(TREE, upload_id=upload_id))
    await house.quiet()
    house.watch.start(1, persisted=persisted)
    answer = await sender.register(TREE, "2.0.0", upload_id=upload_id)
    assert (answer.status_code, answer.json()["code"]) == (503, "database_down")
    assert (len(house.watch.reads), len(house.watch.writes)) == (1, 1)
    assert await house.count("SELECT count(*) FROM version") == (2 if persisted else 1)
    again = await sender.register(TREE, "2.0.0", upload_id=upload_id)
    assert again.status_code == (200 if persisted else 201)
    assert again.json()["number"] == 2
    await house.check()


async def test_who_loses_the_next_number_takes_the_one_after(house: House) -> None:
    """More versions of one asset at once than there are connections, all by one statement each."""
    sender = house.sender()
    upload_id = await sender.send(*TREE.values())
    fine(await sender.register(TREE, upload_id=upload_id))
    answers = await asyncio.gather(
        *(sender.register(TREE, f"2.{minor}.0", upload_id=upload_id) for minor in range(20)),
        *(sender.register(TREE, "3.0.0", upload_id=upload_id) for _ in range(3)),
    )
    made = [answer.json() for answer in answers if answer.status_code == 201]
    assert sorted(one["number"] for one in made) == [*range(2, 23)]
    same = {answer.json()["number"] for answer in answers[20:]}
    assert len(same) == 1
    await house.check()  # what was signed is what stands in the tables


@pytest.mark.parametrize("persisted", [False, True])
@pytest.mark.parametrize("error", [BlobStoreDown(), DiskFull()])
async def test_sending_that_fails_at_the_store_can_be_repeated(
    house: House, blobs: FakeBlobs, error: BlobStoreDown, persisted: bool
) -> None:
    sender = house.sender()
    content = b"weights"
    upload_id = await sender.open()
    fine(await sender.declare(upload_id, content))
    for method in ("stage", "seal"):
        blobs.fail(method, error, persist=persisted)
        answer = await sender.put(upload_id, content)
        assert (answer.status_code, answer.json()["code"]) == (error.status, error.code)
        assert "retry-after" in answer.headers
        refused = await sender.register({"model.bin": content}, upload_id=upload_id)
        assert refused.status_code == 422
    blobs.fail("read", error)
    assert (await sender.put(upload_id, content)).status_code == error.status
    assert fine(await sender.put(upload_id, content))["state"] == "held"
    assert fine(await sender.register({"model.bin": content}, upload_id=upload_id))["created"]
    await house.check()


@pytest.mark.parametrize("persisted", [False, True])
async def test_sending_that_fails_at_the_database_can_be_repeated(
    house: House, persisted: bool
) -> None:
    sender = house.sender()
    content = b"weights " * 3
    upload_id = await sender.open()
    await house.quiet()
    for step in ("declare", "put", "put parts"):
        failures = 0
        while True:
            house.watch.start(failures + 1, persisted=persisted)
            answer = await _step(house, step, upload_id, content)
            if answer.is_success:
                break
            assert answer.status_code == 503
            failures += 1
        assert failures or step == "put parts"
        if step == "put":
            assert answer.json()["state"] == "held"
    house.watch.start()
    assert fine(await sender.register({"model.bin": content}, upload_id=upload_id))["created"]
    await house.check()


async def _step(house: House, step: str, upload_id: str, content: bytes) -> httpx.Response:
    sender = house.sender()
    if step == "declare":
        return await sender.declare(upload_id, content, content + b"!")
    if step == "put":
        return await sender.put(upload_id, content)
    other = content + b"!"
    await sender.put(upload_id, other, 0, 5)
    await sender.put(upload_id, other, 5)
    return await sender.seal(upload_id, other)


SPOILED = {
    "another path": "UPDATE manifest SET body = convert_to(replace(convert_from(body, 'UTF8'),"
    " 'model.bin', 'modem.bin'), 'UTF8')",
    "no JSON": "UPDATE manifest SET body = '\\xff'",
    "files": "UPDATE manifest SET file_count = 7",
    "size": "UPDATE manifest SET size_bytes = 7",
    "blob less": "DELETE FROM manifest_blob WHERE digest = (SELECT min(digest) FROM manifest_blob)",
    "blob more": "INSERT INTO manifest_blob SELECT sha256('x'), digest FROM manifest",
    "one more": "INSERT INTO manifest VALUES (sha256('x'), 'x', 1, 1)",
}


@pytest.mark.parametrize("sql", SPOILED.values(), ids=SPOILED)
async def test_tables_that_were_changed_are_found(
    house: House, owner_db: PostgresDatabase, sql: str
) -> None:
    await house.sender().registered(TREE)
    async with owner_db.transaction() as tx:
        await tx.execute("ALTER TABLE manifest DISABLE TRIGGER USER")
        await tx.execute("ALTER TABLE manifest_blob DISABLE TRIGGER USER")
        await tx.execute(sql)
    with pytest.raises(AssertionError, match="manifest"):
        await house.check()


async def test_manifests_cannot_be_changed(house: House, owner_db: PostgresDatabase) -> None:
    await house.sender().registered(TREE)
    for sql in (SPOILED["files"], SPOILED["blob less"], "TRUNCATE manifest CASCADE"):
        with pytest.raises(Exception, match="never change"):
            async with owner_db.transaction() as tx:
                await tx.execute(sql)


async def test_a_blob_that_was_lost_or_changed_is_found(house: House, blobs: FakeBlobs) -> None:
    await house.sender().registered(TREE)
    (digest,) = (digest for digest, data in blobs.blobs.items() if data == b"weights")
    blobs.blobs[digest] = b"weightz"
    with pytest.raises(AssertionError, match=r"model\.bin|copy\.bin"):
        await house.check()
    del blobs.blobs[digest]
    with pytest.raises(AssertionError, match=r"model\.bin|copy\.bin"):
        await house.check()


async def test_a_small_registration_is_few_statements(house: House) -> None:
    sender = house.sender()
    await sender.registered(TREE)
    await house.quiet()
    house.watch.start()
    fine(await sender.register(TREE, "2.0.0"))
    assert len(house.watch.reads) == 1, house.watch.reads
    assert len(house.watch.writes) == 1, house.watch.writes
    house.watch.start()
    fine(await sender.register(TREE, "2.0.0"))
    assert len(house.watch.reads) == 2, house.watch.reads
    assert not house.watch.writes
