"""The steps of a review as the API shows them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

import msgspec

from muniment.server.approvals.rules.reviews import ReviewStepOf, StepState


class ReviewStepBody(msgspec.Struct, frozen=True, kw_only=True):
    """A step of the review: `roles` do it (`author`: who asked or made it), after others.

    `state`: `done` or `not_applicable` by those in `approvals`; `next`: it may be done now, by `people`
    that hold a role for it; `waiting` for others (`wanting`); `early`: what comes before it was done
    since, or is not done, so it has to be done again.
    """

    name: str
    roles: list[str]
    after: list[str]
    optional: bool
    state: StepState
    wanting: list[str]
    approvals: list[uuid.UUID]
    people: list[str]


def step_body(one: ReviewStepOf, people: Mapping[str, Sequence[str]]) -> ReviewStepBody:
    """Return a step of a review and how it stands."""
    step = one.step
    due = one.state in {StepState.NEXT, StepState.EARLY}
    names = [name for role in step.roles for name in people.get(role, ()) if due]
    return ReviewStepBody(
        name=step.name,
        roles=list(step.roles),
        after=list(step.after),
        optional=step.optional,
        state=one.state,
        wanting=list(one.wanting),
        approvals=[each.approval.id for each in one.words],
        people=list(dict.fromkeys(names)),
    )
