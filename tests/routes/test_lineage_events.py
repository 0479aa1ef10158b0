"""OpenLineage events over HTTP: kept, joined to lineage, given out again, told once, hostile ones refused."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from muniment.server.http.records import Role, Scope
from muniment.server.impact.reads import told
from muniment.server.impact.routes import events as routes
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from tests.routes.test_lineage_routes import COMMIT, DATA, asked, drawn, made
from tests.support.artifacts import House, fine, open_house

URL = "/api/v1/lineage"
FIRST, SECOND, THIRD = (f"0197a3a0-1111-7000-8000-00000000000{n}" for n in (1, 2, 3))


@pytest.fixture
async def house(
    db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[House]:
    async with open_house(db, blobs, keys, clock) as opened:
        yield opened


def dataset(name: str, namespace: str = "s3://lake", **facets: Any) -> dict[str, Any]:
    return {"namespace": namespace, "name": name, "facets": facets}


def version(text: str, **more: Any) -> dict[str, Any]:
    return {"version": {"datasetVersion": text}, **more}


def event(
    run: str = FIRST, type_: str = "COMPLETE", job: str = "prepare", **more: Any
) -> dict[str, Any]:
    return {
        "eventType": type_, "eventTime": "2026-06-01T12:00:00Z", "producer": "https://scheduler.example",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": run}, "job": {"namespace": "etl", "name": job}, **more,
    }  # fmt: skip


async def tell(
    house: House, *events: Any, role: Role = Role.PUBLISHER, **more: Any
) -> httpx.Response:
    client = house.registry.as_(role, Scope("default"))
    headers = {"content-type": "application/json", **more.pop("headers", {})}
    body = json.dumps(events[0] if len(events) == 1 else list(events)).encode()
    url = URL if len(events) == 1 else f"{URL}/batch"
    return await client.post(
        more.get("url", url), content=more.get("content", body), headers=headers
    )


async def test_what_is_told_is_lineage_both_ways(house: House) -> None:
    source = {"sourceCodeLocation": {"version": COMMIT, "repoUrl": "https://git.example/etl"}}
    prepare = event(
        job="prepare", inputs=[dataset("raw")], outputs=[dataset("tx", **version("7"))],
    )  # fmt: skip
    prepare["job"]["facets"] = source
    train = event(
        SECOND, job="train", inputs=[dataset("tx")],
        outputs=[dataset("fraud", "muniment", **version("1.0.0"))],
    )  # fmt: skip
    assert (await tell(house, prepare)).status_code == 201
    start = {**train, "eventType": "START", "outputs": []}
    items = fine(await tell(house, start, train))["items"]
    assert [(one["about"], one["created"]) for one in items] == [(f"run:{SECOND}", True)] * 2
    # The version comes after what was told of it, and names nothing itself.
    await made(house, "fraud")
    # By where it is kept: the metadata's own name of it is another one.
    await made(house, "copy", training_datasets=[
        {"name": "transactions", "version": "7", "uri": "s3://lake/tx/", "digest": DATA}])  # fmt: skip
    runs = {one: f"etl/{job} {one}" for one, job in ((FIRST, "prepare"), (SECOND, "train"))}
    chain = {
        (runs[SECOND], "executes", "etl/train"),
        (runs[SECOND], "used", "s3://lake/tx"),
        (runs[FIRST], "executes", "etl/prepare"),
        (runs[FIRST], "built_from", COMMIT),
        (runs[FIRST], "used", "s3://lake/raw"),
    }
    up = await asked(house, "fraud@1.0.0")
    assert drawn(up) == chain | {
        ("fraud@1.0.0", "made_by", runs[SECOND]), ("s3://lake/tx", "made_by", runs[FIRST]),
    }  # fmt: skip
    assert {one["assurance"] for one in up["links"]} == {"asserted"}
    assert sorted((one["rule"], one["node"]) for one in up["findings"]) == [
        ("no_digest", "dataset:s3://lake/raw"), ("no_digest", "dataset:s3://lake/tx"),
    ]  # fmt: skip
    [run] = [one for one in up["nodes"] if one["id"] == f"run:{SECOND}"]
    assert run["about"]["status"] == "COMPLETE"
    assert run["about"]["told_by"].startswith("person:")
    assert run["about"]["producer"] == "https://scheduler.example"
    reached = {one["id"] for one in (await asked(house, "copy@1.0.0"))["nodes"]}
    assert f"run:{FIRST}" in reached
    assert f"run:{SECOND}" not in reached
    for root in ("dataset:s3://lake/raw", f"commit:{COMMIT}", f"run:{FIRST}", "job:etl/prepare"):
        down = await asked(house, root, "down", depth=8)
        labels = {one["label"] for one in down["nodes"]}
        assert {runs[SECOND], "fraud@1.0.0", "copy@1.0.0", "s3://lake/tx@7"} <= labels, root
    # A version that a run used is where lineage down begins, too.
    used = dataset("fraud", "muniment", **version("1"))
    fine(await tell(house, event(THIRD, job="score", inputs=[used])))
    down = await asked(house, "fraud@1.0.0", "down")
    assert drawn(down) == {(f"etl/score {THIRD}", "used", "fraud@1.0.0")}
    prov = await asked(house, "fraud@1.0.0", rest="/prov")
    assert len(prov["used"]) >= 2
    await house.check()


async def test_jobs_and_datasets_without_a_run(house: House) -> None:
    job = event(inputs=[dataset("a")], outputs=[dataset("b")])
    del job["run"], job["eventType"]
    about = {**job, "dataset": dataset("a")}
    del about["job"]
    assert [one["about"] for one in fine(await tell(house, job, about))["items"]] == [
        "job:etl/prepare", "dataset:s3://lake/a",
    ]  # fmt: skip
    links = {("etl/prepare", "used", "s3://lake/a")}
    assert drawn(await asked(house, "job:etl/prepare")) == links
    down = drawn(await asked(house, "dataset:s3://lake/a", "down"))
    assert down == links | {("s3://lake/b", "made_by", "etl/prepare")}
    assert drawn(await asked(house, "dataset:s3://lake/b")) == down


async def test_an_event_is_told_once(house: House) -> None:
    one = event(inputs=[dataset("a")])
    first = await tell(house, one)
    again = await tell(house, one, content=json.dumps(one, indent=1).encode())
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == {**first.json(), "created": False}
    other = await tell(house, {**one, "inputs": []})
    assert other.status_code == 409
    assert other.json()["event_id"] == first.json()["id"]
    # All or none: the new one beside it is not recorded.
    fresh = event(SECOND)
    assert (await tell(house, fresh, {**one, "inputs": []})).status_code == 409
    # Somebody else's word is another one.
    assert (await tell(house, {**one, "inputs": []}, role=Role.CONTRIBUTOR)).status_code == 201
    viewer = house.registry.as_(Role.VIEWER)
    page = fine(await viewer.get(f"{URL}/events", params={"limit": 1}))
    assert [len(each["inputs"]) for each in page["items"]] == [0]
    rest = {"limit": 1, "cursor": page["next_cursor"], "about": f"run:{FIRST}"}
    second = fine(await viewer.get(f"{URL}/events", params=rest))
    assert [each["id"] for each in second["items"]] == [first.json()["id"]]
    assert second["next_cursor"] is None
    of_job = fine(await viewer.get(f"{URL}/events", params={"about": "job:etl/prepare"}))
    assert len(of_job["items"]) == 2
    kept = await viewer.get(f"{URL}/events/{first.json()['id']}")
    assert kept.content == json.dumps(one).encode()
    for missing in (first.json()["entry_id"], "x"):
        assert (await viewer.get(f"{URL}/events/{missing}")).status_code == 404
    entry = fine(
        await house.registry.as_(Role.AUDITOR).get(
            f"/api/v1/log/entries/{first.json()['entry_id']}"
        )
    )
    assert entry["act"] == "lineage.tell"
    await house.check()


async def test_fsck_finds_a_body_that_was_changed(house: House, superuser: Any) -> None:
    fine(await tell(house, event()))
    await house.check()
    await superuser.execute("UPDATE lineage_event SET body = body || ' '")
    with pytest.raises(AssertionError, match="body_sha256"):
        await house.check()


async def test_what_was_given_is_understood_when_it_comes_back(house: House) -> None:
    await made(house, "base", code={"commit": COMMIT, "repository": "https://git.example/b"})
    await made(
        house, "fraud", derived_from=["base@1.0.0"],
        training_datasets=[{"name": "tx", "version": "2026-01", "digest": DATA}, {"name": "loose"}],
        base_models=[{"name": "bert", "version": "1", "digest": "sha256:" + "c" * 64}],
        features=[{"name": "velocity", "version": "3"}],
    )  # fmt: skip
    before = await asked(house, "fraud@1.0.0")
    given = await asked(house, "fraud@1.0.0", rest="/openlineage")
    assert len(given) == 2
    fine(await tell(house, *given))
    after = await asked(house, "fraud@1.0.0")
    # The same things, and no others but the runs and jobs of the two registrations.
    ids = {one["id"] for one in before["nodes"]}
    new = [one["kind"] for one in after["nodes"] if one["id"] not in ids]
    assert ids <= {one["id"] for one in after["nodes"]}
    assert sorted(new) == ["job", "job", "run", "run"]
    assert await asked(house, "fraud@1.0.0", rest="/openlineage") == given
    # What others told comes out as it came in.
    own = event(job="train", outputs=[dataset("fraud", "muniment", **version("1.0.0"))])
    fine(await tell(house, own))
    assert own in await asked(house, "fraud@1.0.0", rest="/openlineage")


async def test_versions_that_may_not_be_read_stay_hidden(house: House) -> None:
    await made(house, "secret", space="team")
    outputs = [dataset("team/secret", "muniment", **version("1.0.0")), dataset("out")]
    fine(await tell(house, event(inputs=[dataset("a")], outputs=outputs)))
    one = house.registry.as_(Role.VIEWER, Scope("default"))
    down = await asked(house, "dataset:s3://lake/a", "down", client=one)
    assert "secret" not in json.dumps(down)
    assert [each["label"] for each in down["nodes"] if each["redacted"]] == ["not yours to read"]
    given = await asked(house, "dataset:s3://lake/a", "down", client=one, rest="/openlineage")
    assert given == []
    everything = await asked(house, "dataset:s3://lake/a", "down", rest="/openlineage")
    assert len(everything) == 2
    # Who may not read runs is told nothing of them.
    team = house.registry.as_(Role.VIEWER, Scope("team"))
    alone = await asked(house, "team/secret@1.0.0", client=team)
    assert len(alone["nodes"]) == 1
    assert (await team.get(f"{URL}/events")).status_code == 404
    stranger = house.registry.as_(Role.PUBLISHER, Scope("team"))
    refused = await stranger.post(URL, json=event(SECOND))
    assert refused.status_code == 404
    assert (await tell(house, event(SECOND), role=Role.VIEWER)).status_code == 403


async def test_named_with_another_digest(house: House) -> None:
    await made(house, "fraud")
    facets = version("1.0.0", muniment_lineage={"digest": DATA})
    fine(await tell(house, event(outputs=[dataset("fraud", "muniment", **facets)])))
    up = await asked(house, "fraud@1.0.0")
    assert [one["rule"] for one in up["findings"]] == ["other_digest"]
    gone = event(SECOND, inputs=[dataset("gone", "muniment", **version("1.0.0"))])
    fine(await tell(house, gone))
    assert [one["rule"] for one in (await asked(house, f"run:{SECOND}"))["findings"]] == [
        "not_found"
    ]


async def test_what_cannot_be_taken_is_refused_with_its_place(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(status: int, content: bytes, *, url: str = URL, **headers: str) -> str:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        answer = await tell(house, event(), content=content, headers=named, url=url)
        assert answer.status_code == status, answer.text
        return answer.text

    whole = json.dumps(event()).encode()
    for content in (
        b"", b"[]", b"null", b"x", b"- yaml: true", b'{"a": 1, "a": 2}', whole[:-1], whole + b"\n" + whole,
        whole[:-1] + b', "x": NaN}', whole[:-1] + b', "x": ' + b"[" * 99 + b"]" * 99 + b"}",
        b'{"producer": "\xff"}', whole.replace(b"train", b"\\u0000").replace(b"prepare", b"\\ud800"),
        b'{"x": [' + b"0," * 100_001 + b"0]}",
    ):  # fmt: skip
        assert "problems" in await refused(422, content) or content
    await refused(413, b" " * (routes.EVENT_MAX_BYTES + 1))
    bomb = gzip.compress(b" " * (20 << 20))
    await refused(413, bomb, content_encoding="gzip")
    await refused(422, whole, content_encoding="gzip")
    await refused(422, gzip.compress(whole)[:-4], content_encoding="gzip")
    await refused(415, whole, content_encoding="br")
    await refused(415, whole, content_type="text/plain")
    batch = f"{URL}/batch"
    await refused(422, whole, url=batch)
    text = await refused(422, json.dumps([event(), event("1"), 7]).encode(), url=batch)
    fields = [one["field"] for one in json.loads(text)["problems"]]
    assert fields == ["[1].run.runId", "[2]."]
    monkeypatch.setattr(routes, "BATCH_MAX", 1)
    await refused(422, json.dumps([event(), event()]).encode(), url=batch)
    monkeypatch.setattr(routes, "EVENT_MAX_BYTES", 10)
    await refused(422, json.dumps([event()]).encode(), url=batch)
    assert await house.count("SELECT count(*) FROM lineage_event") == 0


async def test_gzip_and_whatever_the_time_has(house: House) -> None:
    content = gzip.compress(json.dumps(event(eventTime="2026-06-01T12:00:00")).encode())
    answer = await tell(house, event(), content=content, headers={"content-encoding": "gzip"})
    assert answer.status_code == 201
    assert answer.json()["event_time"] == "2026-06-01T12:00:00Z"


async def test_many_that_name_one_dataset(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    every = [
        event(f"0197a3a0-1111-7000-8000-0000000000{n:02}", inputs=[dataset("a")]) for n in range(4)
    ]
    fine(await tell(house, *every))
    assert (await asked(house, "dataset:s3://lake/a", "down"))["wider"] is False
    monkeypatch.setattr(told, "PARTS_MAX", 3)
    assert (await asked(house, "dataset:s3://lake/a", "down"))["wider"] is True
