"""No order of acts leads to production but by evidence, a quorum and a pipeline; nor back to what is not approved.

What was really done is kept here beside the registry, as plainly as can be; whatever reaches production
is held against that. The policy is of rules of the starter bundle, with short times.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from muniment.server import policy
from muniment.server.policy.records import Bundle
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.approving import Council, open_council
from tests.support.artifacts import fine
from tests.support.evidence import added
from tests.support.evidenced import ASSET, METADATA, evaluation, pipeline
from tests.support.folded import agrees

EVIDENCE_DAYS, APPROVAL_DAYS = 2, 4
RULES = ("APPR-001", "APPR-002", "EVAL-004", "PROM-001")
VERSIONS = ("1.0.0", "2.0.0")
QUORUM = {"product", "platform"}
ACTS = ("ask", "product", "platform", "security", "evidence", "wait", "tier", "promote", "by hand", "withdraw", "quarantine", "release", "back")  # fmt: skip


def short() -> Bundle:
    """Some rules of the starter bundle, with short times."""
    files = policy.read_files(policy.STARTER)
    data = json.loads(files["data.json"])
    for tier in data["profiles"].values():
        tier.update(evidence_days=EVIDENCE_DAYS, approval_days=APPROVAL_DAYS, own_key=False)
    kept = {f"rules/{rule}.rego": files[f"rules/{rule}.rego"] for rule in RULES}
    return policy.read_bundle({
        **kept, "lib/facts.rego": files["lib/facts.rego"], "data.json": json.dumps(data).encode(),
    })  # fmt: skip


@pytest.fixture
async def room(
    db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[Council]:
    async with open_council(db, blobs, keys, clock, short()) as opened:
        yield opened


@dataclasses.dataclass
class Asked:
    """A request as it really was: what the tier was, who signed, when it was decided."""

    id: str
    tier: str
    signed: set[str] = dataclasses.field(default_factory=set)
    decided: dt.datetime | None = None


@dataclasses.dataclass
class Truth:
    """What was really done to an asset."""

    tier: str = "limited"
    asked: dict[str, Asked] = dataclasses.field(default_factory=dict)
    evidence: dict[str, dt.datetime] = dataclasses.field(default_factory=dict)
    held: set[str] = dataclasses.field(default_factory=set)
    live: str | None = None
    reached: int = 0

    def approved(self, version: str, now: dt.datetime) -> bool:
        """Whether it may be in production now, by all that was done."""
        asked, measured = self.asked.get(version), self.evidence.get(version)
        if asked is None or asked.decided is None or measured is None:
            return False
        return (
            asked.signed >= QUORUM
            and asked.tier == self.tier
            and now - asked.decided < dt.timedelta(days=APPROVAL_DAYS)
            and now - measured <= dt.timedelta(days=EVIDENCE_DAYS)
        )


class Run:
    """One asset, its two versions, and the truth about them."""

    def __init__(self, room: Council, name: str) -> None:
        self.room, self.name, self.truth = room, name, Truth()
        self.asset = f"/api/v1/assets/default/{name}"

    def at(self, version: str) -> str:
        return f"{self.asset}/versions/{version}"

    async def begin(self) -> None:
        for version in VERSIONS:
            tree = {"model.onnx": f"{self.name} {version}".encode()}
            made = {**ASSET, "risk_tier": "limited"}
            await pipeline(self.room.house).registered(
                tree, version, name=self.name, metadata=METADATA, create_asset=made
            )

    async def act(self, what: str, version: str) -> None:
        match what:
            case "wait":
                self.room.clock.advance(dt.timedelta(hours=22))
            case "ask":
                await self.ask(version)
            case "product" | "platform" | "security":
                await self.sign(version, what)
            case "evidence":
                await self.measure(version)
            case "tier":
                await self.retier()
            case "promote":
                await self.promote(version, by_hand=False)
            case "by hand":
                await self.promote(version, by_hand=True)
            case "back":
                await self.back()
            case _:
                await self.stop(what, version)

    async def ask(self, version: str) -> None:
        body = {"environment": "production", "change_class": "significant"}
        answer = await self.room.asker.post(f"{self.at(version)}/approval-requests", json=body)
        if answer.status_code == 201:
            self.truth.asked[version] = Asked(answer.json()["id"], self.truth.tier)

    async def sign(self, version: str, role: str) -> None:
        asked = self.truth.asked.get(version)
        if asked is None:
            return
        answer = await self.room.say(self.room.person(role), asked.id, role)
        if answer.is_success:
            asked.signed.add(role)
            if answer.json()["decision"] is not None and asked.decided is None:
                assert asked.signed >= QUORUM, "nothing is decided before all have signed"
                asked.decided = self.room.clock.now()

    async def measure(self, version: str) -> None:
        self.room.clock.advance(dt.timedelta(minutes=1))
        now = self.room.clock.now()
        files = {f"e{now.timestamp()}.json": evaluation(now)}
        await added(pipeline(self.room.house), files, name=self.name, version=version)
        self.truth.evidence[version] = now

    async def retier(self) -> None:
        self.truth.tier = "minimal" if self.truth.tier == "limited" else "limited"
        body = {"risk_tier": self.truth.tier, "reason": "looked again"}
        fine(await self.room.admin.patch(self.asset, json=body))

    async def promote(self, version: str, *, by_hand: bool) -> None:
        client = self.room.admin if by_hand else pipeline(self.room.house).client
        body = {"environment": "production"}
        answer = await client.post(f"{self.at(version)}/promote", json=body)
        if answer.status_code == 200 and answer.json()["entry_id"] is None:
            assert self.truth.live == version, "it stood so already"
            return
        may = self.truth.approved(version, self.room.clock.now()) and not by_hand
        may = may and version not in self.truth.held
        assert (answer.status_code == 200) == may, (version, by_hand, answer.text)
        if may:
            self.truth.live, self.truth.reached = version, self.truth.reached + 1

    async def back(self) -> None:
        body = {"environment": "production", "reason": "back"}
        answer = await self.room.person("security").post(f"{self.asset}/rollback", json=body)
        if answer.status_code == 200:
            to = answer.json()["version"]
            assert self.truth.live not in {None, to}
            assert self.truth.approved(to, self.room.clock.now())
            assert to not in self.truth.held
            self.truth.live = to

    async def stop(self, what: str, version: str) -> None:
        if what == "withdraw":
            body = {"environment": "production", "reason": "r"}
            fine(await self.room.admin.post(f"{self.at(version)}/withdraw", json=body))
            self.truth.live = None if self.truth.live == version else self.truth.live
            return
        fine(await self.room.admin.post(f"{self.at(version)}/{what}", json={"reason": "r"}))
        held = self.truth.held
        (held.add if what == "quarantine" else held.discard)(version)

    async def check(self) -> None:
        """Stages, as the registry derives them, are what was really done."""
        for version in VERSIONS:
            shown = fine(await self.room.asker.get(f"{self.at(version)}/stage"))
            assert (shown["stage"] == "Production") == (self.truth.live == version)


WAY = [("evidence", "1.0.0"), ("ask", "1.0.0"), ("product", "1.0.0"), ("platform", "1.0.0")]
THERE = [*WAY, ("promote", "1.0.0")]
NEXT = [(act, "2.0.0") for act, _ in THERE]
_runs = iter(range(100))


@settings(
    max_examples=8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.tuples(st.sampled_from(ACTS), st.sampled_from(VERSIONS)), max_size=14))
@example(THERE)
@example([*THERE, *NEXT, ("back", "1.0.0")])
@example([*THERE, *NEXT, ("tier", "1.0.0"), ("back", "1.0.0"), ("promote", "2.0.0")])
@example([*WAY, ("by hand", "1.0.0"), *[("wait", "1.0.0")] * 3, ("promote", "1.0.0")])
@example([*THERE, *NEXT, *[("wait", "1.0.0")] * 5, ("evidence", "1.0.0"), ("back", "1.0.0")])
@example([*WAY, ("evidence", "1.0.0"), ("promote", "1.0.0")])
@example([*WAY[:3], ("evidence", "1.0.0"), ("platform", "1.0.0"), ("promote", "1.0.0")])
@example(
    [
        *WAY,
        ("quarantine", "1.0.0"),
        ("promote", "1.0.0"),
        ("release", "1.0.0"),
        ("promote", "1.0.0"),
    ]
)
async def test_only_what_was_measured_signed_and_executed_by_a_pipeline_gets_there(
    room: Council, db: PostgresDatabase, steps: list[tuple[str, str]]
) -> None:
    run = Run(room, f"run-{next(_runs)}")
    await run.begin()
    for what, version in steps:
        await run.act(what, version)
        await run.check()
    assert run.truth.reached or steps[:5] != THERE, "the way that is meant leads there"
    await agrees(db)
