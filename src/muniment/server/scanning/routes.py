"""Ask for a scan of a version, list what scans found, and have their reports."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from typing import Final, Literal

import msgspec

from muniment.core.errors import BadCursor, BadName, BadRange, BadVersion, BlobStoreDown, NotFound
from muniment.core.names import AssetName, AssetRef, Namespace, VersionRef, parse_version
from muniment.server import catalog
from muniment.server.catalog.records import Version
from muniment.server.http.held import held_file
from muniment.server.http.operation import Call, Operation, Reply, TxMode
from muniment.server.http.paging import LIMIT_DEFAULT, Cursor, Limit, Page, cut, read_cursor
from muniment.server.http.records import Verb
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Tx
from muniment.server.scanning import actions, reads
from muniment.server.scanning.records import Scan

_ONE: Final = "/api/v1/assets/{namespace}/{name}/versions/{version}"
_TAG: Final = "scanning"


class ScanBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan of a version found. `severities` counts findings; the report has them all.

    `verdict` is that of the worst file. `reused_count` files were scanned before under the same
    ruleset; of `stopped_count` the scan was ended for want of time or memory. `current`: the rules
    of now are those it was made by.
    """

    id: uuid.UUID
    version: str
    verdict: Literal["clean", "executable_allow_listed", "unscannable", "findings"]
    executable: bool
    severities: dict[str, int]
    file_count: int
    reused_count: int
    stopped_count: int
    tool: dict[str, str]
    ruleset_id: str
    ruleset: str
    current: bool
    started_at: dt.datetime
    ended_at: dt.datetime
    report_digest: str
    evidence_id: uuid.UUID
    recorded_at: dt.datetime
    recorded_by: Actor
    entry_id: uuid.UUID


class AskedBody(msgspec.Struct, frozen=True):
    """What became of asking: `done` with the scan, or `due` with the job that will make it."""

    state: Literal["due", "done"]
    scan: ScanBody | None = None
    job_id: int | None = None


class ScansQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of the scans."""

    cursor: Cursor | None = None
    limit: Limit = LIMIT_DEFAULT


class _Position(msgspec.Struct):
    id: uuid.UUID


async def _version(call: Call, tx: Tx) -> Version:
    asset = AssetRef(Namespace.parse(call.path["namespace"]), AssetName.parse(call.path["name"]))
    return await catalog.get_version(tx, VersionRef(asset, parse_version(call.path["version"])))


async def ask(call: Call) -> Reply:
    """Have the version scanned, unless it was under the rules of now. Repeating it does no more."""
    ruleset = await asyncio.to_thread(actions.ruleset_now)
    async with call.deps.db.transaction() as tx:
        asked = await actions.ask(tx, await _version(call, tx), ruleset)
    if asked.scan is not None:
        return Reply(AskedBody("done", _body(asked.scan)), status=200)
    return Reply(AskedBody("due", None, asked.job_id))


async def list_(call: Call, tx: Tx) -> Reply:
    """List the scans of a version, newest first."""
    query: ScansQuery = call.query
    version = await _version(call, tx)
    before = read_cursor(query.cursor, _Position).id if query.cursor else None
    found = await reads.page(tx, version.id, before=before, limit=query.limit)
    last = {"id": str(found[query.limit - 1].id)} if len(found) > query.limit else None
    return Reply(Page(*cut([_body(one) for one in found], query.limit, last)))


async def _one(call: Call, tx: Tx) -> Scan:
    version = await _version(call, tx)
    try:
        scan_id = uuid.UUID(call.path["scan_id"])
    except ValueError:
        raise NotFound(f"there is no scan {call.path['scan_id'][:80]!r}") from None
    return await reads.get_scan(tx, version, scan_id)


async def get(call: Call, tx: Tx) -> Reply:
    """Show one scan."""
    return Reply(_body(await _one(call, tx)))


async def report(call: Call) -> Reply:
    """Send the report of a scan: every file, every finding, as it was written."""
    async with call.deps.db.transaction(read_only=True) as tx:
        found = await _one(call, tx)
    return await held_file(call, found.report_digest, found.report_bytes, "muniment-scan.json")


def _body(scan: Scan) -> ScanBody:
    return ScanBody(
        id=scan.id,
        version=scan.version_name,
        verdict=scan.verdict.value,
        executable=scan.executable,
        severities=dict(scan.severities),
        file_count=scan.file_count,
        reused_count=scan.reused_count,
        stopped_count=scan.stopped_count,
        tool={"name": scan.tool_name, "version": scan.tool_version},
        ruleset_id=scan.ruleset_id,
        ruleset=str(scan.ruleset),
        current=scan.ruleset == actions.ruleset_now(),
        started_at=scan.started_at,
        ended_at=scan.ended_at,
        report_digest=str(scan.report_digest),
        evidence_id=scan.evidence_id,
        recorded_at=scan.recorded_at,
        recorded_by=scan.actor,
        entry_id=scan.entry_id,
    )


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path=f"{_ONE}/scan",
        id="scan_version",
        summary="Have a version scanned",
        handler=ask,
        needs=Verb.ATTEST,
        tx=TxMode.NONE,
        returns=AskedBody,
        status=202,
        also=(200,),
        errors=(NotFound, BadName, BadVersion),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/scans",
        id="list_scans",
        summary="The scans of a version",
        handler=list_,
        needs=Verb.READ,
        query=ScansQuery,
        returns=Page[ScanBody],
        errors=(NotFound, BadName, BadVersion, BadCursor),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/scans/{{scan_id}}",
        id="get_scan",
        summary="One scan",
        handler=get,
        needs=Verb.READ,
        returns=ScanBody,
        errors=(NotFound, BadName, BadVersion),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/scans/{{scan_id}}/report",
        id="get_scan_report",
        summary="The report of a scan",
        handler=report,
        needs=Verb.READ,
        tx=TxMode.NONE,
        returns=bytes,
        also=(206, 304, 307),
        errors=(NotFound, BadName, BadVersion, BadRange, BlobStoreDown),
        tag=_TAG,
        media_type="application/octet-stream",
    ),
]
