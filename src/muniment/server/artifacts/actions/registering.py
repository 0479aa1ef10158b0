"""The verbs of artifacts: open an upload, take bytes, register a version.

`register` is the one governed act. All that can be wrong with it is said at once, before anything is
written; then manifest, version and ledger entry are written in one transaction. Repeating it gives
the same answer, at any later time: the version is there, with the same manifest and metadata.

Bytes are not part of a transaction. They are held before a version names them, so a crash leaves
blobs that nothing names, never a version without its bytes.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, LiteralString

from muniment.core.digest import Digest
from muniment.core.errors import (
    BadManifest,
    BadMetadata,
    BadRequest,
    Conflict,
    LifecycleConflict,
    NotFound,
    QuotaExceeded,
    UploadConflict,
    VersionConflict,
)
from muniment.core.names import AssetRef, SemVer, VersionRef
from muniment.scan.formats import detection as formats
from muniment.server import catalog, ledger
from muniment.server.artifacts import reads, store
from muniment.server.artifacts.records import (
    Declared,
    File,
    Formats,
    Manifest,
    Upload,
    UploadState,
)
from muniment.server.artifacts.rules import manifest
from muniment.server.catalog.records import (
    Asset,
    AssetState,
    Gap,
    Kind,
    Lifecycle,
    NewVersion,
    OwnField,
    Version,
    VersionState,
)
from muniment.server.identity.records import By
from muniment.server.ledger.records import Entry, Subject
from muniment.server.ports.db import Tx, numbered_after
from muniment.server.ports.keys import Signer

#: The in-toto predicate of a registration.
PREDICATE_TYPE = "https://muniment.dev/attestation/registration/v1"


async def open_upload(
    tx: Tx, principal_id: uuid.UUID, *, upload_id: uuid.UUID, now: dt.datetime, ttl: dt.timedelta
) -> Upload:
    """Open a session in which `principal_id` may send blobs until `now + ttl`."""
    upload = Upload(upload_id, principal_id, UploadState.OPEN, now, now + ttl)
    await store.insert_upload(tx, upload)
    return upload


def check_open(upload: Upload | None, now: dt.datetime) -> Upload:
    """Return the upload if it takes bytes.

    Raises:
        NotFound: there is none of that id, or it is somebody else's.
        UploadConflict: it is over.
    """
    if upload is None:
        raise NotFound("there is no such upload, or it is not yours; open one with POST /uploads")
    if upload.state is not UploadState.OPEN or upload.expires_at <= now:
        raise UploadConflict("this upload is over: open another one; what is held stays held")
    return upload


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A registration as it is asked for: nothing of it is checked yet.

    `files` are (path, size in bytes, digest text). `require` is the lifecycle step whose fields
    must be there. `create` makes the asset when there is none: its kind and what is said of it.
    `number` is one that was reserved for this version.
    """

    asset: AssetRef
    version: SemVer
    files: Sequence[tuple[str, int, str]]
    metadata: Mapping[str, Any]
    require: Lifecycle = Lifecycle.DRAFT
    create: tuple[Kind, AssetState] | None = None
    state: VersionState = field(default_factory=VersionState)
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """An offer that may be registered, and the version that is there already if it was."""

    offer: Offer
    asset: Asset | None
    kind: Kind
    said: AssetState
    manifest: Manifest
    formats: Formats
    existing: Version | None
    metadata_json: bytes
    required: tuple[OwnField, ...] = ()


async def check(
    tx: Tx, offer: Offer, *, reach: reads.Reach, max_file_bytes: int, sent: bool = True
) -> Checked:
    """Check everything about an offer; change nothing. `sent` False: its bytes need not be held.

    Raises:
        NotFound: there is no such asset, and the offer does not say how to create it; or bytes are
            missing and the session it names is not the caller's.
        LifecycleConflict: the asset was deleted: what it has is retired, and it takes no more.
        UploadConflict: bytes are missing and the session it names is over.
        BadManifest: paths, sizes, digests or bytes are not right; `problems` has all, metadata's too.
        BadMetadata: only the metadata is not right.
        VersionConflict: the version was registered with other bytes or metadata.
    """
    digests = manifest.readable_digests(offer.files)
    now = await reads.standing(tx, offer.asset, offer.version, set(digests.values()), reach)
    if now.asset is not None and now.asset.tombstoned_at is not None:
        raise LifecycleConflict(
            f"{offer.asset} was deleted through MLflow's API: its versions are retired and it takes"
            " no more; register this under another name"
        )
    kind, said = _kind_and_state(now.asset, offer)
    problems = manifest.problems(kind, offer.files, max_file_bytes=max_file_bytes)
    metadata_json, about_metadata = catalog.read_metadata(kind, offer.metadata)
    own = catalog.own_rows(now.required)
    gaps = catalog.missing(kind, offer.require, said, offer.metadata, also=own)
    told = {problem["field"] for problem in about_metadata}
    about_metadata += [
        _gap_problem(gap, offer.require) for gap in gaps if f"/{gap.field}" not in told
    ]
    if problems:
        raise _refusal(BadManifest, "the files cannot be registered", problems + about_metadata)
    files = [File(path, size, digests[sha]) for path, size, sha in offer.files]
    whole = manifest.make(files)
    if now.registered:
        existing = await catalog.get_version(tx, VersionRef(offer.asset, offer.version))
        _same_or_conflict(existing, whole, offer)
        # Whatever is due by now, or is held by now: it was registered, and the answer stays.
        known = Formats(existing.formats, existing.executable)
        return Checked(
            offer, now.asset, kind, said, whole, known, existing, metadata_json, now.required
        )
    if sent:
        problems = manifest.absent(
            files, {digest: one.size_bytes for digest, one in now.usable.items()}
        )
        if problems and reach.upload_id is not None:
            found_upload = await store.find_upload(tx, reach.upload_id, reach.principal_id)
            check_open(found_upload, reach.now)
    if problems:
        raise _refusal(BadManifest, "the files cannot be registered", problems + about_metadata)
    if about_metadata:
        raise _refusal(BadMetadata, "the metadata cannot be registered", about_metadata)
    found = formats.summary(one.format for one in now.usable.values())
    return Checked(offer, now.asset, kind, said, whole, found, None, metadata_json, now.required)


