"""The steps of a review: which a word does, whose turn it is, and how each stands.

1. A policy lists the steps of a risk tier, each with the roles that do it and the steps before it.
2. An approval does one step: the one it names, or the only one its role does.
3. The step of the `author` is that of who asked or made the version: it counts for nothing else.
4. An optional step may be said not to apply, with the reason, by who would do it.
5. A step comes after another if it was done, or done again, since that was.

What counts is for the rules of the policy to judge (APPR-005); what is said here agrees with them.

Source: R-120, R-121.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from muniment.core.approvals import AUTHOR, NOT_APPLICABLE, Said
from muniment.server import policy
from muniment.server.approvals.records import Word
from muniment.server.policy.records import ReviewStep

_DOES: Final = frozenset({"approve", NOT_APPLICABLE})


class StepState(enum.StrEnum):
    """How a step of a review stands."""

    DONE = "done"
    NOT_APPLICABLE = "not_applicable"
    NEXT = "next"  # it may be done now
    WAITING = "waiting"  # others come first
    EARLY = "early"  # what comes first was done since, or is not done: it has to be done again


@dataclass(frozen=True, slots=True)
class ReviewStepOf:
    """A step and how it stands: `words` that do it, `wanting` the steps that are in its way."""

    step: ReviewStep
    state: StepState
    words: tuple[Word, ...] = ()
    wanting: tuple[str, ...] = ()


def step_for(
    steps: Sequence[ReviewStep], decision: str, role: str, named: str | None
) -> str | None:
    """Return the step a word does: the one it names, else the only one its role does, else None."""
    if named is not None or decision != "approve":
        return named
    mine = [one.name for one in steps if role in one.roles]
    return mine[0] if len(mine) == 1 else None


def problems_of(steps: Sequence[ReviewStep], said: Said) -> list[dict[str, Any]]:
    """Return what is wrong with the step that a word names, or does not name."""
    message, fix = _wrong(steps, said)
    return [{"field": "review_step", "message": message, "fix": fix}] if message else []


def _wrong(steps: Sequence[ReviewStep], said: Said) -> tuple[str, str]:
    if policy.UNREADABLE in steps and said.decision in _DOES:
        return (
            "the review steps of the policy in force cannot be read, so nothing is approved under it",
            "have a bundle brought into force that `muniment policy lint` takes",
        )
    mine = [one.name for one in steps if said.role in one.roles]
    if said.review_step is None:
        return _wrong_unnamed(said, mine)
    if said.decision not in _DOES:
        return f"a {said.decision} does no step of the review", "leave `--step` out"
    named = next((one for one in steps if one.name == said.review_step), None)
    if named is None:
        known = ", ".join(one.name for one in steps) or "none"
        return f"there is no step {said.review_step!a} for this risk tier; there are: {known}", ""
    return _wrong_named(said, named, mine)


def _wrong_unnamed(said: Said, mine: Sequence[str]) -> tuple[str, str]:
    if said.decision == NOT_APPLICABLE:
        return "names no step that does not apply", "say which with `--step`"
    if said.decision != "approve":
        return "", ""
    if mine:
        wrong = f"names no step: the role {said.role} does {', '.join(mine)}"
        return wrong, "say which with `--step`"
    if said.role == AUTHOR:
        return "the policy in force has no step for who asked or made it", ""
    return "", ""


def _wrong_named(said: Said, named: ReviewStep, mine: Sequence[str]) -> tuple[str, str]:
    if said.role not in named.roles:
        whose, its = " or ".join(named.roles), ", ".join(mine) or "none"
        return f"the step {named.name} is for {whose}; the role {said.role} does {its}", ""
    if said.decision == NOT_APPLICABLE and not named.optional:
        return f"the step {named.name} is not optional: somebody has to do it", ""
    return "", ""


def standing(
    steps: Sequence[ReviewStep], words: Sequence[Word], *, requester: str, authors: Sequence[str]
) -> tuple[ReviewStepOf, ...]:
    """Return how each step stands, in the order of the policy; `words` are people's last."""
    own = {requester, *authors}
    found: dict[str, ReviewStepOf] = {}
    for step in steps:
        done = tuple(one for one in words if _does(step, one, own))
        wanting = tuple(name for name in step.after if not found[name].words)
        early = tuple(name for name in step.after if _later(found[name].words, done))
        state = _state(done, wanting, early)
        found[step.name] = ReviewStepOf(step, state, done, wanting or early)
    return tuple(found.values())


def _does(step: ReviewStep, word: Word, own: set[str]) -> bool:
    one = word.approval
    if not word.counts or one.decision not in _DOES or one.review_step != step.name:
        return False
    if one.decision == NOT_APPLICABLE and not step.optional:
        return False
    return one.role in step.roles and (str(one.person_id) in own) == (one.role == AUTHOR)


def _later(before: Sequence[Word], done: Sequence[Word]) -> bool:
    """Say whether what comes first was last done after this; the policy knows whole seconds."""
    if not before or not done:
        return False
    first, then = (max(int(one.approval.at.timestamp()) for one in each) for each in (before, done))
    return first > then


def _state(done: Sequence[Word], wanting: Sequence[str], early: Sequence[str]) -> StepState:
    if not done:
        return StepState.WAITING if wanting else StepState.NEXT
    if wanting or early:
        return StepState.EARLY
    if all(one.approval.decision == NOT_APPLICABLE for one in done):
        return StepState.NOT_APPLICABLE
    return StepState.DONE


def why_waits(found: Sequence[ReviewStepOf], name: str | None) -> str:
    """Return why it is not yet the turn of a step; empty if it is."""
    one = next((each for each in found if each.step.name == name), None)
    if one is None:
        return ""
    wanting = [
        each.step.name for each in found if each.step.name in one.step.after and not each.words
    ]
    if not wanting:
        return ""
    return f"the step {name} comes after {', '.join(wanting)}, which nobody did yet"


def is_early(found: Sequence[ReviewStepOf], name: str | None) -> bool:
    """Say whether a step has to be done again: what comes before it was done since."""
    return any(one.step.name == name and one.state is StepState.EARLY for one in found)
