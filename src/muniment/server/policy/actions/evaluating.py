"""Ask the rules of a bundle about an input document; run its fixtures.

Nothing is written here, and nothing raised for what a rule or an engine does: a rule without an
answer that counts has failed.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muniment.core.errors import Unavailable
from muniment.server.policy.records import Bundle, Evaluation, Fixture, Outcome, Rule, RuleResult
from muniment.server.policy.rules import bundles, inputs, simulating, verdicts
from muniment.server.policy.rules.bundles import ASKED_PATH, RULES_PATH
from muniment.server.ports.policy_engine import EngineFailed, EngineFault, PolicyEngine


def evaluate(
    engine: PolicyEngine,
    bundle: Bundle,
    document: Mapping[str, Any],
    clock_ns: Callable[[], int] = time.perf_counter_ns,
) -> Evaluation:
    """Return the verdict on a document that `read_input` took, and how it was come by.

    One question for all rules of the document's step. Where that is answered with an error, one for each, so that the rule
    that is broken is the one that is named. `clock_ns` measures how long it took, and nothing else.

    Raises:
        BadJson: the document has no canonical form.
    """
    started_ns = clock_ns()
    data, digest = inputs.canonical_input(document)
    step = document["step"]
    rules = [rule for rule in bundle.rules if step in rule.steps]
    answers = _answers(engine, bundle, rules, step, data)
    found = verdicts.verdict(bundle, answers, document, digest)
    duration_us = (clock_ns() - started_ns) // 1000
    return Evaluation(found, engine.name, engine.version, duration_us)


def _answers(
    engine: PolicyEngine, bundle: Bundle, rules: Sequence[Rule], step: str, data: bytes
) -> Mapping[str, Any]:
    if not rules:
        return {}
    try:
        told = engine.ask(bundle.program, f"{ASKED_PATH}/{step}", data)
    except EngineFailed as error:
        if error.fault is not EngineFault.ERROR:
            return {rule.package: error for rule in rules}
    else:
        return told if isinstance(told, dict) else {}
    return {rule.package: _answer(engine, bundle, rule, step, data) for rule in rules}


def _answer(engine: PolicyEngine, bundle: Bundle, rule: Rule, step: str, data: bytes) -> Any:
    try:
        return engine.ask(bundle.program, f"{ASKED_PATH}/{step}/{rule.package}", data)
    except EngineFailed as error:
        return error


def unreadable(engine: PolicyEngine, bundle: Bundle) -> str:
    """Return why the engine cannot take the Rego of a bundle; empty if it can."""
    for rule in bundle.rules:
        try:
            engine.ask(bundle.program, f"{RULES_PATH}/{rule.package}", b"{}")
        except EngineFailed as error:
            return f"{rule.file}: {error.message}"
    return ""


@dataclass(frozen=True, slots=True)
class Tried:
    """A fixture, what its rule said, and how that differs from what it was to say (empty: not)."""

    fixture: Fixture
    result: RuleResult | None
    wrong: str

    @property
    def endless(self) -> bool:
        """Whether no answer came in time."""
        return self.result is not None and self.result.fault == EngineFault.TIMEOUT


def run_fixtures(engine: PolicyEngine, bundle: Bundle) -> list[Tried]:
    """Return the fixtures of a bundle with what came of them; those after one without an end are left out."""
    tried = []
    for fixture in bundle.fixtures:
        tried.append(_try(engine, bundle, fixture))
        if tried[-1].endless:
            break
    return tried


def _try(engine: PolicyEngine, bundle: Bundle, fixture: Fixture) -> Tried:
    problems = inputs.input_problems(fixture.document)
    if fixture.data is not None:
        bundle = bundles.with_tables(bundle, fixture.data)
    if problems:
        first = problems[0]
        return Tried(fixture, None, f"its document: `{first['field']}`: {first['message']}")
    found = evaluate(engine, bundle, fixture.document)
    result = next(one for one in found.verdict.results if one.id == fixture.rule)
    rule = next(one for one in bundle.rules if one.id == fixture.rule)
    return Tried(fixture, result, _difference(fixture, result, rule))


def no_longer_failing(
    engine: PolicyEngine, bundle: Bundle, fixtures: Sequence[Fixture]
) -> list[Fixture]:
    """Return the fixtures of another bundle by which a rule fails there, and in this bundle does not.

    Each of their rules is in this bundle; it alone is asked.

    Raises:
        Unavailable: the engine could not be asked.
    """
    rules = {rule.id: rule for rule in bundle.rules}
    return [one for one in fixtures if not _fails(engine, bundle, rules[one.rule], one)]


def _fails(engine: PolicyEngine, bundle: Bundle, rule: Rule, fixture: Fixture) -> bool:
    if fixture.data is not None:
        bundle = bundles.with_tables(bundle, fixture.data)
    data, digest = inputs.canonical_input(fixture.document)
    step = fixture.document["step"]
    answer = _answer(engine, bundle, rule, step, data) if step in rule.steps else None
    alone = dataclasses.replace(bundle, rules=(rule,))
    found = verdicts.verdict(alone, {rule.package: answer}, fixture.document, digest)
    why = simulating.could_not_be_asked(found)
    if why:
        raise Unavailable(f"the engine could not be asked: {why}")
    return found.results[0].outcome is Outcome.FAILED


def _difference(fixture: Fixture, result: RuleResult, rule: Rule) -> str:
    step = fixture.document["step"]
    if step not in rule.steps and fixture.outcome is not Outcome.NOT_APPLICABLE:
        return f"it is to say something at {step}, where its annotations do not have it asked"
    if result.fault is not None or result.outcome is not fixture.outcome:
        return f"expected {fixture.outcome}, found {result.outcome}: {result.message}"
    cases = tuple(sorted({one.case for one in result.violations}))
    if fixture.cases and cases != fixture.cases:
        return f"expected the cases {', '.join(fixture.cases)}, found {', '.join(cases) or 'none'}"
    return ""


def missing_fixtures(bundle: Bundle) -> list[str]:
    """Return in words which fixtures rules lack: each needs one that passes and one that fails."""
    has = {(one.rule, one.outcome) for one in bundle.fixtures}
    return [
        f"{rule.id} has no fixture that {word}"
        for rule in bundle.rules
        for outcome, word in ((Outcome.PASSED, "passes"), (Outcome.FAILED, "fails"))
        if (rule.id, outcome) not in has
    ]
