"""What an entry must be, and the bytes that go into the log for it.

1. `act` is `noun.verb`; actor and subject say who and what.
2. The payload is JSON that RFC 8785 can write, has no member `salt`, and is at most 1 MiB.
3. The leaf is at most 65 535 bytes: an entry bundle counts them with two bytes.

Source: C2SP tlog-tiles (entry bundles); design §5.3.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import rfc8785

from muniment.core.digest import digest_of
from muniment.core.errors import BadBody, TooLarge
from muniment.server.http.records import Caller
from muniment.server.ledger.records import Actor, Entry, Written
from muniment.server.ports.keys import Signer

LEAF_MAX_BYTES = 65_535
PAYLOAD_MAX_BYTES = 1 << 20
_ACT = re.compile(r"[a-z][a-z_]*\.[a-z][a-z_]*")


def actor_of(caller: Caller) -> Actor:
    """Return who `caller` is in the log: the principal's kind and id."""
    return Actor(kind=caller.kind.value, id=str(caller.id))


def timestamp(at: dt.datetime) -> str:
    """Write `at` as RFC 3339 in UTC with six fractional digits and `Z`."""
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def check_entry(entry: Entry) -> None:
    """Refuse an entry that could not be recorded.

    Raises:
        BadBody: the act, the time or the payload is not what an entry takes. Nothing is written.
    """
    if not _ACT.fullmatch(entry.act):
        raise BadBody(f"expected an act like `asset.create`, found {entry.act[:80]!r}")
    if entry.at.tzinfo is None:
        raise BadBody("expected the time of an act in UTC, found one without a zone")
    if "salt" in entry.payload:
        raise BadBody("the payload's member `salt` is the ledger's own; name yours otherwise")


def check_sizes(*, leaf: bytes, payload: bytes) -> None:
    """Refuse bytes the log cannot hold.

    Raises:
        TooLarge: the leaf or the payload is over its limit. Nothing is written.
    """
    for name, data, limit in (
        ("leaf", leaf, LEAF_MAX_BYTES),
        ("payload", payload, PAYLOAD_MAX_BYTES),
    ):
        if len(data) > limit:
            raise TooLarge(
                f"the {name} of an entry has at most {limit} bytes, found {len(data)}; "
                "store large content as a blob and record its digest"
            )


def envelope_of(entry: Entry, payload: bytes) -> dict[str, Any]:
    """Return what the leaf of `entry` says: who did what to what, when, and its payload's digest.

    Source: design §5.3.
    """
    return {
        "schema": "muniment/entry/v1",
        "id": str(entry.id),
        "time": timestamp(entry.at),
        "actor": {"kind": entry.actor.kind, "id": entry.actor.id},
        "act": entry.act,
        "subject": {
            "kind": entry.subject.kind,
            "id": entry.subject.id,
            "name": entry.subject.name,
        },
        "digests": [str(digest) for digest in entry.digests],
        "payload_sha256": digest_of(payload).hex,
    }


def write(entry: Entry, *, salt: str, signer: Signer | None) -> Written:
    """Make the bytes of `entry`.

    Raises:
        BadBody: the entry asks for a signature and there is no `signer`, or its payload is not
            JSON that RFC 8785 can write.
        TooLarge: its leaf or payload is over the limit.
    """
    payload = rfc8785.dumps({**entry.payload, "salt": salt})
    leaf = rfc8785.dumps(envelope_of(entry, payload))
    check_sizes(leaf=leaf, payload=payload)
    if entry.predicate_type is None:
        return Written(leaf=leaf, payload=payload, bundle=None)
    raise NotImplementedError
