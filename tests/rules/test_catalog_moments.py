"""Times of revisions are in their order."""

from __future__ import annotations

import datetime as dt

from muniment.server.catalog.rules.changes import moment_after

NOON = dt.datetime(2026, 2, 9, 12, tzinfo=dt.UTC)
TICK = dt.timedelta(microseconds=1)


def test_a_revision_is_later_than_the_one_before() -> None:
    assert moment_after(None, NOON) == NOON
    assert moment_after(NOON - TICK, NOON) == NOON
    assert moment_after(NOON, NOON) == NOON + TICK
    assert moment_after(NOON + 5 * TICK, NOON) == NOON + 6 * TICK
