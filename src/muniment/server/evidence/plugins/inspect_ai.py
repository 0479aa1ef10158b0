"""Logs of inspect_ai: `.eval` (a zip) and `.json`.

A failed run still writes a whole log; `results` is then missing. A `limit` alone proves nothing:
sample counts are compared. Scores may have been edited; their history is inside the samples.

Source: UKGovernmentBEIS/inspect_ai, `log/_log.py`, `log/_recorders/eval.py`; requirements §4.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from muniment.server.evidence.plugins import evaluations, sboms
from muniment.server.evidence.records import EvidenceKind, Flag, Metric, Parsed, Run, Unreadable
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

_HEADER: Final = "header.json"
_START: Final = "_journal/start.json"
_STATES: Final = {
    "success": (),
    "error": (Flag.FAILED,),
    "cancelled": (Flag.ABORTED,),
    "started": (Flag.ABORTED,),
}
_SPREAD: Final = frozenset({"stderr", "std", "var", "bootstrap_stderr"})


class InspectAi:
    """Reads a log of inspect_ai."""

    name = "inspect-ai"
    version = "1"
    kind = EvidenceKind.EVALUATION
    takes_nonfinite = True

    def recognises(self, document: Document) -> bool:
        """A zip with the tool's header or journal, or the same as one JSON."""
        if document.archive is not None:
            return not {_HEADER, _START}.isdisjoint(document.archive.names)
        value = document.value
        return isinstance(walk(value, "eval", "task"), str) and isinstance(
            walk(value, "status"), str
        )

    def parse(self, document: Document) -> Parsed | Unreadable:
        """Read the header, and look into the samples for edited scores."""
        header = _header(document)
        if isinstance(header, Unreadable):
            return header
        value = header.value
        if walk(value, "version") not in (2, 3):
            found = clean(walk(value, "version"), 20)
            return refusal(
                f"{header.name} /version", f"expected a log of version 2 or 3, found {found!r}"
            )
        status = walk(value, "status") or "started"
        if status not in _STATES:
            return refusal(
                f"{header.name} /status",
                f"expected one of {', '.join(_STATES)}, found {clean(status, 40)!r}",
            )
        metrics = tuple(_metrics(value))
        flags = {*_STATES[status], *_flags(value)}
        samples = _Samples(document)
        if samples.edited:
            flags.add(Flag.EDITED)
        if header.nonfinite:
            flags.add(Flag.NOT_A_NUMBER)
        details = _details(value) | {"edits_looked_for_in": samples.seen}
        return evaluations.parsed(
            self, _run(value), metrics, flags, details=details, searched=walk(value, "eval")
        )


def _header(document: Document) -> Document | Unreadable:
    if document.archive is None:
        return document
    if _HEADER in document.archive.names:
        return document.member(_HEADER)
    return document.member(_START)  # the run never got to its end


class _Samples:
    """Whether some sample has a score with a history, as far as the limits let one look."""

    def __init__(self, document: Document) -> None:
        self.edited, self.seen = False, 0
        if document.archive is None:
            self._look(items_at(document.value, "samples"))
            return
        for name in document.archive.names:
            if name.startswith("samples/") and name.endswith(".json"):
                found = document.member(name)
                if isinstance(found, Unreadable):
                    break
                self._look([found.value])

    def _look(self, samples: list[Any]) -> None:
        for sample in samples:
            self.seen += 1
            self.edited |= any(
                items_at(score, "history") for _, score in members_at(sample, "scores")
            )


def _run(value: Any) -> Run:
    eval_ = walk(value, "eval")
    return Run(
        tool_name="inspect_ai",
        tool_version=text_at(eval_, "packages", "inspect_ai"),
        model=text_at(eval_, "model"),
        dataset=text_at(eval_, "dataset", "name") or text_at(eval_, "dataset", "location"),
        n=count_at(value, "results", "completed_samples"),
        started=sboms.moment(walk(value, "stats", "started_at"))
        or sboms.moment(walk(eval_, "created")),
        ended=sboms.moment(walk(value, "stats", "completed_at")),
        commit=text_at(eval_, "revision", "commit"),
        judge=text_at(eval_, "model_roles", "grader", "model"),
    )


def _metrics(value: Any) -> Iterator[Metric]:
    task = text_at(value, "eval", "task") or ""
    completed = count_at(value, "results", "completed_samples")
    for score in items_at(value, "results", "scores"):
        n = count_at(score, "scored_samples")
        for name, metric in members_at(score, "metrics"):
            number = number_at(metric, "value")
            if name in _SPREAD or number is None:
                continue
            yield evaluations.named(
                Metric(
                    metric=clean(name, 100),
                    value=number,
                    task=task,
                    n=completed if n is None else n,
                    stderr=_stderr(score),
                    filter=text_at(score, "name") or "",
                )
            )


def _stderr(score: Any) -> float | None:
    found = number_at(score, "metrics", "stderr", "value")
    return number_at(score, "metrics", "bootstrap_stderr", "value") if found is None else found


def _flags(value: Any) -> Iterator[Flag]:
    results, eval_ = walk(value, "results"), walk(value, "eval")
    total, completed = count_at(results, "total_samples"), count_at(results, "completed_samples")
    if total is not None and completed is not None and completed < total:
        yield Flag.SAMPLE_ERRORS
    unscored = any(
        (count_at(score, "unscored_samples") or 0) > 0 for score in items_at(results, "scores")
    )
    if unscored:
        yield Flag.SAMPLE_ERRORS
    size, epochs = count_at(eval_, "dataset", "samples"), count_at(eval_, "config", "epochs") or 1
    limited = (
        walk(eval_, "config", "limit") is not None or walk(eval_, "config", "sample_id") is not None
    )
    if limited and size is not None and total is not None and total < size * epochs:
        yield Flag.PARTIAL
    if walk(eval_, "revision", "dirty") is True:
        yield Flag.DIRTY
    if walk(value, "invalidated") is True:
        yield Flag.INVALIDATED
    if any(True for _ in items_at(value, "log_updates")):
        yield Flag.EDITED


def _details(value: Any) -> dict[str, Any]:
    return {
        "eval_id": text_at(value, "eval", "eval_id"),
        "run_id": text_at(value, "eval", "run_id"),
        "status": text_at(value, "status"),
        "task_version": count_at(value, "eval", "task_version"),
        "error": text_at(value, "error", "message"),
        "dataset_samples": count_at(value, "eval", "dataset", "samples"),
        "epochs": count_at(value, "eval", "config", "epochs"),
    }


PARSER: Final = InspectAi()
