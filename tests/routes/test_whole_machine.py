"""No order of acts leads to production but whole, and by a quorum and a pipeline; nor back to anything else.

What was really done is kept here beside the registry, as plainly as can be: a model, its prompt in two
versions, the two composites of them, and the second prompt alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.keys import Keys
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.approving import ASK
from tests.support.artifacts import fine
from tests.support.wholes import PRODUCTION, REASON, Fleet, open_fleet

QUORUM = {"product", "platform"}
ONE, TWO, ALONE = "one", "two", "alone"
#: The version of the prompt in each.
PROMPT = {ONE: "1.0.0", TWO: "2.0.0", ALONE: "2.0.0"}
ACTS = ("ask", "product", "platform", "promote", "by hand", "withdraw", "quarantine", "release", "back")  # fmt: skip
_runs = iter(range(30))


@pytest.fixture
async def fleet(
    db: PostgresDatabase, blobs: FakeBlobs, keys: Keys, clock: FixedClock
) -> AsyncIterator[Fleet]:
    async with open_fleet(db, blobs, keys, clock) as opened:
        yield opened


@dataclasses.dataclass
class Truth:
    """What was really done. `model` and `prompt` are what production finds, each by what it came with."""

    signed: dict[str, set[str]] = dataclasses.field(default_factory=dict)
    requests: dict[str, str] = dataclasses.field(default_factory=dict)
    held: set[str] = dataclasses.field(default_factory=set)
    model: str | None = None
    prompt: str | None = None

    def may(self, what: str) -> bool:
        """Whether a pipeline may bring it to production now."""
        alone = what == ALONE and bool({self.model, self.prompt} & {ONE, TWO})
        return self.approved(what) and PROMPT[what] not in self.held and not alone

    def approved(self, what: str) -> bool:
        return self.signed.get(what, set()) >= QUORUM


class Run:
    """The assets of one run, and the truth about them."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        self.fleet, self.name, self.truth = fleet, name, Truth()
        self.model, self.prompt = name, f"{name}-prompt"
        self.places: dict[str, str] = {}

    def version(self, what: str) -> str:
        return f"/api/v1/assets/default/{self.prompt}/versions/{PROMPT[what]}"

    async def begin(self) -> None:
        await self.fleet.version(self.model)
        for what in (ONE, TWO):
            await self.fleet.version(self.prompt, PROMPT[what])
            pins = (f"{self.model}@1.0.0", f"{self.prompt}@{PROMPT[what]}")
            cvi = await self.fleet.composite(*pins, system=self.name)
            self.places[what] = f"/api/v1/composites/{cvi}"
        self.places[ALONE] = self.version(ALONE)

    async def act(self, act: str, what: str) -> None:
        match act:
            case "ask":
                url = f"{self.places[what]}/approval-requests"
                answer = await self.fleet.room.asker.post(url, json=ASK)
                if answer.status_code == 201:
                    self.truth.requests[what] = answer.json()["id"]
                    if not self.truth.approved(what):
                        self.truth.signed[what] = set()
            case "product" | "platform":
                await self.sign(act, what)
            case "promote" | "by hand":
                await self.promote(what, by_hand=act == "by hand")
            case "withdraw":
                url = f"{self.places[what]}/withdraw"
                fine(await self.fleet.room.admin.post(url, json=REASON))
                self.withdrawn(what)
            case "back":
                await self.back()
            case _:
                url = f"{self.version(what)}/{act}"
                fine(await self.fleet.room.admin.post(url, json={"reason": "r"}))
                held = self.truth.held
                (held.add if act == "quarantine" else held.discard)(PROMPT[what])

    async def sign(self, role: str, what: str) -> None:
        request = self.truth.requests.get(what)
        if request is None:
            return
        room = self.fleet.room
        answer = await room.say(room.person(role), request, role)
        if answer.is_success:
            self.truth.signed[what].add(role)

    async def promote(self, what: str, *, by_hand: bool) -> None:
        client = self.fleet.room.admin if by_hand else self.fleet.pipeline
        answer = await client.post(f"{self.places[what]}/promote", json=PRODUCTION)
        truth = self.truth
        if answer.is_success and answer.json()["entry_id"] is None:
            there = truth.prompt is not None and PROMPT[truth.prompt] == PROMPT[what]
            assert there if what == ALONE else (truth.model, truth.prompt) == (what, what)
            return
        may = truth.may(what) and not by_hand
        assert answer.is_success == may, (what, by_hand, answer.text)
        if may:
            truth.prompt = what
            truth.model = truth.model if what == ALONE else what

    def withdrawn(self, what: str) -> None:
        truth = self.truth
        if what == ALONE:  # the version, whatever it came with
            gone = truth.prompt is not None and PROMPT[truth.prompt] == PROMPT[what]
            truth.prompt = None if gone else truth.prompt
            return
        truth.model = None if truth.model == what else truth.model
        truth.prompt = None if truth.prompt == what else truth.prompt

    async def back(self) -> None:
        url = f"/api/v1/assets/default/{self.model}/rollback"
        answer = await self.fleet.room.person("security").post(url, json=REASON)
        if answer.is_success:
            cvi = answer.json()["composite"]
            to = next(what for what, place in self.places.items() if place.endswith(cvi))
            assert self.truth.model not in {None, to}
            assert self.truth.approved(to)
            assert PROMPT[to] not in self.truth.held
            self.truth.model = self.truth.prompt = to

    async def check(self) -> None:
        """What production finds is what was really done, and each alias leads there."""
        found = await self.fleet.live(self.model, self.prompt)
        cvis = {None: None} | {what: self.places[what].rpartition("/")[2] for what in (ONE, TWO)}
        truth = self.truth
        model = [] if truth.model is None else [("1.0.0", cvis[truth.model])]
        prompt = [] if truth.prompt is None else [(PROMPT[truth.prompt], cvis.get(truth.prompt))]
        assert found == {self.model: model, self.prompt: prompt}
        expected = [one[0][0] if one else None for one in (model, prompt)]
        assert await self.fleet.champions(self.model, self.prompt) == expected


def way(what: str) -> list[tuple[str, str]]:
    return [(act, what) for act in ("ask", "product", "platform", "promote")]


BOTH = [*way(ONE), *way(TWO)]


@settings(
    max_examples=6,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.tuples(st.sampled_from(ACTS), st.sampled_from([ONE, TWO, ALONE])), max_size=14))
@example([*way(ONE)[:3], ("by hand", ONE), ("promote", ONE), ("promote", TWO), *way(ALONE)])
@example([*BOTH, ("back", ONE), ("withdraw", ALONE), ("withdraw", ONE), *way(ALONE), ("back", ONE)])
@example([*BOTH, ("quarantine", ONE), ("back", ONE), ("promote", ONE), ("release", ONE), ("back", ONE)])  # fmt: skip
@example([*way(ALONE), *way(ONE), *way(TWO), ("withdraw", TWO), ("promote", ALONE), ("promote", ONE)])  # fmt: skip
async def test_only_what_was_signed_whole_gets_there_whole(
    fleet: Fleet, steps: list[tuple[str, str]]
) -> None:
    run = Run(fleet, f"run-{next(_runs)}")
    await run.begin()
    for act, what in steps:
        await run.act(act, what)
    await run.check()
