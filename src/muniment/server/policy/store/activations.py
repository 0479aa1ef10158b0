"""Rows of activations: proposed, approved, withdrawn. Every function takes a `Tx`; none commits."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, Final, LiteralString

import msgspec

from muniment.server.ledger.records import Actor
from muniment.server.policy.records import Activation, Decided
from muniment.server.ports.db import Row, Tx

_ACTIVATION: Final[LiteralString] = """
    SELECT id, digest, proposed_at, proposer_kind, proposer_id, reason, effective_from,
           simulation, entry_id, approved_at, approver_kind, approver_id, approval_reason,
           effective_at, approval_entry_id, withdrawn_at, withdrawer_kind, withdrawer_id,
           withdrawal_reason, withdrawal_entry_id"""
_ALL: Final[LiteralString] = _ACTIVATION + " FROM policy_activation"
_IN_FORCE: Final[LiteralString] = """
    FROM policy_activation WHERE effective_at <= $1 AND withdrawn_at IS NULL
    ORDER BY effective_at DESC, approved_at DESC, id DESC LIMIT 1"""


async def digest_in_force(tx: Tx, at: dt.datetime) -> str | None:
    """Return the digest of the bundle that is in force at a time; None before the first."""
    found: str | None = await tx.fetchval("SELECT digest" + _IN_FORCE, at)
    return found


async def in_force(tx: Tx, at: dt.datetime) -> Activation | None:
    """Return the activation that holds at a time; None before the first."""
    row = await tx.fetchrow(_ACTIVATION + _IN_FORCE, at)
    return None if row is None else _activation(row)


async def scheduled(tx: Tx, at: dt.datetime) -> uuid.UUID | None:
    """Return the activation that is approved and takes force after a time; None if none does."""
    found: uuid.UUID | None = await tx.fetchval(
        "SELECT id FROM policy_activation WHERE effective_at > $1 AND withdrawn_at IS NULL LIMIT 1",
        at,
    )
    return found


async def any_there(tx: Tx) -> bool:
    """Say whether there is an activation at all."""
    return bool(await tx.fetchval("SELECT EXISTS (SELECT FROM policy_activation)"))


async def lock(tx: Tx) -> None:
    """Wait until nobody else decides about policies."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtext('muniment policy'))")


async def find(tx: Tx, activation_id: uuid.UUID) -> Activation | None:
    """Return the activation of that id, or None."""
    row = await tx.fetchrow(_ALL + " WHERE id = $1", activation_id)
    return None if row is None else _activation(row)


async def find_open(tx: Tx, digest: str) -> Activation | None:
    """Return the newest open proposal of a bundle, or None."""
    row = await tx.fetchrow(
        _ALL
        + """
        WHERE digest = $1 AND approved_at IS NULL AND withdrawn_at IS NULL
        ORDER BY id DESC LIMIT 1
        """,
        digest,
    )
    return None if row is None else _activation(row)


async def page(
    tx: Tx, *, only_open: bool, before: uuid.UUID | None, limit: int
) -> list[Activation]:
    """Return activations, the latest first, from the position on."""
    rows = await tx.fetch(
        _ALL
        + """
        WHERE ($1::uuid IS NULL OR id < $1)
          AND (NOT $2 OR (approved_at IS NULL AND withdrawn_at IS NULL))
        ORDER BY id DESC LIMIT $3
        """,
        before,
        only_open,
        limit,
    )
    return [_activation(row) for row in rows]


async def insert(tx: Tx, new: Activation) -> None:
    """Insert an activation, approved if it is."""
    approved = new.approved
    await tx.execute(
        """
        INSERT INTO policy_activation (id, digest, proposed_at, proposer_kind, proposer_id, reason,
            effective_from, simulation, entry_id, approved_at, approver_kind, approver_id,
            approval_reason, effective_at, approval_entry_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        """,
        new.id,
        new.digest,
        *_parts(new.proposed),
        new.effective_from,
        None if new.simulation is None else msgspec.json.encode(new.simulation).decode(),
        new.proposed.entry_id,
        *((None,) * 4 if approved is None else _parts(approved)),
        new.effective_at,
        None if approved is None else approved.entry_id,
    )


async def approve(
    tx: Tx, activation_id: uuid.UUID, approved: Decided, effective_at: dt.datetime
) -> None:
    """Write who approved an open activation, and from when on it is in force."""
    await tx.execute(
        """
        UPDATE policy_activation
        SET approved_at = $2, approver_kind = $3, approver_id = $4, approval_reason = $5,
            effective_at = $6, approval_entry_id = $7
        WHERE id = $1
        """,
        activation_id,
        *_parts(approved),
        effective_at,
        approved.entry_id,
    )


async def withdraw(tx: Tx, activation_id: uuid.UUID, withdrawn: Decided) -> None:
    """Write who withdrew an activation that is not in force."""
    await tx.execute(
        """
        UPDATE policy_activation
        SET withdrawn_at = $2, withdrawer_kind = $3, withdrawer_id = $4, withdrawal_reason = $5,
            withdrawal_entry_id = $6
        WHERE id = $1
        """,
        activation_id,
        *_parts(withdrawn),
        withdrawn.entry_id,
    )


def _parts(one: Decided) -> tuple[dt.datetime, str, str, str]:
    return one.at, one.by.kind, one.by.id, one.reason


def _activation(row: Row) -> Activation:
    simulation: dict[str, Any] | None = (
        None if row["simulation"] is None else msgspec.json.decode(row["simulation"])
    )
    return Activation(
        id=row["id"],
        digest=row["digest"],
        proposed=Decided(
            row["proposed_at"],
            Actor(row["proposer_kind"], row["proposer_id"]),
            row["reason"],
            row["entry_id"],
        ),
        effective_from=row["effective_from"],
        simulation=simulation,
        approved=_decided(
            row,
            "approved_at",
            "approver_kind",
            "approver_id",
            "approval_reason",
            "approval_entry_id",
        ),
        effective_at=row["effective_at"],
        withdrawn=_decided(
            row,
            "withdrawn_at",
            "withdrawer_kind",
            "withdrawer_id",
            "withdrawal_reason",
            "withdrawal_entry_id",
        ),
    )


def _decided(row: Row, *names: str) -> Decided | None:
    at, kind, actor_id, reason, entry_id = (row[name] for name in names)
    return None if at is None else Decided(at, Actor(kind, actor_id), reason, entry_id)
