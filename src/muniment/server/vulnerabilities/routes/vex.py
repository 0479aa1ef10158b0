"""Add VEX documents to a version, and see which statements hold."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Final

import msgspec

from muniment.core.errors import BadEvidence, BadName, BadVersion, BlobStoreDown, NotFound
from muniment.server import artifacts, evidence, ledger
from muniment.server.evidence.records import EvidenceKind, Unreadable
from muniment.server.http.operation import Call, Operation, Reply, TxMode
from muniment.server.http.paging import Page
from muniment.server.http.records import Verb
from muniment.server.identity import By
from muniment.server.ledger.records import Actor
from muniment.server.ports.db import Tx
from muniment.server.vulnerabilities.actions import vex as actions
from muniment.server.vulnerabilities.plugins.vex import statements_from
from muniment.server.vulnerabilities.reads import examining, versions
from muniment.server.vulnerabilities.records import Finding, Given
from muniment.server.vulnerabilities.routes.parts import ONE, TAG, version_of
from muniment.server.vulnerabilities.rules.vex import LIFETIME_DEFAULT, about_component

_MAX_CHARS: Final = 1 << 20


class NewVexBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A document as it is, character for character: OpenVEX, or CycloneDX without components.

    Its statements hold until `expires_at`, at most 366 days, 90 if nothing is said. `dry_run` reads
    it and says what it would be about; nothing is written.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    document: Annotated[str, msgspec.Meta(min_length=2, max_length=_MAX_CHARS)]
    expires_at: Annotated[dt.datetime, msgspec.Meta(tz=True)] | None = None
    dry_run: bool = False


class VexStatementBody(msgspec.Struct, frozen=True, kw_only=True):
    """A statement. `holds`: it is not over. `about` names the findings it is about now, as `NAME PACKAGE`.

    Of several about the same the one added last decides.
    """

    names: list[str]
    status: str
    justification: str
    detail: str
    author: str
    added_by: Actor
    added_at: dt.datetime
    expires_at: dt.datetime
    holds: bool
    about: list[str]
    evidence_id: uuid.UUID | None


class AddedVexBody(msgspec.Struct, frozen=True):
    """What became of a document; `created`: this request said something new."""

    created: bool
    evidence_id: uuid.UUID | None
    expires_at: dt.datetime
    items: list[VexStatementBody]


async def add(call: Call) -> Reply:
    """Read a document, then record it; or say all that is wrong with it."""
    request: NewVexBody = call.body
    deps = call.deps
    actions.check_expiry(request.expires_at, call.now)
    data = _bytes(request)
    parsed = evidence.parse(data, request.name, kind=EvidenceKind.VEX)
    if isinstance(parsed, Unreadable):
        raise evidence.refused(parsed.problems)
    by = By(ledger.actor_of(call.caller), call.now, call.new_id)
    async with deps.db.transaction(read_only=True) as tx:
        version = await version_of(call, tx)
        manifest = await artifacts.get_manifest(tx, version.manifest_digest)
        called = await versions.called(tx, version)
        known = await examining.examine(tx, "version", [str(version.id)])
    findings = known.subjects[str(version.id)].findings
    expires_at = request.expires_at or call.now + LIFETIME_DEFAULT
    created, evidence_id = True, None
    if not request.dry_run:
        kept = await evidence.keep(deps.blobs, data, call.new_id())
        new = actions.NewVex(
            about=evidence.about_version(version, (file.digest for file in manifest.files)),
            file_name=request.name,
            kept=kept,
            parsed=parsed,
            expires_at=request.expires_at,
        )
        async with deps.db.transaction() as tx:
            made, created = await actions.add(tx, new, by, deps.keys.record)
        expires_at, evidence_id = made.expires_at, made.evidence_id
    given = [
        Given(
            statement=one,
            evidence_id=evidence_id or uuid.UUID(int=0),
            position=position,
            author=parsed.details["author"],
            added_by=by.actor,
            added_at=call.now,
            expires_at=expires_at,
        )
        for position, one in enumerate(statements_from(parsed.details))
    ]
    items = [_body(one, findings, called, call.now) for one in given]
    status = 201 if created and not request.dry_run else 200
    return Reply(AddedVexBody(created, evidence_id, expires_at, items), status=status)


def _bytes(request: NewVexBody) -> bytes:
    try:
        return request.document.encode()
    except UnicodeEncodeError:
        message = "expected Unicode text, found half of a surrogate pair"
        raise evidence.refused([evidence.problem(request.name, message)]) from None


async def list_(call: Call, tx: Tx) -> Reply:
    """List every statement that was added to a version, the last first."""
    version = await version_of(call, tx)
    id_ = str(version.id)
    called = await versions.called(tx, version)
    known = await examining.examine(tx, "version", [id_])
    given = (await examining.given(tx, "version", [id_]))[id_]
    ordered = sorted(given, key=lambda one: (one.added_at, one.evidence_id, one.position))
    findings = known.subjects[id_].findings
    return Reply(Page([_body(one, findings, called, call.now) for one in ordered[::-1]], None))


def _body(
    one: Given, findings: tuple[Finding, ...], called: frozenset[str], at: dt.datetime
) -> VexStatementBody:
    said = one.statement
    about = {
        f"{finding.name} {finding.package}"
        for finding in findings
        if not set(finding.names).isdisjoint(said.names) and about_component(said, finding, called)
    }
    return VexStatementBody(
        names=list(said.names),
        status=said.status.value,
        justification=said.justification,
        detail=said.detail,
        author=one.author,
        added_by=one.added_by,
        added_at=one.added_at,
        expires_at=one.expires_at,
        holds=one.expires_at > at,
        about=sorted(about),
        evidence_id=one.evidence_id if one.evidence_id.int else None,
    )


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path=f"{ONE}/vex",
        id="add_vex",
        summary="Say which vulnerabilities do not matter to a version, and why",
        handler=add,
        needs=Verb.TRIAGE,
        tx=TxMode.NONE,
        body=NewVexBody,
        returns=AddedVexBody,
        status=201,
        also=(200,),
        errors=(NotFound, BadName, BadVersion, BadEvidence, BlobStoreDown),
        tag=TAG,
    ),
    Operation(
        method="GET",
        path=f"{ONE}/vex",
        id="list_vex",
        summary="What was said of a version's vulnerabilities",
        handler=list_,
        needs=Verb.READ,
        returns=Page[VexStatementBody],
        errors=(NotFound, BadName, BadVersion),
        tag=TAG,
    ),
]
