"""Rows of what people signed: approvals with their conditions, and exceptions. None commits."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Final, LiteralString

import msgspec

from muniment.core.canon import canonical
from muniment.core.digest import Digest
from muniment.core.errors import NotFound
from muniment.server import identity
from muniment.server.approvals.records import Approval, ConditionOf, RuleException
from muniment.server.approvals.store.seen import OF_ASSET, Scopes, scope_values
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Row, Tx

_APPROVALS: Final[LiteralString] = """
    SELECT id, request_id, person_id, role, decision, sign_off, comment, signed_by, key_id, nonce,
           statement_sha256, bundle, at, entry_id, review_step, came_in, made_by
    FROM approval
"""
_CONDITIONS: Final[LiteralString] = """
    SELECT c.id, c.approval_id, c.position, c.text, c.due, c.met_at, c.met_by, c.met_note,
           c.met_entry_id
    FROM approval_condition c
"""
_EXCEPTIONS: Final[LiteralString] = """
    SELECT x.id, x.asset_id, x.version_id, x.environment, x.rule, x.reason, x.control, x.until,
           x.person_id, x.role, x.signed_by, x.key_id, x.nonce, x.statement_sha256, x.bundle,
           x.granted_at, x.entry_id, x.revoked_at, x.revoked_kind, x.revoked_id, x.revoked_reason,
           x.revoked_entry_id, x.came_in, x.made_by,
           CASE a.namespace WHEN 'default' THEN '' ELSE a.namespace || '/' END
               || a.name || '@' || v.version AS ref
    FROM rule_exception x JOIN version v ON v.id = x.version_id JOIN asset a ON a.id = x.asset_id
