"""The verbs of artifacts: register a version, and keep its bytes as they are."""

from muniment.server.artifacts.actions.keeping import fail_blob, finish_scrub, heal_blob
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
    "PREDICATE_TYPE", "Checked", "Offer", "check", "check_open", "declare", "declared", "fail_blob",
    "finish_scrub", "format_of", "heal_blob", "open_upload", "preview", "register",
]
