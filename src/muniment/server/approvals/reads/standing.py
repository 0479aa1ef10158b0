"""How approval of a version or composite for an environment stands: put together from the tables, at a moment."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from muniment.core.approvals import frozen_sha256
from muniment.core.names import VersionRef
from muniment.server import catalog, evidence, identity, ledger, policy
from muniment.server.approvals.reads import matters
from muniment.server.approvals.reads.facts import facts_of
from muniment.server.approvals.records import (
    Approved,
    DecisionOf,
    Place,
    Request,
    RuleException,
    Standing,
    Waived,
    Wanted,
    Word,
)
from muniment.server.approvals.rules import (
    composing,
    decisions,
    requests,
    reviews,
    signing,
    waiving,
)
from muniment.server.approvals.rules.matters import Matter, scope_of
from muniment.server.approvals.rules.reviews import ReviewStepOf
from muniment.server.approvals.store import decisions as decision_store
from muniment.server.approvals.store import requests as request_store
from muniment.server.approvals.store import signed as signed_store
from muniment.server.catalog.records import Asset, Version
from muniment.server.composites.records import Composite
from muniment.server.evidence.records import Evidence
from muniment.server.http.records import Role
from muniment.server.policy.records import Bundle, Evaluation, ReviewStep
from muniment.server.ports.db import Tx
from muniment.server.ports.engine_pool import EnginePool


async def standing(
    tx: Tx,
    version_id: uuid.UUID,
    environment: str,
    at: dt.datetime,
    *,
    known: tuple[Version, Asset] | None = None,
) -> Standing:
    """Return how approval of a version alone for an environment stands at `at`, as it is recorded now.

    `known` are the version and its asset, if they were read before.

    Raises:
        BadBody: there is no such environment.
    """
    version = known[0] if known else await catalog.version_by_id(tx, version_id)
    asset = known[1] if known else await catalog.get_asset(tx, version.asset)
    return await standing_of(tx, matters.of_version(version, asset), environment, at)


async def composite_standing(
    tx: Tx, composite: Composite, environment: str, at: dt.datetime
) -> Standing:
    """Return how approval of a composite for an environment stands at `at`, as it is recorded now.

    Raises:
        BadBody: there is no such environment.
        BadComposite: it has no members, or too many.
    """
    return await standing_of(tx, await matters.of_composite(tx, composite), environment, at)


async def standing_of(tx: Tx, matter: Matter, environment: str, at: dt.datetime) -> Standing:
    """Return how approval of what is asked for stands at `at`.

    Raises:
        BadBody: there is no such environment.
    """
    place = await request_store.get_place(tx, environment)
    latest = await request_store.latest_request(tx, matter.key, environment)
    decided = await decision_store.newest_decision(tx, matter.key, environment)
    chosen = latest
    holds = decided is not None and decided.expires_at is not None and decided.expires_at > at
    if decided is not None and holds and (latest is None or latest.id != decided.request_id):
        chosen = await request_store.get_request(tx, decided.request_id)
    if chosen is None:
        return await _without_request(tx, matter, place, at)
    asked_anew = latest is not None and latest.ended_as is None and latest.id != chosen.id
    found = await of_request(tx, chosen, at, place=place, matter=matter, newest=decided)
    return dataclasses.replace(
        found, pending=latest if asked_anew else None, decision=found.decision or decided
    )


async def _without_request(tx: Tx, matter: Matter, place: Place, at: dt.datetime) -> Standing:
    held = await _exceptions(tx, matter, place, None, at)
    return Standing(at=at, place=place, exceptions=held, waived=_told(matter, held, at))


async def of_request(
    tx: Tx,
    request: Request,
    at: dt.datetime,
    *,
    place: Place | None = None,
    matter: Matter | None = None,
    newest: DecisionOf | None = None,
) -> Standing:
    """Return how one request stands at `at`.

    `place`, `matter` and the `newest` decision on what it is about are read here if they were not before.
    """
    place = place or await request_store.get_place(tx, request.environment)
    matter = matter or await matters.of_request(tx, request)
    bundle = await policy.active(tx, at)
    now = await frozen_now(tx, matter, request_of(request), request, place, bundle)
    decided = request.ended_as is not None
    ended = decided and request.ended_as.value not in {"approved", "rejected"}  # type: ignore[union-attr]
    changes = () if ended else requests.changed(request.frozen, now, decided=decided)
    words = await words_on(tx, request, matter, bundle)
    counted = {one.approval.id for one in words if one.approval.decision == "approve"}
    conditions = await signed_store.conditions_of(tx, request.id)
    held = await _exceptions(tx, matter, place, bundle, at, requester=request.actor.id)
    if newest is None or newest.request_id != request.id:
        newest = await decision_store.decision_on(tx, request.id) if decided else None
    return Standing(
        at=at,
        place=place,
        request=request,
        frozen_now=frozen_sha256(now),
        changed=changes,
        words=tuple(words),
        comments=tuple(await request_store.comments_of(tx, request.id)),
        conditions=tuple(one for one in conditions if one.approval_id in counted),
        exceptions=held,
        waived=_told(matter, held, at),
        decision=newest,
    )


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
    tx: Tx, matter: Matter, wanted: Wanted, asked: Any, place: Place, bundle: Bundle
) -> dict[str, Any]:
    """Return what a request for this would freeze now; `asked.actor` is who asks."""
    known: dict[str, list[Evidence]] = {
        str(version.id): await evidence.of(tx, version) for version, _ in matter.members
    }
    if matter.composite is not None:
        cvi = matter.composite.cvi
        known[cvi] = await evidence.about(tx, "composite", cvi)
    return requests.frozen(
        matter,
        wanted=wanted,
        requester=asked.actor,
        place=place,
        policy_digest=bundle.digest,
        evidence=known,
    )


async def words_on(tx: Tx, request: Request, matter: Matter, bundle: Bundle) -> list[Word]:
    """Return people's last words on a request, and whether each counts now."""
    last = signing.last_words(await signed_store.approvals_of(tx, request.id))
    persons = await identity.people(tx, [one.person_id for one in last])
    keys = await identity.signing_keys_with(tx, [one.key_id for one in last if one.key_id])
    profile = matter.profile(bundle.data)
    return [
        signing.word(
            one,
            persons.get(one.person_id),
            None if one.key_id is None else keys.get(one.key_id),
            scopes=matter.scopes,
            profile=profile,
        )
        for one in last
    ]


