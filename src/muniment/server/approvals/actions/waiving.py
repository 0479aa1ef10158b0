"""Grant an exception to a rule, and revoke one; each ends by itself as well."""

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
    Waiver,
    exception_statement,
    read_statement,
    read_waiver,
    sign,
)
from muniment.core.canon import canonical
from muniment.core.digest import digest_of
from muniment.core.errors import BadProof
from muniment.core.names import VersionRef
from muniment.core.statement import read_bundle
from muniment.server import catalog, identity, ledger, policy
from muniment.server.approvals.actions.deciding import settle
from muniment.server.approvals.actions.recording import (
    About,
    Act,
    Barred,
    Tools,
    record,
    refuse,
)
from muniment.server.approvals.actions.words import key_of, plain_bundle
from muniment.server.approvals.reads import matters
from muniment.server.approvals.reads.standing import waived
from muniment.server.approvals.records import Bar, DecisionOf, Place, RuleException
from muniment.server.approvals.rules import decisions, requests, signing
from muniment.server.approvals.rules import waiving as rules
from muniment.server.approvals.rules.matters import Matter
from muniment.server.approvals.store import requests as request_store
from muniment.server.approvals.store import signed as store
from muniment.server.catalog.records import Asset, Version
from muniment.server.http.records import Caller
from muniment.server.identity import By
from muniment.server.identity.records import CameIn, SigningKey
from muniment.server.policy.records import Bundle
from muniment.server.ports.db import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An exception somebody wants to grant: a `bundle` they signed, or words to be signed for them."""

    environment: str
    bundle: Mapping[str, Any] | None = None
    role: str = ""
    rule: str = ""
    until: dt.date | None = None
    reason: str = ""
    control: str = ""


@dataclass(frozen=True, slots=True)
class Granted:
    """An exception (`new` False: it was there before), and the decision that followed from it."""

    exception: RuleException
    decision: DecisionOf | None
    new: bool


@dataclass(frozen=True, slots=True)
class _Where:
    version: Version
    asset: Asset
    place: Place
    bundle: Bundle

    @property
    def matter(self) -> Matter:
        return matters.of_version(self.version, self.asset)


async def grant(
    tx: Tx, ref: VersionRef, asked: Asked, caller: Caller, by: By, *, tools: Tools
) -> Granted | Barred:
    """Grant an exception, and decide what is due with it; or refuse to, and record that. Repeatable.

    Raises:
        NotFound: there is no such version.
        BadBody: it is not one that can be granted; `problems` has all. Nothing is written.
    """
    place = await request_store.get_place(tx, asked.environment)
    asset = await catalog.lock_asset(tx, ref.asset)  # grants, and requests, take turns
    version = await catalog.get_version(tx, ref)
    where = _Where(version, asset, place, await policy.active(tx, by.at))
    request = await request_store.find_open(tx, version.id, place.name)
    waiver, bundle, key = await _read(tx, where, asked, caller, by, tools)
    came_in = await identity.came_in(tx, caller) if key is None else key.came_in
    again = await _granted_before(tx, where, waiver, bundle, by)
    if again is not None:
        return Granted(again, None, new=False)
    requester = "" if request is None else request.actor.id
    barred = await _barred(tx, where, waiver, caller, requester, came_in)
    if barred is not None:
        return await _refuse(tx, where, waiver, barred, by)
    new = _made(where, waiver, bundle, by, None if key is None else key.id, came_in)
    await store.insert_exception(tx, new)
    act = Act(
        name="exception.grant",
        kind="exception",
        id=new.id,
        reason=new.reason,
        changes={
            "rule": (None, new.rule),
            "environment": (None, place.name),
            "until": (None, new.until.isoformat()),
        },
        digests=(new.statement_sha256,),
    )
    payload = {
        "exception": decisions.exception_json(new),
        "token_id": None if caller.token_id is None else str(caller.token_id),
    }
    await record(tx, _about(where), act, payload, by, entry_id=new.entry_id, at=by.at)
    decision = None if request is None else await settle(tx, request, by, tools)
    return Granted(new, decision, new=True)


async def _barred(  # noqa: PLR0917 -- what it depends on
    tx: Tx, where: _Where, waiver: Waiver, caller: Caller, requester: str, came_in: CameIn | None
) -> tuple[Bar, str] | None:
    rule = next(one for one in where.bundle.rules if one.id == waiver.rule)
    roles = signing.roles_in(caller.grants, *where.matter.scopes)
    signer = signing.Signer(caller.id, caller.kind, roles)
    authors = await ledger.registrants(tx, str(where.version.id))
    barred = rules.bar(rule, waiver.role)
    barred = barred or signing.bar(signer, waiver.role, requester=requester, authors=authors)
    profile = where.matter.profile(where.bundle.data)
    return barred or signing.needs_of(waiver.signed_by, profile, came_in)


async def _read(  # noqa: PLR0917 -- what it is compared with
    tx: Tx, where: _Where, asked: Asked, caller: Caller, by: By, tools: Tools
) -> tuple[Waiver, Mapping[str, Any], SigningKey | None]:
    if asked.bundle is not None:
        return await _by_key(tx, where, asked.bundle, caller, by, tools)
    waiver = Waiver(
        registry=tools.registry,
        person=caller.id,
        role=asked.role,
        at=by.at.replace(microsecond=0),
        nonce=secrets.token_hex(16),
        signed_by=REGISTRY,
        rule=asked.rule,
        version_id=where.version.id,
        ref=where.version.name,
        manifest=where.version.manifest_digest,
        environment=where.place.name,
        until=asked.until or dt.date.min,
        reason=asked.reason,
        control=asked.control,
    )
    _check(where, waiver, [], by)
    key = tools.record_key
    return waiver, sign(exception_statement(waiver), key.sign, key.public_key_der), None


async def _by_key(  # noqa: PLR0917 -- the same
    tx: Tx, where: _Where, bundle: Mapping[str, Any], caller: Caller, by: By, tools: Tools
) -> tuple[Waiver, Mapping[str, Any], SigningKey]:
    """Return an exception signed with the caller's own key, once all of it has been checked."""
    problems: list[dict[str, Any]] = []
    try:
        waiver = read_waiver(read_statement(bundle))
    except BadProof as error:
        problems.append({"field": "bundle", "message": error.message})
        signing.refuse_problems(problems)
        raise
    problems += signing.problems_of(waiver, person=caller.id, registry=tools.registry)
    expected = dataclasses.replace(
        waiver,
        version_id=where.version.id,
        ref=where.version.name,
        manifest=where.version.manifest_digest,
        environment=where.place.name,
    )
    if canonical(exception_statement(expected)) != read_bundle(bundle)[0]:
        message = "is not exactly the statement for this version and environment"
        problems.append({"field": "bundle", "message": message})
    key = await key_of(tx, bundle, caller, problems)
    _check(where, waiver, problems, by)
    assert key is not None
    return waiver, plain_bundle(bundle), key


