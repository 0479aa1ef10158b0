"""What the routes of policy share: digests and ids from paths, who acts, pages."""

from __future__ import annotations

import re
import uuid
from typing import Annotated, Final

import msgspec

from muniment.core.errors import NotFound
from muniment.server import ledger
from muniment.server.http.operation import Call
from muniment.server.http.paging import LIMIT_DEFAULT, Cursor, Limit, read_cursor
from muniment.server.identity import By
from muniment.server.policy.reads import bundles as reads
from muniment.server.ports.db import Tx

TAG: Final = "policy"
#: What stands for the digest of the bundle that is in force.
ACTIVE: Final = "active"
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")

DigestText = Annotated[
    str, msgspec.Meta(pattern="^[0-9a-f]{64}$", description="Digest of a policy bundle.")
]
Reason = Annotated[
    str, msgspec.Meta(min_length=1, max_length=2000, description="Why; kept in the history.")
]


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which page."""

    cursor: Cursor | None = None
    limit: Limit = LIMIT_DEFAULT


class _After(msgspec.Struct):
    id: uuid.UUID


def position(cursor: str | None) -> uuid.UUID | None:
    """Return the id after which a list goes on.

    Raises:
        BadCursor: the cursor was not given out by it.
    """
    return None if cursor is None else read_cursor(cursor, _After).id


def by(call: Call) -> By:
    """Return who acts, when, and where new ids come from."""
    return By(ledger.actor_of(call.caller), call.now, call.new_id)


async def digest_of(call: Call, tx: Tx, text: str) -> str:
    """Return the digest that a text is, or that of the bundle in force if it is `active`.

    Raises:
        NotFound: it is neither.
        Unavailable: no policy is in force.
    """
    if text == ACTIVE:
        return (await reads.active(tx, call.now)).digest
    if not _DIGEST.fullmatch(text):
        raise NotFound(f"expected `active` or the digest of a policy bundle, found {text[:80]!a}")
    return text


def id_of(call: Call, name: str) -> uuid.UUID:
    """Return the id in the path.

    Raises:
        NotFound: it is none.
    """
    try:
        return uuid.UUID(call.path[name])
    except ValueError:
        raise NotFound(f"there is nothing called {call.path[name][:80]!a}") from None
