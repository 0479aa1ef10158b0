"""The verbs of vulnerabilities: have a database imported, record it.

The file is read in batches inside the one transaction that records the snapshot: killed in between,
nothing of it is there and the job begins again. Records that did not change are not read again.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from muniment.core.digest import Digest
from muniment.server import ledger
from muniment.server.evidence import problem
from muniment.server.identity.records import By
from muniment.server.ledger.records import Entry, Subject
from muniment.server.ports import queue
from muniment.server.ports.db import Tx
from muniment.server.vulnerabilities.reads import databases as reads
from muniment.server.vulnerabilities.records import Database, Import, ImportState
from muniment.server.vulnerabilities.rules import folding
from muniment.server.vulnerabilities.rules.advisories import Unusable
from muniment.server.vulnerabilities.store import databases as store
from muniment.server.vulnerabilities.store.databases import NewRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class NewImport:
    """A held file to be imported; `older` lets it be of before what is there."""

    ecosystem: str
    digest: Digest
    size_bytes: int
    name: str
    dated_at: dt.datetime | None
    older: bool


async def ask(tx: Tx, new: NewImport, by: By) -> Import:
    """Have a file imported by a job; return the import, by whose id it can be followed."""
    made = Import(
        id=by.new_id(),
        ecosystem=new.ecosystem,
        source_digest=new.digest,
        source_bytes=new.size_bytes,
        source_name=new.name,
        dated_at=new.dated_at,
        older=new.older,
        state=ImportState.DUE,
        read_count=0,
        total_count=None,
        database_id=None,
        problems=(),
        asked_at=by.at,
        actor=by.actor,
    )
    await store.insert_import(tx, made)
    await queue.enqueue(tx, "vulnerabilities.import", {"import_id": str(made.id)})
    return made


class Importing:
    """One import under way: batches of records go in, then it is finished. Within one transaction."""

    def __init__(
        self, tx: Tx, wanted: Import, before: Database | None, left: dict[str, tuple[int, Digest]]
    ) -> None:
        """Begin; `before` is the snapshot that is there, `left` its records by id."""
        self._tx, self._wanted, self._before, self._left = tx, wanted, before, left
        self._number = 1 if before is None else before.number + 1
        self._seen: set[str] = set()
        self._changed = False
        self.known = {digest: osv_id for osv_id, (_, digest) in left.items()}

    @classmethod
    async def begin(cls, tx: Tx, wanted: Import) -> Importing:
        """Wait until nobody else imports into the same database, and see what is there."""
        await store.lock_ecosystem(tx, wanted.ecosystem)
        before = await reads.newest(tx, wanted.ecosystem)
        return cls(tx, wanted, before, await store.current_records(tx, wanted.ecosystem))

    async def add(self, same: Sequence[str], new: Sequence[NewRecord]) -> None:
        """Take records: `same` are ids of those that are there as they were.

        Raises:
            Unusable: two records have one id.
        """
        for osv_id in (*same, *(one.osv_id for one in new)):
            if osv_id in self._seen:
                message = f"expected each record once, found {osv_id} again"
                raise Unusable([problem(self._wanted.source_name, message)])
            self._seen.add(osv_id)
        for osv_id in same:
            del self._left[osv_id]
        if new:
            self._changed = True
            replaced = [self._left.pop(one.osv_id)[0] for one in new if one.osv_id in self._left]
            await store.end_records(self._tx, replaced, self._number)
            await store.insert_records(self._tx, self._wanted.ecosystem, self._number, new)

    async def finish(self, dated_at: dt.datetime | None, by: By) -> Database:
        """Record the snapshot, or return the one that is there if this is the same.

        `dated_at` is what the file itself says; what was asked for goes before it.

        Raises:
            Unusable: it is of before what is there, and that was not allowed.
        """
        tx, wanted, before = self._tx, self._wanted, self._before
        if self._left:
            self._changed = True
            await store.end_records(tx, [row for row, _ in self._left.values()], self._number)
        newest = await store.newest_modified(tx, wanted.ecosystem)
        found = wanted.dated_at or dated_at or newest or by.at
        at = min(found, by.at)
        if before is not None and not self._changed and at <= before.dated_at:
            return before
        if before is not None and at < before.dated_at and not wanted.older:
            message = f"is of {at:%Y-%m-%d %H:%M}, older than what is there ({before.dated_at:%Y-%m-%d %H:%M})"
            fix = "give a newer file, or allow this one with `--older`"
            raise Unusable([problem(wanted.source_name, message, fix)])
        return await self._record(at, by)

    async def _record(self, dated_at: dt.datetime, by: By) -> Database:
        wanted = self._wanted
        totals = await store.totals(self._tx, wanted.ecosystem)
        made = Database(
            id=by.new_id(),
            ecosystem=wanted.ecosystem,
            number=self._number,
            digest=totals.digest,
            rows=totals.rows,
            dated_at=dated_at,
            record_count=totals.record_count,
            withdrawn_count=totals.withdrawn_count,
            source_digest=wanted.source_digest,
            source_bytes=wanted.source_bytes,
            source_name=wanted.source_name,
            recorded_at=by.at,
            actor=by.actor,
            entry_id=by.new_id(),
        )
        await store.insert_database(self._tx, made)
        await ledger.append(self._tx, _entry(made))
        return made


async def end(tx: Tx, import_id: uuid.UUID, database: Database) -> None:
    """Note that an import is done, and have all SBOMs matched against what it brought."""
    await store.end_import(tx, import_id, ImportState.DONE, database_id=database.id)
    await queue.enqueue(tx, "vulnerabilities.match", {}, key=f"match {database.id}")


def _entry(made: Database) -> Entry:
    return Entry(
        id=made.entry_id,
        at=made.recorded_at,
        act=folding.IMPORT,
        actor=made.actor,
        subject=Subject("vulnerability database", str(made.id), f"{made.ecosystem} {made.number}"),
        payload=folding.database_payload(made),
        digests=tuple(dict.fromkeys((made.digest, made.rows, made.source_digest))),
    )
