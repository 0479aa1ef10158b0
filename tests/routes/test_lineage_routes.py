"""Where versions come from and what came of them, over HTTP: both ways, redacted, dangling, exported."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from muniment.core.digest import Digest
from muniment.server.http.records import Role, Scope
from muniment.server.impact.reads import lineage as reads
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.artifacts import House, fine, open_house
from tests.support.evidence import added
from tests.support.policies import bare
from tests.support.signing import BUILDER, bundle_by, p256, pem_of, provenance_of

COMMIT, OTHER = "a" * 40, "d" * 40
DATA = "sha256:" + "b" * 64


@pytest.fixture
async def house(
    db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[House]:
    async with open_house(db, blobs, keys, clock, first=bare()) as opened:
        yield opened


async def made(
    house: House, name: str, version: str = "1.0.0", *, space: str = "default", **said: Any
) -> Any:
    sender = house.sender(namespace=space)
    tree = {"model.bin": f"{space} {name} {version}".encode()}
    return await sender.registered(tree, version, name=name, metadata=said)


async def asked(
    house: House, of: str, way: str = "up", *, rest: str = "", client: Any = None, **more: Any
) -> Any:
    client = client or house.registry.as_(Role.VIEWER)
    return fine(await client.get(f"/api/v1/lineage{rest}", params={"of": of, "way": way, **more}))


def drawn(found: Any) -> set[tuple[str, str, str]]:
    labels = {one["id"]: one["label"] for one in found["nodes"]}
    return {(labels[one["lower"]], one["kind"], labels[one["upper"]]) for one in found["links"]}


async def test_a_chain_both_ways(house: House) -> None:
    base = await made(house, "base", code={"commit": OTHER, "repository": "https://git.example/b"})
    await made(
        house, "fraud",
        base_models=[{"name": "base", "version": "1.0.0", "digest": base["manifest_digest"]}],
        training_datasets=[{"name": "tx", "version": "2026-01", "digest": DATA}],
        features=[{"name": "velocity", "version": "3"}],
        pipeline={"run_id": "77"},
    )  # fmt: skip
    await made(house, "fraud", "2.0.0", derived_from=["fraud@1"])
    # Named by its digest alone: it is the same all the same.
    await made(house, "copy", base_models=[{"name": "else", "digest": base["manifest_digest"]}])
    up = await asked(house, "fraud@2.0.0")
    assert up["root"] == up["nodes"][0]["id"]
    assert drawn(up) == {
        ("fraud@2.0.0", "derived_from", "fraud@1.0.0"),
        ("fraud@1.0.0", "tuned_from", "base@1.0.0"),
        ("fraud@1.0.0", "trained_on", "tx@2026-01"),
        ("fraud@1.0.0", "uses_feature", "velocity@3"),
        ("fraud@1.0.0", "made_by", "77"),
        ("base@1.0.0", "built_from", OTHER),
    }
    assert [(one["rule"], one["node"]) for one in up["findings"]] == [
        ("no_digest", "feature:velocity@3")
    ]
    assert (up["deeper"], up["wider"]) == (False, False)
    down = await asked(house, "base@1.0.0", "down")
    chain = {
        ("fraud@1.0.0", "tuned_from", "base@1.0.0"), ("fraud@2.0.0", "derived_from", "fraud@1.0.0"),
    }  # fmt: skip
    assert drawn(down) == chain | {("copy@1.0.0", "tuned_from", "base@1.0.0")}
    assert down["findings"] == []
    for root in (
        "dataset:tx", "dataset:tx@2026-01", f"dataset:{DATA}", f"dataset:tx@2026-01#{DATA}",
        "feature:velocity", "feature:velocity@3", "pipeline:77",
    ):  # fmt: skip
        found = await asked(house, root, "down")
        labels = [one["label"] for one in found["nodes"][1:]]
        assert labels == ["fraud@1.0.0", "fraud@2.0.0"], root
        assert found["root"] == root
    found = await asked(house, f"commit:{OTHER}", "down", depth=2)
    assert {one["label"] for one in found["nodes"][1:]} == {
        "base@1.0.0",
        "fraud@1.0.0",
        "copy@1.0.0",
    }
    assert found["deeper"] is True
    nothing = await asked(house, "dataset:nobody", "down")
    assert [one["rule"] for one in nothing["findings"]] == ["not_found"]


async def test_a_name_of_before_is_still_a_name(house: House) -> None:
    await made(house, "base")
    await made(house, "fraud", derived_from=["base@1.0.0"])
    url = "/api/v1/assets/default/base/rename"
    body = {"name": "basis", "reason": "clearer"}
    fine(await house.registry.as_(Role.ADMIN).post(url, json=body))
    link = {("fraud@1.0.0", "derived_from", "basis@1.0.0")}
    up = await asked(house, "fraud@1.0.0")
    assert drawn(up) == link
    assert drawn(await asked(house, "basis@1.0.0", "down")) == link
    one = house.registry.as_(Role.VIEWER, Scope("default", "fraud"))
    up = await asked(house, "fraud@1.0.0", client=one)
    assert [each["redacted"] for each in up["nodes"]] == [False, True]


async def test_links_that_dangle(house: House) -> None:
    await made(house, "here")
    await made(
        house, "fraud",
        derived_from=["gone@1.0.0", "fraud@champion"],
        base_models=[{"name": "here", "version": "1.0.0", "digest": DATA}, {"name": "bert"}],
        training_datasets=[{"name": "tx", "version": "v1", "type": "dvc"}],
        code={"commit": COMMIT, "dirty": True},
        run={"id": "nobody-knows"},
    )  # fmt: skip
    found = await asked(house, "fraud@1.0.0")
    assert sorted(one["rule"] for one in found["findings"]) == [
        "dirty", "moving", "no_digest", "no_digest", "not_found", "not_found", "nothing_named",
        "other_digest",
    ]  # fmt: skip
    assert all(one["message"] and one["fix"] for one in found["findings"])


async def test_provenance_makes_links_verified(house: House) -> None:
    signer = {"name": "ci", "pem": pem_of(p256(2)), "uses": ["provenance"], "builders": [BUILDER]}
    fine(await house.registry.as_(Role.ADMIN).post("/api/v1/signers", json=signer))
    base = await made(house, "base")
    version = await made(
        house, "fraud",
        code={"commit": COMMIT, "repository": "https://git.example/fraud"},
        training_datasets=[{"name": "tx", "digest": DATA}],
        pipeline={"run_id": "7"},
    )  # fmt: skip
    statement = provenance_of(Digest.parse(version["manifest_digest"]))
    materials = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    materials.append({"uri": "model", "digest": {"sha256": base["manifest_digest"][7:]}})
    file = json.dumps(bundle_by(statement, p256(2))).encode()
    [proof] = await added(house.sender(), {"p.json": file}, name="fraud")
    assert proof["assurance"] == "verified"
    found = await asked(house, "fraud@1.0.0", depth=1)
    labels = {one["id"]: one["label"] for one in found["nodes"]}
    told = {labels[one["upper"]]: (one["assurance"], one["signer"]) for one in found["links"]}
    assert told == {
        COMMIT: ("verified", "signer:ci"), "7": ("verified", "signer:ci"),
        "base@1.0.0": ("verified", "signer:ci"), "tx": ("asserted", None),
    }  # fmt: skip
    assert {one["evidence"] for one in found["links"]} == {proof["id"], None}
    document = await asked(house, "fraud@1.0.0", rest="/prov")
    assert len(document["wasDerivedFrom"]) == 3
    events = await asked(house, "fraud@1.0.0", rest="/openlineage")
    assert [one["outputs"][0]["name"] for one in events] == ["base", "fraud"]
    [materialled] = [one for one in found["links"] if labels[one["upper"]] == "base@1.0.0"]
    assert materialled["kind"] == "built_from"


async def test_who_may_not_read_sees_that_something_is_there_and_no_name(house: House) -> None:
    await made(house, "base")
    await made(house, "secret", space="team", derived_from=["base@1.0.0"])
    await made(house, "open", base_models=[{"name": "team/secret", "version": "1.0.0"}],
               derived_from=["team/secret@1.0.0", "team/secret@1", "team/nothing@1.0.0"])  # fmt: skip
    one = house.registry.as_(Role.VIEWER, Scope("default"))
    down = await asked(house, "base@1.0.0", "down", client=one)
    assert [(each["label"], each["redacted"]) for each in down["nodes"][1:]] == [
        ("not yours to read", True)
    ]
    assert "secret" not in json.dumps(down)
    up = await asked(house, "open@1.0.0", client=one)
    hidden = [each for each in up["nodes"] if each["redacted"]]
    # Whether it is there or not looks the same.
    assert [each["id"] for each in hidden] == [f"version:redacted-{n}" for n in (1, 2, 3)]
    [named] = [each for each in up["nodes"] if each["kind"] == "base_model"]
    assert named["label"] == "team/secret@1.0.0"
    whole = await asked(house, "open@1.0.0")
    assert [each["label"] for each in whole["nodes"]] == [
        "open@1.0.0", "team/secret@1.0.0", "team/nothing@1.0.0", "base@1.0.0",
    ]  # fmt: skip
    params = {"of": "team/secret@1.0.0"}
    assert (await one.get("/api/v1/lineage", params=params)).status_code == 404
    for more in ({"of": "x"}, {"way": "sideways"}, {"depth": "99"}):
        params = {"of": "open@1.0.0"} | more
        assert (await one.get("/api/v1/lineage", params=params)).status_code == 422, more


async def test_runs_deployments_and_the_most_nodes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = house.registry.as_(Role.ADMIN)
    fine(await admin.post("/api/v1/namespaces", json={"namespace": "watched", "mode": "observe"}))
    run = "0123456789abcdef" * 2
    inputs = [{"dataset": {"name": "tx", "digest": "ab12cd34"}}]
    async with house.registry.deps.db.transaction() as tx:
        await tx.execute(
            "INSERT INTO tracking_run (id, experiment_id, name, user_name, principal_id, status,"
            " start_time_ms, inputs) VALUES ($1, 0, 'train', 'ada', $2, 'FINISHED', 1, $3::text::jsonb)",
            run, house.registry.deps.clock.new_id(), json.dumps(inputs),
        )  # fmt: skip
    for number in range(3):
        await made(house, f"m{number}", space="watched", run={"id": run})
    sender = house.sender(namespace="watched")
    url = sender.url("m0", "1.0.0", "/promote")
    fine(await sender.client.post(url, json={"environment": "staging", "reason": "try"}))
    use = {"system": "checkout", "endpoint": "https://pay.example", "use_case": "scoring"}
    bind = "/api/v1/assets/watched/m0/consumers"
    fine(await admin.post(bind, json={**use, "environment": "staging"}))
    up = await asked(house, "watched/m0@1.0.0")
    assert drawn(up) == {("watched/m0@1.0.0", "made_by", "train"), ("train", "used", "tx")}
    down = await asked(house, "dataset:tx", "down")
    assert ("train", "used", "tx") in drawn(down)
    assert ("staging", "deploys", "watched/m0@1.0.0") in drawn(down)
    assert ("checkout (scoring)", "uses", "watched/m0@1.0.0") in drawn(down)
    assert len(down["nodes"]) == 7
    # Who may not read runs learns of none.
    one = house.registry.as_(Role.VIEWER, Scope("watched"))
    assert len((await asked(house, "dataset:tx", "down", client=one))["nodes"]) == 1
    up = await asked(house, "watched/m0@1.0.0", client=one)
    assert [each["rule"] for each in up["findings"]] == ["not_found"]
    monkeypatch.setattr(reads, "NODES_MAX", 3)
    few = await asked(house, f"run:{run}", "down")
    assert (len(few["nodes"]), few["wider"]) == (3, True)
    assert (await asked(house, f"run:{run}"))["wider"] is False
