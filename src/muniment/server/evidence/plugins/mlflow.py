"""`metrics.json` of MLflow's `evaluate`: a flat object of numbers (`EvaluationResult.save`).

It says only the numbers: no model, data, version or time. Latency of GenAI evaluators is in seconds.

Source: mlflow, `models/evaluation/base.py`, executed 3.17; `mlflow.metrics`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from muniment.server.evidence.plugins import evaluations
from muniment.server.evidence.records import EvidenceKind, Flag, Metric, Parsed, Run, Unreadable
from muniment.server.evidence.rules.reading import Document, clean, count_at, number_at

_MANY: Final = 2000
_SIGNS: Final = frozenset(
    {"example_count", "accuracy_score", "mean_absolute_error", "root_mean_squared_error", "recall_score",
     "precision_score", "true_negatives", "r2_score", "token_count"}
)  # fmt: skip
_AGGREGATE: Final = re.compile(r"[\w-]+(/v\d+)?/(mean|median|variance|p90|min|max|ratio|score)")
_COUNTS: Final = frozenset({"example_count", "token_count", "sum_on_target", "mean_on_target"})


class MlflowEvaluate:
    """Reads saved metrics of an MLflow evaluation."""

    name = "mlflow-evaluate"
    version = "1"
    kind = EvidenceKind.EVALUATION
    takes_nonfinite = True

    def recognises(self, document: Document) -> bool:
        """Nothing but numbers, with names that MLflow's evaluators give."""
        value = document.value
        if not isinstance(value, dict) or not 0 < len(value) <= _MANY:
            return False
        if not all(
            each is None or number_at(value, name) is not None for name, each in value.items()
        ):
            return False
        return not _SIGNS.isdisjoint(value) or any(_AGGREGATE.fullmatch(name) for name in value)

    def parse(self, document: Document) -> Parsed | Unreadable:
        """Read every number; `example_count` is how many there were."""
        value = document.value
        n = count_at(value, "example_count")
        flags = {Flag.NOT_A_NUMBER} if document.nonfinite else set()
        return evaluations.parsed(self, Run(tool_name="mlflow", n=n), _metrics(value, n), flags)


def _metrics(value: dict[str, object], n: int | None) -> Iterator[Metric]:
    for name in value:
        number = number_at(value, name)
        if number is None or name in _COUNTS:
            continue
        unit = "s" if name.startswith("latency") else ""
        yield evaluations.named(Metric(metric=clean(name, 100), value=number, n=n, unit=unit))


PARSER: Final = MlflowEvaluate()
