"""`metrics/…`: the values a run said of a metric."""

from __future__ import annotations

from typing import Final

import msgspec

from muniment.server import tracking
from muniment.server.facades.mlflow.routes.dialect import (
    endpoint,
    offset_of,
    page_size,
    token_for,
    tracking_allowed,
)
from muniment.server.facades.mlflow.routes.runs import run_of
from muniment.server.facades.mlflow.rules.render import metric_json
from muniment.server.facades.mlflow.rules.wire import given
from muniment.server.http.operation import Call, Operation, Reply
from muniment.server.http.records import Verb
from muniment.server.ports.db import Tx

_HISTORY_MAX: Final = 25_000


class HistoryOf(msgspec.Struct):
    """Which metric of which run."""

    metric_key: str
    run_id: str = ""
    run_uuid: str = ""
    max_results: int = _HISTORY_MAX
    page_token: str = ""


async def get_metric_history(call: Call, tx: Tx) -> Reply:
    """Return the values of a metric."""
    tracking_allowed(call, Verb.READ)
    query: HistoryOf = call.query
    run = await run_of(tx, query)
    limit = page_size(query.max_results, most=_HISTORY_MAX)
    offset = offset_of(query.page_token)
    found = await tracking.metric_history(
        tx, run.id, query.metric_key, limit=limit + 1, offset=offset
    )
    more = token_for(offset + limit) if len(found) > limit else None
    shown = [metric_json(one) for one in found[:limit]]
    return Reply(given(metrics=shown, next_page_token=more))


OPERATIONS: list[Operation] = [
    *endpoint("GET", "/mlflow/metrics/get-history", get_metric_history, HistoryOf),
]
