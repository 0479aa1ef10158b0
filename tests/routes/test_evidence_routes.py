"""Evidence over HTTP: taken whole or not at all, kept byte-exact, shown to who may read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import asyncpg
import pytest

from muniment.server.http.paging import encode_cursor
from muniment.server.http.records import Role, Scope
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.artifacts import House, fine, open_house, sha256
from tests.support.evidence import add, added, evidence_count, sample, sample_json

TREE = {"model.bin": b"weights"}
BOM = sample("cyclonedx-1.7.json")


@pytest.fixture
async def house(
    db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[House]:
    async with open_house(db, blobs, keys, clock, max_evidence_bytes=1 << 20) as opened:
        await opened.sender().registered(TREE)
        yield opened


async def test_an_sbom_is_recorded_with_what_it_says(house: House) -> None:
    sender = house.sender()
    [made] = await added(sender, {"bom.json": BOM})
    assert made["created"] is True
    assert (made["kind"], made["format"], made["assurance"]) == ("sbom", "cyclonedx", "asserted")
    assert made["digest"] == f"sha256:{sha256(BOM)}"
    assert made["tool"] == {"name": "mrg", "version": "1.0.0"}
    assert made["produced_at"] == "2026-02-14T09:05:00Z"
    assert made["summary"] == {"components": 2}
    assert set(made["bound"]) == {"model"}
    assert made["parsed"]["details"]["types"] == {"machine-learning-model": 1, "data": 1}
    url = sender.url(version="1.0.0", rest=f"/evidence/{made['id']}")
    assert (await sender.client.get(f"{url}/file")).content == BOM
    components = fine(await sender.client.get(f"{url}/components"))["items"]
    assert [one["name"] for one in components] == ["fraud-detector", "transactions"]
    assert components[0]["licenses"] == ["Apache-2.0"]
    assert list(components[0]["hashes"]) == ["sha-256"]
    shown = fine(await sender.client.get(url))
    assert shown == {name: value for name, value in made.items() if name != "created"}
    report = await house.check()
    assert report.counts["rows of evidence"] == 1


async def test_the_same_again_is_the_same_evidence(house: House) -> None:
    sender = house.sender()
    [first] = await added(sender, {"bom.json": BOM})
    answer = await add(sender, {"other-name.json": BOM})
    assert answer.status_code == 200
    [again] = answer.json()["items"]
    assert (again["created"], again["id"]) == (False, first["id"])
    without_sending = {"files": [{"name": "bom.json", "sha256": sha256(BOM)}]}
    url = sender.url(version="1.0.0", rest="/evidence")
    assert (
        fine(await sender.client.post(url, json=without_sending))["items"][0]["id"] == first["id"]
    )
    assert await evidence_count(house) == 1


async def test_of_several_files_all_are_recorded_or_none(house: House) -> None:
    wrong = b'{"bomFormat": "CycloneDX", "specVersion": "1.7", "components": [{"name": 1}]}'
    answer = await add(house.sender(), {"a.json": BOM, "b.json": wrong, "c.json": b'{"a": NaN}'})
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "bad_evidence"
    fields = [one["field"] for one in problem["problems"]]
    assert "b.json /components/0/name" in fields
    assert "b.json /components/0" in fields
    assert any(field.startswith("c.json") for field in fields)
    assert await evidence_count(house) == 0


async def test_a_dry_run_reads_all_and_writes_nothing(house: House) -> None:
    [made] = await added(house.sender(), {"bom.json": BOM}, dry_run=True)
    assert (made["created"], made["id"], made["entry_id"]) == (False, None, None)
    assert made["summary"] == {"components": 2}
    assert await evidence_count(house) == 0


async def test_bytes_of_others_cannot_be_had_by_their_digest(house: House) -> None:
    other = house.sender(namespace="other")
    await other.send(BOM)
    body = {"files": [{"name": "bom.json", "sha256": sha256(BOM)}]}
    url = house.sender().url(version="1.0.0", rest="/evidence")
    answer = await house.sender().client.post(url, json=body)
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["message"] == "was not sent"


async def test_a_file_of_the_version_itself_may_be_evidence(house: House) -> None:
    sender = house.sender()
    await sender.registered({"model.bin": b"w", "bom.json": BOM}, "1.1.0")
    body = {"files": [{"name": "bom.json", "sha256": sha256(BOM)}]}
    answer = await sender.client.post(sender.url(version="1.1.0", rest="/evidence"), json=body)
    assert fine(answer)["items"][0]["kind"] == "sbom"


async def test_of_kind_other_any_file_is_kept_unread(house: House) -> None:
    data = bytes(range(256))
    [made] = await added(house.sender(), {"x.bin": data}, kinds={"x.bin": "other"})
    assert (made["kind"], made["format"], made["parsed"]["metrics"]) == ("other", "unknown", [])
    url = house.sender().url(version="1.0.0", rest=f"/evidence/{made['id']}/file")
    answer = await house.sender().client.get(url, headers={"Range": "bytes=10-19"})
    assert (answer.status_code, answer.content) == (206, data[10:20])
    assert "attachment" in answer.headers["content-disposition"]


async def test_a_file_that_is_too_large_is_not_read(house: House) -> None:
    answer = await add(house.sender(), {"big.json": b" " * ((1 << 20) + 1)})
    assert answer.status_code == 422
    assert "at most 1048576 bytes" in answer.json()["problems"][0]["message"]
    [made] = await added(
        house.sender(), {"big.bin": b" " * ((1 << 20) + 1)}, kinds={"big.bin": "other"}
    )
    assert made["size_bytes"] == (1 << 20) + 1


async def test_a_kind_must_be_what_the_file_is(house: House) -> None:
    answer = await add(house.sender(), {"bom.json": BOM}, kinds={"bom.json": "evaluation"})
    assert answer.status_code == 422
    assert "expected evaluation, found sbom" in answer.json()["problems"][0]["message"]


async def test_evidence_of_another_artifact_is_refused(house: House) -> None:
    bom = sample_json("cyclonedx-1.7.json")
    bom["metadata"]["component"]["hashes"] = [{"alg": "SHA-256", "content": "a" * 64}]
    answer = await add(house.sender(), {"bom.json": json.dumps(bom).encode()})
    assert answer.status_code == 422
    assert "neither thing@1.0.0 nor one of its files" in answer.json()["problems"][0]["message"]
    bom["metadata"]["component"]["hashes"][0]["content"] = sha256(b"weights")
    await added(house.sender(), {"bom.json": json.dumps(bom).encode()})


async def test_lists_are_paged_oldest_first_and_by_kind(house: House) -> None:
    sender = house.sender()
    files = {f"{n}.bin": str(n).encode() for n in range(3)}
    await added(sender, files, kinds=dict.fromkeys(files, "other"))
    await added(sender, {"bom.json": BOM})
    url = sender.url(version="1.0.0", rest="/evidence")
    first = fine(await sender.client.get(url, params={"limit": 3}))
    assert [one["file_name"] for one in first["items"]] == ["0.bin", "1.bin", "2.bin"]
    rest = fine(await sender.client.get(url, params={"cursor": first["next_cursor"]}))
    assert [one["file_name"] for one in rest["items"]] == ["bom.json"]
    assert rest["next_cursor"] is None
    only = fine(await sender.client.get(url, params={"kind": "sbom"}))
    assert [one["kind"] for one in only["items"]] == ["sbom"]
    for at in ("2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00"):
        forged = encode_cursor({"at": at, "id": first["items"][0]["id"]})
        assert (await sender.client.get(url, params={"cursor": forged})).status_code == 422
    assert (await sender.client.get(url, params={"cursor": "e30"})).status_code == 422


async def test_evidence_of_an_earlier_version_is_stale_for_a_later_one(house: House) -> None:
    sender = house.sender()
    await added(sender, {"bom.json": BOM})
    await sender.registered({"model.bin": b"new weights"}, "1.1.0")
    url = sender.url(version="1.1.0", rest="/evidence")
    assert fine(await sender.client.get(url))["items"] == []
    [old] = fine(await sender.client.get(url, params={"earlier": True}))["items"]
    assert (old["subject"], old["stale"]) == ("thing@1.0.0", True)
    assert [one["component"] for one in old["changes"]] == ["model"]


async def test_who_may_not_register_may_not_add_and_auditors_read(house: House) -> None:
    [made] = await added(house.sender(), {"bom.json": BOM})
    url = house.sender().url(version="1.0.0", rest="/evidence")
    body = {"files": [{"name": "bom.json", "sha256": sha256(BOM)}]}
    for role in (Role.VIEWER, Role.AUDITOR, Role.APPROVER_SECURITY):
        client = house.registry.as_(role)
        assert (await client.post(url, json=body)).status_code == 403
        assert fine(await client.get(f"{url}/{made['id']}/file") and await client.get(url))["items"]
    elsewhere = house.registry.as_(Role.PUBLISHER, Scope("elsewhere"))
    assert (await elsewhere.post(url, json=body)).status_code == 404
    assert (await elsewhere.get(f"{url}/{made['id']}")).status_code == 404
    contributor = house.registry.as_(Role.CONTRIBUTOR, Scope("default"))
    assert (await contributor.post(url, json=body)).status_code == 200


async def test_what_is_not_there_is_not_found(house: House) -> None:
    client = house.sender().client
    base = house.sender().url(version="1.0.0", rest="/evidence")
    [made] = await added(house.sender(), {"bom.json": BOM})
    await house.sender().registered({"model.bin": b"2"}, "2.0.0")
    other = house.sender().url(version="2.0.0", rest="/evidence")
    for url in (
        f"{base}/nonsense", f"{base}/01a1fc65-6121-7000-8bfb-3651fd695a46",
        f"{other}/{made['id']}", f"{base}/{made['id']}/context",
        house.sender().url(version="9.0.0", rest="/evidence"),
    ):  # fmt: skip
        assert (await client.get(url)).status_code == 404, url


@pytest.mark.parametrize("table", ["evidence", "component", "evidence_component"])
async def test_nothing_of_it_can_be_changed_or_deleted(
    house: House, owner_db: PostgresDatabase, table: str
) -> None:
    await added(house.sender(), {"bom.json": BOM})
    for sql in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
        with pytest.raises(asyncpg.RestrictViolationError):
            async with owner_db.transaction() as tx:
                await tx.execute(sql)


async def test_fsck_sees_what_was_planted_past_the_triggers(
    house: House, owner_db: PostgresDatabase
) -> None:
    [made] = await added(house.sender(), {"bom.json": BOM})
    await house.check()
    async with owner_db.transaction() as tx:
        await tx.execute("ALTER TABLE evidence DISABLE TRIGGER immutable")
        await tx.execute("UPDATE evidence SET flags = '{}', parsed = parsed || ' '")
        await tx.execute("ALTER TABLE evidence ENABLE TRIGGER immutable")
    with pytest.raises(AssertionError, match=made["id"]):
        await house.check()
