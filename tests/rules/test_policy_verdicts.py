"""From answers to a verdict: whatever is not plainly an answer counts as failed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.server import policy
from muniment.server.policy.records import Decision, Lacks, Outcome, RuleResult, Verdict
from muniment.server.policy.rules import verdicts
from muniment.server.ports.policy_engine import EngineFailed, EngineFault
from tests.support.policies import BODY, DOCUMENT, bundle, rule

BAD = {"case": "bad", "args": ["x"]}
FAILING = {"applies": True, "violations": [BAD]}
SIGNED: dict[str, Any] = {
    "rule": "SEC-001", "from": 0, "until": 1784000001, "signature_valid": True, "reason": "r",
}  # fmt: skip


def result(answer: Any, rule_class: str = "waivable", **document: Any) -> RuleResult:
    made = bundle(rule_class=rule_class)
    return verdicts.verdict(made, {"sec_001": answer}, {**DOCUMENT, **document}, "0").results[0]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (None, "rule_undefined"),
        ({}, "rule_undefined"),
        ({"applies": False}, "rule_undefined"),
        ({"violations": []}, "rule_undefined"),
        (1, "rule_wrong_shape"),
        ({"applies": 1, "violations": []}, "rule_wrong_shape"),
        ({"applies": False, "violations": {}}, "rule_wrong_shape"),
        ({"applies": True, "violations": [BAD] * 1001}, "rule_wrong_shape"),
        ({"applies": True, "violations": ["no"]}, "rule_wrong_shape"),
        ({"applies": True, "violations": [{"case": "bad"}]}, "rule_wrong_shape"),
        ({"applies": True, "violations": [{**BAD, "message": "m"}]}, "rule_wrong_shape"),
        ({"applies": True, "violations": [{**BAD, "case": "worse"}]}, "rule_wrong_shape"),
        ({"applies": True, "violations": [{**BAD, "case": 1}]}, "rule_wrong_shape"),
        ({"applies": True, "violations": [{"args": []}]}, "rule_wrong_shape"),
        ({"applies": True, "violations": [{"args": [1.5]}]}, "rule_wrong_shape"),
        ({"applies": True, "violations": [{"args": [["x"]]}]}, "rule_wrong_shape"),
        ({"applies": True, "violations": [{"args": "x"}]}, "rule_wrong_shape"),
        ({"applies": True, "violations": [{"args": [2**53 + 1]}]}, "rule_wrong_shape"),
        ({"applies": True, "violations": [{"args": ["\ud800"]}]}, "rule_wrong_shape"),
        ({"applies": True, "violations": [{"args": ["x"] * 17}]}, "rule_wrong_shape"),
        (EngineFailed(EngineFault.TIMEOUT, "late\x1b[2J"), "engine_timeout"),
    ],
)
@pytest.mark.parametrize("rule_class", ["critical_safety", "waivable", "advisory", "automatic"])
def test_no_answer_that_counts_denies(answer: Any, fault: str, rule_class: str) -> None:
    made = bundle(rule_class=rule_class)
    found = verdicts.verdict(made, {"sec_001": answer}, {**DOCUMENT, "exceptions": [SIGNED]}, "0")
    assert (found.decision, verdicts.exit_code(found)) == (Decision.DENY, 3)
    assert found.results[0].fault == fault
    assert found.results[0].message.isprintable()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda each: (
            st.lists(each, max_size=3)
            | st.dictionaries(
                st.sampled_from(["applies", "violations", "case", "args"]), each, max_size=4
            )
        ),
    )
)
def test_any_answer_gives_a_verdict(answer: Any) -> None:
    found = result(answer)
    assert verdicts.verdict_bytes(Verdict(Decision.DENY, (found,), "a", "b"))
    if found.outcome is not Outcome.FAILED:
        assert answer["applies"] in (True, False)


def test_text_is_made_from_templates_and_steers_no_terminal() -> None:
    found = result({"applies": True, "violations": [{"args": ["a\x1b[31m\nb"]}]})
    assert found.message == "found a\ufffd[31m\ufffdb"
    assert result({"applies": True, "violations": [{"args": [None]}]}).message == "found nothing"
    assert result({"applies": True, "violations": [{"args": [True]}]}).message == "found yes"
    assert result({"applies": True, "violations": [{"args": [7, "unused"]}]}).message == "found 7"
    assert len(result({"applies": True, "violations": [{"args": ["x" * 9999]}]}).message) < 450


def test_order_and_repetition_of_violations_say_nothing() -> None:
    one, other = {"args": ["a"]}, {"case": "bad", "args": ["b"]}
    ways = ([one, other], [other, one, one])
    assert result({"applies": True, "violations": ways[0]}) == result(
        {"applies": True, "violations": ways[1]}
    )


@pytest.mark.parametrize(
    ("change", "rule_class", "outcome"),
    [
        ({}, "waivable", Outcome.WAIVED),
        ({}, "critical_safety", Outcome.FAILED),
        ({"signature_valid": False}, "waivable", Outcome.FAILED),
        ({"until": 1784000000}, "waivable", Outcome.FAILED),
        ({"from": 1784000001}, "waivable", Outcome.FAILED),
        ({"rule": "SEC-002"}, "waivable", Outcome.FAILED),
    ],
)
def test_exceptions_hold_for_their_rule_and_time(
    change: dict[str, Any], rule_class: str, outcome: Outcome
) -> None:
    assert result(FAILING, rule_class, exceptions=[{**SIGNED, **change}]).outcome is outcome


@pytest.mark.parametrize(
    ("lacks", "decision", "code"),
    [
        ([], Decision.ALLOW, 0),
        (["approval"], Decision.NEEDS_APPROVAL, 5),
        (["evidence"], Decision.DENY, 4),
        (["approval", "evidence"], Decision.DENY, 4),
        (["approval", "evidence", "nothing"], Decision.DENY, 3),
    ],
)
def test_what_lacks_decides(lacks: list[str], decision: Decision, code: int) -> None:
    files = {
        f"rules/{number}.rego": rule(BODY, f"SEC-{number:03}").replace(
            b'remedy: "mend {0}"', f"remedy: x, lacks: {each}".encode()
        )
        for number, each in enumerate([*lacks, "nothing"], 1)
    }
    made = policy.read_bundle(files)
    answers = {one.package: FAILING for one in made.rules[:-1]}
    answers[made.rules[-1].package] = {"applies": True, "violations": []}
    found = verdicts.verdict(made, answers, DOCUMENT, "0")
    assert (found.decision, verdicts.exit_code(found)) == (decision, code)
    shown = verdicts.verdict_json(found)["results"]
    assert [one["lacks"] for one in shown] == [*lacks, None]


@pytest.mark.parametrize("rule_class", ["advisory", "automatic"])
def test_these_classes_are_never_in_the_way(rule_class: str) -> None:
    made = bundle(rule_class=rule_class)
    found = verdicts.verdict(made, {"sec_001": FAILING}, DOCUMENT, "0")
    assert (found.decision, found.failed) == (Decision.ALLOW, ())
    assert found.results[0].lacks is Lacks.NOTHING


def test_not_applicable_says_why() -> None:
    found = result({"applies": False, "violations": [BAD]})
    assert (found.outcome, found.message) == (Outcome.NOT_APPLICABLE, "it is not asked")
