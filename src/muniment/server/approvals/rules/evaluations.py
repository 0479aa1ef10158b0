"""What evaluations and gates tell, of a version or of a composite: pure.

1. An evaluation that does not hold counts only where none does: it tells what changed.
2. A run is superseded by a later one of the same tool that measured as much, and by later ones of any
   tool that measured all it did and are not void.
3. Of gates, only the registry's own records count. The gate called `baseline` is the baseline suite.
4. A tool counts if it is one whose files are read, and its version is known.

Source: `muniment.server.policy.schemas.policy_input.v1.json`; R-080, R-082, R-098, R-111.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final

from muniment.core.canon import canonical
from muniment.core.digest import digest_of
from muniment.server import evidence
from muniment.server.evidence.records import Evidence, EvidenceKind, Flag, Freshness

BASELINE: Final = "baseline"
_NAME_MAX, _TEXT_MAX, _RUNS_MAX, _GATES_MAX, _COMPONENTS_MAX = 300, 1000, 1000, 100, 100
_UNFINISHED: Final = frozenset({Flag.ABORTED, Flag.FAILED, Flag.PARTIAL, Flag.INVALIDATED})
_UNREAD: Final = frozenset({"other", "unknown"})

#: Evidence, oldest first, with whether it holds for what is asked about.
Known = Sequence[tuple[Evidence, Freshness]]


def name(text: object) -> str:
    """Return a name as policy has it: never empty, at most 300 characters."""
    return str(text)[:_NAME_MAX] or "unnamed"


def text(of: object) -> str:
    """Return a text as policy has it: at most 1000 characters."""
    return str(of)[:_TEXT_MAX]


def seconds(at: dt.datetime) -> int:
    """Return a time as policy has it: whole seconds since 1970."""
    return int(at.timestamp())


def hex_of(digest: str) -> str:
    """Return a component's digest as policy has it; what is no SHA-256 stands for itself by its own."""
    algorithm, _, value = digest.partition(":")
    return value if algorithm == "sha256" else digest_of(digest.encode()).hex


def components(of: Mapping[str, str]) -> dict[str, str]:
    """Return components as policy has them: by name, each with its digest.

    Too many, or names that are too long, are told as one that stands for all of them.
    """
    if len(of) > _COMPONENTS_MAX or any(not 0 < len(one) <= _NAME_MAX for one in of):
        return {"all": digest_of(canonical(dict(of))).hex}
    return {one: hex_of(digest) for one, digest in of.items()}


def of_kind(known: Known, kind: EvidenceKind) -> list[tuple[Evidence, Freshness]]:
    """Return what is of a kind, in its order."""
    return [(one, fresh) for one, fresh in known if one.kind is kind]


def evaluation(known: Known) -> dict[str, Any] | None:
    """Return what is known of evaluations and of the baseline suite, None if nothing is."""
    found_runs = of_kind(known, EvidenceKind.EVALUATION)
    baseline = [one["passed"] for one in gates(known) or () if one["name"] == BASELINE]
    if not found_runs and not baseline:
        return None
    holding = [one for one, fresh in found_runs if not fresh.stale]
    counted = current(holding) if holding else [one for one, _ in found_runs]
    runs = [one for one in counted if _is_run(one)]
    found: dict[str, Any] = {
        "dimensions": {
            one.dimension.value: {
                "status": one.state,
                **({"reason": text(one.reason)} if one.state == "not_applicable" else {}),
            }
            for one in evidence.coverage(found_runs)
        },
        "runs": [_run(one) for one in runs[-_RUNS_MAX:]],
    }
    return found | ({"baseline_passed": baseline[-1]} if baseline else {})


def current(runs: Sequence[Evidence]) -> list[Evidence]:
    """Return the runs that no later one supersedes; `runs` is oldest first, and so is the answer."""
    found: list[Evidence] = []
    measured: set[str] = set()
    of_tool: dict[str, list[set[str]]] = {}
    for one in reversed(runs):
        its = _measures(one)
        later = of_tool.setdefault(one.tool_name or one.format, [])
        if any(its <= each for each in later) or (its and its <= measured):
            continue
        found.append(one)
        later.append(its)
        if not evidence.is_void(one.flags):
            measured |= its
    return found[::-1]


def _is_run(one: Evidence) -> bool:
    """A statement that something does not apply, and no more, is no run."""
    return bool(one.parsed.get("metrics")) or not one.parsed.get("not_applicable")


def _measures(one: Evidence) -> set[str]:
    metrics = one.parsed.get("metrics", ())
    said = {metric["dimension"] for metric in metrics if metric.get("dimension")}
    return said | set(one.parsed.get("not_applicable", ()))


def _run(one: Evidence) -> dict[str, Any]:
    flags = {Flag(flag) for flag in one.flags}
    known = one.format not in _UNREAD and one.tool_version is not None
    return {
        "id": str(one.id),
        "at": seconds(evidence.made_at(one)),
        "complete": flags.isdisjoint(_UNFINISHED),
        "edited": Flag.EDITED in flags,
        "tool": text(f"{one.tool_name or one.format} {one.tool_version or ''}".strip()),
        "tool_allowed": known,
        "components": components(one.bound),
    }


def gates(known: Known) -> list[dict[str, Any]] | None:
    """Return the gates' records in the order they were decided, None if there are none.

    Of a plan no gate is decided before those before it.
    """
    found = [
        {
            "name": name(one.parsed["details"]["gate"]),
            "passed": one.parsed["details"]["result"] == "passed",
            "at": seconds(evidence.made_at(one)),
        }
        for one, fresh in of_kind(known, EvidenceKind.GATE)
        if one.format == "gate" and one.signer == "registry" and not fresh.stale
    ]
    return found[-_GATES_MAX:] or None
