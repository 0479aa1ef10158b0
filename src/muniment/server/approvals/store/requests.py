"""Rows of requests and of comments on them. Every function takes a `Tx`; none commits."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Final, LiteralString

import msgspec

from muniment.core.canon import canonical
from muniment.core.digest import Digest
from muniment.core.errors import BadBody, NotFound
from muniment.core.names import AssetName, AssetRef, Namespace
from muniment.server.approvals.records import ChangeClass, Comment, Ended, Place, Request
from muniment.server.approvals.store.seen import OF_REQUEST, Scopes, scope_values
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Row, Tx

_REQUESTS: Final[LiteralString] = """
    SELECT r.id, r.asset_id, r.version_id, a.namespace, a.name, v.version, r.environment,
           r.change_class, r.reason, r.reference, r.re_conformity, r.frozen, r.frozen_sha256,
           r.opened_at, r.actor_kind, r.actor_id, r.entry_id, r.ended_at, r.ended_as,
           r.ended_reason, r.ended_entry_id, r.composite, r.member_assets
    FROM approval_request r JOIN version v ON v.id = r.version_id JOIN asset a ON a.id = r.asset_id
"""
_COMMENTS: Final[LiteralString] = """
    SELECT id, request_id, text, at, actor_kind, actor_id, entry_id, resolved_at, resolution,
           resolved_kind, resolved_id, resolved_entry_id
    FROM approval_comment
"""


async def places(tx: Tx) -> list[Place]:
    """Return the environments, in their order."""
    rows = await tx.fetch("SELECT name, lower(stage) AS stage FROM environment ORDER BY position")
    return [Place(row["name"], row["stage"]) for row in rows]


async def get_place(tx: Tx, name: str) -> Place:
    """Return the environment of that name.

    Raises:
        BadBody: there is none; the message names those there are.
    """
    known = await places(tx)
    for one in known:
        if one.name == name:
            return one
    message = f"expected one of {', '.join(one.name for one in known)}, found {name[:80]!a}"
    problem = {"field": "environment", "message": message, "fix": "choose one of them"}
    raise BadBody(f"`environment`: {message}", problems=[problem])


def _request(row: Row) -> Request:
    ended = row["ended_as"]
    return Request(
        id=row["id"],
        asset_id=row["asset_id"],
        version_id=row["version_id"],
        asset=AssetRef(Namespace(row["namespace"]), AssetName(row["name"])),
        version=row["version"],
        environment=row["environment"],
        change_class=ChangeClass(row["change_class"]),
        reason=row["reason"],
        reference=row["reference"],
        re_conformity=row["re_conformity"],
        frozen=msgspec.json.decode(row["frozen"]),
        frozen_sha256=Digest(row["frozen_sha256"]),
        opened_at=row["opened_at"],
        actor=Actor(row["actor_kind"], row["actor_id"]),
        entry_id=row["entry_id"],
        ended_at=row["ended_at"],
        ended_as=None if ended is None else Ended(ended),
        ended_reason=row["ended_reason"],
        ended_entry_id=row["ended_entry_id"],
        composite=row["composite"],
        member_assets=None if row["member_assets"] is None else tuple(row["member_assets"]),
    )


async def insert_request(tx: Tx, new: Request) -> None:
    """Write an open request.

    Raises:
        Conflict: one is open for that version, or composite, and environment.
    """
    await tx.execute(
        """
        INSERT INTO approval_request (id, asset_id, version_id, environment, change_class, reason,
                                      reference, re_conformity, frozen, frozen_sha256, opened_at,
                                      actor_kind, actor_id, entry_id, composite, member_assets)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
        """,
        new.id,
        new.asset_id,
        new.version_id,
        new.environment,
        new.change_class.value,
        new.reason,
        new.reference,
        new.re_conformity,
        canonical(dict(new.frozen)),
        new.frozen_sha256.raw,
        new.opened_at,
        new.actor.kind,
        new.actor.id,
        new.entry_id,
        new.composite,
        None if new.member_assets is None else list(new.member_assets),
    )


async def end_request(  # noqa: PLR0917 -- the parts of one change
    tx: Tx, request_id: uuid.UUID, ended: Ended, reason: str, at: dt.datetime, entry_id: uuid.UUID
) -> None:
    """Write what an open request, which is locked, came to."""
    await tx.execute(
        """
        UPDATE approval_request
        SET ended_at = $2, ended_as = $3, ended_reason = $4, ended_entry_id = $5 WHERE id = $1
        """,
        request_id,
        at,
        ended.value,
        reason,
        entry_id,
    )


async def get_request(tx: Tx, request_id: uuid.UUID, *, lock: bool = False) -> Request:
    """Return a request; with `lock`, nobody else signs or ends it until the transaction ends.

    Raises:
        NotFound: there is none of that id.
    """
    if lock:
        await tx.execute("SELECT FROM approval_request WHERE id = $1 FOR UPDATE", request_id)
    row = await tx.fetchrow(_REQUESTS + "WHERE r.id = $1", request_id)
    if row is None:
        raise NotFound(f"there is no request {request_id}")
    return _request(row)


#: Of what is asked for, by the id of a version alone, or by a CVI: the open request, else the newest.
_LATEST_ALONE: Final[LiteralString] = """
    WHERE r.id = (SELECT id FROM approval_request
                  WHERE version_id = $1 AND composite IS NULL AND environment = $2
                  ORDER BY ended_at IS NOT NULL, id DESC LIMIT 1)
