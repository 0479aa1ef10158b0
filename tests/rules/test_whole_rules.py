"""What the rules say of composites: a version alone in one's place, all versions of one together."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.server.catalog.records import Mode
from muniment.server.ledger.records import Actor, Recorded, Subject
from muniment.server.lifecycle.records import Attempt, Deployment, DeployMode, Facts
from muniment.server.lifecycle.rules import folding
from muniment.server.lifecycle.rules import verdict as rules
from muniment.server.policy.records import Decision, Lacks, Outcome
from tests.rules.test_lifecycle_rules import GOOD

CVI, OTHER = "cvi1-" + "a" * 52, "cvi1-" + "b" * 52
PROMPT = dataclasses.replace(GOOD, ref="prompt@3.0.0")


def facts(of: Facts = GOOD, **more: Any) -> Facts:
    return dataclasses.replace(of, **more)


def whole(of: Facts = GOOD) -> dict[str, Outcome]:
    return {one.id: one.outcome for one in rules.verdict(of).results}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Outcome.PASSED),
        ({"part_of": (CVI,)}, Outcome.FAILED),
        ({"part_of": (CVI,), "composite": OTHER}, Outcome.PASSED),
        ({"composite": OTHER}, Outcome.PASSED),
        ({"part_of": (CVI,), "going_back": True}, Outcome.FAILED),
        ({"part_of": (CVI,), "excepted": ("COMP-001",)}, Outcome.FAILED),
        ({"part_of": (CVI,), "leaving": True}, Outcome.NOT_APPLICABLE),
        ({"part_of": (CVI,), "stage": "Staging"}, Outcome.NOT_APPLICABLE),
        ({"part_of": (CVI,), "stage": "None"}, Outcome.NOT_APPLICABLE),
    ],
)
def test_a_version_alone_does_not_take_the_place_of_a_composite(
    changes: dict[str, Any], expected: Outcome
) -> None:
    assert whole(facts(**changes))["COMP-001"] is expected


def test_the_refusal_names_the_composite_and_what_to_do() -> None:
    [found] = rules.verdict(facts(part_of=(CVI, OTHER))).failed
    assert (found.id, found.lacks) == ("COMP-001", Lacks.NOTHING)
    assert f"{CVI}, {OTHER}" in found.message
    asset = GOOD.ref.rpartition("@")[0]
    for command in (
        f"muniment composite create SYSTEM --pin {GOOD.ref}",
        "muniment promote CVI --env production",
        f"muniment rollback {asset} --env production",
    ):
        assert command in found.remedy
    assert rules.barred(rules.verdict(facts(part_of=(CVI,)))) == ()


def test_what_only_lacks_approval_is_asked_for_as_a_composite() -> None:
    late = rules.verdict(facts(composite=CVI, overdue=("monitor",)))
    assert f"muniment request {CVI} --to production" in late.failed[0].remedy
    person = rules.verdict(facts(composite=CVI, executor_kind="person"))
    assert f"muniment promote {CVI} --env production" in person.failed[0].remedy
    back = rules.verdict(facts(composite=CVI, going_back=True))
    assert "muniment withdraw CVI" in back.failed[0].remedy


def test_what_is_taken_from_another_system_is_said_and_never_in_the_way() -> None:
    taking = rules.verdict(facts(composite=CVI, shared_with=(OTHER,)))
    [said] = [one for one in taking.results if one.id == "COMP-002"]
    assert (said.outcome, OTHER in said.message) == (Outcome.FAILED, True)
    assert taking.decision is Decision.ALLOW
    assert whole(facts(composite=CVI))["COMP-002"] is Outcome.PASSED
    for other in (facts(stage="Staging", composite=CVI), facts()):
        assert whole(other)["COMP-002"] is Outcome.NOT_APPLICABLE


def test_of_one_version_the_verdict_is_its_own() -> None:
    assert rules.together([GOOD]) == rules.verdict(GOOD)


def test_every_member_that_is_in_the_way_is_named() -> None:
    held = facts(quarantined=True, composite=CVI)
    found = rules.together([held, facts(PROMPT, composite=CVI), facts(PROMPT, ref="x@1.0.0", quarantined=True, composite=CVI)])  # fmt: skip
    [one] = found.failed
    assert one.id == "STATE-002"
    assert one.message == f"{GOOD.ref}: it is quarantined; x@1.0.0: it is quarantined"
    assert f"muniment release {GOOD.ref}" in one.remedy
    assert "muniment release x@1.0.0" in one.remedy
    assert "prompt@3.0.0" not in one.message
    assert rules.barred(found) == ("STATE-002",)


def test_what_is_said_of_all_alike_is_said_once() -> None:
    alike = [facts(quarantined=True, composite=CVI), facts(PROMPT, quarantined=True, composite=CVI)]
    found = {one.id: one for one in rules.together(alike).results}
    assert found["STATE-002"].message == "it is quarantined"
    assert found["COMP-001"].message == "it is deployed whole, as a composite"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"gaps": ("a",)}, {"lifecycle": "retired"}, Decision.DENY),
        ({"overdue": ("a",)}, {}, Decision.NEEDS_APPROVAL),
        ({"overdue": ("a",)}, {"gaps": ("b",)}, Decision.DENY),
        ({}, {}, Decision.ALLOW),
        ({}, {"executor_environments": ()}, Decision.DENY),
        ({}, {"executor_may": False}, Decision.DENY),
    ],
)
def test_one_member_refuses_the_whole(
    one: dict[str, Any], other: dict[str, Any], expected: Decision
) -> None:
    parts = [facts(composite=CVI, **one), facts(PROMPT, composite=CVI, **other)]
    for turned in (parts, parts[::-1]):
        assert rules.together(turned).decision is expected


facts_of_parts = st.lists(
    st.builds(
        facts,
        st.sampled_from([GOOD, PROMPT]),
        composite=st.just(CVI),
        lifecycle=st.sampled_from(["draft", "deprecated", "retired"]),
        quarantined=st.booleans(),
        gaps=st.sampled_from([(), ("license",)]),
        excepted=st.sampled_from([(), ("META-001", "STATE-003")]),
        executor_environments=st.sampled_from([None, (), ("production",)]),
        executor_kind=st.sampled_from(["person", "workload", "service"]),
        executor_may=st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


@given(facts_of_parts)
def test_together_they_say_what_the_worst_of_them_says(parts: list[Facts]) -> None:
    order = [Outcome.FAILED, Outcome.WAIVED, Outcome.PASSED, Outcome.NOT_APPLICABLE]
    found = rules.together(parts)
    alone = [rules.verdict(one) for one in parts]
    for at, one in enumerate(found.results):
        assert one.outcome is min((each.results[at].outcome for each in alone), key=order.index)
    in_the_way = {one.id for each in alone for one in each.failed}
    assert {one.id for one in found.failed} == in_the_way
    assert (found.decision is Decision.ALLOW) == (not in_the_way)


@given(facts_of_parts)
def test_an_executor_is_trusted_with_a_composite_if_every_asset_trusts_it(
    parts: list[Facts],
) -> None:
    told = rules.executor(parts)
    assert told["trusted"] == all(
        one.executor_may and "production" in (one.executor_environments or ()) for one in parts
    )
    kinds = {"person": "human", "workload": "workload", "service": "service"}
    assert told["kind"] == kinds[parts[0].executor_kind]


def test_the_strictest_mode_counts() -> None:
    for modes in itertools.chain.from_iterable(
        itertools.permutations(Mode, length) for length in (1, 2, 3)
    ):
        expected = next(one for one in (Mode.ENFORCE, Mode.WARN, Mode.OBSERVE) if one in set(modes))
        assert rules.strictest(modes) is expected


# --- how the tables follow -----------------------------------------------------------------------

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ID = uuid.UUID(int=1)


@pytest.mark.parametrize("composite", [None, CVI])
def test_what_a_deployment_and_an_attempt_are_part_of_stands_in_the_log(
    composite: str | None,
) -> None:
    actor = Actor("workload", "w")
    deployed = Deployment(
        ID, ID, ID, "1.0.0", 1, "production", "champion", DeployMode.FULL, AT, actor, "", ID,
        composite=composite,
    )  # fmt: skip
    tried = Attempt(
        ID, ID, ID, "default", "production", AT, actor, Mode.ENFORCE, carried_out=False,
        rules=("COMP-001",), composite=composite,
    )  # fmt: skip
    payload = {
        "deployment": folding.deployment_json(deployed),
        "attempt": folding.attempt_json(tried),
    }
    entry = Recorded(ID, AT, "version.promote", actor, Subject("version", str(ID), "x"), payload, 0)
    rows: dict[Any, Any] = {}
    folding.fold_deployment(rows, entry, "now")
    assert rows[str(ID)]["composite"] == composite
    folding.fold_attempt(rows, entry, "now")
    assert rows[str(ID)]["composite"] == composite
