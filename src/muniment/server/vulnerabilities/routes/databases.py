"""Import a vulnerability database, follow the import, see which databases there are."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Any, Final, Literal

import msgspec

from muniment.core.digest import Digest
from muniment.core.errors import BadCursor, BadDigest, BadEvidence, BadRequest, NotFound
from muniment.server import artifacts, ledger
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import LIMIT_DEFAULT, Cursor, Limit, Page, cut, read_cursor
from muniment.server.http.records import Verb
from muniment.server.identity import By, visible_scopes
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Tx
from muniment.server.vulnerabilities.actions import importing as actions
from muniment.server.vulnerabilities.reads import databases as reads
from muniment.server.vulnerabilities.records import Database, Import
from muniment.server.vulnerabilities.routes.parts import TAG
from muniment.server.vulnerabilities.rules.advisories import ECOSYSTEMS, known_source

_ALL: Final = "/api/v1/vulnerability-databases"
_IMPORTS: Final = "/api/v1/vulnerability-imports"


class NewImportBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that was sent in the session `upload_id`, or is held where the caller may use it.

    `ecosystem` is one of OSV's (`PyPI`), and the file its `all.zip`; or `KEV`, and the file CISA's
    catalogue. `dated_at` is of when it is, if it says otherwise; `older` lets it be of before what is
    there.
    """

    ecosystem: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    sha256: Annotated[str, msgspec.Meta(max_length=80)]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    upload_id: uuid.UUID | None = None
    dated_at: Annotated[dt.datetime, msgspec.Meta(tz=True)] | None = None
    older: bool = False


class ImportBody(msgspec.Struct, frozen=True, kw_only=True):
    """How far an import is: `due`, `done` with its database, or `failed` with `problems`."""

    id: uuid.UUID
    ecosystem: str
    name: str
    sha256: str
    state: Literal["due", "done", "failed"]
    read_count: int
    total_count: int | None
    database_id: uuid.UUID | None
    problems: list[dict[str, Any]]
    asked_at: dt.datetime
    asked_by: Actor


