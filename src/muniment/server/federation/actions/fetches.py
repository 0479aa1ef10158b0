"""Asking for a version whose bytes are elsewhere, and ending that."""

from __future__ import annotations

import uuid
from typing import Final

from muniment.core.names import AssetRef
from muniment.server import catalog, ledger
from muniment.server.catalog.records import VersionState
from muniment.server.federation.records import About, Fetch, FetchState
from muniment.server.federation.rules.folding import ABANDON, RESERVE, about_json
from muniment.server.federation.store import fetches
from muniment.server.identity.records import By
from muniment.server.ledger.records import Actor, Entry, Subject
from muniment.server.ports import queue
from muniment.server.ports.db import Tx

#: Who gives up a fetch.
FETCHER: Final = Actor("system", "fetch")
REASON_MAX_CHARS: Final = 2000


async def ask_fetch(  # noqa: PLR0917 -- what is asked, by whom, done by which job
    tx: Tx, asset: AssetRef, source: str, about: About, by: By, job: str
) -> Fetch:
    """Reserve the asset's next number for a version to be fetched, and ask for the job that does it.

    While one is pending that the same principal asked for in the same words, that one is returned:
    a client that repeats its request gets the same number.

    Raises:
        NotFound: there is no such asset.
        BadBody: what is said of the version may not be said. Nothing is written in these cases.
    """
    catalog.check_version_state(VersionState(about.description, about.tags))
    found = await catalog.lock_asset(tx, asset)
    fetch = Fetch(
        id=by.new_id(),
        asset_id=found.id,
        asset=asset,
        number=found.next_number,
        source=source,
        about=about,
        asked_at=by.at,
        asked_by=by.actor,
        entry_id=by.new_id(),
    )
    same = await fetches.find_same(tx, fetch)
    if same is not None:
        return same
    await catalog.reserve_number(tx, found)
    await fetches.insert_fetch(tx, fetch)
    payload = {
        "asset_id": str(fetch.asset_id),
        "number": fetch.number,
        "fetch": {"id": str(fetch.id), "source": source, "about": about_json(about)},
    }
    await ledger.append(
        tx, Entry(fetch.entry_id, by.at, RESERVE, by.actor, _subject(fetch), payload)
    )
    await queue.enqueue(tx, job, {"fetch_id": str(fetch.id)})
    return fetch


def _subject(fetch: Fetch) -> Subject:
    return Subject("fetch", str(fetch.id), f"{fetch.asset}@{fetch.number}", fetch.asset_id)


async def fail_fetch(tx: Tx, fetch_id: uuid.UUID, reason: str, by: By) -> bool:
    """Give up a fetch for a reason that everybody who may read the asset sees; say if it was pending.

    Its number stays taken.
    """
    fetch = await fetches.find_fetch(tx, fetch_id, lock=True)
    if fetch is None or fetch.state is not FetchState.PENDING:
        return False
    shown = "".join(char if char.isprintable() else " " for char in reason)[:REASON_MAX_CHARS]
    await fetches.end_fetch(tx, fetch_id, by.at, reason=shown)
    payload = {"asset_id": str(fetch.asset_id), "number": fetch.number, "reason": shown}
    await ledger.append(tx, Entry(by.new_id(), by.at, ABANDON, by.actor, _subject(fetch), payload))
    return True
