"""The one-time code of the welcome page: at most one row."""

from __future__ import annotations

import datetime as dt

from muniment.server.ports.db import Tx


async def replace_code(tx: Tx, hashed: bytes, expires_at: dt.datetime) -> None:
    """Keep the one-time code that hashes to `hashed`; an earlier one is no longer valid."""
    await tx.execute(
        """
        INSERT INTO bootstrap_code (hash, expires_at) VALUES ($1, $2)
        ON CONFLICT (only_one) DO UPDATE SET hash = excluded.hash, expires_at = excluded.expires_at
        """,
        hashed,
        expires_at,
    )


async def take_code(tx: Tx, hashed: bytes, now: dt.datetime) -> bool:
    """Use up the one-time code; return False if it is another, used or expired."""
    taken = await tx.fetchval(
        "DELETE FROM bootstrap_code WHERE hash = $1 AND expires_at > $2 RETURNING true",
        hashed,
        now,
    )
    return bool(taken)


async def drop_expired_code(tx: Tx, now: dt.datetime) -> None:
    """Forget a code nobody can use any more."""
    await tx.execute("DELETE FROM bootstrap_code WHERE expires_at <= $1", now)
