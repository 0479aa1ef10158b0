"""Imports are jobs: a file of a hundred megabytes takes minutes. Killed, they begin again."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import itertools
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from muniment.core.digest import Digest, digest_of
from muniment.core.errors import NotFound
from muniment.server import evidence
from muniment.server.evidence.records import Unreadable
from muniment.server.http.operation import Deps
from muniment.server.identity.records import By
from muniment.server.ports.queue import GiveUp, Job
from muniment.server.vulnerabilities.actions import importing as actions
from muniment.server.vulnerabilities.plugins.dumps import LIMITS, Dump, Member
from muniment.server.vulnerabilities.reads import databases as reads
from muniment.server.vulnerabilities.records import KEV, Database, Import, ImportState
from muniment.server.vulnerabilities.rules import stored
from muniment.server.vulnerabilities.rules.advisories import (
    Unusable,
    read_advisory,
    read_exploited,
)
from muniment.server.vulnerabilities.store import databases as store
from muniment.server.vulnerabilities.store.databases import NewRecord

_AT_ONCE: Final = 500
_MAX_PROBLEMS: Final = 100


async def import_(deps: Deps, job: Job) -> Database | None:
    """Import the file that `job` names; None if that is over, or it cannot be taken.

    Raises:
        GiveUp: there is no such import.
        NotFound: its bytes are not held; `fsck` says more.
    """
    import_id = uuid.UUID(str(job.payload["import_id"]))
    async with deps.db.transaction(read_only=True) as tx:
        try:
            wanted = await reads.get_import(tx, import_id)
        except NotFound:
            raise GiveUp(f"there is no import {import_id}") from None
    if wanted.state is not ImportState.DUE:
        return None
    try:
        async with _on_disk(deps, wanted.source_digest) as path:
            return await _run(deps, wanted, Path(path))
    except Unusable as error:
        async with deps.db.transaction() as tx:
            found = error.problems[:_MAX_PROBLEMS]
            await store.end_import(tx, import_id, ImportState.FAILED, problems=found)
        return None


async def _run(deps: Deps, wanted: Import, path: Path) -> Database:
    by = By(wanted.actor, deps.clock.now(), deps.clock.new_id)
    async with deps.db.transaction() as tx:
        importing = await actions.Importing.begin(tx, wanted)
        reading = _kev if wanted.ecosystem == KEV else _records
        dated_at = await reading(deps, wanted, path, importing)
        made = await importing.finish(dated_at, by)
        await actions.end(tx, wanted.id, made)
        return made


@dataclass(frozen=True, slots=True)
class _Batch:
    """Records that were read: ids of those that are there already, and new ones."""

    same: list[str]
    new: list[NewRecord]
    read: int


async def _records(
    deps: Deps, wanted: Import, path: Path, importing: actions.Importing
) -> dt.datetime | None:
    """Read every record of a dump; its date follows from the records."""
    dump = await asyncio.to_thread(Dump, path, wanted.source_name)
    try:
        members, done = dump.members(), 0
        while True:
            batch = await asyncio.to_thread(_batch, members, wanted.ecosystem, importing.known)
            if not batch.read:
                return None
            await importing.add(batch.same, batch.new)
            done += batch.read
            async with deps.db.transaction() as tx:
                await store.note_progress(tx, wanted.id, done, dump.count)
    finally:
        dump.close()


def _batch(members: Iterator[Member], ecosystem: str, known: dict[Digest, str]) -> _Batch:
    """Read the next records.

    Raises:
        Unusable: some cannot be taken; all of them in this batch are named.
    """
    batch, read = _Batch([], [], 0), 0
    problems: list[Mapping[str, Any]] = []
    for member in itertools.islice(members, _AT_ONCE):
        read += 1
        digest = digest_of(member.data)
        if digest in known:
            batch.same.append(known[digest])
            continue
        try:
            batch.new.append(_record(member, digest, ecosystem))
        except Unusable as error:
            problems += error.problems
    if problems:
        raise Unusable(problems)
    return _Batch(batch.same, batch.new, read)


def _record(member: Member, digest: Digest, ecosystem: str) -> NewRecord:
    document = evidence.read(member.data, member.place, LIMITS)
    if isinstance(document, Unreadable):
        raise Unusable(document.problems)
    if document.nonfinite:
        found = "expected a finite number, found NaN or an infinity"
        raise Unusable([evidence.problem(document.nonfinite[0], found)])
    advisory = read_advisory(document.value, member.place, ecosystem)
    try:
        body = stored.body_of(advisory)
    except UnicodeEncodeError:
        found = "expected Unicode text, found half of a surrogate pair"
        raise Unusable([evidence.problem(member.place, found)]) from None
    return NewRecord(
        osv_id=advisory.id,
        digest=digest,
        withdrawn=advisory.withdrawn,
        modified=advisory.modified,
        names=advisory.names,
        packages=stored.packages_of(advisory),
        body=body,
    )


async def _kev(
    deps: Deps, wanted: Import, path: Path, importing: actions.Importing
) -> dt.datetime | None:
    """Read the catalogue of known exploited vulnerabilities; it says its own date."""
    del deps
    if wanted.source_bytes > LIMITS.max_bytes:
        message = f"expected at most {LIMITS.max_bytes} bytes, found {wanted.source_bytes}"
        raise Unusable([evidence.problem(wanted.source_name, message)])
    data = await asyncio.to_thread(path.read_bytes)
    document = await asyncio.to_thread(evidence.read, data, wanted.source_name, LIMITS)
    if isinstance(document, Unreadable):
        raise Unusable(document.problems)
    dated_at, listed = read_exploited(document.value, wanted.source_name)
    new, same = [], []
    for one in listed:
        digest = stored.exploited_digest(one)
        if importing.known.get(digest) == one.name:
            same.append(one.name)
        else:
            new.append(
                NewRecord(
                    osv_id=one.name,
                    digest=digest,
                    withdrawn=False,
                    modified=dated_at,
                    names=[one.name],
                    packages=[],
                    body=stored.exploited_bytes(one),
                )
            )
    await importing.add(same, new)
    return dated_at


@contextlib.asynccontextmanager
async def _on_disk(deps: Deps, digest: Digest) -> AsyncIterator[str]:
    """Give the file of a blob; a copy of it where the store has none.

    Raises:
        NotFound: it is not held.
    """
    path = await deps.blobs.local_path(digest)
    if path is not None:
        yield path
        return
    folder = deps.settings.data_dir / "scanning"  # whose sweep removes what a killed job left
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder) as copy:
        async for chunk in deps.blobs.read(digest):
            await asyncio.to_thread(copy.write, chunk)
        await asyncio.to_thread(copy.flush)
        yield copy.name
