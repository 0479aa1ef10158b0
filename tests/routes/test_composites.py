"""Composites over HTTP: registered once, shown, listed, proved; evidence of them; impact finds them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from muniment.core.composite import SCHEMA, cvi, verify_component
from muniment.core.digest import Digest
from muniment.server.http.records import Grant, Role, Scope
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.artifacts import House, fine, open_house, sha256
from tests.support.signing import bundle_by, p256, provenance_of

URL = "/api/v1/composites"
DATA = "d" * 64
REST = [
    {"kind": kind, "name": "-", "status": "not-applicable", "reason": "none"}
    for kind in ("code", "adapter", "prompt", "config", "env")
]
TX = {"kind": "data", "name": "tx", "digest": {"sha256": DATA}}
BOM = {
    "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
    "components": [{"type": "library", "name": "requests", "version": "2.0", "purl": "pkg:pypi/requests@2.0"}],
}  # fmt: skip


@pytest.fixture
async def house(
    db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[House]:
    async with open_house(db, blobs, keys, clock) as opened:
        yield opened


async def made(house: House, name: str, *, space: str = "default") -> Any:
    sender = house.sender(namespace=space)
    return await sender.registered({"model.bin": f"{space} {name}".encode()}, name=name)


def body(*components: Any, **more: Any) -> dict[str, Any]:
    return {"system": "fraud", "components": [*components, *REST], **more}


async def test_what_runs_together_has_one_identifier(house: House) -> None:
    model = await made(house, "fraud")
    client = house.registry.as_(Role.PUBLISHER, Scope("default"))
    asked = body({"pin": "fraud@1"}, TX)
    dry = fine(await client.post(URL, json=asked | {"dry_run": True}))
    assert (dry["entry_id"], dry["registered_at"]) == (None, None)
    assert fine(await client.get(URL))["items"] == []
    first = await client.post(URL, json=asked)
    assert first.status_code == 201
    one = first.json()
    assert one["cvi"] == dry["cvi"] == cvi(one["manifest"])
    assert one["manifest"]["schema"] == SCHEMA
    [here] = [each for each in one["components"] if each["versions"]]
    assert here["versions"] == ["fraud@1.0.0"]
    assert here["record"]["digest"] == {"sha256": model["manifest_digest"][7:]}
    again = await client.post(URL, json=asked | {"components": asked["components"][::-1]})
    assert (again.status_code, again.json()["entry_id"]) == (200, one["entry_id"])
    assert fine(await client.get(f"{URL}/{one['cvi']}")) == one | {"created": None}
    proof = fine(
        await client.get(f"{URL}/{one['cvi']}/proof", params={"kind": "data", "name": "tx"})
    )
    assert verify_component(one["cvi"], proof) == TX
    missing = await client.get(f"{URL}/{one['cvi']}/proof", params={"kind": "data", "name": "?"})
    assert missing.status_code == 422
    second = fine(await client.post(URL, json=body({"pin": "fraud@1"}, TX, system="other")))
    for query, expected in (
        ({}, [second, one]), ({"system": "fraud"}, [one]), ({"namespace": "team"}, []),
        ({"contains": "fraud@1.0.0"}, [second, one]), ({"contains": f"sha256:{DATA}"}, [second, one]),
        ({"contains": DATA}, [second, one]), ({"contains": "e" * 64}, []),
    ):  # fmt: skip
        found = fine(await client.get(URL, params=query))["items"]
        assert [each["cvi"] for each in found] == [each["cvi"] for each in expected], query
    page = fine(await client.get(URL, params={"limit": 1}))
    rest = fine(await client.get(URL, params={"limit": 1, "cursor": page["next_cursor"]}))
    assert [each["cvi"] for each in rest["items"]] == [one["cvi"]]
    await house.check()


async def test_what_is_wrong_is_said_at_once_and_nothing_is_kept(house: House) -> None:
    await made(house, "fraud")
    client = house.registry.as_(Role.PUBLISHER, Scope("default"))
    answer = await client.post(URL, json=body({"pin": "gone@1.0.0"}, {"pin": "gone@2.0.0"}))
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["problems"]] == [
        "components[0]",
        "components[1]",
    ]
    for wrong in (
        {"system": "x", "components": []}, body(TX, TX), body({**TX, "weight": 0.5}), body(TX, system=""),
        body({"pin": "nothing"}), body(TX, extra=1),
    ):  # fmt: skip
        assert (await client.post(URL, json=wrong)).status_code == 422, wrong
    admin = house.registry.as_(Role.ADMIN)
    nowhere = await admin.post(URL, json=body(TX, {"pin": "m@1.0.0"}, namespace="nowhere"))
    assert nowhere.status_code == 404
    assert (await client.get(f"{URL}/cvi1-{'a' * 52}")).status_code == 404
    assert (await client.get(URL, params={"contains": "gone@1.0.0"})).status_code == 404
    assert await house.count("SELECT count(*) FROM composite") == 0


async def test_whose_it_is(house: House) -> None:
    await made(house, "fraud")
    await made(house, "secret", space="team")
    client = house.registry.as_(Role.PUBLISHER, Scope("default"))
    hidden = await client.post(URL, json=body({"pin": "team/secret@1.0.0"}, TX))
    assert hidden.status_code == 422
    team = house.registry.as_(Role.PUBLISHER, Scope("team"))
    one = fine(await team.post(URL, json=body({"pin": "team/secret@1.0.0"}, TX, namespace="team")))
    assert (await client.get(f"{URL}/{one['cvi']}")).status_code == 404
    assert (await client.get(f"{URL}/{one['cvi']}/evidence")).status_code == 404
    assert fine(await client.get(URL))["items"] == []
    assert (await client.post(URL, json=body(TX, namespace="team"))).status_code == 404
    same = [one_["record"] for one_ in one["components"]]
    taken = await client.post(URL, json={"system": "fraud", "components": same})
    assert taken.status_code == 409
    viewer = house.registry.as_(Role.VIEWER, Scope("default"))
    assert (await viewer.post(URL, json=body({"pin": "fraud@1.0.0"}, TX))).status_code == 403


async def test_who_builds_every_member_builds_the_whole(house: House) -> None:
    for name, space in (("fraud", "default"), ("words", "default"), ("shared", "other")):
        await made(house, name, space=space)
    registry = house.registry

    def grants(role: Role, *names: str) -> list[Grant]:
        spaces = {"shared": "other"}
        return [Grant(role, Scope(spaces.get(name, "default"), name)) for name in names]

    builder = registry.with_grants(*grants(Role.PUBLISHER, "fraud", "words"))
    nothing = {**TX, "kind": "model", "name": "w"}
    assert (
        await builder.post(URL, json=body({"pin": "fraud@1"}, {"pin": "other/shared@1"}, TX))
    ).status_code == 422
    assert (await builder.post(URL, json=body(nothing, TX))).status_code == 404, "pins nothing"
    one = fine(await builder.post(URL, json=body({"pin": "fraud@1"}, {"pin": "words@1"}, TX)))
    at = f"{URL}/{one['cvi']}"
    assert fine(await builder.get(at))["cvi"] == one["cvi"]
    kept = await builder.post(f"{at}/gates", json={})
    assert "plan" in kept.json()["detail"], "it may, and nobody wrote one"
    for who in (
        grants(Role.PUBLISHER, "fraud"),
        grants(Role.VIEWER, "fraud", "words"),
        [*grants(Role.VIEWER, "fraud"), *grants(Role.PUBLISHER, "words")],
    ):
        assert (await registry.with_grants(*who).get(at)).status_code == 404, who
    attester = registry.with_grants(*grants(Role.ATTESTER, "fraud", "words"))
    assert (await attester.get(at)).status_code == 200
    again = {"environment": "staging"}
    assert (await attester.post(f"{at}/promote", json=again)).status_code == 403
    # Who builds what others use does not see into theirs.
    theirs = body({"pin": "other/shared@1"}, TX)
    other = fine(await registry.as_(Role.PUBLISHER).post(URL, json=theirs))["cvi"]
    shared = registry.with_grants(*grants(Role.PUBLISHER, "shared"))
    assert (await shared.get(f"{URL}/{other}")).status_code == 404


async def test_evidence_of_a_composite_and_what_contains_what(house: House) -> None:
    await made(house, "fraud")
    sender = house.sender()
    one = fine(await sender.client.post(URL, json=body({"pin": "fraud@1.0.0"}, TX)))
    url = f"{URL}/{one['cvi']}/evidence"
    bom = json.dumps(BOM).encode()
    upload_id = await sender.send(bom)
    request = {"files": [{"name": "bom.json", "sha256": sha256(bom)}], "upload_id": upload_id}
    [dry] = fine(await sender.client.post(url, json=request | {"dry_run": True}))["items"]
    assert dry["id"] is None
    answer = await sender.client.post(url, json=request)
    assert answer.status_code == 201
    [added] = answer.json()["items"]
    assert (added["subject"], added["kind"]) == ("fraud", "sbom")
    assert added["bound"].keys() == {"model:fraud"}
    viewer = house.registry.as_(Role.VIEWER, Scope("default"))
    items = fine(await viewer.get(url))["items"]
    assert [(each["id"], each["stale"]) for each in items] == [(added["id"], False)]
    assert fine(await viewer.get(url, params={"kind": "evaluation"}))["items"] == []
    shown = fine(await viewer.get(f"{url}/{added['id']}"))
    assert shown["parsed"]["components"]["count"] == 1
    assert (await viewer.get(f"{url}/{added['id']}/file")).content == bom
    assert (await viewer.get(f"{url}/{one['entry_id']}")).status_code == 404
    assert (await viewer.post(url, json=request)).status_code == 403
    version = fine(await viewer.get(sender.url("fraud", "1.0.0")))
    about = Digest.parse(version["manifest_digest"])
    proof = json.dumps(bundle_by(provenance_of(about), p256(2))).encode()
    sent = await sender.send(proof)
    signed = {"files": [{"name": "p.json", "sha256": sha256(proof)}], "upload_id": sent}
    [said] = fine(await sender.client.post(url, json=signed))["items"]
    assert (said["kind"], said["assurance"]) == ("provenance", "asserted")
    assert "of versions" in said["assurance_reason"]

    async def impact(what: str, client: Any = viewer) -> Any:
        return fine(await client.get("/api/v1/impact", params={"what": what}))

    package = await impact("pkg:pypi/requests")
    [found] = package["composites"]
    assert (found["cvi"], package["known"], package["items"]) == (one["cvi"], True, [])
    assert [[step["kind"] for step in path] for path in found["paths"]] == [["sbom", "component"]]
    by_data = await impact(f"sha256:{DATA}")
    assert [[step["name"] for step in path] for path in by_data["composites"][0]["paths"]] == [
        ["tx"]
    ]
    whole = await impact(version["manifest_digest"])
    [found] = whole["composites"]
    assert {tuple(step["kind"] for step in path) for path in found["paths"]} == {
        ("model",), ("model", "manifest"),
    }  # fmt: skip
    file = await impact(sha256(b"default fraud"))
    assert [step["name"] for step in file["composites"][0]["paths"][0]] == ["fraud", "model.bin"]
    other = house.registry.as_(Role.VIEWER, Scope("team"))
    nothing = await impact("pkg:pypi/requests", other)
    assert (nothing["known"], nothing["composites"]) == (False, [])
    await house.check()
