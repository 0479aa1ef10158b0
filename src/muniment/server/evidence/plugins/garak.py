"""Reports of garak: JSON Lines, one `entry_type` a line.

The attack success rate is fails / evaluated, one for each pair of probe and detector: they are
never averaged. Without a `completion` line the run did not end. Times have no zone.

Source: NVIDIA/garak, `evaluators/base.py`, `command.py`, `analyze/`; requirements §4.2.
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
    number_at,
    refusal,
    text_at,
    walk,
)

_TYPES: Final = frozenset(
    {"start_run setup", "init", "attempt", "eval", "completion", "digest", "config"}
)
#: What a family of probes looks at; all others try to make the model do what it must not.
_FAMILIES: Final = {
    "realtoxicityprompts": Dimension.TOXICITY, "lmrc": Dimension.TOXICITY, "atkgen": Dimension.TOXICITY,
    "continuation": Dimension.TOXICITY, "donotanswer": Dimension.TOXICITY, "misleading": Dimension.QUALITY,
    "snowball": Dimension.QUALITY, "leakreplay": Dimension.SECURITY, "malwaregen": Dimension.SECURITY,
    "packagehallucination": Dimension.SECURITY, "xss": Dimension.SECURITY, "web_injection": Dimension.SECURITY,
    "ansiescape": Dimension.SECURITY, "exploitation": Dimension.SECURITY, "fileformats": Dimension.SECURITY,
    "apikey": Dimension.SECURITY, "propile": Dimension.SECURITY, "divergence": Dimension.SECURITY,
    "topic": Dimension.ROBUSTNESS, "glitch": Dimension.ROBUSTNESS, "badchars": Dimension.ROBUSTNESS,
}  # fmt: skip


class Garak:
    """Reads a report of garak."""

    name = "garak"
    version = "1"
    kind = EvidenceKind.EVALUATION
    takes_nonfinite = False

    def recognises(self, document: Document) -> bool:
        """Lines of the tool's types, or the first one alone of a run that broke off."""
        return document.archive is None and walk(document.lines, 0, "entry_type") in _TYPES

    def parse(self, document: Document) -> Parsed | Unreadable:
        """Read one attack success rate for each pair of probe and detector."""
        lines = document.lines
        setup, init = _first(lines, "start_run setup"), _first(lines, "init")
        completion = _first(lines, "completion")
        evals = [line for line in lines if walk(line, "entry_type") == "eval"]
        metrics = tuple(one for one in map(_metric, evals) if one is not None)
        if not metrics and completion is not None:
            return refusal(
                document.name,
                "expected at least one `eval` line with a number evaluated, found none",
            )
        run = Run(
            tool_name="garak",
            tool_version=text_at(init, "garak_version") or text_at(setup, "_config.version"),
            model=_model(setup),
            dataset=_probes(evals),
            n=sum(metric.n or 0 for metric in metrics) or None,
            started=evaluations.local_moment(walk(init, "start_time")),
            ended=evaluations.local_moment(walk(completion, "end_time")),
        )
        details = {
            "run": text_at(init, "run"),
            "generations": count_at(setup, "run.generations"),
            "seed": number_at(setup, "run.seed"),
            "eval_threshold": number_at(setup, "run.eval_threshold"),
            "time_zone": "unsaid: taken for UTC",
        }
        flags = _flags(lines, init, completion, evals)
        return evaluations.parsed(self, run, metrics, flags, details=details, searched=setup)


def _first(lines: list[Any], kind: str) -> Any:
    return next((line for line in lines if walk(line, "entry_type") == kind), None)


def _model(setup: Any) -> str | None:
    name = text_at(setup, "plugins.target_name") or text_at(setup, "plugins.model_name")
    kind = text_at(setup, "plugins.target_type") or text_at(setup, "plugins.model_type")
    return ":".join(each for each in (kind, name) if each) or None


def _probes(evals: list[Any]) -> str | None:
    names = sorted({text_at(one, "probe") or "" for one in evals} - {""})
    return clean(", ".join(names), 500) or None


def _evaluated(line: Any) -> int | None:
    found = count_at(line, "total_evaluated")
    return count_at(line, "total") if found is None else found


def _metric(line: Any) -> Metric | None:
    total, passed = _evaluated(line), count_at(line, "passed")
    if not total or passed is None:
        return None
    fails = count_at(line, "fails")
    low, high = number_at(line, "confidence_lower"), number_at(line, "confidence_upper")
    probe = text_at(line, "probe") or ""
    detector = (text_at(line, "detector") or "").removeprefix("detector.")
    method = text_at(line, "confidence_method") or "interval"
    level = clean(walk(line, "confidence"), 10)
    return Metric(
        metric="attack_success_rate",
        value=(total - passed if fails is None else fails) / total,
        task=probe,
        filter=detector,
        dimension=_FAMILIES.get(
            probe.removeprefix("probes.").partition(".")[0], Dimension.JAILBREAK
        ),
        higher_is_better=False,
        n=total,
        ci=None if low is None or high is None else (low, high),
        ci_method="" if low is None or high is None else f"{method} {level}".strip(),
    )


def _flags(lines: list[Any], init: Any, completion: Any, evals: list[Any]) -> Iterator[Flag]:
    if completion is None and walk(init, "orig_uuid") is None:
        yield Flag.ABORTED
    if (
        walk(init, "orig_uuid") is not None
        or sum(walk(one, "entry_type") == "init" for one in lines) > 1
    ):
        yield Flag.AGGREGATED
    for line in evals:
        if (count_at(line, "nones") or 0) > 0:
            yield Flag.SAMPLE_ERRORS
        passed, fails, total = count_at(line, "passed"), count_at(line, "fails"), _evaluated(line)
        if (
            passed is not None
            and total is not None
            and (passed > total or (fails is not None and passed + fails != total))
        ):
            yield Flag.EDITED


PARSER: Final = Garak()
