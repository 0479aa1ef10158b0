"""Rows of simulations and of what they found. Every function takes a `Tx`; none commits."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString

import msgspec

from muniment.server.ledger.records import Actor
from muniment.server.policy.records import Simulation
from muniment.server.ports.db import Row, Tx

_SIMULATION: Final[LiteralString] = """
    SELECT id, digest, against, until, total_count, done_count, after, result, problem, asked_at,
           actor_kind, actor_id, done_at
    FROM policy_simulation"""


async def insert(
    tx: Tx,
    simulation_id: uuid.UUID,
    *,
    digest: str,
    against: str,
    at: dt.datetime,
    actor: Actor,
) -> Simulation:
    """Insert a simulation over all verdicts there are now."""
    row = await tx.fetchrow(
        """
        INSERT INTO policy_simulation (id, digest, against, until, total_count, asked_at,
                                       actor_kind, actor_id)
        SELECT $1, $2, $3, (SELECT id FROM policy_verdict ORDER BY id DESC LIMIT 1),
               (SELECT count(*) FROM policy_verdict), $4, $5, $6
        RETURNING *
        """,
        simulation_id,
        digest,
        against,
        at,
        actor.kind,
        actor.id,
    )
    assert row is not None
    return _simulation(row)


async def find(tx: Tx, simulation_id: uuid.UUID) -> Simulation | None:
    """Return the simulation of that id, or None."""
    row = await tx.fetchrow(_SIMULATION + " WHERE id = $1", simulation_id)
    return None if row is None else _simulation(row)


async def newest(tx: Tx, digest: str, against: str | None) -> Simulation | None:
    """Return the simulation of a bundle against another that was asked for last, or None."""
    row = await tx.fetchrow(
        _SIMULATION + " WHERE digest = $1 AND against = $2 ORDER BY asked_at DESC, id DESC LIMIT 1",
        digest,
        against,
    )
    return None if row is None else _simulation(row)


async def newest_done(tx: Tx, digest: str, against: str | None) -> Simulation | None:
    """Return the last simulation of a bundle against another that came to an end, or None."""
    row = await tx.fetchrow(
        _SIMULATION
        + """
        WHERE digest = $1 AND against = $2 AND result IS NOT NULL
        ORDER BY asked_at DESC, id DESC LIMIT 1
        """,
        digest,
        against,
    )
    return None if row is None else _simulation(row)


async def advance(
    tx: Tx,
    before: Simulation,
    after: uuid.UUID,
    done_count: int,
    found: Sequence[tuple[uuid.UUID, Mapping[str, Any]]],
) -> bool:
    """Note how far a simulation is and what it found; False if another run did meanwhile."""
    done = await tx.execute(
        """
        UPDATE policy_simulation SET after = $3, done_count = least($4, total_count)
        WHERE id = $1 AND after IS NOT DISTINCT FROM $2 AND result IS NULL
        """,
        before.id,
        before.after,
        after,
        done_count,
    )
    if done != "UPDATE 1":
        return False
    await tx.executemany(
        "INSERT INTO policy_difference (simulation_id, verdict_id, body) VALUES ($1, $2, $3)",
        [(before.id, one, msgspec.json.encode(body).decode()) for one, body in found],
    )
    return True


async def end(
    tx: Tx,
    simulation_id: uuid.UUID,
    at: dt.datetime,
    *,
    result: Mapping[str, Any] | None = None,
    problem: str | None = None,
) -> None:
    """Write what a simulation came to, or why it cannot be done; once."""
    await tx.execute(
        """
        UPDATE policy_simulation SET result = $3, problem = $4, done_at = $2
        WHERE id = $1 AND result IS NULL
        """,
        simulation_id,
        at,
        None if result is None else msgspec.json.encode(result).decode(),
        problem,
    )


async def differences(
    tx: Tx, simulation_id: uuid.UUID, after: uuid.UUID | None, limit: int
) -> list[dict[str, Any]]:
    """Return what a simulation found, in the order of the verdicts, from the position on."""
    rows = await tx.fetch(
        """
        SELECT body FROM policy_difference
        WHERE simulation_id = $1 AND ($2::uuid IS NULL OR verdict_id > $2)
        ORDER BY verdict_id LIMIT $3
        """,
        simulation_id,
        after,
        limit,
    )
    return [msgspec.json.decode(row["body"]) for row in rows]


def _simulation(row: Row) -> Simulation:
    return Simulation(
        id=row["id"],
        digest=row["digest"],
        against=row["against"],
        until=row["until"],
        total_count=row["total_count"],
        done_count=row["done_count"],
        after=row["after"],
        result=None if row["result"] is None else msgspec.json.decode(row["result"]),
        problem=row["problem"],
        asked_at=row["asked_at"],
        actor=Actor(row["actor_kind"], row["actor_id"]),
        done_at=row["done_at"],
    )
