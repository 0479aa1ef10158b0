"""What a version may do now: its lifecycle, computed as design §2 has it. Asked, and not recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from muniment.core.names import VersionRef
from muniment.server import approvals, catalog, policy
from muniment.server.approvals.records import Approved
from muniment.server.catalog.records import Asset, Lifecycle, Version
from muniment.server.identity import By
from muniment.server.lifecycle.records import Ports, Stage
from muniment.server.lifecycle.store import deployments as store
from muniment.server.policy.records import Verdict
from muniment.server.ports.db import Tx


@dataclass(frozen=True, slots=True)
class Found:
    """A version's lifecycle now, and why it is not further.

    `approved` is by environment, where something was decided. `reasons` are pairs of the id of a rule
    (or `metadata`) and words: what keeps a draft from being a candidate; of others there are none.
    """

    version: Version
    lifecycle: Lifecycle
    approved: Mapping[str, Approved]
    reasons: Sequence[tuple[str, str]] = ()


async def lifecycle_of(tx: Tx, ref: VersionRef, by: By, ports: Ports) -> Found:
    """Return what a version may do now.

    A version that was deprecated or retired is that. Else it is approved while a decision for an
    environment that counts as production holds; a candidate if a pipeline that its CI system
    vouched for registered its files, what is due of its metadata is there, and the candidate rules
    of the policy in force allow it; a draft otherwise.

    Raises:
        NotFound: there is no such version.

    Source: requirements §1.1 (R-124 to R-129), §1.3.
    """
    asset = await catalog.get_asset(tx, ref.asset)
    version = await catalog.get_version(tx, ref)
    places = await store.environments(tx)
    approved = {}
    for place in places:
        found = await approvals.approved(tx, ports.engines, version, asset, place.name, by.at)
        if found.decision is not None:
            approved[place.name] = found
    if version.standing.mark is not None:
        return Found(version, Lifecycle(version.standing.mark.value), approved)
    production = [one.name for one in places if one.stage is Stage.PRODUCTION]
    if any(name in approved and approved[name].approved for name in production):
        return Found(version, Lifecycle.APPROVED, approved)
    reasons = await _short_of_candidate(tx, version, asset, by, ports)
    return Found(version, Lifecycle.DRAFT if reasons else Lifecycle.CANDIDATE, approved, reasons)


async def _short_of_candidate(
    tx: Tx, version: Version, asset: Asset, by: By, ports: Ports
) -> list[tuple[str, str]]:
    namespace = await catalog.get_namespace(tx, asset.ref.namespace)
    own = catalog.own_rows(namespace.state.required_fields)
    step = Lifecycle.CANDIDATE
    gaps = catalog.missing(asset.kind, step, asset.state, version.metadata, also=own)
    reasons = [("metadata", f"{gap.field}: {gap.why}") for gap in gaps]
    if not await catalog.vouched_for(tx, version):
        reasons.insert(0, ("TRUST-002", "no pipeline that its CI system vouched for registered it"))
    verdict = await _candidate_rules(tx, version, asset, by, ports)
    return reasons + [(one.id, one.message) for one in verdict.failed]


async def _candidate_rules(tx: Tx, version: Version, asset: Asset, by: By, ports: Ports) -> Verdict:
    document = await approvals.facts(tx, version, asset, step="candidate", at=by.at)
    return (await policy.judge(ports.engines, await policy.active(tx, by.at), document)).verdict
