"""Rows of experiments."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Final, LiteralString

import msgspec

from muniment.core.errors import AlreadyExists
from muniment.server.ports.db import Row, Tx
from muniment.server.tracking.records import Experiment

_COLUMNS: Final[LiteralString] = """
    SELECT id, name, lifecycle_stage, tags, created_at, updated_at FROM tracking_experiment"""


def _experiment(row: Row) -> Experiment:
    return Experiment(
        row["id"],
        row["name"],
        row["lifecycle_stage"],
        msgspec.json.decode(row["tags"]),
        row["created_at"],
        row["updated_at"],
    )


async def create_experiment(tx: Tx, name: str, tags: dict[str, str], now: dt.datetime) -> int:
    """Create an experiment; return its number.

    Raises:
        AlreadyExists: there is one of that name.
    """
    number = await tx.fetchval(
        """
        INSERT INTO tracking_experiment (name, tags, created_at, updated_at)
        VALUES ($1, $2::text::jsonb, $3, $3) ON CONFLICT (name) DO NOTHING RETURNING id
        """,
        name,
        msgspec.json.encode(tags).decode(),
        now,
    )
    if number is None:
        raise AlreadyExists(f"Experiment '{name}' already exists.")
    return int(number)


async def find_experiment(tx: Tx, key: int | str) -> Experiment | None:
    """Return the experiment of that number (int) or name (str), or None."""
    by: LiteralString = " WHERE id = $1" if isinstance(key, int) else " WHERE name = $1"
    row = await tx.fetchrow(_COLUMNS + by, key)
    return None if row is None else _experiment(row)


async def list_experiments(
    tx: Tx, *, names: list[str] | None, stages: Sequence[str], limit: int, offset: int = 0
) -> list[Experiment]:
    """Return experiments, last changed first; only those of `names` where given."""
    rows = await tx.fetch(
        _COLUMNS
        + """ WHERE lifecycle_stage = ANY($3::text[]) AND ($1::text[] IS NULL OR name = ANY($1))
        ORDER BY updated_at DESC, id DESC LIMIT $2 OFFSET $4""",
        names,
        limit,
        list(stages),
        offset,
    )
    return [_experiment(row) for row in rows]


async def tag_experiment(
    tx: Tx, number: int, tags: Mapping[str, str | None], now: dt.datetime
) -> None:
    """Set tags of an experiment; a tag of None is taken off."""
    await tx.execute(
        """
        UPDATE tracking_experiment
        SET tags = (tags || $2::text::jsonb) - $4::text[], updated_at = $3 WHERE id = $1
        """,
        number,
        msgspec.json.encode({k: v for k, v in tags.items() if v is not None}).decode(),
        now,
        [key for key, value in tags.items() if value is None],
    )


async def rename_experiment(tx: Tx, number: int, name: str, now: dt.datetime) -> None:
    """Give an experiment another name.

    Raises:
        AlreadyExists: another one has it.
    """
    done = await tx.execute(
        """
        UPDATE tracking_experiment SET name = $2, updated_at = $3
        WHERE id = $1
          AND NOT EXISTS (SELECT FROM tracking_experiment WHERE name = $2 AND id <> $1)
        """,
        number,
        name,
        now,
    )
    if done != "UPDATE 1":
        raise AlreadyExists(f"Experiment '{name[:300]}' already exists.")


async def stage_experiment(tx: Tx, number: int, stage: str, now: dt.datetime) -> None:
    """Hide an experiment and its runs, or show them again."""
    await tx.execute(
        "UPDATE tracking_experiment SET lifecycle_stage = $2, updated_at = $3 WHERE id = $1",
        number,
        stage,
        now,
    )
    await tx.execute(
        "UPDATE tracking_run SET lifecycle_stage = $2 WHERE experiment_id = $1", number, stage
    )
