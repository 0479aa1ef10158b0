"""The steps of a review: what a word does, whose turn it is, and that the policy's rule agrees."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muniment.server import policy
from muniment.server.approvals.records import Word
from muniment.server.approvals.rules import reviews, signing
from muniment.server.approvals.rules.reviews import StepState
from muniment.server.policy.records import Bundle, ReviewStep
from muniment.server.policy.rules.bundles import with_tables
from muniment.server.ports.embedded_rego import EmbeddedRego
from tests.rules.test_approval_rules import IDS, NOW, approval, said
from tests.support.policies import starter

STEPS = (
    ReviewStep("self-review", ("author",)),
    ReviewStep("peer", ("technical", "platform"), ("self-review",)),
    ReviewStep("legal", ("legal",), ("self-review",), optional=True),
    ReviewStep("board", ("platform",), ("peer", "legal")),
)
PROFILE = {
    "review_steps": [
        {"name": one.name, "roles": list(one.roles), "after": list(one.after), "optional": one.optional}
        for one in STEPS
    ]
}  # fmt: skip
ASKER, MAKER = IDS[3], IDS[4]
PEOPLE = (ASKER, MAKER, uuid.UUID(int=51), uuid.UUID(int=52), uuid.UUID(int=53))
FROZEN = "3" * 64


@pytest.mark.parametrize(
    ("decision", "role", "named", "expected"),
    [
        ("approve", "technical", None, "peer"),
        ("approve", "author", None, "self-review"),
        ("approve", "platform", None, None),
        ("approve", "platform", "board", "board"),
        ("approve", "security", None, None),
        ("reject", "technical", None, None),
        ("not_applicable", "legal", None, None),
    ],
)
def test_a_word_does_the_only_step_of_its_role(
    decision: str, role: str, named: str | None, expected: str | None
) -> None:
    assert reviews.step_for(STEPS, decision, role, named) == expected


@pytest.mark.parametrize(
    ("word", "wrong"),
    [
        ({"role": "technical", "review_step": "peer"}, ""),
        ({"role": "security"}, ""),
        ({"decision": "reject"}, ""),
        ({"role": "legal", "review_step": "legal", "decision": "not_applicable"}, ""),
        ({"role": "platform"}, "does peer, board"),
        ({"role": "legal", "decision": "not_applicable"}, "names no step that does not apply"),
        ({"decision": "defer", "review_step": "peer"}, "a defer does no step"),
        ({"review_step": "lunch"}, "there is no step 'lunch'"),
        ({"role": "legal", "review_step": "peer"}, "is for technical or platform; the role legal does legal"),
        ({"role": "security", "review_step": "peer"}, "the role security does none"),
        ({"review_step": "board", "decision": "not_applicable"}, "is not optional"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_step_is_said(word: dict[str, Any], wrong: str) -> None:
    found = reviews.problems_of(STEPS, said(**word))
    assert bool(found) == bool(wrong)
    assert wrong in "".join(one["message"] for one in found)


def test_without_steps_none_is_done() -> None:
    assert reviews.problems_of((), said()) == []
    assert "no step for who asked" in reviews.problems_of((), said(role="author"))[0]["message"]
    assert "there are: none" in reviews.problems_of((), said(review_step="peer"))[0]["message"]
    assert reviews.standing((), (), requester="", authors=()) == ()


def test_under_steps_that_cannot_be_read_nothing_is_approved() -> None:
    [unread] = steps = signing.profile(
        {"profiles": {"high": {"review_steps": 7}}}, None
    ).review_steps
    for word in ({}, {"decision": "not_applicable", "review_step": "unreadable"}):
        [wrong] = reviews.problems_of(steps, said(**word))
        assert "cannot be read, so nothing is approved" in wrong["message"]
    assert reviews.problems_of(steps, said(decision="reject")) == []
    assert unread.roles == ()


def word(number: int, person: uuid.UUID, role: str, step: str | None, at: int, **more: Any) -> Word:
    made = approval(
        number, person_id=person, role=role, review_step=step, at=NOW + dt.timedelta(seconds=at),
        decision=more.pop("decision", "approve"),
    )  # fmt: skip
    return Word(made, more.pop("signature_valid", True), more.pop("eligible", True))


def states(*words: Word) -> dict[str, StepState]:
    found = reviews.standing(STEPS, words, requester=str(ASKER), authors=[str(MAKER)])
    return {one.step.name: one.state for one in found}


def test_steps_are_done_in_turn() -> None:
    own = word(1, ASKER, "author", "self-review", 1)
    peer = word(2, PEOPLE[2], "technical", "peer", 2)
    off = word(3, PEOPLE[3], "legal", "legal", 2, decision="not_applicable")
    board = word(4, PEOPLE[4], "platform", "board", 3)
    assert states() == {
        "self-review": StepState.NEXT, "peer": StepState.WAITING, "legal": StepState.WAITING,
        "board": StepState.WAITING,
    }  # fmt: skip
    assert states(own)["peer"] is StepState.NEXT
    done = states(own, peer, off, board)
    assert set(done.values()) == {StepState.DONE, StepState.NOT_APPLICABLE}
    assert (
        states(own, word(2, PEOPLE[2], "technical", "peer", 9), off, board)["board"]
        is StepState.EARLY
    )
    assert states(own, off, board)["board"] is StepState.EARLY
    found = reviews.standing(STEPS, [own, off], requester=str(ASKER), authors=[])
    assert (
        reviews.why_waits(found, "board") == "the step board comes after peer, which nobody did yet"
    )
    assert reviews.why_waits(found, "peer") == reviews.why_waits(found, None) == ""
    early = reviews.standing(STEPS, [off, board], requester=str(ASKER), authors=[])
    assert reviews.is_early(early, "board")
    assert not reviews.is_early(early, "peer")
    # Each does their own.
    assert states(word(1, PEOPLE[2], "author", "self-review", 1))["self-review"] is StepState.NEXT
    assert states(own, word(2, MAKER, "technical", "peer", 2))["peer"] is StepState.NEXT
    peer_off = word(2, PEOPLE[2], "technical", "peer", 2, decision="not_applicable")
    assert states(own, peer_off)["peer"] is StepState.NEXT


def test_that_a_step_does_not_apply_stands_beside_what_else_is_said() -> None:
    off = approval(1, decision="not_applicable", review_step="legal", person_id=IDS[0])
    yes = approval(2, person_id=IDS[0])
    again = approval(3, decision="not_applicable", review_step="legal", person_id=IDS[0])
    assert signing.last_words([off, yes, again]) == [yes, again]


# --- the rule of the policy ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine() -> Iterator[EmbeddedRego]:
    made = EmbeddedRego()
    yield made
    made.close()


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return with_tables(starter(), {"profiles": {"high": PROFILE}})


words = st.lists(
    st.builds(
        lambda person, role, step, at, decision, flags: word(
            0, PEOPLE[person], role, step, at, decision=decision,
            signature_valid=flags[0], eligible=flags[1],
        ),
        st.integers(0, 4),
        st.sampled_from(["author", "technical", "platform", "legal"]),
        st.sampled_from([*(one.name for one in STEPS), None]),
        st.integers(0, 5),
        st.sampled_from(["approve", "approve", "approve", "not_applicable", "defer"]),
        st.sampled_from([(True, True), (True, True), (True, True), (False, True), (True, False)]),
    ),
    max_size=8,
)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words)
def test_what_is_shown_is_what_the_rule_judges(
    engine: EmbeddedRego, bundle: Bundle, listed: list[Word]
) -> None:
    base = next(one for one in starter().fixtures if one.name == "all is there").document
    document = {
        **base,
        "step": "approve",
        "at": int(NOW.timestamp()) + 60,
        "subject": {**base["subject"], "authors": [str(MAKER)]},
        "request": {**base["request"], "requester": str(ASKER)},
        "approvals": [{**one.facts(IDENTITY), "frozen_sha256": FROZEN} for one in listed],
    }
    verdict = policy.evaluate(engine, bundle, document).verdict
    [result] = [one for one in verdict.results if one.id == "APPR-005"]
    assert result.fault is None
    told = {
        case: {each.args[0] for each in result.violations if each.case == case}
        for case in ("step", "waits", "order")
    }
    shown = states(*listed)
    assert told["step"] == {name for name, one in shown.items() if one is StepState.NEXT}
    assert told["waits"] == {name for name, one in shown.items() if one is StepState.WAITING}
    assert told["order"] == {name for name, one in shown.items() if one is StepState.EARLY}


IDENTITY = approval().statement_sha256
