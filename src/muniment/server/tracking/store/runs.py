"""Rows of runs and their metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, LiteralString

import msgspec

from muniment.server.ports.db import Row, Tx
from muniment.server.tracking.records import ACTIVE, Metric, Run, RunNotes

_COLUMNS: Final[LiteralString] = """
    SELECT r.id, r.experiment_id, r.name, r.user_name, r.principal_id, r.status, r.start_time_ms,
           r.end_time_ms, r.lifecycle_stage, r.params, r.tags, r.inputs, r.models_in, r.models_out
    FROM tracking_run r"""
_JSON: Final = ("params", "tags", "inputs", "models_in", "models_out")


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _run(row: Row, metrics: Sequence[Metric]) -> Run:
    plain = (name for name in Run.__slots__ if name not in {*_JSON, "metrics"})
    values: dict[str, Any] = {name: row[name] for name in plain}
    values |= {name: msgspec.json.decode(row[name]) for name in _JSON}
    return Run(metrics=metrics, **values)


def _metric(row: Row) -> Metric:
    return Metric(**{name: row[name] for name in Metric.__slots__})


async def create_run(tx: Tx, run: Run) -> None:
    """Keep a new run."""
    await tx.execute(
        """
        INSERT INTO tracking_run (id, experiment_id, name, user_name, principal_id, status,
                                  start_time_ms, tags)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb)
        """,
        run.id,
        run.experiment_id,
        run.name,
        run.user_name,
        run.principal_id,
        run.status,
        run.start_time_ms,
        _json(dict(run.tags)),
    )


async def find_run(tx: Tx, run_id: str, *, lock: bool = False) -> Run | None:
    """Return a run with the last value of each metric, or None; `lock` keeps others from it."""
    rows: LiteralString = " WHERE r.id = $1"
    row = await tx.fetchrow(_COLUMNS + rows + (" FOR UPDATE" if lock else ""), run_id)
    if row is None:
        return None
    return _run(row, (await _last_metrics(tx, [run_id])).get(run_id, ()))


async def list_runs(
    tx: Tx, experiments: Sequence[int], *, stages: Sequence[str], limit: int, offset: int = 0
) -> list[Run]:
    """Return runs of these experiments, newest first."""
    rows = await tx.fetch(
        _COLUMNS
        + """ WHERE r.experiment_id = ANY($1::bigint[]) AND r.lifecycle_stage = ANY($2::text[])
        ORDER BY r.start_time_ms DESC, r.id LIMIT $3 OFFSET $4""",
        list(experiments),
        list(stages) or [ACTIVE],
        limit,
        offset,
    )
    metrics = await _last_metrics(tx, [row["id"] for row in rows])
    return [_run(row, metrics.get(row["id"], ())) for row in rows]


async def _last_metrics(tx: Tx, runs: Sequence[str]) -> dict[str, list[Metric]]:
    rows = await tx.fetch(
        """
        SELECT DISTINCT ON (run_id, key) run_id, key, value, timestamp_ms, step, model_id,
               dataset_name, dataset_digest
        FROM tracking_metric WHERE run_id = ANY($1::text[])
        ORDER BY run_id, key, step DESC, timestamp_ms DESC, value DESC
        """,
        list(runs),
    )
    found: dict[str, list[Metric]] = {}
    for row in rows:
        found.setdefault(row["run_id"], []).append(_metric(row))
    return found


async def metric_history(
    tx: Tx, run_id: str, key: str, *, limit: int, offset: int = 0
) -> list[Metric]:
    """Return the values of a metric in order of time and step."""
    rows = await tx.fetch(
        """
        SELECT key, value, timestamp_ms, step, model_id, dataset_name, dataset_digest
        FROM tracking_metric WHERE run_id = $1 AND key = $2
        ORDER BY timestamp_ms, step, value LIMIT $3 OFFSET $4
        """,
        run_id,
        key,
        limit,
        offset,
    )
    return [_metric(row) for row in rows]


async def metrics_of_model(tx: Tx, model_id: str) -> list[tuple[str, Metric]]:
    """Return the values said of a logged model, each with its run."""
    rows = await tx.fetch(
        """
        SELECT run_id, key, value, timestamp_ms, step, model_id, dataset_name, dataset_digest
        FROM tracking_metric WHERE model_id = $1 ORDER BY key, step, timestamp_ms
        """,
        model_id,
    )
    return [(row["run_id"], _metric(row)) for row in rows]


async def update_run(tx: Tx, run: Run) -> None:
    """Write name, status, end and lifecycle stage of a run."""
    await tx.execute(
        """
        UPDATE tracking_run SET name = $2, status = $3, end_time_ms = $4, lifecycle_stage = $5
        WHERE id = $1
        """,
        run.id,
        run.name,
        run.status,
        run.end_time_ms,
        run.lifecycle_stage,
    )


async def note_run(tx: Tx, run_id: str, notes: RunNotes) -> None:
    """Add what is said of a run; a metric said before in the same words is there once."""
    await tx.execute(
        """
        UPDATE tracking_run
        SET params = params || $2::text::jsonb, tags = (tags || $3::text::jsonb) - $4::text[],
            inputs = inputs || $5::text::jsonb, models_in = models_in || $6::text::jsonb,
            models_out = models_out || $7::text::jsonb
        WHERE id = $1
        """,
        run_id,
        _json(dict(notes.params)),
        _json({key: value for key, value in notes.tags.items() if value is not None}),
        [key for key, value in notes.tags.items() if value is None],
        _json(list(notes.inputs)),
        _json(list(notes.models_in)),
        _json(list(notes.models_out)),
    )
    if notes.metrics:
        await tx.executemany(
            """
            INSERT INTO tracking_metric (run_id, key, step, timestamp_ms, value, model_id,
                                         dataset_name, dataset_digest)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING
            """,
            [
                (
                    run_id,
                    m.key,
                    m.step,
                    m.timestamp_ms,
                    m.value,
                    m.model_id,
                    m.dataset_name,
                    m.dataset_digest,
                )
                for m in notes.metrics
            ],
        )
