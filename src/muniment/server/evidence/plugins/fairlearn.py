"""`fairness.json`: group metrics that fairlearn computes, in the format `muniment/fairness/v1`.

fairlearn has no file format of its own; `docs/guides/evidence.md` has a writer. The ratios are
computed again from the groups: ones that contradict them are flagged as edited. Both readings of a
ratio are given: smallest over largest, and each group over the most selected one (LL144).

Source: fairlearn, `metrics`; NYC LL144 §5-300 (impact ratio); requirements §4.2.
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
    problem,
    text_at,
    walk,
)

#: The format, and the name it had in early files.
SCHEMAS: Final = ("muniment/fairness/v1", "mrg/fairness/v1")
_TOLERANCE: Final = 1e-3
_NOT_METRICS: Final = frozenset({"group", "n"})
_SINGLE: Final = {"demographic_parity_ratio": "ci95"}


class Fairlearn:
    """Reads group metrics."""

    name = "fairlearn"
    version = "1"
    kind = EvidenceKind.EVALUATION
    takes_nonfinite = False

    def recognises(self, document: Document) -> bool:
        """It says so itself."""
        return walk(document.value, "schema") in SCHEMAS

    def parse(self, document: Document) -> Parsed | Unreadable:
        """Read the metrics of all, of each group, and the ratios between groups."""
        value = document.value
        problems = list(_problems(value, document.name))
        if problems:
            return Unreadable(tuple(problems))
        metrics = (*_overall(value), *_intersection(value), *_single(value), *_impact(value))
        run = Run(
            tool_name=text_at(value, "tool", "name"),
            tool_version=text_at(value, "tool", "version"),
            model=text_at(value, "model", "name"),
            model_digest=text_at(value, "model", "digest"),
            dataset=text_at(value, "dataset", "name"),
            dataset_digest=text_at(value, "dataset", "digest"),
            n=count_at(value, "n"),
            started=evaluations.local_moment(walk(value, "started")),
            ended=evaluations.local_moment(walk(value, "ended")),
        )
        details = {
            "sensitive_features": _features(value),
            "groups": len(items_at(value, "by_group")),
        }
        return evaluations.parsed(self, run, metrics, _flags(value), details=details)


def _features(value: Any) -> list[str]:
    return [
        clean(one, 100) for one in items_at(value, "sensitive_features") if isinstance(one, str)
    ]


def _problems(value: Any, name: str) -> Iterator[dict[str, Any]]:
    if count_at(value, "n") is None:
        yield problem(f"{name} /n", "expected how many there were", "add `n`")
    if not _features(value):
        yield problem(f"{name} /sensitive_features", "expected the features that make the groups")
    groups = items_at(value, "by_group")
    if not groups:
        yield problem(f"{name} /by_group", "expected the metrics of each group", "add `by_group`")
    for at, group in enumerate(groups[:1000]):
        if not isinstance(walk(group, "group"), dict) or count_at(group, "n") is None:
            yield problem(f"{name} /by_group/{at}", "expected `group` (its features) and `n`")


def _smallest(value: Any) -> int | None:
    sizes = [count_at(group, "n") or 0 for group in items_at(value, "by_group")]
    return min(sizes) if sizes else None


def _method(value: Any) -> str:
    method, times = text_at(value, "ci", "method"), count_at(value, "ci", "n_boot")
    return "" if method is None else f"{method}-{times}" if times else method


def _overall(value: Any) -> Iterator[Metric]:
    for name, _ in members_at(value, "overall"):
        number = number_at(value, "overall", name)
        if number is not None:
            yield evaluations.named(
                Metric(metric=clean(name, 100), value=number, n=count_at(value, "n"))
            )


def _intersection(value: Any) -> Iterator[Metric]:
    """Ratios and differences over all groups, which are the features' intersections."""
    where: dict[str, Any] = {
        "slice": "\N{MULTIPLICATION SIGN}".join(_features(value)),
        "n": count_at(value, "n"),
        "min_group_n": _smallest(value),
        "dimension": Dimension.BIAS,
    }
    for kind, higher in (("ratio", True), ("difference", False)):
        for name, _ in members_at(value, kind):
            number = number_at(value, kind, name)
            if number is None:
                continue
            parity = name == "selection_rate"
            metric = f"demographic_parity_{kind}" if parity else f"{clean(name, 100)}_{kind}"
            ci = _interval(walk(value, f"{kind}_ci95", name))
            yield Metric(
                metric=metric, value=number, higher_is_better=higher, ci=ci,
                ci_method=_method(value) if ci else "", **where,
            )  # fmt: skip


def _interval(value: Any) -> tuple[float, float] | None:
    low, high = number_at(value, 0), number_at(value, 1)
    return None if low is None or high is None else (low, high)


def _single(value: Any) -> Iterator[Metric]:
    for feature, said in members_at(value, "single"):
        sizes = [count_at(said, "group_n", group) or 0 for group, _ in members_at(said, "group_n")]
        for name, _ in members_at(said):
            number = number_at(said, name)
            if number is None:
                continue
            ci = _interval(walk(said, _SINGLE[name])) if name in _SINGLE else None
            yield Metric(
                metric=clean(name, 100), value=number, dimension=Dimension.BIAS, ci=ci,
                higher_is_better=not name.endswith("difference"),
                ci_method=_method(value) if ci else "", slice=clean(feature, 100),
                n=sum(sizes) or count_at(value, "n"), min_group_n=min(sizes) if sizes else None,
            )  # fmt: skip


def _impact(value: Any) -> Iterator[Metric]:
    groups = [
        (group, rate)
        for group in items_at(value, "by_group")
        if (rate := number_at(group, "selection_rate")) is not None
    ]
    most = max((rate for _, rate in groups), default=0.0)
    for group, rate in groups if most > 0 else ():
        shown = ", ".join(f"{key}={clean(each, 60)}" for key, each in members_at(group, "group"))
        yield Metric(
            metric="impact_ratio", value=rate / most, dimension=Dimension.BIAS, higher_is_better=True,
            n=count_at(group, "n"), slice=clean(shown, 200),
        )  # fmt: skip


def _flags(value: Any) -> Iterator[Flag]:
    groups = items_at(value, "by_group")
    if sum(count_at(group, "n") or 0 for group in groups) != count_at(value, "n"):
        yield Flag.EDITED
    for name, _ in members_at(groups[0]):
        rates = [rate for group in groups if (rate := number_at(group, name)) is not None]
        ratio, difference = number_at(value, "ratio", name), number_at(value, "difference", name)
        if name in _NOT_METRICS or len(rates) != len(groups) or max(rates) <= 0:
            continue
        if ratio is not None and abs(ratio - min(rates) / max(rates)) > _TOLERANCE:
            yield Flag.EDITED
        if difference is not None and abs(difference - (max(rates) - min(rates))) > _TOLERANCE:
            yield Flag.EDITED


PARSER: Final = Fairlearn()
