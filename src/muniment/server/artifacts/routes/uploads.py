"""`/uploads`: open a session, say what is coming, send it, close it.

A blob sent whole in one PUT is sealed in the same request; one sent in parts is sealed when asked.
Bytes may be sent again at any time: what is held stays held.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from muniment.core.digest import Digest
from muniment.core.errors import (
    BadDigest,
    BadManifest,
    BadName,
    BadRequest,
    BlobStoreDown,
    DigestMismatch,
    DiskFull,
    NotFound,
    QuotaExceeded,
    TooLarge,
    UploadConflict,
)
from muniment.core.names import NAMESPACE_DEFAULT, AssetName, Namespace
from muniment.server.artifacts import actions, reads, store
from muniment.server.artifacts.records import Declared, Upload
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.paging import Page
from muniment.server.http.records import Scope, Verb
from muniment.server.identity import visible_scopes
from muniment.server.ports.blobs import Blobs, Part
from muniment.server.ports.db import Tx

_U: Final = "/api/v1/uploads"
_ONE: Final = f"{_U}/{{upload_id}}"
_BLOB: Final = f"{_ONE}/blobs/{{sha256}}"
_URL_EXPIRES: Final = dt.timedelta(hours=1)
#: Presigned URLs are handed out for this many parts of one request; the rest go through us.
_URLS_MAX: Final = 2000
_ASKED_AT_ONCE: Final = 32
_TAG: Final = "uploads"


class NewUploadBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For which asset bytes will be sent; it need not exist yet."""

    name: Annotated[str, msgspec.Meta(max_length=1024)]
    namespace: Annotated[str, msgspec.Meta(max_length=63)] = NAMESPACE_DEFAULT


class UploadBody(msgspec.Struct, frozen=True):
    """A session; bytes are taken until `expires_at`, in parts of up to `part_size_bytes`."""

    id: uuid.UUID
    state: str
    part_size_bytes: int
    created_at: dt.datetime
    expires_at: dt.datetime


class OfferedBlob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A blob somebody wants to send."""

    sha256: Annotated[str, msgspec.Meta(max_length=80)]
    size_bytes: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class OfferedBlobsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The blobs somebody wants to send."""

    blobs: Annotated[list[OfferedBlob], msgspec.Meta(max_length=10_000)]


class PutUrlBody(msgspec.Struct, frozen=True):
    """Where the bytes [offset, offset + size_bytes) can be put directly, for an hour."""

    offset: int
    size_bytes: int
    url: str


class HeldBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """What there is of a blob: `held`, `missing`, or `partial` with [start, end) ranges."""

    sha256: str
    state: str
    received: list[tuple[int, int]] = []
    put_urls: list[PutUrlBody] | None = None


class PartQuery(msgspec.Struct, frozen=True):
    """Where in the blob the sent bytes begin."""

    offset: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] = 0


async def open_(call: Call, tx: Tx) -> Reply:
    """Open a session."""
    body: NewUploadBody = call.body
    namespace, name = Namespace.parse(body.namespace), AssetName.parse(body.name)
    call.require(Verb.REGISTER, Scope(str(namespace), str(name)))
    upload = await actions.open_upload(
        tx,
        call.caller.id,
        upload_id=call.new_id(),
        now=call.now,
        ttl=call.deps.settings.upload_ttl,
    )
    return Reply(_upload_body(upload, call))


def _upload_body(upload: Upload, call: Call) -> UploadBody:
    return UploadBody(
        upload.id,
        upload.state.value,
        call.deps.settings.part_bytes,
        upload.created_at,
        upload.expires_at,
    )


def _upload_id(call: Call) -> uuid.UUID:
    try:
        return uuid.UUID(call.path["upload_id"])
    except ValueError:
        raise NotFound(f"there is no upload {call.path['upload_id'][:80]!r}") from None


async def get(call: Call, tx: Tx) -> Reply:
    """Show a session of one's own."""
    upload = await store.find_upload(tx, _upload_id(call), call.caller.id)
    if upload is None:
        raise NotFound("there is no such upload, or it is not yours")
    return Reply(_upload_body(upload, call))


