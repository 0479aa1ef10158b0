"""How approval of a version for an environment stands: put together from the tables, at a moment."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from muniment.core.approvals import frozen_sha256
from muniment.core.names import VersionRef, parse_version
from muniment.server import catalog, evidence, identity, ledger, policy
from muniment.server.approvals.reads.facts import facts
from muniment.server.approvals.records import (
    Approved,
    Place,
    Request,
    RuleException,
    Standing,
    Waived,
    Wanted,
    Word,
)
from muniment.server.approvals.rules import decisions, requests, signing, waiving
from muniment.server.approvals.store import decisions as decision_store
from muniment.server.approvals.store import requests as request_store
from muniment.server.approvals.store import signed as signed_store
from muniment.server.catalog.records import Asset, Version
from muniment.server.http.records import Scope
from muniment.server.policy.records import Bundle, Evaluation
from muniment.server.ports.db import Tx
from muniment.server.ports.engine_pool import EnginePool


async def standing(tx: Tx, version_id: uuid.UUID, environment: str, at: dt.datetime) -> Standing:
    """Return how approval of a version for an environment stands at `at`, as it is recorded now.

    Raises:
        BadBody: there is no such environment.
    """
    place = await request_store.get_place(tx, environment)
    listed = await request_store.requests_of(tx, version_id, environment)
    decided = await decision_store.newest_decision(tx, version_id, environment)
    chosen = listed[0] if listed else None
    if decided is not None and decided.expires_at is not None and decided.expires_at > at:
        chosen = await request_store.get_request(tx, decided.request_id)
    pending = next((one for one in listed if one.ended_as is None and one != chosen), None)
    if chosen is None:
        held = await signed_store.exceptions_of(tx, version_id, environment, at.date())
        waived_now = tuple(await waived(tx, held, at))
        return Standing(at=at, place=place, exceptions=waived_now)
    found = await of_request(tx, chosen, at, place=place)
    return dataclasses.replace(found, pending=pending, decision=found.decision or decided)


async def of_request(
    tx: Tx, request: Request, at: dt.datetime, *, place: Place | None = None
) -> Standing:
    """Return how one request stands at `at`."""
    place = place or await request_store.get_place(tx, request.environment)
    version, asset = await subject_of(tx, request)
    bundle = await policy.active(tx, at)
    now = await frozen_now(tx, version, asset, request_of(request), request, place, bundle)
    decided = request.ended_as is not None
    ended = decided and request.ended_as.value not in {"approved", "rejected"}  # type: ignore[union-attr]
    changes = () if ended else requests.changed(request.frozen, now, decided=decided)
    words = await words_on(tx, request, asset, bundle)
    counted = {one.approval.id for one in words if one.approval.decision == "approve"}
    conditions = await signed_store.conditions_of(tx, request.id)
    held = await signed_store.exceptions_of(tx, request.version_id, request.environment, at.date())
    return Standing(
        at=at,
        place=place,
        request=request,
        frozen_now=frozen_sha256(now),
        changed=changes,
        words=tuple(words),
        comments=tuple(await request_store.comments_of(tx, request.id)),
        conditions=tuple(one for one in conditions if one.approval_id in counted),
        exceptions=tuple(await waived(tx, held, at, requester=request.actor.id)),
        decision=await decision_store.decision_on(tx, request.id),
    )


async def subject_of(tx: Tx, request: Request) -> tuple[Version, Asset]:
    """Return the version a request is about, and its asset, as they are now."""
    asset = await catalog.get_asset(tx, request.asset)
    version = await catalog.get_version(
        tx, VersionRef(request.asset, parse_version(request.version))
    )
    return version, asset


def request_of(request: Request) -> Wanted:
    """Return what was asked for with a request."""
    return Wanted(
        environment=request.environment,
        change_class=request.change_class,
        reason=request.reason,
        reference=request.reference,
        re_conformity=request.re_conformity,
    )


async def frozen_now(  # noqa: PLR0917 -- all that reviewers see
    tx: Tx,
    version: Version,
    asset: Asset,
    wanted: Wanted,
    asked: Any,
    place: Place,
    bundle: Bundle,
) -> dict[str, Any]:
    """Return what a request for this would freeze now; `asked.actor` is who asks."""
    return requests.frozen(
        version,
        asset,
        wanted=wanted,
        requester=asked.actor,
        place=place,
        policy_digest=bundle.digest,
        evidence=await evidence.of(tx, version),
    )


async def words_on(tx: Tx, request: Request, asset: Asset, bundle: Bundle) -> list[Word]:
    """Return people's last words on a request, and whether each counts now."""
    last = signing.last_words(await signed_store.approvals_of(tx, request.id))
    persons = await identity.people(tx, [one.person_id for one in last])
    keys = await identity.signing_keys_with(tx, [one.key_id for one in last if one.key_id])
    own_key = profile_of(bundle, asset).own_key
    return [
        signing.word(
            one,
            persons.get(one.person_id),
            None if one.key_id is None else keys.get(one.key_id),
            scope=scope_of(asset),
            own_key=own_key,
        )
        for one in last
    ]


