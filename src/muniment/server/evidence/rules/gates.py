"""Gates: do the numbers hold what was demanded of them beforehand?

1. A plan says which gates there are, in which order, and each check's metric, direction and
   threshold. Gates run in that order and stop at the first blocking one that fails.
2. A threshold counts only if the plan was recorded before the run began that it judges.
3. A check is decided on the unfavourable bound of the interval: 0.86 [0.82, 0.90] counts as 0.82
   where more is better. Without an interval it fails, unless the plan decides it on the point.
4. A check without a slice is made on every slice that has the metric, intersections included: one
   that fails is enough.
5. Runs that are void (aborted, failed, edited, invalidated) are not asked.

Source: R-075, R-077; requirements §1.6; Regulation (EU) 2024/1689, Article 9(8).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from muniment.core.entry import time_text
from muniment.server.evidence.records import Evidence, Metric
from muniment.server.evidence.rules.parsed import is_void, metric_from

SCHEMA: Final = "muniment/gate/v1"
PLAN_SCHEMA: Final = "muniment/gate-plan/v1"
_Z95: Final = 1.959963984540054
_PROPORTIONS: Final = frozenset(
    {"accuracy", "acc", "accuracy_score", "exact_match", "pass_rate", "attack_success_rate", "tests_passed",
     "selection_rate"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Check:
    """What is demanded of one metric. `slice` and `task` None: of every one that has it."""

    metric: str
    higher_is_better: bool
    threshold: float
    on_point: bool = False
    slice: str | None = None
    task: str | None = None
    min_n: int = 0
    min_group_n: int = 0


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate of a plan: its checks; `blocking` ones stop what comes after them."""

    name: str
    order: int
    checks: tuple[Check, ...]
    blocking: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """The gates in their order, when they were recorded, and the digest of the file that says so."""

    gates: tuple[Gate, ...]
    recorded_at: dt.datetime
    digest: str
    holdout: bool | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """What gates are run on: a version's or composite's name, and with what it is compared."""

    name: str
    digests: tuple[str, ...] = ()
    cvi: str | None = None
    production_cvi: str | None = None
    baseline_cvi: str | None = None


def plan_from(fields: Mapping[str, Any], recorded_at: dt.datetime, digest: str) -> Plan:
    """Read a plan as `plugins.gates` checked it."""
    gates = [
        Gate(
            name=gate["gate"],
            order=order,
            checks=tuple(_check_from(check) for check in gate["checks"]),
            blocking=gate.get("blocking", True),
        )
        for order, gate in enumerate(fields["gates"], 1)
    ]
    return Plan(tuple(gates), recorded_at, digest, fields.get("holdout"))


def _check_from(fields: Mapping[str, Any]) -> Check:
    return Check(
        metric=fields["metric"],
        higher_is_better=fields["direction"] == "higher",
        threshold=float(fields["threshold"]),
        on_point=fields.get("decided_on") == "point",
        slice=fields.get("slice"),
        task=fields.get("task"),
        min_n=fields.get("min_n", 0),
        min_group_n=fields.get("min_group_n", 0),
    )


def run_gates(
    plan: Plan,
    evaluations: Sequence[Evidence],
    judged: Judged,
    *,
    started: dt.datetime,
    ended: dt.datetime,
) -> list[dict[str, Any]]:
    """Return a record for each gate that was run, in order; the last one may have failed.

    `evaluations` are evidence that still holds, oldest first.
    """
    asked = [one for one in evaluations if not is_void(one.flags)]
    records = []
    for gate in plan.gates:
        record = _record(gate, plan, asked, judged) | {
            "started": time_text(started),
            "ended": time_text(ended),
        }
        records.append(record)
        if gate.blocking and record["result"] != "passed":
            break
    return records


def _record(gate: Gate, plan: Plan, asked: Sequence[Evidence], judged: Judged) -> dict[str, Any]:
    decided = [each for check in gate.checks for each in _decide(check, plan, asked)]
    used = list({one.id: one for one, _ in decided if one is not None}.values())
    checks = [result for _, result in decided]
    passed = bool(checks) and all(check["result"] == "passed" for check in checks)
    return {
        "schema": SCHEMA,
        "gate": gate.name,
        "order": gate.order,
        "cvi": judged.cvi,
        "subject": {"name": judged.name, "digests": list(judged.digests)},
        "result": "passed" if passed else "failed",
        "blocking": gate.blocking,
        "checks": checks,
        "compared_with": {
            "production_cvi": judged.production_cvi,
            "assessed_baseline_cvi": judged.baseline_cvi,
        },
        "dataset": _dataset(used, plan),
        "tool": _tool(used),
        "evidence": [str(one.digest) for one in used],
        "policy": plan.digest,
    }