async def abandon(call: Call) -> Reply:
    """Close a session and drop what was sent and not sealed. May be repeated."""
    async with call.deps.db.transaction() as tx:
        upload = await store.find_upload(tx, _upload_id(call), call.caller.id)
        if upload is None:
            raise NotFound("there is no such upload, or it is not yours")
        await store.abandon_upload(tx, upload.id)
    await call.deps.blobs.discard(upload.id)
    return Reply(status=204)


async def declare(call: Call) -> Reply:
    """Say which blobs will be sent; the answer says what there is of each, each digest once."""
    body: OfferedBlobsBody = call.body
    deps, upload_id = call.deps, _upload_id(call)
    blobs = actions.declared(
        [(one.sha256, one.size_bytes) for one in body.blobs],
        max_file_bytes=deps.settings.max_file_bytes,
    )
    reach = reads.Reach(call.caller.id, call.now, visible_scopes(call.caller.grants), upload_id)
    async with deps.db.transaction() as tx:
        new, held = await actions.declare(
            tx, blobs, reach, quota_bytes=call.deps.settings.upload_quota_bytes
        )
    known = [one.digest for one in blobs if one.digest not in new | held]
    received = dict(zip(known, await _staged(deps.blobs, upload_id, known), strict=True))
    urls_left = _URLS_MAX
    items = []
    for blob in blobs:
        if blob.digest in held:
            items.append(HeldBody(blob.digest.hex, "held"))
            continue
        parts = received.get(blob.digest, [])
        urls = await _put_urls(call, upload_id, blob, parts, urls_left)
        urls_left -= len(urls or ())
        items.append(_partly(blob, parts, urls))
    return Reply(Page(items))


async def _staged(
    blobs: Blobs, upload_id: uuid.UUID, digests: Sequence[Digest]
) -> list[list[Part]]:
    """Return the parts that came of each blob, asking for a few at a time."""
    found: list[list[Part]] = []
    for at in range(0, len(digests), _ASKED_AT_ONCE):
        some = digests[at : at + _ASKED_AT_ONCE]
        found += await asyncio.gather(*(blobs.staged(upload_id, one) for one in some))
    return found


def _partly(blob: Declared, received: list[Part], urls: list[PutUrlBody] | None) -> HeldBody:
    ranges = [(part.offset, part.offset + part.size_bytes) for part in received]
    return HeldBody(blob.digest.hex, "partial" if ranges else "missing", ranges, urls)


async def _put_urls(
    call: Call, upload_id: uuid.UUID, blob: Declared, received: list[Part], most: int
) -> list[PutUrlBody] | None:
    """Return where each part can be put directly, or None where the store takes none so.

    None as well once some bytes came: what fills the gaps need not be whole parts.
    """
    part = call.deps.settings.part_bytes
    offsets = range(0, max(1, blob.size_bytes), part)
    if received or len(offsets) > most:
        return None
    urls = []
    for offset in offsets:
        url = await call.deps.blobs.presign_part(upload_id, blob.digest, offset, _URL_EXPIRES)
        if url is None:
            return None
        urls.append(PutUrlBody(offset, min(part, blob.size_bytes - offset), url))
    return urls


async def _sending(call: Call) -> tuple[Upload, Declared]:
    """Return the session and the blob the path names.

    Raises:
        NotFound: the session is not the caller's, or the blob was not declared in it.
        UploadConflict: the session is over.
    """
    digest, upload_id = Digest.parse(call.path["sha256"]), _upload_id(call)
    async with call.deps.db.transaction(read_only=True) as tx:
        found = await store.find_sending(tx, upload_id, call.caller.id, digest)
    upload = actions.check_open(None if found is None else found[0], call.now)
    blob = None if found is None else found[1]
    if blob is None:
        raise NotFound(f"{digest} was not declared in this upload: declare it first")
    return upload, blob


