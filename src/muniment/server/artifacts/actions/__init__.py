"""The verbs of artifacts: register a version, and keep its bytes as they are."""

from muniment.server.artifacts.actions.detecting import format_of, format_of_content
from muniment.server.artifacts.actions.keeping import (
    collect_blobs,
    fail_blob,
    finish_scrub,
    heal_blob,
    hold_blob,
    misdescribed,
)
from muniment.server.artifacts.actions.pieces import expect_piece, join_pieces
from muniment.server.artifacts.actions.registering import (
    PREDICATE_TYPE,
    Checked,
    Offer,
    check,
    check_open,
    declare,
    declared,
    open_upload,
    preview,
    register,
)

# fmt: off
__all__ = [
    "PREDICATE_TYPE", "Checked", "Offer", "check", "check_open", "collect_blobs", "declare", "declared", "expect_piece", "fail_blob",
    "finish_scrub", "format_of", "format_of_content", "heal_blob", "hold_blob", "join_pieces", "misdescribed", "open_upload", "preview", "register",
]
