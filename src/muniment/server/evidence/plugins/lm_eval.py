"""`results_<time>.json` of lm-evaluation-harness (0.4).

Metric names are `NAME,FILTER`; a standard error may be the text `N/A`; the model's revision is a
version only as `model_sha`; `task_hashes` is empty unless samples were logged.

Source: EleutherAI/lm-evaluation-harness, `evaluation_tracker.py`, `evaluator.py`; requirements §4.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from muniment.core.canon import canonical
from muniment.core.digest import digest_of
from muniment.server.evidence.plugins import evaluations
from muniment.server.evidence.records import EvidenceKind, Flag, Metric, Parsed, Run, Unreadable
from muniment.server.evidence.rules.reading import (
    Document,
    clean,
    count_at,
    members_at,
    number_at,
    refusal,
    text_at,
    walk,
)

_STDERR: Final = "_stderr"
_NOT_METRICS: Final = frozenset({"alias", "name", "sample_len", "sample_count"})


class LmEval:
    """Reads results of lm-evaluation-harness."""

    name = "lm-eval"
    version = "1"
    kind = EvidenceKind.EVALUATION
    takes_nonfinite = True

    def recognises(self, document: Document) -> bool:
        """`results` by task, beside what only this tool writes."""
        value = document.value
        return isinstance(walk(value, "results"), dict) and (
            text_at(value, "lm_eval_version") is not None
            or all(
                isinstance(walk(value, each), dict) for each in ("configs", "versions", "n-shot")
            )
        )

    def parse(self, document: Document) -> Parsed | Unreadable:
        """Read every metric of every task and group."""
        value = document.value
        metrics = tuple(_metrics(value))
        if not metrics and not document.nonfinite:
            return refusal(
                f"{document.name} /results", "expected metrics of at least one task, found none"
            )
        started = evaluations.epoch_moment(number_at(value, "date"))
        seconds = _seconds(value)
        ended = None
        if started is not None and seconds is not None:
            ended = evaluations.epoch_moment(started.timestamp() + seconds)
        hashes = {
            clean(task, 200): clean(each, 200) for task, each in members_at(value, "task_hashes")
        }
        run = Run(
            tool_name="lm-eval",
            tool_version=text_at(value, "lm_eval_version"),
            model=_model(value),
            model_digest=_sha(value),
            dataset=clean(
                ", ".join(sorted(str(task) for task, _ in members_at(value, "versions"))), 200
            )
            or None,
            dataset_digest=f"lm-eval-tasks:{digest_of(canonical(hashes)).hex}" if hashes else None,
            n=evaluations.with_n(metrics),
            started=started,
            ended=ended,
            commit=text_at(value, "git_hash"),
        )
        flags = _flags(document, hashes, run)
        return evaluations.parsed(
            self, run, metrics, flags, details=_details(value), searched=walk(value, "config")
        )


def _seconds(value: Any) -> float | None:
    """How long it took; `start_time` and `end_time` are no clock times."""
    try:
        seconds = float(walk(value, "total_evaluation_time_seconds"))
    except (TypeError, ValueError):
        return None
    return seconds if 0 <= seconds < 1e9 else None  # noqa: PLR2004 -- 30 years


def _model(value: Any) -> str | None:
    found = text_at(value, "model_name") or text_at(value, "config", "model_args", "pretrained")
    return found or text_at(value, "config", "model")


def _sha(value: Any) -> str | None:
    sha = text_at(value, "config", "model_sha")
    return f"git:{sha}" if sha else None


def _metrics(value: Any) -> Iterator[Metric]:
    for task, results in members_at(value, "results"):
        for key, _ in members_at(results):
            name, _, filter_ = key.partition(",")
            if name in _NOT_METRICS or name.endswith(_STDERR):
                continue
            number = number_at(results, key)
            if number is None:
                continue
            stderr = number_at(results, f"{name}{_STDERR},{filter_}")
            said = walk(value, "higher_is_better", task, name)
            yield evaluations.named(
                Metric(
                    metric=clean(name, 100),
                    value=number,
                    task=clean(task, 200),
                    higher_is_better=said if isinstance(said, bool) else None,
                    n=count_at(value, "n-samples", task, "effective"),
                    stderr=stderr,
                    filter=clean(filter_, 100) if filter_ != "none" else "",
                )
            )


def _flags(document: Document, hashes: dict[str, Any], run: Run) -> Iterator[Flag]:
    value = document.value
    if document.nonfinite:
        yield Flag.NOT_A_NUMBER
    if not hashes:
        yield Flag.MISSING_DATASET
    if number_at(value, "config", "limit") is not None or any(
        (count_at(sizes, "effective") or 0) < (count_at(sizes, "original") or 0)
        for _, sizes in members_at(value, "n-samples")
    ):
        yield Flag.PARTIAL
    if run.model_digest is None and walk(value, "config", "model_revision") in {
        "main",
        "master",
        "latest",
    }:
        yield Flag.MUTABLE_MODEL
    if text_at(value, "config", "use_cache") is not None:
        yield Flag.CACHED


def _details(value: Any) -> dict[str, Any]:
    return {
        "tasks": {
            clean(task, 200): clean(version, 40) for task, version in members_at(value, "versions")
        },
        "n_shot": {
            clean(task, 200): shots
            for task, shots in members_at(value, "n-shot")
            if isinstance(shots, int)
        },
        "limit": number_at(value, "config", "limit"),
        "seed": number_at(value, "config", "random_seed"),
        "chat_template_sha": text_at(value, "chat_template_sha"),
    }


PARSER: Final = LmEval()
