"""Rows of namespaces and of changes of how they are governed. None of these commits."""

from __future__ import annotations

import datetime as dt
from typing import Final, LiteralString

from muniment.core.errors import NotFound
from muniment.core.names import Namespace
from muniment.server.catalog.records import (
    GovernedNamespace,
    Mode,
    NamespaceEvent,
    NamespaceState,
)
from muniment.server.catalog.rules.governing import own_field_json, own_fields, state_before
from muniment.server.catalog.rules.versions import json_text, parse_json
from muniment.server.identity.records import By
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Row, Tx

_COLUMNS: Final[LiteralString] = """
    SELECT name, created_at, actor_kind, actor_id, mode, production_aliases,
           required_fields::text AS required_fields, revision, updated_at
    FROM namespace"""


async def insert_namespace(tx: Tx, name: Namespace, state: NamespaceState, by: By) -> bool:
    """Insert a namespace; return whether it is new."""
    made = await tx.fetchval(
        """
        INSERT INTO namespace (name, created_at, actor_kind, actor_id, mode, production_aliases,
                               revision, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, 1, $2) ON CONFLICT DO NOTHING RETURNING true
        """,
        str(name),
        by.at,
        by.actor.kind,
        by.actor.id,
        state.mode.value,
        list(state.production_aliases),
    )
    return made is not None


async def find_namespace(tx: Tx, name: Namespace) -> GovernedNamespace | None:
    """Return the namespace of that name, or None."""
    row = await tx.fetchrow(_COLUMNS + " WHERE name = $1", str(name))
    return None if row is None else _to_namespace(row)


async def get_namespace(tx: Tx, name: Namespace) -> GovernedNamespace:
    """Return the namespace of that name.

    Raises:
        NotFound: there is none.
    """
    found = await find_namespace(tx, name)
    if found is None:
        raise _none(name)
    return found


def _none(name: Namespace) -> NotFound:
    return NotFound(
        f"there is no namespace {name}, or you may not see it: it is made with its first asset,"
        f" or by `muniment namespace create {name}`"
    )


async def lock_namespace(tx: Tx, name: Namespace) -> GovernedNamespace:
    """Return the namespace of that name, its row locked until `tx` ends.

    Raises:
        NotFound: there is none.
    """
    row = await tx.fetchrow(_COLUMNS + " WHERE name = $1 FOR NO KEY UPDATE", str(name))
    if row is None:
        raise _none(name)
    return _to_namespace(row)


async def list_namespaces(tx: Tx, names: list[str] | None) -> list[GovernedNamespace]:
    """Return the namespaces of these names (None: all), by name."""
    rows = await tx.fetch(
        _COLUMNS + " WHERE $1::text[] IS NULL OR name = ANY($1) ORDER BY name", names
    )
    return [_to_namespace(row) for row in rows]


async def govern_namespace(tx: Tx, event: NamespaceEvent) -> None:
    """Make what `event` says of a namespace hold, and keep it."""
    await tx.execute(
        """
        WITH held AS (
            UPDATE namespace SET mode = $7, production_aliases = $8, revision = $2, updated_at = $3,
                                 required_fields = $11::text::jsonb
            WHERE name = $1
        )
        INSERT INTO namespace_event (name, revision, at, actor_kind, actor_id, reason, mode,
                                     production_aliases, changes, entry_id, required_fields)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10, $11::text::jsonb)
        """,
        str(event.name),
        event.revision,
        event.at,
        event.actor.kind,
        event.actor.id,
        event.reason,
        event.state.mode.value,
        list(event.state.production_aliases),
        json_text({name: list(pair) for name, pair in event.changes.items()}),
        event.entry_id,
        json_text([own_field_json(one) for one in event.state.required_fields]),
    )


async def state_at(tx: Tx, name: Namespace, as_of: dt.datetime | None) -> NamespaceState:
    """Return how a namespace is governed, or was at `as_of`.

    Raises:
        NotFound: there is none.
    """
    now = (await get_namespace(tx, name)).state
    if as_of is None:
        return now
    events = await namespace_events(tx, name)
    then = next((one for one in events if one.at <= as_of), None)
    if then is not None:
        return then.state
    return state_before(events[-1]) if events else now


async def namespace_events(tx: Tx, name: Namespace) -> list[NamespaceEvent]:
    """Return every change of how a namespace is governed, newest first."""
    rows = await tx.fetch(
        """
        SELECT name, revision, at, actor_kind, actor_id, reason, mode, production_aliases,
               changes::text AS changes, required_fields::text AS required_fields, entry_id
        FROM namespace_event WHERE name = $1 ORDER BY revision DESC
        """,
        str(name),
    )
    return [
        NamespaceEvent(
            name=Namespace(row["name"]),
            state=_state(row),
            revision=row["revision"],
            changes=parse_json(row["changes"]),
            reason=row["reason"],
            at=row["at"],
            actor=Actor(row["actor_kind"], row["actor_id"]),
            entry_id=row["entry_id"],
        )
        for row in rows
    ]


def _state(row: Row) -> NamespaceState:
    own = own_fields(row["required_fields"])
    return NamespaceState(Mode(row["mode"]), tuple(row["production_aliases"]), own)


def _to_namespace(row: Row) -> GovernedNamespace:
    return GovernedNamespace(
        name=Namespace(row["name"]),
        state=_state(row),
        revision=row["revision"],
        created_at=row["created_at"],
        created_by=Actor(row["actor_kind"], row["actor_id"]),
        updated_at=row["updated_at"],
    )
