"""A scrub's schedule: all within the period, never more than there is, never backwards."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.server.artifacts.rules.pace import bytes_due

DAY = dt.timedelta(days=1)
HELD = st.integers(0, 1 << 50)
AGES = st.timedeltas(-DAY, 30 * DAY)
PERIODS = st.timedeltas(dt.timedelta(minutes=1), 60 * DAY)


@pytest.mark.parametrize(
    ("held", "age", "period", "due"),
    [
        (700, dt.timedelta(0), 7 * DAY, 0),
        (700, DAY, 7 * DAY, 100),
        (700, 7 * DAY, 7 * DAY, 700),
        (700, 90 * DAY, 7 * DAY, 700),
        (700, -DAY, 7 * DAY, 0),
        (0, DAY, 7 * DAY, 0),
    ],
)
def test_what_is_due(held: int, age: dt.timedelta, period: dt.timedelta, due: int) -> None:
    assert bytes_due(held, age, period) == due


@given(HELD, AGES, AGES, PERIODS)
def test_it_grows_with_time_up_to_everything(
    held: int, age: dt.timedelta, later: dt.timedelta, period: dt.timedelta
) -> None:
    first, second = sorted([age, later])
    assert 0 <= bytes_due(held, first, period) <= bytes_due(held, second, period) <= held
    assert bytes_due(held, period, period) == held
