"""Rows of logged models."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Final, LiteralString

import msgspec

from muniment.server.ports.db import Row, Tx
from muniment.server.tracking.records import LoggedModel

_COLUMNS: Final[LiteralString] = """
    SELECT id, experiment_id, name, model_type, source_run_id, principal_id, status, created_at,
           updated_at, params, tags
    FROM tracking_model WHERE NOT deleted"""


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _model(row: Row) -> LoggedModel:
    return LoggedModel(
        **{name: row[name] for name in LoggedModel.__slots__ if name not in {"params", "tags"}},
        params=msgspec.json.decode(row["params"]),
        tags=msgspec.json.decode(row["tags"]),
    )


async def create_model(tx: Tx, model: LoggedModel) -> None:
    """Keep a new logged model."""
    await tx.execute(
        """
        INSERT INTO tracking_model (id, experiment_id, name, model_type, source_run_id, principal_id,
                                    status, created_at, updated_at, params, tags)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::jsonb, $11::text::jsonb)
        """,
        model.id,
        model.experiment_id,
        model.name,
        model.model_type,
        model.source_run_id,
        model.principal_id,
        model.status,
        model.created_at,
        model.updated_at,
        _json(dict(model.params)),
        _json(dict(model.tags)),
    )


async def find_model(tx: Tx, model_id: str) -> LoggedModel | None:
    """Return a logged model, or None."""
    row = await tx.fetchrow(_COLUMNS + " AND id = $1", model_id)
    return None if row is None else _model(row)


async def list_models(
    tx: Tx,
    experiments: Sequence[int],
    *,
    name: str | None,
    run_id: str | None,
    limit: int,
    offset: int = 0,
) -> list[LoggedModel]:
    """Return logged models of these experiments, newest first; of that name or run where given."""
    rows = await tx.fetch(
        _COLUMNS
        + """ AND experiment_id = ANY($1::bigint[]) AND ($2::text IS NULL OR name = $2)
        AND ($3::text IS NULL OR source_run_id = $3) ORDER BY created_at DESC, id LIMIT $4 OFFSET $5""",
        list(experiments),
        name,
        run_id,
        limit,
        offset,
    )
    return [_model(row) for row in rows]


async def finish_model(tx: Tx, model_id: str, status: str, now: dt.datetime) -> None:
    """Say how saving a logged model ended."""
    await tx.execute(
        "UPDATE tracking_model SET status = $2, updated_at = $3 WHERE id = $1",
        model_id,
        status,
        now,
    )


async def note_model(
    tx: Tx,
    model_id: str,
    *,
    params: Mapping[str, str],
    tags: Mapping[str, str | None],
    now: dt.datetime,
) -> None:
    """Add parameters and tags; a tag of None is taken off."""
    await tx.execute(
        """
        UPDATE tracking_model
        SET params = params || $2::text::jsonb, tags = (tags || $3::text::jsonb) - $4::text[],
            updated_at = $5
        WHERE id = $1
        """,
        model_id,
        _json(dict(params)),
        _json({key: value for key, value in tags.items() if value is not None}),
        [key for key, value in tags.items() if value is None],
        now,
    )


async def forget_model(tx: Tx, model_id: str, now: dt.datetime) -> None:
    """Hide a logged model; its bytes stay."""
    await tx.execute(
        "UPDATE tracking_model SET deleted = true, updated_at = $2 WHERE id = $1", model_id, now
    )
