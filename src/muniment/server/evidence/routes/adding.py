"""Add evidence to a version: files sent in an upload session, read, then recorded together."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from muniment.core.digest import Digest
from muniment.core.errors import (
    BadDigest,
    BadEvidence,
    BadName,
    BadVersion,
    BlobStoreDown,
    NotFound,
)
from muniment.core.signers import Signer
from muniment.server import artifacts, ledger
from muniment.server.evidence import actions, reads
from muniment.server.evidence.records import (
    About,
    Evidence,
    EvidenceKind,
    Freshness,
    New,
    Unreadable,
)
from muniment.server.evidence.routes.bodies import ONE, TAG, EvidenceBody, body, version_of
from muniment.server.evidence.rules import binding, vouching
from muniment.server.evidence.rules.reading import Limits, problem
from muniment.server.http.operation import Call, Operation, Reply, TxMode
from muniment.server.http.records import Verb
from muniment.server.identity import By, visible_scopes
from muniment.server.ports.db import Tx

_FRESH = Freshness()


class EvidenceFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file to add: what it is called, its SHA-256 in hex; `kind` null is told from its content.

    `context_sha256` names the file that says what the run was made with; it was sent as well.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    sha256: Annotated[str, msgspec.Meta(max_length=80)]
    kind: EvidenceKind | None = None
    context_sha256: Annotated[str, msgspec.Meta(max_length=80)] | None = None


class NewEvidenceBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files to add, all or none. They were sent in the session `upload_id`, or are held already.

    `dry_run` reads everything and writes nothing.
    """

    files: Annotated[list[EvidenceFile], msgspec.Meta(min_length=1, max_length=100)]
    upload_id: uuid.UUID | None = None
    dry_run: bool = False


class AddedEvidence(EvidenceBody, frozen=True, kw_only=True):
    """Evidence, and whether this request recorded it."""

    created: bool


class AddedBody(msgspec.Struct, frozen=True):
    """What became of each file, in their order."""

    items: list[AddedEvidence]


@dataclass(frozen=True, slots=True)
class _Held:
    """A file to add that is held."""

    file: EvidenceFile
    digest: Digest
    size_bytes: int
    context: Digest | None
    context_bytes: int


async def add(call: Call) -> Reply:
    """Read the files, then record them all in one transaction; or say all that is wrong."""
    return await add_to(call, _about_version)


async def add_to(call: Call, about_of: Callable[[Call, Tx], Awaitable[About]]) -> Reply:
    """Add the files of the request's body to what `about_of` finds that it is about."""
    request: NewEvidenceBody = call.body
    async with call.deps.db.transaction(read_only=True) as tx:
        about = await about_of(call, tx)
        held = await _held(call, tx, request, about)
        signers = [known.signer for known in await reads.signers(tx)]
    signers.append(actions.registry_signer(call.deps.keys.record.public_key_der))
    found = await _read(call, about, held, signers)
    by = By(ledger.actor_of(call.caller), call.now, call.new_id)
    if request.dry_run:
        return Reply(AddedBody([added(actions.evidence_of(one, by)) for one in found]))
    async with call.deps.db.transaction() as tx:
        done = [await actions.record(tx, one, by, call.deps.keys.record) for one in found]
    return Reply(
        AddedBody([added(evidence, recorded=True, created=new) for evidence, new in done]),
        status=201 if any(new for _, new in done) else 200,
    )


def added(evidence: Evidence, *, recorded: bool = False, created: bool = False) -> AddedEvidence:
    """Return evidence as the answer to adding it shows it."""
    shown = body(evidence, _FRESH, recorded=recorded)
    return AddedEvidence(**msgspec.structs.asdict(shown), created=created)


async def _about_version(call: Call, tx: Tx) -> About:
    version = await version_of(call, tx)
    manifest = await artifacts.get_manifest(tx, version.manifest_digest)
    return binding.about_version(version, paths={one.path: one.digest for one in manifest.files})


async def _held(call: Call, tx: Tx, request: NewEvidenceBody, about: About) -> list[_Held]:
    """Return the files that are to be evidence.

    Raises:
        BadEvidence: files are not held where the caller may use them; all are named.
    """
    pairs = [(Digest.parse(one.sha256), _context_of(one)) for one in request.files]
    digests = [each for pair in pairs for each in pair if each is not None]
    reach = artifacts.Reach(
        call.caller.id, call.now, visible_scopes(call.caller.grants), request.upload_id
    )
    usable = await artifacts.usable_blobs(tx, digests, reach)
    sizes = {digest: one.size_bytes for digest, one in usable.items()}
    sizes |= await reads.held_files(tx, about, digests)
    missing = [
        problem(f"{file.name}{what}", "was not sent", _SEND)
        for file, pair in zip(request.files, pairs, strict=True)
        for digest, what in zip(pair, ("", " (context)"), strict=True)
        if digest is not None and digest not in sizes
    ]
    if missing:
        raise actions.refused(missing)
    return [
        _Held(file, digest, sizes[digest], context, 0 if context is None else sizes[context])
        for file, (digest, context) in zip(request.files, pairs, strict=True)
    ]


_SEND = "send it in an upload session and name that: `upload_id`"


def _context_of(file: EvidenceFile) -> Digest | None:
    return None if file.context_sha256 is None else Digest.parse(file.context_sha256)


async def _read(call: Call, about: About, held: list[_Held], signers: list[Signer]) -> list[New]:
    """Read every file.

    Raises:
        BadEvidence: some cannot be taken; `problems` has all that is wrong with all of them.
    """
    limits = Limits(max_bytes=call.deps.settings.max_evidence_bytes)
    problems: list[Any] = []
    found = []
    for one in held:
        new = await _read_one(call, about, one, limits, signers)
        if isinstance(new, Unreadable):
            problems += new.problems
            continue
        problems += actions.check_subject(new)
        found.append(new)
    if problems:
        raise actions.refused(problems)
    return found


async def _read_one(
    call: Call, about: About, one: _Held, limits: Limits, signers: list[Signer]
) -> New | Unreadable:
    blobs, name = call.deps.blobs, one.file.name
    parsed = await actions.parse_held(
        blobs, one.digest, one.size_bytes, name, kind=one.file.kind, limits=limits
    )
    context = None
    if one.context is not None:
        context = await actions.read_context(
            blobs, one.context, one.context_bytes, f"{name} (context)",
            of=one.digest, about=about, keys=call.deps.settings.evidence_keys,
        )  # fmt: skip
    wrong = [each for each in (parsed, context) if isinstance(each, Unreadable)]
    if wrong:
        return Unreadable(tuple(problem for each in wrong for problem in each.problems))
    assert not isinstance(parsed, Unreadable)
    assert not isinstance(context, Unreadable)
    check = await asyncio.to_thread(
        vouching.check_statement,
        parsed, about, name=name, digest=one.digest, signers=signers, at=call.now,
    )  # fmt: skip
    if isinstance(check, Unreadable):
        return check
    return New(
        about=about,
        file_name=name,
        digest=one.digest,
        size_bytes=one.size_bytes,
        parsed=parsed,
        context=context,
        check=check,
    )


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path=f"{ONE}/evidence",
        id="add_evidence",
        summary="Add evidence to a version",
        handler=add,
        needs=Verb.ATTEST,
        tx=TxMode.NONE,
        body=NewEvidenceBody,
        returns=AddedBody,
        status=201,
        also=(200,),
        errors=(NotFound, BadName, BadVersion, BadDigest, BadEvidence, BlobStoreDown),
        tag=TAG,
    ),
]
