"""What was done to an asset, a version or an alias, newest first.

An alias that moved as part of another act shows as that act.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from muniment.core.errors import BadCursor
from muniment.core.names import Alias
from muniment.server.catalog.records import AliasEvent, Event
from muniment.server.catalog.rules.versions import parse_json
from muniment.server.catalog.store.aliases import to_alias_event
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Row, Tx

#: Later than every act.
_END: Final = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)
_LAST: Final = uuid.UUID(int=(1 << 128) - 1)


@dataclass(frozen=True, slots=True)
class Span:
    """Which part of a history: acts before the position, at or before `as_of`, at most `limit`."""

    limit: int = 50
    as_of: dt.datetime | None = None
    before: tuple[dt.datetime, uuid.UUID] = (_END, _LAST)


def span_from(cursor: Mapping[str, Any] | None, limit: int, as_of: dt.datetime | None) -> Span:
    """Return the span that a cursor (`position_of`) continues.

    Raises:
        BadCursor: it was not given out by a history.
    """
    if cursor is None:
        return Span(limit, as_of)
    try:
        at = dt.datetime.fromisoformat(cursor["at"]).astimezone(dt.UTC)
        return Span(limit, as_of, (at, uuid.UUID(cursor["entry"])))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise BadCursor from None


def position_of(event: Event | AliasEvent) -> dict[str, Any]:
    """Return where in a history `event` stands, for a cursor."""
    return {"at": event.at.isoformat(), "entry": str(event.entry_id)}


_SAID: Final[LiteralString] = """
    SELECT n.at, n.entry_id, n.actor_kind, n.actor_id, n.reason, n.changes::text AS changes,
           coalesce(v.version, '') AS subject,
           n.subject_kind || CASE WHEN n.revision > 1 THEN '.annotate'
                                  WHEN n.subject_kind = 'asset' THEN '.create'
                                  ELSE '.register' END AS act
    FROM annotation n LEFT JOIN version v ON v.id = n.subject_id"""
_MOVED: Final[LiteralString] = """
    SELECT e.at, e.entry_id, e.actor_kind, e.actor_id, e.reason,
           jsonb_build_object('version', jsonb_build_array(w.version, v.version))::text,
           e.name, e.act
    FROM alias_event e
    LEFT JOIN version v ON v.id = e.version_id
    LEFT JOIN version w ON w.id = e.previous_version_id"""
_ABOVE: Final[LiteralString] = """
    SELECT h.at, h.entry_id, h.actor_kind, h.actor_id, h.reason, h.changes::text, h.subject, h.act
    FROM asset_event h"""
_SPAN_SAID: Final[LiteralString] = """
    AND n.at <= coalesce($2::timestamptz, 'infinity') AND (n.at, n.entry_id) < ($3, $4)"""
_SPAN_MOVED: Final[LiteralString] = """
    AND e.at <= coalesce($2::timestamptz, 'infinity') AND (e.at, e.entry_id) < ($3, $4)"""
_SPAN_ABOVE: Final[LiteralString] = """
    AND h.at <= coalesce($2::timestamptz, 'infinity') AND (h.at, h.entry_id) < ($3, $4)"""
_NEWEST_FIRST: Final[LiteralString] = " ORDER BY at DESC, entry_id DESC LIMIT $5"
_ASSET_HISTORY: Final[LiteralString] = (
    f"({_SAID} WHERE n.asset_id = $1{_SPAN_SAID}{_NEWEST_FIRST}) UNION ALL "
    f"({_MOVED} WHERE e.asset_id = $1 AND e.act = 'alias.set'{_SPAN_MOVED}{_NEWEST_FIRST}) "
    f"UNION ALL ({_ABOVE} WHERE h.asset_id = $1{_SPAN_ABOVE}{_NEWEST_FIRST}){_NEWEST_FIRST}"
)
_VERSION_HISTORY: Final[LiteralString] = (
    f"({_SAID} WHERE n.subject_id = $1{_SPAN_SAID}{_NEWEST_FIRST}) UNION ALL "
    f"({_MOVED} WHERE e.asset_id = $6 AND (e.version_id = $1 OR e.previous_version_id = $1)"
    f" AND e.act = 'alias.set'{_SPAN_MOVED}{_NEWEST_FIRST}) UNION ALL "
    f"({_ABOVE} WHERE h.asset_id = $6 AND (h.version_ids IS NULL OR $1 = ANY(h.version_ids))"
    f"{_SPAN_ABOVE}{_NEWEST_FIRST}){_NEWEST_FIRST}"
)


async def asset_history(tx: Tx, asset_id: uuid.UUID, span: Span) -> list[Event]:
    """Return what was done to an asset, its versions and its aliases; `limit` and one more."""
    rows = await tx.fetch(_ASSET_HISTORY, asset_id, *_values(span))
    return [_to_event(row) for row in rows]


async def version_history(
    tx: Tx, version_id: uuid.UUID, asset_id: uuid.UUID, span: Span
) -> list[Event]:
    """Return what was done to a version, and which aliases came and went; `limit` and one more."""
    rows = await tx.fetch(_VERSION_HISTORY, version_id, *_values(span), asset_id)
    return [_to_event(row) for row in rows]


def _values(span: Span) -> tuple[object, ...]:
    return (span.as_of, *span.before, span.limit + 1)


def _to_event(row: Row) -> Event:
    return Event(
        at=row["at"],
        act=row["act"],
        subject=row["subject"],
        actor=Actor(row["actor_kind"], row["actor_id"]),
        reason=row["reason"],
        changes=parse_json(row["changes"]),
        entry_id=row["entry_id"],
    )


async def alias_history(
    tx: Tx, asset_id: uuid.UUID, alias: Alias, span: Span
) -> list[tuple[AliasEvent, str | None, str | None]]:
    """Return the moves of an alias, each with the versions after and before; `limit` and one more."""
    rows = await tx.fetch(
        """
        SELECT e.asset_id, e.name, e.revision, e.version_id, e.previous_version_id, e.at,
               e.actor_kind, e.actor_id, e.reason, e.entry_id, e.act, v.version, w.version AS previous
        FROM alias_event e
        LEFT JOIN version v ON v.id = e.version_id
        LEFT JOIN version w ON w.id = e.previous_version_id
        WHERE e.asset_id = $1 AND e.at <= coalesce($2::timestamptz, 'infinity')
          AND (e.at, e.entry_id) < ($3, $4) AND e.name = $6
        ORDER BY e.at DESC, e.entry_id DESC LIMIT $5
        """,
        asset_id,
        *_values(span),
        str(alias),
    )
    return [(to_alias_event(row), row["version"], row["previous"]) for row in rows]
