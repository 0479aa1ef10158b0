"""What the registry's own rules and the policy in force say together, going back, and what helps."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.server.http.records import Role, Verb
from muniment.server.identity.rules.access import roles_with
from muniment.server.lifecycle.rules import advice, checks
from muniment.server.lifecycle.rules import verdict as rules
from muniment.server.policy.records import (
    Decision,
    Lacks,
    Outcome,
    RuleClass,
    RuleResult,
    Verdict,
    Violation,
)
from tests.rules.test_lifecycle_rules import GOOD


def result(rule_id: str = "X-001", outcome: Outcome = Outcome.PASSED, **more: Any) -> RuleResult:
    lacks = Lacks.NOTHING if outcome in {Outcome.FAILED, Outcome.WAIVED} else None
    said = {"rule_class": RuleClass.CRITICAL_SAFETY, "message": "m", "lacks": lacks, **more}
    return RuleResult(id=rule_id, outcome=outcome, **said)


def verdict(*results: RuleResult) -> Verdict:
    return Verdict(Decision.ALLOW, results, "p" * 64, "i" * 64)


def own(**changes: Any) -> dict[str, Outcome]:
    found = rules.verdict(dataclasses.replace(GOOD, **changes))
    return {one.id: one.outcome for one in found.results}


outcomes = st.sampled_from(list(Outcome))
results = st.lists(
    st.builds(
        result,
        st.sampled_from(["X-001", "X-002", "X-003"]),
        outcomes,
        rule_class=st.sampled_from(list(RuleClass)),
    ),
    unique_by=lambda one: one.id,
)


@given(results, results)
def test_neither_side_makes_good_what_the_other_finds(
    one: list[RuleResult], other: list[RuleResult]
) -> None:
    found = rules.joined(verdict(*one), verdict(*other))
    assert sorted(each.id for each in found.results) == sorted({each.id for each in [*one, *other]})
    in_the_way = {each.id for each in [*verdict(*one).failed, *verdict(*other).failed]}
    assert {each.id for each in found.failed} == in_the_way
    assert (found.decision is Decision.ALLOW) == (not in_the_way)
    assert (found.policy_digest, found.input_digest) == ("p" * 64, "i" * 64)


@given(outcomes, outcomes)
def test_of_two_results_of_a_rule_the_worse_counts(one: Outcome, other: Outcome) -> None:
    order = [Outcome.FAILED, Outcome.WAIVED, Outcome.PASSED, Outcome.NOT_APPLICABLE]
    [found] = rules.joined(verdict(result(outcome=one)), verdict(result(outcome=other))).results
    assert found.outcome is min(one, other, key=order.index)


def test_a_failed_rule_that_is_in_the_way_counts_before_one_that_only_says_so() -> None:
    said = result(outcome=Outcome.FAILED, rule_class=RuleClass.ADVISORY)
    bars = result(outcome=Outcome.FAILED)
    assert rules.joined(verdict(said), verdict(bars)).results == (bars,)
    assert rules.joined(verdict(bars), verdict(said)).results == (bars,)


def test_an_exception_waives_what_may_be_waived_and_nothing_else() -> None:
    every = tuple(rule.id for rule in checks.RULES)
    assert own(gaps=("license",), excepted=("META-001",))["META-001"] is Outcome.WAIVED
    assert own(gaps=("license",), excepted=("DOC-001",))["META-001"] is Outcome.FAILED
    assert own(executor_kind="person", excepted=every)["PROM-001"] is Outcome.FAILED
    assert own(excepted=every)["META-001"] is Outcome.PASSED


def test_production_goes_back_only_to_what_is_approved_and_asks_no_pipeline() -> None:
    back: dict[str, Any] = {
        "going_back": True,
        "executor_kind": "person",
        "executor_environments": None,
    }
    assert own(**back)["BACK-001"] is Outcome.FAILED
    found = rules.verdict(dataclasses.replace(GOOD, **back))
    assert (found.decision, [one.id for one in found.failed]) == (
        Decision.NEEDS_APPROVAL,
        ["BACK-001"],
    )
    assert own(**back, approved=True)["BACK-001"] is Outcome.PASSED
    assert own(**back, stage="Staging")["BACK-001"] is Outcome.NOT_APPLICABLE
    for rule in ("PROM-001", "TRUST-001", "TRUST-002", "META-001", "DOC-001", "SEC-005"):
        assert own(**back)[rule] is Outcome.NOT_APPLICABLE
    assert own(**back, quarantined=True, approved=True)["STATE-002"] is Outcome.FAILED
    assert own()["BACK-001"] is Outcome.NOT_APPLICABLE


def test_an_overdue_condition_is_in_the_way_of_production_alone() -> None:
    late: dict[str, Any] = {"overdue": ("monitor drift",)}
    assert own(**late)["APPR-003"] is Outcome.FAILED
    assert own(**late, stage="Staging")["APPR-003"] is Outcome.NOT_APPLICABLE
    assert own()["APPR-003"] is Outcome.PASSED


# --- what helps ----------------------------------------------------------------------------------


def ways(one: RuleResult, **more: Any) -> list[tuple[str, tuple[Role, ...]]]:
    [found] = advice.unmet(verdict(one), **more)
    return [(way.command, way.roles) for way in found.ways]


def failed(remedy: str, *violations: Violation) -> RuleResult:
    return result(outcome=Outcome.FAILED, remedy=remedy, violations=violations)


def test_commands_are_those_of_the_remedy_each_once() -> None:
    remedy = "add it (`muniment evidence add a@1 FILE`); or `muniment vex add`; `muniment evidence add a@1 FILE`"
    assert ways(failed(remedy)) == [
        ("muniment evidence add a@1 FILE", roles_with(Verb.ATTEST)),
        ("muniment vex add", roles_with(Verb.TRIAGE)),
    ]
    assert ways(failed("wait")) == [("", roles_with(Verb.REGISTER))]
    assert ways(failed("`muniment unheard of`")) == [("muniment unheard of", ())]
    assert ways(failed("`rm -rf /`")) == [("", roles_with(Verb.REGISTER))]


@pytest.mark.parametrize("verb", [Verb.ATTEST, Verb.ADMINISTER, Verb.TRIAGE])
def test_an_administrator_is_asked_where_nobody_else_may(verb: Verb) -> None:
    assert roles_with(verb)
    assert (Role.ADMIN in roles_with(verb)) == (verb is Verb.ADMINISTER)


def test_a_missing_role_of_the_quorum_is_asked_of_who_has_it() -> None:
    missing = (
        Violation("role", (0, 1, "security"), ""),
        Violation("role", (0, 1, "nobody"), ""),
        Violation("comments", (1,), ""),
    )
    one = failed("have somebody approve it", *missing)
    assert ways(one, request_id="r1") == [
        ("muniment approve r1 --as security", (Role.APPROVER_SECURITY,))
    ]
    assert advice.unmet(verdict(one))[0].ways == ()
    both = failed("ask: `muniment request a@1 --to production`", *missing)
    assert [command for command, _ in ways(both)] == ["muniment request a@1 --to production"]


def test_what_is_to_be_signed_is_asked_of_the_role_it_is_for() -> None:
    command = "muniment approve a@1 --env production --as platform --sign-off entry-verified"
    assert ways(failed(f"`{command}`")) == [(command, (Role.APPROVER_PLATFORM,))]
    assert ways(failed("`muniment approve a@1 --as nobody`")) == [
        ("muniment approve a@1 --as nobody", ())
    ]


def test_outcomes_are_counted() -> None:
    assert advice.by_outcome(verdict(result(), result("X-002"))) == {"passed": 2}
