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
from muniment.core.entry import time_text
from muniment.core.errors import BadRequest, IntegrityError
from muniment.core.names import AssetRef, SemVer
from muniment.server import catalog
from muniment.server.artifacts import store
from muniment.server.artifacts.records import BlobFinding, File, Format, Manifest, ScrubPass, Use
from muniment.server.catalog.records import Asset
from muniment.server.http.metrics import Number
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

    The asset if there is one, whether it has the version already, which blobs the caller may use.
    """

    asset: Asset | None
    registered: bool
    usable: dict[Digest, Usable]


_STANDING: Final[LiteralString] = (
    catalog.ASSET_COLUMNS_NOW  # noqa: S608 -- ours
    + """,
           EXISTS (SELECT FROM version v WHERE v.asset_id = a.id AND v.precedence = $12)
           AS registered,
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
    return Standing(asset, row["registered"], _usable(row["usable"]))


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
        for file in _files_of(row):
            if file.digest.raw not in seen:
                seen.add(file.digest.raw)
                what_for = f"{_version_name(row)}: {file.path}"
                yield NeededBlob(file.digest, file.size_bytes, what_for)


def _version_name(row: Row) -> str:
    space = "" if row["namespace"] == "default" else f"{row['namespace']}/"
    return f"{space}{row['name']}@{row['version']}"


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


async def use_of(tx: Tx, digest: Digest) -> Use | None:
    """Return what a blob is needed for; None if no version names it."""
    row = await tx.fetchrow(
        """
        SELECT a.namespace, a.name, a.id AS asset_id, v.version, m.digest, m.body,
               count(*) OVER () AS version_count
        FROM manifest_blob b JOIN version v ON v.manifest_digest = b.manifest_digest
        JOIN asset a ON a.id = v.asset_id JOIN manifest m ON m.digest = b.manifest_digest
        WHERE b.digest = $1 ORDER BY v.id LIMIT 1
        """,
        digest.raw,
    )
    if row is None:
        return None
    path = next((file.path for file in _files_of(row) if file.digest == digest), "")
    return Use(f"{_version_name(row)}: {path}", row["asset_id"], row["version_count"])


async def damaged(tx: Tx, limit: int) -> list[BlobFinding]:
    """Return up to `limit` blobs that were found wrong and not right since, oldest first."""
    rows = await tx.fetch(
        "SELECT * FROM blob_finding WHERE healed_at IS NULL ORDER BY found_at, act_id LIMIT $1",
        limit,
    )
    return [store.finding(row) for row in rows]


async def scrub_passes(tx: Tx) -> tuple[ScrubPass | None, ScrubPass | None]:
    """Return the pass that is under way and the last that was finished."""
    under_way = await tx.fetchrow("SELECT * FROM scrub_pass WHERE finished_at IS NULL")
    finished = await tx.fetchrow(
        "SELECT * FROM scrub_pass WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1"
    )
    return (
        None if under_way is None else store.scrub_pass(under_way),
        None if finished is None else store.scrub_pass(finished),
    )


async def suspects(tx: Tx) -> AsyncIterator[Digest]:
    """Yield the blobs that were found wrong and not right since: `fsck` reads them in any case."""
    async for row in tx.cursor("SELECT digest FROM blob_finding WHERE healed_at IS NULL"):
        yield Digest(row["digest"])


async def gauges(tx: Tx) -> list[Number]:
    """Return what `/metrics` says of stored bytes."""
    row = await tx.fetchrow(
        """
        SELECT (SELECT count(*) FROM blob_finding WHERE healed_at IS NULL) AS damaged,
               (SELECT extract(epoch FROM max(finished_at)) FROM scrub_pass) AS finished,
               (SELECT size_bytes FROM scrub_pass ORDER BY started_at DESC LIMIT 1) AS read
        """
    )
    assert row is not None, "aggregates have a row"
    return [
        Number(
            "muniment_blobs_damaged",
            "Stored blobs found missing or changed, and not right since.",
            row["damaged"],
        ),
        Number(
            "muniment_scrub_finished_timestamp_seconds",
            "When every stored blob had last been read again; 0: never.",
            float(row["finished"] or 0),
        ),
        Number(
            "muniment_scrub_read_bytes",
            "Bytes read again in the pass under way, or else in the last.",
            row["read"] or 0,
        ),
    ]


class FindingFold:
    """`blob_finding`: what `blob.fail` and `blob.heal` say."""

    table = "blob_finding"

    def apply(self, rows: dict[Key, Fields], entry: Recorded) -> None:
        """Apply `blob.fail` or `blob.heal`."""
        if entry.payload is None:
            return
        if entry.act == "blob.fail":
            rows[str(entry.id)] = {
                "digest": entry.subject.id,
                "problem": entry.payload["problem"],
                "found_at": time_text(entry.at),
                "healed_at": None,
            }
        if entry.act == "blob.heal":
            found = rows[entry.payload["failed_by"]]
            rows[entry.payload["failed_by"]] = {**found, "healed_at": time_text(entry.at)}

    async def stored(self, tx: Tx) -> AsyncIterator[tuple[Key, Fields]]:
        """Yield every finding."""
        async for row in tx.cursor("SELECT * FROM blob_finding ORDER BY act_id"):
            healed_at = row["healed_at"]
            yield (
                str(row["act_id"]),
                {
                    "digest": row["digest"].hex(),
                    "problem": row["problem"],
                    "found_at": time_text(row["found_at"]),
                    "healed_at": None if healed_at is None else time_text(healed_at),
                },
            )


class ScrubFold:
    """`scrub_pass`, the finished ones: what `scrub.finish` says."""

    table = "scrub_pass"

    def apply(self, rows: dict[Key, Fields], entry: Recorded) -> None:
        """Apply `scrub.finish`."""
        if entry.act == "scrub.finish" and entry.payload is not None:
            rows[entry.subject.id] = {**entry.payload, "finished_at": time_text(entry.at)}

    async def stored(self, tx: Tx) -> AsyncIterator[tuple[Key, Fields]]:
        """Yield every finished pass; one under way has done nothing that counts."""
        async for row in tx.cursor("SELECT * FROM scrub_pass WHERE finished_at IS NOT NULL"):
            yield (
                str(row["id"]),
                {name: row[name] for name in ("blob_count", "size_bytes", "finding_count")}
                | {name: time_text(row[name]) for name in ("started_at", "finished_at")},
            )


#: How this slice's tables follow from the log.
FOLDS: tuple[Fold, ...] = (ManifestFold(), FindingFold(), ScrubFold())
