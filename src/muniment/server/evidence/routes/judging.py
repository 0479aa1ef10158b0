"""What follows from a version's evidence: coverage of the six dimensions, gates, its ML-BOM."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from muniment.core.canon import canonical
from muniment.core.errors import BadEvidence, BadName, BadVersion, BlobStoreDown, NotFound
from muniment.server import artifacts, ledger
from muniment.server.catalog.records import Version
from muniment.server.evidence import actions, reads
from muniment.server.evidence.records import About, Evidence, EvidenceKind, Freshness
from muniment.server.evidence.routes.adding import AddedBody, added
from muniment.server.evidence.routes.bodies import ONE, TAG, version_of
from muniment.server.evidence.rules import binding, coverage, mlbom
from muniment.server.http.operation import Call, Operation, Reply, TxMode
from muniment.server.http.records import Verb
from muniment.server.identity import By
from muniment.server.ports.db import Tx

_ALL = 100_000


async def known(
    tx: Tx, version: Version, now: dt.datetime, max_age: dt.timedelta | None = None
) -> list[tuple[Evidence, Freshness]]:
    """Return the evidence of a version and of its asset's earlier ones, with whether it holds."""
    found = await reads.page(tx, version, reads.Wanted(earlier=True, limit=_ALL))
    return [(one, binding.of_version(one, version, now, max_age)) for one in found]


class CoverageQuery(msgspec.Struct, frozen=True):
    """`max_age_days`: evaluations older than this do not count."""

    max_age_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] | None = None


class CoverageItem(msgspec.Struct, frozen=True, kw_only=True):
    """One dimension: `covered`, `missing` or `not_applicable`, why, and by which evidence."""

    dimension: str
    state: str
    reason: str
    metrics: int
    evidence: list[uuid.UUID]
    flags: list[str]


class CoverageBody(msgspec.Struct, frozen=True):
    """The six dimensions in their order; `complete` when none is missing."""

    complete: bool
    items: list[CoverageItem]


async def get_coverage(call: Call, tx: Tx) -> Reply:
    """Say how far a version's evaluations cover the six dimensions."""
    version = await version_of(call, tx)
    return covered(await known(tx, version, call.now, max_age_of(call)))


def max_age_of(call: Call) -> dt.timedelta | None:
    """Return how old an evaluation may be to count; None: as old as it likes."""
    days = call.query.max_age_days
    return None if days is None else dt.timedelta(days=days)


def covered(known_of: Sequence[tuple[Evidence, Freshness]]) -> Reply:
    """Return the answer of how far evaluations cover the six dimensions."""
    found = coverage.coverage(known_of)
    items = [
        CoverageItem(
            dimension=one.dimension.value,
            state=one.state,
            reason=one.reason,
            metrics=one.metrics,
            evidence=[each.id for each in one.evidence],
            flags=list(one.flags),
        )
        for one in found
    ]
    return Reply(CoverageBody(all(one.state != "missing" for one in found), items))


async def get_sbom(call: Call, tx: Tx) -> Reply:
    """Send the ML-BOM of a version: CycloneDX 1.7, made from what is registered and known of it."""
    version = await version_of(call, tx)
    manifest = await artifacts.get_manifest(tx, version.manifest_digest)
    holding = [one for one, fresh in await known(tx, version, call.now) if not fresh.stale]
    sboms = [one for one in holding if one.kind is EvidenceKind.SBOM]
    software = await reads.components(tx, sboms[-1].id, limit=_ALL) if sboms else []
    bom = mlbom.ml_bom(version, manifest.files, holding, software)
    return Reply(canonical(bom), headers={"ETag": f'"{bom["serialNumber"]}"'})


class GatesBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which plan to judge by: the evidence it was recorded as; null is the asset's newest."""

    plan: uuid.UUID | None = None
    dry_run: bool = False


async def run_gates(call: Call) -> Reply:
    """Run a plan's gates on what is known of a version; each gate's record becomes evidence."""
    async with call.deps.db.transaction(read_only=True) as tx:
        version = await version_of(call, tx)
        plan = await reads.find_plan(tx, version.asset_id, call.body.plan)
        evaluations = [
            one
            for one, fresh in await known(tx, version, call.now)
            if one.kind is EvidenceKind.EVALUATION and not fresh.stale
        ]
    return await judged(call, plan, evaluations, binding.about_version(version))


async def judged(
    call: Call, plan: Evidence, evaluations: Sequence[Evidence], about: About
) -> Reply:
    """Run a plan's gates on what evidence is about, and record what they say unless it is a dry run."""
    deps = call.deps
    by = By(ledger.actor_of(call.caller), call.now, call.new_id)
    new = actions.judge(plan, evaluations, about, by)
    if call.body.dry_run:
        return Reply(AddedBody([added(actions.evidence_of(one, by)) for one, _ in new]))
    held = [
        dataclasses.replace(one, kept=await actions.keep(deps.blobs, data, call.new_id()))
        for one, data in new
    ]
    async with deps.db.transaction() as tx:
        done = [await actions.record(tx, one, by, deps.keys.record) for one in held]
    return Reply(
        AddedBody([added(one, recorded=True, created=fresh) for one, fresh in done]), status=201
    )


_ERRORS: tuple[Any, ...] = (NotFound, BadName, BadVersion)

OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path=f"{ONE}/coverage",
        id="get_coverage",
        summary="How far a version's evaluations cover the six dimensions",
        handler=get_coverage,
        needs=Verb.READ,
        query=CoverageQuery,
        returns=CoverageBody,
        errors=_ERRORS,
        tag=TAG,
    ),
    Operation(
        method="GET",
        path=f"{ONE}/sbom",
        id="get_sbom",
        summary="The ML-BOM of a version (CycloneDX 1.7)",
        handler=get_sbom,
        needs=Verb.READ,
        returns=dict[str, Any],
        also=(304,),
        errors=_ERRORS,
        tag=TAG,
    ),
    Operation(
        method="POST",
        path=f"{ONE}/gates",
        id="run_gates",
        summary="Run the gates of a plan on a version",
        handler=run_gates,
        needs=Verb.ATTEST,
        tx=TxMode.NONE,
        body=GatesBody,
        returns=AddedBody,
        status=201,
        also=(200,),
        errors=(*_ERRORS, BadEvidence, BlobStoreDown),
        tag=TAG,
    ),
]
