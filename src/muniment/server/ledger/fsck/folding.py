"""The governance tables as the log says they are, and how the stored ones differ."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Final, cast

import msgspec

from muniment.core.errors import MunimentError
from muniment.server.ledger import reads, rules
from muniment.server.ledger.fsck.options import NOTHING, PROGRESS_EVERY, RESTORE, Options
from muniment.server.ledger.records import Fields, Finding, Fold, Key, Recorded, Report
from muniment.server.ports.db import Tx

_HOT_ROWS: Final = 512


async def state(
    tx: Tx, folds: Sequence[Fold], as_of: dt.datetime | None = None
) -> dict[str, dict[Key, Fields]]:
    """Return the tables as the log says they were at `as_of` (None: now), by name and key.

    `tx` is a repeatable one, so that no entry is seen both waiting and placed. What waits and was
    not written by the registry is left out, as the sequencer will.
    """
    folding = Folding(folds, Report())
    for sql in (reads.PLACED, reads.WAITING):
        async for row in tx.cursor(sql):
            if row["id"] is None or (as_of is not None and row["at"] > as_of):
                continue
            if row["leaf_index"] is not None or rules.is_genuine(row, tx.mac):
                folding.apply(reads.recorded(row))
    return {table: dict(rows.items()) for table, rows in folding.rows.items()}


class _Rows(MutableMapping[Key, Fields]):
    """Rows by key; all but a few are kept packed, which takes a fraction of the memory."""

    def __init__(self) -> None:
        self._packed: dict[Key, bytes] = {}
        self._hot: dict[Key, Fields] = {}

    def __getitem__(self, key: Key) -> Fields:
        if key not in self._hot:
            self._hot[key] = msgspec.msgpack.decode(self._packed.pop(key))
        return self._hot[key]

    def __setitem__(self, key: Key, fields: Fields) -> None:
        self._packed.pop(key, None)
        self._hot[key] = fields

    def __delitem__(self, key: Key) -> None:
        if self._packed.pop(key, None) is None:
            del self._hot[key]

    def __contains__(self, key: object) -> bool:
        return key in self._hot or key in self._packed

    def __iter__(self) -> Iterator[Key]:
        return iter([*self._packed, *self._hot])

    def __len__(self) -> int:
        return len(self._packed) + len(self._hot)

    def cool(self) -> None:
        """Pack what was touched, if that is much. No fold holds on to a row between entries."""
        if len(self._hot) > _HOT_ROWS:
            for key, fields in self._hot.items():
                self._packed[key] = msgspec.msgpack.encode(fields)
            self._hot.clear()


class Folding:
    """The tables as the log says they are."""

    def __init__(self, folds: Sequence[Fold], report: Report) -> None:
        self._folds = folds
        self._report = report
        self.rows = {fold.table: _Rows() for fold in folds}

    def apply(self, entry: Recorded) -> None:
        """Fold one entry into every table."""
        for fold in self._folds:
            rows = self.rows[fold.table]
            try:
                fold.apply(cast("dict[Key, Fields]", rows), entry)
            except (LookupError, TypeError, ValueError, AttributeError, MunimentError) as error:
                self._report.add(
                    Finding(
                        "fold",
                        f"{fold.table}, entry {entry.id} ({entry.act})",
                        "a payload this table follows from",
                        f"{type(error).__name__}: {error}",
                        "see the findings on that entry",
                    )
                )
            rows.cool()

    async def compare(self, tx: Tx, options: Options) -> None:
        """Compare every table with what was folded; forget the rows that agree."""
        for fold in self._folds:
            rows = self.rows[fold.table]
            async for key, stored in fold.stored(tx):
                done = self._report.count(f"rows of {fold.table}")
                if done % PROGRESS_EVERY == 0:
                    options.progress(f"rows of {fold.table}", done)
                said = rows.pop(key, None)
                if said is None:
                    self._differs(fold.table, key, "(the row)", NOTHING, stored)
                elif said != stored:
                    column = next(
                        name for name in [*said, *stored] if said.get(name) != stored.get(name)
                    )
                    said_value, stored_value = said.get(column), stored.get(column)
                    self._differs(fold.table, key, column, said_value, stored_value)
                rows.cool()
            for key in rows:
                self._differs(fold.table, key, "(the row)", rows[key], NOTHING)
                rows.cool()

    def _differs(self, table: str, key: Key, column: str, said: object, stored: object) -> None:
        self._report.add(
            Finding(
                "table",
                f"{table}, row {key}, column {column}",
                f"the log says {said!r:.200}",
                f"the table says {stored!r:.200}",
                "the log is right: " + RESTORE,
            )
        )
