"""Impact: which versions contain something or were made of it, where they are, and by what path.

Lineage too: what a version was made from and what was made from it. Owns `lineage_event`, what jobs
elsewhere tell of their runs (OpenLineage); reads what the slices below have (0020_pre_lineage.sql only
adds indexes to their tables). Promises: every version that is named comes with the path that leads to
it; what lineage finds upwards it finds downwards; what was told is kept as it was sent, with its entry
in the log. Does not decide what follows, nor believe what is told: it is asserted.
"""

from muniment.server.impact.reads.events import FOLDS

__all__ = ["FOLDS"]
