"""List, show and download a version's evidence, and the components of its SBOMs."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from typing import Annotated, Final

import msgspec

from muniment.core.errors import (
    BadCursor,
    BadName,
    BadRange,
    BadVersion,
    BlobStoreDown,
    NotFound,
)
from muniment.server.catalog.records import Version
from muniment.server.evidence import actions, plugins, reads
from muniment.server.evidence.records import Evidence, EvidenceKind
from muniment.server.evidence.routes.bodies import (
    ONE,
    TAG,
    EvidenceBody,
    EvidenceItem,
    body,
    evidence_id_of,
    item,
    version_of,
)
from muniment.server.evidence.rules import binding
from muniment.server.evidence.rules.parsed import component_json
from muniment.server.evidence.rules.reading import Limits
from muniment.server.http.held import held_file
from muniment.server.http.operation import Call, Operation, Reply, TxMode
from muniment.server.http.paging import LIMIT_DEFAULT, Cursor, Limit, Page, cut, in_utc, read_cursor
from muniment.server.http.records import Verb
from muniment.server.ports.db import Tx

_EVIDENCE: Final = f"{ONE}/evidence"
_ITEM: Final = f"{_EVIDENCE}/{{evidence_id}}"


class EvidenceQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which evidence: of one kind; `earlier` adds that of earlier versions, which may be stale."""

    kind: EvidenceKind | None = None
    earlier: bool = False
    cursor: Cursor | None = None
    limit: Limit = LIMIT_DEFAULT


class _Position(msgspec.Struct):
    at: dt.datetime
    id: uuid.UUID


async def list_(call: Call, tx: Tx) -> Reply:
    """List the evidence of a version, oldest first."""
    version = await version_of(call, tx)
    found = await reads.page(tx, version, wanted_by(call.query))
    shown = [item(one, binding.of_version(one, version, call.now)) for one in found]
    return Reply(paged(found, shown, call.query.limit))


def wanted_by(query: EvidenceQuery) -> reads.Wanted:
    """Return which evidence a query asks for.

    Raises:
        BadCursor: its cursor is none of ours.
    """
    wanted = reads.Wanted(kind=query.kind, earlier=query.earlier, limit=query.limit)
    if query.cursor is None:
        return wanted
    after = read_cursor(query.cursor, _Position)
    return dataclasses.replace(wanted, after=(in_utc(after.at), after.id))


def paged(found: list[Evidence], shown: list[EvidenceItem], limit: int) -> Page[EvidenceItem]:
    """Return what is shown of `found` as a page; `found` may have one more than `limit`."""
    last = found[limit - 1] if len(found) > limit else None
    position = None if last is None else {"at": last.recorded_at.isoformat(), "id": str(last.id)}
    return Page(*cut(shown, limit, position))


async def _one(call: Call, tx: Tx) -> tuple[Evidence, Version]:
    version = await version_of(call, tx)
    about = binding.about_version(version)
    return await reads.find_evidence(tx, about, evidence_id_of(call)), version


async def get(call: Call, tx: Tx) -> Reply:
    """Show one piece of evidence with all that was read from its file."""
    evidence, version = await _one(call, tx)
    return Reply(body(evidence, binding.of_version(evidence, version, call.now)))


async def get_file(call: Call) -> Reply:
    """Send the file of a piece of evidence, byte for byte as it came."""
    async with call.deps.db.transaction(read_only=True) as tx:
        evidence, _ = await _one(call, tx)
    return await held_file(call, evidence.digest, evidence.size_bytes, evidence.file_name)


async def get_context(call: Call) -> Reply:
    """Send the context of a piece of evidence, byte for byte as it came."""
    async with call.deps.db.transaction(read_only=True) as tx:
        evidence, _ = await _one(call, tx)
    digest = evidence.context_digest
    size_bytes = None if digest is None else await call.deps.blobs.size(digest)
    if digest is None or size_bytes is None:
        raise NotFound("this evidence came without a context")
    return await held_file(call, digest, size_bytes, f"{evidence.file_name}.context.json")


