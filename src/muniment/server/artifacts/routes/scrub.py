"""How the reading of stored bytes stands, over HTTP."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Final

import msgspec

from muniment.server.artifacts import reads
from muniment.server.artifacts.records import BlobFinding, ScrubPass
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom
from muniment.server.http.records import Verb
from muniment.server.ports.db import Tx

_SHOWN: Final = 100


class ScrubPassBody(msgspec.Struct, frozen=True):
    """One reading of all stored bytes. `finding_count` counts blobs that were wrong in it."""

    started_at: dt.datetime
    finished_at: dt.datetime | None
    held_bytes: int
    blob_count: int
    size_bytes: int
    finding_count: int

    @classmethod
    def of(cls, one: ScrubPass | None) -> ScrubPassBody | None:
        """Return `one` as it is sent."""
        if one is None:
            return None
        return cls(
            started_at=one.started_at,
            finished_at=one.finished_at,
            held_bytes=one.held_bytes,
            blob_count=one.blob_count,
            size_bytes=one.size_bytes,
            finding_count=one.finding_count,
        )


class BlobFindingBody(msgspec.Struct, frozen=True):
    """Stored bytes that are `missing` or `changed`; `needed_for` names a file of a version."""

    sha256: str
    problem: str
    found_at: dt.datetime
    needed_for: str | None
    version_count: int
    entry_id: uuid.UUID


class ScrubBody(msgspec.Struct, frozen=True):
    """When all stored bytes were last read again, how far the pass under way is, what is wrong.

    At most 100 findings are listed, oldest first; `more_findings` says that there are others.
    """

    last_full_pass: ScrubPassBody | None
    under_way: ScrubPassBody | None
    period_seconds: int
    findings: list[BlobFindingBody]
    more_findings: bool


async def show(call: Call, tx: Tx) -> Reply:
    """Tell how the scrub stands."""
    under_way, finished = await reads.scrub_passes(tx)
    found = await reads.damaged(tx, _SHOWN + 1)
    return Reply(
        ScrubBody(
            last_full_pass=ScrubPassBody.of(finished),
            under_way=ScrubPassBody.of(under_way),
            period_seconds=int(call.deps.settings.scrub_period.total_seconds()),
            findings=[await _finding(tx, one) for one in found[:_SHOWN]],
            more_findings=len(found) > _SHOWN,
        )
    )


async def _finding(tx: Tx, one: BlobFinding) -> BlobFindingBody:
    use = await reads.use_of(tx, one.digest)
    return BlobFindingBody(
        sha256=one.digest.hex,
        problem=one.problem.value,
        found_at=one.found_at,
        needed_for=use.name if use else None,
        version_count=use.version_count if use else 0,
        entry_id=one.act_id,
    )


OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path="/api/v1/scrub",
        id="get_scrub",
        summary="How the scheduled reading of stored bytes stands, and what it found",
        handler=show,
        needs=Verb.OBSERVE,
        scope=ScopeFrom.EVERYTHING,
        returns=ScrubBody,
        tag="artifacts",
    )
]
