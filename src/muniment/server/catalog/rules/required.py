"""What is due of a version at each step of its lifecycle, and how much of it is there.

1. A draft needs a name and an owner; everything else is due at `candidate`, and what concerns
   serving at `approved`. What a kind cannot be without is refused earlier (`rules.metadata`).
2. A reference is there when it is bound: a dataset has version and digest, a link its digest.
3. "Not applicable" counts with a reason (`not_applicable`), except for what AIG-010 asks for.
4. The six fields AIG-010 asks for weigh double.
5. Two numbers: what is present, and what the registry verified itself.

6. A namespace asks for members of `extra` of its own (`own_rows`); the score is the same sum.

Source: requirements §1.2 (8), §1.3, §1.7, §1.10; R-018, R-019, R-049, R-223.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from muniment.server.catalog.records import (
    AssetState,
    Completeness,
    Gap,
    Kind,
    Lifecycle,
    OwnField,
)
from muniment.server.catalog.rules.metadata import how_to_supply

Metadata = Mapping[str, Any]
Test = Callable[[AssetState, Metadata], bool]

_EVERY: Final = frozenset(Kind)
_TRAINED: Final = frozenset({Kind.MODEL, Kind.ADAPTER})
#: Steps in order; what is due at one is due at every later one.
STEPS: Final = (Lifecycle.DRAFT, Lifecycle.CANDIDATE, Lifecycle.APPROVED)


def _always(_state: AssetState, _metadata: Metadata) -> bool:
    return True


@dataclass(frozen=True)  # without slots: `gap` is kept
class Required:
    """One field that is due from `step` on, for assets of these kinds.

    `holds` says whether it is there, `due_if` whether it is due at all. `own` marks what the
    registry itself produces, which is verified by that.
    """

    field: str
    step: Lifecycle
    why: str
    source: str
    holds: Test
    fix: str
    kinds: frozenset[Kind] = _EVERY
    weight: int = 1
    may_not_apply: bool = True
    own: bool = False
    due_if: Test = _always

    @functools.cached_property
    def gap(self) -> Gap:
        """What is said where it is not there."""
        return Gap(self.field, self.why, self.fix, self.source)


def _said(field: str) -> Test:
    return lambda state, _metadata: bool(getattr(state, field))


def _given(field: str) -> Test:
    return lambda _state, metadata: metadata.get(field) not in (None, "", [], {})


def _bound(field: str) -> Test:
    def holds(_state: AssetState, metadata: Metadata) -> bool:
        references = metadata.get(field) or ()
        return bool(references) and all("version" in r and "digest" in r for r in references)

    return holds


def _member(field: str, *members: str) -> Test:
    return lambda _state, metadata: all(m in metadata.get(field, {}) for m in members)


def _asset(field: str, why: str, source: str, step: Lifecycle = Lifecycle.CANDIDATE) -> Required:
    option = field.replace("_", "-")
    fix = f"set it on the asset: `muniment asset edit NAME --{option} …`"
    return Required(field, step, why, source, _said(field), fix, may_not_apply=False)


def _due(
    field: str,
    why: str,
    source: str,
    *,
    holds: Test | None = None,
    kinds: frozenset[Kind] = _EVERY,
    weight: int = 1,
    step: Lifecycle = Lifecycle.CANDIDATE,
    due_if: Test = _always,
) -> Required:
    return Required(
        field,
        step,
        why,
        source,
        holds or _given(field),
        how_to_supply(field),
        kinds=kinds,
        weight=weight,
        may_not_apply=weight == 1,
        due_if=due_if,
    )


def _own(field: str, why: str) -> Required:
    fix = "the registry keeps it"
    return Required(
        field,
        Lifecycle.DRAFT,
        why,
        "AIG-010",
        _always,
        fix,
        weight=2,
        own=True,
        may_not_apply=False,
    )


_OWNER: Final = Required(
    "owner",
    Lifecycle.DRAFT,
    "somebody answers for it",
    "R-045, AIG-010",
    _said("owner"),
    "set it on the asset: `muniment asset create NAME --owner OWNER`",
    weight=2,
    may_not_apply=False,
)

#: The fields that are documentation: the rule DOC-001 speaks of these.
DOCUMENTATION: Final = frozenset({"model_card", "intended_use", "limitations", "out_of_scope"})

#: Everything that is due, in the order of the steps.
REQUIRED: Final[tuple[Required, ...]] = (
    _own("name", "AIG-010 asks for the name"),
    _own("version", "AIG-010 asks for the version's identifier"),
    _own("stage", "AIG-010 asks for the current stage; it is derived"),
    _OWNER,
    _due(
        "base_models",
        "an adapter is nothing without its base",
        "R-008",
        kinds=frozenset({Kind.ADAPTER}),
        step=Lifecycle.DRAFT,
    ),
    _due(
        "prompt",
        "a prompt is its template",
        "R-007",
        kinds=frozenset({Kind.PROMPT}),
        step=Lifecycle.DRAFT,
    ),
    _asset("backup_owner", "somebody answers when the owner is away", "R-045"),
    _asset("escalation_contact", "somebody can be called", "R-045"),
    _asset("risk_tier", "quorum and thresholds depend on it", "R-051"),
    _due(
        "training_datasets",
        "AIG-010 asks for the training data by name and version",
        "R-042, AIG-010",
        holds=_bound("training_datasets"),
        kinds=_TRAINED,
        weight=2,
    ),
    _due("metrics", "AIG-010 asks for metrics at registration", "R-020, AIG-010", weight=2),
    _due(
        "evaluation_datasets",
        "metrics mean nothing without what they were measured on",
        "R-042",
        holds=_bound("evaluation_datasets"),
    ),
    _due("fairness_metrics", "reviewers compare groups", "R-046"),
    _due("license", "nobody may use what has no license", "R-043"),
    _due("allowed_use_cases", "consumers are checked against them", "R-043"),
    _due("prohibited_use_cases", "consumers are checked against them", "R-043"),
    _due(
        "risk",
        "rating, controls and review date are reviewed",
        "R-044",
        holds=_member("risk", "rating", "controls", "review_date"),
    ),
    _due("intended_use", "users must know what it is for", "R-050"),
    _due("limitations", "users must know where it fails", "R-050"),
    _due("out_of_scope", "users must know what it is not for", "R-050"),
    _due(
        "code",
        "a version is traced to its source",
        "R-034",
        holds=_member("code", "repository", "commit", "dirty"),
    ),
    _due("pipeline", "a version is traced to what produced it", "R-062"),
    _due("run", "a version is traced to its training run", "R-024", kinds=_TRAINED),
    _due("hyperparameters", "training must be repeatable", "R-046", kinds=_TRAINED),
    _due("training_date", "entries state it", "R-048", kinds=_TRAINED),
    _due("frameworks", "entries state them with versions", "R-048", kinds=_TRAINED),
    _due("environment", "it must run again as it ran", "R-022", kinds=_TRAINED),
    _due("signature", "callers depend on inputs and outputs", "R-023", kinds=_TRAINED),
    _due(
        "fine_tuning",
        "how it came from its base",
        "R-041",
        kinds=_TRAINED,
        due_if=_given("base_models"),
    ),
    _due(
        "model_card",
        "regulators and users read it",
        "R-057",
        holds=_member("model_card", "digest"),
        step=Lifecycle.APPROVED,
    ),
    _due(
        "rollback_plan",
        "production can go back, and that was tried",
        "R-056",
        holds=_member("rollback_plan", "description", "tested_at"),
        step=Lifecycle.APPROVED,
    ),
    _due("deployment_notes", "whoever deploys must know them", "R-055", step=Lifecycle.APPROVED),
)


def own_rows(fields: Iterable[OwnField]) -> list[Required]:
    """Return what a namespace asks for of its own, as rows of the table. Source: R-223."""
    return [_own_row(one) for one in fields]


def _own_row(one: OwnField) -> Required:
    def holds(_state: AssetState, metadata: Metadata) -> bool:
        return metadata.get("extra", {}).get(one.field) not in (None, "", [], {})

    def due_if(state: AssetState, _metadata: Metadata) -> bool:
        # Nobody classed it: asked for, as rules judge it by the strictest.
        return state.risk_tier is None or state.risk_tier in one.risk_tiers

    return Required(
        f"extra.{one.field}",
        one.step,
        one.why,
        "the namespace",
        holds,
        f"`extra: {{{one.field}: …}}` in `--metadata`",
        kinds=frozenset(one.kinds) or _EVERY,
        due_if=due_if if one.risk_tiers else _always,
    )


def due(
    kind: Kind,
    step: Lifecycle,
    state: AssetState,
    metadata: Metadata,
    *,
    also: Sequence[Required] = (),
) -> list[Required]:
    """Return what is due of a version at `step`, in the table's order, an organisation's rows last.

    A deprecated or retired version is asked for what an approved one is.
    """
    rows = [*_rows(kind, step), *(row for row in also if _concerns(row, kind, step))]
    return [row for row in rows if row.due_if is _always or row.due_if(state, metadata)]


@functools.cache
def _rows(kind: Kind, step: Lifecycle) -> tuple[Required, ...]:
    return tuple(row for row in REQUIRED if _concerns(row, kind, step))


def _concerns(row: Required, kind: Kind, step: Lifecycle) -> bool:
    last = STEPS.index(step) if step in STEPS else len(STEPS) - 1
    return kind in row.kinds and STEPS.index(row.step) <= last


def _applies_not(row: Required, metadata: Metadata) -> bool:
    return row.may_not_apply and bool(metadata.get("not_applicable", {}).get(row.field))


def missing(
    kind: Kind,
    step: Lifecycle,
    state: AssetState,
    metadata: Metadata,
    *,
    also: Sequence[Required] = (),
) -> list[Gap]:
    """Return everything due at `step` that is not there, each with why and how to supply it."""
    return _missing_of(due(kind, step, state, metadata, also=also), state, metadata)


def _missing_of(rows: Iterable[Required], state: AssetState, metadata: Metadata) -> list[Gap]:
    return [
        row.gap for row in rows if not (row.holds(state, metadata) or _applies_not(row, metadata))
    ]


def completeness(
    kind: Kind,
    step: Lifecycle,
    state: AssetState,
    metadata: Metadata,
    *,
    verified: Iterable[str] = (),
    also: Sequence[Required] = (),
) -> Completeness:
    """Return how much of what is due at `step` is there.

    `verified` names fields that evidence proves. Adding a member to `metadata` never lowers
    `present_percent`, unless it makes another field due (`base_models` does).

    Source: requirements §1.10.
    """
    rows = due(kind, step, state, metadata, also=also)
    gaps = _missing_of(rows, state, metadata)
    absent = {gap.field for gap in gaps}
    proven = set(verified) - absent
    total = sum(row.weight for row in rows)
    present = sum(row.weight for row in rows if row.field not in absent)
    checked = sum(row.weight for row in rows if row.own or row.field in proven)
    return Completeness(_percent(present, total), _percent(checked, total), tuple(gaps))


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1)
