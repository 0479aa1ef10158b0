"""End a binding; acknowledge for a consumer that the version it uses comes to an end."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any

from muniment.core.errors import LifecycleConflict
from muniment.server import catalog, ledger, lifecycle
from muniment.server.catalog.records import HigherAct
from muniment.server.identity import By
from muniment.server.ledger.records import Entry, Subject
from muniment.server.ports.db import Tx
from muniment.server.serving import store
from muniment.server.serving.records import Ended, EndedAs, Found
from muniment.server.serving.rules import folding


async def end(tx: Tx, binding_id: uuid.UUID, reason: str, by: By) -> Found:
    """End a binding; one that has ended stays as it is.

    Raises:
        NotFound: there is none of that id.
        BadBody: no reason is given. Nothing is written.
    """
    lifecycle.check_reason(reason, due_for="the end of a binding")
    found = await store.get(tx, binding_id, lock=True)
    binding = found.binding
    if binding.ended is not None:
        return found
    ended = Ended(
        at=max(binding.bound_at, by.at),
        ended_as=EndedAs.ENDED,
        reason=reason,
        actor=by.actor,
        entry_id=by.new_id(),
    )
    await store.end(tx, binding.id, ended)
    payload = {"binding_ended": folding.ended_json(binding, EndedAs.ENDED, reason)}
    changes = {"ended": (None, binding.use.use_case)}
    await _record(tx, found, folding.END, by, reason, payload, changes, ended.entry_id, ended.at)
    return dataclasses.replace(
        found, binding=dataclasses.replace(binding, ended=ended), notice=None
    )


async def acknowledge(tx: Tx, binding_id: uuid.UUID, note: str, by: By) -> Found:
    """Record that somebody knows for a consumer that the version it uses ends; once is enough.

    Raises:
        NotFound: there is none of that id.
        LifecycleConflict: the binding has ended, or the version it uses does not end.
        BadBody: the note is no text. Nothing is written.
    """
    lifecycle.check_reason(note)
    found = await store.get(tx, binding_id, lock=True)
    binding, notice = found.binding, found.notice
    if binding.ended is not None:
        raise LifecycleConflict(f"the binding {binding.id} has ended: there is nothing to know")
    if notice is None:
        raise LifecycleConflict(
            f"{binding.asset}@{found.uses} is not deprecated: there is nothing to acknowledge"
        )
    if not notice.due:
        return found
    entry_id, at = by.new_id(), max(notice.since, by.at)
    await store.insert_acknowledgement(tx, entry_id, found, note, at, by.actor)
    payload = {
        "acknowledgement": {
            "binding_id": str(binding.id),
            "version_id": str(found.uses_id),
            "note": note,
        }
    }
    changes = {"acknowledged": (None, notice.mark.value)}
    await _record(tx, found, folding.ACKNOWLEDGE, by, note, payload, changes, entry_id, at)
    return await store.get(tx, binding_id)


async def _record(  # noqa: PLR0913, PLR0917 -- the parts of one act
    tx: Tx,
    found: Found,
    act: str,
    by: By,
    reason: str,
    payload: Mapping[str, Any],
    changes: Mapping[str, tuple[Any, Any]],
    entry_id: uuid.UUID,
    at: dt.datetime,
) -> None:
    """Keep an act for the histories of asset and version, and append its entry."""
    binding = found.binding
    done = HigherAct(
        entry_id=entry_id,
        asset_id=binding.asset_id,
        version_ids=(found.uses_id,),
        at=at,
        act=act,
        subject=found.uses,
        actor=by.actor,
        reason=reason,
        changes={"system": (None, binding.use.system), **changes},
    )
    await catalog.note_act(tx, done)
    entry = Entry(
        id=entry_id,
        at=at,
        act=act,
        actor=by.actor,
        subject=Subject("consumer", str(binding.id), binding.use.system, binding.asset_id),
        payload={
            **payload,
            "version_id": str(found.uses_id),
            "event": catalog.higher_payload(done),
        },
    )
    await ledger.append(tx, entry)
