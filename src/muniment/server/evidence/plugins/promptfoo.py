"""`promptfoo eval --output out.json` (and `.yaml`).

`promptId` is the hash of a prompt's label, not of its text: prompts are named by the digest of their
text here. Errors are no failures. Cached rows are no new runs.

Source: promptfoo, `src/types`, executed 0.121; requirements §4.2.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

from muniment.core.digest import digest_of
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
    refusal,
    text_at,
    walk,
)

_ERROR: Final = 2
_Group = tuple[str, str, str]


class Promptfoo:
    """Reads the output of promptfoo."""

    name = "promptfoo"
    version = "1"
    kind = EvidenceKind.EVALUATION
    takes_nonfinite = False

    def recognises(self, document: Document) -> bool:
        """The tool's results inside results, beside its id or statistics."""
        value = document.value
        return isinstance(walk(value, "results", "results"), list) and (
            text_at(value, "evalId") is not None
            or isinstance(walk(value, "results", "stats"), dict)
        )

    def parse(self, document: Document) -> Parsed | Unreadable:
        """Read pass rates, named scores, latency and cost of each prompt and provider."""
        value = document.value
        if walk(value, "results", "version") != 3:  # noqa: PLR2004 -- the schema's
            found = clean(walk(value, "results", "version"), 20)
            return refusal(
                f"{document.name} /results/version", f"expected version 3, found {found!r}"
            )
        rows = items_at(value, "results", "results")
        if not rows:
            return refusal(
                f"{document.name} /results/results", "expected at least one result, found none"
            )
        metrics = tuple(_metrics(rows))
        providers = sorted({text_at(row, "provider", "id") or "" for row in rows} - {""})
        made = evaluations.local_moment(_zulu(walk(value, "results", "timestamp")))
        run = Run(
            tool_name="promptfoo",
            tool_version=text_at(value, "metadata", "promptfooVersion"),
            model=clean(", ".join(providers), 300) or None,
            n=len(rows),
            started=made,
            ended=made,
        )
        details = {"eval_id": text_at(value, "evalId"), "prompts": _prompts(value)}
        return evaluations.parsed(
            self, run, metrics, _flags(value, rows), details=details, searched=walk(value, "config")
        )


def _zulu(text: Any) -> Any:
    return text.replace("Z", "+00:00") if isinstance(text, str) else text


def _prompts(value: Any) -> list[dict[str, str]]:
    """The prompts by the digest of their text, because `promptId` is not one."""
    found = []
    for prompt in items_at(value, "results", "prompts")[:1000]:
        raw = walk(prompt, "raw")
        if isinstance(raw, str):
            digest = digest_of(raw.encode(errors="surrogatepass"))
            found.append({"label": clean(walk(prompt, "label"), 200), "text_digest": str(digest)})
    return found


def _is_error(row: Any) -> bool:
    return count_at(row, "failureReason") == _ERROR


def _metrics(rows: list[Any]) -> Iterator[Metric]:
    groups: dict[_Group, list[Any]] = defaultdict(list)
    for row in rows:
        prompt = text_at(row, "prompt", "label") or str(walk(row, "promptIdx"))
        provider = text_at(row, "provider", "id") or ""
        attack = text_at(row, "testCase", "metadata", "pluginId") or ""
        groups[clean(prompt, 200), clean(provider, 200), clean(attack, 100)].append(row)
    for group, members in groups.items():
        yield from _of_group(group, members)


def _of_group(group: _Group, rows: list[Any]) -> Iterator[Metric]:
    prompt, provider, attack = group
    told = [row for row in rows if not _is_error(row)]
    place: dict[str, Any] = {"task": attack or prompt, "filter": provider}
    if told:
        rate = sum(walk(row, "success") is True for row in told) / len(told)
        looks_at = evaluations.dimension(attack) if attack else Dimension.QUALITY
        if attack and looks_at is Dimension.QUALITY:
            looks_at = Dimension.JAILBREAK
        yield Metric(
            metric="pass_rate",
            value=rate,
            n=len(told),
            higher_is_better=True,
            dimension=looks_at,
            **place,
        )
    for name, numbers in _named_scores(told).items():
        mean = sum(numbers) / len(numbers)
        yield evaluations.named(
            Metric(metric=name, value=mean, n=len(numbers), higher_is_better=True, **place)
        )
    for name, key, dimension, unit in (
        ("latency_mean", "latencyMs", Dimension.LATENCY, "ms"), ("cost_mean", "cost", Dimension.COST, "USD"),
    ):  # fmt: skip
        numbers = [number for row in told if (number := number_at(row, key)) is not None]
        if numbers:
            yield Metric(
                metric=name, value=sum(numbers) / len(numbers), n=len(numbers), unit=unit,
                higher_is_better=False, dimension=dimension, **place,
            )  # fmt: skip


def _named_scores(rows: list[Any]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for name, _ in members_at(row, "namedScores"):
            number = number_at(row, "namedScores", name)
            if number is not None:
                found[clean(name, 100)].append(number)
    return found


def _flags(value: Any, rows: list[Any]) -> Iterator[Flag]:
    errors = sum(map(_is_error, rows))
    successes = sum(walk(row, "success") is True for row in rows)
    stats = walk(value, "results", "stats")
    if errors:
        yield Flag.SAMPLE_ERRORS
    said = (count_at(stats, "successes"), count_at(stats, "failures"), count_at(stats, "errors"))
    if None not in said and said != (successes, len(rows) - successes - errors, errors):
        yield Flag.EDITED
    if any(walk(row, "response", "cached") is True for row in rows):
        yield Flag.CACHED
    if walk(value, "config", "evaluateOptions", "filterFirstN") or walk(
        value, "runtimeOptions", "filterFirstN"
    ):
        yield Flag.PARTIAL


PARSER: Final = Promptfoo()
