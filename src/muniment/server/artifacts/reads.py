"""What is asked across manifests, blobs and the catalog's versions."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import msgspec

from muniment.core.digest import Digest, digest_of
from muniment.core.errors import BadRequest, IntegrityError
from muniment.server.artifacts.records import File, Format, Manifest
from muniment.server.http.records import Scope
from muniment.server.ledger.records import Fields, Fold, Key, NeededBlob, Recorded
from muniment.server.ports.db import Row, Tx


@dataclass(frozen=True, slots=True)
class Usable:
    """A blob a caller may register without sending it again."""

    size_bytes: int
    format: Format


class _File(msgspec.Struct):
    path: str
    sha256: str
    size_bytes: int


class _Body(msgspec.Struct):
    files: list[_File]


_BODY = msgspec.json.Decoder(_Body)


def parse_manifest(body: bytes, digest: Digest) -> Manifest:
    """Read a manifest as it is stored.

    Raises:
        IntegrityError: it is not the manifest of that digest any more.
    """
    if digest_of(body) != digest:
        raise IntegrityError(
            f"the stored manifest {digest} was changed; run `muniment fsck`",
            context={"found": digest_of(body).hex},
        )
    files = (
        File(one.path, one.size_bytes, Digest.parse(one.sha256)) for one in _BODY.decode(body).files
    )
    return Manifest(tuple(files), body, digest)


async def get_manifest(tx: Tx, digest: Digest) -> Manifest:
    """Return a manifest.

    Raises:
        IntegrityError: it is missing or changed; versions always have one.
    """
    body = await tx.fetchval("SELECT body FROM manifest WHERE digest = $1", digest.raw)
    if body is None:
        raise IntegrityError(f"the manifest {digest} is missing; run `muniment fsck`")
    return parse_manifest(body, digest)


class RecentManifests:
    """Manifests read lately, by path, so that a tree's files are not looked up in all of it each.

    What was verified against its digest once cannot become wrong: it never changes. At most
    `most_files` files are kept, those of the manifests used last.
    """

    def __init__(self, most_files: int) -> None:
        self._most_files = most_files
        self._kept: OrderedDict[Digest, dict[str, File]] = OrderedDict()
        self._file_count = 0

    async def find_file(self, tx: Tx, digest: Digest, path: str) -> File | None:
        """Return the file at `path` of a manifest, or None.

        Raises:
            IntegrityError: the manifest is missing or changed.
        """
        files = self._kept.get(digest)
        if files is None:
            files = {file.path: file for file in (await get_manifest(tx, digest)).files}
            self._keep(digest, files)
        else:
            self._kept.move_to_end(digest)
        return files.get(path)

    def _keep(self, digest: Digest, files: dict[str, File]) -> None:
        if digest in self._kept or len(files) > self._most_files:
            return
        self._kept[digest] = files
        self._file_count += len(files)
        while self._file_count > self._most_files:
            self._file_count -= len(self._kept.popitem(last=False)[1])


_RECENT = RecentManifests(most_files=100_000)  # about 40 MB


async def find_file(tx: Tx, digest: Digest, path: str) -> File | None:
    """Return the file at `path` of a manifest, or None."""
    return await _RECENT.find_file(tx, digest, path)


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a caller may take blobs from: its own open session, and what it may read.

    `visible` are the scopes it may read in, None for everything.
    """

    principal_id: uuid.UUID
    now: dt.datetime
    visible: list[Scope] | None
    upload_id: uuid.UUID | None = None


