"""What the parsers of evaluations share: what a metric means, what a run lacks, what looks like a key.

A tool's own word on a metric goes before these tables; nothing is guessed from a value.

Source: R-076 (named metrics with direction and unit), requirements §4.2 (traps).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from muniment.server.evidence.records import Dimension, EvidenceKind, Flag, Metric, Parsed, Run

#: Parts of metric names of which more is better, and of which less is. The first that fits decides.
_LOWER: Final = re.compile(
    r"loss|error|err\b|mae|mse|rmse|mape|perplexity|\bppl|word_error|\bwer\b|\bcer\b|\bter\b|brier|"
    r"toxic|bias|stereotyp|hallucinat|leak|misuse|violation|attack|asr\b|harm|offens|difference|"
    r"latency|duration|runtime|seconds|cost|drift|missing|false_(positives|negatives)|fnr|fpr|"
    r"bits_per_byte|refusal_failure|ece\b|calibration"
)
_HIGHER: Final = re.compile(
    r"accura|\bacc\b|acc_norm|exact_match|\bem\b|match|f1|f_beta|precision|recall|auc|roc|bleu|rouge|chrf|meteor|"
    r"r2|pass|correct|score|relevan|faithful|ratio|win_rate|mcc|kappa|ndcg|mrr|map\b|true_(positives|"
    r"negatives)|similarity|coheren|fluen|groundedness|success|mean\b"
)
_DIMENSIONS: Final = (
    (Dimension.LATENCY, re.compile(r"latency|runtime|duration|seconds|time_to|tokens_per_second|throughput")),
    (Dimension.COST, re.compile(r"\bcost|price|usd")),
    (Dimension.TOXICITY, re.compile(r"toxi|hate|offens|profan|insult|harassment|slur|real_toxicity|civil_comments")),
    (Dimension.BIAS, re.compile(r"bias|fairness|stereotyp|parity|odds|crows|\bbbq|wino(gender|bias)|disparate|impact_ratio|demographic|selection_rate|equal_opportunity|bold\b")),
    (Dimension.JAILBREAK, re.compile(r"jailbreak|attack|\bdan\b|prompt_?inject|promptinject|harmbench|strongreject|advbench|misuse|red_?team")),
    (Dimension.SECURITY, re.compile(r"leak|pii|malware|xss|injection|secret|exfiltrat|rbac|bola|bfla|ssrf|shell")),
    (Dimension.ROBUSTNESS, re.compile(r"drift|robust|perturb|typo|shift|adversarial")),
)  # fmt: skip
_UNITS: Final = (
    ("ms", re.compile(r"_ms\b|latencyms|milliseconds")),
    ("s", re.compile(r"seconds|_secs?\b|duration")),
)
_SECRET: Final = re.compile(
    r"\b(sk-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{30,}|hf_[A-Za-z0-9]{30,}|"
    r"xox[abpr]-[A-Za-z0-9-]{20,}|AIza[0-9A-Za-z_-]{35}|mun_[0-9a-z]{26}_[0-9A-Za-z]{43}|"
    r"eyJ[A-Za-z0-9_-]{20,}\.eyJ[A-Za-z0-9_-]{20,})|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_SECRET_NAME: Final = re.compile(
    r"(api_?key|secret|password|passwd|authorization|access_?token)$", re.IGNORECASE
)
_SEARCHED: Final = 20_000
_SECRET_CHARS: Final = 8


class Format(Protocol):
    """The names of a parser."""

    name: str
    version: str


def higher_is_better(metric: str) -> bool | None:
    """Return the direction of a metric as its name is commonly meant; None where that is unclear."""
    name = _words(metric)
    if _LOWER.search(name) and not re.search(r"\bno_|non_|_free|accuracy", name):
        return False
    return True if _HIGHER.search(name) else None


def dimension(*names: str) -> Dimension:
    """Return what a metric of these names (task first) looks at; quality where nothing says more."""
    for name in names:
        words = _words(name)
        for found, pattern in _DIMENSIONS:
            if pattern.search(words):
                return found
    return Dimension.QUALITY


def unit(metric: str) -> str:
    """Return the unit that a metric's name says; empty where it says none."""
    words = _words(metric)
    return next((name for name, pattern in _UNITS if pattern.search(words)), "")


