"""Approvals: what the rules read of a version, who is asked to approve it, and who did.

Owns no tables yet. Promises: a fact follows from what the registry holds at that moment; what is not
known is left out, so that rules which need it fail. Does not move anything: that is the lifecycle's.
"""

from muniment.server.approvals.reads.facts import facts

__all__ = ["facts"]