"""
_LATEST_WHOLE: Final[LiteralString] = """
    WHERE r.id = (SELECT id FROM approval_request WHERE composite = $1 AND environment = $2
                  ORDER BY ended_at IS NOT NULL, id DESC LIMIT 1)
"""
_OPEN_ALONE: Final[LiteralString] = """
    SELECT id FROM approval_request WHERE version_id = $1 AND composite IS NULL AND environment = $2
                                          AND ended_at IS NULL FOR UPDATE
"""
_OPEN_WHOLE: Final[LiteralString] = """
    SELECT id FROM approval_request WHERE composite = $1 AND environment = $2 AND ended_at IS NULL
    FOR UPDATE
"""


async def latest_request(tx: Tx, key: uuid.UUID | str, environment: str) -> Request | None:
    """Return the request that is open for a version (its id) or composite (its CVI), else the newest."""
    latest = _LATEST_WHOLE if isinstance(key, str) else _LATEST_ALONE
    row = await tx.fetchrow(_REQUESTS + latest, key, environment)
    return None if row is None else _request(row)


async def find_open(tx: Tx, key: uuid.UUID | str, environment: str) -> Request | None:
    """Return the request that is open for a version (its id) or composite (its CVI), locked; or None."""
    request_id = await tx.fetchval(
        _OPEN_WHOLE if isinstance(key, str) else _OPEN_ALONE, key, environment
    )
    return None if request_id is None else await get_request(tx, request_id)


async def list_requests(
    tx: Tx,
    *,
    scopes: Scopes,
    version_id: uuid.UUID | None,
    composite: str | None,
    environment: str | None,
    state: str | None,
    after: uuid.UUID | None,
    limit: int,
) -> list[Request]:
    """Return requests, newest first, those after `after`; `state` is `open` or what they came to.

    `scopes` are (namespace, asset) that may be seen, None everything. Those of a version are of it alone.
    """
    rows = await tx.fetch(
        _REQUESTS
        + "WHERE"
        + OF_REQUEST
        + """
          AND ($4::uuid IS NULL OR (r.version_id = $4 AND r.composite IS NULL))
          AND ($5::text IS NULL OR r.composite = $5)
          AND ($6::text IS NULL OR r.environment = $6)
          AND ($7::text IS NULL OR coalesce(r.ended_as, 'open') = $7)
          AND ($8::uuid IS NULL OR r.id < $8)
        ORDER BY r.id DESC LIMIT $9
        """,
        *scope_values(scopes),
        version_id,
        composite,
        environment,
        state,
        after,
        limit,
    )
    return [_request(row) for row in rows]


# --- comments ------------------------------------------------------------------------------------


def _comment(row: Row) -> Comment:
    kind = row["resolved_kind"]
    return Comment(
        id=row["id"],
        request_id=row["request_id"],
        text=row["text"],
        at=row["at"],
        actor=Actor(row["actor_kind"], row["actor_id"]),
        entry_id=row["entry_id"],
        resolved_at=row["resolved_at"],
        resolution=row["resolution"],
        resolved_by=None if kind is None else Actor(kind, row["resolved_id"]),
        resolved_entry_id=row["resolved_entry_id"],
    )


async def insert_comment(tx: Tx, new: Comment) -> None:
    """Write an open comment."""
    await tx.execute(
        """
        INSERT INTO approval_comment (id, request_id, text, at, actor_kind, actor_id, entry_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        new.id,
        new.request_id,
        new.text,
        new.at,
        new.actor.kind,
        new.actor.id,
        new.entry_id,
    )


async def resolve_comment(
    tx: Tx,
    comment_id: uuid.UUID,
    resolution: str,
    *,
    at: dt.datetime,
    actor: Actor,
    entry_id: uuid.UUID,
) -> None:
    """Write how an open comment was resolved, and by whom."""
    await tx.execute(
        """
        UPDATE approval_comment SET resolved_at = $2, resolution = $3, resolved_kind = $4,
                                    resolved_id = $5, resolved_entry_id = $6
        WHERE id = $1
        """,
        comment_id,
        at,
        resolution,
        actor.kind,
        actor.id,
        entry_id,
    )


async def comments_of(tx: Tx, request_id: uuid.UUID) -> list[Comment]:
    """Return the comments on a request, in order."""
    rows = await tx.fetch(_COMMENTS + "WHERE request_id = $1 ORDER BY id", request_id)
    return [_comment(row) for row in rows]
