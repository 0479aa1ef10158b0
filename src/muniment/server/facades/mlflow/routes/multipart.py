"""`mlflow-artifacts/mpu/…`: one artifact in parts, each sent to an address of its own on this server.

A session of uploads is opened, its parts are staged, and completing joins them into what one PUT
would have made: the same limits, the same rights, hashed as it is joined. Aborting, or a day
(`upload_ttl`), drops the parts.
"""

from __future__ import annotations

import re
import secrets
import uuid
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from muniment.core.errors import BadRequest, NotFound, TooLarge, UploadConflict
from muniment.server import artifacts
from muniment.server.artifacts.records import Declared
from muniment.server.facades.mlflow.routes.artifacts import (
    ROOT,
    keep_artifact,
    not_implemented,
    writable_path,
)
from muniment.server.facades.mlflow.routes.dialect import API, endpoint, tracking_allowed
from muniment.server.facades.mlflow.rules import multipart
from muniment.server.facades.mlflow.rules.multipart import Part
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.records import Verb
from muniment.server.ports.db import Tx
from muniment.server.tracking.records import Artifact

_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_PART: Final = f"{API[0]}{ROOT}/mpu/part"


class NewParts(msgspec.Struct):
    """Which file, and in how many parts."""

    path: str = ""
    num_parts: int = 0


class SentPart(msgspec.Struct):
    """A part that was sent, and the ETag it was answered with."""

    part_number: int = 0
    etag: str = ""


class AllParts(msgspec.Struct):
    """Which file of which session, and all its parts."""

    path: str = ""
    upload_id: str = ""
    parts: list[SentPart] = []


class Ended(msgspec.Struct):
    """Which file of which session."""

    path: str = ""
    upload_id: str = ""


class PartAddress(msgspec.Struct):
    """What an address of a part says, and the proof that it was given out."""

    upload_id: str = ""
    part_number: int = 0
    num_parts: int = 0
    expires: int = 0
    signature: str = ""


async def create_multipart_upload(call: Call, tx: Tx) -> Reply:
    """Open a session for a file; return one signed address for each part, until the session ends."""
    path, count = _target(call), call.body.num_parts
    if count == 0:
        return not_implemented("Multipart upload")  # of nothing: clients then send it in one piece
    multipart.check_count(count)
    upload = await artifacts.open_upload(
        tx,
        call.caller.id,
        upload_id=call.new_id(),
        now=call.now,
        ttl=call.deps.settings.upload_ttl,
    )
    key, expires = _key(call), int(upload.expires_at.timestamp())
    parts = [Part(str(upload.id), path, number, count) for number in range(1, count + 1)]
    credentials = [_credential(call, key, part, expires) for part in parts]
    return Reply({"upload_id": str(upload.id), "credentials": credentials})


def _target(call: Call) -> str:
    tracking_allowed(call, Verb.REGISTER)
    return writable_path(call, multipart.path_of(call.path["path"], call.body.path))


def _key(call: Call) -> bytes:
    return call.deps.keys.entry.mac(multipart.KEY_CONTEXT)


def _credential(call: Call, key: bytes, part: Part, expires: int) -> dict[str, Any]:
    said = {
        "upload_id": part.upload_id,
        "part_number": part.number,
        "num_parts": part.count,
        "expires": expires,
        "signature": multipart.sign(key, part, expires),
    }
    url = f"{call.base_url}{_PART}/{quote(part.path)}?{urlencode(said)}"
    return {"url": url, "part_number": part.number, "headers": {}}


async def put_part(call: Call) -> Reply:
    """Stage the body as a part, for whoever shows its address; the answer's ETag names it."""
    asked: PartAddress = call.query
    part = Part(asked.upload_id, call.path["path"], asked.part_number, asked.num_parts)
    multipart.check_signed(_key(call), part, asked.expires, asked.signature, call.now.timestamp())
    deps, upload_id, etag = call.deps, uuid.UUID(part.upload_id), secrets.token_hex(16)
    piece = Declared(multipart.staged_as(part, etag), _announced(call))
    async with deps.db.transaction() as tx:
        await artifacts.expect_piece(
            tx, upload_id, piece, now=call.now, quota_bytes=deps.settings.upload_quota_bytes
        )
    sent = await deps.blobs.stage(upload_id, piece.digest, 0, call.stream(), limit=piece.size_bytes)
    if sent.size_bytes != piece.size_bytes:
        raise BadRequest(f"expected {piece.size_bytes} bytes as announced, found {sent.size_bytes}")
    return Reply("", headers={"ETag": f'"{etag}"'})


