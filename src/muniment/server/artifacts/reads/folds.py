"""How the tables of artifacts follow from the log."""

from __future__ import annotations

from collections.abc import AsyncIterator

from muniment.core.digest import digest_of
from muniment.core.entry import time_text
from muniment.server.artifacts.reads.files import files_of
from muniment.server.ledger.records import Fields, Fold, Key, Recorded
from muniment.server.ports.db import Tx


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
            in_body = {file.digest.raw for file in files_of(row)}
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
