"""Ask for a version or composite to be approved, take that back, remark on it, resolve remarks, meet conditions."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from typing import Any

from muniment.core.approvals import frozen_sha256
from muniment.core.errors import Conflict, LifecycleConflict, NotAllowed, NotFound
from muniment.core.names import VersionRef
from muniment.server import catalog, identity, policy
from muniment.server.approvals.actions.deciding import settle
from muniment.server.approvals.actions.recording import Act, Tools, about_of, record
from muniment.server.approvals.reads import matters
from muniment.server.approvals.reads import standing as reads
from muniment.server.approvals.records import (
    Comment,
    ConditionOf,
    DecisionOf,
    Ended,
    Place,
    Request,
    Wanted,
)
from muniment.server.approvals.rules import requests as rules
from muniment.server.approvals.rules import signing
from muniment.server.approvals.rules.matters import Matter
from muniment.server.approvals.store import requests as store
from muniment.server.approvals.store import signed as signed_store
from muniment.server.composites.records import Composite
from muniment.server.http.records import Caller, PrincipalKind
from muniment.server.identity import By
from muniment.server.ports.db import Tx


async def open_request(tx: Tx, ref: VersionRef, wanted: Wanted, by: By) -> tuple[Request, bool]:
    """Ask for a version to be approved for an environment; say whether the request is new.

    Asking for just what is open already gives that request. One that is void ends, and a new one
    begins, in one act.

    Raises:
        NotFound: there is no such version.
        NotServed: it is retired or quarantined.
        BadBody: there is no such environment, or a text is none.
        Conflict: something else is asked for it. Nothing is written in any of these cases.
    """
    place = await _place(tx, wanted)
    asset = await catalog.lock_asset(tx, ref.asset)
    version = await catalog.get_version(tx, ref)
    return await _open(tx, matters.of_version(version, asset), wanted, place, by)


async def open_composite_request(
    tx: Tx, composite: Composite, wanted: Wanted, by: By
) -> tuple[Request, bool]:
    """Ask for a composite to be approved for an environment, as `open_request` does for a version.

    Raises:
        BadComposite: it has no members, or too many.
        NotServed: a member is retired or quarantined.
        BadBody: there is no such environment, or a text is none.
        Conflict: something else is asked for it. Nothing is written in any of these cases.
    """
    place = await _place(tx, wanted)
    matter = await matters.of_composite(tx, composite, lock=True)
    return await _open(tx, matter, wanted, place, by)


async def _place(tx: Tx, wanted: Wanted) -> Place:
    rules.check_texts(
        reason=wanted.reason, reference=wanted.reference, re_conformity=wanted.re_conformity
    )
    return await store.get_place(tx, wanted.environment)


async def _open(
    tx: Tx, matter: Matter, wanted: Wanted, place: Place, by: By
) -> tuple[Request, bool]:
    """Open a request for what is locked."""
    for version, _ in matter.members:
        catalog.check_served(version)
    bundle = await policy.active(tx, by.at)
    there = await store.find_open(tx, matter.key, place.name)
    ended: dict[str, Any] = {}
    if there is not None:
        standing = await reads.of_request(tx, there, by.at, place=place, matter=matter)
        if not standing.void:
            return _same_or_conflict(there, wanted), False
        ended = {
            "id": str(there.id),
            "as": Ended.VOID.value,
            "reason": rules.in_words(standing.changed),
        }
    document = await reads.frozen_now(tx, matter, wanted, by, place, bundle)
    at = by.at if there is None else max(by.at, there.opened_at)
    new = _new(matter, wanted, document, dataclasses.replace(by, at=at))
    if there is not None:
        await store.end_request(tx, there.id, Ended.VOID, ended["reason"], at, new.entry_id)
    await store.insert_request(tx, new)
    act = Act(
        name="request.open",
        kind="request",
        id=new.id,
        reason=wanted.reason,
        changes={"environment": (None, place.name), "change": (None, wanted.change_class.value)},
        digests=(new.frozen_sha256,),
    )
    payload = {"request": _json(new)} | ({"request_ended": ended} if ended else {})
    await record(tx, about_of(new), act, payload, by, entry_id=new.entry_id, at=at)
    return new, True


def _new(matter: Matter, wanted: Wanted, document: dict[str, Any], by: By) -> Request:
    whole = matter.composite
    return Request(
        id=by.new_id(),
        asset_id=matter.asset.id,
        version_id=matter.version.id,
        asset=matter.asset.ref,
        version=str(matter.version.version),
        environment=wanted.environment,
        change_class=wanted.change_class,
        reason=wanted.reason,
        reference=wanted.reference,
        re_conformity=wanted.re_conformity,
        frozen=document,
        frozen_sha256=frozen_sha256(document),
        opened_at=by.at,
        actor=by.actor,
        entry_id=by.new_id(),
        composite=None if whole is None else whole.cvi,
        member_assets=None if whole is None else tuple(asset.id for _, asset in matter.members),
    )


def _same_or_conflict(there: Request, wanted: Wanted) -> Request:
    if rules.same(there, wanted):
        return there
    raise Conflict(
        f"{there.name} is to be approved for {there.environment} already, as a"
        f" {there.change_class.value} change, by request {there.id}: withdraw that first"
        f" (`muniment request withdraw {there.id}`)",
        extra={"approval_request_id": str(there.id)},
    )


def _json(one: Request) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "asset_id": str(one.asset_id),
        "version_id": str(one.version_id),
        "environment": one.environment,
        "change_class": one.change_class.value,
        "reason": one.reason,
        "reference": one.reference,
        "re_conformity": one.re_conformity,
        "frozen": dict(one.frozen),
        "composite": one.composite,
        "member_assets": None
        if one.member_assets is None
        else [str(each) for each in one.member_assets],
    }


async def withdraw(tx: Tx, request_id: uuid.UUID, reason: str, by: By, *, governs: bool) -> Request:
    """Take a request back: whoever asked, or (`governs`) whoever governs its namespace. Repeatable.

    Raises:
        NotFound: there is none of that id.
        NotAllowed: somebody else asked.
        LifecycleConflict: it came to something else.
    """
    rules.check_texts(reason=reason)
    request = await store.get_request(tx, request_id, lock=True)
    if request.actor.id != by.actor.id and not governs:
        raise NotAllowed("somebody else asked: they, or who governs the namespace, withdraw it")
    if request.ended_as is Ended.WITHDRAWN:
        return request
    _check_open(request)
    entry_id, at = by.new_id(), max(by.at, request.opened_at)
    await store.end_request(tx, request_id, Ended.WITHDRAWN, reason, at, entry_id)
    act = Act(
        name="request.withdraw",
        kind="request",
        id=request_id,
        reason=reason,
        changes={"request": ("open", "withdrawn")},
    )
    ended = {"id": str(request_id), "as": Ended.WITHDRAWN.value, "reason": reason}
    await record(tx, about_of(request), act, {"request_ended": ended}, by, entry_id=entry_id, at=at)
    return await store.get_request(tx, request_id)


def _check_open(request: Request) -> None:
    why = signing.open_to(request)
    if why:
        raise LifecycleConflict(f"{why}; ask anew (`muniment request {request.name} --to …`)")


# --- comments ------------------------------------------------------------------------------------


async def comment(tx: Tx, request_id: uuid.UUID, text: str, by: By) -> Comment:
    """Remark on an open request: while that is open, nothing is decided.

    Raises:
        NotFound: there is no such request.
        BadBody: it says nothing, or is no text.
        LifecycleConflict: the request is not open.
    """
    rules.check_texts(text=text)
    rules.check_due(text=text)
    request = await store.get_request(tx, request_id, lock=True)
    _check_open(request)
    comment_id, entry_id = by.new_id(), by.new_id()
    new = Comment(
        id=comment_id, request_id=request_id, text=text, at=by.at, actor=by.actor, entry_id=entry_id
    )
    await store.insert_comment(tx, new)
    act = Act(
        name="comment.add",
        kind="comment",
        id=comment_id,
        reason=text,
        changes={"comment": (None, "open")},
    )
    payload = {"comment": {"id": str(comment_id), "request_id": str(request_id), "text": text}}
    await record(tx, about_of(request), act, payload, by, entry_id=entry_id, at=by.at)
    return new


async def resolve(  # noqa: PLR0917 -- what the act is
    tx: Tx,
    request_id: uuid.UUID,
    comment_id: uuid.UUID,
    resolution: str,
    caller: Caller,
    by: By,
    tools: Tools,
) -> tuple[Comment, DecisionOf | None]:
    """Say how a comment was resolved; with the last of them, what is due is decided. Repeatable.

    Who made it may, and whoever could approve the request.

    Raises:
        NotFound: there is no such request or comment.
        NotAllowed: neither of these.
        BadBody: it does not say how.
        LifecycleConflict: the request is not open.
    """
    rules.check_texts(resolution=resolution)
    rules.check_due(resolution=resolution)
    request = await store.get_request(tx, request_id, lock=True)
    found = next(
        (one for one in await store.comments_of(tx, request_id) if one.id == comment_id), None
    )
    if found is None:
        raise NotFound(f"request {request_id} has no comment {comment_id}")
    if found.actor.id != by.actor.id and not await _may_sign(tx, request, caller, by.at):
        raise NotAllowed(
            "who made a comment resolves it, or somebody who could approve the request"
        )
    if found.resolved_at is not None:
        return found, None
    _check_open(request)
    entry_id, at = by.new_id(), max(by.at, found.at)
    await store.resolve_comment(
        tx, comment_id, resolution, at=at, actor=by.actor, entry_id=entry_id
    )
    act = Act(
        name="comment.resolve",
        kind="comment",
        id=comment_id,
        reason=resolution,
        changes={"comment": ("open", "resolved")},
    )
    payload = {"comment_resolved": {"id": str(comment_id), "resolution": resolution}}
    await record(tx, about_of(request), act, payload, by, entry_id=entry_id, at=at)
    listed = await store.comments_of(tx, request_id)
    decision = await settle(tx, request, by, tools)
    return next(one for one in listed if one.id == comment_id), decision


async def _may_sign(tx: Tx, request: Request, caller: Caller, at: dt.datetime) -> bool:
    """Say whether somebody, who came in so, could approve a request in any role."""
    matter = await matters.of_request(tx, request)
    roles = signing.roles_in(caller.grants, *matter.scopes)
    if caller.kind is not PrincipalKind.PERSON or not roles or str(caller.id) == request.actor.id:
        return False
    if matter.profile((await policy.active(tx, at)).data).own_login:
        came_in = await identity.came_in(tx, caller)
        if came_in is None or not came_in.own:
            return False
    return str(caller.id) not in await matters.authors(tx, matter)


async def meet(  # noqa: PLR0917 -- what the act is
    tx: Tx,
    request_id: uuid.UUID,
    condition_id: uuid.UUID,
    note: str,
    caller: Caller,
    by: By,
) -> ConditionOf:
    """Say that a condition was met, and how. Repeatable.

    Raises:
        NotFound: there is no such request or condition.
        NotAllowed: whoever says so could not approve the request.
        BadBody: it does not say how.
    """
    rules.check_texts(note=note)
    rules.check_due(note=note)
    request = await store.get_request(tx, request_id, lock=True)
    listed = await signed_store.conditions_of(tx, request_id)
    found = next((one for one in listed if one.id == condition_id), None)
    if found is None:
        raise NotFound(f"request {request_id} has no condition {condition_id}")
    if not await _may_sign(tx, request, caller, by.at):
        raise NotAllowed("that a condition was met says somebody who could approve the request")
    if found.met_at is not None:
        return found
    entry_id = by.new_id()
    await signed_store.meet_condition(
        tx, condition_id, note, at=by.at, person_id=caller.id, entry_id=entry_id
    )
    act = Act(
        name="condition.meet",
        kind="condition",
        id=condition_id,
        reason=note,
        changes={"condition": (found.text, "met")},
    )
    payload = {"condition_met": {"id": str(condition_id), "note": note}}
    await record(tx, about_of(request), act, payload, by, entry_id=entry_id, at=by.at)
    listed = await signed_store.conditions_of(tx, request_id)
    return next(one for one in listed if one.id == condition_id)
