"""Clocks: identifiers that sort by time, and a clock for tests that stands still."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.server.ports.clock import Clock, FixedClock, SystemClock, uuid7


@pytest.fixture(params=[SystemClock, FixedClock])
def either(request: pytest.FixtureRequest) -> Clock:
    clock: Clock = request.param()
    return clock


def test_the_time_is_aware_and_in_utc(either: Clock) -> None:
    assert either.now().tzinfo is dt.UTC


def test_identifiers_are_version_7_and_later_ones_sort_later(either: Clock) -> None:
    found = [either.new_id() for _ in range(10_000)]  # more than one millisecond's counter holds
    assert {one.version for one in found} == {7}
    assert {one.variant for one in found} == {"specified in RFC 4122"}
    assert found == sorted(set(found))


def test_an_identifier_tells_its_time() -> None:
    clock = SystemClock()
    before, found, after = clock.now(), clock.new_id(), clock.now()
    millis = found.int >> 80
    assert int(before.timestamp() * 1000) <= millis <= int(after.timestamp() * 1000)


def test_threads_do_not_get_the_same_identifier() -> None:
    clock = SystemClock()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: clock.new_id(), range(20_000)))
    assert len(set(found)) == len(found)


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**12 - 1), st.binary(min_size=8, max_size=8))
def test_the_parts_of_an_identifier_are_where_rfc_9562_puts_them(
    millis: int, counter: int, random: bytes
) -> None:
    found = uuid7(millis, counter, random)
    assert found.int >> 80 == millis
    assert found.int >> 64 & 0xFFF == counter
    assert found.version == 7
    assert found.int & (2**62 - 1) == int.from_bytes(random, "big") & (2**62 - 1)


def test_a_fixed_clock_moves_when_told_and_is_the_same_each_run() -> None:
    one, two = FixedClock(), FixedClock()
    assert one.now() == one.now() == dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
    assert [one.new_id(), one.new_id()] == [two.new_id(), two.new_id()]
    one.advance(dt.timedelta(days=1))
    assert one.now() == dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
    assert FixedClock(dt.datetime(2020, 1, 1, tzinfo=dt.UTC)).now().year == 2020


def test_identifiers_of_a_clock_moved_on_sort_after_the_ones_before() -> None:
    clock = FixedClock()
    before = clock.new_id()
    clock.advance(dt.timedelta(milliseconds=1))
    assert clock.new_id() > before
