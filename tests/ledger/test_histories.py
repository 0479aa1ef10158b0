"""Whatever happens in whatever order: what is shown is one log, and it only grows."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muniment.core.errors import Unavailable
from muniment.server.ledger.sequencer import Sequencer
from muniment.server.ports.blobs_fake import FakeBlobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.db import Database
from muniment.server.ports.keys import Keys
from tests.support.ledger import Log

#: A commit, or a write of the step to come that goes wrong.
WRITES = ["commit leaves", "swap guard/checkpoint", "commit published"]
appends = st.tuples(st.just("append"), st.sampled_from([1, 2, 7, 255, 256, 257]))
steps = st.tuples(st.just("step"), st.just(0))
restarts = st.tuples(st.just("restart"), st.just(0))
faults = st.tuples(st.sampled_from(WRITES), st.integers(0, 1))
puts = st.tuples(st.just("put"), st.integers(0, 5))


@given(st.lists(st.one_of(appends, steps, steps, restarts, faults, puts), max_size=10))
@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_any_history_is_consistent(
    db: Database, keys: Keys, superuser: Any, history: list[tuple[str, int]]
) -> None:
    await superuser.execute(
        "TRUNCATE ledger_entry, ledger_pending, ledger_leaf, ledger_tile, ledger_checkpoint"
    )
    log = Log(db, FakeBlobs(), keys, FixedClock())
    sequencer = log.sequencer()
    shown = 0
    for act, number in history:
        sequencer = await _happen(log, sequencer, act, number)
        now = await log.audit()
        assert now >= shown
        shown = now
    await log.settle()
    assert await log.audit() == len(log.appended)


async def _happen(log: Log, sequencer: Sequencer, act: str, number: int) -> Sequencer:
    if act == "append":
        await log.append(number)
    elif act == "restart":
        return log.sequencer()
    elif act == "step":
        with contextlib.suppress(Unavailable):  # somebody tries again, or another takes over
            await sequencer.step()
    elif act == "put":
        log.faults.put_to_fail, log.faults.persisted = number // 2, number % 2 == 1
    else:
        log.faults.name, log.faults.persisted = act, number == 1
    return sequencer
