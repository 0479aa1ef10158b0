"""What was said of acts, with the entry that has the document and all results."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muniment.core.errors import NotFound
from muniment.server import ledger
from muniment.server.ledger.records import Fields, Recorded
from muniment.server.policy.records import StoredVerdict
from muniment.server.policy.rules import folding
from muniment.server.policy.store import verdicts as store
from muniment.server.ports.db import Tx

#: Says in which environments versions are live now. What is deployed is known above this slice.
Live = Callable[[Tx, Sequence[uuid.UUID]], Awaitable[Mapping[uuid.UUID, Sequence[str]]]]


async def _nowhere(_tx: Tx, _ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, Sequence[str]]:
    return {}


_live: Live = _nowhere


def tell_live(live: Live) -> None:
    """Have simulations ask `live` where versions are."""
    global _live  # noqa: PLW0603 -- told once, by the slice that knows
    _live = live


async def live(tx: Tx, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, Sequence[str]]:
    """Return the environments in which versions are live now, by their ids."""
    return await _live(tx, ids)


#: Says which systems are bound now by the acts of entries, by their ids. Known above this slice, too.
BoundBy = Callable[[Tx, Sequence[uuid.UUID]], Awaitable[Mapping[uuid.UUID, Sequence[str]]]]
_bound: BoundBy = _nowhere


def tell_bound(bound: BoundBy) -> None:
    """Have simulations ask `bound` which consumers are bound by acts that were judged."""
    global _bound  # noqa: PLW0603 -- told once, by the slice that knows
    _bound = bound


async def bound_by(tx: Tx, entry_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, Sequence[str]]:
    """Return the systems that acts bound and that are bound still, by the ids of their entries."""
    return await _bound(tx, entry_ids)


#: Says of a composite whether somebody may read all of it.
Sees = Callable[[str], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Full:
    """A verdict with what the entry of its act says: `judged` is as `judged_payload` wrote it."""

    stored: StoredVerdict
    entry: Recorded
    judged: Fields


async def get(tx: Tx, verdict_id: uuid.UUID) -> Full:
    """Return a verdict with all of its results and the document it was asked about.

    Raises:
        NotFound: there is none of that id, or the payload of its entry was erased.
    """
    stored = await store.find(tx, verdict_id)
    if stored is None:
        raise NotFound(f"there is no verdict {verdict_id}")
    entry = await ledger.entry(tx, stored.entry_id)
    return Full(stored, entry, folding.judged_of(entry))


async def page(tx: Tx, wanted: store.Wanted, sees: Sees) -> list[StoredVerdict]:
    """Return verdicts, the latest first, at most `wanted.limit`.

    Of composites only those of which `sees` says that every member may be read: asked once for each.
    """
    found: list[StoredVerdict] = []
    seen: dict[str, bool] = {}
    before = wanted.before
    while True:
        limit = wanted.limit - len(found)
        hidden = frozenset(cvi for cvi, may in seen.items() if not may)
        rows = await store.page(
            tx, dataclasses.replace(wanted, before=before, hidden=hidden, limit=limit)
        )
        for one in rows:
            if one.composite is not None and one.composite not in seen:
                seen[one.composite] = await sees(one.composite)
            if one.composite is None or seen[one.composite]:
                found.append(one)
        if len(rows) < limit or len(found) == wanted.limit:
            return found
        before = rows[-1].id


async def batch(
    tx: Tx, after: uuid.UUID | None, until: uuid.UUID | None, limit: int
) -> list[tuple[StoredVerdict, dict[str, Any] | None]]:
    """Return verdicts in the order of their ids, each with what its entry says (None: erased)."""
    found = await store.following(tx, after, until, limit)
    entries = await ledger.entries(tx, [one.entry_id for one in found])
    return [(one, folding.judged_in(entries[one.entry_id].payload)) for one in found]


async def unreadable_count(tx: Tx, until: uuid.UUID | None) -> int:
    """Return how many verdicts up to one have lost their document to an erasure."""
    found: int = await tx.fetchval(
        """
        SELECT count(*) FROM policy_verdict p
        WHERE p.id <= $1 AND NOT EXISTS (
            SELECT FROM ledger_entry e
            WHERE e.id = p.entry_id AND (e.payload IS NOT NULL OR e.bundle IS NOT NULL))
        """,
        until,
    )
    return found
