"""Every error a caller can meet, in one tree.

A request that cannot be considered raises one of these, before anything is written. A fair
question whose answer is no is a value, not one of these.

    MunimentError                code · message (safe to show) · context (logs only) · status
    ├─ BadRequest        422     BadName, BadVersion, BadReference, BadDigest, BadManifest,
    │                            BadMetadata, BadFilter, BadCursor, BadBody, BadJson, BadPath,
    │                            BadComposite, BadEvidence, BadPolicy, BadProof, DestinationRefused
    ├─ NotAuthenticated  401     IdTokenRefused
    ├─ NotAllowed        403     becomes NotFound where the caller may not know the thing exists
    │                            NotTrusted; Refused: EvidenceMissing, ApprovalPending
    ├─ NotFound          404
    ├─ MethodNotAllowed  405
    ├─ Gone              410
    ├─ Conflict          409     AlreadyExists (NameReserved), VersionConflict, StaleRevision,
    │                            UploadConflict, IdempotencyConflict, LifecycleConflict, NotServed
    ├─ TooLarge          413     QuotaExceeded
    ├─ UnsupportedMedia  415
    ├─ BadRange          416
    ├─ TooManyRequests   429
    ├─ IntegrityError    500     DigestMismatch (422 on upload), BadSignature, LogInconsistent
    └─ Unavailable       503     BlobStoreDown, DatabaseDown, Contended, LogBusy, DiskFull (507),
                                 DestinationDown (502)

Codes are part of the API: stable, never reused. `CODES` is the whole table.

Source: RFC 9457 (how HTTP shows them).
"""

from __future__ import annotations

from typing import Any, ClassVar


