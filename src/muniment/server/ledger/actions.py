"""Writing to the log, inside the transaction of the act itself."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Sequence
from typing import LiteralString

from muniment.core.errors import BadBody
from muniment.server.ledger import rules, store
from muniment.server.ledger.records import Entry, Written
from muniment.server.ports.db import Row, Tx
from muniment.server.ports.keys import Signer


async def append(tx: Tx, entry: Entry, signer: Signer | None = None) -> None:
    """Record one act: it is in the log exactly if `tx` commits.

    One statement, no lock; it carries the MAC that the sequencer asks for (ADR 0009). Call it after
    the statements that wait for other transactions (row locks, unique keys), so that the log has
    acts in the order in which the tables took them.
    With `entry.predicate_type` set, the record is signed by `signer` (the record key) and its leaf
    is a hashedrekord body.

    Raises:
        BadBody: the entry is malformed, or asks for a signature and no signer came.
        TooLarge: its leaf or payload is over the limit. Nothing is written in either case.
    Source: design §5.1, §5.3.
    """
    await store.insert_entry(tx, *_made(tx, entry, signer))
    tx.signal("ledger")


async def append_all(tx: Tx, entries: Sequence[Entry], signer: Signer | None = None) -> None:
    """Record acts of one transaction, as `append` each of them, in their order.

    Raises:
        BadBody, TooLarge: as `append`; nothing is written.
    """
    if len(entries) == 1:
        await append(tx, entries[0], signer)
    elif entries:
        # Signing thousands takes seconds: not on the loop that answers requests.
        made = await asyncio.to_thread(lambda: [_made(tx, one, signer) for one in entries])
        await store.insert_entries(tx, made)
        tx.signal("ledger")


def _made(tx: Tx, entry: Entry, signer: Signer | None) -> tuple[Entry, Written, bytes]:
    written = rules.write(entry, salt=secrets.token_hex(16), signer=signer)
    mac = tx.mac(rules.mac_input(entry.id, entry.subject.asset_id, written.leaf))
    return entry, written, mac


async def append_with(
    tx: Tx, entry: Entry, act: LiteralString, args: Sequence[object], signer: Signer | None = None
) -> Row | None:
    """Do an act and record it in the one statement that completes `tx`; return its row.

    `act` is common table expressions (`a AS (…), done AS (…)`) over the parameters `args`. The last
    is named `done` and has one row if the act was done; if it has none, because somebody changed
    what it stands on meanwhile, the act has written nothing, nothing is recorded, and `tx` goes on.
    What waits for other transactions must come before `done`: the log's order is the tables'.

    Raises:
        BadBody, TooLarge: as `append`.
        Conflict: a constraint the act did not foresee. Nothing is written in any of these cases.
    Source: design §5.1.
    """
    row = await store.insert_with(tx, _made(tx, entry, signer), act, args)
    if row is not None:
        tx.signal("ledger")
    return row


async def erase(tx: Tx, act: Entry) -> bool:
    """Erase the payload of the unsigned entry `act` is about, and record that; say if it had one.

    `act` is `entry.erase` on a subject of kind `entry` whose id is the entry's. What is left
    proves that there was a payload of that digest, not what it said.

    Raises:
        BadBody: `act` is about something else. Nothing is written.
    """
    if act.act != rules.ERASE or act.subject.kind != "entry":
        raise BadBody(f"expected `{rules.ERASE}` of an entry, found `{act.act}`")
    erased = await store.erase_payload(tx, uuid.UUID(act.subject.id))
    if erased:
        await append(tx, act)
    return erased