async def usable_blobs(tx: Tx, digests: Sequence[Digest], reach: Reach) -> dict[Digest, Usable]:
    """Return those of `digests` that a caller may use without sending them.

    Those are the blobs sealed in a session of its own that is still open, and those of versions it
    may read. Knowing a digest, or the id of somebody's session, is not enough: otherwise anybody
    could register, and then download, bytes of somebody else's.
    """
    visible = reach.visible
    rows = await tx.fetch(
        """
        SELECT b.digest, b.size_bytes, b.format, b.executable
        FROM blob b
        WHERE b.digest = ANY($1::bytea[])
          AND (EXISTS (SELECT FROM upload_blob s JOIN upload u ON u.id = s.upload_id
                       WHERE s.upload_id = $2 AND s.digest = b.digest AND s.sealed_at IS NOT NULL
                         AND u.principal_id = $7 AND u.state = 'open' AND u.expires_at > $8)
               OR EXISTS (SELECT FROM manifest_blob m
                          JOIN version v ON v.manifest_digest = m.manifest_digest
                          JOIN asset a ON a.id = v.asset_id
                          WHERE m.digest = b.digest
                            AND ($3 OR a.namespace = ANY($4::text[])
                                 OR (a.namespace, a.name) IN
                                    (SELECT * FROM unnest($5::text[], $6::text[])))))
        """,
        [digest.raw for digest in digests],
        reach.upload_id,
        visible is None,
        [scope.namespace for scope in visible or () if scope.asset is None],
        [scope.namespace for scope in visible or () if scope.asset is not None],
        [scope.asset for scope in visible or () if scope.asset is not None],
        reach.principal_id,
        reach.now,
    )
    return {
        Digest(row["digest"]): Usable(row["size_bytes"], Format(row["format"], row["executable"]))
        for row in rows
    }


async def required_blobs(tx: Tx) -> AsyncIterator[NeededBlob]:
    """Yield every blob some version needs, with the first file that needs it."""
    rows = tx.cursor(
        """
        SELECT v.version, a.namespace, a.name, m.digest, m.body
        FROM version v JOIN asset a ON a.id = v.asset_id
        JOIN manifest m ON m.digest = v.manifest_digest
        ORDER BY v.id
        """
    )
    seen: set[bytes] = set()
    async for row in rows:
        space = "" if row["namespace"] == "default" else f"{row['namespace']}/"
        for file in _files_of(row):
            if file.digest.raw not in seen:
                seen.add(file.digest.raw)
                what_for = f"{space}{row['name']}@{row['version']}: {file.path}"
                yield NeededBlob(file.digest, file.size_bytes, what_for)


def _files_of(row: Row) -> tuple[File, ...]:
    """Return a manifest's files; none when it was changed, which the fold of `manifest` reports."""
    try:
        return parse_manifest(row["body"], Digest(row["digest"])).files
    except (IntegrityError, BadRequest, msgspec.DecodeError):
        return ()


class ManifestFold:
    """`manifest` and `manifest_blob`: what registrations say of them, and what their bytes say."""

    table = "manifest"

    def apply(self, rows: dict[Key, Fields], entry: Recorded) -> None:
        """Apply `version.register`."""
        if entry.act == "version.register" and entry.payload is not None:
            version = entry.payload["version"]
            digest = version["manifest_digest"]
            rows[digest] = {
                "size_bytes": version["size_bytes"],
                "file_count": version["file_count"],
                "body_sha256": digest,
                "blobs": "as in body",
            }

    async def stored(self, tx: Tx) -> AsyncIterator[tuple[Key, Fields]]:
        """Yield every manifest; whether `manifest_blob` agrees with its body is a field."""
        async for row in tx.cursor(
            """
            SELECT m.digest, m.body, m.size_bytes, m.file_count,
                   array(SELECT b.digest FROM manifest_blob b WHERE b.manifest_digest = m.digest)
                   AS blobs
            FROM manifest m ORDER BY m.digest
            """
        ):
            in_body = {file.digest.raw for file in _files_of(row)}
            agree = in_body == set(row["blobs"])
            yield (
                row["digest"].hex(),
                {
                    "size_bytes": row["size_bytes"],
                    "file_count": row["file_count"],
                    "body_sha256": digest_of(row["body"]).hex,
                    "blobs": "as in body" if agree else "not as in body",
                },
            )


#: How this slice's tables follow from the log.
FOLDS: tuple[Fold, ...] = (ManifestFold(),)
