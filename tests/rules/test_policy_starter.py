"""The starter bundle says of its fixtures what they say; and what holds of all its rules."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muniment.server import policy
from muniment.server.policy.records import Bundle, Outcome, RuleClass
from muniment.server.policy.rules.fixtures import merged
from muniment.server.ports.embedded_rego import EmbeddedRego
from tests.support.policies import starter

STEPS = ("candidate", "approve", "promote", "bind", "daily", "event", "dispose")
BASE = next(one for one in starter().fixtures if one.name == "all is there").document
#: Facts without which rules of a step cannot pass, with the rules that then fail.
NEEDED = {
    "sbom": {"SEC-001"},
    "provenance": {"SEC-002"},
    "scan": {"SEC-005"},
    "vulnerabilities": {"SEC-003", "SEC-004"},
    "evaluation": {"EVAL-001", "EVAL-002", "EVAL-003", "EVAL-004"},
    "gates": {"GATE-001"},
    "documentation": {"DOC-001"},
    "request": {"APPR-001", "APPR-004"},
    "approvals": {"APPR-001", "APPR-004"},
    "approval": {"APPR-002"},
    "executor": {"PROM-001"},
    "rollback": {"PROM-002"},
    "consumer": {"USE-001"},
    "retention": {"RET-001"},
}


@pytest.fixture(scope="module")
def engine() -> Iterator[EmbeddedRego]:
    made = EmbeddedRego()
    yield made
    made.close()


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return starter()


def outcomes(engine: EmbeddedRego, document: dict[str, Any]) -> dict[str, Outcome]:
    found = policy.evaluate(engine, starter(), document).verdict
    assert not [one for one in found.results if one.fault]
    return {one.id: one.outcome for one in found.results}


def test_every_fixture_is_as_expected(engine: EmbeddedRego, bundle: Bundle) -> None:
    tried = policy.run_fixtures(engine, bundle)
    assert not [(one.fixture.place, one.wrong) for one in tried if one.wrong]
    assert not policy.missing_fixtures(bundle)


def test_all_rules_are_there(bundle: Bundle) -> None:
    assert len(bundle.rules) == 22
    waivable = {one.id for one in bundle.rules if one.rule_class is RuleClass.WAIVABLE}
    assert waivable == {"SEC-004", "EVAL-001", "EVAL-004", "DOC-001"}


@pytest.mark.parametrize("step", STEPS)
def test_good_facts_pass_every_step(engine: EmbeddedRego, step: str) -> None:
    found = policy.evaluate(engine, starter(), {**BASE, "step": step})
    assert policy.exit_code(found.verdict) == 0, found.verdict.failed
    assert any(one.outcome is Outcome.PASSED for one in found.verdict.results)


def test_what_is_not_known_never_passes(engine: EmbeddedRego) -> None:
    for step, name in itertools.product(STEPS, NEEDED):
        before = outcomes(engine, {**BASE, "step": step})
        after = outcomes(engine, merged({**BASE, "step": step}, {name: None}))
        for rule in NEEDED[name]:
            if before[rule] is not Outcome.NOT_APPLICABLE:
                assert after[rule] is Outcome.FAILED, (step, name, rule)


def test_only_steps_of_the_annotations_are_asked(engine: EmbeddedRego, bundle: Bundle) -> None:
    for step in STEPS:
        found = outcomes(engine, {**BASE, "step": step})
        for rule in bundle.rules:
            applies = found[rule.id] is not Outcome.NOT_APPLICABLE
            assert not applies or step in rule.steps, (rule.id, step)


@pytest.mark.parametrize("tier", ["minimal", "limited", "high", "unacceptable", None])
@pytest.mark.parametrize("change", ["routine", "significant", "substantial", None])
def test_the_quorum_is_the_table_and_no_less(
    engine: EmbeddedRego, bundle: Bundle, tier: str | None, change: str | None
) -> None:
    judged = tier if tier in {"minimal", "limited"} else "high"
    roles = bundle.data["quorum"][judged][change or "substantial"]
    document = {**BASE, "step": "approve", "asset": {**BASE["asset"], "risk_tier": tier}}
    document = merged(document, {"subject": {"change_class": change}})
    pattern = BASE["approvals"][0]
    for left_out in (None, *roles):
        signed = [
            {**pattern, "person": f"p-{role}", "role": role} for role in roles if role != left_out
        ]
        found = outcomes(engine, {**document, "approvals": signed})
        expected = Outcome.PASSED if left_out is None else Outcome.FAILED
        assert found["APPR-001"] is expected, left_out


def _reordered(value: Any, draw: Any) -> Any:
    if isinstance(value, dict):
        names = draw(st.permutations(sorted(value)))
        return {name: _reordered(value[name], draw) for name in names}
    return [_reordered(each, draw) for each in value] if isinstance(value, list) else value


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.sampled_from([one for one in starter().fixtures if one.outcome == "failed"]))
def test_the_order_of_members_changes_no_byte(
    engine: EmbeddedRego, data: st.DataObject, fixture: Any
) -> None:
    document = json.loads(json.dumps(fixture.document))
    other = _reordered(document, data.draw)
    one, two = (
        policy.verdict_bytes(policy.evaluate(engine, starter(), each).verdict)
        for each in (document, other)
    )
    assert one == two