class ReparseBody(msgspec.Struct, frozen=True):
    """Whether reading the file again says the same, and if not what differs."""

    same: bool
    differences: list[str]
    recorded_by: str
    reads_now: str


async def reparse(call: Call) -> Reply:
    """Read the file of a piece of evidence again, and compare with what is recorded of it."""
    deps = call.deps
    async with deps.db.transaction(read_only=True) as tx:
        evidence, _ = await _one(call, tx)
    limits = Limits(max_bytes=deps.settings.max_evidence_bytes)
    found = await actions.reparse(deps.blobs, evidence, limits)
    now = plugins.version_of(evidence.format)
    was = f"{evidence.format} {evidence.format_version}"
    return Reply(ReparseBody(not found, found, was, f"{evidence.format} {now}"))


class ComponentBody(msgspec.Struct, frozen=True, kw_only=True):
    """One component of an SBOM."""

    name: str
    version: str | None = None
    purl: str | None = None
    type: str = ""
    licenses: list[str] = []
    hashes: dict[str, str] = {}


class ComponentsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of an SBOM's components."""

    cursor: Cursor | None = None
    limit: Limit = LIMIT_DEFAULT


class _Place(msgspec.Struct):
    position: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


async def list_components(call: Call, tx: Tx) -> Reply:
    """List the components of an SBOM in the order of its file."""
    evidence, _ = await _one(call, tx)
    query: ComponentsQuery = call.query
    after = -1 if query.cursor is None else read_cursor(query.cursor, _Place).position
    found = await reads.components(tx, evidence.id, after=after, limit=query.limit + 1)
    shown = [msgspec.convert(component_json(one), ComponentBody) for one in found]
    return Reply(Page(*cut(shown, query.limit, {"position": after + query.limit})))


_ERRORS: Final = (NotFound, BadName, BadVersion)

OPERATIONS: list[Operation] = [
    Operation(
        method="GET",
        path=_EVIDENCE,
        id="list_evidence",
        summary="The evidence of a version",
        handler=list_,
        needs=Verb.READ,
        query=EvidenceQuery,
        returns=Page[EvidenceItem],
        errors=(*_ERRORS, BadCursor),
        tag=TAG,
    ),
    Operation(
        method="GET",
        path=_ITEM,
        id="get_evidence",
        summary="One piece of evidence",
        handler=get,
        needs=Verb.READ,
        returns=EvidenceBody,
        errors=_ERRORS,
        tag=TAG,
    ),
    Operation(
        method="GET",
        path=f"{_ITEM}/file",
        id="get_evidence_file",
        summary="The file of a piece of evidence",
        handler=get_file,
        needs=Verb.READ,
        tx=TxMode.NONE,
        returns=bytes,
        also=(206, 304),
        errors=(*_ERRORS, BadRange, BlobStoreDown),
        tag=TAG,
        media_type="application/octet-stream",
    ),
    Operation(
        method="GET",
        path=f"{_ITEM}/context",
        id="get_evidence_context",
        summary="The context of a piece of evidence",
        handler=get_context,
        needs=Verb.READ,
        tx=TxMode.NONE,
        returns=bytes,
        also=(206, 304),
        errors=(*_ERRORS, BadRange, BlobStoreDown),
        tag=TAG,
        media_type="application/octet-stream",
    ),
    Operation(
        method="GET",
        path=f"{_ITEM}/reparse",
        id="reparse_evidence",
        summary="Read the file of a piece of evidence again and compare",
        handler=reparse,
        needs=Verb.READ,
        tx=TxMode.NONE,
        returns=ReparseBody,
        errors=(*_ERRORS, BlobStoreDown),
        tag=TAG,
    ),
    Operation(
        method="GET",
        path=f"{_ITEM}/components",
        id="list_components",
        summary="The components of an SBOM",
        handler=list_components,
        needs=Verb.READ,
        query=ComponentsQuery,
        returns=Page[ComponentBody],
        errors=(*_ERRORS, BadCursor),
        tag=TAG,
    ),
]