def profile_of(bundle: Bundle, asset: Asset) -> signing.Profile:
    """Return what a policy says of an asset's risk tier."""
    tier = asset.state.risk_tier
    return signing.profile(bundle.data, None if tier is None else tier.value)


def scope_of(asset: Asset) -> Scope:
    """Return where a role must be held to sign for an asset."""
    return Scope(str(asset.ref.namespace), str(asset.ref.name))


async def waived(
    tx: Tx, exceptions: Sequence[RuleException], at: dt.datetime, *, requester: str = ""
) -> list[Waived]:
    """Return exceptions, and whether each holds now; `requester` asks for what they are about."""
    if not exceptions:
        return []
    keys = await identity.signing_keys_with(tx, [one.key_id for one in exceptions if one.key_id])
    persons = await identity.people(tx, [one.person_id for one in exceptions])
    bundle = await policy.active(tx, at)
    grounds = {
        one.version_id: await _grounds(tx, one, bundle, requester)
        for one in {each.version_id: each for each in exceptions}.values()
    }
    return [
        Waived(
            one,
            waiving.lapsed(
                one,
                persons.get(one.person_id),
                None if one.key_id is None else keys.get(one.key_id),
                grounds[one.version_id],
            ),
        )
        for one in exceptions
    ]


async def _grounds(tx: Tx, one: RuleException, bundle: Bundle, requester: str) -> waiving.Grounds:
    asset = await catalog.get_asset(tx, VersionRef.parse(one.ref).asset)
    return waiving.Grounds(
        scope=scope_of(asset),
        own_key=profile_of(bundle, asset).own_key,
        requester=requester,
        authors=await ledger.registrants(tx, str(one.version_id)),
    )


# --- asking --------------------------------------------------------------------------------------


async def document(
    tx: Tx,
    version: Version,
    asset: Asset,
    found: Standing,
    *,
    step: str = "approve",
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what policy is asked about a version for an environment: facts, and how approval stands."""
    return await facts(
        tx,
        version,
        asset,
        step=step,
        at=found.at,
        environment=found.place.name,
        extra={**found.facts(), **(extra or {})},
    )


async def judge(
    tx: Tx, engines: EnginePool, version: Version, asset: Asset, found: Standing
) -> tuple[Evaluation, dict[str, Any]]:
    """Return what the bundle in force says at `approve`, and the document it was asked about."""
    bundle = await policy.active(tx, found.at)
    asked = await document(tx, version, asset, found)
    return await policy.judge(engines, bundle, asked), asked


async def approved(  # noqa: PLR0917 -- what the answer depends on
    tx: Tx,
    engines: EnginePool,
    version: Version,
    asset: Asset,
    environment: str,
    at: dt.datetime,
) -> Approved:
    """Return whether a version is approved for an environment at `at`, and if not, why.

    Raises:
        BadBody: there is no such environment.
    """
    found = await standing(tx, version.id, environment, at)
    namespace = await catalog.get_namespace(tx, asset.ref.namespace)
    verdict = None
    if not decisions.certainly_not(found):
        verdict = (await judge(tx, engines, version, asset, found))[0].verdict
    return decisions.approved(found, verdict, namespace.state.mode)
