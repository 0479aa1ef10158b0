"""Runs of HELM: `stats.json` alone, or a zip of the run directory with `run_spec.json` beside it.

`count` is the number of trials, not of samples: the sample size is the metric `num_instances`, and
`stddev` over one trial is no uncertainty. Rows with a perturbation are of perturbed inputs.

Source: stanford-crfm/helm, `metrics/statistic.py`, `metric_name.py`, `runner.py`; requirements §4.2.
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
    number_at,
    refusal,
    text_at,
)

_STATS: Final = "stats.json"
#: What the tool keeps of its own work; no result.
_BOOKKEEPING: Final = (
    "num_", "max_", "training_", "finish_reason_", "logprob", "prompt_tokens", "inference_idealized",
    "inference_denoised", "batch_size",
)  # fmt: skip


class Helm:
    """Reads the statistics of a HELM run."""

    name = "helm"
    version = "1"
    kind = EvidenceKind.EVALUATION
    takes_nonfinite = False

    def recognises(self, document: Document) -> bool:
        """A list of statistics, or a zip with one."""
        if document.archive is not None:
            return _path(document, _STATS) is not None
        return (
            bool(document.value)
            and isinstance(document.value, list)
            and all(
                text_at(one, "name", "name") and count_at(one, "count") is not None
                for one in document.value[:5]
            )
        )

    def parse(self, document: Document) -> Parsed | Unreadable:
        """Read every statistic that is a result."""
        stats, spec = _member(document, _STATS), _member(document, "run_spec.json")
        if isinstance(stats, Unreadable):
            return stats
        if isinstance(spec, Unreadable):
            return spec
        rows = stats.value if stats is not None else document.value
        if not isinstance(rows, list):
            return refusal(document.name, "expected a list of statistics")
        about = None if spec is None else spec.value
        sizes = {_split(row): count_at(row, "mean") for row in rows if _is_size(row)}
        metrics = tuple(_metrics(rows, sizes))
        if not metrics:
            return refusal(
                document.name, "expected at least one statistic that is a result, found none"
            )
        run = Run(
            tool_name="crfm-helm",
            model=text_at(about, "adapter_spec", "model"),
            dataset=text_at(about, "name"),
            n=evaluations.with_n(metrics),
        )
        details = {
            "scenario": text_at(about, "scenario_spec", "class_name"),
            "max_eval_instances": count_at(about, "adapter_spec", "max_eval_instances"),
            "deployment": text_at(about, "adapter_spec", "model_deployment"),
        }
        return evaluations.parsed(
            self, run, metrics, _flags(about, sizes), details=details, searched=about
        )


def _path(document: Document, name: str) -> str | None:
    assert document.archive is not None
    found = [each for each in document.archive.names if each.rsplit("/", 1)[-1] == name]
    return found[0] if len(found) == 1 else None


def _member(document: Document, name: str) -> Document | Unreadable | None:
    path = None if document.archive is None else _path(document, name)
    return None if path is None else document.member(path)


def _split(row: Any) -> tuple[str | None, str | None]:
    return text_at(row, "name", "split"), text_at(row, "name", "perturbation", "name")


def _is_size(row: Any) -> bool:
    return text_at(row, "name", "name") == "num_instances"


def _metrics(rows: list[Any], sizes: dict[Any, int | None]) -> Iterator[Metric]:
    for row in rows:
        name, mean = text_at(row, "name", "name"), number_at(row, "mean")
        if name is None or mean is None or name.startswith(_BOOKKEEPING):
            continue
        split, perturbation = _split(row)
        yield evaluations.named(
            Metric(
                metric=clean(name, 100),
                value=mean,
                task=split or "",
                n=sizes.get((split, perturbation)) or sizes.get((split, None)),
                slice=f"perturbation:{perturbation}"
                if perturbation
                else text_at(row, "name", "sub_split"),
            )
        )


def _flags(about: Any, sizes: dict[Any, int | None]) -> Iterator[Flag]:
    most = count_at(about, "adapter_spec", "max_eval_instances")
    if most is not None and any(size is not None and size >= most for size in sizes.values()):
        yield Flag.PARTIAL


PARSER: Final = Helm()
