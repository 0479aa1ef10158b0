"""What is asked across manifests, blobs and the catalog's versions."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

import msgspec

from muniment.core.digest import Digest, digest_of
from muniment.core.errors import BadRequest, IntegrityError
from muniment.core.names import AssetRef, SemVer
from muniment.server import catalog
from muniment.server.artifacts.records import File, Format, Manifest
from muniment.server.catalog.records import Asset, OwnField
from muniment.server.http.records import Scope
from muniment.server.ledger.records import NeededBlob
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

    `visible` are the scopes it may read in, None for everything. `lent` are blobs that whoever
    asks has found it may use.
    """

    principal_id: uuid.UUID
    now: dt.datetime
    visible: list[Scope] | None
    upload_id: uuid.UUID | None = None
    lent: frozenset[Digest] = frozenset()


_USABLE: Final[LiteralString] = """
    SELECT b.digest, b.size_bytes, b.format, b.executable
    FROM blob b
    WHERE b.digest = ANY($1::bytea[])
      AND (b.digest = ANY($9::bytea[])
           OR EXISTS (SELECT FROM upload_blob s JOIN upload u ON u.id = s.upload_id
                   WHERE s.upload_id = $2 AND s.digest = b.digest AND s.sealed_at IS NOT NULL
                     AND u.principal_id = $7 AND u.state = 'open' AND u.expires_at > $8)
           OR EXISTS (SELECT FROM manifest_blob m
                      JOIN version v ON v.manifest_digest = m.manifest_digest
                      JOIN asset a ON a.id = v.asset_id
                      WHERE m.digest = b.digest
                        AND ($3 OR a.namespace = ANY($4::text[])
                             OR (a.namespace, a.name) IN
                                (SELECT * FROM unnest($5::text[], $6::text[])))))"""


def _usable_values(digests: Iterable[Digest], reach: Reach) -> tuple[object, ...]:
    visible = reach.visible
    return (
        [digest.raw for digest in digests],
        reach.upload_id,
        visible is None,
        [scope.namespace for scope in visible or () if scope.asset is None],
        [scope.namespace for scope in visible or () if scope.asset is not None],
        [scope.asset for scope in visible or () if scope.asset is not None],
        reach.principal_id,
        reach.now,
        [digest.raw for digest in reach.lent],
    )


def _usable(rows: Iterable[Row]) -> dict[Digest, Usable]:
    return {
        Digest(raw): Usable(size_bytes, Format(name, executable))
        for raw, size_bytes, name, executable in rows
    }


async def usable_blobs(tx: Tx, digests: Sequence[Digest], reach: Reach) -> dict[Digest, Usable]:
    """Return those of `digests` that a caller may use without sending them.

    Those are the blobs sealed in a session of its own that is still open, and those of versions it
    may read. Knowing a digest, or the id of somebody's session, is not enough: otherwise anybody
    could register, and then download, bytes of somebody else's.
    """
    return _usable(await tx.fetch(_USABLE, *_usable_values(digests, reach)))


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand before a registration.

    The asset if there is one, whether it has the version already, which blobs the caller may use, and
    what the namespace asks for of its own.
    """

    asset: Asset | None
    registered: bool
    usable: dict[Digest, Usable]
    required: tuple[OwnField, ...] = ()


_STANDING: Final[LiteralString] = (
    catalog.ASSET_COLUMNS_NOW  # noqa: S608 -- ours
    + """,
           EXISTS (SELECT FROM version v WHERE v.asset_id = a.id AND v.precedence = $12)
           AS registered,
           (SELECT n.required_fields::text FROM namespace n WHERE n.name = $10) AS required_fields,
           ARRAY(SELECT u FROM ("""
    + _USABLE
    + """) u) AS usable
    FROM (SELECT) one LEFT JOIN asset a ON a.namespace = $10 AND a.name = $11"""
)


async def standing(
    tx: Tx, ref: AssetRef, version: SemVer, digests: Iterable[Digest], reach: Reach
) -> Standing:
    """Return how things stand for registering `version` of an asset with `digests`. One statement."""
    row = await tx.peek(
        _STANDING,
        *_usable_values(digests, reach),
        str(ref.namespace),
        str(ref.name),
        catalog.precedence_key(version),
    )
    assert row is not None, "the left side always has a row"
    asset = None if row["id"] is None else catalog.to_asset(row)
    own = catalog.own_fields(row["required_fields"])
    return Standing(asset, row["registered"], _usable(row["usable"]), own)


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
        for file in files_of(row):
            if file.digest.raw not in seen:
                seen.add(file.digest.raw)
                what_for = f"{version_name(row)}: {file.path}"
                yield NeededBlob(file.digest, file.size_bytes, what_for)


def version_name(row: Row) -> str:
    """Return how people call the version of a row."""
    space = "" if row["namespace"] == "default" else f"{row['namespace']}/"
    return f"{space}{row['name']}@{row['version']}"


def files_of(row: Row) -> tuple[File, ...]:
    """Return a manifest's files; none when it was changed, which the fold of `manifest` reports."""
    try:
        return parse_manifest(row["body"], Digest(row["digest"])).files
    except (IntegrityError, BadRequest, msgspec.DecodeError):
        return ()
