"""What a version can be found by, taken from its metadata once, when it is registered.

A term is `FIELD:VALUE`. A dataset gives its name, `name@version` and its digest, so that each of
them finds the version.

Source: R-012.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_LICENSE_ID = re.compile(r"[A-Za-z0-9.+-]+")
_LICENSE_WORDS = frozenset({"AND", "OR", "WITH"})

#: The fields a filter answers from terms.
TERM_FIELDS = (
    "base_model",
    "commit",
    "dataset",
    "format",
    "framework",
    "license",
    "pipeline",
    "run",
)


def terms(metadata: Mapping[str, Any], formats: Sequence[str]) -> list[str]:
    """Return every term of a version, sorted, each once."""
    found = {f"format:{name}" for name in formats}
    for field, values in (
        ("dataset", _datasets(metadata)),
        ("framework", _named(metadata.get("frameworks", ()))),
        ("license", _licenses(metadata.get("license"))),
        ("base_model", _named(metadata.get("base_models", ()))),
        ("commit", _member(metadata, "code", "commit")),
        ("run", _member(metadata, "run", "id")),
        ("pipeline", _member(metadata, "pipeline", "run_id")),
    ):
        found.update(f"{field}:{value}" for value in values)
    return sorted(found)


def _datasets(metadata: Mapping[str, Any]) -> Iterator[str]:
    for field in ("training_datasets", "evaluation_datasets"):
        yield from _named(metadata.get(field, ()))


def _named(references: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for reference in references:
        yield reference["name"]
        if "version" in reference:
            yield f"{reference['name']}@{reference['version']}"
        if "digest" in reference:
            yield reference["digest"]


def _licenses(expression: str | None) -> Iterator[str]:
    if expression is not None:
        yield expression
        yield from (w for w in _LICENSE_ID.findall(expression) if w not in _LICENSE_WORDS)


def _member(metadata: Mapping[str, Any], block: str, field: str) -> Iterator[str]:
    value = metadata.get(block, {}).get(field)
    if value is not None:
        yield value


def metrics_of(metadata: Mapping[str, Any]) -> dict[str, float]:
    """Return the frozen block of a registration: each metric's name and its value.

    Validation and fairness metrics together; a name in both blocks has its fairness value under
    `fairness.NAME`.

    Source: R-020; requirements §1.2, 7.
    """
    values = {name: _value(metric) for name, metric in metadata.get("metrics", {}).items()}
    for name, metric in metadata.get("fairness_metrics", {}).items():
        values[f"fairness.{name}" if name in values else name] = _value(metric)
    return values


def _value(metric: Any) -> float:
    value: float = metric["value"] if isinstance(metric, Mapping) else metric
    return value