def _check(where: _Where, waiver: Waiver, problems: list[dict[str, Any]], by: By) -> None:
    days = where.matter.profile(where.bundle.data).approval_days
    problems += signing.time_problems(waiver, now=by.at, since=where.version.registered_at)
    problems += rules.problems_of(waiver, where.bundle.rules, today=by.at.date(), most_days=days)
    signing.refuse_problems(problems)
    requests.check_texts(reason=waiver.reason, control=waiver.control)


async def _granted_before(
    tx: Tx, where: _Where, waiver: Waiver, bundle: Mapping[str, Any], by: By
) -> RuleException | None:
    """Return the exception that this is, if it was granted before.

    Raises:
        BadBody: its nonce was used for something else, or that was revoked since.
    """
    if waiver.signed_by != REGISTRY:
        found = await store.find_exception(tx, waiver.nonce)
        if found is None:
            return None
        if found.statement_sha256 != digest_of(read_bundle(bundle)[0]) or found.revoked_at:
            signing.refuse_problems([signing.USED_NONCE])
        return found
    held = await store.exceptions_of(tx, [where.version.id], where.place.name, by.at.date())
    # One that lapsed is granted anew, in the same words too.
    for one in [each.exception for each in await waived(tx, held, by.at) if not each.lapsed]:
        if one.signed_by == REGISTRY and (
            one.person_id, one.role, one.rule, one.until, one.reason, one.control,
        ) == (waiver.person, waiver.role, waiver.rule, waiver.until, waiver.reason, waiver.control):  # fmt: skip
            return one
    return None


def _made(  # noqa: PLR0917 -- its parts
    where: _Where,
    waiver: Waiver,
    bundle: Mapping[str, Any],
    by: By,
    key_id: uuid.UUID | None,
    came_in: CameIn | None,
) -> RuleException:
    return RuleException(
        id=by.new_id(),
        asset_id=where.asset.id,
        version_id=where.version.id,
        environment=where.place.name,
        rule=waiver.rule,
        reason=waiver.reason,
        control=waiver.control,
        until=waiver.until,
        person_id=waiver.person,
        role=waiver.role,
        signed_by=waiver.signed_by,
        key_id=key_id,
        nonce=waiver.nonce,
        statement_sha256=digest_of(read_bundle(bundle)[0]),
        bundle=bundle,
        granted_at=by.at,
        entry_id=by.new_id(),
        ref=where.version.name,
        came_in=came_in,
    )


def _about(where: _Where) -> About:
    version = where.version
    return About(where.asset.id, version.id, str(version.version), version.name)


async def _refuse(tx: Tx, where: _Where, waiver: Waiver, barred: tuple[Bar, str], by: By) -> Barred:
    act = Act(
        name="exception.refuse",
        kind="version",
        id=where.version.id,
        reason=barred[1],
        changes={"rule": (None, waiver.rule), "environment": (None, where.place.name)},
    )
    told = {
        "rule": waiver.rule,
        "role": waiver.role,
        "reason": waiver.reason,
        "control": waiver.control,
        "until": waiver.until.isoformat(),
    }
    return await refuse(tx, _about(where), act, barred, told, by)


async def revoke(tx: Tx, exception_id: uuid.UUID, reason: str, by: By) -> RuleException:
    """Have an exception hold no more. Repeatable.

    Raises:
        NotFound: there is none of that id.
        BadBody: it does not say why.
    """
    requests.check_texts(reason=reason)
    requests.check_due(reason=reason)
    found = await store.get_exception(tx, exception_id, lock=True)
    if found.revoked_at is not None:
        return found
    entry_id, at = by.new_id(), max(by.at, found.granted_at)
    await store.revoke_exception(tx, exception_id, reason, at=at, actor=by.actor, entry_id=entry_id)
    act = Act(
        name="exception.revoke",
        kind="exception",
        id=exception_id,
        reason=reason,
        changes={"rule": (found.rule, None)},
    )
    version = found.ref.rpartition("@")[2]
    about = About(found.asset_id, found.version_id, version, found.ref)
    payload = {"exception_revoked": {"id": str(exception_id), "reason": reason}}
    await record(tx, about, act, payload, by, entry_id=entry_id, at=at)
    return await store.get_exception(tx, exception_id)
