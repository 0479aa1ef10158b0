"""Following a log: growth is believed only when it is proved, and every trick is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment import Client
from muniment.client.monitor import Frontier, Monitor
from muniment.client.proofs import check_consistency, check_entry
from muniment.core.errors import BadProof, BadRequest, BadSignature, LogInconsistent
from muniment.core.merkle import leaf_hash, root_hash
from tests.support.fake_registry import FakeLog, FakeRegistry


def grow(log: FakeLog, count: int) -> None:
    for number in range(count):
        log.append("asset.edit", f"asset-{number}", [], {"number": number})


@pytest.fixture
def log(registry: FakeRegistry) -> FakeLog:
    grow(registry.log, 3)
    return registry.log


@pytest.fixture
def monitor(client: Client, log: FakeLog) -> Monitor:
    return Monitor(client.log, log.key.vkey)


def test_growth_is_followed(monitor: Monitor, client: Client, log: FakeLog) -> None:
    assert monitor.look().new_entries == 3
    assert monitor.look().new_entries == 0
    for more in (1, 250, 2, 300, 512):
        grow(log, more)
        again = Monitor(client.log, log.key.vkey)
        look = again.look()
        assert (look.new_entries, look.checkpoint.size) == (more, len(log.leaves))


def test_only_new_bundles_are_read(monitor: Monitor, log: FakeLog, registry: FakeRegistry) -> None:
    grow(log, 600)
    monitor.look()
    read = registry.count("GET", "/entries/")
    assert read == 3
    grow(log, 1)
    monitor.look()
    assert registry.count("GET", "/entries/") == read + 1


def test_a_log_that_shrinks_is_told(monitor: Monitor, log: FakeLog) -> None:
    monitor.look()
    log.leaves.pop()
    with pytest.raises(LogInconsistent, match="shrank"):
        monitor.look()


def test_another_root_for_the_same_size_is_told(monitor: Monitor, log: FakeLog) -> None:
    monitor.look()
    log.leaves[1] += b" "
    with pytest.raises(LogInconsistent, match="two signed roots"):
        monitor.look()


def test_a_rewritten_past_is_told_and_kept_as_evidence(monitor: Monitor, log: FakeLog) -> None:
    monitor.look()
    state = monitor.state_path.read_text()
    log.leaves[1] += b" "
    grow(log, 2)
    with pytest.raises(LogInconsistent, match="do not extend") as caught:
        monitor.look()
    evidence = json.loads(Path(caught.value.extra["evidence"]).read_text())
    assert evidence["before"] == json.loads(state)["note"]
    assert evidence["now"] == log.note()
    assert monitor.state_path.read_text() == state
    with pytest.raises(LogInconsistent):
        monitor.look()


def test_published_entries_must_be_the_signed_ones(
    monitor: Monitor, log: FakeLog, registry: FakeRegistry
) -> None:
    registry.forged["note"] = log.note()
    log.leaves[2] += b" "
    with pytest.raises(LogInconsistent, match="do not lead to the signed root"):
        monitor.look()


def test_a_short_bundle_is_told(monitor: Monitor, log: FakeLog, registry: FakeRegistry) -> None:
    registry.forged["note"] = log.note()
    log.leaves.pop()
    with pytest.raises(LogInconsistent, match="should have 3 entries, found 2"):
        monitor.look()


def test_another_key_is_not_believed(client: Client, log: FakeLog) -> None:
    with pytest.raises(BadSignature):
        Monitor(client.log, FakeLog(seed=2).key.vkey).look()


@pytest.mark.parametrize("damage", ["{", "{}", '{"note": "x", "subtrees": 3}'])
def test_a_damaged_memory_is_told(monitor: Monitor, damage: str) -> None:
    monitor.look()
    monitor.state_path.write_text(damage)
    with pytest.raises((BadRequest, BadProof)):
        monitor.look()


def test_a_memory_that_contradicts_itself_is_told(monitor: Monitor) -> None:
    monitor.look()
    state = json.loads(monitor.state_path.read_text())
    state["subtrees"].pop()
    monitor.state_path.write_text(json.dumps(state))
    with pytest.raises(BadRequest, match="does not fit"):
        monitor.look()


@given(st.lists(st.integers(0, 40), max_size=5))
def test_the_frontier_is_the_tree(steps: list[int]) -> None:
    frontier = Frontier()
    hashes: list[bytes] = []
    for step in steps:
        fresh = [leaf_hash(b"%d" % (len(hashes) + each)) for each in range(step)]
        hashes += fresh
        frontier = frontier.extended(iter(fresh))
        assert frontier.size == len(hashes)
        assert frontier.root() == root_hash(hashes)


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 3), (1, 3), (3, 3), (200, 600), (256, 603)])
def test_consistency_is_checked_from_tiles(
    client: Client, log: FakeLog, old: int, new: int
) -> None:
    grow(log, 600)
    _, old_root, new_root = check_consistency(client.log, old, new)
    assert old_root == root_hash(log.hashes(old))
    assert new_root == root_hash(log.hashes(new))


def test_sizes_the_log_has_not_are_refused(client: Client, log: FakeLog) -> None:
    for old, new in ((2, 1), (0, 4)):
        with pytest.raises(BadProof, match="log's size"):
            check_consistency(client.log, old, new)


def test_an_entry_is_proved(client: Client, log: FakeLog) -> None:
    receipt, verified = check_entry(client, log.entries[1]["id"])
    assert verified.index == 1
    assert receipt["tree_size"] == 3
