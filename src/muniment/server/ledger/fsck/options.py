"""What `fsck` is told, and what it says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from muniment.core.digest import Digest
from muniment.server.ledger.records import Fold, NeededBlob
from muniment.server.ports.db import Tx
from muniment.server.ports.keys import Keys

RESTORE: Final = "somebody wrote past the triggers: restore a backup that passes, and find out who"
REPUBLISH: Final = "the database has it: write it to the blob store again, and find out why"
UNDO: Final = (
    "nobody did this through the registry: undo what it left in the tables (named here too), then "
    "delete the row as the database's superuser, and find out who wrote it"
)
NOTHING: Final = "nothing"
PROGRESS_EVERY: Final = 1000
TILES_AT_ONCE: Final = 8


async def _no_blobs(_tx: Tx) -> AsyncIterator[NeededBlob]:
    nothing: tuple[NeededBlob, ...] = ()
    for blob in nothing:
        yield blob


async def _not_described(_digest: Digest) -> tuple[str, str] | None:
    return None


async def _no_digests(_tx: Tx) -> AsyncIterator[Digest]:
    nothing: tuple[Digest, ...] = ()
    for digest in nothing:
        yield digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to check against, and how much.

    `needed` yields the blobs that tables say must be held, `suspects` those that are hashed in any
    case. `sample` is how many others to hash (None: all), chosen by `seed`.
    `misdescribed` says of a hashed blob what its bytes are and what a table says they are, if that
    differs. `progress` is told what is being looked at and how far it got.
    """

    keys: Keys
    origin: str
    folds: Sequence[Fold] = ()
    needed: Callable[[Tx], AsyncIterator[NeededBlob]] = _no_blobs
    misdescribed: Callable[[Digest], Awaitable[tuple[str, str] | None]] = _not_described
    suspects: Callable[[Tx], AsyncIterator[Digest]] = _no_digests
    sample: int | None = 100
    seed: int = 0
    progress: Callable[[str, int], None] = lambda _what, _count: None
