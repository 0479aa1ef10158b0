"""Approve, reject or defer: one signed word of one person, and the decision that may follow from it."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from muniment.core.approvals import Said
from muniment.core.errors import LifecycleConflict
from muniment.server import policy
from muniment.server.approvals.actions import words
from muniment.server.approvals.actions.deciding import decide, keep, settle, somebody_approves
from muniment.server.approvals.actions.recording import (
    Act,
    Barred,
    Tools,
    about_of,
    record,
    refuse,
)
from muniment.server.approvals.reads import matters
from muniment.server.approvals.reads import standing as reads
from muniment.server.approvals.records import (
    Approval,
    Bar,
    ConditionOf,
    DecisionOf,
    Missing,
    Outcome,
    Request,
    Standing,
    Word,
)
from muniment.server.approvals.rules import decisions, requests, reviews, signing
from muniment.server.approvals.rules.matters import Matter
from muniment.server.approvals.store import decisions as decision_store
from muniment.server.approvals.store import requests as request_store
from muniment.server.approvals.store import signed as store
from muniment.server.http.records import Caller
from muniment.server.identity import By
from muniment.server.policy.records import Verdict
from muniment.server.ports.db import Tx


@dataclass(frozen=True, slots=True)
class Given:
    """A word that was taken (`new` False: it was taken before), and what came of it.

    `verdict` is what the rules said with it, None where it had been taken before.
    """

    approval: Approval
    conditions: tuple[ConditionOf, ...]
    decision: DecisionOf | None
    verdict: Verdict | None
    missing: tuple[Missing, ...]
    new: bool


async def give(
    tx: Tx, request_id: uuid.UUID, sent: words.Sent, caller: Caller, by: By, *, tools: Tools
) -> Given | Barred:
    """Take somebody's word on a request, and decide what is due; or refuse it, and record that.

    A word that was taken already is taken again without an act of its own; what is due by now is
    decided all the same.

    Raises:
        NotFound: there is no such request.
        BadBody: what was sent is not a word on this request by this person; `problems` has all.
        LifecycleConflict: the request is void, or not open; or it is not the turn of the step that is
            done. Nothing is written in these cases.
    """
    request = await request_store.get_request(tx, request_id, lock=True)
    approvals = await store.approvals_of(tx, request_id)
    # Whoever waited for the lock speaks after who had it.
    by = dataclasses.replace(by, at=max([by.at, *(one.at for one in approvals)]))
    matter = await matters.of_request(tx, request)
    profile = matter.profile((await policy.active(tx, by.at)).data)
    word = await words.read(tx, request, sent, profile.review_steps, caller, by, tools)
    again = words.taken_before(word, approvals, by_session=sent.bundle is None)
    if again is not None and not await _to_repeat(tx, request, again, matter, profile, by):
        return await _as_before(tx, request, again, by, tools)
    signing.refuse_problems(reviews.problems_of(profile.review_steps, word.said))
    barred = await _bar(tx, request, word, approvals, matter, profile, caller)
    if barred is not None:
        return await _refuse(tx, request, word.said, barred, by)
    found = await _open_standing(tx, request, matter, by)
    await _check_turn(tx, found, matter, profile, word.said)
    approval, conditions = words.made(request, word, by)
    await store.insert_approval(tx, approval, conditions)
    found = _with(found, approval, conditions)
    evaluation, document = await reads.judge(tx, tools.engines, matter, found)
    judged = policy.judged(by.new_id(), evaluation, document)
    outcome = _outcome(found, approval, evaluation.verdict)
    payload: dict[str, Any] = {
        "approval": decisions.approval_json(approval),
        "conditions": [decisions.condition_json(one) for one in conditions],
        "token_id": None if caller.token_id is None else str(caller.token_id),
    }
    if outcome is None:
        payload["judged"] = await keep(
            tx, judged, request, entry_id=approval.entry_id, at=by.at, carried_out=False,
        )  # fmt: skip
    await _record(tx, request, approval, payload, by)
    decision = None
    if outcome is not None:
        decision = await decide(tx, found, matter, outcome, judged, by, tools)
    missing = decisions.missing(evaluation.verdict)
    return Given(approval, tuple(conditions), decision, evaluation.verdict, missing, new=True)


async def _bar(  # noqa: PLR0917 -- what it depends on
    tx: Tx,
    request: Request,
    word: words.Heard,
    approvals: Sequence[Approval],
    matter: Matter,
    profile: signing.Profile,
    caller: Caller,
) -> tuple[Bar, str] | None:
    """Return why a word of this caller is not taken; None if it is."""
    roles = signing.roles_in(caller.grants, *matter.scopes)
    signer = signing.Signer(caller.id, caller.kind, roles)
    authors = await matters.authors(tx, matter)
    barred = signing.bar(signer, word.said.role, requester=request.actor.id, authors=authors)
    mine = [one for one in signing.last_words(approvals) if one.person_id == caller.id]
    earlier = mine[-1] if mine else None
    return barred or signing.bar_of(word.said, earlier, profile, word.came_in)


async def _to_repeat(  # noqa: PLR0917 -- what it depends on
    tx: Tx, request: Request, last: Approval, matter: Matter, profile: signing.Profile, by: By
) -> bool:
    """Say whether a step has to be done again, so that the same words are new."""
    if request.ended_as is not None or last.review_step is None:
        return False
    found = await reads.of_request(tx, request, by.at, matter=matter)
    steps = await reads.reviewed(tx, found, matter, profile.review_steps)
    return reviews.is_early(steps, last.review_step)


async def _check_turn(
    tx: Tx, found: Standing, matter: Matter, profile: signing.Profile, said: Said
) -> None:
    if said.review_step is not None:
        steps = await reads.reviewed(tx, found, matter, profile.review_steps)
        why = reviews.why_waits(steps, said.review_step)
        if why:
            raise LifecycleConflict(why)


def _outcome(found: Standing, approval: Approval, verdict: Verdict) -> Outcome | None:
    if approval.decision == "reject":
        return Outcome.REJECTED
    met = not verdict.failed and somebody_approves(found)
    return Outcome.APPROVED if met else None


async def _open_standing(tx: Tx, request: Request, matter: Matter, by: By) -> Standing:
    why = signing.open_to(request)
    if why:
        raise LifecycleConflict(f"{why}: nobody can sign it any more")
    found = await reads.of_request(tx, request, by.at, matter=matter)
    if found.void:
        changes = requests.in_words(found.changed)
        raise LifecycleConflict(
            f"the request is void, for what it is about changed: {changes}; ask anew"
            f" (`muniment request {request.name} --to {request.environment}`)",
            extra={"changed": [one.what for one in found.changed]},
        )
    return found


def _with(found: Standing, approval: Approval, conditions: list[ConditionOf]) -> Standing:
    """Return how a request stands with one more word."""
    about = signing.what_about(approval)
    mine = {one.approval.id for one in found.words if signing.what_about(one.approval) == about}
    others = [one for one in found.words if one.approval.id not in mine]
    kept = [one for one in found.conditions if one.approval_id not in mine]
    return dataclasses.replace(
        found,
        words=(*others, Word(approval, signature_valid=True, eligible=True)),
        conditions=(*kept, *conditions),
    )


async def _as_before(tx: Tx, request: Request, approval: Approval, by: By, tools: Tools) -> Given:
    """Return a word that was taken before; what was in the way then may be gone."""
    listed = await store.conditions_of(tx, request.id)
    mine = tuple(one for one in listed if one.approval_id == approval.id)
    if request.ended_as is None:
        decision = await settle(tx, request, by, tools)
    else:
        decision = await decision_store.decision_on(tx, request.id)
    return Given(approval, mine, decision, None, (), new=False)


# --- recording -----------------------------------------------------------------------------------


async def _record(
    tx: Tx, request: Request, approval: Approval, payload: dict[str, Any], by: By
) -> None:
    act = Act(
        name=f"approval.{approval.decision}",
        kind="approval",
        id=approval.id,
        reason=approval.comment,
        changes={
            "role": (None, approval.role),
            "environment": (None, request.environment),
            "signed_by": (None, approval.signed_by),
            **({"review_step": (None, approval.review_step)} if approval.review_step else {}),
        },
        digests=(request.frozen_sha256, approval.statement_sha256),
    )
    await record(tx, about_of(request), act, payload, by, entry_id=approval.entry_id, at=by.at)


async def _refuse(tx: Tx, request: Request, said: Said, barred: tuple[Bar, str], by: By) -> Barred:
    act = Act(
        name="approval.refuse",
        kind="request",
        id=request.id,
        reason=barred[1],
        changes={"role": (None, said.role), "environment": (None, request.environment)},
    )
    told = {"request_id": str(request.id), "role": said.role, "decision": said.decision}
    return await refuse(tx, about_of(request), act, barred, told, by)