class MunimentError(Exception):
    """Something is wrong with the request or the registry."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str | None = None,
        *,
        problems: list[dict[str, Any]] | None = None,
        extra: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
    ) -> None:
        """Keep what may be shown (`message`, `problems`, `extra`) apart from `context` (logs only).

        `problems` lists everything wrong with the request at once; each has `field`, `message`
        and, where one is known, `fix`. `extra` holds members of the error that programs read,
        such as both digests of a conflict.
        """
        self.message = message or (type(self).__doc__ or "").strip().split("\n")[0]
        self.problems = problems or []
        self.extra = extra or {}
        self.context = context or {}
        super().__init__(self.message)


class BadRequest(MunimentError):
    """The request cannot be understood."""

    code = "bad_request"
    status = 422


class BadName(BadRequest):
    """That is not a name an asset, namespace or alias can have."""

    code = "bad_name"


class BadVersion(BadRequest):
    """That is not a semantic version (MAJOR.MINOR.PATCH)."""

    code = "bad_version"


class BadReference(BadRequest):
    """That is not a reference (NAME@1.2.0, NAME@alias)."""

    code = "bad_reference"


class BadDigest(BadRequest):
    """That is not a SHA-256 digest (64 lower-case hexadecimal digits)."""

    code = "bad_digest"


class BadPath(BadRequest):
    """A path inside an artifact must be relative, plain and unique."""

    code = "bad_path"


class BadManifest(BadRequest):
    """The manifest of files cannot be accepted."""

    code = "bad_manifest"


class BadMetadata(BadRequest):
    """The metadata is incomplete or malformed."""

    code = "bad_metadata"


class BadPolicy(BadRequest):
    """The policy bundle cannot be accepted."""

    code = "bad_policy"


class BadComposite(BadRequest):
    """The composite manifest cannot be accepted."""

    code = "bad_composite"


class BadFilter(BadRequest):
    """The filter cannot be understood."""

    code = "bad_filter"


class BadCursor(BadRequest):
    """The cursor is not one this query gave out."""

    code = "bad_cursor"


class BadBody(BadRequest):
    """The request body is not what this operation takes."""

    code = "bad_body"


class BadEvidence(BadRequest):
    """The file cannot be recorded as evidence."""

    code = "bad_evidence"


class BadJson(BadRequest):
    """That is not JSON every reader understands alike (RFC 8259, RFC 7493)."""

    code = "bad_json"


class BadProof(BadRequest):
    """The proof, checkpoint or receipt cannot be read."""

    code = "bad_proof"


class DestinationRefused(BadRequest):
    """That address is not one this registry calls."""

    code = "destination_refused"


class NotAuthenticated(MunimentError):
    """A valid token is needed: send `Authorization: Bearer <token>`."""

    code = "not_authenticated"
    status = 401


class IdTokenRefused(NotAuthenticated):
    """The ID token of a pipeline or person is not accepted; `reason` says why in one word."""

    code = "id_token_refused"


class NotAllowed(MunimentError):
    """Your roles do not allow this."""

    code = "not_allowed"
    status = 403


class NotTrusted(NotAllowed):
    """The ID token is genuine, but no publisher or group here is for who it says it is."""

    code = "not_trusted"


class Refused(NotAllowed):
    """The rules do not allow this; the answer says which, and the log says that it was tried."""

    code = "refused"


class EvidenceMissing(Refused):
    """The rules do not allow this yet: something that must be known is not recorded."""

    code = "evidence_missing"


class ApprovalPending(Refused):
    """The rules do not allow this yet: named people have to approve it."""

    code = "approval_pending"


class NotFound(MunimentError):
    """There is nothing of that name here, or you may not see it."""

    code = "not_found"
    status = 404


class MethodNotAllowed(MunimentError):
    """There is something here, but it does not take that method."""

    code = "method_not_allowed"
    status = 405


class Gone(MunimentError):
    """It was here and has been removed by retention."""

    code = "gone"
    status = 410


class Conflict(MunimentError):
    """The request contradicts what is already recorded."""

    code = "conflict"
    status = 409


class AlreadyExists(Conflict):
    """Something of that name exists already."""

    code = "already_exists"


class NameReserved(AlreadyExists):
    """Something had that name once; names are never given again."""

    code = "name_reserved"


class VersionConflict(Conflict):
    """That version was registered before with other content; versions never change."""

    code = "version_conflict"


class StaleRevision(Conflict):
    """It changed since you read it; read it again and repeat."""

    code = "stale_revision"
    status = 412


class LifecycleConflict(Conflict):
    """That move does not exist from where it stands now."""

    code = "lifecycle_conflict"


class NotServed(Conflict):
    """It is retired or quarantined, so it is not handed out."""

    code = "not_served"


class UploadConflict(Conflict):
    """The upload is not in a state that allows this."""

    code = "upload_conflict"


class IdempotencyConflict(Conflict):
    """That Idempotency-Key was used for another request."""

    code = "idempotency_conflict"


class TooLarge(MunimentError):
    """The request is larger than this server accepts."""

    code = "too_large"
    status = 413


class QuotaExceeded(TooLarge):
    """A principal has more bytes on their way than it may have."""

    code = "quota_exceeded"


class UnsupportedMedia(MunimentError):
    """The request body is of a type this operation does not take."""

    code = "unsupported_media"
    status = 415


class BadRange(MunimentError):
    """The range lies outside the file."""

    code = "bad_range"
    status = 416


class TooManyRequests(MunimentError):
    """Too many requests; wait and repeat."""

    code = "too_many_requests"
    status = 429
    retryable = True


class IntegrityError(MunimentError):
    """Something does not match its digest, signature or proof."""

    code = "integrity"
    status = 500


class DigestMismatch(IntegrityError):
    """The bytes do not have the digest they were announced with."""

    code = "digest_mismatch"
    status = 422


class BadSignature(IntegrityError):
    """The signature does not verify."""

    code = "bad_signature"


class LogInconsistent(IntegrityError):
    """The log does not extend what was published before."""

    code = "log_inconsistent"


class Unavailable(MunimentError):
    """A part of the registry is not answering; repeat later."""

    code = "unavailable"
    status = 503
    retryable = True


class DatabaseDown(Unavailable):
    """The database is not answering."""

    code = "database_down"


class Contended(Unavailable):
    """Another request was in the way; repeat this one."""

    code = "contended"


class BlobStoreDown(Unavailable):
    """The blob store is not answering."""

    code = "blob_store_down"


class DiskFull(Unavailable):
    """The blob store has no room left."""

    code = "disk_full"
    status = 507


class DestinationDown(Unavailable):
    """The other server does not answer, not in time, or breaks off."""

    code = "destination_down"
    status = 502


class LogBusy(Unavailable):
    """The log has not included this entry yet."""

    code = "log_busy"


def _tree(root: type[MunimentError]) -> list[type[MunimentError]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in _tree(child))]


#: Every code with its class, in the tree's order.
CODES: dict[str, type[MunimentError]] = {error.code: error for error in _tree(MunimentError)}
