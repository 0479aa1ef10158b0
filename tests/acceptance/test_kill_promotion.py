"""`kill -9` while promoting, and while binding consumers: all of an act is there, or nothing of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from muniment.core.names import Alias, VersionRef
from muniment.server import catalog
from muniment.server.ports.postgres import PostgresDatabase
from tests.actions.test_lifecycle import FRAUD, made
from tests.support.catalog import Catalog
from tests.support.folded import agrees
from tests.support.policies import agent, bare

ROUNDS = int(os.environ.get("KILL_ROUNDS", "50"))
ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def kill_all(
    db_url: str, agent_url: str, who: str = "promoting", rounds: int = ROUNDS
) -> list[str]:
    """Kill one process after the other; return the entries that were acknowledged."""
    chance = random.Random(os.environ.get("KILL_SEED", "muniment"))
    command = [sys.executable, "-m", f"tests.support.{who}", db_url, agent_url]
    told: list[str] = []
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
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
        parent.stdin.close()
    whole = [line.split() for line in told if line.startswith("done") and line.endswith("\n")]
    return [words[-1] for words in whole]


async def test_a_promotion_is_all_or_nothing(db_url: str, db: PostgresDatabase) -> None:
    async with db.transaction() as tx:
        await made(tx, Catalog())
    with agent(bare()) as url:
        acknowledged = kill_all(db_url, url)
    async with db.transaction(read_only=True) as tx:
        entries = {
            str(row["id"]): row["in_log"]
            for row in await tx.fetch(
                "SELECT e.id, EXISTS (SELECT FROM ledger_pending p WHERE p.entry_id = e.id) AS in_log"
                " FROM ledger_entry e WHERE act = 'version.promote'"
            )
        }
        deployed = await tx.fetch("SELECT version_id, entry_id, ended_at FROM deployment")
        moves = await tx.fetch("SELECT entry_id FROM alias_event WHERE name = 'champion'")
        judged = await tx.fetch("SELECT entry_id FROM policy_verdict")
        champion = await catalog.get_version(tx, VersionRef(FRAUD, Alias("champion")))
    assert len(acknowledged) >= ROUNDS // 2, "hardly anything was promoted"
    assert set(acknowledged) <= set(entries)
    assert all(entries.values())
    for rows in (deployed, moves, judged):
        assert sorted(str(row["entry_id"]) for row in rows) == sorted(entries)
    assert [row["version_id"] for row in deployed if row["ended_at"] is None] == [champion.id]
    await agrees(db)


async def test_a_binding_is_all_or_nothing(db_url: str, db: PostgresDatabase) -> None:
    async with db.transaction() as tx:
        await made(tx, Catalog())
    rounds = (ROUNDS + 2) // 3
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