def _announced(call: Call) -> int:
    """Return how many bytes the body has: the quota needs to know before they come.

    Raises:
        BadRequest: the request does not say.
        TooLarge: more than a whole file may have.
    """
    text, most = call.headers.get("content-length", ""), call.deps.settings.max_file_bytes
    if not _LENGTH.fullmatch(text):
        raise BadRequest("expected a Content-Length: say how many bytes this part has")
    if int(text) > most:
        raise TooLarge(f"expected a file of at most {most} bytes, found a part of {int(text)}")
    return int(text)


async def complete_multipart_upload(call: Call) -> Reply:
    """Join the parts into the artifact at a path. May be repeated: the answer stays."""
    path, body = _target(call), call.body
    upload_id = await _own_session(call)
    async with call.deps.db.transaction(read_only=True) as tx:
        sent = {one.digest: one for one in await artifacts.declared_blobs(tx, upload_id)}
    parts = [(one.part_number, one.etag) for one in body.parts]
    pieces = multipart.whole(path, body.upload_id, parts, sent)
    try:
        await _join(call, upload_id, path, pieces)
    except UploadConflict:
        if not await _was_joined(call, upload_id, pieces):
            raise
    await call.deps.blobs.discard(upload_id)
    return Reply({})


async def _own_session(call: Call) -> uuid.UUID:
    """Return the session the body names.

    Raises:
        NotFound: there is none of that id, or it is somebody else's.
    """
    upload_id = multipart.session_of(call.body.upload_id)
    async with call.deps.db.transaction(read_only=True) as tx:
        upload = upload_id and await artifacts.find_upload(tx, upload_id, call.caller.id)
    if not upload:
        raise NotFound(f"No such upload: {call.body.upload_id[:80]!r}, or it is not yours")
    return upload.id


async def _join(call: Call, upload_id: uuid.UUID, path: str, pieces: list[Declared]) -> None:
    deps = call.deps
    async with deps.db.transaction(read_only=True) as tx:
        artifacts.check_open(await artifacts.find_upload(tx, upload_id, call.caller.id), call.now)
    blob = await artifacts.join_pieces(
        deps.blobs, upload_id, pieces, limit=deps.settings.max_file_bytes
    )
    found = await artifacts.format_of(deps.blobs, blob.digest, blob.size_bytes)
    async with deps.db.transaction() as tx:
        artifact = Artifact(path, blob.digest, blob.size_bytes)
        if not await keep_artifact(call, tx, upload_id, artifact, found):
            raise UploadConflict("this upload was completed or aborted meanwhile")


async def _was_joined(call: Call, upload_id: uuid.UUID, pieces: list[Declared]) -> bool:
    size_bytes = sum(one.size_bytes for one in pieces)
    async with call.deps.db.transaction(read_only=True) as tx:
        known = await artifacts.declared_blobs(tx, upload_id)
    return any(one.sealed and one.size_bytes == size_bytes for one in known)


async def abort_multipart_upload(call: Call) -> Reply:
    """End a session and drop its parts; what was completed stays. May be repeated."""
    _target(call)
    upload_id = await _own_session(call)
    async with call.deps.db.transaction() as tx:
        await artifacts.abandon_upload(tx, upload_id)
    await call.deps.blobs.discard(upload_id)
    return Reply({})


OPERATIONS: list[Operation] = [
    *endpoint(
        "POST",
        f"{ROOT}/mpu/create/{{path:path}}",
        create_multipart_upload,
        NewParts,
        needs=Verb.REGISTER,
    ),
    *endpoint(
        "POST",
        f"{ROOT}/mpu/complete/{{path:path}}",
        complete_multipart_upload,
        AllParts,
        needs=Verb.REGISTER,
        tx=TxMode.NONE,
    ),
    *endpoint(
        "POST",
        f"{ROOT}/mpu/abort/{{path:path}}",
        abort_multipart_upload,
        Ended,
        needs=Verb.REGISTER,
        tx=TxMode.NONE,
    ),
    Operation(
        method="PUT",
        path=f"{_PART}/{{path:path}}",
        id="mlflow_put_part",
        summary="Stage a part of an artifact, for whoever shows its address.",
        handler=put_part,
        needs=Verb.ANONYMOUS,
        scope=ScopeFrom.HANDLER,
        tx=TxMode.NONE,
        query=PartAddress,
        streams=True,
        tag="mlflow",
        documented=False,
    ),
]
