"""Register a version; its manifest, receipt and signing statement; compare two."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Any, Final

import msgspec

from muniment.core.errors import (
    AlreadyExists,
    BadManifest,
    BadMetadata,
    BadName,
    BadReference,
    BadVersion,
    LifecycleConflict,
    LogBusy,
    NotFound,
    NotServed,
    UploadConflict,
    VersionConflict,
)
from muniment.core.names import AssetName, AssetRef, Namespace, SemVer, VersionRef, parse_version
from muniment.core.statement import model_signing_statement
from muniment.server import catalog, ledger
from muniment.server.artifacts import actions, reads
from muniment.server.artifacts.actions.attesting import attest
from muniment.server.artifacts.records import File, FileChanges
from muniment.server.artifacts.rules import manifest as manifest_rules
from muniment.server.catalog.records import (
    AssetState,
    Difference,
    Kind,
    Lifecycle,
    RiskTier,
    Version,
    VersionState,
)
from muniment.server.http.operation import Call, Operation, Reply, TxMode
from muniment.server.http.operation import ScopeFrom as From
from muniment.server.http.records import Scope, Verb
from muniment.server.identity import By, visible_scopes
from muniment.server.ports.db import Tx

_VERSIONS: Final = "/api/v1/assets/{namespace}/{name}/versions"
ONE: Final = f"{_VERSIONS}/{{version}}"
_TAG: Final = "versions"
_TRIES: Final = 3


class FileBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file: relative path with `/`, SHA-256 in hex, size."""

    path: str
    sha256: Annotated[str, msgspec.Meta(max_length=80)]
    size_bytes: Annotated[int, msgspec.Meta(le=2**53 - 1)]


class CreateAssetBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to make the asset if there is none of that name."""

    kind: Kind
    owner: str = ""
    backup_owner: str | None = None
    escalation_contact: str | None = None
    risk_tier: RiskTier | None = None
    description: str = ""
    tags: dict[str, str] = {}


class RegistrationBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version to register.

    `files` are held already, or were sent in the session `upload_id`. `require` refuses the
    registration unless the fields due at that lifecycle step are there. `dry_run` checks
    everything (but not whether the bytes were sent) and writes nothing.
    """

    version: Annotated[str, msgspec.Meta(max_length=128)]
    files: list[FileBody]
    metadata: dict[str, Any] = {}
    upload_id: uuid.UUID | None = None
    create_asset: CreateAssetBody | None = None
    description: str = ""
    tags: dict[str, str] = {}
    require: Lifecycle = Lifecycle.DRAFT
    dry_run: bool = False


class RegisteredBody(catalog.VersionBody, frozen=True, kw_only=True):
    """The version as it is recorded, and what its next lifecycle step would still need."""

    created: bool
    completeness: catalog.CompletenessBody


class ManifestBody(msgspec.Struct, frozen=True):
    """The files of a version; the canonical JSON of this has the version's manifest digest."""

    schema: str
    files: list[FileBody]


async def register(call: Call) -> Reply:
    """Register a version, or give the same answer again if it is registered already."""
    body: RegistrationBody = call.body
    offer = _offer(call, body)
    if offer.create is not None:
        call.require(Verb.CREATE, Scope(str(offer.asset.namespace), str(offer.asset.name)))
    for last in (False,) * (_TRIES - 1) + (True,):
        try:
            return await _register(call, offer, dry_run=body.dry_run)
        except (VersionConflict, AlreadyExists) as lost:
            # Somebody registered it between our check and our write: look again.
            if last or lost.extra:
                raise
    raise AssertionError  # the last try returned or raised


