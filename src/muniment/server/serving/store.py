"""Rows of bindings and acknowledgements. Every function takes a `Tx`; none commits."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from typing import Final, LiteralString

from muniment.core.errors import NotFound
from muniment.core.names import AssetName, AssetRef, Namespace
from muniment.server.catalog.records import Mark
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Row, Tx
from muniment.server.serving.records import Binding, Ended, EndedAs, Found, Notice, Use
from muniment.server.serving.rules import standings
from muniment.server.serving.rules.uses import key_of

_BINDING: Final[LiteralString] = """
    b.id, b.asset_id, a.namespace, a.name, b.version_id, p.version, b.judged_version_id, b.system,
    b.endpoint, b.use_case, b.environment, b.reason, b.bound_at, b.actor_kind, b.actor_id, b.entry_id,
    b.ended_at, b.ended_as, b.ended_reason, b.ended_actor_kind, b.ended_actor_id, b.ended_entry_id
    FROM consumer_binding b JOIN asset a ON a.id = b.asset_id
    LEFT JOIN version p ON p.id = b.version_id"""
# The version a binding uses at $1 (null: now): the one it is bound to; else what its environment finds,
# rather by the alias `champion` and in full than as a trial; else the newest that is not retired, or the
# newest.
_USED: Final[LiteralString] = """
    LEFT JOIN LATERAL (
        SELECT d.version_id AS id FROM deployment d
        WHERE b.version_id IS NULL AND d.asset_id = b.asset_id AND d.environment = b.environment
          AND CASE WHEN $1::timestamptz IS NULL THEN d.ended_at IS NULL
                   ELSE d.since <= $1 AND (d.ended_at IS NULL OR d.ended_at > $1) END
        ORDER BY d.mode IN ('canary', 'shadow', 'challenger'), d.alias IS DISTINCT FROM 'champion',
                 d.since DESC, d.id DESC LIMIT 1
    ) live ON true
    LEFT JOIN LATERAL (
        SELECT x.id FROM version x
        WHERE b.version_id IS NULL AND live.id IS NULL AND x.asset_id = b.asset_id
          AND ($1::timestamptz IS NULL OR x.registered_at <= $1)
          AND (SELECT e.mark FROM version_standing_event e
               WHERE e.version_id = x.id AND ($1::timestamptz IS NULL OR e.at <= $1)
               ORDER BY e.revision DESC LIMIT 1) IS DISTINCT FROM 'retired'
        ORDER BY x.number DESC LIMIT 1
    ) newest ON true
    JOIN version u ON u.id = coalesce(
        b.version_id, live.id, newest.id,
        (SELECT x.id FROM version x
         WHERE x.asset_id = b.asset_id AND ($1::timestamptz IS NULL OR x.registered_at <= $1)
         ORDER BY x.number DESC LIMIT 1))"""
_USED_BY_NONE: Final[LiteralString] = (
    """
    SELECT u.id
    FROM (SELECT NULL::uuid AS version_id, $2::uuid AS asset_id, $3::text AS environment) b"""  # noqa: S608 -- constants
    + _USED
)
#: Bindings with the version each uses at $1 (null: now).
USING: Final[LiteralString] = "SELECT u.id AS uses_id," + _BINDING + _USED
# What was said of that version's end, since when, and when somebody said last that they know.
_NOTICE: Final[LiteralString] = """
    LEFT JOIN LATERAL (
        SELECT e.mark, e.about->>'reason' AS reason, e.about->>'replacement' AS replacement,
               e.about->>'sunset' AS sunset
        FROM version_standing_event e
        WHERE e.version_id = u.id AND ($1::timestamptz IS NULL OR e.at <= $1)
        ORDER BY e.revision DESC LIMIT 1
    ) said ON true
    LEFT JOIN LATERAL (
        SELECT min(e.at) AS at FROM version_standing_event e
        WHERE said.mark IS NOT NULL AND e.version_id = u.id
          AND e.revision > coalesce((
              SELECT max(f.revision) FROM version_standing_event f
              WHERE f.version_id = u.id AND ($1::timestamptz IS NULL OR f.at <= $1)
                AND (f.mark, f.about->>'reason', f.about->>'replacement', f.about->>'sunset')
                    IS DISTINCT FROM (said.mark, said.reason, said.replacement, said.sunset)), 0)
    ) since ON true
    LEFT JOIN LATERAL (
        SELECT k.at, k.actor_kind, k.actor_id, k.note FROM consumer_acknowledgement k
        WHERE since.at IS NOT NULL AND k.binding_id = b.id AND k.version_id = u.id
          AND ($1::timestamptz IS NULL OR k.at <= $1)
        ORDER BY k.at DESC, k.entry_id DESC LIMIT 1
    ) known ON true"""
#: What `rules.standings.is_due` says of bindings in `FOUND` that are current.
DUE: Final[LiteralString] = """
    since.at IS NOT NULL AND (known.at IS NULL OR known.at < since.at)
    AND NOT (b.judged_version_id = u.id AND b.bound_at >= since.at)"""
#: Bindings with the version each uses at $1 (null: now), and what it is told of that.
FOUND: Final[LiteralString] = (
    """
    SELECT u.id AS uses_id, u.version AS uses, said.mark, since.at AS noticed_at,
           said.reason AS notice_reason, said.replacement, said.sunset, known.at AS known_at,
           known.actor_kind AS known_kind, known.actor_id AS known_id, known.note AS known_note,
           """
    + DUE
    + " AS due,"
    + _BINDING
    + _USED
    + _NOTICE
)


async def insert(tx: Tx, new: Binding) -> None:
    """Insert a current binding."""
    await tx.execute(
        """
        INSERT INTO consumer_binding (id, asset_id, version_id, judged_version_id, system, endpoint,
                                      use_case, environment, use_sha256, reason, bound_at, actor_kind,
                                      actor_id, entry_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        """,
        new.id,
        new.asset_id,
        new.version_id,
        new.judged_version_id,
        new.use.system,
        new.use.endpoint,
        new.use.use_case,
        new.use.environment,
        key_of(new.asset_id, new.use).raw,
        new.reason,
        new.bound_at,
        new.actor.kind,
        new.actor.id,
        new.entry_id,
    )


async def end(tx: Tx, binding_id: uuid.UUID, ended: Ended) -> None:
    """End a current binding, which is locked."""
    await tx.execute(
        """
        UPDATE consumer_binding SET ended_at = $2, ended_as = $3, ended_reason = $4,
               ended_actor_kind = $5, ended_actor_id = $6, ended_entry_id = $7
        WHERE id = $1
        """,
        binding_id,
        ended.at,
        ended.ended_as.value,
        ended.reason,
        ended.actor.kind,
        ended.actor.id,
        ended.entry_id,
    )


async def insert_acknowledgement(  # noqa: PLR0917 -- the parts of one row
    tx: Tx,
    entry_id: uuid.UUID,
    found: Found,
    note: str,
    at: dt.datetime,
    actor: Actor,
) -> None:
    """Insert that somebody knows of the end of the version a binding uses."""
    await tx.execute(
        """
        INSERT INTO consumer_acknowledgement (entry_id, binding_id, version_id, note, at, actor_kind,
                                              actor_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        entry_id,
        found.binding.id,
        found.uses_id,
        note,
        at,
        actor.kind,
        actor.id,
    )


async def current(tx: Tx, asset_id: uuid.UUID, use: Use, *, lock: bool = False) -> Binding | None:
    """Return the current binding of a use, if there is one; with `lock`, nobody else ends it until `tx` does."""
    row = await tx.fetchrow(
        "SELECT"
        + _BINDING
        + " WHERE b.use_sha256 = $1 AND b.ended_at IS NULL"
        + (" FOR UPDATE OF b" if lock else ""),
        key_of(asset_id, use).raw,
    )
    return None if row is None else to_binding(row)


async def version_used(tx: Tx, asset_id: uuid.UUID, environment: str | None) -> uuid.UUID | None:
    """Return the version that a binding which names none would use now; None: there is none."""
    found: uuid.UUID | None = await tx.fetchval(
        _USED_BY_NONE,
        None,
        asset_id,
        environment,
    )
    return found


async def get(
    tx: Tx, binding_id: uuid.UUID, as_of: dt.datetime | None = None, *, lock: bool = False
) -> Found:
    """Return a binding with the version it uses; with `lock`, nobody else ends it until `tx` does.

    Raises:
        NotFound: there is none of that id, or was none at `as_of`.
    """
    if lock:
        await tx.execute("SELECT FROM consumer_binding WHERE id = $1 FOR UPDATE", binding_id)
    row = await tx.fetchrow(
        FOUND + " WHERE b.id = $2 AND ($1::timestamptz IS NULL OR b.bound_at <= $1)",
        as_of,
        binding_id,
    )
    if row is None:
        raise NotFound(f"there is no binding {binding_id}, or you may not see it")
    return to_found(row, as_of)


def to_binding(row: Row) -> Binding:
    """Return the binding in `row`."""
    ended = None
    if row["ended_at"] is not None:
        ended = Ended(
            at=row["ended_at"],
            ended_as=EndedAs(row["ended_as"]),
            reason=row["ended_reason"],
            actor=Actor(row["ended_actor_kind"], row["ended_actor_id"]),
            entry_id=row["ended_entry_id"],
        )
    return Binding(
        id=row["id"],
        asset_id=row["asset_id"],
        asset=AssetRef(Namespace(row["namespace"]), AssetName(row["name"])),
        version_id=row["version_id"],
        version=row["version"],
        judged_version_id=row["judged_version_id"],
        use=Use(row["system"], row["endpoint"], row["use_case"], row["environment"]),
        reason=row["reason"],
        bound_at=row["bound_at"],
        actor=Actor(row["actor_kind"], row["actor_id"]),
        entry_id=row["entry_id"],
        ended=ended,
    )


def to_found(row: Row, as_of: dt.datetime | None = None) -> Found:
    """Return the binding in `row` of `FOUND`, with the version it uses and its notice."""
    binding = to_binding(row)
    if binding.ended is not None and as_of is not None and binding.ended.at > as_of:
        binding = dataclasses.replace(binding, ended=None)
    return Found(binding, row["uses_id"], row["uses"], _notice(row, binding))


def _notice(row: Row, binding: Binding) -> Notice | None:
    since: dt.datetime | None = row["noticed_at"]
    if since is None:
        return None
    known = row["known_at"]
    return Notice(
        mark=Mark(row["mark"]),
        since=since,
        reason=row["notice_reason"] or "",
        replacement=row["replacement"],
        sunset=None if row["sunset"] is None else dt.date.fromisoformat(row["sunset"]),
        acknowledged_at=known,
        acknowledged_by=None if known is None else Actor(row["known_kind"], row["known_id"]),
        note=row["known_note"] or "",
        due=standings.is_due(binding, row["uses_id"], since, known),
    )
