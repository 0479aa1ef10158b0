"""Snapshots of Evidently (0.7), and reports and test suites of versions before.

The file says neither model, data, size nor time. Presets add tests with thresholds that nobody
chose. Whether a drift score is bad when small or large depends on the method, so no direction is
said of it.

Source: evidentlyai/evidently, `core/report.py`, executed 0.7.23; requirements §4.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from muniment.server.evidence.plugins import evaluations
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
    refusal,
    text_at,
    walk,
)

_PREFIX: Final = "evidently:"
_STATES: Final = frozenset({"SUCCESS", "FAIL", "WARNING", "ERROR", "SKIPPED"})


class Evidently:
    """Reads what Evidently measured and tested."""

    name = "evidently"
    version = "1"
    kind = EvidenceKind.EVALUATION
    takes_nonfinite = True

    def recognises(self, document: Document) -> bool:
        """Metrics with the tool's types, or the older shapes."""
        value = document.value
        first = walk(value, "metrics", 0)
        if (text_at(first, "config", "type") or "").startswith(_PREFIX):
            return True
        if text_at(first, "metric") and isinstance(walk(first, "result"), dict):
            return True
        return isinstance(walk(value, "summary", "by_status"), dict) and isinstance(
            walk(value, "tests"), list
        )

    def parse(self, document: Document) -> Parsed | Unreadable:
        """Read every number, and the share of tests that passed."""
        value = document.value
        metrics = (*_metrics(value), *_tests(value))
        if not metrics:
            return refusal(
                document.name, "expected at least one metric with a number, or a test; found none"
            )
        run = Run(tool_name="evidently", tool_version=text_at(value, "version"))
        flags = set(_flags(value))
        if document.nonfinite:
            flags.add(Flag.NOT_A_NUMBER)
        return evaluations.parsed(self, run, metrics, flags, details=_details(value))


def _metrics(value: Any) -> Iterator[Metric]:
    for each in items_at(value, "metrics"):
        name = clean(text_at(each, "metric_name") or text_at(each, "metric") or "", 300)
        found = walk(each, "value" if walk(each, "metric_name") is not None else "result")
        if number_at({"v": found}, "v") is not None:
            yield _metric(name, "", number_at({"v": found}, "v") or 0.0)
        for part, _ in members_at(found):
            number = number_at(found, part)
            if number is not None:
                yield _metric(name, clean(part, 100), number)


def _metric(name: str, part: str, number: float) -> Metric:
    short = name.partition("(")[0]
    drift = "drift" in name.lower()
    return Metric(
        metric=f"{short}.{part}" if part else short,
        value=number,
        task=name,
        dimension=Dimension.ROBUSTNESS if drift else evaluations.dimension(short),
        higher_is_better=None if drift else evaluations.higher_is_better(short),
    )


def _states(value: Any) -> list[str]:
    return [str(walk(test, "status")).upper() for test in items_at(value, "tests")]


def _tests(value: Any) -> Iterator[Metric]:
    counted = [state for state in _states(value) if state in _STATES - {"SKIPPED", "ERROR"}]
    if counted:
        share = counted.count("SUCCESS") / len(counted)
        yield Metric(
            metric="tests_passed",
            value=share,
            n=len(counted),
            higher_is_better=True,
            dimension=Dimension.QUALITY,
        )


def _flags(value: Any) -> Iterator[Flag]:
    yield Flag.MISSING_N
    states = _states(value)
    if "ERROR" in states:
        yield Flag.SAMPLE_ERRORS
    for test in items_at(value, "tests"):
        # A preset's own tests come without a configuration.
        if walk(test, "test_config") == {}:
            yield Flag.DEFAULT_THRESHOLDS
    summary = walk(value, "summary")
    passed = count_at(summary, "success_tests")
    if passed is not None and passed != states.count("SUCCESS"):
        yield Flag.EDITED


def _details(value: Any) -> dict[str, Any]:
    failed = [
        clean(text_at(test, "name") or "", 200)
        for test in items_at(value, "tests")
        if str(walk(test, "status")).upper() in {"FAIL", "ERROR"}
    ]
    return {"failed_tests": failed[:200]}


PARSER: Final = Evidently()
