"""A log under test: append, sequence with faults, and an audit that shares no code with it."""

from __future__ import annotations

import base64
import hashlib
import struct
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.serialization import load_der_public_key

from muniment.core.errors import BlobStoreDown, DatabaseDown
from muniment.server.ledger import Actor, Entry, Subject, append
from muniment.server.ledger.sequencer import Pace, Sequencer
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.db import Database, Tx
from muniment.server.ports.keys import Keys

ORIGIN = "log.example"
ADA = Actor("person", "ada")


@dataclass
class Faults:
    """Which write goes wrong, once: `name` fails, having persisted or not. Records every write."""

    name: str | None = None
    persisted: bool = False
    put_to_fail: int | None = None  # the n-th put from now on
    seen: list[str] = field(default_factory=list)

    def strikes(self, name: str) -> bool:
        self.seen.append(name)
        if self.put_to_fail is not None and name.startswith("put "):
            self.put_to_fail = self.put_to_fail - 1 if self.put_to_fail else None
            return self.put_to_fail is None
        if self.name != name:
            return False
        self.name = None
        return True


class FaultyDatabase:
    """A database whose commits may fail. A commit is named by the tables it says it writes."""

    def __init__(self, inner: Database, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    def transaction(
        self, *, read_only: bool = False, repeatable: bool = False
    ) -> AbstractAsyncContextManager[Tx]:
        if read_only:
            return self._inner.transaction(read_only=True, repeatable=repeatable)
        return self._write()

    @asynccontextmanager
    async def _write(self) -> AsyncIterator[Tx]:
        strikes = False
        async with self._inner.transaction() as tx:
            yield tx
            if await tx.fetchval("SELECT pg_current_xact_id_if_assigned() IS NOT NULL"):
                marks = await tx.fetchval(
                    "SELECT EXISTS (SELECT FROM ledger_checkpoint WHERE published_at IS NOT NULL "
                    "AND xmin = pg_current_xact_id()::xid)"
                )
                strikes = self._faults.strikes("commit published" if marks else "commit leaves")
                if strikes and not self._faults.persisted:
                    raise DatabaseDown
        if strikes:
            raise DatabaseDown

    def on_signal(self, name: str, listener: Callable[[], None]) -> None:
        self._inner.on_signal(name, listener)


class FaultyBlobs:
    """A blob store whose object writes may fail; all else passes through."""

    def __init__(self, inner: Blobs, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @asynccontextmanager
    async def _write(self, name: str) -> AsyncIterator[None]:
        strikes = self._faults.strikes(name)
        if strikes and not self._faults.persisted:
            raise BlobStoreDown
        yield
        if strikes:
            raise BlobStoreDown

    async def put_object(self, key: str, data: bytes) -> None:
        async with self._write(f"put {key}"):
            await self._inner.put_object(key, data)

    async def swap_object(self, key: str, data: bytes, *, expected: bytes | None) -> bool:
        async with self._write(f"swap {key}"):
            return await self._inner.swap_object(key, data, expected=expected)
        raise AssertionError

    async def delete_object(self, key: str) -> None:
        async with self._write(f"delete {key}"):
            await self._inner.delete_object(key)


def an_entry(clock: FixedClock, *, number: int = 0, **changes: Any) -> Entry:
    values: dict[str, Any] = {
        "id": clock.new_id(),
        "at": clock.now(),
        "act": "thing.make",
        "actor": ADA,
        "subject": Subject("thing", f"t{number}", f"thing {number}"),
        "payload": {"number": number},
    }
    return Entry(**{**values, **changes})


class Log:
    """The log of one test."""

    def __init__(self, db: Database, blobs: Blobs, keys: Keys, clock: FixedClock) -> None:
        self.db = db
        self.blobs = blobs
        self.keys = keys
        self.clock = clock
        self.faults = Faults()
        self.appended: list[uuid.UUID] = []

    def sequencer(self, db: Database | None = None) -> Sequencer:
        """A new one, over `db` if it stands for another process; it does not wait long."""
        faulty: Any = FaultyBlobs(self.blobs, self.faults)
        return Sequencer(
            FaultyDatabase(db or self.db, self.faults),
            faulty,
            log_key=self.keys.log,
            clock=self.clock,
            origin=ORIGIN,
            pace=Pace(poll=0.02, gap=0.01, retry=0.01),
        )

    async def append(self, count: int = 1, **changes: Any) -> list[uuid.UUID]:
        ids: list[uuid.UUID] = []
        async with self.db.transaction() as tx:
            for _ in range(count):
                entry = an_entry(self.clock, number=len(self.appended) + len(ids), **changes)
                await append(tx, entry, self.keys.record)
                ids.append(entry.id)
        self.appended += ids
        return ids

    async def resume(self) -> None:
        """After an append was broken off: what was acknowledged is there, in order; go on."""
        async with self.db.transaction(read_only=True) as tx:
            rows = await tx.fetch(
                "SELECT e.id FROM ledger_entry e LEFT JOIN ledger_leaf l ON l.entry_id = e.id "
                "LEFT JOIN ledger_pending p ON p.entry_id = e.id ORDER BY l.leaf_index, p.arrival"
            )
        acknowledged = set(self.appended)
        found = [row["id"] for row in rows]
        assert [entry_id for entry_id in found if entry_id in acknowledged] == self.appended
        self.appended = found

    async def settle(self) -> None:
        """Sequence all that waits, without faults."""
        self.faults.name = self.faults.put_to_fail = None
        sequencer = self.sequencer()
        while await sequencer.step():
            pass

    async def audit(self) -> int:
        """Check everything that is shown; return the published size.

        The entries that are placed must be the first of those appended, in order.
        """
        async with self.db.transaction(read_only=True, repeatable=True) as tx:
            rows = await tx.fetch(
                "SELECT l.leaf_index, l.leaf_hash, e.id, e.leaf FROM ledger_leaf l "
                "JOIN ledger_entry e ON e.id = l.entry_id ORDER BY l.leaf_index"
            )
            notes = await tx.fetch(
                "SELECT size, root, note FROM ledger_checkpoint WHERE published_at IS NOT NULL "
                "ORDER BY size"
            )
        assert [row["leaf_index"] for row in rows] == list(range(len(rows)))
        assert [row["id"] for row in rows] == self.appended[: len(rows)]
        leaves = [bytes(row["leaf"]) for row in rows]
        hashes = [hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves]
        assert [row["leaf_hash"] for row in rows] == hashes
        for row in notes:
            assert self.read_note(row["note"]) == (row["size"], mth(hashes[: row["size"]]))
            assert row["root"] == mth(hashes[: row["size"]])
        guard = await self.blobs.get_object("guard/checkpoint")
        if not notes:
            return 0
        assert guard is not None
        assert self.read_note(guard.decode())[0] >= notes[-1]["size"]
        size: int = notes[-1]["size"]
        await self._audit_objects(leaves[:size], hashes[:size])
        return size

    def read_note(self, note: str) -> tuple[int, bytes]:
        body, _, signature = note.partition("\n\n")
        dash, name, data = signature.split()
        public: Any = load_der_public_key(self.keys.log.public_key_der)
        raw = public.public_bytes_raw()
        key_id = hashlib.sha256(name.encode() + b"\n\x01" + raw).digest()[:4]
        assert (dash, name, base64.b64decode(data)[:4]) == ("—", ORIGIN, key_id)
        public.verify(base64.b64decode(data)[4:], body.encode() + b"\n")
        origin, size, root = body.split("\n")
        assert origin == ORIGIN
        return int(size), base64.b64decode(root)

    async def _audit_objects(self, leaves: list[bytes], hashes: list[bytes]) -> None:
        for at in range(0, len(leaves), 256):
            some = leaves[at : at + 256]
            bundle = b"".join(struct.pack(">H", len(leaf)) + leaf for leaf in some)
            assert await self._object("entries", at // 256, len(some)) == bundle
        level = 0
        while hashes:
            for at in range(0, len(hashes), 256):
                tile = b"".join(hashes[at : at + 256])
                assert await self._object(str(level), at // 256, len(tile) // 32) == tile
            full = range(0, len(hashes) - 255, 256)
            hashes = [mth(hashes[at : at + 256]) for at in full]
            level += 1

    async def _object(self, level: str, index: int, width: int) -> bytes | None:
        assert index < 1000
        partial = "" if width == 256 else f".p/{width}"
        return await self.blobs.get_object(f"log/tile/{level}/{index:03d}{partial}")


def mth(hashes: list[bytes]) -> bytes:
    """The Merkle tree hash, word for word as RFC 6962 §2.1 defines it (over leaf hashes)."""
    if len(hashes) < 2:
        return hashes[0] if hashes else hashlib.sha256(b"").digest()
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return hashlib.sha256(b"\1" + mth(hashes[:k]) + mth(hashes[k:])).digest()