def _words(name: str) -> str:
    """Lower case, words separated by `_`."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).replace(
        "_", "_"
    )


def local_moment(text: object) -> dt.datetime | None:
    """Read a time; one without a zone, as some tools write them, is taken for UTC."""
    if not isinstance(text, str):
        return None
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return _in_range(at if at.tzinfo else at.replace(tzinfo=dt.UTC))


def epoch_moment(seconds: float | None) -> dt.datetime | None:
    """Read seconds since 1970; None where they are no time of this age."""
    if seconds is None or not 0 < seconds < 1e11:  # noqa: PLR2004 -- the year 5138
        return None
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _in_range(at: dt.datetime) -> dt.datetime | None:
    try:
        return at.astimezone(dt.UTC)
    except OverflowError:
        return None


def has_secrets(value: Any) -> bool:
    """Say whether some text in `value` looks like a key, or stands under a name such as `api_key`."""
    waiting: list[tuple[str, Any]] = [("", value)]
    for _ in range(_SEARCHED):
        if not waiting:
            return False
        name, item = waiting.pop()
        if isinstance(item, dict):
            waiting += [(str(key), inner) for key, inner in item.items()]
        elif isinstance(item, list):
            waiting += [(name, inner) for inner in item]
        elif isinstance(item, str) and _is_secret(name, item):
            return True
    return False


def _is_secret(name: str, text: str) -> bool:
    if _SECRET.search(text[:10_000]):
        return True
    return (
        bool(_SECRET_NAME.search(name))
        and len(text) >= _SECRET_CHARS
        and not text.startswith(("$", "{"))
    )


def parsed(
    parser: Format,
    run: Run,
    metrics: Iterable[Metric],
    flags: Iterable[Flag] = (),
    *,
    details: Mapping[str, Any] | None = None,
    not_applicable: Mapping[Dimension, str] | None = None,
    searched: Any = None,
) -> Parsed:
    """Return an evaluation with its flags: those given, and for all that is not said.

    `searched` is the part of the file (its configuration) in which keys may have been left.
    """
    every = tuple(metrics)
    found = set(flags) | _missing(run, every)
    if searched is not None and has_secrets(searched):
        found.add(Flag.SECRETS)
    return Parsed(
        kind=EvidenceKind.EVALUATION,
        format=parser.name,
        format_version=parser.version,
        run=run,
        metrics=every,
        flags=frozenset(found),
        not_applicable=not_applicable or {},
        details={
            name: value
            for name, value in (details or {}).items()
            if value not in (None, [], {}, "")
        },
    )


def _missing(run: Run, metrics: tuple[Metric, ...]) -> set[Flag]:
    lacks = {
        Flag.MISSING_MODEL: run.model is None and run.model_digest is None,
        Flag.MISSING_TOOL_VERSION: run.tool_version is None,
        Flag.MISSING_TIME: run.ended is None,
        Flag.MISSING_DATASET: run.dataset is None and run.dataset_digest is None,
        Flag.MISSING_N: run.n is None and any(metric.n is None for metric in metrics),
        Flag.MISSING_UNCERTAINTY: any(one.ci is None and one.stderr is None for one in metrics),
        Flag.MISSING_DIRECTION: any(metric.higher_is_better is None for metric in metrics),
    }
    return {flag for flag, missing in lacks.items() if missing}


def with_n(metrics: Iterable[Metric]) -> int | None:
    """Return the one sample size all `metrics` share; None where they differ or say none."""
    sizes = {metric.n for metric in metrics}
    return next(iter(sizes)) if len(sizes) == 1 else None


def named(metric: Metric, **more: Any) -> Metric:
    """Return `metric` with what its name says added where nothing was said."""
    fields: dict[str, Any] = dict(more)
    if metric.higher_is_better is None:
        fields.setdefault("higher_is_better", higher_is_better(metric.metric))
    if metric.dimension is None:
        fields.setdefault("dimension", dimension(metric.task, metric.metric))
    if not metric.unit:
        fields.setdefault("unit", unit(metric.metric))
    return dataclasses.replace(metric, **fields)
