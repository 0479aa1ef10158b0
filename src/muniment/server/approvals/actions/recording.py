"""How acts of this slice are recorded: one entry, and a line in the histories of asset and version."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from muniment.core.digest import Digest
from muniment.server import catalog, ledger
from muniment.server.approvals.records import Bar, Payload, Request
from muniment.server.catalog.records import HigherAct
from muniment.server.identity import By
from muniment.server.ledger.records import Entry, Subject
from muniment.server.ports.db import Tx
from muniment.server.ports.engine_pool import EnginePool
from muniment.server.ports.keys import Signer


@dataclass(frozen=True, slots=True)
class Tools:
    """What actions of this slice use beside the transaction: engines, the record key, the log's name."""

    engines: EnginePool
    record_key: Signer
    registry: str


@dataclass(frozen=True, slots=True)
class About:
    """Which version an act is about, by its ids and by its names.

    Of a composite these are its lead's; `version` and `ref`, which say what the act is about, its CVI.
    """

    asset_id: uuid.UUID
    version_id: uuid.UUID
    version: str
    ref: str
    composite: str | None = None


def about_of(request: Request) -> About:
    """Return what a request's acts are about."""
    version = request.composite or request.version
    return About(request.asset_id, request.version_id, version, request.name, request.composite)


@dataclass(frozen=True, slots=True)
class Barred:
    """The answer no to somebody who wanted to sign, recorded by that entry."""

    bar: Bar
    why: str
    entry_id: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One act: its name, on what, why, and what it changes for those who read the histories."""

    name: str
    kind: str
    id: uuid.UUID
    reason: str = ""
    changes: Mapping[str, tuple[Any, Any]]
    digests: tuple[Digest, ...] = ()
    predicate_type: str | None = None


async def record(
    tx: Tx,
    about: About,
    act: Act,
    payload: Payload,
    by: By,
    *,
    entry_id: uuid.UUID,
    at: dt.datetime,
    signer: Signer | None = None,
) -> None:
    """Append the entry of an act, and keep the act for the histories."""
    done = HigherAct(
        entry_id=entry_id,
        asset_id=about.asset_id,
        version_ids=(about.version_id,),
        at=at,
        act=act.name,
        subject=about.version,
        actor=by.actor,
        reason=act.reason,
        changes=act.changes,
    )
    await catalog.note_act(tx, done)
    entry = Entry(
        id=entry_id,
        at=at,
        act=act.name,
        actor=by.actor,
        subject=Subject(act.kind, str(act.id), about.ref, about.asset_id),
        payload={
            **payload,
            "version_id": str(about.version_id),
            **({} if about.composite is None else {"composite": about.composite}),
            "event": catalog.higher_payload(done),
        },
        digests=act.digests,
        predicate_type=act.predicate_type,
    )
    await ledger.append(tx, entry, signer)


async def refuse(  # noqa: PLR0917 -- the parts of one act
    tx: Tx, about: About, act: Act, barred: tuple[Bar, str], said: Mapping[str, Any], by: By
) -> Barred:
    """Record that somebody wanted to sign and may not; return the answer."""
    bar, why = barred
    entry_id = by.new_id()
    payload = {"refused": {"bar": bar.value, "why": why, **said}}
    await record(tx, about, act, payload, by, entry_id=entry_id, at=by.at)
    return Barred(bar, why, entry_id)
