"""Contexts, coverage, gates, the ML-BOM and reading again, through the application."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from muniment.core.digest import digest_of
from muniment.core.statement import sign_bundle, statement
from muniment.server.evidence.plugins import lm_eval
from muniment.server.evidence.plugins.cyclonedx import validator
from muniment.server.evidence.rules.contexts import PREDICATE_TYPE, SCHEMA
from muniment.server.http.records import Role
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.artifacts import House, fine, open_house, sha256
from tests.support.evidence import add, added, evidence_count, sample
from tests.support.keys import MemoryKeys

TREE = {"model.bin": b"weights"}
LM = sample("lm-eval-0.4.13.json")
FAIR = sample("fairlearn-0.15.0-fairness.json")
PLAN = {
    "schema": "muniment/gate-plan/v1",
    "gates": [
        {"gate": "performance", "checks": [{"metric": "accuracy", "direction": "higher", "threshold": 0.5}]},
        {"gate": "fairness", "checks": [{"metric": "demographic_parity_ratio", "direction": "higher", "threshold": 0.8}]},
        {"gate": "security", "checks": [{"metric": "attack_success_rate", "direction": "lower", "threshold": 0.1}]},
    ],
}  # fmt: skip


@pytest.fixture
async def house(
    db: PostgresDatabase, blobs: FakeBlobs, keys: MemoryKeys, clock: FixedClock
) -> AsyncIterator[House]:
    trusted = (keys.record.public_key_der,)
    async with open_house(db, blobs, keys, clock, evidence_keys=trusted) as opened:
        await opened.sender().registered(TREE)
        yield opened


def context(file: bytes, keys: MemoryKeys | None, clock: FixedClock, **more: Any) -> bytes:
    """What the run was made with; signed where `keys` are given."""
    now = clock.now()
    predicate = {
        "schema": SCHEMA,
        "original": {"sha256": sha256(file), "bytes": len(file)},
        "subject": {"digests": [f"sha256:{sha256(b'weights')}"]},
        "tool": {"name": "ci", "version": "1"},
        "dataset": {"ref": "holdout", "digest": {"sha256": "d" * 64}, "n": 2000},
        "run": {"started": now.isoformat(), "ended": (now + dt.timedelta(minutes=5)).isoformat()},
        **more,
    }
    if keys is None:
        return json.dumps(predicate).encode()
    said = statement([("file", digest_of(file))], PREDICATE_TYPE, predicate)
    return json.dumps(sign_bundle(said, keys.record.sign, keys.record.public_key_der)[0]).encode()


async def with_context(house: House, name: str, file: bytes, about: bytes) -> Any:
    sender = house.sender()
    upload_id = await sender.send(file, about)
    body = {
        "upload_id": upload_id,
        "files": [{"name": name, "sha256": sha256(file), "context_sha256": sha256(about)}],
    }
    return await sender.client.post(sender.url(version="1.0.0", rest="/evidence"), json=body)


async def test_a_signed_context_makes_evidence_verified(
    house: House, keys: MemoryKeys, clock: FixedClock
) -> None:
    about = context(FAIR, keys, clock)
    [made] = fine(await with_context(house, "f.json", FAIR, about))["items"]
    assert (made["assurance"], made["signer"]) == (
        "verified",
        f"key:{digest_of(keys.record.public_key_der)}",
    )
    assert made["flags"] == ["missing_direction", "missing_uncertainty"]
    assert (made["said_by"]["dataset"], made["said_by"]["tool_name"]) == ("context", "differ")
    assert made["said_by"]["n"] == "both"
    url = house.sender().url(version="1.0.0", rest=f"/evidence/{made['id']}/context")
    assert (await house.sender().client.get(url)).content == about
    await house.check()
    plain = context(LM, None, clock)
    [asserted] = fine(await with_context(house, "lm.json", LM, plain))["items"]
    assert (asserted["assurance"], asserted["signer"]) == ("asserted", None)


async def test_a_context_of_another_file_or_model_is_refused(
    house: House, keys: MemoryKeys, clock: FixedClock
) -> None:
    for about in (
        context(LM, keys, clock),
        context(FAIR, keys, clock, subject={"digests": ["sha256:" + "a" * 64]}),
        b"not json at all",
        b" " * ((1 << 20) + 1),
    ):
        answer = await with_context(house, "f.json", FAIR, about)
        assert answer.status_code == 422, answer.text
        assert answer.json()["problems"][0]["field"].startswith("f.json (context)")
    missing = {"files": [{"name": "f.json", "sha256": sha256(FAIR), "context_sha256": "a" * 64}]}
    sender = house.sender()
    await sender.send(FAIR)
    answer = await sender.client.post(sender.url(version="1.0.0", rest="/evidence"), json=missing)
    assert [one["field"] for one in answer.json()["problems"]] == ["f.json", "f.json (context)"]
    assert await evidence_count(house) == 0


async def test_the_same_file_with_a_context_is_more_evidence(
    house: House, keys: MemoryKeys, clock: FixedClock
) -> None:
    [bare] = await added(house.sender(), {"f.json": FAIR})
    [whole] = fine(await with_context(house, "f.json", FAIR, context(FAIR, keys, clock)))["items"]
    assert bare["id"] != whole["id"]
    assert whole["created"]


async def test_coverage_says_what_is_missing_and_what_does_not_apply(
    house: House, clock: FixedClock
) -> None:
    sender = house.sender()
    url = sender.url(version="1.0.0", rest="/coverage")
    none = fine(await sender.client.get(url))
    assert not none["complete"]
    assert {one["state"] for one in none["items"]} == {"missing"}
    says = {"toxicity": "the model writes no text", "jailbreak": "it takes no prompts"}
    document = {"schema": "muniment/evaluation/v1", "not_applicable": says}
    await added(
        sender,
        {
            "f.json": FAIR,
            "p.json": sample("promptfoo-0.121.20.json"),
            "na.json": json.dumps(document).encode(),
        },
    )
    found = fine(await sender.client.get(url))
    states = {one["dimension"]: one["state"] for one in found["items"]}
    assert states == {
        "quality": "covered", "toxicity": "not_applicable", "jailbreak": "not_applicable", "bias": "covered",
        "latency": "covered", "cost": "covered",
    }  # fmt: skip
    assert found["complete"]
    await sender.registered({"model.bin": b"other weights"}, "1.1.0")
    later = fine(await sender.client.get(sender.url(version="1.1.0", rest="/coverage")))
    assert {one["state"] for one in later["items"]} == {"missing"}
    assert "stale: other model" in later["items"][0]["reason"]
    clock.advance(dt.timedelta(days=2))
    old = fine(await sender.client.get(url, params={"max_age_days": 1}))
    assert "too old" in next(one for one in old["items"] if one["dimension"] == "latency")["reason"]


async def test_a_changed_line_of_a_prompt_makes_its_evaluation_stale(house: House) -> None:
    sender = house.sender()
    made = {"kind": "prompt", "owner": "ada"}
    for number, template in (
        ("1.0.0", "Say {{x}}."),
        ("1.0.1", "Say {{x}}."),
        ("1.1.0", "Tell {{x}}."),
    ):
        prompt = {"template": template, "variables": ["x"]}
        metadata = {"prompt": prompt, "intended_use": f"version {number}"}
        fine(await sender.register({}, number, name="greet", metadata=metadata, create_asset=made))
    await added(sender, {"p.json": sample("promptfoo-0.121.20.json")}, name="greet")
    for number, stale in (("1.0.1", []), ("1.1.0", ["prompt.template"])):
        url = sender.url("greet", number, "/evidence")
        [one] = fine(await sender.client.get(url, params={"earlier": True}))["items"]
        assert [change["component"] for change in one["changes"]] == stale


_UNSCRUBBED = (
    "SELECT count(*) FROM evidence e LEFT JOIN blob b USING (digest) WHERE b.digest IS NULL"
)


async def test_gates_run_in_order_on_the_unfavourable_bound_and_are_recorded(
    house: House, keys: MemoryKeys, clock: FixedClock
) -> None:
    sender = house.sender()
    url = sender.url(version="1.0.0", rest="/gates")
    assert (await sender.client.post(url, json={})).status_code == 404
    [plan] = await added(sender, {"plan.json": json.dumps(PLAN).encode()})
    assert (plan["kind"], plan["format"]) == ("gate", "gate-plan")
    clock.advance(dt.timedelta(days=1))
    fine(await with_context(house, "f.json", FAIR, context(FAIR, keys, clock)))
    dry = fine(await sender.client.post(url, json={"dry_run": True}))["items"]
    assert [one["id"] for one in dry] == [None, None]
    done = fine(await sender.client.post(url, json={}))["items"]
    results = [
        (one["parsed"]["details"]["gate"], one["parsed"]["details"]["result"]) for one in done
    ]
    assert results == [("performance", "passed"), ("fairness", "failed")]
    assert {one["assurance"] for one in done} == {"verified"}
    file = f"/evidence/{done[1]['id']}/file"
    record = (await sender.client.get(sender.url(version="1.0.0", rest=file))).json()
    assert record["policy"] == plan["digest"]
    failed = [check for check in record["checks"] if check["result"] == "failed"]
    assert [(check["slice"], check["decided_on"]) for check in failed] == [
        ("sex\N{MULTIPLICATION SIGN}age", "ci_lower")
    ]
    assert record["dataset"]["digest"] == {"sha256": "d" * 64}
    # What the registry made itself is scrubbed like what was sent.
    assert await house.count(_UNSCRUBBED) == 0
    await house.check()


async def test_thresholds_set_after_the_run_do_not_count(
    house: House, keys: MemoryKeys, clock: FixedClock
) -> None:
    fine(await with_context(house, "f.json", FAIR, context(FAIR, keys, clock)))
    clock.advance(dt.timedelta(days=1))
    await added(house.sender(), {"plan.json": json.dumps(PLAN).encode()})
    url = house.sender().url(version="1.0.0", rest="/gates")
    [gate] = fine(await house.sender().client.post(url, json={}))["items"]
    assert "before the threshold was recorded" in gate["parsed"]["details"]["failed"][0]["reason"]


async def test_who_only_reads_runs_no_gates(house: House) -> None:
    url = house.sender().url(version="1.0.0", rest="/gates")
    assert (await house.registry.as_(Role.AUDITOR).post(url, json={})).status_code == 403


async def test_the_ml_bom_is_valid_and_carries_what_evidence_says(house: House) -> None:
    sender = house.sender()
    url = sender.url(version="1.0.0", rest="/sbom")
    bare = fine(await sender.client.get(url))
    assert [one.message for one in validator("1.7").iter_errors(bare)] == []
    await added(sender, {"bom.json": sample("cyclonedx-1.7.json"), "lm.json": LM})
    answer = await sender.client.get(url)
    bom = fine(answer)
    assert [one.message for one in validator("1.7").iter_errors(bom)] == []
    metrics = bom["metadata"]["component"]["modelCard"]["quantitativeAnalysis"][
        "performanceMetrics"
    ]
    assert {"type": "acc", "value": "0.75", "slice": "tiny_sums"} in metrics
    assert {"fraud-detector", "transactions", "model.bin"} <= {
        one["name"] for one in bom["components"]
    }
    again = await sender.client.get(url, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    # Our own document is evidence as any other is.
    await added(sender, {"ours.json": answer.content})


async def test_reading_again_says_the_same_until_a_parser_changes(
    house: House, keys: MemoryKeys, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = house.sender()
    made = await added(sender, {"lm.json": LM, "x.bin": b"\0"}, kinds={"x.bin": "other"})
    dimensioned = context(FAIR, keys, clock, dimension="quality")
    made += fine(await with_context(house, "f.json", FAIR, dimensioned))["items"]
    for one in made:
        url = sender.url(version="1.0.0", rest=f"/evidence/{one['id']}/reparse")
        assert fine(await sender.client.get(url)) == {
            "same": True, "differences": [],
            "recorded_by": f"{one['format']} 1", "reads_now": f"{one['format']} 1",
        }  # fmt: skip
    monkeypatch.setattr(lm_eval.LmEval, "version", "2")
    url = sender.url(version="1.0.0", rest=f"/evidence/{made[0]['id']}/reparse")
    found = fine(await sender.client.get(url))
    assert (found["same"], found["reads_now"]) == (False, "lm-eval 2")
    assert "format_version" in found["differences"][0]


@pytest.mark.parametrize(
    "hostile",
    [
        b"{" * 100_000, b'{"a":' * 50_000, b"[NaN]", b'{"a":1,"a":2}', b"PK\x03\x04" + b"x" * 100,
        b"a: &x [1]\nb: *x", b"!!python/object/apply:os.system ['id']", b"\x80\x04K\x01.", b"",
        b"\xff\xfe\x00", b"<bom/>", b'{"bomFormat":"CycloneDX","specVersion":"1.5","components":{}}',
        b'{"spdxVersion":"SPDX-2.3"}', b'{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld"}',
        b'{"schema":"muniment/gate-plan/v1","gates":[]}', b'{"schema":"muniment/gate/v1"}',
        b'{"schema":"muniment/evaluation/v1"}', b"[1,2,3]", b'"text"', b"9" * 10_000,
    ],
)  # fmt: skip
async def test_hostile_files_are_a_clear_refusal_and_nothing_is_recorded(
    house: House, hostile: bytes
) -> None:
    answer = await add(house.sender(), {"good.json": LM, "evil.json": hostile})
    assert answer.status_code == 422, answer.text
    problems = answer.json()["problems"]
    assert all(one["field"].startswith("evil.json") for one in problems), problems
    assert await evidence_count(house) == 0
