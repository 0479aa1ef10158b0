"""Rows of artifacts: uploads, blobs, manifests, scrubs. Every function takes a `Tx`; none commits."""

# ruff: noqa: I001 -- by what they are about
# fmt: off
from muniment.server.artifacts.store.blobs import (
    KEEP_MANIFEST, abandon_expired, abandon_upload, declare, declared_blobs, find_any_upload, find_format, find_sending, find_upload, forget_abandoned, insert_manifest, insert_upload,
    keep_sealing_out, manifest_values, named_blobs, note_blobs, open_uploads, remove_blobs, seal_blob, sealed_before, unsealed_bytes,
)
from muniment.server.artifacts.store.scrubs import (
    advance_scrub, blobs_after, finding, finish_scrub, heal_finding, insert_finding, lease_scrub, open_findings, release_scrub, scrub_pass,
)

__all__ = [
    "KEEP_MANIFEST", "abandon_expired", "abandon_upload", "advance_scrub", "blobs_after", "declare", "declared_blobs", "find_any_upload", "find_format", "find_sending", "find_upload",
    "finding", "finish_scrub", "forget_abandoned", "heal_finding", "insert_finding", "insert_manifest", "insert_upload", "keep_sealing_out",
    "lease_scrub", "manifest_values", "named_blobs", "note_blobs", "open_findings", "open_uploads", "release_scrub", "remove_blobs", "scrub_pass", "seal_blob",
    "sealed_before", "unsealed_bytes",
]
