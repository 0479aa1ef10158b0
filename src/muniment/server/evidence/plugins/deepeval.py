"""Test runs of deepeval: `.deepeval/.latest_run_full.json`.

The file says neither model, version nor time. Errors are left out of passes and fails. The judge is
named only beside each metric of each case.

Source: confident-ai/deepeval, `test_run/`, executed 4.3; requirements §4.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from muniment.server.evidence.plugins import evaluations
from muniment.server.evidence.records import EvidenceKind, Flag, Metric, Parsed, Run, Unreadable
from muniment.server.evidence.rules.reading import (
    Document,
    clean,
    count_at,
    items_at,
    refusal,
    text_at,
    walk,
)


class DeepEval:
    """Reads a test run of deepeval."""

    name = "deepeval"
    version = "1"
    kind = EvidenceKind.EVALUATION
    takes_nonfinite = False

    def recognises(self, document: Document) -> bool:
        """Test cases beside scores by metric."""
        value = document.value
        return isinstance(walk(value, "testCases"), list) and isinstance(
            walk(value, "metricsScores"), list
        )

    def parse(self, document: Document) -> Parsed | Unreadable:
        """Read the mean score and the pass rate of each metric."""
        value = document.value
        metrics = tuple(_metrics(value))
        if not metrics:
            return refusal(
                f"{document.name} /metricsScores",
                "expected scores of at least one metric, found none",
            )
        cases = [*items_at(value, "testCases"), *items_at(value, "conversationalTestCases")]
        judges = sorted({text_at(one, "evaluationModel") or "" for one in _data(cases)} - {""})
        run = Run(
            tool_name="deepeval",
            n=len(cases),
            dataset=text_at(value, "datasetAlias"),
            judge=clean(", ".join(judges), 200) or None,
        )
        details = {
            "identifier": text_at(value, "identifier"),
            "test_file": text_at(value, "testFile"),
        }
        searched = [walk(value, "hyperparameters"), walk(value, "prompts")]
        return evaluations.parsed(
            self, run, metrics, _flags(value, cases), details=details, searched=searched
        )


def _data(cases: list[Any]) -> Iterator[Any]:
    for case in cases:
        yield from items_at(case, "metricsData")


def _metrics(value: Any) -> Iterator[Metric]:
    for each in items_at(value, "metricsScores"):
        name = text_at(each, "metric")
        scores = [
            one
            for one in items_at(each, "scores")
            if isinstance(one, int | float) and not isinstance(one, bool)
        ]
        if name is None:
            continue
        name = clean(name, 100)
        if scores:
            yield evaluations.named(
                Metric(metric=name, value=float(sum(scores)) / len(scores), n=len(scores))
            )
        passes, fails = count_at(each, "passes"), count_at(each, "fails")
        if passes is not None and fails is not None and passes + fails:
            rate = passes / (passes + fails)
            dimension = evaluations.dimension(name)
            yield Metric(
                metric=f"{name} pass rate",
                value=rate,
                n=passes + fails,
                higher_is_better=True,
                dimension=dimension,
            )


def _flags(value: Any, cases: list[Any]) -> Iterator[Flag]:
    scores = items_at(value, "metricsScores")
    if any((count_at(one, "errors") or 0) > 0 for one in scores):
        yield Flag.SAMPLE_ERRORS
    if any(walk(one, "flaky") is True for one in [*cases, *_data(cases)]):
        yield Flag.FLAKY
    passed, failed = count_at(value, "testPassed"), count_at(value, "testFailed")
    told = sum(walk(case, "success") is True for case in cases)
    untold = sum(walk(case, "success") is False for case in cases)
    if passed is not None and failed is not None and (passed, failed) != (told, untold):
        yield Flag.EDITED
    for one in scores:
        name = walk(one, "metric")
        in_cases = sorted(
            float(data["score"])
            for data in _data(cases)
            if walk(data, "name") == name and isinstance(walk(data, "score"), int | float)
        )
        summed = sorted(
            float(each) for each in items_at(one, "scores") if isinstance(each, int | float)
        )
        if in_cases and in_cases != summed:
            yield Flag.EDITED
    if any(walk(data, "evaluationCost") is not None for data in _data(cases)) and not any(
        text_at(data, "evaluationModel") for data in _data(cases)
    ):
        yield Flag.MISSING_JUDGE


PARSER: Final = DeepEval()
