"""What is known to be wrong with what versions contain, over HTTP: found, recorded, judged."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from muniment.server.http.records import Role, Scope
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.artifacts import House, Sender, fine, open_house, sha256
from tests.support.evidence import added
from tests.support.policies import bare
from tests.support.vulnerabilities import KEV, imported, made, records, sbom, work

PYPI = records("GHSA-j7hp-h8jx-5ppr", "PYSEC-2023-175", "PYSEC-2023-74", "GHSA-53q9-r3pm-6pq6")
PILLOW, TORCH = "pkg:pypi/Pillow@9.5.0", "pkg:pypi/torch@2.5.1+cu124"
BOM = sbom(PILLOW, "pkg:pypi/requests@2.32.0", TORCH, "pkg:npm/left-pad@1.0.0", "nameless")


@pytest.fixture
async def house(
    db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock, tmp_path: object
) -> AsyncIterator[House]:
    async with open_house(db, blobs, keys, clock, first=bare(), data_dir=tmp_path) as opened:
        await opened.sender().registered({"model.bin": b"weights"})
        yield opened


async def vulns(house: House, version: str = "1.0.0", **query: Any) -> Any:
    sender = house.sender(Role.VIEWER)
    url = sender.url(version=version, rest="/vulnerabilities")
    return fine(await sender.client.get(url, params=query))


def security(house: House) -> Sender:
    return house.sender(Role.APPROVER_SECURITY)


async def add_vex(house: House, document: Any, **more: Any) -> Any:
    sender = security(house)
    text = document if isinstance(document, str) else json.dumps(document)
    body = {"name": "vex.json", "document": text, **more}
    return await sender.client.post(sender.url(version="1.0.0", rest="/vex"), json=body)


def openvex(*statements: dict[str, Any]) -> dict[str, Any]:
    return {
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.com/vex-1",
        "author": "Security team", "timestamp": "2026-11-20T00:00:00Z", "version": 1,
        "statements": list(statements),
    }  # fmt: skip


def unaffected(name: str = "CVE-2023-4863", **more: Any) -> dict[str, Any]:
    return {
        "vulnerability": {"name": name}, "status": "not_affected",
        "justification": "vulnerable_code_not_in_execute_path", **more,
    }  # fmt: skip


async def results(house: House) -> list[dict[str, Any]]:
    sender = house.sender(Role.VIEWER)
    url = sender.url(version="1.0.0", rest="/evidence")
    items = fine(await sender.client.get(url, params={"kind": "vulnerabilities"}))["items"]
    return [fine(await sender.client.get(f"{url}/{one['id']}")) for one in items]


async def test_what_is_known_of_a_version(house: House) -> None:
    assert (await vulns(house))["state"] == "no_sbom"
    await added(house.sender(), {"bom.json": BOM})
    assert (await vulns(house))["state"] == "no_database"
    await imported(house, PYPI)
    await imported(house, KEV, "KEV")
    found = await vulns(house)
    assert found["state"] == "open"
    webp, torch = found["items"]
    assert webp["name"] == "CVE-2023-4863"
    assert webp["names"] == ["CVE-2023-4863", "GHSA-j7hp-h8jx-5ppr", "PYSEC-2023-175"]
    assert webp["advisories"] == ["GHSA-j7hp-h8jx-5ppr", "PYSEC-2023-175"]
    assert (webp["package"], webp["version"]) == ("pkg:pypi/pillow", "9.5.0")
    assert (webp["severity"], webp["score"], webp["outcome"]) == ("high", 8.8, "affected")
    assert webp["exploited"] == {
        "added_on": "2023-09-13", "due_on": "2023-10-04", "ransomware": False,
    }  # fmt: skip
    assert webp["fixed_in"] == ["10.0.1"]
    assert (torch["name"], torch["severity"], torch["score"]) == ("CVE-2025-32434", "critical", 9.3)
    assert found["components"] == {"total": 5, "unidentified": 1, "uncovered": {"npm": 1}}
    assert found["counts"] == {
        "open": {"critical": 1, "high": 1}, "found": {"critical": 1, "high": 1},
        "undecided": 0, "exploited": 1, "resolved": 0,
    }  # fmt: skip
    assert [one["ecosystem"] for one in found["databases"]] == ["KEV", "PyPI"]
    first = await vulns(house, limit=1)
    assert [one["name"] for one in first["items"]] == ["CVE-2023-4863"]
    rest = await vulns(house, limit=1, cursor=first["next_cursor"])
    assert [one["name"] for one in rest["items"]] == ["CVE-2025-32434"]
    assert rest["next_cursor"] is None
    await house.check()


async def test_results_are_evidence_and_change_with_the_database(house: House) -> None:
    await imported(house, PYPI)
    await added(house.sender(), {"bom.json": BOM})
    await work(house)
    [first] = await results(house)
    assert (first["assurance"], first["signer"]) == ("verified", "this registry")
    details = first["parsed"]["details"]
    assert details["severities"] == {"critical": 1, "high": 1}
    assert details["exploited"] == []
    assert list(details["databases"]) == ["PyPI"]
    sender = house.sender()
    url = sender.url(version="1.0.0", rest=f"/evidence/{first['id']}")
    assert fine(await sender.client.get(f"{url}/reparse"))["same"] is True
    # Another snapshot that says nothing else of it: what was found still is.
    await imported(house, [*PYPI, made("PYSEC-1-1", "other", fixed="2.0")])
    assert len(await results(house)) == 1
    # One that says more, and one that says less.
    await imported(house, [*PYPI, made("PYSEC-1-2", "requests", fixed="3.0")])
    await imported(house, KEV, "KEV")
    now = (await results(house))[-1]["parsed"]["details"]
    assert now["severities"] == {"critical": 1, "high": 1, "unknown": 1}
    assert now["exploited"] == ["CVE-2023-4863"]
    assert await house.count("SELECT count(*) FROM vulnerability_matching") == 4
    sql = "SELECT changed_count::int FROM vulnerability_matching ORDER BY id DESC LIMIT 1"
    assert await house.count(sql) == 1
    await house.check()


async def test_matching_all_comes_to_what_matching_one_comes_to(house: House) -> None:
    await imported(house, PYPI)
    await house.sender().registered({"model.bin": b"weights"}, "2.0.0")
    again = sbom(PILLOW, "pkg:pypi/pillow@9.5.0", "pkg:pypi/pillow", "pkg:npm/a_b@1", "x")
    model = {"type": "machine-learning-model", "bom-ref": "m", "name": "m"}
    both = json.loads(again)
    both["components"].append(model)
    await added(house.sender(), {"a.json": json.dumps(both).encode(), "b.json": BOM})
    await added(house.sender(), {"c.json": sbom("left")}, version="2.0.0")
    await work(house)
    before = await house.count("SELECT count(*) FROM evidence WHERE kind = 'vulnerabilities'")
    await imported(house, PYPI, dated_at="2026-11-01T00:00:00Z")
    kept = await house.count("SELECT count(*) FROM evidence WHERE kind = 'vulnerabilities'")
    assert kept == before
    async with house.db.transaction(read_only=True) as tx:
        [row] = await tx.fetch(
            "SELECT subject_count, changed_count FROM vulnerability_matching ORDER BY id DESC LIMIT 1"
        )
    assert tuple(row) == (2, 0)


async def test_a_statement_closes_a_finding_until_it_ends(house: House, clock: FixedClock) -> None:
    await imported(house, PYPI)
    await added(house.sender(), {"bom.json": BOM})
    answer = await add_vex(house, openvex(unaffected()))
    assert answer.status_code == 201
    given = answer.json()
    assert given["expires_at"] == "2027-02-19T12:00:00Z"
    assert given["items"][0]["about"] == ["CVE-2023-4863 pkg:pypi/pillow"]
    found = await vulns(house)
    [closed] = [one for one in found["items"] if not one["open"]]
    assert closed["vex"]["status"] == "not_affected"
    assert closed["vex"]["author"] == "Security team"
    assert closed["vex"]["added_by"]["kind"] == "person"
    assert found["counts"]["open"] == {"critical": 1}
    assert found["counts"]["found"] == {"critical": 1, "high": 1}
    assert found["counts"]["resolved"] == 1
    assert [one["name"] for one in (await vulns(house, open=True))["items"]] == ["CVE-2025-32434"]
    # The same document again is the same statement; the evidence is the file, byte for byte.
    again = await add_vex(house, openvex(unaffected()))
    assert (again.status_code, again.json()["created"]) == (200, False)
    sender = house.sender()
    url = sender.url(version="1.0.0", rest=f"/evidence/{given['evidence_id']}/file")
    assert json.loads((await sender.client.get(url)).content) == openvex(unaffected())
    # It may be said for another time; what is over does nothing.
    soon = (clock.now() + dt.timedelta(days=2)).isoformat()
    assert (await add_vex(house, openvex(unaffected()), expires_at=soon)).status_code == 201
    clock.advance(dt.timedelta(days=2))
    found = await vulns(house)
    assert found["counts"]["open"] == {"critical": 1, "high": 1}
    [over] = [one for one in found["items"] if one["expired_vex"]]
    assert (over["open"], over["vex"]) == (True, None)
    listed = sender.url(version="1.0.0", rest="/vex")
    [one] = fine(await sender.client.get(listed))["items"]
    assert (one["holds"], one["about"]) == (False, ["CVE-2023-4863 pkg:pypi/pillow"])
    await house.check()


async def test_the_last_statement_decides(house: House, clock: FixedClock) -> None:
    await imported(house, PYPI)
    await added(house.sender(), {"bom.json": BOM})
    await add_vex(house, openvex(unaffected()))
    clock.advance(dt.timedelta(hours=1))
    affected = {
        "vulnerability": "CVE-2023-4863",
        "status": "affected",
        "action_statement": "Update",
    }
    fine(await add_vex(house, openvex(affected)))
    found = await vulns(house)
    [webp] = [one for one in found["items"] if one["name"] == "CVE-2023-4863"]
    assert (webp["open"], webp["vex"]["status"], webp["vex"]["detail"]) == (
        True,
        "affected",
        "Update",
    )


async def test_statements_are_about_what_they_name(house: House) -> None:
    await imported(house, PYPI)
    await added(house.sender(), {"bom.json": BOM})
    other = unaffected(products=[{"@id": "pkg:pypi/pillow@9.4.0"}])
    assert fine(await add_vex(house, openvex(other)))["items"][0]["about"] == []
    stranger = unaffected("CVE-2025-32434", products=[{"@id": "https://example.com/else"}])
    assert fine(await add_vex(house, openvex(stranger)))["items"][0]["about"] == []
    assert (await vulns(house))["counts"]["resolved"] == 0
    mine = unaffected(
        "GHSA-53q9-r3pm-6pq6",
        products=[{"@id": "thing@1.0.0", "subcomponents": [{"@id": "pkg:pypi/torch"}]}],
    )
    dry = fine(await add_vex(house, openvex(mine), dry_run=True))
    assert (dry["evidence_id"], dry["items"][0]["about"]) == (
        None,
        ["CVE-2025-32434 pkg:pypi/torch"],
    )
    assert (await vulns(house))["counts"]["resolved"] == 0
    fine(await add_vex(house, openvex(mine)))
    assert (await vulns(house))["counts"]["resolved"] == 1


async def test_cyclonedx_says_it_too(house: House) -> None:
    await imported(house, PYPI)
    await added(house.sender(), {"bom.json": BOM})
    vex = {
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": {"authors": [{"name": "Vendor"}], "component": {"bom-ref": "us", "name": "thing", "type": "application"}},
        "vulnerabilities": [
            {"id": "CVE-2023-4863", "analysis": {"state": "not_affected", "justification": "code_not_reachable"},
             "affects": [{"ref": "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#pkg:pypi/pillow@9.5.0"}]},
            {"id": "CVE-2025-32434", "analysis": {"state": "resolved", "detail": "patched"}, "affects": [{"ref": "us"}]},
        ],
    }  # fmt: skip
    given = fine(await add_vex(house, vex))
    assert [one["author"] for one in given["items"]] == ["Vendor", "Vendor"]
    assert (await vulns(house))["state"] == "none_open"


async def test_bad_statements_are_refused(house: House, clock: FixedClock) -> None:
    unreasoned = {"vulnerability": {"name": "CVE-1"}, "status": "not_affected"}
    excused = unreasoned | {"impact_statement": "we think it is fine"}
    sbom_too = json.loads(BOM) | {"vulnerabilities": [{"id": "CVE-1"}]}
    cases: list[tuple[Any, str]] = [
        (openvex(unreasoned), "vex.json $.statements[0].justification"),
        (openvex(unaffected(), excused), "vex.json $.statements[1].justification"),
        (openvex(), "vex.json $.statements"),
        (sbom_too, "vex.json"),
        ("{ ", "vex.json line 1 column 3"),
        ('{"a": 1, "a": 2}', "vex.json line 1 column 10"),
        ({"hello": "world"}, "vex.json"),
    ]
    for document, field in cases:
        answer = await add_vex(house, document)
        assert answer.status_code == 422, answer.text
        assert answer.json()["problems"][0]["field"].startswith(field.partition(" line")[0])
    for away in (dt.timedelta(0), dt.timedelta(days=367)):
        at = (clock.now() + away).isoformat()
        answer = await add_vex(house, openvex(unaffected()), expires_at=at)
        assert answer.json()["problems"][0]["field"] == "expires_at"
    assert await house.count("SELECT count(*) FROM evidence WHERE kind = 'vex'") == 0


async def test_who_asks_for_a_version_does_not_excuse_it(house: House) -> None:
    for role in (Role.CONTRIBUTOR, Role.PUBLISHER, Role.APPROVER_PRODUCT):
        sender = house.sender(role)
        body = {"name": "vex.json", "document": json.dumps(openvex(unaffected()))}
        url = sender.url(version="1.0.0", rest="/vex")
        assert (await sender.client.post(url, json=body)).status_code == 403


async def test_all_versions_that_one_may_see(house: House) -> None:
    await imported(house, PYPI)
    await added(house.sender(), {"bom.json": BOM})
    await house.sender(namespace="team").registered({"model.bin": b"other"})
    await house.sender().registered({"model.bin": b"weights"}, "2.0.0")
    everywhere = house.registry.as_(Role.VIEWER)
    url = "/api/v1/vulnerabilities"
    items = fine(await everywhere.get(url))["items"]
    assert [(one["version"], one["state"]) for one in items] == [
        ("thing@2.0.0", "no_sbom"), ("team/thing@1.0.0", "no_sbom"), ("thing@1.0.0", "open"),
    ]  # fmt: skip
    assert items[-1]["counts"]["open"] == {"critical": 1, "high": 1}
    first = fine(await everywhere.get(url, params={"limit": 2}))
    rest = fine(await everywhere.get(url, params={"limit": 2, "cursor": first["next_cursor"]}))
    assert [*first["items"], *rest["items"]] == items
    only = fine(await everywhere.get(url, params={"with_sbom": True}))["items"]
    assert [one["version"] for one in only] == ["thing@1.0.0"]
    team = house.registry.as_(Role.VIEWER, Scope("team"))
    assert [one["version"] for one in fine(await team.get(url))["items"]] == ["team/thing@1.0.0"]
    one = house.registry.as_(Role.VIEWER, Scope("default", "thing"))
    assert len(fine(await one.get(url))["items"]) == 2
    spaced = fine(await everywhere.get(url, params={"namespace": "team"}))["items"]
    assert [one["version"] for one in spaced] == ["team/thing@1.0.0"]


async def asked(house: House, what: str, *, client: Any = None, **query: Any) -> Any:
    client = client or house.registry.as_(Role.VIEWER)
    return fine(await client.get("/api/v1/impact", params={"what": what, **query}))


async def test_what_contains_a_vulnerability_or_a_package(house: House) -> None:
    assert (await asked(house, "CVE-2023-4863"))["known"] is False
    await imported(house, PYPI)
    await added(house.sender(), {"bom.json": BOM})
    team = house.sender(namespace="team")
    await team.registered({"model.bin": b"other"})
    [bom] = await added(team, {"sbom.json": sbom("pkg:pypi/pillow@9.4.0", "pkg:pypi/x@1")})
    for name in ("CVE-2023-4863", "GHSA-j7hp-h8jx-5ppr", "PYSEC-2023-175"):
        found = await asked(house, name)
        assert (found["about"], found["version_count"]) == ("vulnerability", 2)
        assert found["names"] == ["CVE-2023-4863", "GHSA-j7hp-h8jx-5ppr", "PYSEC-2023-175"]
        assert [one["version"] for one in found["items"]] == ["team/thing@1.0.0", "thing@1.0.0"]
        assert [one["open"] for one in found["items"]] == [True, True]
    assert found["items"][0]["paths"] == [[
        {"kind": "sbom", "name": "sbom.json", "id": bom["id"]},
        {"kind": "component", "name": "pkg:pypi/pillow@9.4.0", "id": "pkg:pypi/pillow@9.4.0"},
        {"kind": "vulnerability", "name": "CVE-2023-4863", "id": ""},
    ]]  # fmt: skip
    first = await asked(house, "CVE-2023-4863", limit=1)
    rest = await asked(house, "CVE-2023-4863", limit=1, cursor=first["next_cursor"])
    assert [*first["items"], *rest["items"]] == found["items"]
    only = house.registry.as_(Role.VIEWER, Scope("team"))
    seen = await asked(house, "CVE-2023-4863", client=only)
    assert (seen["version_count"], [one["version"] for one in seen["items"]]) == (
        1,
        ["team/thing@1.0.0"],
    )
    fine(await add_vex(house, openvex(unaffected())))
    found = await asked(house, "CVE-2023-4863")
    assert [one["open"] for one in found["items"]] == [True, False]
    # Known, and in nothing.
    found = await asked(house, "CVE-2023-32681")
    assert (found["known"], found["version_count"]) == (True, 0)
    every = await asked(house, "pkg:pypi/PILLOW")
    assert (every["about"], every["version_count"]) == ("package", 2)
    one = await asked(house, "pkg:pypi/pillow@9.4.0")
    assert [each["version"] for each in one["items"]] == ["team/thing@1.0.0"]
    bad = await house.registry.as_(Role.VIEWER).get("/api/v1/impact", params={"what": "pkg:x"})
    assert bad.status_code == 422


async def test_what_has_a_file_or_was_made_of_something(house: House) -> None:
    digest = "sha256:" + "ab" * 32
    sender = house.sender()
    data = {"name": "transactions", "version": "2026-01", "digest": digest}
    metadata = {
        "training_datasets": [data],
        "base_models": [{"name": "bert", "digest": "sha256:" + "cd" * 32}],
    }
    await sender.registered({"a.bin": b"weights", "b.bin": b"weights"}, "2.0.0", metadata=metadata)
    alias = await sender.client.put(
        "/api/v1/assets/default/thing/aliases/chosen", json={"version": "2.0.0"}
    )
    fine(alias)
    found = await asked(house, sha256(b"weights"))
    assert found["about"] == "digest"
    paths = [(one["version"], [path[0]["name"] for path in one["paths"]]) for one in found["items"]]
    assert paths == [("thing@2.0.0", ["a.bin", "b.bin"]), ("thing@1.0.0", ["model.bin"])]
    assert found["items"][0]["aliases"] == ["chosen"]
    for what in ("transactions", "dataset:transactions@2026-01", digest, "bert", "cd" * 32):
        found = await asked(house, what)
        assert [one["version"] for one in found["items"]] == ["thing@2.0.0"], what
        assert found["items"][0]["paths"][0][0]["kind"] in ("dataset", "base_model")
    version = fine(await sender.client.get(sender.url(version="1.0.0")))
    found = await asked(house, version["manifest_digest"])
    assert found["items"][0]["paths"][0][0]["kind"] == "manifest"
    [bom] = await added(sender, {"bom.json": BOM})
    found = await asked(house, bom["digest"])
    assert found["items"][0]["paths"] == [
        [{"kind": "evidence", "name": "bom.json", "id": bom["digest"]}]
    ]
    assert (await asked(house, "nothing-of-that-name"))["known"] is False
    other = house.registry.as_(Role.VIEWER, Scope("elsewhere"))
    for what in (sha256(b"weights"), "transactions", bom["digest"], "pkg:pypi/pillow"):
        hidden = await asked(house, what, client=other)
        assert (hidden["known"], hidden["version_count"], hidden["items"]) == (False, 0, []), what


async def test_where_it_is_deployed(house: House) -> None:
    admin = house.registry.as_(Role.ADMIN)
    body = {"namespace": "watched", "mode": "observe"}
    fine(await admin.post("/api/v1/namespaces", json=body))
    sender = house.sender(namespace="watched")
    await sender.registered({"c.bin": b"weights"})
    url = sender.url(version="1.0.0", rest="/promote")
    fine(await sender.client.post(url, json={"environment": "staging", "reason": "try"}))
    found = await asked(house, sha256(b"weights"))
    assert (found["version_count"], found["deployment_count"], found["consumer_count"]) == (2, 1, 0)
    uses = {"system": "checkout", "endpoint": "batch:nightly", "use_case": "scoring"}
    bind = url.partition("/versions/")[0] + "/consumers"
    for system in ("checkout", "billing"):
        fine(await admin.post(bind, json={**uses, "system": system, "environment": "staging"}))
    found = await asked(house, sha256(b"weights"))
    assert (found["consumer_count"], found["items"][0]["consumer_count"]) == (2, 2)
    named = [one["system"] for one in found["items"][0]["consumers"]]
    assert (named, found["items"][1]["consumers"]) == (["checkout", "billing"], [])
    [place] = found["items"][0]["deployments"]
    assert (place["environment"], place["mode"]) == ("staging", "full")