class DatabaseBody(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot. `digest` is over the ids and digests of its records, however they were packed."""

    id: uuid.UUID
    ecosystem: str
    number: int
    digest: str
    dated_at: dt.datetime
    record_count: int
    withdrawn_count: int
    current: bool
    source: dict[str, Any]
    recorded_at: dt.datetime
    recorded_by: Actor
    entry_id: uuid.UUID


class DatabasesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which snapshots: only the newest of each ecosystem, unless `all`."""

    ecosystem: Annotated[str, msgspec.Meta(max_length=60)] | None = None
    all: bool = False
    cursor: Cursor | None = None
    limit: Limit = LIMIT_DEFAULT


class _Position(msgspec.Struct):
    id: uuid.UUID


async def import_(call: Call, tx: Tx) -> Reply:
    """Have a held file imported by a job; the answer says how to follow it."""
    body: NewImportBody = call.body
    if not known_source(body.ecosystem):
        raise BadRequest(
            f"expected KEV or one of {', '.join(ECOSYSTEMS)}, found {body.ecosystem[:60]!r}"
        )
    digest = Digest.parse(body.sha256)
    scopes = visible_scopes(call.caller.grants)
    reach = artifacts.Reach(call.caller.id, call.now, scopes, body.upload_id)
    held = (await artifacts.usable_blobs(tx, [digest], reach)).get(digest)
    if held is None:
        problem = {"field": body.name, "message": "was not sent", "fix": _SEND}
        raise BadEvidence(f"`{body.name}` was not sent: {_SEND}", problems=[problem])
    new = actions.NewImport(
        ecosystem=body.ecosystem,
        digest=digest,
        size_bytes=held.size_bytes,
        name=body.name,
        dated_at=body.dated_at,
        older=body.older,
    )
    asked = await actions.ask(tx, new, By(ledger.actor_of(call.caller), call.now, call.new_id))
    return Reply(_import_body(asked))


_SEND: Final = "send it in an upload session and name that: `upload_id`"


async def get_import(call: Call, tx: Tx) -> Reply:
    """Show how far an import is."""
    return Reply(_import_body(await reads.get_import(tx, _id(call, "import_id"))))


async def list_(call: Call, tx: Tx) -> Reply:
    """List snapshots: the newest of each ecosystem, or all, newest first."""
    query: DatabasesQuery = call.query
    current = {one.id: one for one in await reads.current(tx)}
    if not query.all:
        wanted = [one for one in current.values() if query.ecosystem in (None, one.ecosystem)]
        return Reply(Page([_body(one, current) for one in wanted], None))
    before = read_cursor(query.cursor, _Position).id if query.cursor else None
    found = await reads.page(tx, ecosystem=query.ecosystem, before=before, limit=query.limit)
    last = {"id": str(found[query.limit - 1].id)} if len(found) > query.limit else None
    return Reply(Page(*cut([_body(one, current) for one in found], query.limit, last)))


async def get(call: Call, tx: Tx) -> Reply:
    """Show one snapshot."""
    found = await reads.get_database(tx, _id(call, "database_id"))
    return Reply(_body(found, {one.id: one for one in await reads.current(tx)}))


def _id(call: Call, name: str) -> uuid.UUID:
    try:
        return uuid.UUID(call.path[name])
    except ValueError:
        raise NotFound(f"there is nothing called {call.path[name][:80]!r}") from None


def _import_body(one: Import) -> ImportBody:
    return ImportBody(
        id=one.id,
        ecosystem=one.ecosystem,
        name=one.source_name,
        sha256=one.source_digest.hex,
        state=one.state.value,
        read_count=one.read_count,
        total_count=one.total_count,
        database_id=one.database_id,
        problems=[dict(each) for each in one.problems],
        asked_at=one.asked_at,
        asked_by=one.actor,
    )


def _body(one: Database, current: dict[uuid.UUID, Database]) -> DatabaseBody:
    return DatabaseBody(
        id=one.id,
        ecosystem=one.ecosystem,
        number=one.number,
        digest=str(one.digest),
        dated_at=one.dated_at,
        record_count=one.record_count,
        withdrawn_count=one.withdrawn_count,
        current=one.id in current,
        source={
            "name": one.source_name,
            "sha256": one.source_digest.hex,
            "size_bytes": one.source_bytes,
        },
        recorded_at=one.recorded_at,
        recorded_by=one.actor,
        entry_id=one.entry_id,
    )


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path=_ALL,
        id="import_vulnerability_database",
        summary="Import a vulnerability database",
        handler=import_,
        needs=Verb.ADMINISTER,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.WRITE,
        body=NewImportBody,
        returns=ImportBody,
        status=202,
        errors=(BadRequest, BadDigest, BadEvidence),
        tag=TAG,
    ),
    Operation(
        method="GET",
        path=f"{_IMPORTS}/{{import_id}}",
        id="get_vulnerability_import",
        summary="How far an import is",
        handler=get_import,
        needs=Verb.ADMINISTER,
        scope=ScopeFrom.EVERYTHING,
        returns=ImportBody,
        errors=(NotFound,),
        tag=TAG,
    ),
    Operation(
        method="GET",
        path=_ALL,
        id="list_vulnerability_databases",
        summary="List vulnerability databases",
        handler=list_,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        query=DatabasesQuery,
        returns=Page[DatabaseBody],
        errors=(BadCursor,),
        tag=TAG,
    ),
    Operation(
        method="GET",
        path=f"{_ALL}/{{database_id}}",
        id="get_vulnerability_database",
        summary="One vulnerability database",
        handler=get,
        needs=Verb.READ,
        scope=ScopeFrom.ANYWHERE,
        returns=DatabaseBody,
        errors=(NotFound,),
        tag=TAG,
    ),
]
