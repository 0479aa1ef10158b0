"""`muniment/evaluation/v1`: a documented format for results of any tool.

Its schema is published at `docs/reference/evaluation.v1.schema.json`. It can say what no tool's own
file says: direction and interval of each metric, data and model by digest, and which of the six
dimensions do not apply, with the reason.

Source: R-074, R-076, R-082.
"""

from __future__ import annotations

import functools
import importlib.resources
from typing import Any, Final

import jsonschema_rs

from muniment.server.evidence.plugins import evaluations, sboms
from muniment.server.evidence.records import (
    Dimension,
    EvidenceKind,
    Flag,
    Metric,
    Parsed,
    Run,
    Unreadable,
)
from muniment.server.evidence.rules.reading import (
    Document,
    clean,
    count_at,
    items_at,
    members_at,
    number_at,
    problem,
    text_at,
    walk,
)

SCHEMA: Final = "muniment/evaluation/v1"
_COMPLETENESS: Final = {"partial": Flag.PARTIAL, "aborted": Flag.ABORTED, "failed": Flag.FAILED}


@functools.cache
def validator() -> jsonschema_rs.Validator:
    """Return the validator of the format."""
    at = importlib.resources.files("muniment.server.evidence") / "schemas" / "evaluation.v1.json"
    return jsonschema_rs.Draft202012Validator(
        sboms.load_schema(at), validate_formats=True, offline=True
    )


class Generic:
    """Reads the documented format."""

    name = "evaluation"
    version = "1"
    kind = EvidenceKind.EVALUATION
    takes_nonfinite = False

    def recognises(self, document: Document) -> bool:
        """It says so itself."""
        return text_at(document.value, "schema") == SCHEMA

    def parse(self, document: Document) -> Parsed | Unreadable:
        """Check against the schema, then take every metric as it says."""
        value = document.value
        problems = sboms.schema_problems(validator(), value, document.name)
        problems += list(_problems(value, document.name)) if not problems else []
        if problems:
            return Unreadable(tuple(problems))
        metrics = tuple(_metric(one) for one in items_at(value, "metrics"))
        flags = {
            _COMPLETENESS[each] for each in [walk(value, "completeness")] if each in _COMPLETENESS
        }
        not_applicable = {
            Dimension(name): clean(why, 500) for name, why in members_at(value, "not_applicable")
        }
        return evaluations.parsed(
            self, _run(value), metrics, flags, details={"note": text_at(value, "note")},
            not_applicable=not_applicable, searched=walk(value, "config"),
        )  # fmt: skip


def _problems(value: Any, name: str) -> list[dict[str, Any]]:
    """What a schema cannot say."""
    found = []
    for at, metric in enumerate(items_at(value, "metrics")):
        low, high = number_at(metric, "ci", 0), number_at(metric, "ci", 1)
        if low is not None and high is not None and low > high:
            found.append(
                problem(
                    f"{name} /metrics/{at}/ci", "expected the lower bound first", "exchange them"
                )
            )
    started, ended = (
        evaluations.local_moment(walk(value, "run", each)) for each in ("started", "ended")
    )
    if started is not None and ended is not None and ended < started:
        found.append(problem(f"{name} /run/ended", "expected it not before `started`"))
    return found


def _run(value: Any) -> Run:
    return Run(
        tool_name=text_at(value, "tool", "name"),
        tool_version=text_at(value, "tool", "version"),
        model=text_at(value, "model", "name"),
        model_digest=text_at(value, "model", "digest"),
        dataset=text_at(value, "dataset", "name"),
        dataset_digest=text_at(value, "dataset", "digest"),
        n=count_at(value, "dataset", "n"),
        started=evaluations.local_moment(walk(value, "run", "started")),
        ended=evaluations.local_moment(walk(value, "run", "ended")),
        judge=text_at(value, "judge", "model"),
        config_digest=text_at(value, "config_digest"),
        commit=text_at(value, "run", "commit"),
    )


def _metric(one: Any) -> Metric:
    said, higher = walk(one, "dimension"), walk(one, "higher_is_better")
    low, high = number_at(one, "ci", 0), number_at(one, "ci", 1)
    metric = Metric(
        metric=text_at(one, "metric") or "",
        value=number_at(one, "value") or 0.0,
        task=text_at(one, "task") or "",
        dimension=None if said is None else Dimension(said),
        higher_is_better=higher,
        unit=text_at(one, "unit") or "",
        n=count_at(one, "n"),
        stderr=number_at(one, "stderr"),
        ci=None if low is None or high is None else (low, high),
        ci_method=text_at(one, "ci_method") or "",
        slice=text_at(one, "slice"),
        min_group_n=count_at(one, "min_group_n"),
    )
    return evaluations.named(metric)


PARSER: Final = Generic()
