"""The verbs of artifacts: register a version, and keep its bytes as they are."""

from muniment.server.artifacts.actions.keeping import (
    collect_blobs,
    fail_blob,
    finish_scrub,
    heal_blob,
    hold_blob,
    misdescribed,
)
from muniment.server.artifacts.actions.registering import (
    PREDICATE_TYPE,
    Checked,
    Offer,
    check,
    check_open,
    declare,
    declared,
    format_of,
    open_upload,
    preview,
    register,
)

# fmt: off
__all__ = [
    "PREDICATE_TYPE", "Checked", "Offer", "check", "check_open", "collect_blobs", "declare", "declared", "fail_blob",
    "finish_scrub", "format_of", "heal_blob", "hold_blob", "misdescribed", "open_upload", "preview", "register",
]