def _kind_and_state(asset: Asset | None, offer: Offer) -> tuple[Kind, AssetState]:
    if asset is not None:
        return asset.kind, asset.state
    if offer.create is None:
        raise NotFound(
            f"there is no asset {offer.asset}, or you may not see it: create it first, or say with"
            " `create_asset` of which kind it is and who owns it (`--kind`, `--owner`)"
        )
    return offer.create


def _gap_problem(gap: Gap, step: Lifecycle) -> dict[str, Any]:
    message = f"due at {step.value}: {gap.why} ({gap.source})"
    return {"field": gap.field, "message": message, "fix": gap.fix}


def _refusal(kind: type[BadRequest], what: str, problems: list[dict[str, Any]]) -> BadRequest:
    first = problems[0]
    more = f" (and {len(problems) - 1} more, see `problems`)" if problems[1:] else ""
    return kind(f"{what}: `{first['field']}` {first['message']}{more}", problems=problems)


def _same_or_conflict(existing: Version, offered: Manifest, offer: Offer) -> None:
    """Go on only if `existing` is what is offered.

    Raises:
        VersionConflict: it is not; `extra` has both digests of whatever differs.
    Source: R-027, R-028.
    """
    metadata = catalog.metadata_digest(offer.metadata)
    registered = {
        "manifest": str(existing.manifest_digest),
        "metadata": str(existing.metadata_digest),
    }
    found = {"manifest": str(offered.digest), "metadata": str(metadata)}
    if registered == found:
        return
    what = "files" if registered["manifest"] != found["manifest"] else "metadata"
    raise VersionConflict(
        f"{existing.name} was registered with other {what} "
        f"({registered['manifest' if what == 'files' else 'metadata']}; offered: "
        f"{found['manifest' if what == 'files' else 'metadata']}): versions never change, "
        "register the change under a new version",
        extra={"registered": registered, "offered": found},
    )


async def register(tx: Tx, checked: Checked, by: By, signer: Signer) -> Version:
    """Write a version, its manifest and its signed ledger entry; create the asset if that was asked.

    One statement, which completes `tx`, unless another version of the asset came between.

    Raises:
        VersionConflict: somebody registered that version meanwhile. Nothing is written; check again.
        AlreadyExists: somebody created the asset meanwhile. Nothing is written; check again.
    Source: design §6; R-018, R-020, R-027.
    """
    asset = checked.asset or await catalog.create_asset(
        tx, checked.offer.asset, checked.kind, checked.said, by
    )
    version = await _write(tx, checked, asset, by, signer)
    if version is None:  # the number it was signed with is taken: take turns from here on
        asset = await catalog.lock_asset(tx, checked.offer.asset)
        version = await _write(tx, checked, asset, by, signer)
    assert version is not None, "the asset is locked"
    return version


async def _write(tx: Tx, checked: Checked, asset: Asset, by: By, signer: Signer) -> Version | None:
    """Write `checked` as the asset's next version; None, and nothing, if that number is taken."""
    new = _new_version(checked, by)
    number = catalog.number_of(asset, new)
    version = catalog.registered(new, asset.ref, asset.kind, asset.id, number)
    entry = Entry(
        id=version.entry_id,
        at=by.at,
        act="version.register",
        actor=by.actor,
        subject=Subject("version", str(version.id), version.name, asset.id),
        payload=catalog.version_payload(version),
        digests=(version.manifest_digest, version.metadata_digest),
        predicate_type=PREDICATE_TYPE,
    )
    values = (
        *catalog.add_version_values(asset, new),
        *store.manifest_values(checked.manifest),
    )
    try:
        done = await ledger.append_with(tx, entry, _REGISTER, values, signer)
    except Conflict as conflict:
        raise catalog.version_conflict(conflict, asset.ref, new.version) from None
    return None if done is None else version