async def _register(call: Call, offer: actions.Offer, *, dry_run: bool) -> Reply:
    deps = call.deps
    async with deps.db.transaction(read_only=True) as tx:
        checked = await actions.check(
            tx,
            offer,
            reach=reads.Reach(
                call.caller.id, call.now, visible_scopes(call.caller.grants), call.body.upload_id
            ),
            max_file_bytes=deps.settings.max_file_bytes,
            sent=not dry_run,
        )
    by = By(ledger.actor_of(call.caller), call.now, call.new_id)
    if checked.existing is not None:
        if call.caller.attested is not None and not dry_run:
            async with deps.db.transaction() as tx:
                await attest(tx, checked.existing, by, deps.keys.record)
        return _answer(checked.existing, checked, created=False)
    if dry_run:
        return _answer(actions.preview(checked, by), checked, created=False)
    async with deps.db.transaction() as tx:
        version = await actions.register(tx, checked, by, deps.keys.record)
    return _answer(version, checked, created=True)


def _answer(version: Version, checked: actions.Checked, *, created: bool) -> Reply:
    step = Lifecycle.CANDIDATE
    own = catalog.own_rows(checked.required)
    found = catalog.completeness(checked.kind, step, checked.said, version.metadata, also=own)
    overlaps = catalog.window_overlaps(version.metadata)
    body = RegisteredBody(
        **msgspec.structs.asdict(catalog.version_body(version)),
        created=created,
        completeness=catalog.completeness_body(found, step, overlaps),
    )
    return Reply(body, status=201 if created else 200)


def _offer(call: Call, body: RegistrationBody) -> actions.Offer:
    create = body.create_asset
    state = VersionState(description=body.description, tags=body.tags)
    catalog.check_version_state(state)
    return actions.Offer(
        asset=asset_ref(call),
        version=SemVer.parse(body.version),
        files=[(one.path, one.size_bytes, one.sha256) for one in body.files],
        metadata=body.metadata,
        require=body.require,
        create=None if create is None else (create.kind, _said(create)),
        state=state,
    )


def _said(body: CreateAssetBody) -> AssetState:
    return AssetState(
        owner=body.owner,
        description=body.description,
        tags=body.tags,
        backup_owner=body.backup_owner,
        escalation_contact=body.escalation_contact,
        risk_tier=body.risk_tier,
    )


def asset_ref(call: Call) -> AssetRef:
    """Return the asset the path names."""
    return AssetRef(Namespace.parse(call.path["namespace"]), AssetName.parse(call.path["name"]))


async def version_of(call: Call, tx: Tx) -> Version:
    """Return the version the path names.

    Raises:
        NotFound: there is none.
    """
    return await catalog.get_version(
        tx, VersionRef(asset_ref(call), parse_version(call.path["version"]))
    )


async def manifest(call: Call, tx: Tx) -> Reply:
    """Send the files of a version, byte for byte as they were digested."""
    version = await version_of(call, tx)
    found = await reads.get_manifest(tx, version.manifest_digest)
    return Reply(found.body, headers={"ETag": f'"{found.digest}"'})


class ReceiptQuery(msgspec.Struct, frozen=True):
    """How long to wait for the log to include the registration."""

    wait_ms: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0


async def receipt(call: Call) -> Reply:
    """Send what proves the registration to a stranger."""
    async with call.deps.db.transaction(read_only=True) as tx:
        version = await version_of(call, tx)
    wait = dt.timedelta(milliseconds=call.query.wait_ms)
    found = await ledger.await_receipt(call.deps.db, version.entry_id, wait)
    return Reply(found.to_json())


async def signing_statement(call: Call, tx: Tx) -> Reply:
    """Send the OpenSSF Model Signing statement of the files: what a signature of them signs."""
    version = await version_of(call, tx)
    found = await reads.get_manifest(tx, version.manifest_digest)
    digests = {file.path: file.digest.hex for file in found.files}
    return Reply(model_signing_statement(version.name, digests))


class CompareQuery(msgspec.Struct, frozen=True):
    """The two versions: references such as `fraud-detector@1.0.0` or `fraud-detector@champion`."""

    left: Annotated[str, msgspec.Meta(max_length=600)]
    right: Annotated[str, msgspec.Meta(max_length=600)]


