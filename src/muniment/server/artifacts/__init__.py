"""Artifacts: uploads, manifests, and the verb that registers a version.

Owns upload sessions, blobs' formats and manifests. Promises: a version's bytes are held, verified,
before the version exists; a manifest never changes; knowing a digest gives no access to its bytes.
Does not decide what may run where.
"""

# fmt: off
from muniment.server.artifacts.actions import (
    Checked,
    Offer,
    check,
    format_of,
    hold_blob,
    misdescribed,
    open_upload,
    register,
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
from muniment.server.artifacts.store import abandon_upload, declare, named_blobs, note_blob

__all__ = [
    "FOLDS", "Checked", "Offer", "Reach", "abandon_upload", "check", "declare", "format_of", "gauges",
    "get_manifest", "hold_blob", "misdescribed", "named_blobs", "note_blob", "open_upload", "register", "required_blobs", "suspects",
    "usable_blobs",
]