"""


def _approval(row: Row) -> Approval:
    fields = dict(row)
    fields["statement_sha256"] = Digest(fields["statement_sha256"])
    fields["bundle"] = msgspec.json.decode(fields["bundle"])
    fields["came_in"] = identity.came_in_of(fields["came_in"], fields.pop("made_by"))
    return Approval(**fields)


async def insert_approval(tx: Tx, new: Approval, conditions: Sequence[ConditionOf]) -> None:
    """Write what somebody signed, and its conditions.

    Raises:
        Conflict: its nonce was used before.
    """
    await tx.execute(
        """
        INSERT INTO approval (id, request_id, person_id, role, decision, sign_off, comment, signed_by,
                              key_id, nonce, statement_sha256, bundle, at, entry_id, review_step,
                              came_in, made_by)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
        """,
        new.id,
        new.request_id,
        new.person_id,
        new.role,
        new.decision,
        new.sign_off,
        new.comment,
        new.signed_by,
        new.key_id,
        new.nonce,
        new.statement_sha256.raw,
        canonical(dict(new.bundle)),
        new.at,
        new.entry_id,
        new.review_step,
        *identity.came_in_row(new.came_in),
    )
    await tx.executemany(
        "INSERT INTO approval_condition (id, approval_id, position, text, due)"
        " VALUES ($1, $2, $3, $4, $5)",
        [(one.id, one.approval_id, one.position, one.text, one.due) for one in conditions],
    )


async def approvals_of(tx: Tx, request_id: uuid.UUID) -> list[Approval]:
    """Return all that was signed of a request, in order."""
    rows = await tx.fetch(_APPROVALS + "WHERE request_id = $1 ORDER BY at, id", request_id)
    return [_approval(row) for row in rows]


async def conditions_of(tx: Tx, request_id: uuid.UUID) -> list[ConditionOf]:
    """Return the conditions of all that was signed of a request, in order."""
    rows = await tx.fetch(
        _CONDITIONS
        + """
        JOIN approval p ON p.id = c.approval_id WHERE p.request_id = $1
        ORDER BY c.approval_id, c.position
        """,
        request_id,
    )
    return [ConditionOf(**dict(row)) for row in rows]


async def meet_condition(
    tx: Tx,
    condition_id: uuid.UUID,
    note: str,
    *,
    at: dt.datetime,
    person_id: uuid.UUID,
    entry_id: uuid.UUID,
) -> None:
    """Write when and by whom a condition was met."""
    await tx.execute(
        """
        UPDATE approval_condition SET met_at = $2, met_by = $3, met_note = $4, met_entry_id = $5
        WHERE id = $1
        """,
        condition_id,
        at,
        person_id,
        note,
        entry_id,
    )


# --- exceptions ----------------------------------------------------------------------------------


def _exception(row: Row) -> RuleException:
    fields = dict(row)
    fields["statement_sha256"] = Digest(fields["statement_sha256"])
    fields["bundle"] = msgspec.json.decode(fields["bundle"])
    fields["came_in"] = identity.came_in_of(fields["came_in"], fields.pop("made_by"))
    kind, actor_id = fields.pop("revoked_kind"), fields.pop("revoked_id")
    fields["revoked_by"] = None if kind is None else Actor(kind, actor_id)
    return RuleException(**fields)


async def insert_exception(tx: Tx, new: RuleException) -> None:
    """Write an exception.

    Raises:
        Conflict: its nonce was used before.
    """
    await tx.execute(
        """
        INSERT INTO rule_exception (id, asset_id, version_id, environment, rule, reason, control,
                                    until, person_id, role, signed_by, key_id, nonce,
                                    statement_sha256, bundle, granted_at, entry_id, came_in, made_by)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
        """,
        new.id,
        new.asset_id,
        new.version_id,
        new.environment,
        new.rule,
        new.reason,
        new.control,
        new.until,
        new.person_id,
        new.role,
        new.signed_by,
        new.key_id,
        new.nonce,
        new.statement_sha256.raw,
        canonical(dict(new.bundle)),
        new.granted_at,
        new.entry_id,
        *identity.came_in_row(new.came_in),
    )


async def revoke_exception(
    tx: Tx,
    exception_id: uuid.UUID,
    reason: str,
    *,
    at: dt.datetime,
    actor: Actor,
    entry_id: uuid.UUID,
) -> None:
    """Write that an exception, which is locked, holds no more."""
    await tx.execute(
        """
        UPDATE rule_exception SET revoked_at = $2, revoked_kind = $3, revoked_id = $4,
                                  revoked_reason = $5, revoked_entry_id = $6
        WHERE id = $1
        """,
        exception_id,
        at,
        actor.kind,
        actor.id,
        reason,
        entry_id,
    )


async def get_exception(tx: Tx, exception_id: uuid.UUID, *, lock: bool = False) -> RuleException:
    """Return an exception; with `lock`, nobody else revokes it until the transaction ends.

    Raises:
        NotFound: there is none of that id.
    """
    if lock:
        await tx.execute("SELECT FROM rule_exception WHERE id = $1 FOR UPDATE", exception_id)
    row = await tx.fetchrow(_EXCEPTIONS + "WHERE x.id = $1", exception_id)
    if row is None:
        raise NotFound(f"there is no exception {exception_id}")
    return _exception(row)


async def find_exception(tx: Tx, nonce: str) -> RuleException | None:
    """Return the exception that used a nonce, or None."""
    row = await tx.fetchrow(_EXCEPTIONS + "WHERE x.nonce = $1", nonce)
    return None if row is None else _exception(row)


async def exceptions_of(
    tx: Tx, version_ids: Sequence[uuid.UUID], environment: str, today: dt.date
) -> list[RuleException]:
    """Return exceptions of versions in an environment that hold on a day, newest first.

    At most 100 for each version.
    """
    rows = await tx.fetch(
        _EXCEPTIONS  # noqa: S608 -- columns only
        + """
        WHERE x.id IN (SELECT o.id FROM unnest($1::uuid[]) w (id) CROSS JOIN LATERAL (
                           SELECT e.id FROM rule_exception e
                           WHERE e.version_id = w.id AND e.environment = $2
                             AND e.revoked_at IS NULL AND e.until >= $3
                           ORDER BY e.id DESC LIMIT 100) o)
        ORDER BY x.id DESC
        """,
        list(version_ids),
        environment,
        today,
    )
    return [_exception(row) for row in rows]


async def list_exceptions(
    tx: Tx,
    *,
    scopes: Scopes,
    version_id: uuid.UUID | None,
    holding_on: dt.date | None,
    after: uuid.UUID | None,
    limit: int,
) -> list[RuleException]:
    """Return exceptions, newest first, those after `after`; only those that hold on a day, or all.

    `scopes` are (namespace, asset) that may be seen, None everything.
    """
    rows = await tx.fetch(
        _EXCEPTIONS
        + "WHERE"
        + OF_ASSET
        + """
          AND ($4::uuid IS NULL OR x.version_id = $4)
          AND ($5::date IS NULL OR (x.revoked_at IS NULL AND x.until >= $5))
          AND ($6::uuid IS NULL OR x.id < $6)
        ORDER BY x.id DESC LIMIT $7
        """,
        *scope_values(scopes),
        version_id,
        holding_on,
        after,
        limit,
    )
    return [_exception(row) for row in rows]