def _decide(
    check: Check, plan: Plan, asked: Sequence[Evidence]
) -> Iterator[tuple[Evidence | None, dict[str, Any]]]:
    found = [
        (one, metric)
        for one in asked
        for metric in map(metric_from, one.parsed.get("metrics", ()))
        if _fits(check, metric)
    ]
    if not found:
        yield None, _asked(check) | {"result": "failed", "reason": "no evidence has this metric"}
    for one, metric in found:
        yield one, _decided(check, metric, _too_late(plan, one))


def _fits(check: Check, metric: Metric) -> bool:
    return (
        metric.metric == check.metric
        and check.slice in {None, metric.slice}
        and check.task in {None, metric.task}
    )


def _too_late(plan: Plan, evidence: Evidence) -> str | None:
    """Say why a threshold does not count for a run; None where it was there first."""
    said = evidence.parsed.get("context", {}).get("started") or evidence.parsed.get("run", {}).get(
        "started"
    )
    if said is None:
        return "nobody says when the run began, so the threshold may be younger"
    if dt.datetime.fromisoformat(said) < plan.recorded_at:
        return f"the run began before the threshold was recorded ({time_text(plan.recorded_at)})"
    return None


def _asked(check: Check) -> dict[str, Any]:
    return {
        "metric": check.metric,
        "direction": "higher" if check.higher_is_better else "lower",
        "threshold": check.threshold,
        "slice": check.slice,
    }


def _decided(check: Check, metric: Metric, too_late: str | None) -> dict[str, Any]:
    ci, method = interval(metric)
    bound = metric.value
    decided_on = "point"
    if not check.on_point and ci is not None:
        bound, decided_on = (ci[0], "ci_lower") if check.higher_is_better else (ci[1], "ci_upper")
    reason = too_late or _reason(check, metric, bound, has_interval=ci is not None)
    return {
        **_asked(check),
        "decided_on": decided_on,
        "value": metric.value,
        "ci": None if ci is None else list(ci),
        "ci_method": method,
        "n": metric.n,
        "slice": metric.slice,
        "min_group_n": metric.min_group_n,
        "result": "passed" if reason is None else "failed",
    } | ({} if reason is None else {"reason": reason})


def _reason(check: Check, metric: Metric, bound: float, *, has_interval: bool) -> str | None:
    if not check.on_point and not has_interval:
        return "no interval: nobody says how uncertain the value is"
    if metric.higher_is_better is not None and metric.higher_is_better != check.higher_is_better:
        return "the metric's direction is the other one"
    if check.min_n and (metric.n or 0) < check.min_n:
        return f"expected at least {check.min_n} samples"
    if check.min_group_n and (metric.min_group_n or 0) < check.min_group_n:
        return f"expected at least {check.min_group_n} in the smallest group"
    holds = bound >= check.threshold if check.higher_is_better else bound <= check.threshold
    return None if holds else f"{bound:.6g} is on the wrong side of {check.threshold:.6g}"


def interval(metric: Metric) -> tuple[tuple[float, float] | None, str]:
    """Return a metric's interval and how it was made; computed where what is said suffices.

    From a standard error: normal, 95 %. Of a proportion of `n`: Wilson, 95 %.
    """
    if metric.ci is not None:
        return metric.ci, metric.ci_method
    if metric.stderr is not None:
        half = _Z95 * metric.stderr
        return (metric.value - half, metric.value + half), "normal-95 from stderr"
    if metric.n and metric.metric in _PROPORTIONS and 0 <= metric.value <= 1:
        return wilson(metric.value, metric.n), "wilson-95 from n"
    return None, ""


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion. Source: Wilson (1927), score interval."""
    z2 = _Z95 * _Z95
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def _dataset(used: Sequence[Evidence], plan: Plan) -> dict[str, Any] | None:
    for one in used:
        run = {**one.parsed.get("run", {}), **one.parsed.get("context", {})}
        if "dataset" in run or "dataset_digest" in run:
            algorithm, _, value = run.get("dataset_digest", "").partition(":")
            return {
                "ref": run.get("dataset"),
                "digest": {algorithm: value} if value else {},
                "holdout": plan.holdout,
                "overlap_with_train": None,  # not measured here
            }
    return None


def _tool(used: Sequence[Evidence]) -> dict[str, Any] | None:
    return {"name": used[0].tool_name, "version": used[0].tool_version} if used else None
