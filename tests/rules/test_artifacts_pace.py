"""How much a scrub should have read by now; which digests of an offer are looked up."""

from __future__ import annotations

import datetime as dt

import pytest

from muniment.server.artifacts.rules import manifest, pace

HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("age", "due"), [(-HOUR, 0), (0 * HOUR, 0), (HOUR, 25), (4 * HOUR, 100), (9 * HOUR, 100)]
)
def test_a_pass_is_due_evenly_over_its_period(age: dt.timedelta, due: int) -> None:
    assert pace.bytes_due(100, age, 4 * HOUR) == due


def test_a_period_of_nothing_is_due_at_once() -> None:
    assert pace.bytes_due(100, 0 * HOUR, 0 * HOUR) == 100


def test_of_too_many_files_no_digest_is_looked_up() -> None:
    offered = [("f", 1, "ab" * 32)]
    assert set(manifest.readable_digests([*offered, ("g", 1, "odd")])) == {"ab" * 32}
    assert manifest.readable_digests(offered * (manifest.FILES_MAX + 1)) == {}