_REGISTER: Final[LiteralString] = (
    catalog.ADD_VERSION  # noqa: S608 -- ours
    + ", "
    + numbered_after(catalog.ADD_VERSION_COUNT, store.KEEP_MANIFEST)
    + ", done AS (SELECT id FROM made)"
)


def preview(checked: Checked, by: By) -> Version:
    """Return the version `register` would write, with number 0; nothing is written."""
    new = _new_version(checked, by)
    asset_id = checked.asset.id if checked.asset else new.id
    return catalog.registered(new, checked.offer.asset, checked.kind, asset_id, 0)


def _new_version(checked: Checked, by: By) -> NewVersion:
    offer = checked.offer
    return NewVersion(
        id=by.new_id(),
        version=offer.version,
        manifest_digest=checked.manifest.digest,
        size_bytes=checked.manifest.size_bytes,
        file_count=len(checked.manifest.files),
        formats=checked.formats.names,
        executable=checked.formats.executable,
        metadata=offer.metadata,
        metadata_json=checked.metadata_json,
        metrics_at_registration=catalog.metrics_of(offer.metadata),
        actor=by.actor,
        at=by.at,
        entry_id=by.new_id(),
        state=offer.state,
        number=offer.number,
    )


def _other_size(index: int, expected: int, found: int) -> dict[str, Any]:
    message = f"expected {expected} bytes, as the same digest has elsewhere, found {found}"
    fix = "the same bytes have the same size: hash the file again"
    return {"field": f"blobs[{index}].size_bytes", "message": message, "fix": fix}


async def declare(
    tx: Tx, blobs: Sequence[Declared], reach: reads.Reach, *, quota_bytes: int
) -> tuple[set[Digest], set[Digest]]:
    """Note what `reach.upload_id` will send; return which blobs are new to it, and which are held.

    Held are only those the caller may use already (`reads.usable_blobs`).

    Raises:
        NotFound: the session is not the caller's.
        UploadConflict: it is over.
        BadManifest: a blob that is held has another size.
        QuotaExceeded: with these, the caller would have more than `quota_bytes` on their way, in all
            its sessions together. Nothing is to be committed in these cases.
    """
    assert reach.upload_id is not None
    check_open(await store.find_upload(tx, reach.upload_id, reach.principal_id), reach.now)
    usable = await reads.usable_blobs(tx, [one.digest for one in blobs], reach)
    problems = [
        _other_size(index, usable[one.digest].size_bytes, one.size_bytes)
        for index, one in enumerate(blobs)
        if one.digest in usable and usable[one.digest].size_bytes != one.size_bytes
    ]
    if problems:
        raise _refusal(BadManifest, "the blobs cannot be sent", problems)
    unsent = [one for one in blobs if one.digest not in usable]
    new = await store.declare(tx, reach.upload_id, unsent)
    if unsent:
        await check_quota(tx, reach.principal_id, reach.now, quota_bytes)
    return new, set(usable)


async def check_quota(tx: Tx, principal_id: uuid.UUID, now: dt.datetime, quota_bytes: int) -> None:
    """Go on only if a principal has at most `quota_bytes` on their way.

    Raises:
        QuotaExceeded: it has more, with what `tx` declared: that is not to be committed.
    """
    on_their_way = await store.unsealed_bytes(tx, principal_id, now)
    if on_their_way > quota_bytes:
        raise QuotaExceeded(
            f"expected at most {quota_bytes} bytes declared and not yet sent whole, found "
            f"{on_their_way}: finish or abandon other uploads first (DELETE /api/v1/uploads/ID), or "
            "ask for a higher MUNIMENT_UPLOAD_QUOTA_BYTES",
            extra={"quota_bytes": quota_bytes, "declared_bytes": on_their_way},
        )


def declared(blobs: Sequence[tuple[str, int]], *, max_file_bytes: int) -> list[Declared]:
    """Read the blobs somebody wants to send (digest text, size in bytes); each digest once.

    Raises:
        BadManifest: a digest or size is not one; `problems` has all.
    """
    found: dict[Digest, Declared] = {}
    problems = []
    for index, (text, size_bytes) in enumerate(blobs):
        try:
            digest = Digest.parse(text)
        except BadRequest as error:
            fix = "send SHA-256 in hex"
            problems.append(
                {"field": f"blobs[{index}].sha256", "message": error.message, "fix": fix}
            )
            continue
        if found.setdefault(digest, Declared(digest, size_bytes)).size_bytes != size_bytes:
            problems.append(_other_size(index, found[digest].size_bytes, size_bytes))
    problems += manifest.declared_problems(list(found.values()), max_file_bytes=max_file_bytes)
    if problems:
        raise _refusal(BadManifest, "the blobs cannot be sent", problems)
    return list(found.values())
