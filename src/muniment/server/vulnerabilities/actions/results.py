"""Record what was found of subjects, where it is not what was found before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from muniment.server import evidence, ledger
from muniment.server.evidence.records import About, Assurance, Kept, New, Unreadable
from muniment.server.identity.records import By
from muniment.server.ledger.records import Entry
from muniment.server.ledger.records import Subject as OfEntry
from muniment.server.ports.db import Tx
from muniment.server.ports.keys import Signer
from muniment.server.vulnerabilities.plugins.reports import PARSER
from muniment.server.vulnerabilities.records import Database, Examined, Matching
from muniment.server.vulnerabilities.rules import folding, results
from muniment.server.vulnerabilities.store import results as store
from muniment.server.vulnerabilities.store.results import Subject

#: Who vouches for a result that the registry made itself.
SIGNER: Final = "this registry"
_NAME: Final = "muniment-vulnerabilities.json"


@dataclass(frozen=True, slots=True)
class Result:
    """What was found of a subject, and its report: `data` is to be held before it is recorded."""

    subject: Subject
    found: str
    data: bytes


def result_of(
    subject: Subject,
    examined: Examined,
    databases: Sequence[Database],
    tool: tuple[str, str],
    times: tuple[dt.datetime, dt.datetime],
) -> Result:
    """Return the result of a subject; nothing is held or written."""
    data = results.report(
        examined, subject=subject.name, databases=databases, tool=tool, times=times
    )
    return Result(subject, results.digest(examined).hex, data)


async def record(tx: Tx, made: Sequence[tuple[Result, Kept]], by: By, signer: Signer) -> int:
    """Record results as evidence, where they differ from what was found last; return how many did.

    Each comes with its report, which is held.
    """
    await store.lock_results(tx)
    ids = [one.subject.id for one, _ in made]
    before = await store.latest_results(tx, results.FORMAT, ids)
    new = [
        _evidence(one, kept)
        for one, kept in made
        if before.get((one.subject.kind, one.subject.id)) != one.found
    ]
    return len(await evidence.record_all(tx, new, by, signer))


def _evidence(one: Result, kept: Kept) -> New:
    # What was written here is not read as if it were somebody's.
    document = evidence.Document(_NAME, "json", msgspec.json.decode(one.data))
    parsed = PARSER.parse(document)
    assert not isinstance(parsed, Unreadable), parsed.problems
    subject = one.subject
    return New(
        about=About(
            kind=subject.kind,
            id=subject.id,
            name=subject.name,
            asset_id=subject.asset_id,
            components=subject.bound,
            digests=frozenset(),
        ),
        file_name=_NAME,
        digest=kept.digest,
        size_bytes=kept.size_bytes,
        kept=kept,
        parsed=parsed,
        assurance=Assurance.VERIFIED,
        signer=SIGNER,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """All subjects were matched: what was found of each, and how many of them changed."""

    databases: Mapping[str, str]
    ruleset_id: str
    component_count: int
    found: Mapping[tuple[str, str], str]
    changed_count: int
    started_at: dt.datetime


async def record_matching(tx: Tx, ran: Ran, by: By) -> Matching:
    """Record that all SBOMs were matched against the newest snapshots."""
    made = Matching(
        id=by.new_id(),
        ruleset_id=ran.ruleset_id,
        databases=ran.databases,
        component_count=ran.component_count,
        subject_count=len(ran.found),
        changed_count=ran.changed_count,
        results_digest=results.results_digest(ran.found),
        started_at=ran.started_at,
        ended_at=by.at,
        entry_id=by.new_id(),
    )
    await store.insert_matching(tx, made)
    entry = Entry(
        id=made.entry_id,
        at=by.at,
        act=folding.MATCH,
        actor=by.actor,
        subject=OfEntry("vulnerability matching", str(made.id), "all SBOMs"),
        payload=folding.matching_payload(made),
        digests=(made.results_digest,),
    )
    await ledger.append(tx, entry)
    return made
