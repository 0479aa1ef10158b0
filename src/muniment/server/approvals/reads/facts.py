"""The facts of a version or composite, gathered from the slices that hold them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from muniment.scan.records import VerdictClass
from muniment.server import (
    catalog,
    composites,
    evidence,
    identity,
    ledger,
    scanning,
    vulnerabilities,
)
from muniment.server.approvals.reads import matters
from muniment.server.approvals.rules import composing
from muniment.server.approvals.rules import facts as rules
from muniment.server.approvals.rules.matters import Matter, root_of
from muniment.server.catalog.records import Asset, Version
from muniment.server.composites.records import Composite
from muniment.server.evidence.records import EvidenceKind
from muniment.server.ports.db import Tx


async def facts(
    tx: Tx,
    version: Version,
    asset: Asset,
    *,
    step: str,
    at: dt.datetime,
    environment: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the input document of policy for a version, as of `at`: what rules may read.

    `extra` is put over it: `request`, `approvals`, `approval`, `exceptions`, `executor`, `rollback`,
    `stage`; members of `subject` (`change_class`) and of `asset` one by one.
    """
    held = await _held(tx, version, asset, at)
    return rules.document(held, step=step, at=at, environment=environment, extra=extra or {})


async def composite_facts(
    tx: Tx,
    composite: Composite,
    *,
    step: str,
    at: dt.datetime,
    environment: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the input document of policy for a composite, as of `at`: the worst of its members' facts.

    `extra` is put over it, as by `facts`.

    Raises:
        BadComposite: it has no members, or too many.
    """
    matter = await matters.of_composite(tx, composite)
    return await facts_of(tx, matter, step=step, at=at, environment=environment, extra=extra)


async def facts_of(
    tx: Tx,
    matter: Matter,
    *,
    step: str,
    at: dt.datetime,
    environment: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the input document of policy for what a request is about."""
    found = [
        await facts(
            tx, version, asset, step=step, at=at, environment=environment,
            extra=(extra or {}) if matter.composite is None else {},
        )
        for version, asset in matter.members
    ]  # fmt: skip
    if matter.composite is None:
        return found[0]
    whole = await _whole(tx, matter, matter.composite, at)
    return composing.document(whole, found, extra or {})


async def _whole(tx: Tx, matter: Matter, composite: Composite, at: dt.datetime) -> composing.Whole:
    known = await evidence.about(tx, "composite", composite.cvi)
    return composing.Whole(
        cvi=composite.cvi,
        root=root_of(composite).hex,
        system=composite.system,
        components=evidence.bound(
            EvidenceKind.EVALUATION, composites.behaviour(composite.manifest)
        ),
        registrants=await matters.composite_authors(tx, matter),
        tested=[(one, evidence.of_composite(one, composite, at)) for one in known],
    )


async def _held(tx: Tx, version: Version, asset: Asset, at: dt.datetime) -> rules.Held:
    known = await evidence.bearing(tx, version)
    scan = await scanning.newest_scan(tx, version.id)
    wrong = scan is not None and scan.verdict in {VerdictClass.UNSCANNABLE, VerdictClass.FINDINGS}
    reports = await scanning.reports(tx, version, scan) if wrong and scan is not None else ()
    subjects = sorted(
        {
            one.subject_id
            for one in known
            if one.kind is EvidenceKind.SBOM and not evidence.of_version(one, version, at).stale
        }
    )
    people = (asset.state.owner, asset.state.backup_owner)
    return rules.Held(
        version=version,
        asset=asset,
        evidence=known,
        scan=scan,
        reports=reports,
        outlook=await vulnerabilities.outlook(tx, version, subjects, at) if subjects else None,
        active=await identity.active_people(tx, [one for one in people if one]),
        authors=await ledger.registrants(tx, str(version.id)),
        vouched_for=await catalog.vouched_for(tx, version),
    )
