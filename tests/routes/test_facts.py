"""The facts of policy, from evidence that came as it comes; one by one they are what a rule misses."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from muniment.core.names import VersionRef
from muniment.server import approvals, catalog, policy
from muniment.server.http.records import Role
from muniment.server.policy.records import Outcome
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.embedded_rego import EmbeddedRego
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.artifacts import House, fine, open_house
from tests.support.evidence import added
from tests.support.evidenced import (
    ASSET,
    METADATA,
    SUPPLIED,
    believe,
    evaluation,
    evidenced,
    pipeline,
)
from tests.support.gadgets import SYSTEM
from tests.support.keys import MemoryKeys
from tests.support.policies import starter
from tests.support.vulnerabilities import imported, made, sbom

DAY = dt.timedelta(days=1)
#: What a request and its approvals are not made of here.
LATER = {"APPR-001", "APPR-002", "APPR-004"}
#: A scan is a process: those who are about something else do without.
UNSCANNED = frozenset({"scan"})


@pytest.fixture(scope="module")
def engine() -> Iterator[EmbeddedRego]:
    running = EmbeddedRego()
    yield running
    running.close()


@pytest.fixture
async def house(
    db: PostgresDatabase, blobs: FakeBlobs, keys: MemoryKeys, clock: FixedClock, tmp_path: object
) -> AsyncIterator[House]:
    trusted = (keys.record.public_key_der,)
    async with open_house(
        db, blobs, keys, clock, evidence_keys=trusted, data_dir=tmp_path
    ) as opened:
        await believe(opened)
        yield opened


async def document(
    house: House, step: str, version: str = "1.0.0", name: str = "fraud", **extra: Any
) -> dict[str, Any]:
    ref = VersionRef.parse(f"{name}@{version}")
    async with house.registry.deps.db.transaction(read_only=True) as tx:
        found = await catalog.get_version(tx, ref)
        asset = await catalog.get_asset(tx, ref.asset)
        told = await approvals.facts(
            tx,
            found,
            asset,
            step=step,
            at=house.registry.deps.clock.now(),
            environment="production",
            extra=extra,
        )
    assert not policy.input_problems(told)
    return told


async def failing(
    house: House, engine: EmbeddedRego, step: str = "approve", version: str = "1.0.0", **extra: Any
) -> set[str]:
    told = await document(house, step, version, **extra)
    results = policy.evaluate(engine, starter(), told).verdict.results
    assert not [one for one in results if one.fault]
    return {one.id for one in results if one.outcome is Outcome.FAILED} - LATER


PROMOTED: dict[str, Any] = {
    "stage": "production",
    "executor": {"kind": "workload", "trusted": True},
    "rollback": {"withdraws": True},
}


async def test_with_all_evidence_nothing_is_in_the_way_but_approval(
    house: House, engine: EmbeddedRego
) -> None:
    await evidenced(house)
    assert await failing(house, engine, "candidate") == set()
    assert await failing(house, engine, "approve") == set()
    assert await failing(house, engine, "promote", **PROMOTED) == set()
    told = await document(house, "approve", subject={"change_class": "routine"})
    assert told["subject"]["lifecycle"] == "candidate"
    assert told["subject"]["change_class"] == "routine"
    assert told["subject"]["generative"] is False
    assert list(told["subject"]["components"]) == ["model"]
    assert told["sbom"] == {
        "subject_sha256": told["subject"]["artifact_sha256"], "signed": True, "missing_elements": [],
    }  # fmt: skip
    assert told["provenance"]["signer"] == "signer:ci"
    assert told["scan"] == {
        "complete": True, "executable": False, "formats": ["safetensors"], "findings": [],
    }  # fmt: skip
    assert [one["name"] for one in told["gates"]] == [
        "baseline",
        "performance",
        "fairness",
        "security",
    ]
    assert len(told["evaluation"]["runs"]) == 1
    assert told["vulnerabilities"]["open"] == []
    client = pipeline(house).client
    assert told["subject"]["authors"] == [str(client.principal_id)]


async def test_few_questions_are_asked(house: House) -> None:
    await evidenced(house, without=UNSCANNED)
    await document(house, "approve")  # what is kept in the process is kept by now
    await house.quiet()
    house.watch.reads.clear()
    await document(house, "approve")
    assert len(house.watch.reads) <= 12


#: What is not there, and the rules that miss it.
ABSENT: list[tuple[set[str], set[str]]] = [
    ({"sbom"}, {"SEC-001", "SEC-003", "SEC-004"}),
    ({"signed"}, {"SEC-001"}),
    ({"provenance"}, {"SEC-002"}),
    ({"gates"}, {"EVAL-001", "GATE-001"}),
    ({"evaluation", "gates"}, {"EVAL-001", "EVAL-002", "EVAL-003", "EVAL-004", "GATE-001"}),
]
#: What is wrong, and the rule that says so.
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"bom": sbom("pkg:pypi/numpy@2.3.1")}, "SEC-001"),
    ({"bom": sbom("pkg:pypi/numpy@2.3.1", "nameless", **SUPPLIED)}, "SEC-001"),
    ({"bom": sbom("pkg:npm/left-pad@1.0.0", **SUPPLIED)}, "SEC-003"),
    ({"metadata": {**METADATA, "generative": True}}, "EVAL-002"),
    ({"metadata": {name: value for name, value in METADATA.items() if name != "limitations"}}, "DOC-001"),
    ({"completeness": "partial"}, "EVAL-004"),
    ({"tool": {"name": "own-eval"}}, "EVAL-004"),
]  # fmt: skip


async def test_each_fact_that_is_not_there_or_wrong_is_what_its_rules_say(
    house: House, engine: EmbeddedRego
) -> None:
    unscanned = {"scan"}
    for number, (without, rules) in enumerate(ABSENT):
        await evidenced(house, f"absent-{number}", without=frozenset(without | unscanned))
        found = await failing(house, engine, "promote", name=f"absent-{number}", **PROMOTED)
        assert found == rules | {"SEC-005"}, without
    for number, (more, rule) in enumerate(WRONG):
        await evidenced(house, f"wrong-{number}", without=frozenset(unscanned), **more)
        found = await failing(house, engine, "promote", name=f"wrong-{number}", **PROMOTED)
        assert found == {rule, "SEC-005"}, more


async def test_what_loading_would_run_is_in_the_way(house: House, engine: EmbeddedRego) -> None:
    await evidenced(house, tree={"model.pkl": SYSTEM})
    assert await failing(house, engine, "promote", **PROMOTED) == {"SEC-005"}
    [one] = (await document(house, "promote"))["scan"]["findings"]
    assert one["path"] == "model.pkl"


async def test_time_and_the_world_go_on(
    house: House, engine: EmbeddedRego, clock: FixedClock
) -> None:
    await evidenced(house, without=UNSCANNED)
    critical = made("PYSEC-2", "numpy", fixed="3.0", severity=[{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}])  # fmt: skip
    await imported(house, [critical], dated_at=clock.now().isoformat())
    assert await failing(house, engine, "promote", **PROMOTED) == {"SEC-003"}
    [one] = (await document(house, "promote"))["vulnerabilities"]["open"]
    assert one["severity"] == "critical"
    vex = {
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.com/v", "author": "s",
        "timestamp": "2026-11-20T00:00:00Z", "version": 1,
        "statements": [{"vulnerability": {"name": "PYSEC-2"}, "status": "not_affected", "justification": "vulnerable_code_not_in_execute_path"}],
    }  # fmt: skip
    security = house.sender(Role.APPROVER_SECURITY)
    url = security.url("fraud", "1.0.0", "/vex")
    fine(await security.client.post(url, json={"name": "v.json", "document": json.dumps(vex)}))
    assert await failing(house, engine, "promote", **PROMOTED) == set()
    clock.advance(2 * DAY)
    assert await failing(house, engine, "promote", **PROMOTED) == {"SEC-003"}
    clock.advance(100 * DAY)
    assert "EVAL-004" in await failing(house, engine, "approve")


async def test_the_last_word_counts_and_what_was_for_others_does_not(
    house: House, engine: EmbeddedRego, clock: FixedClock
) -> None:
    await evidenced(house, without=UNSCANNED, completeness="partial")
    assert await failing(house, engine, "approve") == {"EVAL-004", "SEC-005"}
    again = {"again.json": evaluation(clock.now())}
    await added(pipeline(house), again, name="fraud", version="1.0.0")
    assert await failing(house, engine, "approve") == {"SEC-005"}
    # The next version has other files: what was measured is not measured of it.
    other = {"model.safetensors": b"", "notes.txt": b"more"}
    await evidenced(house, version="2.0.0", tree=other, without=frozenset({"evaluation", "gates"}))
    told = await document(house, "approve", "2.0.0")
    assert len(told["evaluation"]["runs"]) == 2
    assert {"EVAL-001", "EVAL-002", "EVAL-003"} <= await failing(house, engine, "approve", "2.0.0")


async def test_people_are_known_by_their_names(house: House, engine: EmbeddedRego) -> None:
    await evidenced(house, without=UNSCANNED)
    assert "owner_active" not in (await document(house, "daily"))["asset"]
    admin = house.registry.as_(Role.ADMIN)
    owner = ASSET["owner"]
    made_ = fine(await admin.post("/api/v1/principals", json={"kind": "person", "name": owner}))
    assert (await document(house, "daily"))["asset"]["owner_active"] is True
    assert await failing(house, engine, "daily") == set()
    fine(await admin.post(f"/api/v1/principals/{made_['id']}/disable"))
    assert (await document(house, "daily"))["asset"]["owner_active"] is False
