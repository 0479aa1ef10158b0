"""Approve, reject or defer: one signed word of one person, and the decision that may follow from it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from muniment.core.approvals import (
    REGISTRY,
    Condition,
    Said,
    approval_statement,
    read_said,
    read_statement,
    sign,
    verified,
)
from muniment.core.canon import canonical
from muniment.core.digest import digest_of
from muniment.core.errors import BadProof, BadSignature, LifecycleConflict
from muniment.core.statement import read_bundle
from muniment.server import identity, policy
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
from muniment.server.approvals.rules import decisions, requests, signing
from muniment.server.approvals.rules.matters import Matter
from muniment.server.approvals.store import decisions as decision_store
from muniment.server.approvals.store import requests as request_store
from muniment.server.approvals.store import signed as store
from muniment.server.http.records import Caller
from muniment.server.identity import By
from muniment.server.policy.records import Verdict
from muniment.server.ports.db import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What somebody says: a `bundle` they signed, or words that the registry is to sign for them."""

    bundle: Mapping[str, Any] | None = None
    decision: str = "approve"
    role: str = ""
    sign_off: str | None = None
    comment: str = ""
    conditions: tuple[Condition, ...] = ()


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


@dataclass(frozen=True, slots=True)
class _Word:
    """What is said, the bundle of it, and the key it is signed with (None: the registry's)."""

    said: Said
    bundle: Mapping[str, Any]
    key_id: uuid.UUID | None


async def give(
    tx: Tx, request_id: uuid.UUID, sent: Sent, caller: Caller, by: By, *, tools: Tools
) -> Given | Barred:
    """Take somebody's word on a request, and decide what is due; or refuse it, and record that.

    A word that was taken already is taken again without an act of its own; what is due by now is
    decided all the same.

    Raises:
        NotFound: there is no such request.
        BadBody: what was sent is not a word on this request by this person; `problems` has all.
        LifecycleConflict: the request is void, or not open. Nothing is written in these cases.
    """
    request = await request_store.get_request(tx, request_id, lock=True)
    approvals = await store.approvals_of(tx, request_id)
    last = {one.person_id: one for one in signing.last_words(approvals)}.get(caller.id)
    word = await _read(tx, request, sent, caller, by, tools)
    again = _taken_before(word, last, approvals, by_session=sent.bundle is None)
    if again is not None:
        return await _as_before(tx, request, again, by, tools)
    matter = await matters.of_request(tx, request)
    roles = signing.roles_in(caller.grants, *matter.scopes)
    signer = signing.Signer(caller.id, caller.kind, roles)
    authors = await matters.authors(tx, matter)
    own_key = matter.profile((await policy.active(tx, by.at)).data).own_key
    barred = signing.bar(signer, word.said.role, requester=request.actor.id, authors=authors)
    barred = barred or signing.bar_of(word.said, last, own_key=own_key)
    if barred is not None:
        return await _refuse(tx, request, word.said, barred, by)
    found = await _open_standing(tx, request, matter, by)
    approval, conditions = _made(request, word, by)
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
    mine = {one.approval.id for one in found.words if one.approval.person_id == approval.person_id}
    words = [one for one in found.words if one.approval.id not in mine]
    kept = [one for one in found.conditions if one.approval_id not in mine]
    return dataclasses.replace(
        found,
        words=(*words, Word(approval, signature_valid=True, eligible=True)),
        conditions=(*kept, *conditions),
    )


# --- reading what was sent -----------------------------------------------------------------------


async def _read(  # noqa: PLR0917 -- what it is made of
    tx: Tx, request: Request, sent: Sent, caller: Caller, by: By, tools: Tools
) -> _Word:
    if sent.bundle is not None:
        return await _by_key(tx, request, sent.bundle, caller, by, tools)
    said = Said(
        registry=tools.registry,
        person=caller.id,
        role=sent.role,
        at=by.at.replace(microsecond=0),
        nonce=secrets.token_hex(16),
        signed_by=REGISTRY,
        request_id=request.id,
        decision=sent.decision,
        sign_off=sent.sign_off,
        comment=sent.comment,
        conditions=sent.conditions,
    )
    _check(said, [], by)
    key = tools.record_key
    bundle = sign(approval_statement(request.frozen, said), key.sign, key.public_key_der)
    return _Word(said, bundle, None)


