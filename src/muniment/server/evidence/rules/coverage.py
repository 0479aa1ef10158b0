"""How far the evidence of a version covers the six dimensions of an evaluation.

A dimension is

1. covered, if an evaluation that still holds, and whose run is not void, has a number for it;
2. else not applicable, if the newest such evidence that speaks of it says so, with the reason;
3. else missing, with what there is instead: stale evidence, or a run that proves nothing.

Source: R-074.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from muniment.server.evidence.records import Dimension, Evidence, EvidenceKind, Freshness
from muniment.server.evidence.rules.parsed import is_void

SIX: Final = (
    Dimension.QUALITY,
    Dimension.TOXICITY,
    Dimension.JAILBREAK,
    Dimension.BIAS,
    Dimension.LATENCY,
    Dimension.COST,
)


@dataclass(frozen=True, slots=True)
class Coverage:
    """One dimension: `covered`, `missing` or `not_applicable`, why, by which evidence.

    `flags` are those of the evidence that covers it; `metrics` how many numbers there are.
    """

    dimension: Dimension
    state: str
    reason: str
    evidence: tuple[Evidence, ...] = ()
    metrics: int = 0
    flags: tuple[str, ...] = ()


def coverage(known: Sequence[tuple[Evidence, Freshness]]) -> list[Coverage]:
    """Return the six dimensions in their order; `known` is oldest first."""
    evaluations = [pair for pair in known if pair[0].kind is EvidenceKind.EVALUATION]
    return [_of(dimension, evaluations) for dimension in SIX]


def _of(dimension: Dimension, known: Sequence[tuple[Evidence, Freshness]]) -> Coverage:
    holds = [one for one, fresh in known if not fresh.stale and not is_void(one.flags)]
    covering = tuple(one for one in holds if _count(one, dimension))
    if covering:
        flags = sorted({flag for one in covering for flag in one.flags})
        count = sum(_count(one, dimension) for one in covering)
        by = ", ".join(dict.fromkeys(one.tool_name or one.format for one in covering))
        return Coverage(dimension, "covered", f"measured by {by}", covering, count, tuple(flags))
    for one in reversed(holds):
        reason = one.parsed.get("not_applicable", {}).get(dimension.value)
        if reason:
            return Coverage(dimension, "not_applicable", reason, (one,))
    return _missing(dimension, known)


def _missing(dimension: Dimension, known: Sequence[tuple[Evidence, Freshness]]) -> Coverage:
    for one, fresh in reversed(known):
        if not _count(one, dimension):
            continue
        what = f"{one.file_name} of {one.subject_name}"
        if fresh.changes:
            changed = ", ".join(change.component for change in fresh.changes)
            return Coverage(dimension, "missing", f"{what} is stale: other {changed}", (one,))
        if fresh.stale:
            return Coverage(dimension, "missing", f"{what} is too old", (one,))
        flags = ", ".join(one.flags)
        return Coverage(dimension, "missing", f"{what} proves nothing: {flags}", (one,))
    return Coverage(dimension, "missing", "no evaluation measured it")


def _count(evidence: Evidence, dimension: Dimension) -> int:
    metrics = evidence.parsed.get("metrics", ())
    return sum(metric.get("dimension") == dimension.value for metric in metrics)