async def put(call: Call) -> Reply:
    """Take bytes of a blob, from `offset` on."""
    upload, blob = await _sending(call)
    offset = call.query.offset
    if offset > blob.size_bytes:
        raise BadRequest(f"expected an offset within {blob.size_bytes} bytes, found {offset}")
    if blob.sealed:
        return Reply(HeldBody(blob.digest.hex, "held"))
    limit = min(blob.size_bytes - offset, call.deps.settings.part_bytes)
    blobs = call.deps.blobs
    try:
        part = await blobs.stage(upload.id, blob.digest, offset, call.stream(), limit=limit)
    except UploadConflict as conflict:
        # Somebody sends the same blob into this session, and was first: done, if that was all of it.
        try:
            return await _seal(call, upload, blob)
        except UploadConflict:
            raise conflict from None
    if part.offset == 0 and part.size_bytes == blob.size_bytes:
        return await _seal(call, upload, blob)
    return Reply(_partly(blob, await blobs.staged(upload.id, blob.digest), None))


async def seal(call: Call) -> Reply:
    """Have the sent bytes checked against their digest and held. May be repeated."""
    upload, blob = await _sending(call)
    if blob.sealed:
        return Reply(HeldBody(blob.digest.hex, "held"))
    return await _seal(call, upload, blob)


async def _seal(call: Call, upload: Upload, blob: Declared) -> Reply:
    deps = call.deps
    await deps.blobs.seal(upload.id, blob.digest, blob.size_bytes)
    found = await actions.format_of(deps.blobs, blob.digest, blob.size_bytes)
    async with deps.db.transaction() as tx:
        if not await actions.hold_blob(tx, deps.blobs, upload.id, blob, found, now=call.now):
            raise UploadConflict("this upload was closed while the blob was sent: open another one")
    return Reply(HeldBody(blob.digest.hex, "held"))


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path=_U,
        id="open_upload",
        summary="Open an upload session",
        handler=open_,
        needs=Verb.REGISTER,
        scope=ScopeFrom.HANDLER,
        tx=TxMode.WRITE,
        body=NewUploadBody,
        returns=UploadBody,
        status=201,
        errors=(BadName, NotFound),
        tag=_TAG,
    ),
    Operation(
        method="GET",
        path=_ONE,
        id="get_upload",
        summary="Show an upload session",
        handler=get,
        needs=Verb.REGISTER,
        scope=ScopeFrom.ANYWHERE,
        returns=UploadBody,
        errors=(NotFound,),
        tag=_TAG,
    ),
    Operation(
        method="DELETE",
        path=_ONE,
        id="abandon_upload",
        summary="Close an upload session and drop what is not sealed",
        handler=abandon,
        needs=Verb.REGISTER,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.NONE,
        status=204,
        errors=(NotFound, BlobStoreDown),
        tag=_TAG,
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/blobs",
        id="declare_blobs",
        summary="Say which blobs will be sent; learn which are held",
        handler=declare,
        needs=Verb.REGISTER,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.NONE,
        body=OfferedBlobsBody,
        returns=Page[HeldBody],
        errors=(NotFound, UploadConflict, BadManifest, BlobStoreDown, QuotaExceeded),
        tag=_TAG,
    ),
    Operation(
        method="PUT",
        path=_BLOB,
        id="put_blob",
        summary="Send bytes of a blob, from an offset on",
        handler=put,
        needs=Verb.REGISTER,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.NONE,
        query=PartQuery,
        returns=HeldBody,
        errors=(
            NotFound,
            UploadConflict,
            BadDigest,
            BadRequest,
            TooLarge,
            DigestMismatch,
            BlobStoreDown,
            DiskFull,
        ),
        tag=_TAG,
        streams=True,
    ),
    Operation(
        method="POST",
        path=f"{_BLOB}/seal",
        id="seal_blob",
        summary="Check a blob's bytes against its digest and hold it",
        handler=seal,
        needs=Verb.REGISTER,
        scope=ScopeFrom.ANYWHERE,
        tx=TxMode.NONE,
        returns=HeldBody,
        errors=(NotFound, UploadConflict, BadDigest, DigestMismatch, BlobStoreDown, DiskFull),
        tag=_TAG,
    ),
]
