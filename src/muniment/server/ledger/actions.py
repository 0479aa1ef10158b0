"""Writing to the log, inside the transaction of the act itself."""

from __future__ import annotations

import secrets
import uuid

from muniment.core.errors import BadBody
from muniment.server.ledger import rules, store
from muniment.server.ledger.records import Entry
from muniment.server.ports.db import Tx
from muniment.server.ports.keys import Signer


async def append(tx: Tx, entry: Entry, signer: Signer | None = None) -> None:
    """Record one act: it is in the log exactly if `tx` commits.

    One statement, no lock; it carries the MAC that the sequencer asks for (ADR 0009). Call it after the statements that wait for other transactions (row
    locks, unique keys), so that the log has acts in the order in which the tables took them.
    With `entry.predicate_type` set, the record is signed by `signer` (the record key) and its leaf
    is a hashedrekord body.

    Raises:
        BadBody: the entry is malformed, or asks for a signature and no signer came.
        TooLarge: its leaf or payload is over the limit. Nothing is written in either case.
    Source: design §5.1, §5.3.
    """
    written = rules.write(entry, salt=secrets.token_hex(16), signer=signer)
    mac = tx.mac(rules.mac_input(entry.id, entry.subject.asset_id, written.leaf))
    await store.insert_entry(tx, entry, written, mac)
    tx.signal("ledger")


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
