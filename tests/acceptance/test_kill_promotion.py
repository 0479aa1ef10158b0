"""`kill -9` while promoting versions and composites, and while binding consumers: all of an act, or nothing of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from muniment.core.names import Alias, AssetRef, VersionRef
from muniment.server import catalog
from muniment.server.composites import actions as composing
from muniment.server.ports.db import Tx
from muniment.server.ports.postgres import PostgresDatabase
from tests.actions.test_lifecycle import FRAUD, made
from tests.support.catalog import Catalog
from tests.support.folded import agrees
from tests.support.policies import agent, bare

ROUNDS = int(os.environ.get("KILL_ROUNDS", "50"))
WHOLE_ROUNDS = int(os.environ.get("KILL_ROUNDS", "10"))
ROOT = Path(__file__).parents[2]
STUCK_SECONDS = 200
REST: list[dict[str, Any]] = [
    {"kind": kind, "name": "-", "status": "not-applicable", "reason": "none"}
    for kind in ("code", "data", "adapter", "prompt", "config", "env")
]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def kill_all(
    db_url: str, agent_url: str, who: str = "promoting", rounds: int = ROUNDS, *more: str
) -> list[str]:
    """Kill one process after the other; return the entries that were acknowledged."""
    chance = random.Random(os.environ.get("KILL_SEED", "muniment"))
    command = [sys.executable, "-m", f"tests.support.{who}", db_url, agent_url, *more]
    told: list[str] = []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as parent:
        # What says nothing any more ends here, where it is seen at which round, not as a test in time.
        stuck = threading.Timer(STUCK_SECONDS, os.killpg, (parent.pid, signal.SIGKILL))
        stuck.daemon = True
        stuck.start()
        assert parent.stdin is not None
        assert parent.stdout is not None
        for number in range(rounds):
            parent.stdin.write(f"{number}\n")
            parent.stdin.flush()
            child = next(int(line.split()[1]) for line in parent.stdout if line.startswith("began"))
            if chance.random() < 0.8:  # the others die before they have done anything
                told.append(parent.stdout.readline())
            time.sleep(chance.uniform(0.0, 0.05))  # the moment of death is the point
            os.kill(child, signal.SIGKILL)
            for line in parent.stdout:
                if line.startswith("ended"):
                    break
                told.append(line)
        stuck.cancel()
        parent.stdin.close()
    whole = [line.split() for line in told if line.startswith("done") and line.endswith("\n")]
    return [entry for words in whole for entry in words[1:]]


async def kept(db: PostgresDatabase) -> dict[str, bool]:
    """Every promotion's entry, and whether it waits for the log; all else there is of it agrees."""
    async with db.transaction(read_only=True) as tx:
        entries = {
            str(row["id"]): row["in_log"]
            for row in await tx.fetch(
                "SELECT e.id, EXISTS (SELECT FROM ledger_pending p WHERE p.entry_id = e.id) AS in_log"
                " FROM ledger_entry e WHERE act = 'version.promote'"
            )
        }
        deployed = await tx.fetch("SELECT entry_id FROM deployment")
    assert sorted(str(row["entry_id"]) for row in deployed) == sorted(entries)
    return entries


async def test_a_promotion_is_all_or_nothing(db_url: str, db: PostgresDatabase) -> None:
    async with db.transaction() as tx:
        await made(tx, Catalog())
    with agent(bare()) as url:
        acknowledged = kill_all(db_url, url)
    entries = await kept(db)
    async with db.transaction(read_only=True) as tx:
        deployed = await tx.fetch("SELECT version_id FROM deployment WHERE ended_at IS NULL")
        moves = await tx.fetch("SELECT entry_id FROM alias_event WHERE name = 'champion'")
        judged = await tx.fetch("SELECT entry_id FROM policy_verdict")
        champion = await catalog.get_version(tx, VersionRef(FRAUD, Alias("champion")))
    assert len(acknowledged) >= ROUNDS // 2, "hardly anything was promoted"
    assert set(acknowledged) <= set(entries)
    assert all(entries.values())
    for rows in (moves, judged):
        assert sorted(str(row["entry_id"]) for row in rows) == sorted(entries)
    assert [row["version_id"] for row in deployed] == [champion.id]
    await agrees(db)


async def test_a_binding_is_all_or_nothing(db_url: str, db: PostgresDatabase) -> None:
    async with db.transaction() as tx:
        await made(tx, Catalog())
    rounds = max(ROUNDS // 5, 1)
    with agent(bare()) as url:
        acknowledged = kill_all(db_url, url, "binding", rounds)
    async with db.transaction(read_only=True) as tx:
        entries = {
            str(row["id"])
            for row in await tx.fetch(
                "SELECT e.id FROM ledger_entry e JOIN ledger_pending p ON p.entry_id = e.id"
                " WHERE act = 'consumer.bind'"
            )
        }
        rows = await tx.fetch("SELECT entry_id, ended_entry_id FROM consumer_binding ORDER BY id")
        judged = await tx.fetch("SELECT entry_id FROM policy_verdict")
    assert len(acknowledged) >= rounds // 2, "hardly anything was bound"
    assert set(acknowledged) <= entries
    for found in (rows, judged):
        assert {str(row["entry_id"]) for row in found} == entries
    # Each was ended by the one that took its place, in the entry of that one; the last is current.
    assert sum(row["ended_entry_id"] is None for row in rows) == 1
    ends = {row["ended_entry_id"] for row in rows} - {None}
    assert len(ends) == len(rows) - 1
    assert {str(one) for one in ends} <= entries
    await agrees(db)


async def test_a_composite_is_promoted_whole_or_not_at_all(
    db_url: str, db: PostgresDatabase
) -> None:
    by = Catalog()
    async with db.transaction() as tx:
        await made(tx, by)
        await made(tx, by, name="team/helper")
        cvis = [await composed(tx, by, number) for number in (1, 2)]
    with agent(bare()) as url:
        acknowledged = kill_all(db_url, url, "promoting", WHOLE_ROUNDS, *cvis)
    entries = await kept(db)
    async with db.transaction(read_only=True) as tx:
        deployed = await tx.fetch("SELECT composite, since, version_id, ended_at FROM deployment")
        pointed = await tx.fetch("SELECT version_id FROM alias WHERE name = 'champion'")
        judged = await tx.fetch("SELECT entry_id FROM policy_verdict")
    assert len(acknowledged) >= WHOLE_ROUNDS // 2, "hardly anything was promoted"
    assert set(acknowledged) <= set(entries)
    assert all(entries.values())
    assert 2 * len(judged) == len(entries)
    turns = Counter((row["composite"], row["since"]) for row in deployed)
    assert set(turns.values()) == {2}
    live = [row for row in deployed if row["ended_at"] is None]
    assert len({row["composite"] for row in live}) == 1
    assert {row["version_id"] for row in live} == {row["version_id"] for row in pointed}
    await agrees(db)


async def composed(tx: Tx, by: Catalog, number: int) -> str:
    """Register a composite of both assets' versions of that number."""
    pins = {at: VersionRef(AssetRef.parse(name), number) for at, name in enumerate(("fraud", "team/helper"))}  # fmt: skip
    parts = [{"pin": str(ref), "name": str(at)} for at, ref in pins.items()] + REST
    asked = composing.Asked("default", "fraud", parts, pins, lambda _ref: True)
    made_, _ = await composing.register(tx, await composing.prepare(tx, asked, by.by()))
    return made_.cvi
