"""Composites: what really runs, pinned together under one identifier (the CVI).

Owns `composite`. Promises: the identifier is that of the manifest (requirements §1.5), computable by
anyone from it; a composite never changes, and registering it again gives the same; each has its entry
in the log. Does not decide what may run; evidence of a composite is `evidence`'s.
"""

from muniment.server.composites.reads import (
    FOLDS,
    Wanted,
    all_members,
    allowed,
    get,
    get_for,
    members,
    page,
)
from muniment.server.composites.rules.pinning import behaviour, digests_of, having

__all__ = [
    "FOLDS",
    "Wanted",
    "all_members",
    "allowed",
    "behaviour",
    "digests_of",
    "get",
    "get_for",
    "having",
    "members",
    "page",
]
