"""What differs between two versions: metadata, metrics, signature.

Source: R-006, R-220; design §2 (version).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from muniment.server.catalog.records import Difference, Version

_ABSENT: Final = object()
_SIGNATURE: Final = ("inputs", "outputs", "params")
#: Metrics of which less is better, by a word of their name; of others more is.
_LOWER: Final = frozenset(
    {"loss", "error", "mae", "mse", "rmse", "mape", "brier", "latency", "cost", "perplexity"}
    | {"toxicity", "fpr", "fnr", "ece", "wer", "cer"}
)
#: Words of metrics that are best near some value of their own, so that no direction is better.
_NEITHER: Final = frozenset({"ratio", "count", "n", "support", "difference", "parity"})


def compare(left: Version, right: Version) -> list[Difference]:
    """Return every difference between two versions: metadata, then metrics, then signature.

    Sorted by path within each. Equal versions give none; exchanging them exchanges the sides and
    turns the sign of `delta`.
    """
    return [
        *_metadata(left, right),
        *_metrics(left, right),
        *_section(
            "signature", left.metadata.get("signature", {}), right.metadata.get("signature", {})
        ),
    ]


def _metadata(left: Version, right: Version) -> Iterator[Difference]:
    apart = {"metrics", "fairness_metrics", "signature"}
    sides = [{k: v for k, v in side.metadata.items() if k not in apart} for side in (left, right)]
    yield from _section("metadata", *sides)


def _section(section: str, left: Any, right: Any) -> Iterator[Difference]:
    for path, was, now in _walk("", left, right):
        yield _difference(section, path, was, now)


def _walk(path: str, left: Any, right: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the innermost places where two JSON values differ."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        for key in sorted({*left, *right}):
            below = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
            yield from _walk(below, left.get(key, _ABSENT), right.get(key, _ABSENT))
    elif isinstance(left, list) and isinstance(right, list):
        for index in range(max(len(left), len(right))):
            yield from _walk(f"{path}/{index}", _at(left, index), _at(right, index))
    elif not _same(left, right):
        yield path, left, right


def _at(values: list[Any], index: int) -> Any:
    return values[index] if index < len(values) else _ABSENT


def _same(left: Any, right: Any) -> bool:
    """Equal as JSON: true is not 1."""
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _difference(section: str, path: str, left: Any, right: Any) -> Difference:
    delta = right - left if _is_number(left) and _is_number(right) else None
    return Difference(
        section=section,
        path=path,
        left=None if left is _ABSENT else left,
        right=None if right is _ABSENT else right,
        left_present=left is not _ABSENT,
        right_present=right is not _ABSENT,
        delta=delta,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _metrics(left: Version, right: Version) -> Iterator[Difference]:
    directions = {**_directions(left), **_directions(right)}
    was, now = left.metrics_at_registration, right.metrics_at_registration
    for name in sorted({*was, *now}):
        values = was.get(name, _ABSENT), now.get(name, _ABSENT)
        if _same(*values):
            continue
        found = _difference("metrics", f"/{name.replace('~', '~0').replace('/', '~1')}", *values)
        higher = directions.get(name, _direction_of(name))
        if found.delta is None or higher is None:
            yield found
        else:
            yield _judged(found, higher=higher)


def _judged(found: Difference, *, higher: bool) -> Difference:
    assert found.delta is not None
    return Difference(
        section=found.section,
        path=found.path,
        left=found.left,
        right=found.right,
        delta=found.delta,
        better=(found.delta > 0) == higher,
    )


def _directions(version: Version) -> dict[str, bool]:
    """Which metrics say themselves whether more is better."""
    found = {}
    for block in ("metrics", "fairness_metrics"):
        for name, metric in version.metadata.get(block, {}).items():
            if isinstance(metric, Mapping) and "direction" in metric:
                found[name] = metric["direction"] == "higher"
    return found


def _direction_of(name: str) -> bool | None:
    """Whether more is better, by the words of a metric's name; None where neither is."""
    words = set(name.lower().replace(".", "_").replace("-", "_").split("_"))
    if words & _NEITHER:
        return None
    return not words & _LOWER
