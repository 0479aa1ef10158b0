"""Evidence of composites: add, list, show and download it. It never is stale: a composite never changes."""

from __future__ import annotations

from typing import Final

import msgspec

from muniment.core.errors import (
    BadCursor,
    BadDigest,
    BadEvidence,
    BadRange,
    BlobStoreDown,
    NotFound,
)
from muniment.server import composites
from muniment.server.composites.records import Composite
from muniment.server.evidence import reads
from muniment.server.evidence.records import About, Evidence, EvidenceKind, Freshness
from muniment.server.evidence.routes.adding import AddedBody, NewEvidenceBody, add_to
from muniment.server.evidence.routes.bodies import (
    TAG,
    EvidenceBody,
    EvidenceItem,
    body,
    evidence_id_of,
    item,
)
from muniment.server.evidence.routes.judging import (
    CoverageBody,
    CoverageQuery,
    GatesBody,
    covered,
    judged,
    max_age_of,
)
from muniment.server.evidence.routes.reading import EvidenceQuery, paged, wanted_by
from muniment.server.evidence.rules import binding
from muniment.server.http.held import held_file
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import LIMIT_DEFAULT, Cursor, Limit, Page
from muniment.server.http.records import Scope, Verb
from muniment.server.ports.db import Tx

_ALL: Final = "/api/v1/composites/{cvi}/evidence"
_ONE: Final = f"{_ALL}/{{evidence_id}}"
_FRESH: Final = Freshness()


class CompositeEvidenceQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which evidence: of one kind."""

    kind: EvidenceKind | None = None
    cursor: Cursor | None = None
    limit: Limit = LIMIT_DEFAULT


async def _composite(call: Call, tx: Tx, verb: Verb) -> Composite:
    """Return the composite the path names, if the caller may do `verb` with it.

    Raises:
        NotFound: there is none, or the caller may not even read it.
        NotAllowed: the caller may only read it.
    """
    return await composites.get_for(tx, call.path["cvi"], verb, call.may)


async def _about(call: Call, tx: Tx, verb: Verb = Verb.READ) -> About:
    """Return that composite as something evidence can be about."""
    return binding.about_composite(await _composite(call, tx, verb))


async def _about_to_attest(call: Call, tx: Tx) -> About:
    return await _about(call, tx, Verb.ATTEST)


async def add(call: Call) -> Reply:
    """Read the files, then record them all in one transaction; or say all that is wrong."""
    return await add_to(call, _about_to_attest)


async def list_(call: Call, tx: Tx) -> Reply:
    """List the evidence of a composite, oldest first."""
    query: CompositeEvidenceQuery = call.query
    wanted = wanted_by(EvidenceQuery(kind=query.kind, cursor=query.cursor, limit=query.limit))
    found = await reads.page_about(tx, await _about(call, tx), wanted)
    return Reply(paged(found, [item(one, _FRESH) for one in found], query.limit))


async def _one(call: Call, tx: Tx) -> Evidence:
    return await reads.find_evidence(tx, await _about(call, tx), evidence_id_of(call))


async def get(call: Call, tx: Tx) -> Reply:
    """Show one piece of evidence with all that was read from its file."""
    return Reply(body(await _one(call, tx), _FRESH))


async def get_file(call: Call) -> Reply:
    """Send the file of a piece of evidence, byte for byte as it came."""
    async with call.deps.db.transaction(read_only=True) as tx:
        one = await _one(call, tx)
    return await held_file(call, one.digest, one.size_bytes, one.file_name)


async def get_coverage(call: Call, tx: Tx) -> Reply:
    """Say how far a composite's own evaluations cover the six dimensions."""
    composite = await _composite(call, tx, Verb.READ)
    max_age = max_age_of(call)
    found = await reads.about(tx, "composite", composite.cvi, kind=EvidenceKind.EVALUATION)
    return covered(
        [(one, binding.of_composite(one, composite, call.now, max_age)) for one in found]
    )


async def run_gates(call: Call) -> Reply:
    """Run a plan's gates on the evaluations of a composite; each gate's record becomes evidence of it.

    The plan is the composite's own, else that of a member's asset, the lead's first.
    """
    async with call.deps.db.transaction(read_only=True) as tx:
        composite = await _composite(call, tx, Verb.ATTEST)
        members = await composites.members(tx, composite)
        assets = [
            one.asset_id
            for one in members
            if call.may(Verb.READ, Scope(str(one.ref.asset.namespace), str(one.ref.asset.name)))
        ]
        plan = await reads.find_plan_for(tx, composite.cvi, assets, call.body.plan)
        found = await reads.about(tx, "composite", composite.cvi, kind=EvidenceKind.EVALUATION)
    evaluations = [one for one in found if not binding.of_composite(one, composite, call.now).stale]
    return await judged(call, plan, evaluations, binding.about_composite(composite))


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path=_ALL,
        id="add_composite_evidence",
        summary="Add evidence to a composite",
        handler=add,
        needs=Verb.ATTEST,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.NONE,
        body=NewEvidenceBody,
        returns=AddedBody,
        status=201,
        also=(200,),
        errors=(NotFound, BadDigest, BadEvidence, BlobStoreDown),
        tag=TAG,
    ),
    Operation(
        method="GET",
        path=_ALL,
        id="list_composite_evidence",
        summary="The evidence of a composite",
        handler=list_,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=CompositeEvidenceQuery,
        returns=Page[EvidenceItem],
        errors=(NotFound, BadCursor),
        tag=TAG,
    ),
    Operation(
        method="GET",
        path=_ONE,
        id="get_composite_evidence",
        summary="One piece of evidence of a composite",
        handler=get,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        returns=EvidenceBody,
        errors=(NotFound,),
        tag=TAG,
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/file",
        id="get_composite_evidence_file",
        summary="The file of a piece of evidence of a composite",
        handler=get_file,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.NONE,
        returns=bytes,
        also=(206, 304),
        errors=(NotFound, BadRange, BlobStoreDown),
        tag=TAG,
        media_type="application/octet-stream",
    ),
    Operation(
        method="GET",
        path="/api/v1/composites/{cvi}/coverage",
        id="get_composite_coverage",
        summary="How far a composite's evaluations cover the six dimensions",
        handler=get_coverage,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=CoverageQuery,
        returns=CoverageBody,
        errors=(NotFound,),
        tag=TAG,
    ),
    Operation(
        method="POST",
        path="/api/v1/composites/{cvi}/gates",
        id="run_composite_gates",
        summary="Run the gates of a plan on a composite",
        handler=run_gates,
        needs=Verb.ATTEST,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.NONE,
        body=GatesBody,
        returns=AddedBody,
        status=201,
        also=(200,),
        errors=(NotFound, BadEvidence, BlobStoreDown),
        tag=TAG,
    ),
]
