"""Add a VEX document: kept byte-exact as evidence, with until when its statements hold."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from muniment.core.errors import BadEvidence
from muniment.server import evidence, ledger
from muniment.server.evidence.records import About, Assurance, Kept, New, Parsed
from muniment.server.identity.records import By
from muniment.server.ledger.records import Entry, Subject
from muniment.server.ports.db import Tx
from muniment.server.ports.keys import Signer
from muniment.server.vulnerabilities.records import Vex
from muniment.server.vulnerabilities.rules import folding
from muniment.server.vulnerabilities.rules.vex import LIFETIME_DEFAULT, LIFETIME_MAX
from muniment.server.vulnerabilities.store import results as store


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVex:
    """A document that was read, and is held; `expires_at` None: as long as is usual."""

    about: About
    file_name: str
    kept: Kept
    parsed: Parsed
    expires_at: dt.datetime | None


def check_expiry(expires_at: dt.datetime | None, now: dt.datetime) -> None:
    """Accept a time until which statements may hold.

    Raises:
        BadEvidence: it is over, or too far away.
    """
    if expires_at is None or now < expires_at <= now + LIFETIME_MAX:
        return
    message = (
        f"expected a time after now and within {LIFETIME_MAX.days} days,"
        f" found {expires_at:%Y-%m-%d %H:%M}"
    )
    raise BadEvidence(
        f"`expires_at`: {message}", problems=[{"field": "expires_at", "message": message}]
    )


async def add(tx: Tx, new: NewVex, by: By, signer: Signer) -> tuple[Vex, bool]:
    """Record a document and until when it holds; return that, and whether it is new.

    The same document again, for as long, is recorded once; for another time, that is said anew.

    Raises:
        BadEvidence: it names other digests than the version's, or its time is none. Nothing is
            written.
    """
    check_expiry(new.expires_at, by.at)
    made, _ = await evidence.record(
        tx,
        New(
            about=new.about,
            file_name=new.file_name,
            digest=new.kept.digest,
            size_bytes=new.kept.size_bytes,
            kept=new.kept,
            parsed=new.parsed,
            assurance=Assurance.ASSERTED,
        ),
        by,
        signer,
    )
    before = await store.newest_vex(tx, made.id)
    if before is not None:
        holds = before.expires_at > by.at
        if new.expires_at == before.expires_at or (new.expires_at is None and holds):
            return before, False
    vex = Vex(
        id=by.new_id(),
        evidence_id=made.id,
        subject_kind=made.subject_kind,
        subject_id=made.subject_id,
        subject_name=made.subject_name,
        asset_id=made.asset_id,
        expires_at=new.expires_at or by.at + LIFETIME_DEFAULT,
        added_at=by.at,
        actor=by.actor,
        entry_id=by.new_id(),
    )
    await store.insert_vex(tx, vex)
    entry = Entry(
        id=vex.entry_id,
        at=by.at,
        act=folding.VEX,
        actor=by.actor,
        subject=Subject("vex", str(vex.id), vex.subject_name, vex.asset_id),
        payload=folding.vex_payload(vex),
        digests=(new.kept.digest,),
    )
    await ledger.append(tx, entry)
    return vex, True
