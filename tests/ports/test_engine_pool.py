"""Engines asked from an event loop: at once, while it goes on, and after one was killed."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from muniment.server import policy
from muniment.server.ports.embedded_rego import EmbeddedRego
from muniment.server.ports.engine_pool import EnginePool
from muniment.server.ports.policy_engine import PolicyEngine
from tests.support.policies import DOCUMENT, bundle


@pytest.fixture
async def pool() -> AsyncIterator[tuple[EnginePool, list[EmbeddedRego]]]:
    made: list[EmbeddedRego] = []

    def make() -> EmbeddedRego:
        made.append(EmbeddedRego())
        return made[-1]

    engines = EnginePool(make)
    yield engines, made
    await asyncio.to_thread(engines.close)


async def test_nothing_is_started_before_it_is_asked_and_a_killed_process_is_started_again(
    pool: tuple[EnginePool, list[EmbeddedRego]],
) -> None:
    engines, made = pool
    rules = bundle()
    assert made == []
    said = await policy.judge(engines, rules, DOCUMENT)
    assert len(made) == 1
    running = made[0]._running
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    again = await policy.judge(engines, rules, DOCUMENT)
    assert policy.verdict_bytes(again.verdict) == policy.verdict_bytes(said.verdict)
    assert made[0]._running is not None
    assert made[0]._running.pid != running.pid


class Idle:
    """An engine that is never asked; counts how often it is closed."""

    name, version = "idle", "0"
    closed = 0

    def ask(self, *_: object) -> Any:
        raise AssertionError

    def close(self) -> None:
        Idle.closed += 1


async def test_the_loop_goes_on_while_two_are_asked_at_most() -> None:
    running, most = 0, 0
    both = threading.Barrier(2, timeout=30)
    loop, turn = asyncio.get_running_loop(), threading.Lock()

    def work(_: PolicyEngine) -> None:
        nonlocal running, most
        with turn:
            running += 1
            most = max(most, running)
        both.wait()
        answered = threading.Event()
        loop.call_soon_threadsafe(answered.set)
        assert answered.wait(30)
        with turn:
            running -= 1

    pool, closed = EnginePool(Idle), Idle.closed
    await asyncio.gather(*(pool.run(work) for _ in range(4)))
    assert most == 2
    await asyncio.to_thread(pool.close)
    assert Idle.closed == closed + 2
    with pytest.raises(RuntimeError):
        await pool.run(work)


async def test_many_are_asked_in_order_and_a_single_question_does_not_wait_for_all() -> None:
    pool = EnginePool(Idle)
    began, let = threading.Event(), threading.Event()
    done: list[int] = []

    def work(_: PolicyEngine, number: int) -> int:
        began.set()
        assert let.wait(30)
        done.append(number)
        return number

    works = [functools.partial(work, number=number) for number in range(8)]
    many = asyncio.create_task(pool.run_all(works))
    await asyncio.to_thread(began.wait, 30)
    single = asyncio.create_task(pool.run(lambda _: len(done)))
    await asyncio.sleep(0)
    let.set()
    assert await many == list(range(8))
    assert await single < 6

    def broken(_: PolicyEngine) -> int:
        raise ValueError

    with pytest.raises(ValueError):
        await pool.run_all([broken] * 9)
    assert await pool.run_all([]) == []
    await asyncio.to_thread(pool.close)


async def test_drafts_are_tried_with_engines_of_their_own_where_an_agent_is_asked() -> None:
    class Agent(Idle):
        name = "agent"

    pool = EnginePool(Agent, drafts=Idle)
    names = [await each.run(lambda engine: engine.name) for each in (pool, pool.trial)]
    assert names == ["agent", "idle"]
    closed = Idle.closed
    await asyncio.to_thread(pool.close)
    assert Idle.closed == closed + 2
    alone = EnginePool(Idle)
    assert alone.trial is alone
    alone.close()


async def test_programs_stay_ready_beside_each_other() -> None:
    drafts = [bundle(f'default applies := {flag}\nviolations contains {{"args": [{at}]}}\n')
              for flag in ("true", "false") for at in range(3)]  # fmt: skip
    engine = EmbeddedRego()
    with contextlib.closing(engine):
        first = [policy.evaluate(engine, one, DOCUMENT).verdict for one in drafts]
        assert len(engine._loaded) == 3
        assert first == [policy.evaluate(engine, one, DOCUMENT).verdict for one in drafts]
    assert [one.results[0].outcome.value for one in first] == ["failed"] * 3 + [
        "not_applicable"
    ] * 3
