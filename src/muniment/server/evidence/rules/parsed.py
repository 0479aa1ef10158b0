"""What was read from a file, as the JSON that is stored and whose digest is in the log.

Reading the same file with the same parser gives the same JSON, byte for byte: that is what
`muniment evidence reparse` checks. Source: R-083.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, Final

from muniment.core.canon import canonical
from muniment.core.digest import Digest, digest_of
from muniment.core.entry import time_text
from muniment.server.evidence.records import (
    VOID,
    Attested,
    Check,
    Component,
    Dimension,
    Flag,
    Metric,
    Parsed,
    Run,
)

MAX_METRICS: Final = 10_000
MAX_BYTES: Final = 4 << 20
#: How far clocks of others may be ahead of ours.
CLOCK_SKEW: Final = dt.timedelta(minutes=5)


def parsed_json(parsed: Parsed) -> dict[str, Any]:
    """Return `parsed` as JSON; of components only their number and the digest of them all."""
    return {
        "kind": parsed.kind.value,
        "format": parsed.format,
        "format_version": parsed.format_version,
        "run": run_json(parsed.run),
        "metrics": [metric_json(metric) for metric in parsed.metrics],
        "flags": sorted(flag.value for flag in parsed.flags),
        "subjects": [str(digest) for digest in parsed.subjects],
        "not_applicable": {name.value: why for name, why in parsed.not_applicable.items()},
        "details": dict(parsed.details),
        "components": {
            "count": len(parsed.components),
            "sha256": components_digest(map(component_json, parsed.components)).hex,
        },
    }


def run_json(run: Run) -> dict[str, Any]:
    """Return what is said of a run, without what is not said."""
    said: dict[str, Any] = {}
    for each in dataclasses.fields(run):
        value = getattr(run, each.name)
        if value is not None:
            said[each.name] = time_text(value) if isinstance(value, dt.datetime) else value
    return said


def context_json(context: Attested) -> dict[str, Any]:
    """Return what a context says of a run, and of what it looked at."""
    said = run_json(context.run)
    return said if context.dimension is None else said | {"dimension": context.dimension.value}


def metric_json(metric: Metric) -> dict[str, Any]:
    """Return a metric, without what is not said of it."""
    said: dict[str, Any] = {}
    for each in dataclasses.fields(metric):
        value = getattr(metric, each.name)
        if value not in (None, ""):
            said[each.name] = list(value) if isinstance(value, tuple) else value
    return said


def metric_from(fields: Mapping[str, Any]) -> Metric:
    """Read what `metric_json` wrote."""
    values = dict(fields)
    if "ci" in values:
        values["ci"] = (values["ci"][0], values["ci"][1])
    if "dimension" in values:
        values["dimension"] = Dimension(values["dimension"])
    return Metric(**values)


def component_json(component: Component) -> dict[str, Any]:
    """Return a component, without what is not known of it."""
    known = {
        "name": component.name,
        "version": component.version,
        "purl": component.purl,
        "type": component.type,
        "licenses": list(component.licenses),
        "hashes": dict(component.hashes),
    }
    return {name: value for name, value in known.items() if value}


def component_from(fields: Mapping[str, Any]) -> Component:
    """Read what `component_json` wrote."""
    return Component(
        name=fields.get("name", ""),
        version=fields.get("version"),
        purl=fields.get("purl"),
        type=fields.get("type", ""),
        licenses=tuple(fields.get("licenses", ())),
        hashes=fields.get("hashes", {}),
    )


def components_digest(components: Iterable[Mapping[str, Any]]) -> Digest:
    """Return the SHA-256 over the digests of components (as JSON), in their order."""
    return digest_of(b"".join(digest_of(canonical(one)).raw for one in components))


def flags_of(
    parsed: Parsed,
    context: Attested | None,
    recorded_at: dt.datetime,
    check: Check | None = None,
) -> tuple[str, ...]:
    """Return the flags of evidence, sorted: the file's, less what a context supplies, plus its own.

    Plus those of the check of a signed statement.
    """
    flags = set(parsed.flags) | (frozenset() if check is None else check.flags)
    ended = merged(parsed.run, None if context is None else context.run).ended
    if ended is not None and ended > recorded_at + CLOCK_SKEW:
        flags.add(Flag.FUTURE)
    if context is not None:
        flags |= context.flags
        run = context.run
        supplied = {
            Flag.MISSING_N: run.n,
            Flag.MISSING_DATASET: run.dataset_digest or run.dataset,
            Flag.MISSING_MODEL: run.model_digest or run.model,
            Flag.MISSING_TOOL_VERSION: run.tool_version,
            Flag.MISSING_TIME: run.ended,
            Flag.MISSING_JUDGE: run.judge,
        }
        flags -= {flag for flag, value in supplied.items() if value is not None}
    return tuple(sorted(flag.value for flag in flags))


def merged(file: Run, context: Run | None) -> Run:
    """Return what is known of a run: what its context says, and where that is silent the file."""
    if context is None:
        return file
    said = {
        each.name: getattr(context, each.name)
        for each in dataclasses.fields(context)
        if getattr(context, each.name) is not None
    }
    return dataclasses.replace(file, **said)


def said_by(file: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, str]:
    """Return for each thing known of a run who says it: `file`, `context`, `both`, or `differ`.

    Both are as `run_json` writes them. Source: requirements §4.2 (rule zero).
    """
    said = {}
    for name in sorted({*file, *context}):
        if name in file and name in context:
            said[name] = "both" if file[name] == context[name] else "differ"
        else:
            said[name] = "file" if name in file else "context"
    return said


def is_void(flags: Iterable[str]) -> bool:
    """Say whether the numbers of a run with these flags prove nothing."""
    return not {flag.value for flag in VOID}.isdisjoint(flags)
