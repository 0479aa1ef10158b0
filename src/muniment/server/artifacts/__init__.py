"""Artifacts: uploads, manifests, and the verb that registers a version.

Owns upload sessions, blobs' formats and manifests. Promises: a version's bytes are held, verified,
before the version exists; a manifest never changes; knowing a digest gives no access to its bytes.
Does not decide what may run where.
"""

# ruff: noqa: I001 -- by what they are about
# fmt: off
from muniment.server.artifacts.actions import (
    Checked, Offer, check, check_open, expect_piece, format_of, format_of_content, hold_blob, join_pieces, misdescribed, open_upload, register,
)
from muniment.server.artifacts.reads import (
    FOLDS,
    Reach,
    gauges,
    get_manifest,
    required_blobs,
    suspects,
    usable_blobs,
)
from muniment.server.artifacts.store import (
    abandon_upload,
    declare,
    declared_blobs,
    find_upload,
    named_blobs,
    note_blobs,
)

__all__ = [
    "FOLDS", "Checked", "Offer", "Reach", "abandon_upload", "check", "check_open", "declare", "declared_blobs", "expect_piece", "find_upload", "format_of", "format_of_content",
    "gauges", "get_manifest", "hold_blob", "join_pieces", "misdescribed", "named_blobs", "note_blobs", "open_upload", "register", "required_blobs",
    "suspects", "usable_blobs",
]
