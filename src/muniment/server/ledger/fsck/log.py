"""Steps 1 and 2: entries, leaves, tiles, checkpoints, the fork guard."""

from __future__ import annotations

import msgspec

from muniment.core import merkle
from muniment.core.checkpoint import Checkpoint, open_checkpoint
from muniment.core.errors import BadProof, BadSignature, LogInconsistent, MunimentError
from muniment.server.ledger import reads, rules, store
from muniment.server.ledger.fsck.folding import Folding
from muniment.server.ledger.fsck.options import (
    NOTHING,
    PROGRESS_EVERY,
    RESTORE,
    TILES_AT_ONCE,
    UNDO,
    Options,
)
from muniment.server.ledger.records import Finding, Head, Report
from muniment.server.ledger.sequencer import GUARD_KEY
from muniment.server.ledger.tiles import GrowingTree, split
from muniment.server.ports.db import Row, Tx


class LogCheck:
    """Steps 1 and 2, one pass over the leaves; folds on the way."""

    def __init__(self, tx: Tx, options: Options, report: Report, folding: Folding) -> None:
        self._tx = tx
        self._options = options
        self._report = report
        self._folding = folding
        self._log_key = rules.log_key(options.origin, options.keys.log)
        self._record_der = options.keys.record.public_key_der
        self._tree = GrowingTree()
        self._mac = options.keys.entry.mac
        self._erased: set[str] = set()
        self._erasures: set[str] = set()
        self._tiles = 0

    async def run(self, guard_note: bytes | None) -> None:
        """Look at everything of the log."""
        guard = self._open_guard(guard_note)
        checkpoints = self._tx.cursor(reads.CHECKPOINTS)
        newest = 0
        signed: Row | None = await anext(checkpoints, None)
        async for row in self._tx.cursor(reads.PLACED):
            self._leaf(row)
            while signed is not None and signed["size"] <= self._tree.size:
                self._checkpoint(signed)
                newest = signed["size"]
                signed = await anext(checkpoints, None)
            if guard is not None and guard.size == self._tree.size:
                self._guard(guard)
            if len(self._tree.finished) >= TILES_AT_ONCE:
                await self._compare_tiles()
        newest = newest if signed is None else signed["size"]
        if newest != self._tree.size:
            expected = f"the newest for {self._tree.size} leaves, as many as there are"
            self._add("checkpoint", "ledger_checkpoint", expected, f"{newest}")
        if guard is not None and guard.size > self._tree.size:
            self._guard(guard)
        if guard_note is None and await store.last_checkpoint(self._tx, published=True):
            self._add("guard", GUARD_KEY, "the newest published checkpoint", NOTHING)
        self._tree.close()
        await self._compare_tiles()
        await self._extra_tiles()
        await self._waiting()
        await self._unplaced()
        await self._refused()
        self._check_erasures()

    def _add(self, kind: str, where: str, expected: str, found: str) -> None:
        self._report.add(Finding(kind, where, expected, found, RESTORE))

    def _open_guard(self, note: bytes | None) -> Head | None:
        try:
            return rules.open_guard(note, self._log_key) if note is not None else None
        except LogInconsistent as error:
            self._add("guard", GUARD_KEY, f"signed by {self._log_key.vkey}", error.message)
            return None

    def _leaf(self, row: Row) -> None:
        """Check one placed entry and take it into the tree and the folds."""
        index = row["leaf_index"]
        while index > self._tree.size:
            self._add("leaf", f"ledger_leaf, index {self._tree.size}", "a leaf", NOTHING)
            self._tree.push(bytes(merkle.HASH_BYTES))
        self._tree.push(row["leaf_hash"])
        if self._report.count("entries") % PROGRESS_EVERY == 0:
            self._options.progress("entries", self._report.counts["entries"])
        if row["id"] is None:
            where = f"ledger_entry, row {row['entry_id']} (leaf {index})"
            self._add("entry", where, "the entry of that leaf", NOTHING)
            return
        found = merkle.leaf_hash(row["leaf"])
        if found != row["leaf_hash"]:
            where = f"leaf {index} (entry {row['id']})"
            self._add("leaf", where, f"leaf hash {found.hex()}", row["leaf_hash"].hex())
        self._entry(row)

    def _entry(self, row: Row) -> None:
        if not rules.is_genuine(row, self._mac):
            where = f"ledger_entry, row {row['id']}, column mac"
            self._add("entry", where, "made with the entry key", f"another ({row['act']:.100})")
            if row["leaf_index"] is None:
                return  # it will be refused, so what it says changed nothing
        for column, said, stored in rules.entry_differences(row, self._record_der):
            where = f"ledger_entry, row {row['id']}, column {column}"
            self._add("entry", where, f"{said:.200}", f"{stored:.200}")
        if row["payload"] is None and row["bundle"] is None:
            self._erased.add(str(row["id"]))
        if row["act"] == rules.ERASE:
            self._erasures.add(row["subject_id"])
        try:
            entry = reads.recorded(row)
        except (msgspec.DecodeError, LookupError, TypeError, ValueError, MunimentError):
            return  # named by entry_differences
        self._folding.apply(entry)

    def _checkpoint(self, row: Row) -> None:
        self._report.count("checkpoints")
        where = f"ledger_checkpoint, size {row['size']}"
        root = self._tree.root() if row["size"] else merkle.EMPTY_ROOT
        if row["root"] != root:
            self._add("checkpoint", where, f"root {root.hex()}", f"root {row['root'].hex()}")
        try:
            signed = open_checkpoint(row["note"], self._log_key)
        except (BadProof, BadSignature) as error:
            self._add("checkpoint", where, f"signed by {self._log_key.vkey}", error.message)
            return
        wrong = rules.check_times(row, self._mac)
        if wrong is not None:
            self._add("checkpoint", where, "times as they were kept when it was signed", wrong)
        if signed != Checkpoint(self._options.origin, row["size"], root):
            found = f"a note for {signed.size} leaves, root {signed.root.hex()}"
            self._add("checkpoint", where, f"a note for {row['size']}, root {root.hex()}", found)

    def _guard(self, guard: Head) -> None:
        root = self._tree.root()
        if guard != Head(self._tree.size, root):
            self._add(
                "guard",
                GUARD_KEY,
                f"a tree of this log ({self._tree.size} leaves, root {root.hex()})",
                f"{guard.size} leaves, root {guard.root.hex()}",
            )

    async def _compare_tiles(self) -> None:
        done, self._tree.finished = self._tree.finished, []
        self._tiles += len(done)
        self._report.count("tiles", len(done))
        held = await store.held_tiles(
            self._tx, [merkle.Tile(level, index) for level, index, _ in done]
        )
        for level, index, hashes in done:
            stored = held.get((level, index), b"")
            if stored != hashes:
                expected, found = split(hashes), split(stored)
                place = next(
                    (at for at, each in enumerate(expected) if found[at : at + 1] != [each]),
                    len(expected),
                )
                self._add(
                    "tile",
                    f"ledger_tile, level {level}, index {index}, hash {place}",
                    b"".join(expected[place : place + 1]).hex() or "no more hashes",
                    b"".join(found[place : place + 1]).hex() or NOTHING,
                )

    async def _extra_tiles(self) -> None:
        stored = await store.tile_count(self._tx)
        if stored > self._tiles:
            self._add("tile", "ledger_tile", f"{self._tiles} tiles", f"{stored} tiles")

    async def _waiting(self) -> None:
        """Check and fold what is committed and has no leaf yet."""
        seen: set[object] = set()
        async for row in self._tx.cursor(reads.WAITING):
            where = f"ledger_pending, entry {row['entry_id']}"
            self._report.count("waiting")
            if row["id"] is None:
                self._add("pending", where, "an entry that waits", NOTHING)
            elif row["leaf_index"] is not None or row["id"] in seen:
                self._add("pending", where, "an entry without leaf, once", "one that is placed")
            else:
                seen.add(row["id"])
                self._entry(row)

    async def _unplaced(self) -> None:
        for entry_id in await store.unplaced(self._tx, limit=20):
            self._add(
                "entry", f"ledger_entry, row {entry_id}", "a leaf, or a wait for one", NOTHING
            )

    async def _refused(self) -> None:
        for row in await store.refused_and_there(self._tx, limit=20):
            finding = Finding(
                "refused",
                f"ledger_entry, row {row['id']}",
                "an entry made with the entry key",
                f"{row['act']:.100} by {row['actor_kind']:.100} {row['actor_id']:.100}, "
                f"which was refused a leaf ({row['reason']})",
                UNDO,
            )
            self._report.add(finding)

    def _check_erasures(self) -> None:
        for entry_id in sorted(self._erased - self._erasures):
            self._add(
                "entry",
                f"ledger_entry, row {entry_id}, column payload",
                f"a payload, or an act `{rules.ERASE}` in the log",
                "neither",
            )