async def _by_key(  # noqa: PLR0917 -- what it is compared with
    tx: Tx,
    request: Request,
    bundle: Mapping[str, Any],
    caller: Caller,
    by: By,
    tools: Tools,
) -> _Word:
    """Return a word that was signed with the caller's own key, once all of it has been checked."""
    problems: list[dict[str, Any]] = []
    try:
        said = read_said(read_statement(bundle))
    except BadProof as error:
        problems.append({"field": "bundle", "message": error.message})
        signing.refuse_problems(problems)
        raise
    problems += signing.problems_of(said, person=caller.id, registry=tools.registry)
    if said.request_id != request.id:
        problems.append({"field": "requestId", "message": "is another request's"})
    if canonical(approval_statement(request.frozen, said)) != read_bundle(bundle)[0]:
        problems.append(
            {
                "field": "bundle",
                "message": "is not exactly the statement for this request and what it freezes",
                "fix": "read the request again, and sign with `muniment approve`",
            }
        )
    key = await key_of(tx, bundle, caller, problems)
    _check(said, problems, by, since=request.opened_at)
    assert key is not None
    return _Word(said, plain_bundle(bundle), key.id)


async def key_of(
    tx: Tx, bundle: Mapping[str, Any], caller: Caller, problems: list[dict[str, Any]]
) -> Any:
    """Return the caller's key that signed a bundle; else add to `problems` why there is none."""
    material = bundle.get("verificationMaterial")
    named = material.get("publicKey") if isinstance(material, Mapping) else None
    hint = named.get("hint") if isinstance(named, Mapping) else None
    key = await identity.signing_key_called(tx, hint) if isinstance(hint, str) else None
    fix = "make your key known with `muniment key create`"
    if key is None or key.principal_id != caller.id:
        message = "is signed with a key that is not known as yours"
        problems.append({"field": "bundle", "message": message, "fix": fix})
        return None
    if key.revoked_at is not None:
        message = f"is signed with your key `{key.name}`, which was revoked"
        problems.append({"field": "bundle", "message": message, "fix": fix})
        return None
    try:
        verified(bundle, key.public_key)
    except (BadProof, BadSignature) as error:
        problems.append({"field": "bundle", "message": error.message})
        return None
    return key


def plain_bundle(bundle: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a bundle that was read: what `core.approvals.sign` makes, no more."""
    envelope = bundle["dsseEnvelope"]
    signature = envelope["signatures"][0]["sig"]
    hint = bundle["verificationMaterial"]["publicKey"]["hint"]
    return {
        "mediaType": bundle["mediaType"],
        "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": envelope["payload"],
            "payloadType": envelope["payloadType"],
            "signatures": [{"sig": signature, "keyid": ""}],
        },
    }


def _check(
    said: Said, problems: list[dict[str, Any]], by: By, since: dt.datetime | None = None
) -> None:
    problems += signing.time_problems(said, now=by.at, since=since)
    problems += signing.condition_problems(said, by.at.date())
    signing.refuse_problems(problems)
    requests.check_texts(comment=said.comment)
    for index, one in enumerate(said.conditions):
        requests.check_texts(**{f"conditions[{index}].text": one.text})


def _taken_before(
    word: _Word, last: Approval | None, approvals: list[Approval], *, by_session: bool
) -> Approval | None:
    """Return the approval that a word is, if it was taken before.

    Raises:
        BadBody: its nonce was used for something else.
    """
    if not by_session:
        used = next((one for one in approvals if one.nonce == word.said.nonce), None)
        if used is None:
            return None
        said = digest_of(read_bundle(word.bundle)[0])
        if last is None or used.id != last.id or used.statement_sha256 != said:
            signing.refuse_problems([signing.USED_NONCE])
        return used
    if last is None or not last.by_session:
        return None
    before = read_said(read_statement(last.bundle))
    same = dataclasses.replace(before, at=word.said.at, nonce=word.said.nonce) == word.said
    return last if same else None


async def _as_before(tx: Tx, request: Request, approval: Approval, by: By, tools: Tools) -> Given:
    """Return a word that was taken before; what was in the way then may be gone."""
    listed = await store.conditions_of(tx, request.id)
    mine = tuple(one for one in listed if one.approval_id == approval.id)
    if request.ended_as is None:
        decision = await settle(tx, request, by, tools)
    else:
        decision = await decision_store.decision_on(tx, request.id)
    return Given(approval, mine, decision, None, (), new=False)


def _made(request: Request, word: _Word, by: By) -> tuple[Approval, list[ConditionOf]]:
    said = word.said
    approval = Approval(
        id=by.new_id(),
        request_id=request.id,
        person_id=said.person,
        role=said.role,
        decision=said.decision,
        sign_off=said.sign_off,
        comment=said.comment,
        signed_by=said.signed_by,
        key_id=word.key_id,
        nonce=said.nonce,
        statement_sha256=digest_of(read_bundle(word.bundle)[0]),
        bundle=word.bundle,
        at=by.at,
        entry_id=by.new_id(),
    )
    conditions = [
        ConditionOf(
            id=by.new_id(), approval_id=approval.id, position=position, text=one.text, due=one.due
        )
        for position, one in enumerate(said.conditions)
    ]
    return approval, conditions


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