class ComparedFile(msgspec.Struct, frozen=True):
    """A file on one side."""

    path: str
    size_bytes: int
    sha256: str


class ChangedFile(msgspec.Struct, frozen=True):
    """A file that has other bytes on the right."""

    path: str
    left: ComparedFile
    right: ComparedFile


class MovedFile(msgspec.Struct, frozen=True):
    """The same bytes under other paths."""

    sha256: str
    size_bytes: int
    left: list[str]
    right: list[str]


class ComparedFiles(msgspec.Struct, frozen=True):
    """How the files differ; `same_count` are alike."""

    added: list[ComparedFile]
    removed: list[ComparedFile]
    changed: list[ChangedFile]
    moved: list[MovedFile]
    same_count: int


class ComparisonBody(msgspec.Struct, frozen=True):
    """How the right version differs from the left one."""

    left: str
    right: str
    same: bool
    differences: list[Difference]
    files: ComparedFiles


async def compare(call: Call, tx: Tx) -> Reply:
    """Compare two versions: metadata, metrics, signature, files."""
    sides = []
    for text in (call.query.left, call.query.right):
        ref = VersionRef.parse(text)
        call.require(Verb.READ, Scope(str(ref.asset.namespace), str(ref.asset.name)))
        version = await catalog.get_version(tx, ref)
        found = await reads.get_manifest(tx, version.manifest_digest)
        sides.append((version, found))
    (left, left_files), (right, right_files) = sides
    differences = catalog.compare(left, right)
    files = manifest_rules.compare(left_files.files, right_files.files)
    same = not differences and left.manifest_digest == right.manifest_digest
    return Reply(ComparisonBody(left.name, right.name, same, differences, _files_body(files)))


def _file_body(file: File) -> ComparedFile:
    return ComparedFile(file.path, file.size_bytes, file.digest.hex)


def _files_body(files: FileChanges) -> ComparedFiles:
    return ComparedFiles(
        added=[_file_body(one) for one in files.added],
        removed=[_file_body(one) for one in files.removed],
        changed=[
            ChangedFile(left.path, _file_body(left), _file_body(right))
            for left, right in files.changed
        ],
        moved=[
            MovedFile(one.digest.hex, one.size_bytes, list(one.left), list(one.right))
            for one in files.moved
        ],
        same_count=files.same_count,
    )


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path=_VERSIONS,
        id="register_version",
        summary="Register a version",
        handler=register,
        needs=Verb.REGISTER,
        tx=TxMode.NONE,
        body=RegistrationBody,
        returns=RegisteredBody,
        status=201,
        also=(200,),
        errors=(
            NotFound,
            BadName,
            BadVersion,
            BadManifest,
            BadMetadata,
            VersionConflict,
            AlreadyExists,
            UploadConflict,
            LifecycleConflict,
        ),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=f"{ONE}/manifest",
        id="get_manifest",
        summary="The files of a version",
        handler=manifest,
        needs=Verb.READ,
        returns=ManifestBody,
        also=(304,),
        errors=(NotFound, BadName, BadVersion),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=f"{ONE}/receipt",
        id="get_version_receipt",
        summary="What proves a registration to a stranger",
        handler=receipt,
        needs=Verb.READ,
        tx=TxMode.NONE,
        query=ReceiptQuery,
        returns=dict[str, Any],
        errors=(NotFound, BadName, BadVersion, LogBusy),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=f"{ONE}/signing-statement",
        id="get_signing_statement",
        summary="The OpenSSF Model Signing statement of a version's files",
        handler=signing_statement,
        needs=Verb.READ,
        returns=dict[str, Any],
        errors=(NotFound, BadName, BadVersion),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path="/api/v1/compare",
        id="compare_versions",
        summary="Compare two versions",
        handler=compare,
        needs=Verb.READ,
        scope=From.HANDLER,
        query=CompareQuery,
        returns=ComparisonBody,
        errors=(NotFound, BadReference, NotServed),
        tag=_TAG,
    ),
]
