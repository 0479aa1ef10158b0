"""Approvals: what the rules read of a version or composite, who is asked to approve it, who did, what was decided.

Owns requests of versions and composites, approvals with their conditions, comments, decisions and
exceptions (`0023_pre_approvals.sql`, `0029_pre_composite_approvals.sql`). Promises: a fact follows from what the registry holds at that moment, and
what is not known is left out; people sign exactly what they were shown, and what changed meanwhile is
not approved; a request is decided once, in an entry that carries all that was signed; approved is
computed, never stored, and ends by itself. Does not move anything: that is the lifecycle's.
"""

from muniment.server.approvals.reads.facts import composite_facts, facts
from muniment.server.approvals.reads.folds import FOLDS
from muniment.server.approvals.reads.standing import (
    approved,
    composite_approved,
    composite_standing,
    standing,
)
from muniment.server.approvals.rules.matters import check_members

__all__ = [
    "FOLDS",
    "approved",
    "check_members",
    "composite_approved",
    "composite_facts",
    "composite_standing",
    "facts",
    "standing",
]