async def reviewed(
    tx: Tx, found: Standing, matter: Matter, steps: Sequence[ReviewStep]
) -> tuple[ReviewStepOf, ...]:
    """Return how the steps of the review of a request stand."""
    if not steps or found.request is None:
        return ()
    authors = await matters.authors(tx, matter)
    return reviews.standing(steps, found.words, requester=found.request.actor.id, authors=authors)


async def people_for(tx: Tx, steps: Sequence[ReviewStepOf], matter: Matter) -> dict[str, list[str]]:
    """Return the names of active people by the role for these steps that they hold for all members."""
    known = {f"approver_{role}": role for one in steps for role in one.step.roles}
    wanted = [Role(name) for name in known if name in set(Role)]
    if not wanted:
        return {}
    of_each = [await identity.people_with(tx, wanted, scope) for scope in matter.scopes]
    return functools.reduce(
        _both,
        [{known[role.value]: list(names) for role, names in one.items()} for one in of_each],
    )


def _both(one: Mapping[str, list[str]], other: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {
        role: [name for name in names if name in other.get(role, ())] for role, names in one.items()
    }


# --- exceptions ----------------------------------------------------------------------------------


async def _exceptions(
    tx: Tx,
    matter: Matter,
    place: Place,
    bundle: Bundle | None,
    at: dt.datetime,
    *,
    requester: str = "",
) -> tuple[Waived, ...]:
    """Return the exceptions of all members, and whether each holds for what they are asked about in.

    `bundle` is the policy in force, None if it was not read before.
    """
    ids = list(dict.fromkeys(version.id for version, _ in matter.members))
    held = await signed_store.exceptions_of(tx, ids, place.name, at.date())
    if not held:
        return ()
    profile = matter.profile((bundle or await policy.active(tx, at)).data)
    authors = await matters.authors(tx, matter)
    grounds = {
        version.id: waiving.Grounds(
            scope=scope, profile=profile, requester=requester, authors=authors
        )
        for (version, _), scope in zip(matter.members, matter.scopes, strict=True)
    }
    return tuple(await _lapsing(tx, held, grounds))


def _told(
    matter: Matter, held: Sequence[Waived], at: dt.datetime
) -> tuple[Mapping[str, Any], ...] | None:
    """Return what policy is told of a composite's exceptions; None of a version's, which are its own."""
    if matter.composite is None:
        return None
    told = [
        [one.facts() for one in held if one.exception.version_id == version.id]
        for version, _ in matter.members
    ]
    return tuple(composing.waived_for_all(told, int(at.timestamp())))


async def waived(tx: Tx, exceptions: Sequence[RuleException], at: dt.datetime) -> list[Waived]:
    """Return exceptions, and whether each holds now for its version alone, whoever asks for that."""
    if not exceptions:
        return []
    bundle = await policy.active(tx, at)
    grounds = {}
    for one in {each.version_id: each for each in exceptions}.values():
        asset = await catalog.get_asset(tx, VersionRef.parse(one.ref).asset)
        tier = asset.state.risk_tier
        grounds[one.version_id] = waiving.Grounds(
            scope=scope_of(asset),
            profile=signing.profile(bundle.data, None if tier is None else tier.value),
            authors=await ledger.registrants(tx, str(one.version_id)),
        )
    return await _lapsing(tx, exceptions, grounds)


async def _lapsing(
    tx: Tx, exceptions: Sequence[RuleException], grounds: Mapping[uuid.UUID, waiving.Grounds]
) -> list[Waived]:
    keys = await identity.signing_keys_with(tx, [one.key_id for one in exceptions if one.key_id])
    persons = await identity.people(tx, [one.person_id for one in exceptions])
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


# --- asking --------------------------------------------------------------------------------------


async def judge(
    tx: Tx, engines: EnginePool, matter: Matter, found: Standing
) -> tuple[Evaluation, dict[str, Any]]:
    """Return what the bundle in force says at `approve`, and the document it was asked about."""
    bundle = await policy.active(tx, found.at)
    asked = await facts_of(
        tx,
        matter,
        step="approve",
        at=found.at,
        environment=found.place.name,
        extra=found.facts(),
    )
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
    return await approved_of(tx, engines, matters.of_version(version, asset), environment, at)


async def composite_approved(
    tx: Tx, engines: EnginePool, composite: Composite, environment: str, at: dt.datetime
) -> Approved:
    """Return whether a composite is approved for an environment at `at`, and if not, why.

    Raises:
        BadBody: there is no such environment.
        BadComposite: it has no members, or too many.
    """
    matter = await matters.of_composite(tx, composite)
    return await approved_of(tx, engines, matter, environment, at)


async def approved_of(
    tx: Tx, engines: EnginePool, matter: Matter, environment: str, at: dt.datetime
) -> Approved:
    """Return whether what is asked for is approved for an environment at `at`, and if not, why."""
    return await answer_of(tx, engines, matter, await standing_of(tx, matter, environment, at))


async def answer_of(tx: Tx, engines: EnginePool, matter: Matter, found: Standing) -> Approved:
    """Return whether what stands so is approved, and if not, why."""
    verdict = None
    if not decisions.certainly_not(found):
        verdict = (await judge(tx, engines, matter, found))[0].verdict
    return decisions.approved(found, verdict, await matters.mode(tx, matter))
