"""What came of a promotion that was asked for, as it is recorded: an entry for each asset it is about."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Sequence

from muniment.server import ledger
from muniment.server.catalog.records import HigherAct
from muniment.server.identity import By
from muniment.server.ledger.records import Entry, Subject
from muniment.server.lifecycle.actions.question import Part, Question
from muniment.server.lifecycle.actions.recording import Answer, keep_answer
from muniment.server.lifecycle.records import Payload, Refusal
from muniment.server.lifecycle.rules import folding
from muniment.server.lifecycle.rules import verdict as rules
from muniment.server.ports.db import Tx
from muniment.server.ports.keys import Signer


def refusal(question: Question, entry_id: uuid.UUID | None) -> Refusal:
    """Return the answer no, recorded by that entry."""
    return Refusal(
        question.lead.version,
        question.environment.name,
        question.verdict,
        question.mode,
        entry_id,
        rules.barred(question.verdict),
        question.cvi,
    )


async def refuse(tx: Tx, question: Question, by: By, reason: str) -> uuid.UUID:
    """Record that somebody asked and was refused; return the entry's id, of several the lead's."""
    rules_failed = [one.id for one in question.verdict.failed]
    changes = {
        "environment": (None, question.environment.name),
        "failed": (None, rules_failed),
        **({"composite": (None, question.cvi)} if question.cvi else {}),
    }
    entries = []
    for part in question.parts:
        entries.append(by.new_id())
        done = act_of(part, "promotion.refuse", by, entries[-1], by.at, reason)
        done = dataclasses.replace(done, changes=changes)
        await log(tx, question, part, done, {}, carried_out=False)
    return entries[0]


def act_of(  # noqa: PLR0917 -- the parts of one record
    part: Part, act: str, by: By, entry_id: uuid.UUID, at: dt.datetime, reason: str
) -> HigherAct:
    """Return the act for the histories, its changes still to be said."""
    return HigherAct(
        entry_id=entry_id,
        asset_id=part.asset.id,
        version_ids=(part.version.id,),
        at=at,
        act=act,
        subject=str(part.version.version),
        actor=by.actor,
        reason=reason,
        changes={},
    )


async def log(
    tx: Tx,
    question: Question,
    part: Part,
    done: HigherAct,
    payload: Payload,
    *,
    carried_out: bool,
    signer: Signer | None = None,
) -> None:
    """Keep the act for the histories, an attempt where the rules said no, and the one entry.

    With a `signer` the entry is a signed statement about the version's files (ADR 0006). Of a
    composite the document that policy was asked about is in the lead's entry.
    """
    lead = part.version.id == question.lead.version.id
    answer = Answer(
        namespace=part.namespace,
        version=part.version,
        environment=question.environment.name,
        step="promote",
        facts=rules.facts_json(part.facts),
        verdict=question.verdict,
        judged=question.judged if lead else None,
        composite=question.cvi,
        mode=question.mode,
        counted=part.version.id in _first_of_each(question.parts),
    )
    payload = {**payload, **await keep_answer(tx, answer, done, carried_out=carried_out)}
    version = part.version
    entry = Entry(
        id=done.entry_id,
        at=done.at,
        act=done.act,
        actor=done.actor,
        subject=Subject("version", str(version.id), version.name, part.asset.id),
        payload=payload,
        digests=() if signer is None else (version.manifest_digest,),
        predicate_type=None if signer is None else folding.PREDICATE_TYPE,
    )
    await ledger.append(tx, entry, signer)


def _first_of_each(parts: Sequence[Part]) -> set[uuid.UUID]:
    """Return the first version in each namespace."""
    first = {one.namespace.name: one.version.id for one in reversed(parts)}
    return set(first.values())
