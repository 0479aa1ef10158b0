"""Read what somebody sends about a request: a bundle they signed, or words for the registry to sign."""

from __future__ import annotations

import dataclasses
import datetime as dt
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muniment.core.approvals import (
    NOT_APPLICABLE,
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
from muniment.core.errors import BadProof, BadSignature
from muniment.core.statement import read_bundle
from muniment.server import identity
from muniment.server.approvals.actions.recording import Tools
from muniment.server.approvals.records import Approval, ConditionOf, Request
from muniment.server.approvals.rules import requests, reviews, signing
from muniment.server.http.records import Caller
from muniment.server.identity import By
from muniment.server.identity.records import CameIn, SigningKey
from muniment.server.policy.records import ReviewStep
from muniment.server.ports.db import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What somebody says: a `bundle` they signed, or words that the registry is to sign for them."""

    bundle: Mapping[str, Any] | None = None
    decision: str = "approve"
    role: str = ""
    sign_off: str | None = None
    review_step: str | None = None
    comment: str = ""
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """What is said, the bundle of it, and the key it is signed with (None: the registry's).

    `came_in` is how who said it did; with a key, the session that made it known.
    """

    said: Said
    bundle: Mapping[str, Any]
    key_id: uuid.UUID | None
    came_in: CameIn | None


async def read(  # noqa: PLR0917 -- what it is made of
    tx: Tx,
    request: Request,
    sent: Sent,
    steps: Sequence[ReviewStep],
    caller: Caller,
    by: By,
    tools: Tools,
) -> Heard:
    """Return what somebody says of a request, checked as far as it can be without what else was said.

    Words without a step do the only one that `steps` have for their role.

    Raises:
        BadBody: it is no word on this request by this person; `problems` has all.
    """
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
        review_step=reviews.step_for(steps, sent.decision, sent.role, sent.review_step),
        comment=sent.comment,
        conditions=sent.conditions,
    )
    _check(said, [], by)
    key = tools.record_key
    bundle = sign(approval_statement(request.frozen, said), key.sign, key.public_key_der)
    return Heard(said, bundle, None, await identity.came_in(tx, caller))


async def _by_key(  # noqa: PLR0917 -- what it is compared with
    tx: Tx,
    request: Request,
    bundle: Mapping[str, Any],
    caller: Caller,
    by: By,
    tools: Tools,
) -> Heard:
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
    return Heard(said, plain_bundle(bundle), key.id, key.came_in)


async def key_of(
    tx: Tx, bundle: Mapping[str, Any], caller: Caller, problems: list[dict[str, Any]]
) -> SigningKey | None:
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


def taken_before(
    word: Heard, approvals: Sequence[Approval], *, by_session: bool
) -> Approval | None:
    """Return the approval that a word is, if it was taken before; `approvals` are all of the request.

    Raises:
        BadBody: its nonce was used for something else.
    """
    last = _same_matter(word, approvals)
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


def _same_matter(word: Heard, approvals: Sequence[Approval]) -> Approval | None:
    """Return the last word of the same person about the same thing: the whole, or what does not apply."""
    said = word.said
    about = said.person, said.review_step if said.decision == NOT_APPLICABLE else None
    mine = [one for one in signing.last_words(approvals) if signing.what_about(one) == about]
    return mine[0] if mine else None


def made(request: Request, word: Heard, by: By) -> tuple[Approval, list[ConditionOf]]:
    """Return a word as it is kept, and its conditions."""
    said = word.said
    approval = Approval(
        id=by.new_id(),
        request_id=request.id,
        person_id=said.person,
        role=said.role,
        decision=said.decision,
        sign_off=said.sign_off,
        review_step=said.review_step,
        came_in=word.came_in,
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
