"""What is asked of scans: of a version, what is known of its files, which versions have none."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from muniment.core.digest import Digest, digest_of
from muniment.core.entry import time_text
from muniment.core.errors import NotFound
from muniment.core.names import AssetName, AssetRef, Namespace, VersionRef, parse_version
from muniment.scan.records import FileReport
from muniment.scan.reports import report_from
from muniment.server import artifacts, catalog
from muniment.server.catalog.records import Version
from muniment.server.ledger.records import Fields, Fold, Key, Recorded
from muniment.server.ports.db import Tx
from muniment.server.scanning.records import Plan, Scan, Target
from muniment.server.scanning.rules import folding
from muniment.server.scanning.rules.results import targets
from muniment.server.scanning.store import COLUMNS, to_scan


async def newest_scan(tx: Tx, version_id: uuid.UUID, ruleset: Digest | None = None) -> Scan | None:
    """Return the newest scan of a version, or the newest under one ruleset; None if there is none."""
    row = await tx.fetchrow(
        COLUMNS
        + """
        WHERE s.version_id = $1 AND ($2::bytea IS NULL OR s.ruleset = $2)
        ORDER BY s.id DESC LIMIT 1""",
        version_id,
        None if ruleset is None else ruleset.raw,
    )
    return None if row is None else to_scan(row)


async def page(
    tx: Tx, version_id: uuid.UUID, *, before: uuid.UUID | None, limit: int
) -> list[Scan]:
    """Return scans of a version, newest first, with ids below `before`; `limit` and one more."""
    rows = await tx.fetch(
        COLUMNS
        + """
        WHERE s.version_id = $1 AND ($2::uuid IS NULL OR s.id < $2)
        ORDER BY s.id DESC LIMIT $3""",
        version_id,
        before,
        limit + 1,
    )
    return [to_scan(row) for row in rows]


async def get_scan(tx: Tx, version: Version, scan_id: uuid.UUID) -> Scan:
    """Return a scan of a version.

    Raises:
        NotFound: it has none of that id.
    """
    row = await tx.fetchrow(COLUMNS + " WHERE s.id = $1 AND s.version_id = $2", scan_id, version.id)
    if row is None:
        raise NotFound(f"{version.name} has no scan {scan_id}")
    return to_scan(row)


async def job_of(tx: Tx, version_id: uuid.UUID) -> int | None:
    """Return the job that is to scan a version, or None."""
    job_id: int | None = await tx.fetchval(
        "SELECT id FROM pgqueuer WHERE dedupe_key = $1 AND status IN ('queued', 'picked')",
        job_key(version_id),
    )
    return job_id


def job_key(version_id: uuid.UUID) -> str:
    """Return what keeps a version from being scanned by two jobs; the trigger says the same."""
    return f"scan {version_id}"


async def find_version(tx: Tx, version_id: uuid.UUID) -> Version | None:
    """Return a version by its id, or None."""
    row = await tx.fetchrow(
        """
        SELECT a.namespace, a.name, v.version
        FROM version v JOIN asset a ON a.id = v.asset_id WHERE v.id = $1
        """,
        version_id,
    )
    if row is None:
        return None
    asset = AssetRef(Namespace(row["namespace"]), AssetName(row["name"]))
    return await catalog.get_version(tx, VersionRef(asset, parse_version(row["version"])))


async def plan(tx: Tx, version: Version, ruleset: Digest) -> Plan:
    """Return what a scan of `version` has to do."""
    manifest = await artifacts.get_manifest(tx, version.manifest_digest)
    wanted = targets(manifest.files)
    return Plan(version, ruleset, wanted, await _known(tx, ruleset, wanted))


async def _known(
    tx: Tx, ruleset: Digest, wanted: Sequence[Target]
) -> dict[tuple[Digest, str], FileReport]:
    rows = await tx.fetch(
        """
        SELECT f.digest, f.hint, f.result
        FROM file_scan f JOIN unnest($2::bytea[], $3::text[]) AS wanted (digest, hint)
             ON f.digest = wanted.digest AND f.hint = wanted.hint
        WHERE f.ruleset = $1
        """,
        ruleset.raw,
        [one.file.digest.raw for one in wanted],
        [one.hint for one in wanted],
    )
    return {
        (Digest(row["digest"]), row["hint"]): report_from(msgspec.json.decode(row["result"]))
        for row in rows
    }


async def reports(tx: Tx, version: Version, scan: Scan) -> list[tuple[str, FileReport | None]]:
    """Return the results of the files of a scan of `version`, by path; None: it was stopped there."""
    known = await plan(tx, version, scan.ruleset)
    return [(one.file.path, known.known.get((one.file.digest, one.hint))) for one in known.targets]


async def unscanned(tx: Tx, ruleset: Digest, limit: int) -> list[uuid.UUID]:
    """Return versions with files and without a scan under `ruleset` for which no job is there.

    Newest first. One whose job is dead is left to who looks after dead jobs.
    """
    rows = await tx.fetch(
        """
        SELECT v.id FROM version v
        WHERE v.file_count > 0
          AND NOT EXISTS (SELECT FROM scan s WHERE s.version_id = v.id AND s.ruleset = $1)
          AND NOT EXISTS (SELECT FROM pgqueuer q
                          WHERE q.entrypoint = 'scanning.scan' AND q.dedupe_key = 'scan ' || v.id)
        ORDER BY v.id DESC LIMIT $2
        """,
        ruleset.raw,
        limit,
    )
    return [row["id"] for row in rows]


class ScanFold:
    """`scan`."""

    table = "scan"

    def apply(self, rows: dict[Key, Fields], entry: Recorded) -> None:
        """Apply `scan.record`."""
        folding.fold_scan(rows, entry)

    async def stored(self, tx: Tx) -> AsyncIterator[tuple[Key, Fields]]:
        """Yield every scan."""
        async for row in tx.cursor(COLUMNS + " ORDER BY s.id"):
            scan = to_scan(row)
            own = {
                "recorded_at": time_text(scan.recorded_at),
                "actor_kind": scan.actor.kind,
                "actor_id": scan.actor.id,
                "entry_id": str(scan.entry_id),
            }
            yield str(scan.id), {**folding.payload(scan), **own}


class FileScanFold:
    """`file_scan`: each result as the log has its digest."""

    table = "file_scan"

    def apply(self, rows: dict[Key, Fields], entry: Recorded) -> None:
        """Apply `scan.files`."""
        folding.fold_file_scan(rows, entry)

    async def stored(self, tx: Tx) -> AsyncIterator[tuple[Key, Fields]]:
        """Yield every result by its digest."""
        async for row in tx.cursor(
            "SELECT digest, ruleset, hint, verdict, result, scan_id FROM file_scan"
            " ORDER BY digest, ruleset, hint"
        ):
            key = folding.file_key(row["digest"].hex(), row["ruleset"].hex(), row["hint"])
            yield (
                key,
                {
                    "verdict": row["verdict"],
                    "result_sha256": digest_of(row["result"]).hex,
                    "scan_id": str(row["scan_id"]),
                },
            )


#: How this slice's tables follow from the log.
FOLDS: Final[tuple[Fold, ...]] = (ScanFold(), FileScanFold())
